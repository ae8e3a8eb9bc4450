"""When a row may leave early: temperatures that make probabilities honest, and thresholds that keep a promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, UsageError

__all__ = ["Exits", "choose_thresholds", "fit_temperature", "parse_exits"]

NEVER = 2.0  # a threshold that no probability reaches
_STEPS = 40  # of a search that keeps 0.62 of its range at each
_LEVELS = 400

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Exits:
    """What one is ready to give for early exits: one of both.

    Attributes:
        loss: share of right answers that may be given up, such as 0.001.
        share: mean share of the multiply-adds of the whole net that may be used, such as 0.5.
    """

    loss: float | None = None
    share: float | None = None

    def told(self) -> str:
        """In a few words."""
        if self.loss is not None:
            return f"as many rows leave early as cost at most {self.loss:.2%} of the right answers"
        return f"rows leave early until the mean is {self.share:.0%} of the multiply-adds"


def parse_exits(exits: float | str | None) -> Exits | None:
    """`exits=0.001` gives up at most 0.1 points of accuracy; `exits="50%"` uses half of the multiply-adds in the mean.

    Raises:
        UsageError: anything else.
    """
    if exits is None:
        return None
    if isinstance(exits, str) and exits.endswith("%"):
        try:
            share = float(exits[:-1]) / 100
        except ValueError:
            share = 0.0
        if 0 < share <= 1:
            return Exits(share=share)
    elif isinstance(exits, int | float) and not isinstance(exits, bool) and 0 <= exits < 0.5:
        return Exits(loss=float(exits))
    raise UsageError(
        ErrorCode.USAGE, f"got exits={exits!r}",
        wanted="the share of right answers that may be given up, such as 0.001, or a budget such as '50%'",
    )  # fmt: skip


def fit_temperature(logits: Floats, y: NDArray[np.int64]) -> float:
    """The number by which logits [N, C] are best divided for the likelihood of `y` (Guo et al., 2017).

    Found by a golden-section search over its logarithm, where the loss has one minimum.
    """
    rows = np.arange(len(y))

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[rows, y]))

    low, high, ratio = np.log(0.05), np.log(20.0), (np.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    loss_left, loss_right = loss(left), loss(right)
    for _ in range(_STEPS):
        if loss_left < loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - ratio * (high - low)
            loss_left = loss(left)
        else:
            low, left, loss_left = left, right, loss_right
            right = low + ratio * (high - low)
            loss_right = loss(right)
    return float(np.exp((low + high) / 2))


def choose_thresholds(
    probabilities: Sequence[Floats], y: NDArray[np.int64], costs: Sequence[int], exits: Exits
) -> tuple[float, ...]:
    """How sure each early exit must be, from held-out rows.

    One level of doubt is shared by all exits, as their probabilities are calibrated. The level is the lowest that keeps
    the promise: what the early answers lose against the last one, counted row by row, or the mean cost.

    Args:
        probabilities: of every head, the last included, each [N, C].
        y: true classes [N].
        costs: multiply-adds up to every head.
        exits: the promise.

    Returns:
        One threshold for every head but the last; 2.0 where no row may leave.
    """
    sure = np.stack([p.max(axis=1) for p in probabilities[:-1]])
    right = np.stack([p.argmax(axis=1) == y for p in probabilities])
    levels = np.unique(sure)
    levels = levels[:: max(1, len(levels) // _LEVELS)]
    best = NEVER
    for level in levels[::-1]:
        left = np.vstack([sure >= level, np.ones((1, len(y)), dtype=bool)]).argmax(axis=0)
        lost = np.count_nonzero(right[-1]) - np.count_nonzero(right[left, np.arange(len(y))])
        mean_cost = float(np.mean(np.asarray(costs)[left])) / costs[-1]
        if exits.loss is not None and lost > exits.loss * len(y):
            break
        best = float(level)
        if exits.share is not None and mean_cost <= exits.share:
            break
    return (best,) * (len(probabilities) - 1)
