"""`ModelInfer` of the Open Inference Protocol over gRPC: from a message to a call of a model, and its answer in bytes.

Source: the Open Inference Protocol's gRPC specification (kserve/open-inference-protocol), version 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from lepton.core import ErrorCode, SchemaError, ServingError, printable
from lepton.serving.datatypes import DATATYPES, datatype_of
from lepton.serving.model_store import ServedModel
from lepton.serving.protocols.base import Request, Response
from lepton.serving.protocols.binary import as_bytes, read_bytes
from lepton.serving.protocols.call import Answers, Call
from lepton.serving.protocols.forms import learn_bytes, recall_bytes
from lepton.serving.protocols.infer import Outputs, check_id, pack_inputs, read_outputs, read_priority, read_timeout
from lepton.serving.protocols.messages import message_class
from lepton.serving.protocols.tensors import Tensor, read_head

__all__ = ["PROTOBUF", "Repeated", "read_message", "text_of", "varint"]

PROTOBUF = "application/grpc"
"""Content type of an answer that is a message."""

_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "BOOL": "bool_contents",
        **{f"INT{bits}": "int_contents" for bits in (8, 16, 32)},
        **{f"UINT{bits}": "uint_contents" for bits in (8, 16, 32)},
        "INT64": "int64_contents",
        "UINT64": "uint64_contents",
        "FP32": "fp32_contents",
        "FP64": "fp64_contents",
        "BYTES": "bytes_contents",
    }
)
_CONTENTS_IN, _CONTENTS_OUT = b"\x3a", b"\x32"  # fields 7 of a request and 6 of an answer, each of them bytes
_LONGEST = 4096
_NO_PARAMETERS: dict[str, Any] = {}


def read_message(served: ServedModel, request: Request) -> Call:
    """The call that a `ModelInferRequest` asks for.

    The inputs are as those of `read_infer`; their values stand in `raw_input_contents`, one entry for each input, or in
    the typed `contents` of each. The answer has its values in the same way; FP16 has no typed form, and goes raw.

    Raises:
        ServingError: a message that is not the protocol's, or a model that is not ready.
        SchemaError: tensors that are not the model's.
    """
    message = request.message
    if isinstance(message, Repeated):
        call = recall_bytes(served, message.text, request.body)
        if call is not None:
            call.timeout = _sooner(call.timeout, request.timeout)
            return call
        message = message_class("ModelInferRequest").FromString(request.body)
    predictor = served.predictor
    check_id(message.id)
    parameters = _parameters(message)
    asked = [{"name": output.name, "parameters": _parameters(output)} for output in message.outputs]
    outputs = read_outputs(asked, served, parameters)
    packed = pack_inputs(_read_inputs(message, files=served.decodes), served, predictor)
    raw = bool(message.raw_input_contents)
    respond = RawAnswers(served, message.id, outputs) if raw else partial(_respond, served, message.id, outputs)
    call = Call(served, packed, outputs.names, respond, read_timeout(parameters), read_priority(parameters))
    if raw and not message.id and packed.keys() == {given.name for given in message.inputs}:
        text = text_of(request.body, message)
        if text is not None:
            learn_bytes(text, message.inputs[0].datatype, call, respond)
    call.timeout = _sooner(call.timeout, request.timeout)
    return call


@dataclass(frozen=True, slots=True)
class Repeated:
    """A message that begins as one did before; `text` is all of it but the bytes of its one tensor."""

    text: bytes


def text_of(raw: bytes, message: Any) -> bytes | None:
    """What stands before the bytes of a message's one tensor, if they stand at its end; None for other messages."""
    if len(message.raw_input_contents) != 1:
        return None
    size = len(message.raw_input_contents[0])
    head, tag = raw[: len(raw) - size], _CONTENTS_IN + varint(size)
    if not head.endswith(tag) or len(head) > _LONGEST:
        return None
    # A field begins there if what is before it is a message.
    try:
        rest = message_class("ModelInferRequest").FromString(head[: -len(tag)])
    except ValueError:
        return None
    return None if rest.raw_input_contents else head


def varint(number: int) -> bytes:
    """A whole number as protobuf writes it."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _sooner(first: float | None, second: float | None) -> float | None:
    """The shorter of two timeouts, of which either may be none."""
    return min((timeout for timeout in (first, second) if timeout is not None), default=None)


def _parameters(message: Any) -> dict[str, Any]:
    """Parameters of a request, an input or an output; one without a value is None."""
    if not message.parameters:
        return _NO_PARAMETERS
    chosen = {name: (value, value.WhichOneof("parameter_choice")) for name, value in message.parameters.items()}
    return {name: getattr(value, field) if field else None for name, (value, field) in chosen.items()}


def _read_inputs(message: Any, *, files: bool) -> Iterator[Tensor]:
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise ServingError(
            ErrorCode.BAD_REQUEST,
            f"the request has {len(message.inputs)} inputs and {len(raw)} raw_input_contents",
            wanted="one for each input, or none",
        )
    for position, given in enumerate(message.inputs):
        name, datatype, shape, _ = head = read_head(
            {"name": given.name, "datatype": given.datatype, "shape": list(given.shape)}, position
        )
        if not raw:
            yield _typed(given, name, datatype, shape, files=files)
            continue
        if given.HasField("contents"):
            raise ServingError(
                ErrorCode.BAD_REQUEST,
                f"{_called(name)} has contents, and the request raw_input_contents",
                wanted="one of them",
            )
        data = raw[position]
        yield read_bytes(data, 0, len(data), head[:3], "raw length", files=files)


def _typed(given: Any, name: str, datatype: str, shape: tuple[int, ...], *, files: bool) -> Tensor:
    """A tensor whose values stand in the field of its datatype."""
    contents = given.contents
    wanted = _FIELDS.get(datatype)
    if wanted is None:
        raise ServingError(
            ErrorCode.BAD_REQUEST, f"{_called(name)} is {datatype} in typed contents", wanted="raw_input_contents"
        )
    for field, _ in contents.ListFields():
        if field.name != wanted:
            raise ServingError(
                ErrorCode.BAD_REQUEST,
                f"{_called(name)} is {datatype}, and has {field.name}",
                wanted=f"{wanted} alone",
            )
    values = list(getattr(contents, wanted))
    count = math.prod(shape)
    if count != len(values):
        raise ServingError(
            ErrorCode.BAD_REQUEST,
            f"{_called(name)} has {len(values)} values",
            wanted=f"{printable(str(count), 40)}, as many as its shape says",
        )
    if datatype == "BYTES" and files:
        return Tensor(name, datatype, shape, values)
    if datatype == "BYTES":
        return Tensor(name, datatype, shape, [_text(value, i, name) for i, value in enumerate(values)])
    dtype = DATATYPES[datatype]
    if dtype.itemsize < 4 and dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        wrong = next((i for i, value in enumerate(values) if not bounds.min <= value <= bounds.max), None)
        if wrong is not None:
            raise _bad_value(name, wrong, f"is {values[wrong]}", f"{datatype}, from {bounds.min} to {bounds.max}")
    return Tensor(name, datatype, shape, np.array(values, dtype=dtype))


def _text(value: bytes, position: int, name: str) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad_value(name, position, f"is not UTF-8 (byte {error.start})", "texts in UTF-8 without NUL") from None
    if "\0" in text:
        raise _bad_value(name, position, "holds a NUL character", "texts in UTF-8 without NUL")
    return text


class RawAnswers:
    """Makes answers whose values are bytes; while their shapes stay the same, what is before the bytes does too.

    Args:
        served: the model that answers.
        identifier: of the request.
        outputs: that it wants.
    """

    def __init__(self, served: ServedModel, identifier: str, outputs: Outputs) -> None:
        self._served, self._identifier, self._outputs = served, identifier, outputs
        self._known: tuple[list[tuple[int, ...]], bytes] = ([], b"")

    def __call__(self, given: Answers) -> Response:
        """The response."""
        answers = self._outputs.of(given)
        found = [answer.shape for answer in answers.values()]
        shapes, head = self._known
        if found != shapes:
            head = _answer(self._served, self._identifier, answers).SerializeToString()
            self._known = found, head
        parts = [head]
        for answer in answers.values():
            data = as_bytes(answer)
            parts += (_CONTENTS_OUT, varint(len(data)), data)
        return Response(200, b"".join(parts), PROTOBUF)


def _answer(served: ServedModel, identifier: str, answers: Answers) -> Any:
    """The message of an answer without its values."""
    out = message_class("ModelInferResponse")(model_name=served.name, model_version=served.version, id=identifier)
    for parameter, text in served.parameters.items():
        out.parameters[parameter].string_param = text
    for name, answer in answers.items():
        out.outputs.add(name=name, datatype=datatype_of(answer), shape=answer.shape)
    return out


def _respond(served: ServedModel, identifier: str, outputs: Outputs, given: Answers) -> Response:
    """An answer with its values typed, if all of them can be."""
    answers = outputs.of(given)
    if any(datatype_of(answer) not in _FIELDS for answer in answers.values()):
        return RawAnswers(served, identifier, outputs)(given)
    out = _answer(served, identifier, answers)
    for entry, answer in zip(out.outputs, answers.values(), strict=True):
        values = answer.ravel().tolist()
        if entry.datatype == "BYTES":
            values = [str(value).encode("utf-8") for value in values]
        getattr(entry.contents, _FIELDS[entry.datatype]).extend(values)
    return Response(200, out.SerializeToString(), PROTOBUF)


def _bad_value(name: str, position: int, what: str, wanted: str) -> SchemaError:
    return SchemaError(
        ErrorCode.BAD_VALUE,
        f"value {position} of {_called(name)} {what}",
        wanted=wanted,
        details={"input": name[:128], "position": position},
    )


def _called(name: str) -> str:
    return f"the input '{printable(name, 80)}'"
