"""Whether probabilities come true: reliability and the expected calibration error of answers out of fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.evaluation.bootstrap import weightings
from lepton.evaluation.curves import calibration
from lepton.training.base import Doubles
from lepton.training.honesty.checks import Doubt

__all__ = ["calibration_doubt", "calibration_of"]

_DRAWS = 200
_LEAST_ERROR = 0.02  # that is worth a word
_LEAST_ROWS = 50


def calibration_of(
    answers: Doubles,
    classes: NDArray[np.int64],
    labels: Sequence[Any],
    *,
    weight: Doubles | None = None,
    groups: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Reliability of a classifier's answers to rows that it was not fitted on.

    The error of resampled rows is above that of the rows themselves, and that of a perfect model above 0; so the
    interval is turned around the value (the basic bootstrap), and what a perfect model would show stands beside it.

    Args:
        answers: probabilities [M, C].
        classes: true class numbers [M].
        labels: of the classes.
        weight: of the rows [M], or None.
        groups: of the rows [M] as numbers from 0, or None.
        seed: of the draws.

    Returns:
        For `reports/training.json`; None with fewer than 50 rows.
    """
    if len(classes) < _LEAST_ROWS:
        return None
    rows = np.arange(len(classes))
    called = np.ones(len(classes), dtype=np.int64) if answers.shape[1] == 2 else answers.argmax(axis=1)
    given, came_true = answers[rows, called], classes == called
    of = f"the probability of {labels[1]}" if answers.shape[1] == 2 else "the probability of the label that is called"
    found = calibration(given, came_true, weight, of)
    edges = [each.upper for each in found.bins][:-1]
    place = np.searchsorted(edges, given, side="left")
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    missed = (given - came_true)[order]
    draws = []
    for block in weightings(len(classes), _DRAWS, weight=weight, groups=groups, seed=seed):
        counted = block[:, order]
        sums = np.abs(np.add.reduceat(counted * missed, starts, axis=1)).sum(axis=1)
        draws.append(sums / np.maximum(counted.sum(axis=1), 1e-300))
    low, high = np.quantile(np.concatenate(draws), [0.025, 0.975])
    return {
        **found.to_dict(),
        "lower": max(0.0, 2.0 * found.error - float(high)),
        "upper": max(found.error, 2.0 * found.error - float(low)),
        "by_chance": _by_chance(given[order], starts, None if weight is None else weight[order], seed),
    }


def _by_chance(given: Doubles, starts: NDArray[np.int64], weight: Doubles | None, seed: int) -> float:
    """The error that a model with these probabilities shows in one of a hundred samples although they are true."""
    random = np.random.default_rng([seed, 1])
    weight = np.ones(len(given)) if weight is None else weight
    errors = []
    for _ in range(_DRAWS):
        missed = weight * (given - (random.random(len(given)) < given))
        errors.append(np.abs(np.add.reduceat(missed, starts)).sum() / weight.sum())
    return float(np.quantile(errors, 0.99))


def calibration_doubt(found: dict[str, Any] | None) -> list[Doubt]:
    """What is to be said where probabilities do not come true."""
    if found is None:
        return []
    error, chance = found["expected_calibration_error"], found["by_chance"]
    if error <= max(chance, _LEAST_ERROR) or found["lower"] <= 0.0:
        return []
    return [
        Doubt(
            "calibration",
            f"{found['of']} is off by {error:.1%} on average (95 % interval {found['lower']:.1%} to"
            f" {found['upper']:.1%}), where chance makes at most {chance:.1%}",
            "do not take probabilities at their word; choose by log_loss (--metric), or give more rows",
        )
    ]
