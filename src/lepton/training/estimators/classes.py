"""The classes of a target, and the number of each row's class."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode

__all__ = ["numbered_classes"]


def numbered_classes(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The classes in `y` [N], sorted, and the position of each row's class among them [N].

    Raises:
        ValueError: what scikit-learn does not take for classes, in its words.
        DataError: classes that cannot be sorted, because they are of different kinds.
    """
    texts = _texts(y)
    if texts is None:
        from sklearn.utils.multiclass import check_classification_targets

        try:
            check_classification_targets(y)
            classes, numbers = np.unique(y, return_inverse=True)
        except TypeError:
            kinds = ", ".join(sorted({type(value).__name__ for value in y}))
            came = f"the classes are of different kinds: {kinds}"
            raise DataError(ErrorCode.BAD_TARGET, came, wanted="all texts, or all whole numbers") from None
        return classes, numbers.astype(np.int64, copy=False)
    # Sorting every row, as numpy does, takes longer than a fit of a few features.
    found = texts.unique().sort()
    numbers = texts.replace_strict(found, pl.Series(range(len(found)), dtype=pl.Int64)).to_numpy()
    return np.array(found.to_list(), dtype=y.dtype), numbers


def _texts(y: NDArray[Any]) -> pl.Series | None:
    """The values as texts, where they are that and nothing else."""
    if y.dtype.kind == "U" or (y.dtype == object and all(type(value) is str for value in y)):
        return pl.Series(y.tolist(), dtype=pl.String)
    return None
