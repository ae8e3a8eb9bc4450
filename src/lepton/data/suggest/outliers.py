"""Gross outliers: numbers so far from all others that they are more likely wrong than rare."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.data.recipes.faults import Fault

__all__ = ["far_values"]

_FEWEST = 30
_MOST_SHARE = 0.03
_FAR = 8.0
"""Robust deviations from which a value can be far."""
_APART = 2.5
"""How many times as far the nearest of the far values must be as the farthest of the others."""
_QUARTILES_OF_NORMAL = 1.3489795


def far_values(values: pl.Series) -> Fault | None:
    """Numbers that a wide gap parts from the rest of their column, on either side.

    Distances are measured on the scale on which the middle of the column is the more symmetric, the numbers' own or
    that of their logarithms, so that the long tail of incomes is a tail and not a fault. A side whose values thin out
    without a gap has none.
    """
    if not values.dtype.is_numeric():
        return None
    numbers = values.drop_nulls().cast(pl.Float64).to_numpy()
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers) < _FEWEST:
        return None
    scaled = _symmetric(numbers)
    low, middle, high = np.quantile(scaled, [0.25, 0.5, 0.75])
    spread = (high - low) / _QUARTILES_OF_NORMAL
    if spread <= 0:
        return None
    distance = (scaled - middle) / spread
    far = _beyond(distance, len(numbers)) | _beyond(-distance, len(numbers))
    if not far.any():
        return None
    inner = numbers[~far]
    example = numbers[far][np.argmax(np.abs(distance[far]))]
    words = f"{int(far.sum()):,} values such as {example:g} lie far from all others, {inner.min():g} to {inner.max():g}"
    details = {"lower": float(inner.min()), "upper": float(inner.max()), "example": float(example)}
    return Fault("outliers", int(far.sum()), words, details)


def _symmetric(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """The numbers, or their logarithms where their middle is more symmetric so."""
    positive = numbers[numbers > 0]
    if len(positive) < 0.98 * len(numbers) or positive.min() == positive.max():
        return numbers
    logs = np.log(np.where(numbers > 0, numbers, positive.min()))
    return logs if abs(_lean(logs)) < abs(_lean(numbers)) else numbers


def _lean(values: NDArray[np.float64]) -> float:
    """How far the middle of values leans to one side, by quantiles that outliers do not move."""
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return float((high + low - 2 * middle) / (high - low)) if high > low else 0.0


def _beyond(distance: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
    """Which values lie behind the first wide gap on the upper side."""
    tail = np.sort(distance[distance > _FAR / 2])
    if not len(tail):
        return np.zeros(len(distance), dtype=bool)
    near = np.concatenate([[max(_FAR / 2, float(distance[distance <= _FAR / 2].max(initial=0.0)))], tail])
    gaps = np.flatnonzero((near[1:] > _FAR) & (near[1:] > _APART * near[:-1]))
    if not len(gaps):
        return np.zeros(len(distance), dtype=bool)
    found = distance >= near[1:][gaps[0]]
    return found if found.sum() <= _MOST_SHARE * count else np.zeros(len(distance), dtype=bool)
