"""Rows as compression uses them: packed once for the graph, with the truth and what the original answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.evaluation.answers import Answers
from lepton.evaluation.classification import label_positions

__all__ = ["Rows"]


@dataclass(frozen=True, slots=True)
class Rows:
    """N rows.

    Attributes:
        tensors: the graph's inputs, first dimension N; `object` arrays of arrays where rows are of unequal shape.
        answers: the truth, weights and groups, and what the original answers (`predicted`, `probabilities`).
        labelled: whether the truth came with the rows; else it is what the original answers.
    """

    tensors: Mapping[str, NDArray[Any]]
    answers: Answers
    labelled: bool = True

    def __len__(self) -> int:
        return self.answers.num_rows

    def take(self, places: NDArray[np.int64]) -> Rows:
        """Some of the rows, by ascending places."""
        mask = np.zeros(len(self), dtype=bool)
        mask[places] = True
        return replace(
            self,
            tensors={name: tensor[mask] for name, tensor in self.tensors.items()},
            answers=self.answers.only(mask),
        )

    def judged(self, predictor: Predictor) -> Answers:
        """What another model answers to the same rows, beside the same truth."""
        given = predictor.run(self.tensors)
        answers = self.answers
        predicted: NDArray[Any]
        if predictor.task.several:
            predicted = np.asarray(given["prediction"], dtype=np.int64)
        elif answers.labels:
            predicted = label_positions(given["prediction"], answers.labels, "the prediction")
        else:
            predicted = np.asarray(given[predictor.answer], dtype=np.float64).reshape(answers.predicted.shape)
        probabilities = given.get("probabilities")
        return replace(
            answers,
            predicted=predicted,
            probabilities=None if probabilities is None else np.asarray(probabilities, dtype=np.float64),
            beside={name: given[name] for name in answers.beside},
        )
