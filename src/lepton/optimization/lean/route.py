"""In which order drafts are shown to the rows of the proof: from one that is sure to hold to bolder ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lepton.optimization.lean.goal import SLOWER, Candidate, Goal

__all__ = ["route"]

_LEAST_CHANCE = 0.1
_LEAST_STEP = math.log(1.05)
_FIRST = math.log(4.0)  # what holding anything at all is worth, beside how much smaller and faster it is
_UNSURE = 1.1  # what a short timing may be off by; the proof times at length
_ALIKE = 0.8  # how far two drafts hold together: the rows are the same, and milder settings lose less
_MOST = 6


def route(candidates: Sequence[Candidate], goal: Goal) -> list[Candidate]:
    """The order that gains most, as far as the rows of the search can tell.

    What comes first should be sure; each that holds is followed by a bolder one, and the first that does not hold ends
    it. A step that is left out costs less than one that fails in front of a bolder one that would have held.

    Args:
        candidates: drafts whose files are there.
        goal: tells how likely each holds, and what it costs.
    """
    there = [
        (-goal.cost(each), chance, each)
        for each in candidates
        if goal.gains(each.size, each.pace / _UNSURE)
        and each.pace <= SLOWER * _UNSURE
        and (chance := goal.chance(each)) >= _LEAST_CHANCE
    ]
    there.sort(key=lambda each: each[0])
    best: list[tuple[float, list[int]]] = []  # from each on: what is still gained, and by whom
    for place in range(len(there) - 1, -1, -1):
        gain, chance, _ = there[place]
        found: tuple[float, list[int]] = (0.0, [])
        for later in range(place + 1, len(there)):
            more, whole, _ = there[later]
            rest, steps = best[len(there) - 1 - later]
            if more - gain >= _LEAST_STEP and len(steps) < _MOST - 1:
                held = min(1.0, whole / chance**_ALIKE)
                found = max(found, (held * (more - gain + rest), [later, *steps]), key=lambda each: each[0])
        best.append(found)
    starts = [
        (chance * (_FIRST + gain + best[len(there) - 1 - place][0]), [place, *best[len(there) - 1 - place][1]])
        for place, (gain, chance, _) in enumerate(there)
    ]
    chosen = max(starts, key=lambda each: each[0], default=(0.0, []))[1]
    return [there[place][2] for place in chosen]
