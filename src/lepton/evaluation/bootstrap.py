"""Intervals by resampling rows: seeded, the same rows for every metric, so that differences are paired.

A resample draws as many rows as there are, with replacement (Efron 1979), and is kept as a count per row, which
multiplies the row's weight; a metric then scores blocks of such weightings at once. Where rows belong to groups,
whole groups are drawn, because rows of one group do not vote independently. Intervals are percentiles of the
resampled values; `docs/decisions/0061-percentile-bootstrap.md` has the coverage and the time that were measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from lepton.core import Work
from lepton.evaluation.classification import Floats, Positions, Score
from lepton.report import show_number

__all__ = ["CONFIDENCE", "Estimate", "difference", "intervals", "num_resamples", "once", "weightings"]

CONFIDENCE = 0.95
_MANY_CELLS = 200_000
_BLOCK_CELLS = 2**17
"""Cells of a block of weightings, 1 MB: the cumulative sums of ranking metrics stay in the processor's cache."""
_LEAST_DEFINED = 0.9
"""Share of resamples in which a metric must be defined for its percentiles to mean anything."""

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval.

    >>> print(Estimate(0.75, 0.71, 0.78), Estimate(None, reason="no row is positive"), sep="; ")
    0.75 (0.71 to 0.78); – (no row is positive)

    Attributes:
        value: on all rows; None where it is undefined.
        lower: lower end of the interval, or None.
        upper: upper end, or None.
        reason: why the value or the interval is missing, or "".
    """

    value: float | None
    lower: float | None = None
    upper: float | None = None
    reason: str = ""

    @property
    def interval(self) -> str:
        """The interval in words, or why there is none."""
        if self.lower is None or self.upper is None:
            return self.reason
        return f"{show_number(self.lower)} to {show_number(self.upper)}"

    def __str__(self) -> str:
        return f"{show_number(self.value)} ({self.interval})"

    def to_dict(self) -> dict[str, Any]:
        """JSON form: None rather than NaN, and the reason where there is one."""
        raw: dict[str, Any] = {"value": self.value, "lower": self.lower, "upper": self.upper}
        return {**raw, "reason": self.reason} if self.reason else raw


def num_resamples(num_rows: int, num_labels: int = 2) -> int:
    """1,000 resamples up to 200,000 rows × labels (numbers count as 2); 200 above, where time is dear."""
    return 1_000 if num_rows * max(num_labels, 2) <= _MANY_CELLS else 200


def difference(first: Score, second: Score) -> Score:
    """`first - second` on the same resample: its interval is that of the paired difference."""
    return lambda weights: first(weights) - second(weights)


def once(score: Score) -> Score:
    """`score`, remembering the last weights it was asked for: for scores that stand alone and in a difference."""
    asked: list[tuple[Floats, Floats]] = []

    def remembered(weights: Floats) -> Floats:
        if not asked or asked[0][0] is not weights:
            asked[:] = [(weights, score(weights))]
        return asked[0][1]

    return remembered


def weightings(
    num_rows: int,
    num_drawn: int,
    *,
    weight: Floats | None = None,
    groups: Positions | None = None,
    parts: Positions | None = None,
    seed: int = 0,
) -> Iterator[Floats]:
    """`num_drawn` resamples as blocks of weights [B, N]: counts of drawn rows, or groups, and parts, times `weight`."""
    generator = np.random.default_rng(seed)
    num_units = num_rows if groups is None else int(groups.max()) + 1
    block = max(1, _BLOCK_CELLS // num_rows)
    for start in range(0, num_drawn, block):
        size = min(block, num_drawn - start)
        drawn = generator.integers(0, num_units, size=(size, num_units))
        drawn += np.arange(size)[:, None] * num_units
        counts = np.bincount(drawn.ravel(), minlength=size * num_units).reshape(size, num_units).astype(np.float64)
        if groups is not None:
            counts = counts.take(groups, axis=1)
        if parts is not None:
            num_parts = int(parts.max()) + 1
            counts *= generator.multinomial(num_parts, np.full(num_parts, 1.0 / num_parts), size).take(parts, axis=1)
        yield counts if weight is None else counts * weight


def intervals(
    scores: Mapping[K, Score],
    num_rows: int,
    *,
    undefined: Mapping[K, str] | None = None,
    weight: Floats | None = None,
    groups: Positions | None = None,
    parts: Positions | None = None,
    resamples: int | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> dict[K, Estimate]:
    """Each score on all rows, with its 95 % percentile interval over the same resamples.

    Args:
        scores: functions of weights [B, N] that give B values.
        num_rows: N, at least 1.
        undefined: for each score, what it means when it is NaN.
        weight: sample weights [N], or None for equal ones.
        groups: group of each row [N] as numbers from 0, or None where rows are independent.
        parts: part of each row [N] as numbers from 0, each scored by a model of its own: whole parts are drawn beside
            the rows, so that how much models differ counts. None where it shall not.
        resamples: how many; by default `num_resamples(num_rows)`.
        seed: of the draws.
        work: asked between blocks whether to stop, and told how far it is.
    """
    work = Work.of(work)
    everything = np.ones((1, num_rows)) if weight is None else weight[None, :]
    values = {name: float(score(everything)[0]) for name, score in scores.items()}
    drawn: dict[K, list[Floats]] = {name: [] for name, value in values.items() if np.isfinite(value)}
    num_drawn, done = resamples or num_resamples(num_rows), 0
    for block in weightings(num_rows, num_drawn, weight=weight, groups=groups, parts=parts, seed=seed):
        work.check()
        for name, blocks in drawn.items():
            blocks.append(scores[name](block))
        done += len(block)
        work.report(done, num_drawn, "resamples", note="intervals")
    reasons = undefined or {}
    return {
        name: _estimate(values[name], drawn.get(name, []), reasons.get(name, "it is not a finite number"))
        for name in scores
    }


def _estimate(value: float, blocks: list[Floats], reason: str) -> Estimate:
    if not np.isfinite(value):
        return Estimate(None, reason=reason)
    found = np.concatenate(blocks)
    defined = found[np.isfinite(found)]
    if len(defined) < _LEAST_DEFINED * len(found):
        share = 100 * (1 - len(defined) / len(found))
        return Estimate(value, reason=f"no interval: in {share:.0f} % of the resamples {reason}")
    lower, upper = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(lower), float(upper))
