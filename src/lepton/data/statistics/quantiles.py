"""Quantiles of a stream in bounded memory, with a rank error that is proven for the stream at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lepton.core import ErrorCode, UsageError
from lepton.data.statistics.encoding import Floats, array_to_text, count_of, refuse_final, text_to_array

__all__ = ["QuantileSketch"]

_SIZE = 4_096
_BULK = 8
"""Level 0 is cut down to about this part of the size at once: as good as halving it step by step, and faster."""


class QuantileSketch:
    """A weighted sample of a stream that answers ranks and quantiles; deterministic, and mergeable.

    Level h holds sorted values that each stand for 2^h rows. When more than `size` values are kept, a level is
    compacted: of each run of s neighbours one stays, for all s. That moves no rank by more than the run, upwards or
    downwards by the place of the one that stays; both sums are kept, and the place is chosen so that they stay
    equal. So `rank_error` is a bound for this very stream, not a probability, and the same rows in the same batches
    give the same bytes. Up to `size` rows it is 0 and every answer is exact.

    The levels are those of Karnin, Lang and Liberty, "Optimal quantile approximation in streams" (FOCS 2016),
    without its coin flips; the accounting follows Manku, Rajagopalan and Lindsay (SIGMOD 1998).

    >>> sketch = QuantileSketch()
    >>> sketch.update(np.arange(101.0))
    >>> sketch.quantile([0.25, 0.5]).tolist(), sketch.rank_error
    ([25.0, 50.0], 0.0)

    Args:
        size: how many values are kept at most; memory is 8 bytes for each.
    """

    def __init__(self, size: int = _SIZE) -> None:
        if size < 64:
            raise UsageError(ErrorCode.USAGE, f"got a sketch of size {size}", wanted="at least 64")
        self.size = size
        self.count = 0
        self.minimum = np.inf
        self.maximum = -np.inf
        self._unit = 1.0  # rows that a value of level 0 stands for; not 1 in a summary, which is final
        self._levels: list[Floats] = [np.empty(0)]
        self._under = 0.0  # rows by which a rank may come out too low
        self._over = 0.0  # and too high

    @property
    def rank_error(self) -> float:
        """Bound on the error of any rank, as a share of the rows."""
        return max(self._under, self._over) / self.count if self.count else 0.0

    @property
    def is_final(self) -> bool:
        """Whether this is a summary, which takes no more rows."""
        return self._unit != 1.0

    @property
    def num_kept(self) -> int:
        """How many values are kept."""
        return sum(len(level) for level in self._levels)

    def update(self, values: Floats, *, is_sorted: bool = False) -> None:
        """Add finite numbers.

        Args:
            values: float64 [n], without NaN and infinities.
            is_sorted: whether they rise already.
        """
        refuse_final(self.is_final)
        if not len(values):
            return
        self.count += len(values)
        rising = values if is_sorted else np.sort(values)
        self.minimum = min(self.minimum, float(rising[0]))
        self.maximum = max(self.maximum, float(rising[-1]))
        self._levels[0] = _merged(self._levels[0], rising)
        self._shrink()

    def merge(self, other: QuantileSketch) -> None:
        """Add what `other` has seen; the order of merging changes answers only within `rank_error`."""
        refuse_final(self.is_final or other.is_final)
        self.count += other.count
        self.minimum, self.maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        self._under += other._under
        self._over += other._over
        for height, level in enumerate(other._levels):
            self._level(height)
            self._levels[height] = _merged(self._levels[height], level)
        self._shrink()

    def quantile(self, shares: float | Sequence[float] | Floats) -> Floats:
        """Values below which the given shares of the rows lie, interpolated as `numpy.quantile` does by default.

        Args:
            shares: float [k] in 0..1.

        Returns:
            float64 [k]; NaN where nothing was seen.
        """
        wanted = np.atleast_1d(np.asarray(shares, dtype=np.float64))
        if not self.count:
            return np.full(len(wanted), np.nan)
        values, weights = self._weighted()
        centres = np.cumsum(weights) - weights / 2
        centres = np.concatenate([[0.5], np.clip(centres, 0.5, self.count - 0.5), [self.count - 0.5]])
        values = np.concatenate([[self.minimum], values, [self.maximum]])
        # Quarters cannot overflow where the difference of two values could.
        found = np.interp(wanted * (self.count - 1) + 0.5, centres, values / 4) * 4
        return np.clip(found, self.minimum, self.maximum)

    def rank(self, places: Floats) -> Floats:
        """How many rows are at or below each of `places` (float64 [k] → float64 [k]), within `rank_error`."""
        values, weights = self._weighted()
        below = np.concatenate([[0.0], np.cumsum(weights)])[np.searchsorted(values, places, side="right")]
        return np.where(places >= self.maximum, float(self.count), np.where(places < self.minimum, 0.0, below))

    def share(self, places: Floats) -> Floats:
        """`rank` as a share of the rows: the empirical distribution function; NaN where nothing was seen."""
        return self.rank(places) / self.count if self.count else np.full(len(places), np.nan)

    def values(self) -> Floats:
        """The values kept, rising: the only places at which `rank` changes."""
        return self._weighted()[0]

    def summary(self, points: int) -> QuantileSketch:
        """A final copy with at most `points` values, evenly spaced in rank; it answers, but takes no more rows.

        Its rank error is this one's plus half a point.
        """
        out = QuantileSketch(self.size)
        out.count, out.minimum, out.maximum = self.count, self.minimum, self.maximum
        if not self.count:
            return out
        points = max(1, min(points, self.count))
        out._unit = self.count / points
        out._levels = [self.quantile((np.arange(points) + 0.5) / points)]
        slack = out._unit / 2 + 1
        out._under, out._over = self._under + slack, self._over + slack
        return out

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        out: dict[str, Any] = {"size": self.size, "count": self.count}
        if self.count:
            out |= {"min": self.minimum, "max": self.maximum, "under": self._under, "over": self._over}
            out["levels"] = [array_to_text(level) for level in self._levels]
        if self._unit != 1.0:
            out["unit"] = self._unit
        return out

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> QuantileSketch:
        """Read the JSON form; `ValueError` or `KeyError` on anything else."""
        out = cls(count_of(raw, "size"))
        out.count = count_of(raw, "count")
        if not out.count:
            return out
        out.minimum, out.maximum = float(raw["min"]), float(raw["max"])
        out._under, out._over = float(raw["under"]), float(raw["over"])
        out._unit = float(raw.get("unit", 1.0))
        out._levels = [text_to_array(text, "float64") for text in raw["levels"]]
        total = sum(len(level) * out._unit * 2.0**height for height, level in enumerate(out._levels))
        rising = all(bool(np.all(level[:-1] <= level[1:])) for level in out._levels)
        if not rising or abs(total - out.count) > 1e-6 * out.count:
            raise ValueError(f"a sketch of {out.count} rows whose values stand for {total:g}, or do not rise")
        return out

    def _weighted(self) -> tuple[Floats, Floats]:
        """Values kept, rising, and the rows each stands for."""
        values = np.concatenate(self._levels)
        weights = np.concatenate([np.full(len(v), self._unit * 2.0**h) for h, v in enumerate(self._levels)])
        order = np.argsort(values, kind="stable")
        return values[order], weights[order]

    def _level(self, height: int) -> None:
        while len(self._levels) <= height:
            self._levels.append(np.empty(0))

    def _shrink(self) -> None:
        while self.num_kept > self.size:
            used = sum(1 for level in self._levels if len(level))
            height = next(h for h, level in enumerate(self._levels) if len(level) > self.size // used)
            self._compact(height)

    def _compact(self, height: int) -> None:
        """Of each run of neighbours at `height`, keep one, higher up."""
        level = self._levels[height]
        rise = max(1, int(np.log2(len(level) * _BULK / self.size))) if height == 0 else 1
        run = 2**rise
        weight = 2.0**height
        # A run whose value at place p stays counts p rows too few below it, and the rest of the run too many.
        place = run // 2 if self._under <= self._over else run // 2 - 1
        whole = len(level) // run
        self._under += place * weight
        self._over += (run - 1 - place) * weight
        self._level(height + rise)
        self._levels[height] = level[whole * run :].copy()
        self._levels[height + rise] = _merged(self._levels[height + rise], level[place : whole * run : run])


def _merged(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Floats:
    if not len(a):
        return b.copy()
    if not len(b):
        return a
    # Timsort finds the two rising runs and merges them in one pass.
    return np.sort(np.concatenate([a, b]), kind="stable")
