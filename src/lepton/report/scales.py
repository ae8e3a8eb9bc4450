"""Axes: from data to the drawing, with ticks at round places."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from lepton.report.numbers import show_number

__all__ = ["DRAWABLE", "Scale", "date_ticks", "drawable", "nice_ticks", "padded"]

DRAWABLE = 1e300
"""Numbers beyond this are left out of drawings: their differences would overflow."""

Floats = npt.NDArray[np.float64]

_SECOND = 1_000_000.0
_DAY = 86_400 * _SECOND
_CLOCK_STEPS = tuple(s * _SECOND for s in (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600))
_DAY_STEPS = (1, 2, 7, 14)
_MONTH_STEPS = (1, 3, 6)
_YEAR_STEPS = (1, 2, 5, 10, 20, 50, 100, 500, 1000)


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight map from `low..high` in the data to `start..end` in the drawing."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where `value` stands in the drawing."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def many(self, values: Floats) -> Floats:
        """`__call__` for an array."""
        return self.start + (values - self.low) / (self.high - self.low) * (self.end - self.start)


def drawable(values: Floats) -> npt.NDArray[np.bool_]:
    """Which of `values` can be drawn: finite, and not beyond `DRAWABLE`."""
    with np.errstate(invalid="ignore"):
        return np.abs(values) <= DRAWABLE


def padded(low: float, high: float, share: float = 0.0) -> tuple[float, float]:
    """`low..high` widened by `share` on either side, and to something with a width where all values are equal."""
    size = max(abs(low), abs(high))
    if high - low <= 1e-12 * size or high == low:
        half = 0.5 * size if size else 0.5
        return low - half, high + half
    margin = share * (high - low)
    return low - margin, high + margin


def nice_ticks(low: float, high: float, count: int = 5) -> tuple[list[float], list[str]]:
    """About `count` round places from `low` to `high`, and their labels, all with the same decimals.

    >>> nice_ticks(0, 0.93)
    ([0.0, 0.2, 0.4, 0.6, 0.8], ['0.0', '0.2', '0.4', '0.6', '0.8'])
    >>> nice_ticks(0, 500_001)[1]
    ['0', '100,000', '200,000', '300,000', '400,000', '500,000']
    """
    raw = (high - low) / count
    power = math.floor(math.log10(raw))
    step = next(m * 10.0**power for m in (1, 2, 5, 10) if m * 10.0**power >= raw * 0.75)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = [float(f"{n * step:.12g}") for n in range(first, last + 1)]
    largest = max(abs(t) for t in ticks)
    if largest >= 1e7 or largest < 1e-3:
        return ticks, [_compact(t) for t in ticks]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return ticks, [f"{t:,.{decimals}f}".replace("-", "−") for t in ticks]


def _compact(value: float) -> str:
    for size, suffix in ((1e12, " T"), (1e9, " G"), (1e6, " M")):
        if size <= abs(value) < 1e15:
            return show_number(value / size, 4) + suffix
    return show_number(value, 3)


def date_ticks(low: float, high: float, count: int = 5) -> tuple[list[float], list[str]]:
    """Ticks at whole seconds, days, months or years between two moments in microseconds since 1970 UTC.

    Moments outside the years 1 to 9999 get plain numbers.
    """
    try:
        first, last = _moment(low), _moment(high)
    except (OverflowError, OSError, ValueError):
        return nice_ticks(low, high, count)
    raw = (high - low) / count
    if raw <= _CLOCK_STEPS[-1]:
        step = next(s for s in _CLOCK_STEPS if s >= raw)
        label = "%H:%M:%S" if step < 60 * _SECOND else "%m-%d %H:%M"
        return _even_ticks(low, high, step, label)
    if raw <= _DAY_STEPS[-1] * _DAY:
        return _even_ticks(low, high, next(s * _DAY for s in _DAY_STEPS if s * _DAY >= raw), "%Y-%m-%d")
    months = raw / (30.4 * _DAY)
    step_months = next(
        (m for m in (*_MONTH_STEPS, *(12 * y for y in _YEAR_STEPS)) if m >= months), 12 * _YEAR_STEPS[-1]
    )
    numbers = range(-(-(first.year * 12 + first.month - 1) // step_months), 10_000 * 12 // step_months)
    moments = []
    for number in numbers:
        year, month = divmod(number * step_months, 12)
        if not 1 <= year <= 9999 or (moment := datetime(year, month + 1, 1, tzinfo=UTC)) > last:
            break
        moments.append(moment)
    label = "%Y" if step_months >= 12 else "%Y-%m"
    pairs = [(m.timestamp() * _SECOND, m.strftime(label)) for m in moments]
    kept = [(t, text) for t, text in pairs if low <= t <= high]
    return [t for t, _ in kept], [text for _, text in kept]


def _even_ticks(low: float, high: float, step: float, label: str) -> tuple[list[float], list[str]]:
    ticks = [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return ticks, [_moment(t).strftime(label) for t in ticks]


def _moment(microseconds: float) -> datetime:
    return datetime.fromtimestamp(microseconds / _SECOND, UTC)


Ticks = Callable[[float, float, int], tuple[Sequence[float], Sequence[str]]]
