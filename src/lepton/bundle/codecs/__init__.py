"""Codecs turn what a client sends into tensors: a closed list, each with a specification page and test vectors."""

from lepton.bundle.codecs.dates import DatetimeParser, microseconds
from lepton.bundle.codecs.text import map_distinct, nfc, nfc_casefold

__all__ = ["CODECS", "DatetimeParser", "map_distinct", "microseconds", "nfc", "nfc_casefold"]

CODECS = ("nfc-casefold/1", "parse-datetime/1")
"""Names that a manifest may hold; `docs/reference/codecs.md` specifies each."""
