"""What an attacker sees of each row: how badly the model answers it."""

from __future__ import annotations

import numpy as np

from lepton.bundle import Predictor
from lepton.core import ErrorCode, UsageError
from lepton.evaluation.answers import Answers
from lepton.evaluation.classification import Floats, Positions

__all__ = ["classes_of", "losses_of", "refuse_without_losses"]

_LEAST = 1e-12


def refuse_without_losses(predictor: Predictor) -> None:
    """Refuse a model whose rows have no loss of their own.

    Raises:
        UsageError: anything but a classifier or a model of numbers with a truth.
    """
    task = predictor.task
    if task.name not in ("binary", "multiclass", "multilabel", "regression", "quantile"):
        raise UsageError(
            ErrorCode.USAGE,
            f"got a model for {task.name}",
            wanted="a model that predicts a target row by row: the attack asks how well each row is answered",
        )


def losses_of(answers: Answers) -> Floats:
    """The loss of each row [N]: of a class -log of its probability, of numbers the distance from the truth."""
    if answers.probabilities is None:
        apart: Floats = np.abs(answers.y.astype(np.float64) - answers.predicted)
        return apart
    shares = answers.probabilities.clip(_LEAST, 1.0)
    if answers.y.ndim == 2:
        rest = (1 - answers.probabilities).clip(_LEAST, 1.0)
        several: Floats = -np.where(answers.y == 1, np.log(shares), np.log(rest)).sum(axis=1)
        return several
    own: Floats = -np.log(shares[np.arange(len(answers.y)), answers.y])
    return own


def classes_of(answers: Answers) -> Positions | None:
    """The true label of each row, where it has one."""
    return answers.y.astype(np.int64) if answers.probabilities is not None and answers.y.ndim == 1 else None
