"""Gross outliers: numbers so far from all others that they are more likely wrong than rare."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.data.recipes.faults import Fault

__all__ = ["far_values"]

_FEWEST = 30
_MOST_SHARE = 0.03
_FAR = 6.0
"""Robust deviations from which a value can be far."""
_APART = 2.0
"""How many times as far the nearest of the far values must be as the farthest of the others."""
_CHANCE = 1e-3
"""How likely so wide a gap may be in a tail like that of the other values."""
_TAIL = 0.05
"""Share of the values by which a tail is judged."""
_NEAREST = 2.0
"""Robust deviations within which all values are alike: the middle says nothing of the tail."""
_QUARTILES_OF_NORMAL = 1.3489795


def far_values(values: pl.Series) -> Fault | None:
    """Numbers that a wide gap parts from the rest of their column, on either side.

    A gap must be wide as the values go, and wider than chance makes it in a tail that falls like a power of the
    distance, so that the long tail of incomes is a tail and not a fault: if the logarithms of distances are
    exponential, so are the spaces between them (Rényi 1953), at a rate that the other values tell (Hill 1975). A side
    whose values thin out without a gap has none. Where positive numbers spread over orders of magnitude, those that
    are far too small are told by their logarithms.
    """
    if not values.dtype.is_numeric():
        return None
    numbers = values.drop_nulls().cast(pl.Float64).to_numpy()
    numbers = numbers[np.isfinite(numbers)]
    usual = _without_the_most_frequent(numbers)
    if len(usual) < _FEWEST:
        return None
    most = _MOST_SHARE * len(numbers)
    far = _beyond(_distances(numbers, usual), most) | _beyond(-_distances(numbers, usual), most)
    if (usual > 0).mean() > 1 - _MOST_SHARE / 2:
        with np.errstate(divide="ignore", invalid="ignore"):
            logs, usual_logs = np.log(numbers), np.log(usual[usual > 0])
        tiny = _beyond(-np.where(numbers > 0, _distances(logs, usual_logs), 0.0), most)
        far |= tiny
    if not far.any() or far.sum() > most:
        return None
    inner = numbers[~far]
    example = numbers[far][np.argmax(np.abs(numbers[far] - np.median(inner)))]
    words = f"{int(far.sum()):,} values such as {example:g} lie far from all others, {inner.min():g} to {inner.max():g}"
    details = {"lower": float(inner.min()), "upper": float(inner.max()), "example": float(example)}
    return Fault("outliers", int(far.sum()), words, details)


def _without_the_most_frequent(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """The numbers; without one value that half of them are, such as 0 for "nothing"."""
    if not len(numbers):
        return numbers
    values, counts = np.unique(numbers, return_counts=True)
    return numbers[numbers != values[counts.argmax()]] if counts.max() >= len(numbers) / 2 else numbers


def _distances(numbers: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far numbers lie above the median of the usual ones, in robust deviations of these."""
    low, middle, high = np.quantile(usual, [0.25, 0.5, 0.75])
    spread = (high - low) / _QUARTILES_OF_NORMAL
    return (numbers - middle) / spread if spread > 0 else np.zeros(len(numbers))


def _beyond(distance: NDArray[np.float64], most: float) -> NDArray[np.bool_]:
    """Which values lie behind the widest gap of the upper side, at most so many."""
    tail = np.sort(distance[distance > 0])[::-1].clip(_NEAREST)
    number = max(10, int(_TAIL * len(tail)))
    best, cut = _CHANCE, np.inf
    for rank in np.flatnonzero(tail[: int(most)] > _FAR) + 1:
        if rank + number >= len(tail):
            break
        near, far = float(tail[rank]), float(tail[rank - 1])
        thickness = float(np.log(tail[rank : rank + number] / tail[rank + number]).mean())
        chance = float(np.exp(-rank * np.log(far / near) / max(thickness, 1e-3)))
        if far > _APART * near and chance < best:
            best, cut = chance, far
    return distance >= cut
