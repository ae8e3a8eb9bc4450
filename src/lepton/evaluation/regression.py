"""Kernels of the regression metrics, in the same form as those of `lepton.evaluation.classification`.

`y` and `answer` are float64 [N] in the target's unit; `labels` is not used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lepton.core import ErrorCode, SchemaError
from lepton.evaluation.classification import Floats, Labels, Score, mean_of, ratio

__all__ = ["mae", "mape", "median_absolute_error", "mse", "r2", "rmse"]


def _numbers(y: Any, answer: Any) -> tuple[Floats, Floats]:
    truth, given = np.asarray(y, dtype=np.float64), np.asarray(answer, dtype=np.float64)
    if truth.shape != given.shape or truth.ndim != 1:
        raise SchemaError(
            ErrorCode.WRONG_SHAPE,
            f"the target has the shape {list(truth.shape)} and the prediction {list(given.shape)}",
            wanted="one number a row in both",
        )
    return truth, given


def mae(y: Any, answer: Any, labels: Labels = ()) -> Score:
    """Mean absolute error."""
    truth, given = _numbers(y, answer)
    return mean_of(np.abs(truth - given))


def mse(y: Any, answer: Any, labels: Labels = ()) -> Score:
    """Mean squared error."""
    truth, given = _numbers(y, answer)
    return mean_of((truth - given) ** 2)


def rmse(y: Any, answer: Any, labels: Labels = ()) -> Score:
    """Square root of the mean squared error."""
    squared = mse(y, answer)
    return lambda weights: np.sqrt(squared(weights))


def mape(y: Any, answer: Any, labels: Labels = ()) -> Score:
    """Mean of |error| / |target| over the rows whose target is not 0."""
    truth, given = _numbers(y, answer)
    counted = (truth != 0).astype(np.float64)
    relative = np.divide(np.abs(truth - given), np.abs(truth), out=np.zeros_like(truth), where=truth != 0)
    return lambda weights: ratio(weights @ relative, weights @ counted)


def median_absolute_error(y: Any, answer: Any, labels: Labels = ()) -> Score:
    """Weighted median of |error|: halfway between the two middle rows where the weight splits evenly."""
    truth, given = _numbers(y, answer)
    errors = np.abs(truth - given)
    order = np.argsort(errors, kind="stable")
    rising = errors[order]

    def median(weights: Floats) -> Floats:
        if not len(rising) or np.isnan(rising[-1]):
            return np.full(len(weights), np.nan)
        passed = np.cumsum(weights.take(order, axis=1), axis=1)
        half = passed[:, -1:] / 2
        last = len(rising) - 1
        lower = np.minimum((passed < half).sum(axis=1), last)
        upper = np.minimum((passed <= half).sum(axis=1), last)
        return np.where(half[:, 0] > 0, (rising[lower] + rising[upper]) / 2, np.nan)

    return median


def r2(y: Any, answer: Any, labels: Labels = ()) -> Score:
    """Share of the target's variance that is explained: 1 - squared error / squared distance from the mean."""
    truth, given = _numbers(y, answer)
    squared = (truth - given) ** 2

    def explained(weights: Floats) -> Floats:
        if not len(truth):
            return np.full(len(weights), np.nan)
        total = weights.sum(axis=1)
        centre = ratio(weights @ truth, total)
        spread = np.einsum("bn,bn->b", weights, (truth - centre[:, None]) ** 2)
        # Whether the target varies is asked of the values: rounding leaves a spread above 0 for a constant.
        counted = weights > 0
        first = truth[counted.argmax(axis=1)]
        varies = (counted & (truth != first[:, None])).any(axis=1)
        return np.where(varies, 1 - ratio(weights @ squared, spread), np.nan)

    return explained
