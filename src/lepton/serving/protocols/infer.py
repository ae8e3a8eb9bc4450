"""`infer` of the Open Inference Protocol: from tensors, in JSON or binary, to a call of a model, and its answer.

What the protocol says of requests in any form stands in functions of its own, which `protobuf.py` uses too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from numpy.typing import NDArray

from lepton.bundle import Predictor, TensorInputs
from lepton.core import ErrorCode, SchemaError, ServingError, printable
from lepton.serving.allowances import DEFAULT_PRIORITY, LAST_PRIORITY
from lepton.serving.model_store import ServedModel
from lepton.serving.protocols.base import Request, Response, json_response
from lepton.serving.protocols.binary import BINARY, HEADER, BinaryReader, split_body, write_binary
from lepton.serving.protocols.call import Answers, Call
from lepton.serving.protocols.cells import cell_tensors
from lepton.serving.protocols.classification import PARAMETER, classified, read_count
from lepton.serving.protocols.forms import (
    Repeated,
    RepeatedBytes,
    learn_bytes,
    learn_numbers,
    recall_bytes,
    recall_numbers,
)
from lepton.serving.protocols.tensors import Tensor, is_binary, plain_doubles, read_tensor, write_tensor
from lepton.serving.strict_json import dump, parse

__all__ = [
    "Outputs",
    "check_id",
    "pack_inputs",
    "peek_timeout",
    "read_infer",
    "read_outputs",
    "read_priority",
    "read_timeout",
]

_MAX_ID = 256
_MAX_TIMEOUT = 24 * 3600 * 1_000_000
_NO_PARAMETERS: dict[str, Any] = {}
_SHARED_MEMORY = "shared_memory_region"


@dataclass(slots=True)
class Outputs:
    """What a request wants of the model's outputs.

    Attributes:
        names: in the order asked for.
        as_bytes: of those that are sent as bytes.
        classes: what makes the highest values of each row of those of which these alone are wanted.
    """

    names: list[str]
    as_bytes: Collection[str] = ()
    classes: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] | None = None

    def of(self, answers: Answers) -> Answers:
        """What is sent of what the model answered."""
        if not self.classes:
            return answers
        return {name: self.classes.get(name, _as_it_is)(answer) for name, answer in answers.items()}


def read_infer(served: ServedModel, request: Request) -> Call:
    """The call that a request to `infer` asks for.

    The inputs are the graph's tensors (`numbers` FP64 [N, k], `strings` BYTES [N, m]), or one tensor per column, [N] or
    [N, 1].

    Raises:
        ServingError: a body that is not the protocol's, or a model that is not ready.
        SchemaError: tensors that are not the model's.
    """
    text, binary = split_body(request.body, request.headers)
    call = recall_numbers(served, text) if binary is None else recall_bytes(served, text, request.body)
    if call is not None:
        return call
    predictor = served.predictor
    body = parse(text)
    if not isinstance(body, dict):
        raise ServingError(ErrorCode.BAD_REQUEST, "the body is no JSON object", wanted='{"inputs": […]}')
    identifier = body.get("id")
    if identifier is not None:
        check_id(identifier)
    parameters = _parameters(body, "the request") if "parameters" in body else _NO_PARAMETERS
    outputs = read_outputs(body.get("outputs", []), served, parameters)
    packed: Mapping[str, NDArray[Any]] | None = None
    if binary is None:
        packed = _plain_numbers(body.get("inputs"), served)
    if packed is None:
        packed = pack_inputs(_read_inputs(body, binary, files=served.decodes), served, predictor)
    respond = partial(_respond, served, identifier, outputs)
    call = Call(served, packed, outputs.names, respond, read_timeout(parameters), read_priority(parameters))
    if identifier is None:  # no two requests have the same
        _learn(call, outputs, text, body["inputs"], is_plain=binary is None)
    return call


def _learn(call: Call, outputs: Outputs, text: bytes, inputs: Sequence[Mapping[str, Any]], *, is_plain: bool) -> None:
    """Remember what a request was like that was read, if it is one of those of which many come."""
    if len(inputs) != 1 or call.tensors.keys() != {inputs[0]["name"]} or outputs.classes:
        return
    respond = call.respond
    if not outputs.as_bytes:
        respond = Repeated(partial(_emptied, call.model))
    elif len(outputs.as_bytes) == len(outputs.names) and not _give_texts(call):
        respond = RepeatedBytes(call.respond)
    if is_plain and inputs[0]["datatype"] == "FP64":
        learn_numbers(text, call, respond)
    elif not is_plain:
        learn_bytes(text, inputs[0]["datatype"], call, respond)


def _give_texts(call: Call) -> bool:
    return any(record.datatype == "BYTES" and record.name in call.outputs for record in call.model.outputs)


def check_id(identifier: object) -> None:
    """Raise `ServingError` unless the id that a request gives itself is a text that is short enough."""
    if not (isinstance(identifier, str) and len(identifier) <= _MAX_ID):
        raise ServingError(ErrorCode.BAD_REQUEST, "the id is no text", wanted=f"a text of at most {_MAX_ID} characters")


def _respond(served: ServedModel, identifier: str | None, outputs: Outputs, given: Answers) -> Response:
    answers, as_bytes = outputs.of(given), outputs.as_bytes
    out: dict[str, Any] = {"model_name": served.name, "model_version": served.version}
    if served.parameters:
        out["parameters"] = served.parameters
    if identifier is not None:
        out["id"] = identifier
    if not as_bytes:
        out["outputs"] = [write_tensor(name, answer) for name, answer in answers.items()]
        return json_response(out)
    entries, parts = write_binary((name, answer) for name, answer in answers.items() if name in as_bytes)
    sent = {entry["name"]: entry for entry in entries}
    out["outputs"] = [sent.get(name) or write_tensor(name, answer) for name, answer in answers.items()]
    text = dump(out)
    return Response(200, b"".join([text, *parts]), BINARY, ((HEADER, str(len(text))),))


def _emptied(served: ServedModel, answers: Answers) -> bytes:
    """The text of an answer without its data."""
    out: dict[str, Any] = {"model_name": served.name, "model_version": served.version}
    if served.parameters:
        out["parameters"] = served.parameters
    out["outputs"] = [{**write_tensor(name, answer), "data": []} for name, answer in answers.items()]
    return dump(out)


def _parameters(body: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    parameters = body.get("parameters", _NO_PARAMETERS)
    if not isinstance(parameters, dict):
        raise ServingError(ErrorCode.BAD_REQUEST, f"the parameters of {what} are no object", wanted="a JSON object")
    return parameters


def _flag(parameters: Mapping[str, Any], name: str, default: bool, what: str) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise ServingError(ErrorCode.BAD_REQUEST, f"the parameter {name} of {what} is no boolean", wanted="true, false")
    return value


def read_timeout(parameters: Mapping[str, Any]) -> float | None:
    """Seconds of the parameter `timeout`, which counts microseconds; 0 sets no limit.

    Raises:
        ServingError: what is no such number.
    """
    if "timeout" not in parameters:
        return None
    value = parameters["timeout"]
    if type(value) is not int or not 0 <= value <= _MAX_TIMEOUT:
        raise ServingError(
            ErrorCode.BAD_REQUEST,
            f"the parameter timeout is {printable(repr(value), 40)}",
            wanted=f"microseconds, a whole number from 0 (no limit) to {_MAX_TIMEOUT}",
        )
    return value / 1e6 or None


def read_priority(parameters: Mapping[str, Any]) -> int:
    """The parameter `priority`, from 1 (first) to 9 (last); 0 is the middle.

    Raises:
        ServingError: what is no such number.
    """
    value = parameters.get("priority", 0)
    if type(value) is not int or not 0 <= value <= LAST_PRIORITY:
        raise ServingError(
            ErrorCode.BAD_REQUEST,
            f"the parameter priority is {printable(repr(value), 40)}",
            wanted=f"a whole number from 1 (first) to {LAST_PRIORITY} (last), or 0 for the middle",
        )
    return value or DEFAULT_PRIORITY


def peek_timeout(request: Request) -> float | None:
    """The timeout of a request in JSON whose other parts are not looked at yet.

    Raises:
        ServingError: what is no JSON, or no such number.
    """
    body = parse(split_body(request.body, request.headers)[0])
    return read_timeout(_parameters(body, "the request")) if isinstance(body, dict) else None


def read_outputs(asked: object, served: ServedModel, parameters: Mapping[str, Any]) -> Outputs:
    """What a request wants of a model's outputs.

    Args:
        asked: the request's `outputs`.
        served: the model.
        parameters: of the request.

    Raises:
        ServingError: outputs that the model does not have, or in a form that it cannot give.
    """
    known = served.output_names
    all_binary = _flag(parameters, "binary_data_output", False, "the request") if parameters else False
    if not isinstance(asked, list):
        raise ServingError(ErrorCode.BAD_REQUEST, "the outputs are no JSON array", wanted='[{"name": "prediction"}]')
    if not asked:
        return Outputs(known, known if all_binary else ())
    names: list[str] = []
    as_bytes: list[str] = []
    classes: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {}
    for position, output in enumerate(asked):
        name = output.get("name") if isinstance(output, dict) else None
        if not isinstance(name, str) or name not in known or name in names:
            shown = f"'{printable(name, 80)}'" if isinstance(name, str) else "without a name"
            again = " asked for twice" if name in names else ""
            raise ServingError(
                ErrorCode.BAD_REQUEST, f"outputs[{position}] is {shown}{again}", wanted="some of " + ", ".join(known)
            )
        own = _parameters(output, f"the output '{name}'")
        if own and (count := _count(own, served, name)):
            labels = served.described.label_names if name == "probabilities" else ()
            classes[name] = partial(classified, count=count, labels=labels)
        if _flag(own, "binary_data", all_binary, f"the output '{name}'"):
            as_bytes.append(name)
        names.append(name)
    return Outputs(names, as_bytes, classes)


def _as_it_is(answer: NDArray[Any]) -> NDArray[Any]:
    return answer


def _count(parameters: Mapping[str, Any], served: ServedModel, name: str) -> int:
    if _SHARED_MEMORY in parameters:
        raise ServingError(
            ErrorCode.BAD_REQUEST, f"the output '{name}' is wanted in shared memory", wanted="it in the answer"
        )
    if PARAMETER not in parameters:
        return 0
    return read_count(parameters, next(record for record in served.outputs if record.name == name))


def _plain_numbers(inputs: object, served: ServedModel) -> dict[str, NDArray[Any]] | None:
    """What the graph takes, where that is one tensor of numbers and comes in the plainest form; None for all else."""
    if len(served.inputs) != 1:
        return None
    record = served.inputs[0]
    if record.datatype != "FP64" or len(record.shape) != 2:
        return None
    values = plain_doubles(inputs, record.name, record.shape[1])
    return None if values is None else {record.name: values}


def _read_inputs(body: Mapping[str, Any], binary: BinaryReader | None, *, files: bool) -> Iterator[Tensor]:
    raw = body.get("inputs")
    if not isinstance(raw, list):
        return
    for position, item in enumerate(raw):
        if binary is not None and is_binary(item):
            yield binary.read(item, position, files=files)
        else:
            yield read_tensor(item, position)
    if binary is not None:
        binary.finish()


def pack_inputs(inputs: Iterable[Tensor], served: ServedModel, predictor: Predictor) -> Mapping[str, NDArray[Any]]:
    """What the graph takes, of the inputs of a request: its tensors, or a tensor for each column.

    Raises:
        ServingError: no input, or one that stands twice.
        SchemaError: inputs that are not the model's.
    """
    tensors = _by_name(inputs, served)
    if isinstance(predictor.inputs, TensorInputs):
        return cell_tensors(predictor.inputs, tensors)
    if tensors.keys() <= served.tensor_names:
        return _graph_tensors(tensors, served)
    return predictor.tensors(_columns(tensors, predictor.inputs.names))


def _by_name(inputs: Iterable[Tensor], served: ServedModel) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for tensor in inputs:
        if tensor.name in tensors:
            raise ServingError(ErrorCode.BAD_REQUEST, f"the input '{printable(tensor.name)}' stands twice")
        if tensor.name not in served.input_names:
            raise SchemaError(
                ErrorCode.EXTRA_COLUMNS,
                f"the model '{served.name}' has no input '{printable(tensor.name)}'",
                wanted="its tensors or its columns: " + ", ".join(sorted(served.input_names)[:20]),
                fix=f"GET /v2/models/{served.name} lists them",
                details={"input": tensor.name[:128]},
            )
        tensors[tensor.name] = tensor
    if not tensors:
        raise ServingError(ErrorCode.BAD_REQUEST, "the request has no inputs", wanted='{"inputs": [{"name": …}]}')
    rows = {tensor.name: tensor.shape[0] for tensor in tensors.values()}
    if len(set(rows.values())) > 1 or 0 in rows.values():
        shown = ", ".join(f"'{printable(name, 40)}' has {count}" for name, count in list(rows.items())[:5])
        raise SchemaError(ErrorCode.WRONG_SHAPE, f"rows: {shown}", wanted="as many in each input, and at least one")
    return tensors


def _graph_tensors(tensors: Mapping[str, Tensor], served: ServedModel) -> dict[str, NDArray[Any]]:
    out: dict[str, NDArray[Any]] = {}
    for record in served.inputs:
        tensor = tensors.get(record.name)
        if tensor is None:
            raise SchemaError(
                ErrorCode.MISSING_COLUMNS,
                f"the input '{record.name}' is missing",
                wanted=" and ".join(f"'{r.name}'" for r in served.inputs),
                details={"missing": [record.name]},
            )
        if tensor.datatype != record.datatype:
            raise SchemaError(
                ErrorCode.WRONG_KIND, f"the input '{record.name}' is {tensor.datatype}", wanted=record.datatype
            )
        if tensor.shape[1:] != record.shape[1:]:
            raise SchemaError(
                ErrorCode.WRONG_SHAPE,
                f"the input '{record.name}' has the shape {list(tensor.shape)}",
                wanted=f"{list(record.shape)}, where -1 is any number of rows",
            )
        out[record.name] = tensor.texts() if record.datatype == "BYTES" else tensor.numbers()
    return out


def _columns(tensors: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, tensor in tensors.items():
        if name not in names:
            raise SchemaError(
                ErrorCode.EXTRA_COLUMNS,
                f"the input '{name}' is a tensor of the graph among columns",
                wanted="the graph's tensors alone, or one tensor per column",
            )
        if tensor.shape[1:] not in {(), (1,)}:
            raise SchemaError(
                ErrorCode.WRONG_SHAPE,
                f"the column '{printable(name)}' has the shape {list(tensor.shape)}",
                wanted="[N] or [N, 1]",
            )
        columns[name] = tensor.column()
    return columns
