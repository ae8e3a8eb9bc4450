"""Text in one normal form: NFC for every text; `nfc-casefold/1` and `characters/1` for columns that were trained so."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import polars as pl

__all__ = ["MAX_CHARACTERS", "SEPARATOR", "characters", "map_distinct", "nfc", "nfc_casefold"]

SEPARATOR = "\x1f"
"""What `characters/1` puts between two characters: U+001F, the unit separator."""
MAX_CHARACTERS = 2_000
"""Where `characters/1` cuts a text."""


def nfc(texts: pl.Series) -> pl.Series:
    """`texts` (String) in Unicode normal form C."""
    # Python's tables are the only ones used, so that one row and a million rows agree whatever Unicode version
    # Polars was built with; pure ASCII, the usual case, is in NFC already.
    if not texts.str.contains(r"[^\x00-\x7f]").any():
        return texts
    return map_distinct(texts, lambda text: unicodedata.normalize("NFC", text))


def nfc_casefold(text: str) -> str:
    """Codec `nfc-casefold/1`: NFC, then Unicode's full case folding, then NFC again.

    >>> nfc_casefold("Straße") == nfc_casefold("STRASSE")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def characters(text: str) -> str:
    """Codec `characters/1`: a text whose characters stand apart, so that a graph can take it into pieces.

    >>> characters(" Très  BIEN").split(SEPARATOR)
    ['t', 'r', 'è', 's', ' ', 'b', 'i', 'e', 'n']
    """
    return SEPARATOR.join(" ".join(nfc_casefold(text).split())[:MAX_CHARACTERS])


def map_distinct(texts: pl.Series, change: Callable[[str], str]) -> pl.Series:
    """`change` applied to each distinct text of `texts` once; nulls stay."""
    changes = {text: new for text in texts.drop_nulls().unique() if (new := change(text)) != text}
    return texts.replace(list(changes), list(changes.values())) if changes else texts
