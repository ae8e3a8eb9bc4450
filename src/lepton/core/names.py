"""Names are labels, never paths: one rule for every name a user or a stranger gives."""

from __future__ import annotations

import unicodedata

from lepton.core.errors import ErrorCode, UsageError

__all__ = ["check_label", "check_name", "printable"]

_MAX_LENGTH = 128
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_ZERO_WIDTH = frozenset("\u200b\u200c\u200d\u2060\ufeff")


def _hidden(char: str) -> bool:
    return char in _BIDI or char in _ZERO_WIDTH or unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}


def check_label(name: str, what: str = "name") -> str:
    """Return `name` in NFC, or raise `UsageError`: 1-128 characters, none of them control, bidirectional or hidden.

    A label may hold any script and spaces: column names and class labels are labels.
    """
    if not isinstance(name, str):
        raise UsageError(ErrorCode.BAD_NAME, f"got a {what} of type {type(name).__name__}", wanted="text")
    if not 1 <= len(name) <= _MAX_LENGTH:
        shown = f"{printable(name[:40])!r}..." if len(name) > _MAX_LENGTH else repr(name)
        raise UsageError(
            ErrorCode.BAD_NAME, f"the {what} {shown} has {len(name)} characters", wanted=f"1 to {_MAX_LENGTH}"
        )
    normal = unicodedata.normalize("NFC", name)
    if not normal.isprintable() and any(map(_hidden, normal)):  # no hidden character is printable
        raise UsageError(
            ErrorCode.BAD_NAME,
            f"the {what} '{printable(name)}' holds control, bidirectional or hidden characters",
            fix="rename it with visible characters only",
        )
    return normal


def check_name(name: str, what: str = "name") -> str:
    """`check_label` for names of models and versions, which also stand in addresses.

    Letters, digits, `.`, `_`, `-` and inner spaces, of any script; no leading `.` or `-`.
    """
    normal = check_label(name, what)
    allowed = all(c.isalnum() or c in "._- " or unicodedata.category(c).startswith("M") for c in normal)
    if not allowed or normal[0] in ".-" or normal != normal.strip():
        raise UsageError(
            ErrorCode.BAD_NAME,
            f"the {what} '{printable(name)}' cannot be used",
            wanted="letters, digits, '.', '_', '-' and inner spaces, not starting with '.' or '-'",
        )
    return normal


def printable(text: str, limit: int = 200) -> str:
    """`text` with hidden characters escaped and at most `limit` characters, safe for terminals and logs."""
    if len(text) <= limit and text.isprintable():
        return text
    shown = "".join(c.encode("unicode_escape", "surrogatepass").decode() if _hidden(c) else c for c in text[:limit])
    return shown + "..." if len(text) > limit else shown
