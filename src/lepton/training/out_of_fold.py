"""What a quick learner answers for rows that it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, Work
from lepton.data import Dataset
from lepton.training.answers import numbers_of, probabilities_of
from lepton.training.base import LEARNERS, Doubles, TableLearner
from lepton.training.folds import make_folds
from lepton.training.prepared import prepare_table

__all__ = ["OutOfFold", "out_of_fold"]

_FOLDS = 5


@dataclass(frozen=True)
class OutOfFold:
    """Answers for rows by learners that did not see them.

    Attributes:
        task: `regression`, `binary` or `multiclass`.
        rows: positions in the table of the rows that have a target [N].
        truth: numbers, or class numbers from 0 [N].
        answers: predictions [N], or probabilities of the classes [N, C].
        labels: of the classes; None for numbers.
    """

    task: str
    rows: NDArray[np.int64]
    truth: NDArray[Any]
    answers: Doubles
    labels: tuple[Any, ...] | None


def out_of_fold(
    dataset: Dataset, *, target: str, learner: str = "forest", num_folds: int = _FOLDS, work: Work | None = None
) -> OutOfFold:
    """Fit a learner on all folds but one, and ask it about that one, for each fold.

    Args:
        dataset: the table; groups stay together.
        target: column to predict.
        learner: registered name.
        num_folds: at least 2; fewer where there are fewer rows.
        work: cancel, progress, seed and threads.

    Raises:
        DataError: a target or a table that cannot be learned; or the time has ended a fit.
    """
    work = Work.of(work)
    table = prepare_table(dataset, target, None, work)
    is_number = table.target.labels is None
    truth = table.target.values if is_number else table.target.values.astype(np.int64)
    folds = make_folds(
        len(truth),
        min(num_folds, len(truth)),
        classes=None if is_number else truth.astype(np.int64),
        groups=table.groups,
        seed=work.seed_for("folds"),
    )
    kind: type[TableLearner] = LEARNERS.load(learner)
    configuration = kind.configurations(table.problem)
    if not configuration:
        raise DataError(ErrorCode.BAD_TARGET, f"the learner {learner!r} cannot learn {target!r}")
    answers = np.empty(len(truth) if is_number else (len(truth), table.problem.num_classes))
    for number, fold in enumerate(folds):
        work.check()
        fitted = kind(table.problem, configuration[0], work.seed_for(learner))
        # Without rows to stop by: those that are asked about must have no say.
        fitted.fit(table.rows.take(fold.train), valid=None, work=work)
        raw = fitted.raw(table.rows.take(fold.valid).block)
        answers[fold.valid] = numbers_of(raw, table.scale) if is_number else probabilities_of(table.problem, raw)
        work.report(number + 1, len(folds), "fits", note=learner)
    return OutOfFold(table.problem.task, table.target.rows, truth, answers, table.target.labels)
