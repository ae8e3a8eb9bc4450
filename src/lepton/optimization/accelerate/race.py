"""Which of several ways is quicker, decided so that noise leads to "none".

All run in turns, a block of calls each, so that each round compares them on the same machine in the same moment. A
challenger has won a round if it was quicker than the reference by more than the least effect. Were it not, each round
would be a coin at best, so the number of rounds won is tested against coins: no assumption about how times are
distributed, and an outlier is one round. The test is made at a few looks, among which, and among the challengers, the
error is shared out (Bonferroni).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["ALPHA", "LEAST", "LOOKS", "Contestant", "Standing", "race"]

ALPHA = 0.01
"""Chance that anything is called quicker where nothing is."""

LEAST = 1.02
"""Times that a challenger must be quicker to be of use."""

LOOKS = (10, 14, 20, 28)
"""Rounds after which the test is made."""

_FIRST, _HOPELESS = 3, 0.9  # after so many rounds, what was slower than that in all of them is dropped


class Contestant(Protocol):
    """One way of answering."""

    @property
    def name(self) -> str:
        """For people."""

    def block(self) -> float:
        """Seconds of a call: the median of a block of calls, made now."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a challenger stands after the race.

    Attributes:
        name: of the challenger.
        is_quicker: whether it is clear that it is quicker than the reference by the least effect.
        speedup: median over the rounds of the reference's time over its own.
        lower: quartile of the same.
        upper: the other.
        rounds: that it ran.
        seconds: median of its blocks.
        reference_seconds: of the reference's in the same rounds.
    """

    name: str
    is_quicker: bool
    speedup: float
    lower: float
    upper: float
    rounds: int
    seconds: float
    reference_seconds: float


def race(
    reference: Contestant,
    challengers: Sequence[Contestant],
    *,
    stopped: Callable[[], bool] = lambda: False,
    alpha: float = ALPHA,
    least: float = LEAST,
    looks: Sequence[int] = LOOKS,
) -> list[Standing]:
    """Run challengers against the reference until it is clear who is quicker, or the looks are used up.

    Args:
        reference: what they are compared with.
        challengers: in any order.
        stopped: asked before each round; a race that ends early has no winner but those that were clear before.
        alpha: chance of a wrong winner among all.
        least: times that a winner is quicker at least.
        looks: rounds after which is tested, rising.

    Returns:
        A standing for each challenger that ran a round, in their order.
    """
    level = alpha / (len(looks) * max(len(challengers), 1))
    times: dict[int, list[tuple[float, float]]] = {place: [] for place in range(len(challengers))}
    running, winners = set(times), set[int]()
    for done in range(looks[-1]):
        if not running or stopped():
            break
        own: dict[int, float] = {}
        turn = [-1, *sorted(running)]
        for place in turn[done % len(turn) :] + turn[: done % len(turn)]:  # so that nobody always comes after the same
            own[place] = (reference if place < 0 else challengers[place]).block()
        for place in running:
            times[place].append((own[-1], own[place]))
        if done + 1 in looks:
            for place in sorted(running):
                won = sum(theirs > least * ours for theirs, ours in times[place])
                if _chance(won, done + 1) <= level:
                    winners.add(place)
                    running.discard(place)
                elif 2 * won <= done + 1:
                    running.discard(place)  # it will hardly turn out quicker, and others wait for it
        elif done + 1 == _FIRST:
            running -= {place for place in running if all(theirs < _HOPELESS * ours for theirs, ours in times[place])}
    return [_standing(challengers[place].name, pairs, place in winners) for place, pairs in times.items() if pairs]


def _chance(won: int, rounds: int) -> float:
    """How often a coin shows heads so many times, or more."""
    return sum(math.comb(rounds, heads) for heads in range(won, rounds + 1)) / float(2**rounds)


def _standing(name: str, pairs: Sequence[tuple[float, float]], is_quicker: bool) -> Standing:
    ratios = [theirs / ours for theirs, ours in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    ours, theirs = (statistics.median(pair[side] for pair in pairs) for side in (1, 0))
    return Standing(name, is_quicker, middle, low, high, len(pairs), ours, theirs)
