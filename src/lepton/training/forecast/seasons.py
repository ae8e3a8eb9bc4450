"""Which season a panel has: the shortest that its values repeat after, among those that its frequency suggests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lepton.bundle.frequency import DAY, Frequency
from lepton.training.forecast.panel import Panel

__all__ = ["find_seasons", "usual_seasons"]

_LEAST_STRENGTH, _GAIN = 0.1, 0.1
_MOST_SERIES, _MOST_STEPS = 30, 20_000


def usual_seasons(frequency: Frequency) -> tuple[int, ...]:
    """Steps after which series of a frequency often repeat: a day, a week, a year."""
    if frequency.unit == "month":
        return (12 // frequency.count,) if 12 % frequency.count == 0 and frequency.count < 12 else ()
    if frequency.unit == "number":
        return ()
    lengths = (DAY, 7 * DAY) if frequency.count < DAY else (7 * DAY,)
    found = [length // frequency.count for length in lengths if length % frequency.count == 0]
    if frequency.count < 3 * DAY // 24:  # minutes: an hour
        found = [DAY // 24 // frequency.count, *found] if (DAY // 24) % frequency.count == 0 else found
    if frequency.count % (7 * DAY) == 0 and frequency.count < 26 * 7 * DAY:
        found = [round(52 * 7 * DAY / frequency.count)]
    return tuple(season for season in found if season >= 2)


def find_seasons(panel: Panel, longest: int) -> tuple[int, int]:
    """The season, 1 for none, and a longer one that adds to it, 0 for none.

    Args:
        panel: the series.
        longest: steps that a season may have at most.
    """
    strengths = {}
    for season in usual_seasons(panel.frequency):
        found = [_strength(series.target[-_MOST_STEPS:], season) for series in panel.series[:_MOST_SERIES]]
        known = [each for each in found if each is not None]
        if known and season <= longest:
            strengths[season] = float(np.median(known))
    season, longer = 1, 0
    for candidate, strength in sorted(strengths.items()):
        if strength < _LEAST_STRENGTH:
            continue
        if season == 1:
            season = candidate
        elif strength > strengths[season] + _GAIN:
            longer = candidate
    return season, longer


def _strength(target: NDArray[np.float64], season: int) -> float | None:
    """The share of the variance around a moving mean that the mean pattern explains, less what chance would."""
    if len(target) < 3 * season:
        return None
    known = ~np.isnan(target)
    values = np.where(known, target, 0.0)
    kernel = np.ones(season)
    total, count = np.convolve(values, kernel, "valid"), np.convolve(known.astype(float), kernel, "valid")
    middle = slice(season // 2, season // 2 + len(total))
    around = np.where(known[middle] & (count > 0), values[middle] - total / np.maximum(count, 1.0), np.nan)
    places = np.arange(len(around)) % season
    inside = ~np.isnan(around)
    variance = float(np.var(around[inside])) if inside.sum() > season else 0.0
    if variance <= 1e-12 * (1.0 + float(np.abs(values).max()) ** 2):
        return None
    counts = np.bincount(places[inside], minlength=season)
    means = np.bincount(places[inside], around[inside], minlength=season) / np.maximum(counts, 1)
    left = float(np.var(around[inside] - means[places[inside]]))
    degrees = max(int(inside.sum()) - season, 1)
    return 1.0 - left * (int(inside.sum()) - 1) / degrees / variance
