"""Asking a model about rows that it may refuse: a refusal is an answer too, and is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import Predictor, SeriesInputs
from lepton.core import ErrorCode, Interrupted, LeptonError, Role, UsageError
from lepton.data import Dataset
from lepton.evaluation.answers import Answers
from lepton.evaluation.classification import label_positions

__all__ = [
    "MAX_CELLS",
    "Replies",
    "ask",
    "bounded",
    "has_truth",
    "inputs_of",
    "joined",
    "refuse_series",
    "replied",
]

MAX_CELLS = 2_000_000
"""Rows × columns of a table; of wider ones fewer rows are taken, 200 at least."""

_LEAST_ROWS = 200

_MOST_CALLS = 200
"""Calls that look for the rows a model refuses; what is left of a batch then counts as refused."""


@dataclass(frozen=True, slots=True)
class Replies:
    """What a model answered to N rows.

    Attributes:
        predicted: positions of labels int64 [N], flags [N, L], or numbers float64 [N]; of a refused row anything.
        probabilities: float64 [N, C], or None.
        beside: further outputs by name.
        answered: which rows got an answer [N]; an answer that is no number is none.
        reason: the first refusal, or "".
    """

    predicted: NDArray[Any]
    probabilities: NDArray[np.float64] | None
    beside: dict[str, NDArray[Any]]
    answered: NDArray[np.bool_]
    reason: str = ""


Rows = pl.DataFrame | Mapping[str, NDArray[Any]] | Sequence[Any]


def ask(predictor: Predictor, rows: Rows, like: Answers) -> Replies:
    """Answers to a frame, to tensors that are packed already, or to a list of contents.

    Args:
        predictor: an opened model.
        rows: N of them.
        like: answers of the same model, for what stands beside them.
    """
    num_rows = _length(rows)
    calls = [0]
    reasons: list[str] = []
    parts = list(_parts(predictor, rows, 0, num_rows, calls, reasons))
    answered = np.concatenate([np.full(stop - start, given is not None) for start, stop, given in parts])
    first = next((given for *_, given in parts if given is not None), None)
    if first is None:
        return _nothing(like, num_rows, reasons)
    outputs = {
        name: np.concatenate(
            [
                np.zeros((stop - start, *array.shape[1:]), array.dtype) if given is None else given[name]
                for start, stop, given in parts
            ]
        )
        for name, array in first.items()
    }
    return _read(predictor, outputs, like, answered, reasons)


def _length(rows: Rows) -> int:
    return len(next(iter(rows.values()))) if isinstance(rows, Mapping) else len(rows)


def _sliced(rows: Rows, start: int, stop: int) -> Any:
    if isinstance(rows, Mapping):
        return {name: array[start:stop] for name, array in rows.items()}
    return rows[start:stop]


def _parts(
    predictor: Predictor, rows: Rows, start: int, stop: int, calls: list[int], reasons: list[str]
) -> list[tuple[int, int, dict[str, NDArray[Any]] | None]]:
    """The outputs of runs of rows, None where the model refuses them: halves, until each row stands for itself."""
    calls[0] += 1
    part = _sliced(rows, start, stop)
    try:
        run: Callable[[Any], dict[str, NDArray[Any]]] = (
            predictor.run if isinstance(rows, Mapping) else predictor.outputs
        )
        return [(start, stop, run(part))]
    except Interrupted:
        raise
    except LeptonError as error:
        if not reasons:
            reasons.append(error.came)
        if stop - start <= 1 or calls[0] >= _MOST_CALLS:
            return [(start, stop, None)]
    middle = (start + stop) // 2
    first = _parts(predictor, rows, start, middle, calls, reasons)
    return first + _parts(predictor, rows, middle, stop, calls, reasons)


def _nothing(like: Answers, num_rows: int, reasons: Sequence[str]) -> Replies:
    probabilities = None if like.probabilities is None else np.zeros((num_rows, like.probabilities.shape[1]))
    predicted = np.zeros((num_rows, *like.predicted.shape[1:]), like.predicted.dtype)
    beside = {name: np.zeros((num_rows, *each.shape[1:]), each.dtype) for name, each in like.beside.items()}
    return Replies(predicted, probabilities, beside, np.zeros(num_rows, dtype=bool), "".join(reasons[:1]))


def _read(
    predictor: Predictor,
    outputs: dict[str, NDArray[Any]],
    like: Answers,
    answered: NDArray[np.bool_],
    reasons: Sequence[str],
) -> Replies:
    probabilities = None
    if like.labels:
        probabilities = np.asarray(outputs["probabilities"], dtype=np.float64)
        answered = answered & np.isfinite(probabilities).all(axis=1)
    predicted: NDArray[Any]
    if predictor.task.several:
        predicted = np.asarray(outputs["prediction"], dtype=np.int64)
    elif like.labels:
        given = outputs["prediction"].copy()
        given[~answered] = like.labels[0]
        predicted = label_positions(given, like.labels, "the prediction")
    else:
        predicted = np.asarray(outputs[predictor.task.answer], dtype=np.float64).reshape(len(answered))
        answered = answered & np.isfinite(predicted)
    reason = reasons[0] if reasons else "" if answered.all() else "the answer is not a number"
    return Replies(predicted, probabilities, {name: outputs[name] for name in like.beside}, answered, reason)


def joined(parts: Sequence[Replies]) -> Replies:
    """The replies to one run of rows after the other."""
    shares = [each.probabilities for each in parts if each.probabilities is not None]
    return Replies(
        np.concatenate([each.predicted for each in parts]),
        np.concatenate(shares) if shares else None,
        {name: np.concatenate([each.beside[name] for each in parts]) for name in parts[0].beside},
        np.concatenate([each.answered for each in parts]),
        next((each.reason for each in parts if each.reason), ""),
    )


def replied(answers: Answers, replies: Replies) -> Answers:
    """The same rows and truth with other answers."""
    return replace(answers, predicted=replies.predicted, probabilities=replies.probabilities, beside=replies.beside)


def refuse_series(predictor: Predictor) -> None:
    """Refuse a model that answers no row for itself.

    Raises:
        UsageError: a model for forecasts, or of plain tensors.
    """
    if isinstance(predictor.inputs, SeriesInputs) or not predictor.task.answer:
        what = "forecasts" if predictor.task.name == "forecast" else "plain tensors"
        raise UsageError(
            ErrorCode.USAGE, f"got a model for {what}", wanted="a model that answers rows, pictures, sounds or texts"
        )


def has_truth(predictor: Predictor, dataset: Dataset, target: str | None) -> bool:
    """Whether the rows say what is true: a target that is asked for has to be there."""
    if not predictor.task.supervised:
        return False
    if target is not None:
        return True
    if predictor.task.several:
        return all(name in dataset.schema for name in predictor.label_names)
    recorded = predictor.manifest.target
    if recorded is not None:
        return recorded.name in dataset.schema
    return len(dataset.schema.of_role(Role.TARGET)) == 1


def inputs_of(predictor: Predictor, dataset: Dataset) -> list[str]:
    """Columns that the model takes and the rows have."""
    there = set(dataset.schema.names)
    return [column.name for column in predictor.manifest.inputs if column.name in there]


def bounded(dataset: Dataset, max_rows: int, num_columns: int, seed: int) -> Dataset:
    """At most `max_rows` of the rows, drawn, and of wide tables at most `MAX_CELLS` cells.

    Raises:
        UsageError: fewer than two.
    """
    if max_rows < 2:
        raise UsageError(ErrorCode.USAGE, f"got max_rows={max_rows}", wanted="at least two rows")
    most = min(max_rows, max(_LEAST_ROWS, MAX_CELLS // max(num_columns, 1)))
    if dataset.num_rows <= most:
        return dataset
    return dataset.split(most / dataset.num_rows, method="random", seed=seed)[1]
