"""In which order drafts are shown to the rows of the proof: from one that is sure to hold to bolder ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lepton.optimization.lean.goal import SLOWER, Candidate, Goal

__all__ = ["MOST", "route"]

_LEAST_CHANCE = 0.1
_LEAST_STEP = math.log(1.05)
_LOOK = 0.01  # what a look costs, in the same measure
_FIRST = math.log(4.0)  # what holding anything at all is worth, beside how much smaller and faster it is
_UNSURE = 1.1  # what a short timing may be off by; the proof times at length
_ALIKE = 0.8  # how far two drafts hold together: the rows are the same, and milder settings lose less
MOST = 6
"""Looks, where there is time for as many."""


def route(candidates: Sequence[Candidate], goal: Goal, most: int = MOST) -> list[Candidate]:
    """The order that gains most, as far as the rows of the search can tell.

    What comes first should be sure; each that holds is followed by a bolder one, and the first that does not hold ends
    it. A step that is left out costs less than one that fails in front of a bolder one that would have held.

    Args:
        candidates: drafts whose files are there.
        goal: tells how likely each holds, and what it costs.
        most: looks that there is time for.
    """
    there = [
        (-goal.cost(each), chance, each)
        for each in candidates
        if goal.gains(each.size, each.pace / _UNSURE)
        and each.pace <= SLOWER * _UNSURE
        and (chance := goal.chance(each)) >= _LEAST_CHANCE
    ]
    there.sort(key=lambda each: each[0])
    gains, chances = [each[0] for each in there], [each[1] for each in there]
    ways: list[tuple[float, tuple[int, ...]]] = [(0.0, ())] * len(there)  # behind each: what is gained, and by whom
    for _ in range(most - 1):
        before = ways
        ways = [
            max(
                (
                    (_held(chances, place, later) * (gains[later] - gains[place] + before[later][0]) - _LOOK,
                     (later, *before[later][1]))
                    for later in range(place + 1, len(there))
                    if gains[later] - gains[place] >= _LEAST_STEP
                ),
                default=(0.0, ()),
            )
            for place in range(len(there))
        ]  # fmt: skip
        ways = [max(way, (0.0, ())) for way in ways]
    starts = [
        (chances[place] * (_FIRST + gains[place] + gained), (place, *steps))
        for place, (gained, steps) in enumerate(ways)
    ]
    return [there[place][2] for place in max(starts, default=(0.0, ()))[1]]


def _held(chances: Sequence[float], first: int, later: int) -> float:
    """How likely a draft holds where an earlier one did."""
    return float(min(1.0, chances[later] / chances[first] ** _ALIKE))
