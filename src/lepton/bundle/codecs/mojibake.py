"""Texts in UTF-8 that were once read as Windows-1252 or Latin-1 ("MÃ¼nchen"), undone where that is certain."""

from __future__ import annotations

import unicodedata

__all__ = ["MARKS", "repaired"]

MARKS = (
    "[\u00c2-\u00f4][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc"
    "\u2013-\u203a\u20ac\u2122]"
)
"""A regular expression without which a text holds nothing to undo: the first byte of a character, then another one."""

_MOST_TIMES = 3


def _bytes() -> dict[str, int]:
    """Character → byte: those of Windows-1252, and of Latin-1 where that has none (as browsers and tools read it)."""
    table = {chr(byte): byte for byte in range(256)}
    for byte in range(0x80, 0xA0):
        try:
            table[bytes([byte]).decode("cp1252")] = byte
        except UnicodeDecodeError:  # five bytes that Windows-1252 leaves free
            continue
    return table


_BYTES = _bytes()


def repaired(text: str) -> str:
    """The text that was meant; the same text where nothing is certain.

    Certain is: every character of the text has a byte, the bytes are UTF-8 as a whole, and what comes out has fewer
    characters, none of them hidden. A text that a person means ("Ã" alone, "naïve") is not UTF-8 then.

    >>> repaired("MÃ¼nchen"), repaired("naïve Ã")
    ('München', 'naïve Ã')
    """
    for _ in range(_MOST_TIMES):
        try:
            better = bytes(_BYTES[character] for character in text).decode("utf-8")
        except (KeyError, UnicodeDecodeError):
            return text
        if len(better) >= len(text) or any(
            unicodedata.category(c) in ("Cc", "Co", "Cn") and c not in "\t\r\n" for c in better
        ):
            return text
        text = better
    return text
