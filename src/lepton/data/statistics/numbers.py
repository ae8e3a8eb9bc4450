"""One-pass statistics of numbers: moments, extremes, zeros, infinities and a quantile sketch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lepton.data.statistics.encoding import Floats, count_of
from lepton.data.statistics.quantiles import QuantileSketch

__all__ = ["Moments", "NumberStatistics"]


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and centred sums of squares and cubes of finite numbers."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    cubes: float = 0.0

    @classmethod
    def of(cls, values: Floats) -> Moments:
        """Moments of float64 [n]."""
        if not len(values):
            return cls()
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(values.mean())
            centred = values - mean
            squared = centred * centred
            # Not a dot product: BLAS would start threads of its own, whose number could change the last bits.
            return cls(len(values), mean, float(squared.sum()), float((squared * centred).sum()))

    def joined(self, other: Moments) -> Moments:
        """Moments of both parts (Chan, Golub and LeVeque 1983; cubes: Pébay 2008)."""
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        gap = other.mean - self.mean
        with np.errstate(over="ignore", invalid="ignore"):
            share, product = other.count / count, self.count * other.count
            squares = self.squares + other.squares + np.float64(gap) * gap * product / count
            cubes = self.cubes + other.cubes + np.float64(gap) ** 3 * product * (self.count - other.count) / count**2
            cubes += 3 * gap * (self.count * other.squares - other.count * self.squares) / count
        return Moments(count, self.mean + gap * share, float(squares), float(cubes))

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation; None below two rows or where it overflows."""
        if self.count < 2 or not math.isfinite(self.squares):
            return None
        return math.sqrt(self.squares / (self.count - 1))

    @property
    def skew(self) -> float | None:
        """Third standardised moment; None where there is no spread or it overflows."""
        if self.count < 3 or not math.isfinite(self.cubes) or self.squares <= 0:
            return None
        spread = (self.squares / self.count) ** 1.5
        return self.cubes / self.count / spread if spread else None


class NumberStatistics:
    """Numbers in one pass; infinities are counted and kept out of everything else.

    >>> numbers = NumberStatistics()
    >>> numbers.update(np.array([np.inf, 2.0, 0.0, 1.0]))
    array([0., 1., 2.])
    >>> numbers.moments.mean, numbers.zeros, numbers.above, numbers.sketch.maximum
    (1.0, 1, 1, 2.0)

    Attributes:
        moments: of the finite numbers.
        zeros: how many are 0.
        below: how many are minus infinity.
        above: how many are infinity.
        sketch: quantiles, minimum and maximum of the finite numbers.
    """

    def __init__(self, size: int | None = None) -> None:
        self.moments = Moments()
        self.zeros = 0
        self.below = 0
        self.above = 0
        self.sketch = QuantileSketch() if size is None else QuantileSketch(size)

    @property
    def infinities(self) -> int:
        """How many numbers are not finite."""
        return self.below + self.above

    def update(self, values: Floats) -> Floats:
        """Add float64 [n] without NaN, in any order; gives its finite numbers back, sorted."""
        rising = np.sort(values)
        first = int(np.searchsorted(rising, -np.inf, side="right"))
        last = int(np.searchsorted(rising, np.inf, side="left"))
        self.below += first
        self.above += len(rising) - last
        finite = rising[first:last]
        self.zeros += int(np.searchsorted(finite, 0.0, side="right") - np.searchsorted(finite, 0.0, side="left"))
        self.moments = self.moments.joined(Moments.of(finite))
        self.sketch.update(finite, is_sorted=True)
        return finite

    def merge(self, other: NumberStatistics) -> None:
        """Add what `other` has seen."""
        self.sketch.merge(other.sketch)
        self.moments = self.moments.joined(other.moments)
        self.zeros += other.zeros
        self.below += other.below
        self.above += other.above

    def summary(self, points: int) -> NumberStatistics:
        """A final copy with at most `points` values of the sketch."""
        out = NumberStatistics()
        out.moments, out.zeros, out.below, out.above = self.moments, self.zeros, self.below, self.above
        out.sketch = self.sketch.summary(points)
        return out

    def to_dict(self) -> dict[str, Any]:
        """JSON form; moments that overflowed are null."""
        moments = {name: _json_number(value) for name, value in asdict(self.moments).items()}
        out: dict[str, Any] = {"moments": moments, "sketch": self.sketch.to_dict()}
        counts = {"zeros": self.zeros, "below": self.below, "above": self.above}
        return out | {name: count for name, count in counts.items() if count}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> NumberStatistics:
        """Read the JSON form; `ValueError` or `KeyError` on anything else."""
        out = cls()
        moments = raw["moments"]
        mean, squares, cubes = (
            math.nan if moments[name] is None else float(moments[name]) for name in ("mean", "squares", "cubes")
        )
        out.moments = Moments(count_of(moments, "count"), mean, squares, cubes)
        out.zeros, out.below, out.above = (count_of(raw, name) for name in ("zeros", "below", "above"))
        out.sketch = QuantileSketch.from_dict(raw["sketch"])
        return out


def _json_number(value: float) -> float | None:
    return value if math.isfinite(value) else None
