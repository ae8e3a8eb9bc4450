"""Whether rows that look wrong are a group that other columns know."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["GROUP_ROWS", "is_group", "share_below"]

GROUP_ROWS = 5
"""Rows from which others can say that they are a group: fewer agree by chance."""
_TELLING = 0.9
"""How well a column must tell the rows from the rest, from 0 to 1."""
_MOST_CATEGORIES = 50


def is_group(few: pl.Series, known: pl.Series, others: pl.DataFrame) -> bool:
    """Whether some column tells the rows of `few` from the rest of `known`.

    Told by the largest difference of the two distribution functions for numbers, and half the sum of the differences
    of the shares for up to 50 categories.

    Args:
        few: Boolean [N].
        known: the rows that count, Boolean [N].
        others: columns of the same rows [N].
    """
    rows = others.filter(known)
    chosen = few.filter(known).to_numpy().astype(np.bool_)
    return any(_told_apart(chosen, rows[name]) > _TELLING for name in rows.columns)


def share_below(values: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Which share of the sorted values is at most each of the places."""
    return np.searchsorted(values, places, "right") / len(values)


def _told_apart(few: NDArray[np.bool_], column: pl.Series) -> float:
    if column.dtype.is_numeric():
        numbers = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        usable = np.isfinite(numbers)
        numbers, few = numbers[usable], few[usable]
        if few.sum() < GROUP_ROWS or few.all():
            return 0.0
        places = np.unique(numbers)
        one, other = (share_below(np.sort(part), places) for part in (numbers[few], numbers[~few]))
        return float(np.abs(one - other).max())
    if few.all() or not few.any() or column.n_unique() > _MOST_CATEGORIES:
        return 0.0
    counts = (
        pl.DataFrame({"value": column.cast(pl.String), "few": few})
        .group_by("value")
        .agg(pl.col("few").sum().alias("one"), (~pl.col("few")).sum().alias("other"))
    )
    shares = counts["one"] / int(few.sum()) - counts["other"] / int((~few).sum())
    return float(shares.abs().sum()) / 2
