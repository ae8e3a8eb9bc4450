"""What values of a graph reach on some rows: the ranges that whole numbers will stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.optimization.lean.damage import batches, session_of, with_outputs

__all__ = ["METHODS", "Observed", "observe"]

METHODS = ("largest", "percentile", "squares")
"""How a range is chosen: all that was seen, all but one value in 10,000, or what is closest in squares."""

_BINS = 2_048
_OUTSIDE = 1e-4
_SHRINKS = np.linspace(0.3, 1.0, 36)
_STEPS = 255


@dataclass(frozen=True, slots=True)
class Observed:
    """What one value reached.

    Attributes:
        low: the least, at most 0.
        high: the largest, at least 0.
        counts: how many numbers lay in each of equal parts from `low` to `high`.
        means: of each channel: of axis 1 where there are more than two axes, else of the last.
        last: the same of the last axis.
    """

    low: float
    high: float
    counts: NDArray[np.int64]
    means: NDArray[np.float64]
    last: NDArray[np.float64]

    def range(self, method: str) -> tuple[float, float]:
        """The range by one of `METHODS`; it holds 0."""
        if method == "largest" or self.high == self.low:
            return self.low, self.high
        edges = np.linspace(self.low, self.high, _BINS + 1)
        if method == "percentile":
            total = np.cumsum(self.counts) / max(self.counts.sum(), 1)
            low = edges[int(np.searchsorted(total, _OUTSIDE, side="right"))]
            high = edges[min(int(np.searchsorted(total, 1 - _OUTSIDE)) + 1, _BINS)]
            return min(float(low), 0.0), max(float(high), 0.0)
        centres = (edges[:-1] + edges[1:]) / 2
        best, least = (self.low, self.high), np.inf
        for shrink in _SHRINKS:
            low, high = self.low * shrink, self.high * shrink
            step = (high - low) / _STEPS
            nearest = np.clip(np.rint((centres - low) / step), 0, _STEPS) * step + low
            error = float(self.counts @ (nearest - centres) ** 2)
            if error < least:
                best, least = (low, high), error
        return best


def observe(graph: bytes, names: Sequence[str], tensors: Mapping[str, NDArray[Any]], work: Work) -> dict[str, Observed]:
    """What values reach on rows; values that no row reached, as behind an exit that all took, are not there.

    Args:
        graph: serialized.
        names: of float values.
        tensors: the graph's inputs.
        work: checked between calls; `resources`.
    """
    session = session_of(with_outputs(graph, names), work.resources.cpus)
    taken = {each.name for each in session.get_inputs()}
    tallies = {name: _Tally() for name in names}
    for second in (False, True):
        for batch in batches(tensors):
            work.check()
            values = session.run(list(names), {name: each for name, each in batch.items() if name in taken})
            for tally, value in zip(tallies.values(), values, strict=True):
                if value.size:
                    tally.add(np.nan_to_num(value), second)
    return {name: tally.observed() for name, tally in tallies.items() if tally.high >= tally.low}


class _Tally:
    """What one value reached so far: its ends, its means, and in a second pass how its numbers lie between the ends."""

    def __init__(self) -> None:
        self.low, self.high = np.inf, -np.inf
        self.counts = np.zeros(_BINS, dtype=np.int64)
        self.sums: list[Any] = [0.0, 0.0]
        self.numbers = [0, 0]

    def add(self, value: NDArray[Any], second: bool) -> None:
        """Add numbers, of the first or of the second pass."""
        if second:
            ends = (self.low, self.high) if self.high > self.low else (self.low, self.low + 1.0)
            self.counts += np.histogram(value, _BINS, ends)[0]
            return
        self.low, self.high = min(self.low, float(value.min()), 0.0), max(self.high, float(value.max()), 0.0)
        for place, axis in enumerate((1 if value.ndim > 2 else value.ndim - 1, value.ndim - 1)):
            others = tuple(each for each in range(value.ndim) if each != axis)
            self.sums[place] = self.sums[place] + value.sum(axis=others, dtype=np.float64)
            self.numbers[place] += value.size // value.shape[axis]

    def observed(self) -> Observed:
        """All of it."""
        means, last = (total / count for total, count in zip(self.sums, self.numbers, strict=True))
        return Observed(self.low, self.high, self.counts, means, last)
