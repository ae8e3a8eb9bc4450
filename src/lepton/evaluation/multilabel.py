"""Kernels of the metrics of several labels a row: `y` and `answer` [N, L], 1 where a label holds, or probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from lepton.core import ErrorCode, SchemaError
from lepton.evaluation.classification import Floats, Labels, Score, mean_of, ratio

__all__ = ["exact", "f1_macro", "f1_micro", "log_loss"]

_SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)


def _both(y: Any, answer: Any, labels: Labels) -> tuple[Floats, Floats]:
    truth, given = np.asarray(y, dtype=np.float64), np.asarray(answer, dtype=np.float64)
    if truth.shape != given.shape or truth.shape[1:] != (len(labels),):
        raise SchemaError(
            ErrorCode.WRONG_SHAPE,
            f"the truth has the shape {list(truth.shape)} and the answers {list(given.shape)}",
            wanted=f"one column for each of {len(labels)} labels in both",
        )
    return truth, given


def exact(y: Any, answer: Any, labels: Labels) -> Score:
    """Share of rows all of whose labels are right."""
    truth, given = _both(y, answer, labels)
    return mean_of((truth == given).all(axis=1).astype(np.float64))


def f1_micro(y: Any, answer: Any, labels: Labels) -> Score:
    """F1 of all labels counted together."""
    truth, given = _both(y, answer, labels)
    right, either = (truth * given).sum(axis=1), (truth + given).sum(axis=1)
    return lambda weights: ratio(2.0 * (weights @ right), weights @ either)


def f1_macro(y: Any, answer: Any, labels: Labels) -> Score:
    """Mean over labels of F1, over those that occur in truth or answers."""
    truth, given = _both(y, answer, labels)
    right, either = truth * given, truth + given

    def score(weights: Floats) -> Floats:
        counts = weights @ either
        each = ratio(2.0 * (weights @ right), counts)
        return ratio(np.where(counts > 0.0, each, 0.0).sum(axis=1), (counts > 0.0).sum(axis=1).astype(np.float64))

    return score


def log_loss(y: Any, answer: Any, labels: Labels) -> Score:
    """Mean over rows and labels of -ln of the probability given to what is true."""
    truth, given = _both(y, answer, labels)
    true = np.where(truth > 0.0, given, 1.0 - given)
    return mean_of(-np.log(np.clip(true, _SMALLEST_PROBABILITY, 1.0)).mean(axis=1))
