"""Tensors of the Open Inference Protocol in JSON: from what a stranger sent to checked numpy arrays, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, SchemaError, ServingError, printable
from lepton.serving.datatypes import DATATYPES, datatype_of

__all__ = ["Tensor", "is_binary", "plain_doubles", "read_head", "read_tensor", "write_tensor"]

_MAX_DIMENSIONS = 8
_FEW = 64
_FIELDS = frozenset({"name", "datatype", "shape", "data", "parameters"})
_NOTHING = type(None)
_JSON_TYPES: Mapping[str, frozenset[type]] = MappingProxyType(
    {
        "f": frozenset({float, int, _NOTHING}),
        "i": frozenset({int, _NOTHING}),
        "u": frozenset({int, _NOTHING}),
        "b": frozenset({bool, _NOTHING}),
        "O": frozenset({str, _NOTHING}),
    }
)
_WANTED = MappingProxyType(
    {"f": "numbers or null", "i": "integers or null", "u": "integers or null", "b": "true, false or null", "O": "texts"}
)


@dataclass(slots=True)
class Tensor:
    """One input as it came, checked.

    Attributes:
        name: of the tensor.
        datatype: a key of `DATATYPES`.
        shape: sizes; their product is `len(values)`.
        values: row by row; a list with None where a value is missing, or, of binary numbers, an array.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: list[Any] | NDArray[Any]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values, as numpy calls it."""
        return DATATYPES[self.datatype]

    def numbers(self) -> NDArray[np.float64]:
        """Values of a number or boolean tensor as doubles, missing as NaN, in `shape`; a view of binary doubles."""
        return np.asarray(self.values, dtype=np.float64).reshape(self.shape)

    def texts(self) -> NDArray[np.object_]:
        """Values of a BYTES tensor, missing as the empty text, in `shape`."""
        values = self.values
        if None in values:
            values = ["" if value is None else value for value in values]
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array.reshape(self.shape)

    def column(self) -> list[Any] | NDArray[Any]:
        """Values as a column of rows; a few are Python's own, which are packed more quickly."""
        values = self.values
        return values.tolist() if isinstance(values, np.ndarray) and len(values) <= _FEW else values


def is_binary(raw: object) -> bool:
    """Whether one entry of `inputs` says that its data stands behind the JSON."""
    parameters = raw.get("parameters") if isinstance(raw, dict) else None
    return isinstance(parameters, dict) and "binary_data_size" in parameters


def read_head(raw: object, position: int) -> tuple[str, str, tuple[int, ...], dict[str, Any]]:
    """Name, datatype, shape and parameters of one entry of `inputs`; `position` is its place, for messages.

    Raises:
        ServingError: a field that is missing or not of its type.
    """
    if not isinstance(raw, dict):
        raise _bad(f"inputs[{position}] is {_kind(raw)}", "an object with name, datatype, shape and data")
    name = raw.get("name")
    if not isinstance(name, str) or not name:
        raise _bad(f"the name of inputs[{position}] is {_kind(name)}", "a text")
    if not _FIELDS.issuperset(raw):
        unknown = next(key for key in raw if key not in _FIELDS)
        raise _bad(f"{_called(name)} has the unknown field '{printable(unknown, 40)}'", ", ".join(sorted(_FIELDS)))
    parameters = raw.get("parameters", {})
    if not isinstance(parameters, dict):
        raise _bad(f"the parameters of {_called(name)} are {_kind(parameters)}", "an object")
    datatype = raw.get("datatype")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        shown = f"'{printable(datatype, 40)}'" if isinstance(datatype, str) else _kind(datatype)
        raise _bad(f"the datatype of {_called(name)} is {shown}", "one of " + ", ".join(DATATYPES))
    return name, datatype, _shape(raw.get("shape"), name), parameters


def read_tensor(raw: object, position: int) -> Tensor:
    """One entry of `inputs` whose data is JSON.

    Nothing is allocated by what the shape claims: it is compared with the data that came.

    Raises:
        ServingError: a field that is missing or not of its type, a shape that does not fit the data, data that is said
            to be binary.
        SchemaError: values that are not of the datatype.
    """
    name, datatype, shape, parameters = read_head(raw, position)
    if "binary_data_size" in parameters:
        raise _bad(
            f"{_called(name)} is said to be binary data, and the request announces none",
            "the header Inference-Header-Content-Length, or the field data",
        )
    data = raw.get("data") if isinstance(raw, dict) else None
    if data is None:
        raise _bad(f"{_called(name)} has no data", "a JSON array")
    values = _flat(data, shape, name)
    _check_values(values, datatype, name)
    return Tensor(name, datatype, shape, values)


def plain_doubles(inputs: object, name: str, width: int) -> NDArray[np.float64] | None:
    """The numbers [N, width] of a request whose only input is this one, FP64 and flat, and says nothing else.

    Most requests are that. It is seen in a few steps; of anything else, None, `read_tensor` tells what is wrong.
    """
    if type(inputs) is not list or len(inputs) != 1:
        return None
    raw = inputs[0]
    if type(raw) is not dict or len(raw) != 4 or raw.get("name") != name or raw.get("datatype") != "FP64":
        return None
    shape, data = raw.get("shape"), raw.get("data")
    if type(shape) is not list or len(shape) != 2 or type(data) is not list or not data:
        return None
    rows, columns = shape
    if type(rows) is not int or type(columns) is not int or columns != width or rows * width != len(data):
        return None
    if not _JSON_TYPES["f"].issuperset(map(type, data)):
        return None
    return np.array(data, dtype=np.float64).reshape(rows, width)


def write_tensor(name: str, array: NDArray[Any]) -> dict[str, Any]:
    """One entry of `outputs`, its data row by row; a double that is not finite becomes null in JSON."""
    return {
        "name": name,
        "datatype": datatype_of(array),
        "shape": list(array.shape),
        "data": array.ravel().tolist(),
    }


def _called(name: str) -> str:
    return f"the input '{printable(name, 80)}'"


def _bad(came: str, wanted: str, fix: str = "") -> ServingError:
    return ServingError(ErrorCode.BAD_REQUEST, came, wanted=wanted, fix=fix)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a text", bool: "a boolean", _NOTHING: "missing"}
    return names.get(type(value), "a number")


def _shape(raw: object, name: str) -> tuple[int, ...]:
    if not isinstance(raw, list) or not 1 <= len(raw) <= _MAX_DIMENSIONS:
        came = f"has {len(raw)} sizes" if isinstance(raw, list) else f"is {_kind(raw)}"
        raise _bad(f"the shape of {_called(name)} {came}", f"an array of 1 to {_MAX_DIMENSIONS} sizes")
    for size in raw:
        if type(size) is not int or size < 0:
            raise _bad(f"the shape of {_called(name)} holds {printable(repr(size), 40)}", "whole numbers of at least 0")
    return tuple(raw)


def _flat(data: object, shape: tuple[int, ...], name: str) -> list[Any]:
    if not isinstance(data, list):
        raise _bad(f"the data of {_called(name)} is {_kind(data)}", "a JSON array")
    values: list[Any] = data
    if values and isinstance(values[0], list):
        for size in shape[1:]:
            lengths = {len(item) if isinstance(item, list) else -1 for item in values}
            if lengths - {size}:
                raise _misfit(name, shape, "nested otherwise")
            values = list(chain.from_iterable(values))
    if math.prod(shape) != len(values):
        raise _misfit(name, shape, f"{len(values)} values")
    return values


def _misfit(name: str, shape: tuple[int, ...], came: str) -> ServingError:
    shown = "[" + ", ".join(printable(str(size), 24) for size in shape) + "]"
    return ServingError(
        ErrorCode.BAD_REQUEST, f"the data of {_called(name)} is {came}", wanted=f"as many as its shape {shown} says"
    )


def _check_values(values: Sequence[Any], datatype: str, name: str) -> None:
    dtype = DATATYPES[datatype]
    wrong = set(map(type, values)) - _JSON_TYPES[dtype.kind]
    if wrong:
        first = next(i for i, value in enumerate(values) if type(value) in wrong)
        raise SchemaError(
            ErrorCode.WRONG_KIND,
            f"{_called(name)} is {datatype}, and value {first} of its data is {_kind(values[first])}",
            wanted=_WANTED[dtype.kind],
            details={"input": name[:128], "position": first},
        )
    if dtype.kind in "iu":
        _check_range(values, np.iinfo(dtype).min, np.iinfo(dtype).max, datatype, name)
    elif datatype in {"FP16", "FP32"}:
        largest = float(np.finfo(dtype).max)
        _check_range(values, -largest, largest, datatype, name)


def _check_range(values: Sequence[Any], lowest: float, highest: float, datatype: str, name: str) -> None:
    for position, value in enumerate(values):
        if value is not None and not lowest <= value <= highest:
            raise SchemaError(
                ErrorCode.BAD_VALUE,
                f"value {position} of {_called(name)} is {value!r}",
                wanted=f"{datatype}, from {lowest} to {highest}",
                details={"position": position},
            )
