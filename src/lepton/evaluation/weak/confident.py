"""Mistakes that a model was sure of, and which labels it takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lepton.evaluation.answers import Answers
from lepton.evaluation.bootstrap import Estimate, intervals
from lepton.evaluation.classification import Floats, mean_of

__all__ = ["Case", "Confidence", "Confident", "Confusion", "confidence_of", "confident_mistakes", "confusions"]

SURE = 0.9
UNSURE = 0.6
_RESAMPLES = 200
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Case:
    """One row that was judged.

    Attributes:
        row: its position among the rows that were judged, from 0.
        truth: what was true.
        answer: what the model said.
        sure: probability of the answer; for numbers, how many half-widths of its interval, or typical errors, the truth
            lies away from the answer.
        values: some of its columns.
    """

    row: int
    truth: str | int | float
    answer: str | int | float
    sure: float
    values: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "row": self.row,
            "truth": self.truth,
            "answer": self.answer,
            "sure": self.sure if np.isfinite(self.sure) else None,
            "values": self.values,
        }


@dataclass(frozen=True, slots=True)
class Confusion:
    """One label taken for another.

    Attributes:
        truth: the true label.
        answer: what the model said.
        num_rows: in how many rows.
        share: of the rows where the true label holds.
        examples: rows of it, the surest first.
    """

    truth: str | int
    answer: str | int
    num_rows: int
    share: float
    examples: tuple[Case, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "truth": self.truth,
            "answer": self.answer,
            "num_rows": self.num_rows,
            "share": self.share,
            "examples": [each.to_dict() for each in self.examples],
        }


@dataclass(frozen=True, slots=True)
class Confident:
    """Mistakes that the model was sure of, the surest first.

    Attributes:
        cases: the rows.
        measure: what `sure` of a case is, in words.
        limit: from which probability an answer counts as sure; None for numbers.
        num_sure: rows answered so surely; for numbers, rows beyond the interval.
        wrong: share of these that are wrong; None for numbers.
        expected: share that would be wrong if the probabilities were right; None for numbers.
    """

    cases: tuple[Case, ...]
    measure: str
    limit: float | None = None
    num_sure: int = 0
    wrong: Estimate | None = None
    expected: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "cases": [each.to_dict() for each in self.cases],
            "measure": self.measure,
            "limit": self.limit,
            "num_sure": self.num_sure,
            "wrong": None if self.wrong is None else self.wrong.to_dict(),
            "expected": self.expected,
        }


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure a classifier says it is, which needs no truth.

    Attributes:
        mean: mean probability of the answers: the share that is right, if the probabilities hold.
        sure: share of rows answered with a probability of at least 0.9.
        unsure: share of rows answered with less than 0.6.
    """

    mean: float
    sure: float
    unsure: float

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"mean": self.mean, "sure": self.sure, "unsure": self.unsure}


def confident_mistakes(
    answers: Answers, *, columns: Sequence[str] = (), most: int = 10, limit: float = SURE, seed: int = 0
) -> Confident:
    """The mistakes a model was surest of: of labels by their probability, of numbers by the distance of the truth.

    Args:
        answers: truth and answers of N rows.
        columns: what is shown of each row, of `answers.columns`.
        most: rows at most.
        limit: probability from which an answer to labels counts as sure.
        seed: of the interval.
    """
    if answers.y.ndim == 2 or answers.task == "ranking":
        return Confident((), "one answer a row is needed")
    if not answers.labels:
        return _far(answers, columns, most)
    shares = answers.probabilities
    if shares is None or not np.isfinite(shares).all():
        return Confident((), "the model gives no probabilities")
    sure = shares[np.arange(answers.num_rows), answers.predicted]
    wrong = answers.y != answers.predicted
    mistakes = np.flatnonzero(wrong)
    order = mistakes[np.argsort(-sure[mistakes], kind="stable")][:most]
    surely = sure >= limit
    share, expected = None, None
    if surely.any():
        part = answers.only(surely)
        found = intervals(
            {(): mean_of(wrong[surely].astype(np.float64))},
            part.num_rows,
            weight=part.weight,
            groups=part.groups,
            resamples=_RESAMPLES,
            seed=seed,
        )
        share = found[()]
        if part.weight is None or part.weight.any():
            expected = float(np.average(1.0 - sure[surely], weights=part.weight))
    cases = tuple(_case(answers, row, float(sure[row]), columns) for row in order.tolist())
    return Confident(cases, "probability of the answer", limit, int(surely.sum()), share, expected)


def _far(answers: Answers, columns: Sequence[str], most: int) -> Confident:
    """Numbers: the truth that lies farthest from the answer, in half-widths of its own interval where there is one."""
    truth, answer = np.asarray(answers.y, dtype=np.float64), np.asarray(answers.predicted, dtype=np.float64)
    distance = np.abs(truth - answer)
    if "lower" in answers.beside and "upper" in answers.beside:
        lower, upper = answers.beside["lower"], answers.beside["upper"]
        away = np.where(truth >= answer, upper - answer, answer - lower)
        measure = "distance to the truth, where the end of the stated interval is at 1"
        far = np.divide(distance, away, out=np.where(distance > 0, np.inf, 0.0), where=away > 0)
        beyond = int(((truth < lower) | (truth > upper)).sum())
    else:
        finite = distance[np.isfinite(distance)]
        typical = float(np.median(finite)) if len(finite) else 0.0
        measure = "distance to the truth in typical (median) errors; the model states no intervals"
        far = distance / typical if typical > 0 else distance
        beyond = 0
    ranked = np.where(np.isnan(distance) | np.isnan(far), np.inf, far)
    order = np.lexsort((-np.nan_to_num(distance, nan=np.inf), -ranked))[:most]
    cases = tuple(_case(answers, row, float(ranked[row]), columns) for row in order.tolist() if ranked[row] > 0)
    return Confident(cases, measure, num_sure=beyond)


def confusions(
    answers: Answers, *, columns: Sequence[str] = (), most: int = 10, examples: int = 3
) -> tuple[Confusion, ...]:
    """Which labels are taken for which, the most frequent first; empty for numbers.

    Args:
        answers: truth and answers of N rows.
        columns: what is shown of each example, of `answers.columns`.
        most: pairs of labels at most.
        examples: rows of each pair at most.
    """
    if not answers.labels or answers.y.ndim == 2:
        return ()
    width = len(answers.labels)
    wrong = np.flatnonzero(answers.y != answers.predicted)
    cells, counts = np.unique(answers.y[wrong] * width + answers.predicted[wrong], return_counts=True)
    rows_of_truth = np.bincount(answers.y, minlength=width)
    sure: Floats = np.zeros(answers.num_rows)
    if answers.probabilities is not None:
        sure = answers.probabilities[np.arange(answers.num_rows), answers.predicted]
    found = []
    for place in np.argsort(-counts, kind="stable")[:most].tolist():
        truth, answer = divmod(int(cells[place]), width)
        rows = wrong[(answers.y[wrong] == truth) & (answers.predicted[wrong] == answer)]
        shown = rows[np.argsort(-sure[rows], kind="stable")][:examples]
        found.append(
            Confusion(
                answers.labels[truth],
                answers.labels[answer],
                int(counts[place]),
                float(counts[place] / rows_of_truth[truth]),
                tuple(_case(answers, row, float(sure[row]), columns) for row in shown.tolist()),
            )
        )
    return tuple(found)


def _case(answers: Answers, row: int, sure: float, columns: Sequence[str]) -> Case:
    truth, answer = answers.y[row].item(), answers.predicted[row].item()
    if answers.labels:
        truth, answer = answers.labels[truth], answers.labels[answer]
    values = {name: plain(answers.columns[name][row]) for name in columns}
    return Case(row, truth, _finite(answer), sure, values)


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def plain(value: Any) -> Any:
    """A cell as JSON takes it: numbers, truth values, short texts, None."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def confidence_of(answers: Answers) -> Confidence | None:
    """How sure a classifier says it is of N rows; None where it gives no probability of one label a row."""
    shares = answers.probabilities
    if shares is None or answers.predicted.ndim == 2 or not np.isfinite(shares).all():
        return None
    sure = shares[np.arange(len(shares)), answers.predicted]
    weight = answers.weight
    mean, high, low = (float(np.average(each, weights=weight)) for each in (sure, sure >= SURE, sure < UNSURE))
    return Confidence(mean, high, low)
