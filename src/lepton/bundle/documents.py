"""JSON documents of a bundle: one canonical form to write, a strict and bounded parser to read."""

from __future__ import annotations

import json
import math
from typing import Any

from lepton.core import BundleError, ErrorCode, UsageError, printable

__all__ = ["MAX_DOCUMENT", "dump_document", "parse_document"]

MAX_DOCUMENT = 16_000_000
"""Most bytes of the manifest, and of all reports together."""

_SMALL = 1_000_000
_FEW_BRACKETS = 500  # nesting beyond is what the writer may refuse
_MAX_VALUES = 500_000  # a value takes up to about 100 bytes of memory, so parsing stays within 64 MiB


def dump_document(value: Any, what: str) -> bytes:
    """Canonical JSON: keys sorted, no spaces, UTF-8, floats in the shortest form that reads back, newline at the end.

    Args:
        value: dicts with text keys, lists, texts, ints, finite floats, booleans and None.
        what: what the document is, for messages.

    Raises:
        UsageError: `value` holds anything else (NaN, infinities, lone surrogates, objects), or too much.
    """
    try:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        data = text.encode("utf-8") + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            ErrorCode.USAGE,
            f"the {what} cannot be written as JSON: {printable(str(error))}",
            wanted="texts, finite numbers, booleans, None, lists and dicts with text keys",
        ) from None
    if problem := _too_much(data):
        raise UsageError(ErrorCode.USAGE, f"the {what} {problem}")
    return data


def parse_document(data: bytes, what: str) -> dict[str, Any]:
    """Read a JSON object strictly: UTF-8, no duplicate keys, finite numbers, whole text, bounded size and depth.

    Args:
        data: the bytes of the member.
        what: name of the member, for messages.

    Raises:
        BundleError: `BUNDLE_DAMAGED`, with what was found.
    """
    problem = _too_much(data)
    if not problem:
        try:
            value = json.loads(
                data.decode("utf-8"),
                object_pairs_hook=_unique,
                parse_constant=_refuse_constant,
                parse_float=_finite,
            )
            if not _is_plain(data):
                dump_document(value, what)  # refuses lone surrogates, which nothing could print
        except RecursionError:
            problem = "is nested too deeply"
        except UsageError as error:
            problem = f"holds what JSON cannot carry: {error.came}"
        except ValueError as error:
            problem = f"is not valid: {printable(str(error))}"
        else:
            if not isinstance(value, dict):
                problem = f"holds a {type(value).__name__}, not an object"
            else:
                return value
    raise BundleError(ErrorCode.BUNDLE_DAMAGED, f"{what} {problem}", wanted="a JSON object as Lepton writes it")


def _too_much(data: bytes) -> str:
    """What is too much, or ""; a document has at most one value per comma and opening bracket, and one more."""
    if len(data) > MAX_DOCUMENT:
        return f"has {len(data)} bytes, more than {MAX_DOCUMENT}"
    if data.count(b",") + data.count(b"[") + data.count(b"{") >= _MAX_VALUES:
        return f"holds {_MAX_VALUES} values or more"
    return ""


def _is_plain(data: bytes) -> bool:
    """Whether what was read of `data` can be written again for sure: small, flat enough, and without escapes."""
    brackets = data.count(b"[") + data.count(b"{")
    return len(data) <= _SMALL and brackets <= _FEW_BRACKETS and b"\\u" not in data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name!r} stands twice in one object")
        found[name] = value
    return found


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value
