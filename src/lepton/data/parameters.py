"""Parameters of steps and rules: fields of frozen dataclasses, checked where they are written."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from lepton.core import ErrorCode, UsageError

__all__ = ["adapt_fields", "given_fields", "made_of"]


def adapt_fields(record: Any, label: str, code: ErrorCode) -> None:
    """Bring the fields of a dataclass into their form: lists as tuples, one text as a tuple of one, words as members.

    Raises:
        UsageError: a value does not fit its field.
    """
    hints = typing.get_type_hints(type(record))
    for each in dataclasses.fields(record):
        value = _adapted(getattr(record, each.name), hints[each.name])
        if not _fits(value, hints[each.name]):
            raise UsageError(code, f"{label}: got {each.name}={value!r}", wanted=_words(hints[each.name]))
        object.__setattr__(record, each.name, value)


def given_fields(record: Any) -> dict[str, Any]:
    """The fields that are not at their default, ready for JSON and YAML."""
    found = {}
    for each in dataclasses.fields(record):
        value = getattr(record, each.name)
        if each.default is dataclasses.MISSING or value != each.default:
            found[each.name] = _plain(value)
    return found


def made_of(kind: type, label: str, parameters: Mapping[str, Any], code: ErrorCode) -> Any:
    """A dataclass of parameters from a file or a call.

    Raises:
        UsageError: there is no such parameter, one is missing, or a value does not fit.
    """
    fields = {each.name: each for each in dataclasses.fields(kind)}
    if unknown := [key for key in parameters if key not in fields]:
        wanted = "some of " + ", ".join(fields) if fields else "none"
        raise UsageError(code, f"{label} has no parameter {str(unknown[0])[:100]!r}", wanted=wanted)
    missing = [
        each.name
        for each in fields.values()
        if each.default is dataclasses.MISSING
        and each.default_factory is dataclasses.MISSING
        and each.name not in parameters
    ]
    if missing:
        raise UsageError(code, f"{label} lacks {', '.join(missing)}")
    return kind(**parameters)


def _options(hint: Any) -> tuple[Any, ...]:
    """The parts of a union, or the hint alone."""
    return (
        typing.get_args(hint)
        if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
        else (hint,)
    )


def _adapted(value: Any, hint: Any) -> Any:
    """Lists as tuples, one text where a tuple of texts is wanted as a tuple, words as members of their enumeration."""
    if isinstance(value, list):
        value = tuple(_adapted(each, Any) for each in value)
    options = _options(hint)
    for option in options:
        if isinstance(option, type) and issubclass(option, StrEnum) and value in list(option):
            return option(value)
        if typing.get_origin(option) is tuple and isinstance(value, str) and str not in options:
            return (value,)
    if float in options and int not in options and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type: the few types that parameters have."""
    if hint is Any:
        return True
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if len(options := _options(hint)) > 1:
        return any(_fits(value, option) for option in options)
    if hint is None or hint is type(None):
        return value is None
    if origin is typing.Literal:
        return value in arguments
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        return len(kinds) == len(value) and all(_fits(_adapted(v, k), k) for v, k in zip(value, kinds, strict=True))
    if origin in (Mapping, dict):
        return isinstance(value, Mapping) and all(
            _fits(k, arguments[0]) and _fits(v, arguments[1]) for k, v in value.items()
        )
    if hint in (int, float):
        return isinstance(value, hint) and not isinstance(value, bool) and value == value
    return isinstance(value, hint)


def _words(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(map(repr, typing.get_args(hint)))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return "one of " + ", ".join(hint)
    return str(hint).replace("typing.", "").replace("<class '", "").replace("'>", "")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return str(value) if isinstance(value, StrEnum) else value
