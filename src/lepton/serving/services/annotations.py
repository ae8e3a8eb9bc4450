"""Annotations as contracts: what JSON a parameter takes, what a result gives, and the JSON schema of both."""

from __future__ import annotations

import dataclasses
import json
import operator
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, ServingError, UsageError, printable

__all__ = ["Kind", "ResultError", "kind_of"]

_INT64 = range(-(2**63), 2**63)
_EXACT = 2.0**53
_SHOWN = 60
Schema = dict[str, Any]


class ResultError(Exception):
    """A result that is not what its annotation says: a fault of the service, for its log."""


class Kind(ABC):
    """What one annotation means."""

    wanted: str

    @abstractmethod
    def read(self, value: Any, where: str) -> Any:
        """The Python value of a JSON value; `ServingError` BAD_PARAMETER names `where` if it does not fit."""

    @abstractmethod
    def write(self, value: Any, where: str) -> Any:
        """The JSON value of a Python value; `ResultError` names `where` if it does not fit."""

    @abstractmethod
    def schema(self) -> Schema:
        """As JSON schema, draft 2020-12."""

    def refuse(self, value: Any, where: str) -> NoReturn:
        """Raise what the caller hears of a value that does not fit."""
        raise ServingError(
            ErrorCode.BAD_PARAMETER,
            f"the parameter '{printable(where, 80)}' is {_shown(value)}",
            wanted=self.wanted,
            details={"parameter": where[:200]},
        )

    def fail(self, value: Any, where: str) -> NoReturn:
        """Raise what the log hears of a result that does not fit."""
        raise ResultError(f"{where} is of type {type(value).__name__}; the annotation says: {self.wanted}")


class Anything(Kind):
    """No annotation, or `Any`."""

    wanted = "what JSON can hold"

    def read(self, value: Any, where: str) -> Any:
        return value

    def write(self, value: Any, where: str) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        value = _unwrapped(value)
        if value is None or isinstance(value, str | bool | float):
            return value
        if isinstance(value, int):
            return WHOLE.write(value, where)
        if isinstance(value, list | tuple):
            return [self.write(item, f"{where}[{position}]") for position, item in enumerate(value)]
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {key: self.write(item, f"{where}.{key}") for key, item in value.items()}
        return self.fail(value, where)

    def schema(self) -> Schema:
        return {}


class Text(Kind):
    """`str`."""

    wanted = "text"

    def read(self, value: Any, where: str) -> str:
        return value if type(value) is str else self.refuse(value, where)

    def write(self, value: Any, where: str) -> str:
        return str(value) if isinstance(value, str) else self.fail(value, where)

    def schema(self) -> Schema:
        return {"type": "string"}


class Truth(Kind):
    """`bool`."""

    wanted = "true or false"

    def read(self, value: Any, where: str) -> bool:
        return value if type(value) is bool else self.refuse(value, where)

    def write(self, value: Any, where: str) -> bool:
        return bool(value) if isinstance(value, bool | np.bool_) else self.fail(value, where)

    def schema(self) -> Schema:
        return {"type": "boolean"}


class Whole(Kind):
    """`int`: 64 bits; `3.0` is 3, as JSON schema has it."""

    wanted = "a whole number"

    def read(self, value: Any, where: str) -> int:
        if type(value) is int:
            return value
        if type(value) is float and value.is_integer() and abs(value) <= _EXACT:
            return int(value)
        return self.refuse(value, where)

    def write(self, value: Any, where: str) -> int:
        if isinstance(value, int | np.integer) and not isinstance(value, bool) and operator.index(value) in _INT64:
            return int(value)
        return self.fail(value, where)

    def schema(self) -> Schema:
        return {"type": "integer"}


class Number(Kind):
    """`float`; NaN and infinities of a result become null."""

    wanted = "a number"

    def read(self, value: Any, where: str) -> float:
        return float(value) if type(value) in (int, float) else self.refuse(value, where)

    def write(self, value: Any, where: str) -> float:
        if isinstance(value, int | float | np.number) and not isinstance(value, bool | np.complexfloating):
            return float(value)
        return self.fail(value, where)

    def schema(self) -> Schema:
        return {"type": "number"}


class Nothing(Kind):
    """`None`."""

    wanted = "null"

    def read(self, value: Any, where: str) -> None:
        return None if value is None else self.refuse(value, where)

    def write(self, value: Any, where: str) -> None:
        return None if value is None else self.fail(value, where)

    def schema(self) -> Schema:
        return {"type": "null"}


WHOLE = Whole()


class ListOf(Kind):
    """`list[…]`; results may be tuples and arrays too."""

    def __init__(self, item: Kind) -> None:
        self.item = item
        self.wanted = f"a list, each item {item.wanted}"

    def read(self, value: Any, where: str) -> list[Any]:
        if type(value) is not list:
            self.refuse(value, where)
        read = self.item.read
        return [read(item, f"{where}[{position}]") for position, item in enumerate(value)]

    def write(self, value: Any, where: str) -> list[Any]:
        value = _unwrapped(value)
        if not isinstance(value, list | tuple):
            self.fail(value, where)
        write = self.item.write
        return [write(item, f"{where}[{position}]") for position, item in enumerate(value)]

    def schema(self) -> Schema:
        return {"type": "array", "items": self.item.schema()}


class DictOf(Kind):
    """`dict[str, …]`."""

    def __init__(self, item: Kind) -> None:
        self.item = item
        self.wanted = f"an object, each value {item.wanted}"

    def read(self, value: Any, where: str) -> dict[str, Any]:
        if type(value) is not dict:
            self.refuse(value, where)
        return {key: self.item.read(item, f"{where}.{key}") for key, item in value.items()}

    def write(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            self.fail(value, where)
        return {str(key): self.item.write(item, f"{where}.{key}") for key, item in value.items()}

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": self.item.schema()}


class OneOf(Kind):
    """`A | B`: the first that fits."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self.kinds = kinds
        self.wanted = " or ".join(kind.wanted for kind in kinds)
        # With one real alternative, what is wrong inside it is more telling than that nothing fits.
        real = [kind for kind in kinds if not isinstance(kind, Nothing)]
        self._only = real[0] if len(real) == 1 else None

    def read(self, value: Any, where: str) -> Any:
        if self._only is not None and value is not None and isinstance(value, dict | list):
            return self._only.read(value, where)
        for kind in self.kinds:
            try:
                return kind.read(value, where)
            except ServingError:
                continue
        return self.refuse(value, where)

    def write(self, value: Any, where: str) -> Any:
        if self._only is not None and value is not None:
            return self._only.write(value, where)
        for kind in self.kinds:
            try:
                return kind.write(value, where)
            except ResultError:
                continue
        return self.fail(value, where)

    def schema(self) -> Schema:
        return {"anyOf": [kind.schema() for kind in self.kinds]}


class Choice(Kind):
    """`Literal[…]`."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values
        self.wanted = "one of " + ", ".join(map(json.dumps, values))

    def read(self, value: Any, where: str) -> Any:
        return value if self._holds(value) else self.refuse(value, where)

    def write(self, value: Any, where: str) -> Any:
        value = _unwrapped(value)
        return value if self._holds(value) else self.fail(value, where)

    def _holds(self, value: Any) -> bool:
        return any(type(value) is type(own) and value == own for own in self.values)

    def schema(self) -> Schema:
        return {"enum": list(self.values)}


class Record(Kind):
    """A dataclass: an object with its fields, those with a default optional, and no others."""

    def __init__(self, cls: type, fields: dict[str, Kind], needed: frozenset[str]) -> None:
        self.cls, self.fields, self.needed = cls, fields, needed
        self.wanted = f"an object with {', '.join(fields) or 'nothing'}"

    def read(self, value: Any, where: str) -> Any:
        if type(value) is not dict:
            self.refuse(value, where)
        check_names(value, self.fields, self.needed, f"{where}.")
        values = {name: self.fields[name].read(item, f"{where}.{name}") for name, item in value.items()}
        try:
            return self.cls(**values)
        except (ValueError, TypeError) as error:  # __post_init__ looks at what the annotations cannot say
            raise ServingError(
                ErrorCode.BAD_PARAMETER,
                f"the parameter '{printable(where, 80)}' is refused: {printable(str(error))}",
                details={"parameter": where[:200]},
            ) from None

    def write(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, self.cls):
            self.fail(value, where)
        return {name: kind.write(getattr(value, name), f"{where}.{name}") for name, kind in self.fields.items()}

    def schema(self) -> Schema:
        return object_schema(self.fields, self.needed) | {"title": self.cls.__name__}


class Tensor(Kind):
    """An array of numpy: nested lists of numbers, as many in each; null is NaN where it holds floats."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.wanted = f"nested lists of numbers that are {dtype}, equally long"

    def read(self, value: Any, where: str) -> NDArray[Any]:
        if type(value) is not list:
            self.refuse(value, where)
        try:
            given = np.array(value)
            if given.dtype.kind == "O" and all(item is None or type(item) in (int, float) for item in given.ravel()):
                given = given.astype(np.float64)
        except ValueError:
            self.refuse(value, where)
        if given.dtype.kind not in "biuf":
            self.refuse(value, where)
        with np.errstate(all="ignore"):
            array = given.astype(self.dtype)
        if self.dtype.kind != "f" and not np.array_equal(array, given):
            self.refuse(value, where)
        return array

    def write(self, value: Any, where: str) -> Any:
        return value.tolist() if isinstance(value, np.ndarray) else self.fail(value, where)

    def schema(self) -> Schema:
        return {"type": "array", "description": f"nested lists, an array of {self.dtype}"}


def check_names(given: dict[str, Any], known: dict[str, Kind], needed: frozenset[str], prefix: str = "") -> None:
    """Raise `ServingError` for names that are missing, or that nobody knows."""
    missing = [prefix + name for name in known if name in needed and name not in given]
    if missing:
        raise ServingError(
            ErrorCode.BAD_PARAMETER,
            f"missing parameters: {', '.join(map(repr, missing))}",
            wanted="all of " + ", ".join(prefix + name for name in known if name in needed),
            details={"parameter": missing[0], "missing": missing},
        )
    unknown = [name for name in given if name not in known]
    if unknown:
        first = prefix + printable(unknown[0], 80)
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise ServingError(
            ErrorCode.BAD_PARAMETER,
            f"there is no parameter '{first}'{more}",
            wanted="no others than " + (", ".join(prefix + name for name in known) or "none"),
            details={"parameter": first},
        )


def object_schema(fields: dict[str, Kind], needed: frozenset[str]) -> Schema:
    """JSON schema of an object with these fields and no others."""
    return {
        "type": "object",
        "properties": {name: kind.schema() for name, kind in fields.items()},
        "required": [name for name in fields if name in needed],
        "additionalProperties": False,
    }


_PLAIN: dict[Any, Kind] = {
    Any: Anything(),
    object: Anything(),
    str: Text(),
    bool: Truth(),
    int: WHOLE,
    float: Number(),
    None: Nothing(),
    type(None): Nothing(),
    list: ListOf(Anything()),
    dict: DictOf(Anything()),
    np.ndarray: Tensor(np.dtype(np.float64)),
}


def kind_of(annotation: Any, where: str, inside: tuple[Any, ...] = ()) -> Kind:
    """What an annotation means.

    Args:
        annotation: evaluated, no text.
        where: what it stands at, for the message.
        inside: dataclasses that it stands in.

    Raises:
        UsageError: an annotation that JSON cannot be checked against.
    """
    try:
        if (plain := _PLAIN.get(annotation)) is not None:
            return plain
    except TypeError:  # it cannot be hashed, so it is no type of ours
        pass
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return kind_of(arguments[0], where, inside)
    if origin is list:
        return ListOf(kind_of(arguments[0], where, inside))
    if origin is dict and arguments[0] is str:
        return DictOf(kind_of(arguments[1], where, inside))
    if origin is Union or origin is types.UnionType:
        return OneOf([kind_of(each, where, inside) for each in arguments])
    if origin is Literal and all(value is None or isinstance(value, str | int | bool) for value in arguments):
        return Choice(arguments)
    if origin is np.ndarray:
        dtype: np.dtype[Any] = np.dtype(np.float64)
        scalar = get_args(arguments[-1])
        if scalar and isinstance(scalar[0], type) and issubclass(scalar[0], np.generic):
            dtype = np.dtype(scalar[0])
        if dtype.kind in "biuf":
            return Tensor(dtype)
    if dataclasses.is_dataclass(annotation) and annotation not in inside:
        return _record(typing.cast("type", annotation), where, (*inside, annotation))
    name = getattr(annotation, "__name__", None) or str(annotation)
    raise UsageError(
        ErrorCode.BAD_SERVICE,
        f"{where} is annotated as {printable(str(name), 80)}",
        wanted="str, int, float, bool, None, Any, list[…], dict[str, …], unions, Literal[…], arrays of numpy,"
        " or dataclasses of these that do not hold themselves",
    )


def _record(cls: type, where: str, inside: tuple[Any, ...]) -> Record:
    hints = typing.get_type_hints(cls)
    fields = [field for field in dataclasses.fields(cls) if field.init]
    needed = frozenset(
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )
    return Record(
        cls, {field.name: kind_of(hints[field.name], f"{where}.{field.name}", inside) for field in fields}, needed
    )


def _unwrapped(value: Any) -> Any:
    """Arrays, series and scalars of other libraries as what Python has itself."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    to_list = getattr(value, "to_list", None)
    return to_list() if callable(to_list) and not isinstance(value, type) else value


def _shown(value: Any) -> str:
    """A value as it is told in a message: scalars themselves, what is larger by its size."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)} keys"
    if isinstance(value, str):
        return f"the text {json.dumps(value[:_SHOWN])}{'…' if len(value) > _SHOWN else ''}"
    return json.dumps(value)
