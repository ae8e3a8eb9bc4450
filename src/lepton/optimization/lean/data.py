"""From what the user gives to rows: to learn from, to choose by, and to prove with, which nothing else sees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import Predictor, SeriesInputs, TensorInputs
from lepton.core import DataError, ErrorCode, Role, UsageError, Work
from lepton.data import Dataset
from lepton.data.media.decoded import files_column, takes_files
from lepton.data.split import split_by_group, split_by_time, split_random, split_stratified
from lepton.evaluation import Metric, metric as find_metric
from lepton.evaluation.answers import Answers, gather
from lepton.evaluation.classification import Floats, Labels, Score, label_positions
from lepton.evaluation.segments import MIN_ROWS, parts_of
from lepton.optimization.lean.proof import least_rows
from lepton.optimization.lean.rows import Rows

__all__ = ["Arrays", "Material", "Wish", "gathered", "material_of", "metric_for", "parts_among"]

MOST_BYTES = 512 * 2**20
"""Tensors of all rows together; of more rows some are drawn."""
_PROVE, _MOST_PROVE, _ENOUGH = 0.25, 0.4, 8_000
_CHOOSE, _CHOOSE_NEW = 0.15, 0.25
_LEAST_ROWS = 100
_SAMPLE, _FILES = 256, 64

Arrays = tuple[Any, Any]
"""x, and y or None, as tensor models are given them."""


@dataclass(frozen=True)
class Wish:
    """How the rows are to be judged.

    Attributes:
        metric: name, function or None for what fits.
        target: column of the truth, where it is another one than in training.
        weight: column of weights.
        segments: columns whose values are judged on their own.
        max_loss: that is to be proven, or None.
    """

    metric: Any = None
    target: str | None = None
    weight: str | None = None
    segments: tuple[str, ...] = ()
    max_loss: float | None = None


@dataclass(frozen=True)
class Material:
    """What a model is compressed by.

    Attributes:
        metric: what losses are told in.
        learn: rows that steps learn from.
        choose: rows that the search judges by.
        prove: rows that the proof alone sees.
        sample: single rows as a caller gives them, to time calls with.
        notes: what is to be said about the rows.
    """

    metric: Metric
    learn: Rows
    choose: Rows
    prove: Rows
    sample: Any
    notes: tuple[str, ...]


def material_of(
    original: Predictor, data: Dataset | Arrays, proof: Dataset | Arrays | None, wish: Wish, work: Work
) -> Material:
    """The rows of `data` in three parts, by groups or time where roles say so, else alike in labels.

    Args:
        original: the model as it came.
        data: rows, with the truth where there is one.
        proof: rows that the model has not seen, to choose by and to prove with; `data` is then learned from as a
            whole. By default a quarter of `data` proves, or more of few rows.
        wish: how they are judged.
        work: cancel, progress and seed.

    Raises:
        DataError: too few rows to prove `max_loss`, rows of one class, or rows that cannot be read.
        SchemaError: rows that the model does not take.
        UsageError: a model for forecasts, or a metric that does not fit.
    """
    rows, sample, notes = gathered(original, data, wish, work, is_new=proof is None)
    metric = metric_for(original, wish.metric, rows.labelled)
    _check_classes(rows)
    if proof is None:
        share = min(max(_ENOUGH / len(rows), _PROVE), _MOST_PROVE)
        _check_enough(round(share * len(rows)), share, metric, rows, wish)
        rest, prove = _apart(rows, share, work.seed_for("prove"), data)
        learn, choose = _apart(rest, _CHOOSE / (1 - share), work.seed_for("choose"), data)
    else:
        learn, (new, _, more) = rows, gathered(original, proof, wish, work)
        notes += tuple(f"the rows of the proof: {note}" for note in more)
        if new.labelled != rows.labelled:
            raise DataError(
                ErrorCode.BAD_TARGET,
                f"the {'rows to learn from' if new.labelled else 'rows of the proof'} have no target, the others do",
                wanted="the target in both, or in neither",
            )
        _check_enough(round((1 - _CHOOSE_NEW) * len(new)), 1 - _CHOOSE_NEW, metric, new, wish)
        prove, choose = _apart(new, _CHOOSE_NEW, work.seed_for("choose"), proof)
    return Material(metric, learn, choose, prove, sample, notes)


def metric_for(original: Predictor, asked: Any, labelled: bool) -> Metric:
    """What a loss is told in: shares of right answers, R² of numbers, else the task's own.

    Raises:
        UsageError: no such metric, or one that says nothing without a truth.
    """
    task = original.task
    if not labelled:
        if asked is None:
            classes = task.classifies and not task.several
            return find_metric("accuracy", task.name) if classes or task.several else _agreement(task.name)
        found = find_metric(asked, task.name)
        if not found.bounded:
            raise UsageError(
                ErrorCode.USAGE,
                f"got metric={found.name!r}, and rows without the target",
                wanted="rows with the target: against its own answers the original makes no mistake to compare with",
            )
        return found
    if asked is None:
        asked = "accuracy" if original.manifest.labels else "r2" if task.name == "regression" else None
    return find_metric(asked, task.name)


def parts_among(rows: Rows, segments: Sequence[str]) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Masks of the true classes and of the values of columns, of those with enough rows to speak of."""
    answers, found = rows.answers, {}
    if answers.labels and answers.y.ndim == 1:
        for place, label in enumerate(answers.labels):
            found["class", str(label)] = answers.y == place
    for column in segments:
        found |= {(column, value): mask for value, mask in parts_of(answers.columns[column])}
    return {name: mask for name, mask in found.items() if int(mask.sum()) >= MIN_ROWS}


def gathered(
    original: Predictor, data: Dataset | Arrays, wish: Wish, work: Work, *, is_new: bool = True
) -> tuple[Rows, Any, tuple[str, ...]]:
    """All rows with what the original answers, some to time calls with, and what is to be said of them.

    Args:
        original: the model.
        data: rows.
        wish: how they are judged.
        work: cancel, progress and seed.
        is_new: whether the model should not have learned from them.

    Raises:
        DataError, SchemaError, UsageError: as of `material_of`.
    """
    if isinstance(original.inputs, SeriesInputs):
        raise UsageError(
            ErrorCode.USAGE, "got a model for forecasts", wanted="a model that answers row by row: these only for now"
        )
    if isinstance(data, tuple):
        return _of_arrays(original, *data, work)
    return _of_table(original, data, wish, work, is_new)


def _of_table(
    original: Predictor, data: Dataset, wish: Wish, work: Work, is_new: bool
) -> tuple[Rows, Any, tuple[str, ...]]:
    data, notes = _with_roles(original, data), []
    labelled = _is_labelled(original, data, wish.target)
    if not labelled:
        notes.append("the rows have no target: what is kept is agreement with the original's answers")
    known = original.manifest.lineage.get("dataset")
    if is_new and isinstance(known, Mapping) and known.get("fingerprint") == data.fingerprint():
        notes.append("the model was trained on these very rows: it is better on them than on new ones, and so is what "
                     "is proven; give rows that it has not seen")  # fmt: skip
    sample = _sample(original, data)
    size = _bytes_a_row(original, sample) * data.num_rows
    if size > MOST_BYTES:
        before = data.num_rows
        data = data.split(MOST_BYTES / size, method="random", seed=work.seed_for("sample"))[1]
        notes.append(f"{data.num_rows:,} of {before:,} rows were drawn, so that their tensors take at most 512 MB")
    times = [each.name for each in data.schema.of_role(Role.TIME)]
    parts: list[dict[str, NDArray[Any]]] = []
    answers = gather(
        original,
        data,
        target=wish.target,
        weight=wish.weight,
        columns=[*wish.segments, *times],
        tensors=parts,
        labelled=labelled,
        work=work,
    )
    if answers.num_missing:
        notes.append(f"{answers.num_missing:,} rows without a target were left out")
    if answers.unseen:
        notes.append(f"{sum(answers.unseen.values()):,} rows of labels that the model does not know were left out")
    return Rows(_joined(parts), answers, labelled), sample, tuple(notes)


def _of_arrays(original: Predictor, x: Any, y: Any, work: Work) -> tuple[Rows, Any, tuple[str, ...]]:
    tensors = original.tensors(x)
    num_rows = len(next(iter(tensors.values())))
    truth = None if y is None else np.asarray(y)
    if truth is not None and len(truth) != num_rows:
        raise DataError(ErrorCode.WRONG_SHAPE, f"got {num_rows} rows of x and {len(truth)} of y", wanted="one y a row")
    if num_rows == 0:
        raise DataError(ErrorCode.EMPTY_DATA, "the arrays hold no rows", wanted="rows")
    given = original.run(tensors)
    labels, several = original.manifest.labels or (), original.task.several
    probabilities = given.get("probabilities")
    predicted: NDArray[Any]
    if several:
        predicted = np.asarray(given["prediction"], dtype=np.int64)
    elif labels:
        predicted = label_positions(given["prediction"], labels, "the prediction")
    else:
        numbers = np.asarray(given[original.answer], dtype=np.float64)
        predicted = numbers.reshape(num_rows, -1) if original.task.name == "tensor" else numbers.reshape(num_rows)
    notes: tuple[str, ...] = ()
    if truth is None or not original.task.supervised:
        truth, notes = predicted, ("there is no truth: what is kept is agreement with the original's answers",)
    elif labels and not several:
        truth = label_positions(truth.reshape(num_rows), labels, "y")
    else:
        truth = truth.astype(np.int64 if several else np.float64).reshape(predicted.shape)
    target = original.manifest.target
    answers = Answers(
        original.task.name,
        "" if target is None else target.name,
        labels,
        truth,
        predicted,
        None if probabilities is None else np.asarray(probabilities, dtype=np.float64),
        None,
        None,
        pl.DataFrame(),
    )
    work.check()
    return Rows(tensors, answers, not notes), _single_rows(original, x, tensors), notes


def _single_rows(original: Predictor, x: Any, tensors: Mapping[str, NDArray[Any]]) -> Any:
    """Some of the rows as callers give them one by one."""
    if isinstance(original.inputs, TensorInputs):
        return tensors if original.inputs.column is None else x[:_SAMPLE]
    if isinstance(x, np.ndarray) and not x.dtype.names:
        names = [each.name for each in original.manifest.inputs]
        return [dict(zip(names, row, strict=True)) for row in x[:_SAMPLE].tolist()]
    return x[:_SAMPLE]


def _with_roles(original: Predictor, data: Dataset) -> Dataset:
    """The data with the roles of training for columns that have none now."""
    told = original.manifest.lineage.get("roles")
    features = {each.name for each in data.schema if each.role is Role.FEATURE}
    taken = {each.name for each in original.manifest.inputs}
    roles = {
        name: role
        for name, role in (told.items() if isinstance(told, Mapping) else ())
        if name in features - taken and role in (Role.GROUP, Role.TIME, Role.WEIGHT)
    }
    return data.with_roles(roles) if roles else data


def _is_labelled(original: Predictor, data: Dataset, target: str | None) -> bool:
    if not original.task.supervised:
        return False
    if target is not None:
        return True
    if original.task.several:
        return all(name in data.schema for name in original.label_names)
    recorded = original.manifest.target
    if recorded is None:
        return len(data.schema.of_role(Role.TARGET)) == 1
    return recorded.name in data.schema


def _sample(original: Predictor, data: Dataset) -> Any:
    """Some rows as callers give them: of files, their bytes."""
    names = [each.name for each in original.manifest.inputs]
    if not isinstance(original.inputs, TensorInputs):
        return data.head(_SAMPLE).select([name for name in names if name in data.schema])
    is_files = takes_files(original.inputs)
    name = files_column(data, original.inputs) if is_files else data.schema[original.inputs.names[0]].name
    cells = data.head(_FILES if is_files else _SAMPLE)[name].to_list()
    if is_files:
        return [cell if isinstance(cell, bytes) else data.references.read(str(cell)) for cell in cells if cell]
    return cells


def _bytes_a_row(original: Predictor, sample: Any) -> int:
    tensors = original.tensors(sample)
    num_rows = max(len(next(iter(tensors.values()))), 1)
    return sum(map(_num_bytes, tensors.values())) // num_rows + 1


def _num_bytes(tensor: NDArray[Any]) -> int:
    if tensor.dtype != object:
        return tensor.nbytes
    return tensor.nbytes + sum(cell.nbytes if isinstance(cell, np.ndarray) else 64 for cell in tensor.ravel().tolist())


def _joined(parts: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """One tensor for each name; the parts are let go of one by one."""
    found: dict[str, NDArray[Any]] = {}
    for name in list(parts[0]):
        pieces = [part.pop(name) for part in parts]
        shapes = {piece.shape[1:] for piece in pieces}
        if len(shapes) > 1:  # of unequal shapes from batch to batch
            whole = np.empty(sum(map(len, pieces)), dtype=object)
            for place, row in enumerate(row for piece in pieces for row in piece):
                whole[place] = row
            found[name] = whole
        else:
            found[name] = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    return found


def _check_classes(rows: Rows) -> None:
    answers = rows.answers
    if answers.labels and answers.y.ndim == 1 and len(np.unique(answers.y)) < 2:
        only = answers.labels[int(answers.y[0])]
        raise DataError(
            ErrorCode.BAD_TARGET,
            f"every row is of the class {only!r}",
            wanted="rows of two classes or more: a model that always answers one of them would keep the budget",
        )


def _check_enough(num_rows: int, share: float, metric: Metric, rows: Rows, wish: Wish) -> None:
    """Refuse rows that could not prove the budget whatever the model."""
    needed = _LEAST_ROWS
    if wish.max_loss is not None and metric.needs == "labels":
        needed = max(needed, least_rows(wish.max_loss))
    if num_rows < needed:
        in_all = math.ceil(needed / share)
        raise DataError(
            ErrorCode.TOO_FEW_ROWS,
            f"{num_rows:,} rows are there to prove with"
            + ("" if share == 1 else f", of {len(rows):,} in all")
            + ("" if wish.max_loss is None else f", and max_loss is {wish.max_loss:g}"),
            wanted=f"at least {needed:,} rows to prove with" + ("" if share == 1 else f", which is {in_all:,} in all"),
            fix="give more rows, rows to prove with (proof=, --proof), or a larger max_loss",
            details={"rows": num_rows, "needed": needed},
        )


def _apart(rows: Rows, share: float, seed: int, data: Dataset | Arrays) -> tuple[Rows, Rows]:
    """Rows in two parts, the second of which is `share` of them."""
    answers = rows.answers
    times = [] if isinstance(data, tuple) else [each.name for each in data.schema.of_role(Role.TIME)]
    if answers.groups is not None:
        second = split_by_group(pl.Series("group", answers.groups), share, seed)
    elif times and times[0] in answers.columns.columns:
        second = split_by_time(answers.columns[times[0]], share)
    elif answers.labels and answers.y.ndim == 1:
        second = split_stratified(pl.Series("target", answers.y), share, seed)
    else:
        second = split_random(len(rows), share, seed)
    return rows.take(np.flatnonzero(~second)), rows.take(np.flatnonzero(second))


def _agreement(task: str) -> Metric:
    """R² of all numbers of a row against the original's; of clusters the share that is the same."""
    is_cluster = task == "clustering"
    name, title = ("agreement", "Same cluster") if is_cluster else ("r2", "R² against the original")
    prepare = _same if is_cluster else _explained

    def function(y: Any, answer: Any, weight: Any = None, labels: Labels = ()) -> float:
        every = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
        return float(prepare(y, answer, labels)(every[None, :])[0])

    return Metric(name, title, (task,), "numbers", True, True, function, "all answers are the same", prepare)


def _same(y: Any, answer: Any, _labels: Labels) -> Score:
    same = np.asarray(y == answer, dtype=np.float64)
    return lambda weights: weights @ same / weights.sum(axis=1)


def _explained(y: Any, answer: Any, _labels: Labels) -> Score:
    truth = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
    error = ((truth - np.asarray(answer, dtype=np.float64).reshape(len(y), -1)) ** 2).sum(axis=1)
    centred = truth - truth.mean(axis=0)
    squares = (centred**2).sum(axis=1)

    def score(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        spread = weights @ squares - ((weights @ centred) ** 2).sum(axis=1) / total
        found: Floats = np.full(len(weights), np.nan)
        np.divide(weights @ error, spread, out=found, where=spread > 0)
        return 1 - found

    return score
