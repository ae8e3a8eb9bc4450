"""Codecs turn what a client sends into tensors: a closed list, each with a specification page and test vectors."""

from lepton.bundle.codecs.dates import DatetimeParser, microseconds
from lepton.bundle.codecs.mojibake import MARKS, repaired
from lepton.bundle.codecs.numbers import NUMBER_FORMATS, NumberParser
from lepton.bundle.codecs.text import (
    MAX_CHARACTERS,
    SEPARATOR,
    TIDYING,
    TextTidier,
    characters,
    hash_digits,
    map_distinct,
    nfc,
    nfc_casefold,
    repaired_series,
    stable_hash,
)

__all__ = [
    "CODECS",
    "MARKS",
    "MAX_CHARACTERS",
    "NUMBER_FORMATS",
    "SEPARATOR",
    "TIDYING",
    "DatetimeParser",
    "NumberParser",
    "TextTidier",
    "characters",
    "hash_digits",
    "map_distinct",
    "microseconds",
    "nfc",
    "nfc_casefold",
    "repaired",
    "repaired_series",
    "stable_hash",
]

CODECS = (
    "characters/1",
    "nfc-casefold/1",
    "parse-boolean/1",
    "parse-datetime/1",
    "parse-number/1",
    "stable-hash/1",
    "tidy-text/1",
)
"""Names that a manifest may hold; `docs/reference/codecs.md` specifies each."""
