"""Who is trained longer, and who is changed next: a ladder of rungs, each of longer trainings of fewer designs.

Successive halving as it comes (Li et al., "A System for Massively Parallel Hyperparameter Tuning", 2020): whenever a
design is among the best third of a rung, it may rise to the next; else a new design is tried on the lowest. So what is
done next follows from what is known, and a search that was cut off goes on as if it had not been. "Best" goes by fronts
(Deb et al., "NSGA-II", 2002): first those that no other beats in both score and time of a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from lepton.training.deep.architectures.trials import NEVER_TRAINED, Trial

__all__ = ["STEP", "best_first", "fronts", "is_beaten", "next_to_rise", "of_rung", "on_front", "rungs_of"]

STEP = 3
"""How much longer each rung is than the one below, and one in how many designs rises."""

_LEAST_PASSES = 3  # of the lowest rung, where there is time: after one, whatever learns quickest looks best
_SAME_TIME = math.log(1.05)  # of two rows: what is nearer is noise

Loss = Callable[[Trial], float]


def rungs_of(passes: int) -> tuple[int, ...]:
    """How many passes each rung takes, rising to `passes`."""
    least = min(passes, _LEAST_PASSES)
    return tuple(sorted({max(least, round(passes / STEP**below)) for below in (0, 1, 2)}))


def of_rung(trials: Iterable[Trial], rung: int) -> list[Trial]:
    """The trials of a rung that have a score."""
    return [trial for trial in trials if trial.rung == rung and trial.score is not None]


def fronts(trials: Sequence[Trial], loss: Loss) -> list[list[Trial]]:
    """The trials that none beats in loss and time of a row, then the same of the others, and so on."""
    left, found = list(trials), []
    while left:
        costs = [(loss(trial), _time(trial)) for trial in left]
        first = [t for t, cost in zip(left, costs, strict=True) if not any(is_beaten(cost, other) for other in costs)]
        found.append(first)
        left = [trial for trial in left if trial not in first]
    return found


def _time(trial: Trial) -> int:
    """Of a row, in steps of 5 %."""
    return round(math.log(trial.cost.row) / _SAME_TIME)


def is_beaten(costs: Sequence[float], other: Sequence[float]) -> bool:
    """Whether `other` is nowhere worse than `costs`, and somewhere better."""
    return tuple(costs) != tuple(other) and all(b <= a for a, b in zip(costs, other, strict=True))


def on_front(trials: Sequence[Trial], loss: Loss) -> list[bool]:
    """Of each trial, whether none beats it in loss, time of a row, size and multiply-adds together."""
    costs = [(loss(t), _time(t), t.cost.size, t.cost.multiply_adds) for t in trials]
    return [math.isfinite(cost[0]) and not any(is_beaten(cost, other) for other in costs) for cost in costs]


def next_to_rise(trials: Sequence[Trial], rungs: int, loss: Loss) -> list[Trial]:
    """Who may be trained longer, the highest rung first: by fronts, and on a front by loss."""
    found = []
    for rung in reversed(range(rungs - 1)):
        here = of_rung(trials, rung)
        risen = {trial.design for trial in trials if trial.rung > rung}
        order = [trial for front in fronts(here, loss) for trial in sorted(front, key=loss)]
        found += [trial for trial in order[: len(here) // STEP] if trial.design not in risen]
    return found


def best_first(trials: Iterable[Trial], loss: Loss) -> list[Trial]:
    """Every design that was scored, at its highest rung: the longest trained first, and of those the best."""
    highest: dict[int, Trial] = {}
    for trial in trials:
        if trial.score is not None and trial.rung > highest.get(trial.design, trial).rung - 1:
            highest[trial.design] = trial
    scored = [trial for trial in highest.values() if trial.rung > NEVER_TRAINED]
    return sorted(scored, key=lambda trial: (-trial.rung, loss(trial), trial.cost.row))
