"""Several labels in one text, such as `red; round`: which separator stands between them, and which rows have which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["flags_of_texts", "labels_of_texts"]

_SEPARATORS = (";", "|", ",")


def labels_of_texts(texts: pl.Series) -> tuple[str, ...]:
    """The labels that occur, sorted; the separator is the first of `;`, `|` and `,` that occurs at all."""
    found = [separator for separator in _SEPARATORS if texts.str.contains(separator, literal=True).any()]
    return tuple(sorted(_parts(texts, found[0] if found else _SEPARATORS[0]).explode().drop_nulls().unique().to_list()))


def flags_of_texts(texts: pl.Series, labels: Sequence[str]) -> NDArray[np.int64]:
    """1 for each of the labels that a text holds [N, L]; a missing text holds none, and unknown labels are passed over.

    The separator is the one with which most of the labels are found.
    """
    best = np.zeros((len(texts), len(labels)), dtype=np.int64)
    for separator in _SEPARATORS:
        parts = _parts(texts, separator)
        flags = np.stack([parts.list.contains(label).fill_null(False).to_numpy() for label in labels], axis=1)
        if flags.sum() > best.sum():
            best = flags.astype(np.int64)
    return best


def _parts(texts: pl.Series, separator: str) -> pl.Series:
    """The labels of each text, without spaces around them, in NFC; no empty ones."""
    parts = texts.str.normalize("NFC").str.split(separator)
    stripped = parts.list.eval(pl.element().str.strip_chars())
    return stripped.list.eval(pl.element().filter(pl.element() != ""))
