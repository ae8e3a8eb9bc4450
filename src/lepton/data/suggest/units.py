"""Numbers of a column that are in another unit than the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.data.recipes.faults import Fault
from lepton.data.suggest.groups import GROUP_ROWS, is_group, share_below

__all__ = ["find_swapped_units"]

Doubles = NDArray[np.float64]

_FACTORS = {
    10.0: "ten times", 100.0: "hundred times, as cm and m", 1000.0: "thousand times, as g and kg", 1e6: "million times",
    2.54: "cm and inches", 30.48: "cm and feet", 3.28084: "feet and m", 2.2046226: "pounds and kg",
    1.609344: "km and miles", 60.0: "minutes and hours",
}  # fmt: skip
_FEWEST = 20
_LEAST, _MOST = 0.002, 0.4
"""Share of the values that may be in the other unit; never fewer than three."""
_INSIDE = 0.95
"""Share of the values in the other unit that must fall among the rest when they are put right."""
_ROUNDED = 0.02
"""By how much, as a logarithm, a rounded value may fall beyond the rest."""
_BEYOND = 0.1
"""The same, as a part of their spread: the ends themselves may be among the values."""
_NARROWEST = 0.05
"""The least gap between the two parts, as a logarithm."""
_STRAYS = 0.3
"""How many values may be in the gap, as a part of those in as much room beside it."""
_FEWEST_VALUES = 8
"""Different values that the rest must have: numbers such as 1, 2 and 3 are counts or codes."""
_SHIFT = 0.3
"""By which part of the spread of the rest the medians may differ when the values are put right."""
_DEGREES = re.compile(r"temp|degree|dew|celsius|fahrenheit|°|^(t|tmin|tmax|tavg)$", re.IGNORECASE)


def find_swapped_units(values: pl.Series, others: pl.DataFrame | None = None) -> Fault | None:
    """Some numbers of a column in another unit: apart from the others, and like them once a known factor is undone.

    Tried are usual factors where the column spreads by less than the factor, so that the two parts do not mix, and
    Fahrenheit for Celsius where the name of the column speaks of temperatures. What another column tells apart is a
    group of rows, such as those of one species, and no slip.

    Args:
        values: of the column.
        others: the other columns of the same rows.
    """
    if not values.dtype.is_numeric():
        return None
    numbers = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    known = np.sort(numbers[np.isfinite(numbers)])
    if len(known) < _FEWEST:
        return None
    found = _by_factor(known) or (_by_degrees(known) if _DEGREES.search(values.name) else None)
    if found is None:
        return None
    few = pl.Series((numbers >= found.lowest) & (numbers <= found.highest))
    if others is not None and found.rows >= GROUP_ROWS and is_group(few, pl.Series(np.isfinite(numbers)), others):
        return None
    evidence = (
        f"{found.rows:,} values, {found.lowest:g} to {found.highest:g}, stand apart from the others and fit among them "
        f"by {found.words}"
    )
    details = {"factor": found.factor, "lowest": found.lowest, "highest": found.highest}
    return Fault("swapped_units", found.rows, evidence, details)


@dataclass(frozen=True, order=True)
class _Apart:
    """Values apart from the others: how badly they fit, how many, the factor, in words, and their ends."""

    misfit: float
    rows: int
    factor: float
    words: str
    lowest: float
    highest: float


def _by_factor(numbers: Doubles) -> _Apart | None:
    """The factor under which the values at one end are like the rest, if there is one."""
    positive = numbers[numbers > 0]
    if len(positive) < 0.9 * len(numbers):
        return None
    logs = np.log(positive)
    found = []
    for factor, words in _FACTORS.items():
        for upward in (True, False):
            size = float(np.log(factor))
            for cut in _cuts(logs if upward else -logs[::-1], size):
                few = logs > cut if upward else logs < -cut
                misfit = _misfit(logs[few] - size if upward else logs[few] + size, logs[~few])
                if misfit is not None:
                    ends = positive[few]
                    times = factor if upward else 1 / factor
                    found.append(_Apart(misfit, int(few.sum()), times, words, float(ends[0]), float(ends[-1])))
    return min(found, default=None)


def _cuts(logs: Doubles, size: float) -> Iterator[float]:
    """Where sorted values may end that are in the usual unit, if those above are `size` larger; none if they would mix.

    In the middle of what both leave free if the ends are what they seem, and in the widest gap there.
    """
    low = float(np.quantile(logs, 0.005))
    high = float(np.quantile(logs[logs < low + size], 0.995))
    near = logs[(logs > low + 0.1 * size) & (logs < low + 1.5 * size)]
    gaps = np.diff(near)
    widest = [float(near[place] + near[place + 1]) / 2 for place in [int(gaps.argmax())]] if len(gaps) else []
    for cut in ((low + high + size) / 2, *widest):
        number = int((logs > cut).sum())
        if max(3, _LEAST * len(logs)) <= number <= _MOST * len(logs):
            usual = np.quantile(logs[logs <= cut], [0.005, 0.995])
            if usual[1] - usual[0] < size - _ROUNDED and _is_empty(logs, cut):
                yield cut


def _is_empty(logs: Doubles, cut: float) -> bool:
    """Whether there is a gap at the cut, but for strays: wider than between neighbours, and emptier than beside it."""
    below, above = logs[logs <= cut], logs[logs > cut]
    low, high = float(np.quantile(below, 0.995)), float(np.quantile(above, 0.01))
    width = high - low
    near = [
        np.diff(np.unique(part))[piece]
        for part, piece in ((below[below <= low], slice(-5, None)), (above[above >= high], slice(5)))
    ]
    spaces = [float(np.median(each)) for each in near if len(each)]
    if width < max(_NARROWEST, 3 * min(spaces, default=0.0)):
        return False
    inside = int(((logs > low) & (logs < high)).sum())
    beside = [int(((logs > start) & (logs <= start + width)).sum()) for start in (low - width, high - 1e-9)]
    return inside <= _STRAYS * max(beside)


def _misfit(moved: Doubles, many: Doubles) -> float | None:
    """How far the values, put right, are from being drawn like the rest (Kolmogorov and Smirnov); None if they are not.

    A column that is hardly spread at all says nothing: any factor would fit.
    """
    low, high = np.quantile(many, [0.01, 0.99])
    spread = float(high - low)
    edge = max(_ROUNDED, _BEYOND * spread)
    inside = ((moved >= many[0] - edge) & (moved <= many[-1] + edge)).mean()
    if spread <= 0 or inside < _INSIDE or abs(np.median(moved) - np.median(many)) > max(_SHIFT * spread, _ROUNDED):
        return None
    if len(np.unique(many)) < _FEWEST_VALUES or len(np.unique(moved)) < (2 if len(moved) < 6 else 3):
        return None
    both = np.concatenate([moved, many]) + 0.0
    below, above = both - _ROUNDED / 2, both + _ROUNDED / 2
    distance = max(
        share_below(moved, below) - share_below(many, above),
        share_below(many, below) - share_below(moved, above),
        key=np.max,
    )
    allowed = max(0.12, min(0.65, 1.63 * np.sqrt(1 / len(moved) + 1 / len(many))))
    farthest = float(distance.max())
    return farthest if farthest <= allowed else None


def _by_degrees(numbers: Doubles) -> _Apart | None:
    """Degrees Fahrenheit above or Celsius below the rest, as far as they do not lie among it."""
    found = []
    gaps = np.diff(numbers)
    for place in np.argsort(-gaps, kind="stable")[:8]:
        for few, many, upward in (
            (numbers[place + 1 :], numbers[: place + 1], True),
            (numbers[: place + 1], numbers[place + 1 :], False),
        ):
            if (
                not max(3, _LEAST * len(numbers)) <= len(few) <= _MOST * len(numbers)
                or not -90 < many[0] < many[-1] < 140
            ):
                continue
            moved = (few - 32) / 1.8 if upward else few * 1.8 + 32
            inside = ((moved >= many[0] - 1) & (moved <= many[-1] + 1)).mean()
            if inside >= _INSIDE and gaps[place] > 0.02 * (many[-1] - many[0]):
                words = "Fahrenheit and Celsius" if upward else "Celsius and Fahrenheit"
                found.append(_Apart(1 - float(inside), len(few), 1.8, words, float(few[0]), float(few[-1])))
    return max(found, key=lambda each: each.rows, default=None)
