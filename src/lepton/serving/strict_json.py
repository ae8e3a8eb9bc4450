"""JSON as RFC 8259 means it, and narrower: one text, one meaning.

Parsers take the last of two equal keys, NUL, integers of any size and deep nesting; the standard library's also `NaN`,
halves of surrogate pairs and UTF-16. `parse` refuses them. It stays quick because orjson reads what can hold none of
them, which counts of bytes show; anything else, and whatever orjson refuses, is read by the standard library with
checks, which then says what is wrong.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator
from json.encoder import encode_basestring_ascii
from typing import Any, NoReturn

import numpy as np
import orjson
from numpy.typing import NDArray

from lepton.core import ErrorCode, ServingError, printable

__all__ = ["MAX_DEPTH", "are_short", "are_small", "dump", "flat_list", "numbers", "parse"]

MAX_DEPTH = 64
"""Arrays and objects may stand in each other this deep."""

_INT64 = range(-(2**63), 2**63)
# Numbers with fewer digits, in a row or in the exponent, cannot leave int64 or float64 and need no check of their own.
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789E", b"000000000e")
_LONG_NUMBER, _LONG_EXPONENT = b"0" * 19, b"0e000"
_NUMBERS_APART = bytes.maketrans(b"123456789[:- \t\n\r", b"000000000,,,,,,,")
_LONG_INTEGER, _MUCH_TOO_LONG = b"," + _LONG_NUMBER, b"0" * 100
_STRUCTURE = bytes(char if char in b'[]{}":\\' else ord("a") for char in range(256))
_NUMBERS_AND_SPACES = b"0123456789+-.,eE \t\n\r"
_TOO_LARGE = 2.0**63  # to be surely no integer beyond 64 bits
_FEW = 64
_COPIED = 4_096  # bytes up to which a copy is quicker than a view
_NESTED = frozenset({dict, list})
_SURROGATE_OR_NUL = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_ROUND_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_MAX_DIGITS = 1_100  # a double that is written out has up to 1,077


def parse(body: bytes, what: str = "the body") -> Any:
    """The value of a JSON text.

    Args:
        body: UTF-8 without a byte order mark.
        what: how the text is called in messages.

    Raises:
        ServingError: not UTF-8, not JSON, more than one value, duplicate keys, `NaN` or `Infinity`, integers outside
            int64, numbers outside float64, lone surrogates, NUL characters, nesting deeper than `MAX_DEPTH`.
    """
    structure = body.translate(_STRUCTURE, _NUMBERS_AND_SPACES)
    if structure.count(b"[") + structure.count(b"{") > MAX_DEPTH:
        _check_depth(body, what)
    if not (b"\\" in structure and b"\\u" in body) and not _has_long_numbers(body):
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
        else:
            if _count_keys(value) == structure.count(b'":'):
                return value
    return _parsed_with_care(body, what)


def numbers(text: bytes) -> NDArray[np.float64] | None:
    """The numbers of a JSON array whose brackets are left out, read-only.

    Returns:
        None where the text holds anything else, or nothing, or what `parse` might refuse.
    """
    values = flat_list(b"[%b]" % text, 0, len(text) + 2)
    if not values:
        return None
    try:
        # Several times quicker than `numpy.array`, which looks at the type of each.
        array: NDArray[np.float64] = np.frombuffer(struct.pack(f"{len(values)}d", *values))
    except struct.error:
        return None
    return array if are_small(values, array) else None


def flat_list(data: bytes, start: int, end: int) -> list[Any] | None:
    """The items of a JSON array that holds numbers, if `struct` packs all of them as doubles and they `are_small`.

    Other items may be in it, but no `true` and no `false`, which alone beside numbers could be packed.

    Args:
        data: in which the array stands.
        start: of the array.
        end: of the array.

    Returns:
        None where the text is no such array, or has a number of so many digits that `parse` might refuse it.
    """
    if data.find(b"t", start, end) >= 0 or data.find(b"f", start, end) >= 0 or not are_short(data, start, end):
        return None
    try:
        values = orjson.loads(data[start:end] if end - start < _COPIED else memoryview(data)[start:end])
    except orjson.JSONDecodeError:
        return None
    return values if type(values) is list else None


def are_small(values: list[Any], array: NDArray[np.float64]) -> bool:
    """Whether no number is as large as 2⁶³, where `parse` begins to refuse integers.

    Args:
        values: what `flat_list` has given; numbers.
        array: the same.
    """
    if len(values) <= _FEW:
        return math.hypot(*values) < _TOO_LARGE  # at least as large as the largest
    return bool(np.minimum.reduce(array) > -_TOO_LARGE and np.maximum.reduce(array) < _TOO_LARGE)


def are_short(data: bytes, start: int, end: int) -> bool:
    """Whether each piece between two commas of a part of `data` is surely shorter than the longest number."""
    end -= _MAX_DIGITS
    while start < end:
        comma = data.rfind(b",", start, start + _MAX_DIGITS)
        if comma < 0:
            return False
        start = comma + 1
    return True


def _has_long_numbers(body: bytes) -> bool:
    """Whether there may be integers beyond 64 bits, or numbers of very many digits."""
    numbers = body.translate(_NUMBERS_APART)
    return _LONG_NUMBER in numbers and (_LONG_INTEGER in b"," + numbers or _MUCH_TOO_LONG in numbers)


def _count_keys(value: Any) -> int:
    """How many keys all objects in it have, but for those in arrays that do not start with an object or array.

    Every key that was written makes one `":` of the text without numbers and spaces. So where there are as many keys as
    of these, they are all, and none was written twice.
    """
    keys, left = 0, [value]
    while left:
        value = left.pop()
        if type(value) is dict:
            keys += len(value)
            left.extend(value.values())
        elif type(value) is list and value and type(value[0]) in _NESTED:
            left.extend(value)
    return keys


def _parsed_with_care(body: bytes, what: str) -> Any:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        _refuse(f"{what} is not UTF-8 (byte {error.start})")
    if not text.strip(" \t\r\n"):
        _refuse(f"{what} is empty", wanted="JSON")
    if text[0] == "\ufeff":
        _refuse(f"{what} starts with a byte order mark", fix="send plain UTF-8")
    numbers = body.translate(_DIGITS_TO_ZERO, b"+")
    careful = _LONG_NUMBER in numbers or _LONG_EXPONENT in numbers
    decoder = _careful_decoder if careful else _quick_decoder
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        _refuse(f"{what} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}")
    if _SURROGATE_OR_NUL.search(body):
        _check_characters(value, what)
    return value


def dump(value: Any) -> bytes:
    """`value` as compact JSON; NaN and infinities, which JSON does not have, become null."""
    try:
        return orjson.dumps(value)
    except TypeError:  # integers beyond 64 bits, halves of surrogates, keys that are no texts
        pass
    try:
        return _encoder.encode(value).encode("ascii")
    except ValueError:
        return _encoder.encode(_without_specials(value)).encode("ascii")


_encoder = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def _without_specials(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_specials(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_specials(item) for item in value]
    return value


def _refuse(came: str, *, wanted: str = "", fix: str = "") -> NoReturn:
    raise ServingError(ErrorCode.BAD_REQUEST, came, wanted=wanted, fix=fix)


def _check_depth(body: bytes, what: str) -> None:
    # Brackets alone, without strings; then one level of nesting falls with each pass.
    if b"\\" in body:
        body = _ESCAPE.sub(b"", body)
    brackets = _STRING.sub(b"", body.translate(None, _NOT_STRUCTURE)).translate(_ROUND_TO_SQUARE)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"")
    # What is left is deeper, or is unbalanced, which the parser would say at length in its own stack.
    if brackets:
        _refuse(f"{what} is nested too deep or not balanced", wanted=f"at most {MAX_DEPTH} levels")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                _refuse(f"the key {_quoted(key)} stands twice in one JSON object")
            seen.add(key)
    return value


def _constant(name: str) -> NoReturn:
    _refuse(f"{name} is not JSON", fix="send null where a number is missing")


def _integer(text: str) -> int:
    if len(text) <= 20 and (value := int(text)) in _INT64:
        return value
    _refuse(f"the integer {printable(text, 40)} does not fit 64 bits", fix="send it as a float or as text")


def _number(text: str) -> float:
    if len(text) > _MAX_DIGITS:
        _refuse(f"a number of {len(text)} characters", wanted=f"at most {_MAX_DIGITS}")
    value = float(text)
    if math.isinf(value):
        _refuse(f"the number {printable(text, 40)} does not fit a 64-bit float")
    return value


_quick_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
_careful_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_number
)


def _check_characters(value: Any, what: str) -> None:
    for text in _texts(value):
        if "\0" in text:
            _refuse(f"{what} holds a NUL character in the text {_quoted(text)}")
        if any("\ud800" <= char <= "\udfff" for char in text):
            _refuse(f"{what} holds half of a surrogate pair in the text {_quoted(text)}")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _quoted(text: str) -> str:
    return encode_basestring_ascii(text[:40])
