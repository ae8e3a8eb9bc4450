"""Text in one normal form: NFC for every text, and the codecs of columns that were trained so.

`tidy-text/1` comes first, then `nfc-casefold/1`, `characters/1` or `stable-hash/1`, as `docs/reference/codecs.md`
specifies them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from hashlib import blake2b

import polars as pl

from lepton.bundle.codecs.mojibake import MARKS, repaired
from lepton.core import ErrorCode, UsageError, printable

__all__ = [
    "MAX_CHARACTERS",
    "SEPARATOR",
    "TIDYING",
    "TextTidier",
    "characters",
    "hash_digits",
    "map_distinct",
    "nfc",
    "nfc_casefold",
    "repaired_series",
    "stable_hash",
]

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


def stable_hash(text: str) -> int:
    """A whole number below 2^48 that is the same for a text everywhere: of the first 6 bytes of its BLAKE2b hash."""
    digest = blake2b(unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest[:6], "little")


def hash_digits(text: str) -> str:
    """Codec `stable-hash/1`: the decimal digits of the hash of a text; of none the empty text."""
    return str(stable_hash(text)) if text else ""


def map_distinct(texts: pl.Series, change: Callable[[str], str]) -> pl.Series:
    """`change` applied to each distinct text of `texts` once; nulls stay."""
    distinct = texts.drop_nulls().unique()
    if 2 * len(distinct) > len(texts):  # to look them up again would take longer
        return pl.Series(texts.name, [text if text is None else change(text) for text in texts.to_list()], pl.String)
    changes = {text: new for text in distinct if (new := change(text)) != text}
    return texts.replace(list(changes), list(changes.values())) if changes else texts


def repaired_series(texts: pl.Series) -> pl.Series:
    """`mojibake.repaired` for a column (String)."""
    suspects = texts.str.contains(MARKS).fill_null(value=False)
    if not suspects.any():
        return texts
    # `scatter` writes into its series, and these texts are somebody else's.
    return texts.clone().scatter(suspects.arg_true(), map_distinct(texts.filter(suspects), repaired))


_WHITE = (
    "".join(
        map(chr, [*range(0x09, 0x0E), *range(0x1C, 0x21), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200C), 0x2028, 0x2029])
    )
    + "\u202f\u205f\u3000\ufeff"
)
_RUN = re.compile(f"[{_WHITE}]+")
_PLAIN = {
    **dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b\u2032\u00b4"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"), '"'),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-"),
    **dict.fromkeys([0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " "),
    **dict.fromkeys([0xAD, 0x200B, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)], None),
}
_CHANGES: dict[str, Callable[[str], str]] = {
    "trim": lambda text: text.strip(_WHITE),
    "squeeze": lambda text: _RUN.sub(" ", text),
    "lower": lambda text: unicodedata.normalize("NFC", text.lower()),
    "upper": lambda text: unicodedata.normalize("NFC", text.upper()),
    "title": lambda text: unicodedata.normalize("NFC", text.title()),
    "fold": lambda text: unicodedata.normalize("NFC", text.casefold()),
    "plain": lambda text: unicodedata.normalize("NFC", text.translate(_PLAIN)),
    "nfkc": lambda text: unicodedata.normalize("NFKC", text),
    "mojibake": lambda text: unicodedata.normalize("NFC", repaired(text)),
}
TIDYING = tuple(_CHANGES)
"""The changes that `tidy-text/1` knows."""
_MOST_CHANGES = 100


class TextTidier:
    """Codec `tidy-text/1`: changes of texts, one after the other; a text of which nothing is left is missing.

    >>> TextTidier(["trim", "squeeze", "lower"]).tidy("  New \u00a0 YORK ")
    'new york'

    Args:
        changes: some of `TIDYING`, in the order in which they are made.

    Raises:
        UsageError: for a change that the specification does not know, or more than 100.
    """

    def __init__(self, changes: Sequence[str]) -> None:
        unknown = [change for change in changes if change not in _CHANGES]
        if unknown or len(changes) > _MOST_CHANGES:
            came = f"'{printable(unknown[0])}' to tidy texts" if unknown else f"{len(changes):,} changes of texts"
            raise UsageError(ErrorCode.USAGE, f"got {came}", wanted=f"at most {_MOST_CHANGES} of " + ", ".join(TIDYING))
        self._changes = tuple(changes)

    def tidy(self, text: str) -> str:
        """The text after all changes, in NFC."""
        text = unicodedata.normalize("NFC", text)
        for change in self._changes:
            text = _CHANGES[change](text)
        return text

    def tidy_series(self, texts: pl.Series) -> pl.Series:
        """`tidy` for a column (String); nulls stay."""
        texts = nfc(texts)
        for change in self._changes:
            if change == "trim":
                texts = texts.str.strip_chars(_WHITE)
            elif change == "squeeze":
                texts = texts.str.replace_all(_RUN.pattern, " ")
            elif change == "mojibake":
                texts = nfc(repaired_series(texts))
            elif change not in ("plain", "nfkc") or texts.str.contains(r"[^\x00-\x7f]").any():
                texts = map_distinct(texts, _CHANGES[change])
        return texts
