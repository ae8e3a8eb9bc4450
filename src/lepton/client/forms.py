"""What a client sends and gets, between the containers of its caller and JSON or bytes; needs no library."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from lepton.core import CATALOGUE, ErrorCode, LeptonError, MissingExtraError, ServingError, UsageError, printable

__all__ = [
    "arrays_of",
    "as_came",
    "binary_tensor_of",
    "error_of",
    "is_array",
    "nested",
    "plain_rows",
    "tensor_of",
    "to_json",
]

_DATATYPES = {"bool": "BOOL", "float16": "FP16", "float32": "FP32", "float64": "FP64"} | {
    f"{sign}int{bits}": f"{sign}int{bits}".upper() for sign in ("", "u") for bits in (8, 16, 32, 64)
}
_NAMES = {name: dtype for dtype, name in _DATATYPES.items()}
_PREFIX = 4


def _library(rows: Any) -> str:
    return type(rows).__module__.partition(".")[0]


def plain_rows(rows: Any) -> list[dict[str, Any]]:
    """Rows of any container as dicts."""
    library = _library(rows)
    if library == "pandas":
        rows = rows.astype(object).where(rows.notna(), None).to_dict("records")
    elif library in {"polars", "pyarrow"}:
        rows = rows.to_dicts() if library == "polars" else rows.to_pylist()
    elif isinstance(rows, Mapping):
        columns = {name: list(values) for name, values in rows.items() if _is_column(values)}
        if len(columns) == len(rows):
            lengths = {name: len(values) for name, values in columns.items()}
            if len(set(lengths.values())) > 1:
                raise UsageError(ErrorCode.USAGE, f"got columns of the lengths {lengths}", wanted="one length")
            rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
        else:
            rows = [rows]
    return [dict(row) for row in rows]


def _is_column(values: Any) -> bool:
    return isinstance(values, list | tuple) or bool(getattr(values, "shape", ()))  # of scalars it is ()


def as_came(rows: Any, answers: list[Any], kind: str) -> Any:
    """Answers as a Series or DataFrame of the library that the rows are of, else as they are."""
    library = _library(rows)
    if library not in {"pandas", "polars"}:
        return list(answers)
    made = getattr(importlib.import_module(library), kind)
    return made(answers, index=rows.index) if library == "pandas" else made(answers)


def error_of(value: Any, status: int) -> LeptonError:
    """The error that the server had, as the same class with the same code."""
    found = value if isinstance(value, dict) else {}
    message = str(found.get("error", f"the server answers {status}"))
    try:
        code = ErrorCode(found.get("code", ""))
    except ValueError:
        code = ErrorCode.BAD_REQUEST if status < 500 else ErrorCode.INTERNAL
    family = CATALOGUE[code].family
    if family in {LeptonError, MissingExtraError}:
        family = ServingError
    return family(code, message, details=found.get("details"))


def to_json(value: Any) -> bytes:
    """A value as JSON; NaN is null."""
    try:
        text = json.dumps(value, allow_nan=False, default=_plain)
    except ValueError:
        text = json.dumps(_without_nan(value), default=_plain)
    return text.encode()


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            return None
        raise UsageError(ErrorCode.USAGE, f"got {value}", wanted="finite numbers: JSON has no infinity")
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    if hasattr(value, "item"):  # a scalar of numpy
        return value.item()
    raise UsageError(ErrorCode.USAGE, f"got a value of type {type(value).__name__}", wanted="what JSON can hold")


def tensor_of(name: str, values: Any) -> dict[str, Any]:
    """One input whose data stand in the JSON."""
    datatype = _DATATYPES.get(str(getattr(values, "dtype", "")))
    if hasattr(values, "tolist"):
        values = values.tolist()
    shape, flat = _flattened(values)
    if datatype is None:
        first = next((value for value in flat if value is not None), "")
        datatype = "BYTES" if isinstance(first, str) else "BOOL" if isinstance(first, bool) else "FP64"
    return {"name": name, "datatype": datatype, "shape": shape, "data": flat}


def _flattened(values: Any) -> tuple[list[int], list[Any]]:
    flat = list(values)
    shape = [len(flat)]
    while flat and isinstance(flat[0], list | tuple):
        shape.append(len(flat[0]))
        flat = [item for part in flat for item in part]
    return shape, flat


def nested(flat: Sequence[Any], shape: Sequence[int]) -> list[Any]:
    """Flat data as lists in lists."""
    rows = list(flat)
    for size in reversed(shape[1:]):
        values = iter(rows)
        rows = [list(islice(values, size)) for _ in range(len(rows) // size)]
    return rows


def is_array(values: Any) -> bool:
    """Whether it is an array of numpy, or like one."""
    return hasattr(values, "dtype") and hasattr(values, "tobytes") and hasattr(values, "shape")


def binary_tensor_of(name: str, array: Any) -> tuple[dict[str, Any], bytes]:
    """One input whose data is bytes behind the JSON, and those bytes."""
    datatype = _DATATYPES.get(str(array.dtype))
    if datatype is None and array.dtype.kind in "OUS":
        datatype, data = "BYTES", b"".join(map(_prefixed, array.ravel().tolist()))
    elif datatype is None:
        raise UsageError(
            ErrorCode.USAGE,
            f"got an array of {array.dtype} for '{printable(name)}'",
            wanted="booleans, numbers or texts in the byte order of this machine",
        )
    else:
        data = array.tobytes()
    tensor = {"name": name, "datatype": datatype, "shape": list(array.shape)}
    return {**tensor, "parameters": {"binary_data_size": len(data)}}, data


def _prefixed(value: Any) -> bytes:
    """A text as BYTES holds it: its length in four bytes, then itself in UTF-8; a missing one is empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        value = ""
    if not isinstance(value, str | bytes):
        raise UsageError(ErrorCode.USAGE, f"got a {type(value).__name__} in an array of texts", wanted="texts alone")
    data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    return len(data).to_bytes(_PREFIX, "little") + data


def arrays_of(answer: Any, data: bytes) -> dict[str, Any]:
    """The outputs of an answer as arrays; whoever sent one has numpy."""
    numpy = importlib.import_module("numpy")
    found = {}
    start = 0
    for tensor in answer["outputs"]:
        size, shape = tensor.get("parameters", {}).get("binary_data_size", 0), tensor["shape"]
        if "data" in tensor:  # of a server that does not know the extension
            array = numpy.array(tensor["data"], dtype=_NAMES.get(tensor["datatype"], object))
        elif tensor["datatype"] == "BYTES":
            array = numpy.array(_texts(data[start : start + size]), dtype=object)
        else:
            array = numpy.frombuffer(data[start : start + size], numpy.dtype(_NAMES[tensor["datatype"]])).copy()
        found[tensor["name"]] = array.reshape(shape)
        start += size
    return found


def _texts(data: bytes) -> list[str]:
    texts, start = [], 0
    while start < len(data):
        end = start + _PREFIX + int.from_bytes(data[start : start + _PREFIX], "little")
        texts.append(data[start + _PREFIX : end].decode("utf-8"))
        start = end
    return texts
