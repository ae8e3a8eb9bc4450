"""What parts of a file add to an answer, from answers to the file with some of its parts hidden.

Shapley values by permutations taken forwards and backwards (Castro, Gómez & Tejada 2009; Mitchell et al. 2022), exact
where the parts are few; or the loss of the answer when one part is hidden (Zeiler & Fergus 2014, "occlusion").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, UsageError, Work
from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.sampling import t_quantile

__all__ = ["MARGIN", "Ask", "Flags", "Shares", "left_out", "shapley"]

Flags = NDArray[np.bool_]
Ask = Callable[[Flags], Floats]
"""From parts that are shown [S, P] to answers [S]."""

MARGIN = 1.96
_MOST_EXACT = 12
_LEAST_PAIRS = 4


@dataclass(frozen=True, slots=True)
class Shares:
    """What P parts add.

    Attributes:
        values: [P].
        errors: their standard errors [P]; 0 where nothing was drawn.
        asked: answers that it took.
        method: how they came about.
        margin: standard errors to either side of a 95 % interval: Student's, where orders were few.
    """

    values: Floats
    errors: Floats
    asked: int
    method: str
    margin: float = MARGIN


def left_out(ask: Ask, num_parts: int, work: Work) -> Shares:
    """How much smaller the answer is without each part, all others being there."""
    shown = np.ones((num_parts + 1, num_parts), dtype=bool)
    shown[np.arange(num_parts) + 1, np.arange(num_parts)] = False
    work.check()
    answers = ask(shown)
    return Shares(answers[0] - answers[1:], np.zeros(num_parts), len(shown), "left out one by one")


def shapley(ask: Ask, num_parts: int, samples: int, seed: int, work: Work) -> Shares:
    """What each part adds on average over all orders in which parts are shown; they sum to what all parts add.

    Args:
        ask: gives answers.
        num_parts: P.
        samples: answers it may take; up to 12 parts these suffice for an exact result, if there are 2^P.
        seed: of the orders.
        work: when its time is over, the orders that were done count.

    Raises:
        UsageError: too few samples for an error to be told.
    """
    if num_parts <= 1 or (num_parts <= _MOST_EXACT and 2**num_parts <= samples):
        return _enumerated(ask, num_parts)
    each = 2 * (num_parts - 1)
    pairs = samples // each
    if pairs < _LEAST_PAIRS:
        raise UsageError(
            ErrorCode.USAGE,
            f"got samples={samples:,} for {num_parts} parts",
            wanted=f"at least {_LEAST_PAIRS * each:,}, so that the error can be told",
        )
    random = np.random.default_rng([seed, 43])
    ends = ask(np.array([[False] * num_parts, [True] * num_parts]))
    found: list[Floats] = []
    for _ in range(pairs):
        if work.stopped and len(found) >= _LEAST_PAIRS:
            break
        order = random.permutation(num_parts)
        found.append(_of_pair(ask, order, ends))
        work.report(len(found), pairs, "orders", note="hiding parts")
    added = np.stack(found)
    errors = added.std(axis=0, ddof=1) / np.sqrt(len(found))
    method = f"Shapley values over {len(found):,} orders, each also backwards"
    margin = float(t_quantile(len(found) - 1))
    return Shares(added.mean(axis=0), errors, 2 + each * len(found), method, margin)


def _of_pair(ask: Ask, order: NDArray[np.int64], ends: Floats) -> Floats:
    """What each part adds in one order and in its reverse, the mean of both."""
    num_parts = len(order)
    ranks = np.empty(num_parts, dtype=np.int64)
    ranks[order] = np.arange(num_parts)
    steps = np.arange(1, num_parts)[:, None]
    answers = ask(np.concatenate([ranks < steps, ranks >= num_parts - steps]))
    added = np.zeros(num_parts)
    for path, places in ((answers[: num_parts - 1], order), (answers[num_parts - 1 :], order[::-1])):
        added[places] += np.diff(np.concatenate([ends[:1], path, ends[1:]])) / 2
    return added


def _enumerated(ask: Ask, num_parts: int) -> Shares:
    """Exact values, from all subsets of the parts."""
    subsets = np.arange(2**num_parts)
    shown = (subsets[:, None] >> np.arange(num_parts)) & 1 == 1
    answers = ask(shown)
    sizes = shown.sum(axis=1)
    values = np.zeros(num_parts)
    for part in range(num_parts):
        without = subsets[~shown[:, part]]
        weights = np.array([1 / (num_parts * comb(num_parts - 1, int(size))) for size in sizes[without]])
        values[part] = weights @ (answers[without | (1 << part)] - answers[without])
    return Shares(values, np.zeros(num_parts), len(subsets), "exact Shapley values")
