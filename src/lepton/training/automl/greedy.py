"""Which models to average, and with which weights: greedy selection with replacement (Caruana et al., 2004)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lepton.training.base import Doubles

__all__ = ["greedy_weights"]

_ROUNDS = 20


def greedy_weights(
    raw: Sequence[Doubles],
    loss: Callable[[Doubles], float],
    *,
    max_members: int,
    least_gain: float = 0.0,
    allowed: Callable[[Sequence[int]], bool] = lambda members: True,
) -> NDArray[np.float64]:
    """Weights of models [K] whose mean has the least loss; most are 0.

    Starts from the best model and adds, round by round, the one that helps the mean most; a model may be added again.
    Of all rounds the best counts; models that it can do without leave it then.

    Args:
        raw: raw scores of the same rows by each of the K models, at least one, each [N, S].
        loss: of raw scores; NaN counts as the worst.
        max_members: models with a weight at most.
        least_gain: share of the loss that each model must be worth, for it costs size and time.
        allowed: whether models, by position, may stand together; asked before one is added to others.
    """

    def of(scores: Doubles) -> float:
        value = loss(scores)
        return np.inf if np.isnan(value) else value

    alone = [of(scores) for scores in raw]
    best = int(np.argmin(alone))
    chosen, least, total = [best], alone[best], raw[best]
    winner = list(chosen)
    for _ in range(_ROUNDS - 1):
        members = sorted(set(chosen))
        candidates = [
            model
            for model in range(len(raw))
            if model in members or (len(members) < max_members and allowed([*members, model]))
        ]
        losses = [of((total + raw[model]) / (len(chosen) + 1)) for model in candidates]
        model = candidates[int(np.argmin(losses))]
        chosen.append(model)
        total = total + raw[model]
        if min(losses) < least:
            least, winner = min(losses), list(chosen)
    weights: NDArray[np.float64] = np.bincount(winner, minlength=len(raw)) / len(winner)
    while np.count_nonzero(weights) > 1:
        without = {model: _without(weights, model) for model in np.flatnonzero(weights).tolist()}
        losses_without = {model: of(_mean(raw, rest)) for model, rest in without.items()}
        model = min(without, key=lambda model: losses_without[model])
        if not losses_without[model] <= least + least_gain * abs(least):
            break
        weights, least = without[model], losses_without[model]
    if least > alone[best]:
        weights = np.zeros(len(raw))
        weights[best] = 1.0
    return weights


def _without(weights: NDArray[np.float64], model: int) -> NDArray[np.float64]:
    rest = weights.copy()
    rest[model] = 0.0
    rest /= rest.sum()
    return rest


def _mean(raw: Sequence[Doubles], weights: NDArray[np.float64]) -> Doubles:
    mean = np.zeros_like(raw[0])
    for model in np.flatnonzero(weights).tolist():
        mean += weights[model] * raw[model]
    return mean
