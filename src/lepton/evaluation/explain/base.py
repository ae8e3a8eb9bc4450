"""What is explained: a number that a model answers, as a function of the tensors that its graph takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.core import ErrorCode, UsageError, printable
from lepton.evaluation.classification import Floats

__all__ = ["Question", "question_of"]

_LEAST = 1e-12  # probabilities of 0 and 1 have no log-odds


@dataclass(frozen=True, slots=True)
class Question:
    """One number a row, or one a label.

    Attributes:
        predictor: the model.
        title: what the number is, as in "the probability of 'yes'".
        labels: what its K columns stand for; empty where there is one number.
        output: the graph's output that it is read from.
        places: columns of that output, one for each of K; empty where the output has none.
        log_odds: whether probabilities are told as log-odds, in which contributions of many models add up.
    """

    predictor: Predictor
    title: str
    labels: tuple[str | int, ...]
    output: str
    places: tuple[int, ...] = ()
    log_odds: bool = False

    @property
    def width(self) -> int:
        """K, how many numbers a row has."""
        return max(len(self.places), 1)

    def ask(self, tensors: Mapping[str, NDArray[Any]]) -> Floats:
        """The numbers [N, K] for N rows that are packed already, as `Predictor.tensors` packs them."""
        given = self.predictor.run(tensors, [self.output])[self.output]
        numbers = np.asarray(given, dtype=np.float64).reshape(len(given), -1)
        if self.places:
            numbers = numbers[:, list(self.places)]
        if self.log_odds:
            kept = np.clip(numbers, _LEAST, 1 - _LEAST)
            numbers = np.log(kept) - np.log1p(-kept)
        return numbers


def question_of(predictor: Predictor, label: Any = None, *, log_odds: bool = False) -> Question:
    """What to explain of a model: its number, the probability of its positive label, or that of every label.

    Args:
        predictor: an opened model.
        label: the one label whose probability is meant.
        log_odds: tell probabilities as log-odds.

    Raises:
        UsageError: the model gives no number that could be divided among its inputs; an unknown label.
    """
    task, labels = predictor.task, tuple(predictor.labels or ())
    if not task.classifies:
        if label is not None:
            raise UsageError(ErrorCode.USAGE, f"got label={label!r} for a model that answers numbers", fix="leave it")
        output = {"regression": "prediction", "quantile": "prediction", "ranking": "score", "anomaly": "score"}
        if task.name not in output:
            raise UsageError(
                ErrorCode.USAGE,
                f"got a model for {task.name}",
                wanted="a model whose answer is a number or a probability, which its inputs can share among them",
            )
        target = predictor.manifest.target
        title = "the score" if task.name in ("ranking", "anomaly") or target is None else f"'{printable(target.name)}'"
        return Question(predictor, title, (), output[task.name])
    if label is not None:
        place = _place(predictor, label)
        return Question(predictor, _title(labels[place], log_odds), (), "probabilities", (place,), log_odds)
    if task.name == "binary":
        return Question(predictor, _title(labels[1], log_odds), (), "probabilities", (1,), log_odds)
    what = "log-odds" if log_odds else "probability"
    return Question(
        predictor, f"the {what} of each label", labels, "probabilities", tuple(range(len(labels))), log_odds
    )


def _title(label: str | int, log_odds: bool) -> str:
    return f"the {'log-odds' if log_odds else 'probability'} of {printable(str(label))!r}"


def _place(predictor: Predictor, label: Any) -> int:
    """Position of a label, given as itself or as its text."""
    labels = list(predictor.labels or ())
    if label in labels:
        return labels.index(label)
    if str(label) in predictor.label_names:
        return predictor.label_names.index(str(label))
    known = ", ".join(map(repr, labels[:10]))
    raise UsageError(ErrorCode.USAGE, f"the model has no label {label!r}", wanted=f"one of {known}")
