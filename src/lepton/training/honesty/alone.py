"""What one column tells by itself: its values in bins, the mean of the target in each, asked about other rows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import ColumnRecord, Kind
from lepton.training.base import Doubles

__all__ = ["Bins", "bins_of", "skill_of", "surely_above"]

_TAILS = (0.001, 0.002, 0.005, 0.01)  # rare values at either end have bins of their own
_PRIOR_ROWS = 0.1  # that the mean of all rows counts as in each bin
_LEAST_IN_BIN = 10
_RARE = 0.01  # of a class's rows: those at its ends may be mistakes


class Bins:
    """Rows by what they have in one column.

    Attributes:
        codes: bin of each row [N]; 0 is for missing values.
        names: what each bin holds.
    """

    def __init__(self, codes: NDArray[np.int64], names: tuple[str, ...]) -> None:
        self.codes, self.names = codes, names


def bins_of(
    values: pl.Series, column: ColumnRecord, most: int = 32, tails: bool = True, classes: Doubles | None = None
) -> Bins:
    """At most about `most` bins: ranges of numbers and moments, the most frequent of other values.

    Args:
        values: of the column.
        column: its record.
        most: bins, at least 2.
        tails: whether the rarest values at either end have bins of their own.
        classes: 1 where a row is of a class, one column for each [N, K]: ranges also end where those of a class do.
    """
    if column.kind in (Kind.NUMBER, Kind.DATETIME):
        return _ranges(values, most, tails, classes)
    texts = values.cast(pl.String).alias("text")
    counts = texts.drop_nulls().value_counts(sort=True).head(most)[texts.name].to_list()
    place = {text: position + 1 for position, text in enumerate(sorted(counts))}
    codes = texts.replace_strict(place, default=len(place) + 1, return_dtype=pl.Int64)
    codes = pl.select(pl.when(texts.is_null()).then(0).otherwise(codes)).to_series()
    return Bins(codes.to_numpy().astype(np.int64), ("missing", *sorted(counts), "any other"))


def _ranges(values: pl.Series, most: int, tails: bool, classes: Doubles | None) -> Bins:
    moments = values.dtype.is_temporal()
    numbers = values.to_physical().cast(pl.Float64).fill_null(np.nan).to_numpy()
    known = np.isfinite(numbers)
    if not known.any():
        return Bins(np.zeros(len(numbers), dtype=np.int64), ("missing",))
    least = _LEAST_IN_BIN if classes is None else 2 * _LEAST_IN_BIN
    most = max(1, min(most, int(known.sum()) // least))
    shares = np.linspace(0.0, 1.0, most + 1)[1:-1]
    if tails:
        rare = [share for share in _TAILS if share * known.sum() >= _LEAST_IN_BIN]
        shares = np.concatenate([rare, shares, [1.0 - share for share in rare]])
    edges = np.quantile(numbers[known], np.sort(shares), method="lower")
    if classes is not None:
        edges = np.concatenate([edges, *(_ends(numbers[known & (column == 1.0)]) for column in classes.T)])
    edges = np.unique(edges)
    edges = edges[edges < numbers[known].max()]
    codes = np.where(known, 1 + np.searchsorted(edges, np.where(known, numbers, 0.0), side="left"), 0)
    shown = [_shown(edge, moments) for edge in edges]
    if not shown:
        return Bins(codes.astype(np.int64), ("missing", "the only value"))
    between = [f"above {low} to {high}" for low, high in pairwise(shown)]
    return Bins(codes.astype(np.int64), ("missing", f"at most {shown[0]}", *between, f"above {shown[-1]}"))


def _ends(numbers: Doubles) -> Doubles:
    """Where the values of one class begin and end, with and without the rarest."""
    if not len(numbers):
        return numbers
    ends = [0.0, 1.0] if len(numbers) * _RARE < _LEAST_IN_BIN else [0.0, _RARE, 1.0 - _RARE, 1.0]
    found = np.quantile(numbers, ends, method="nearest")
    half = len(found) // 2
    return np.concatenate([np.nextafter(found[:half], -np.inf), found[half:]])


def _shown(edge: float, moments: bool) -> str:
    return str(np.datetime64(int(edge), "us").astype("datetime64[m]")) if moments else f"{edge:.4g}"


def skill_of(codes: NDArray[np.int64], target: Doubles, seed: int) -> float:
    """Share of the target's squared distance from its mean that bins take away, as learned from other rows.

    It is about 0 or below where they tell nothing.

    Args:
        codes: bin of each row [N].
        target: one column for a number or a yes, one a class else [N, K].
        seed: draws the halves: each is asked about by the other.
    """
    half = np.random.default_rng(seed).permutation(len(codes)) % 2
    width = int(codes.max()) + 1
    missed = 0.0
    for asked in (0, 1):
        own, other = half == asked, half != asked
        count = np.bincount(codes[other], minlength=width) + _PRIOR_ROWS
        for column in target.T:
            mean = column[other].mean()
            told = (np.bincount(codes[other], weights=column[other], minlength=width) + _PRIOR_ROWS * mean) / count
            missed += float(((column[own] - told[codes[own]]) ** 2).sum())
    whole = float(((target - target.mean(axis=0)) ** 2).sum())
    return 1.0 - missed / whole if whole > 0.0 else 0.0


def surely_above(least: float, num_rows: int, num_bins: int) -> float:
    """The skill beyond which chance is no explanation: `least`, and three times what noise adds."""
    return least + 3.0 * float(np.sqrt(2.0 * num_bins)) / max(num_rows, 1)
