"""What the answer to each row costs: the numbers whose mean is looked at, part by part."""

from __future__ import annotations

from typing import Any

import numpy as np

from lepton.core import ErrorCode, UsageError
from lepton.evaluation.answers import Answers
from lepton.evaluation.classification import Floats
from lepton.evaluation.metrics import Metric, metric as metric_of

__all__ = ["RowLosses", "row_losses"]

_CLIP = 0.995
_LEAST = float(np.finfo(np.float64).eps)
_MISTAKES = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "f1_macro", "f1_weighted", "matthews")
_NDCG = {"ndcg_10": 10, "ndcg_5": 5, "ndcg": None}


class RowLosses:
    """One number a row.

    Attributes:
        values: float64 [N], at least 0, the higher the worse; the largest half per cent are cut to what lies below,
            so that one giant mistake does not make a part of the rows look weak.
        title: what they are, in words.
        cut: whether any was cut.
    """

    def __init__(self, values: Floats, title: str, *, cut: bool) -> None:
        finite = np.isfinite(values)
        highest = float(values[finite].max()) if finite.any() else 0.0
        if cut and finite.any():
            highest = float(np.quantile(values[finite], _CLIP))
        self.values: Floats = np.minimum(np.where(finite, values, highest), highest)
        self.title = title
        self.cut = bool((values > highest).any())


def row_losses(answers: Answers, metric: str | Metric | None = None) -> RowLosses:
    """The loss of each row that goes with a metric.

    Metrics of labels are led by mistakes (0 or 1), those of probabilities by the log loss or the Brier score, those of
    numbers by the absolute or the squared error; of a ranking all rows of a query share what its order lacks.

    Args:
        answers: truth and answers of N rows.
        metric: its name; by default that of the task.

    Raises:
        UsageError: a metric that does not fit the task, or a task without truth.
    """
    measured = metric_of(metric, answers.task)
    name = measured.name
    if answers.task == "ranking":
        return RowLosses(_query_losses(answers, _NDCG.get(name, 10)), "what the order of its query lacks", cut=False)
    if answers.y.ndim == 2:
        if answers.probabilities is None or name == "accuracy":
            wrong = (answers.y != answers.predicted).any(axis=1)
            return RowLosses(wrong.astype(np.float64), "share of rows with a wrong label", cut=False)
        true = np.where(answers.y > 0, answers.probabilities, 1.0 - answers.probabilities)
        return RowLosses(-np.log(np.clip(true, _LEAST, 1.0)).mean(axis=1), "log loss", cut=True)
    if answers.labels:
        return _of_labels(answers, name)
    if "quantiles" in answers.beside and answers.shares:
        short = answers.y[:, None] - np.asarray(answers.beside["quantiles"], dtype=np.float64)
        shares = np.array(answers.shares)
        return RowLosses(np.maximum(shares * short, (shares - 1.0) * short).mean(axis=1), "pinball loss", cut=True)
    if answers.y.ndim != 1:
        raise UsageError(ErrorCode.USAGE, f"got answers of the task {answers.task!r}", wanted="one answer a row")
    error = np.abs(np.asarray(answers.y, dtype=np.float64) - answers.predicted)
    if name in ("rmse", "mse", "r2"):
        return RowLosses(error * error, "squared error", cut=True)
    if name == "mape":
        truth = np.abs(answers.y)
        relative = np.divide(error, truth, out=np.zeros_like(error), where=truth != 0)
        return RowLosses(relative, "absolute error as a share of the target", cut=True)
    return RowLosses(error, "absolute error", cut=True)


def _of_labels(answers: Answers, name: str) -> RowLosses:
    probabilities = answers.probabilities
    if probabilities is None or name in _MISTAKES:
        return RowLosses((answers.y != answers.predicted).astype(np.float64), "share of wrong answers", cut=False)
    if name == "brier":
        truth: Any = np.eye(len(answers.labels))[answers.y]
        return RowLosses(((probabilities - truth) ** 2).sum(axis=1) / 2, "Brier score", cut=False)
    of_truth = probabilities[np.arange(len(probabilities)), answers.y]
    return RowLosses(-np.log(np.clip(of_truth, _LEAST, 1.0)), "log loss", cut=True)


def _query_losses(answers: Answers, most: int | None) -> Floats:
    """1 less the NDCG of the row's query; 0 where no row of it is relevant."""
    query = np.zeros(answers.num_rows, dtype=np.int64) if answers.groups is None else answers.groups
    found = np.zeros(int(query.max(initial=0)) + 1)
    best = np.zeros_like(found)
    gains = 2.0 ** np.asarray(answers.y, dtype=np.float64) - 1.0
    for scores, sums in ((answers.predicted, found), (answers.y, best)):
        order = np.lexsort((-np.asarray(scores, dtype=np.float64), query))
        places = np.arange(len(order)) - np.searchsorted(query[order], query[order], side="left")
        worth = np.where(places < (most or len(order)), 1.0 / np.log2(places + 2.0), 0.0)
        sums += np.bincount(query[order], weights=gains[order] * worth, minlength=len(sums))
    share = np.divide(found, best, out=np.ones_like(found), where=best > 0)
    return np.asarray(1.0 - share[query], dtype=np.float64)
