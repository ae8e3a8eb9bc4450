"""The classes of a target, and the number of each row's class."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode

__all__ = ["numbered_classes"]

_FEW_ROWS = 5_000


def numbered_classes(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The classes in `y` [N], sorted, and the position of each row's class among them [N].

    Raises:
        ValueError: what scikit-learn does not take for classes, in its words.
        DataError: classes that cannot be sorted, because they are of different kinds.
    """
    if not _are_texts(y):
        from sklearn.utils.multiclass import check_classification_targets

        try:
            check_classification_targets(y)
            return _by_sorting(y)
        except TypeError:
            kinds = ", ".join(sorted({type(value).__name__ for value in y}))
            came = f"the classes are of different kinds: {kinds}"
            raise DataError(ErrorCode.BAD_TARGET, came, wanted="all texts, or all whole numbers") from None
    if len(y) < _FEW_ROWS:
        return _by_sorting(y)
    # Sorting every row, as numpy does, takes longer than a fit of a few features.
    texts = pl.Series(y.tolist(), dtype=pl.String)
    found = texts.unique().sort()
    numbers = texts.replace_strict(found, pl.Series(range(len(found)), dtype=pl.Int64)).to_numpy()
    return np.array(found.to_list(), dtype=y.dtype), numbers


def _by_sorting(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    classes, numbers = np.unique(y, return_inverse=True)
    return classes, numbers.astype(np.int64, copy=False)


def _are_texts(y: NDArray[Any]) -> bool:
    """Whether every value is a text."""
    return y.dtype.kind == "U" or (y.dtype == object and all(type(value) is str for value in y))
