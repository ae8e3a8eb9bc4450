"""`ModelInfer` of the Open Inference Protocol over gRPC: from a message to a call of a model, and its answer in bytes.

Source: the Open Inference Protocol's gRPC specification (kserve/open-inference-protocol), version 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
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
from lepton.serving.protocols.infer import Outputs, check_id, pack_inputs, read_outputs, read_priority, read_timeout
from lepton.serving.protocols.messages import message_class
from lepton.serving.protocols.tensors import Tensor, read_head

__all__ = ["PROTOBUF", "read_message"]

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
_NO_PARAMETERS: dict[str, Any] = {}


def read_message(served: ServedModel, request: Request) -> Call:
    """The call that a `ModelInferRequest` asks for.

    The inputs are as those of `read_infer`; their values stand in `raw_input_contents`, one entry for each input, or in
    the typed `contents` of each. The answer has its values in the same way; FP16 has no typed form, and goes raw.

    Raises:
        ServingError: a message that is not the protocol's, or a model that is not ready.
        SchemaError: tensors that are not the model's.
    """
    predictor = served.predictor
    message = request.message
    check_id(message.id)
    parameters = _parameters(message)
    asked = [{"name": output.name, "parameters": _parameters(output)} for output in message.outputs]
    outputs = read_outputs(asked, served, parameters)
    packed = pack_inputs(_read_inputs(message, files=served.decodes), served, predictor)
    timeout = read_timeout(parameters)
    if request.timeout is not None:
        timeout = request.timeout if timeout is None else min(timeout, request.timeout)
    respond = partial(_respond, served, message.id, outputs, bool(message.raw_input_contents))
    return Call(served, packed, outputs.names, respond, timeout, read_priority(parameters))


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


def _respond(served: ServedModel, identifier: str, outputs: Outputs, raw: bool, given: Answers) -> Response:
    out = message_class("ModelInferResponse")(model_name=served.name, model_version=served.version, id=identifier)
    for parameter, text in served.parameters.items():
        out.parameters[parameter].string_param = text
    answers = outputs.of(given)
    raw = raw or any(datatype_of(answer) not in _FIELDS for answer in answers.values())
    for name, answer in answers.items():
        datatype = datatype_of(answer)
        entry = out.outputs.add(name=name, datatype=datatype, shape=answer.shape)
        if raw:
            out.raw_output_contents.append(as_bytes(answer))
        else:
            values = answer.ravel().tolist()
            if datatype == "BYTES":
                values = [str(value).encode("utf-8") for value in values]
            getattr(entry.contents, _FIELDS[datatype]).extend(values)
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
