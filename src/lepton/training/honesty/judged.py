"""Rows that were scored by a model that had not seen them, with all that is known of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import ColumnRecord
from lepton.training.base import Doubles, Problem

__all__ = ["MAX_ROWS", "Judged"]

MAX_ROWS = 20_000
"""Rows that are looked at: more say little more."""

_LEAST_PROBABILITY = 1e-6
_MAX_CLASSES = 20  # of a target that single columns are asked about


@dataclass(frozen=True)
class Judged:
    """Scored rows, at most `MAX_ROWS`.

    Attributes:
        problem: what was learned.
        labels: of the classes; None for numbers.
        frame: the rows with all columns of the table [M].
        columns: the features.
        identifiers: columns that name rows and were not learned from.
        truth: numbers, or class numbers [M].
        answers: numbers [M], or probabilities [M, C].
        fold: number of the fold that each row was scored in [M].
        weight: of the rows [M], or None.
        groups: group of each row [M], or None.
        order: time of each row [M], or None.
        time: name of the column of time, or None.
        seed: of what is drawn.
    """

    problem: Problem
    labels: tuple[str, ...] | tuple[int, ...] | None
    frame: pl.DataFrame
    columns: tuple[ColumnRecord, ...]
    identifiers: tuple[ColumnRecord, ...]
    truth: NDArray[np.float64] | NDArray[np.int64]
    answers: Doubles
    fold: NDArray[np.int64]
    weight: Doubles | None = None
    groups: NDArray[np.int64] | None = None
    order: Doubles | None = None
    time: str | None = None
    seed: int = 0

    @property
    def num_rows(self) -> int:
        """M."""
        return len(self.truth)

    @property
    def losses(self) -> Doubles:
        """How wrong each answer is [M]: the distance of a number, minus the logarithm of the true class's share."""
        if self.labels is None:
            return np.abs(self.truth - self.answers)
        true = self.answers[np.arange(self.num_rows), self.truth.astype(np.int64)]
        losses: Doubles = -np.log(np.maximum(true, _LEAST_PROBABILITY))
        return losses

    @property
    def target(self) -> Doubles:
        """The truth as columns that means can be made of [M, K]: ranks of numbers; of classes, whether it is each."""
        if self.labels is None:
            ranks = pl.Series(self.truth).rank("average").to_numpy() / self.num_rows
            return ranks.reshape(-1, 1)
        classes = self.truth.astype(np.int64)
        counts = np.bincount(classes)
        shown = np.argsort(-counts, kind="stable")[:_MAX_CLASSES]
        if np.count_nonzero(counts) == 2:
            shown = shown[:1]
        found: Doubles = (classes[:, None] == shown[None, :]).astype(np.float64)
        return found
