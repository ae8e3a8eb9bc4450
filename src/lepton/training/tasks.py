"""Targets: which task they mean, and the numbers that learners see of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import TableInputs
from lepton.core import (
    ColumnRecord,
    DataError,
    ErrorCode,
    Kind,
    LeptonError,
    Role,
    Schema,
    UsageError,
    check_label,
    printable,
)
from lepton.core.tasks import task_record
from lepton.training.base import Doubles
from lepton.training.further import check_relevance, label_columns

__all__ = ["MAX_CLASSES", "Scale", "Target", "infer_task", "prepare_target", "prepare_weight"]

MAX_CLASSES = 1_000
_MAX_NUMBER_CLASSES = 10
_ROWS_A_CLASS = 5
_FAR_FROM_ZERO = 1e4  # standard deviations; beyond, the 24 bits in which boosting keeps targets are too few
_LARGEST = 1e150
_WITHIN_FLOAT32 = (1e-20, 1e20)
_NUMBERS = frozenset({"regression", "quantile", "ranking"})
_CLASS_KINDS = frozenset({Kind.CATEGORY, Kind.TEXT, Kind.BOOLEAN})


@dataclass(frozen=True)
class Scale:
    """What learners see of a number is `(y - offset) / factor`; mostly `offset` is 0 and `factor` 1."""

    offset: float = 0.0
    factor: float = 1.0

    @classmethod
    def of(cls, values: Doubles) -> Scale:
        """No scaling where the numbers are of a usual size, else mean and standard deviation."""
        largest = float(np.abs(values).max())
        relative = values / largest
        mean, deviation = float(relative.mean()) * largest, float(relative.std()) * largest
        usual = _WITHIN_FLOAT32[0] < deviation and largest < _WITHIN_FLOAT32[1]
        if usual and abs(mean) < _FAR_FROM_ZERO * deviation:
            return cls()
        return cls(mean, deviation or largest)

    @property
    def is_identity(self) -> bool:
        """Whether nothing is scaled."""
        return self == Scale()


@dataclass(frozen=True)
class Target:
    """A target that can be learned.

    Attributes:
        column: where it stands in the table.
        task: `regression`, `binary`, `multiclass`, `quantile`, `multilabel` or `ranking`.
        labels: class labels in order, texts or ints, or names of columns of labels; None for numbers.
        rows: positions of the rows that have a target [N].
        values: numbers [N], positions in `labels` [N], or 1 for each label that holds [N, L].
        notes: what was decided, for people.
    """

    column: ColumnRecord
    task: str
    labels: tuple[str, ...] | tuple[int, ...] | None
    rows: NDArray[np.int64]
    values: Doubles
    notes: tuple[str, ...]


def infer_task(column: ColumnRecord, values: pl.Series) -> tuple[str, str]:
    """The task that a target means, and why.

    Args:
        column: the target.
        values: its values without missing ones.
    """
    distinct = values.n_unique()
    if column.kind in _CLASS_KINDS:
        return _classes(distinct), f"{column.name!r} is of kind {column.kind} with {distinct} classes"
    whole = values.dtype.is_integer() or bool((values == values.floor()).all())
    if distinct == 2 and whole:
        return "binary", f"{column.name!r} has two values"
    if whole and distinct <= _MAX_NUMBER_CLASSES and len(values) >= _ROWS_A_CLASS * distinct:
        return "multiclass", (
            f"{column.name!r} has {distinct} different whole numbers, taken as classes; "
            "task='regression' takes them as amounts"
        )
    return "regression", f"{column.name!r} is a number with {distinct} different values"


def _classes(distinct: int) -> str:
    return "binary" if distinct == 2 else "multiclass"


def prepare_target(frame: pl.DataFrame, schema: Schema, name: str, task: str | None = None) -> Target:
    """The target column as numbers, with the rows that have one.

    Args:
        frame: the table, typed as `schema` says.
        schema: its columns.
        name: of the target.
        task: what to learn; None for what the target means.

    Raises:
        DataError: there is no such column (the closest is named), or it cannot be learned; the message says why.
        UsageError: no such task.
    """
    if task == "multilabel":
        return _several_labels(frame, schema)
    column = schema[name]
    if column.kind not in _CLASS_KINDS | {Kind.NUMBER}:
        raise _bad(
            f"the target {name!r} is of kind {column.kind}"
            + (": its values name rows" if column.kind is Kind.IDENTIFIER else ""),
            wanted="a number, category or boolean",
            fix=f"if it is one, say so: lepton.read(…, kinds={{{name!r}: 'category'}}) or 'number'",
        )
    present = frame[name].is_not_null()
    rows = np.flatnonzero(present.to_numpy())
    values = frame[name].filter(present)
    if len(values) == 0:
        raise _bad(f"every value of the target {name!r} is missing", fix="choose another target or mend the column")
    missing = len(frame) - len(values)
    notes = [f"left out {missing} of {len(frame)} rows, which have no target"] if missing else []
    if values.dtype.is_float():
        _check_finite(name, values.to_numpy(), rows)
    if values.n_unique() == 1:
        raise _bad(
            f"the target {name!r} is {printable(str(values[0]), 60)!r} in every row", wanted="values that differ"
        )
    if task is None:
        task, reason = infer_task(column, values)
        notes.insert(0, f"task {task}: {reason}")
    elif not task_record(task).supervised:
        raise UsageError(
            ErrorCode.USAGE, f"got the task {task!r}", wanted="one with a target", fix="KMeans(8).fit(table)"
        )
    if task in _NUMBERS:
        if column.kind is not Kind.NUMBER:
            raise _bad(
                f"the target {name!r} is of kind {column.kind}", wanted=f"a number for {task}", fix="leave task out"
            )
        numbers = values.cast(pl.Float64).to_numpy()
        if task == "ranking":
            check_relevance(name, numbers, schema)
        return Target(column, task, None, rows, numbers, tuple(notes))
    labels, codes = _encoded(column, values)
    _check_classes(name, task, labels, codes)
    shares = np.bincount(codes) / len(codes)
    if shares.min() < 0.05 / len(labels):
        notes.append(
            f"classes are uneven: {labels[int(shares.argmin())]!r} has {100 * shares.min():.2g} % of the rows; "
            "nothing is reweighted, so that probabilities stay true: choose a threshold for your costs instead"
        )
    return Target(column, task, labels, rows, codes.astype(np.float64), tuple(notes))


def _several_labels(frame: pl.DataFrame, schema: Schema) -> Target:
    """One column for each label, 1 in the rows where it holds."""
    names = label_columns(frame, schema)
    found = [prepare_target(frame, schema, name, "binary") for name in names]
    for target in found:
        if target.labels not in {("false", "true"), (0, 1)}:
            raise _bad(
                f"the label {target.column.name!r} holds {' and '.join(map(repr, target.labels or ()))}",
                wanted="booleans, or 0 and 1, in each column of labels",
                fix="make a boolean column for each label",
            )
    values = np.stack([target.values for target in found], axis=1)
    notes = tuple(f"of {target.column.name!r}, {note}" for target in found for note in target.notes)
    return Target(found[0].column, "multilabel", names, found[0].rows, values, notes)


def _encoded(column: ColumnRecord, values: pl.Series) -> tuple[tuple[str, ...] | tuple[int, ...], NDArray[np.int64]]:
    """Labels in order and the position of each value among them; booleans are "false" and "true"."""
    if column.kind is Kind.NUMBER:
        if values.dtype.is_float() and bool((values != values.floor()).any()):
            raise _bad(
                f"the target {column.name!r} holds fractions such as {values.filter(values != values.floor())[0]}",
                wanted="whole numbers, texts or booleans as classes",
                fix=f"kinds={{{column.name!r}: 'category'}} takes them as texts; task='regression' as amounts",
            )
        numbers, codes = np.unique(values.cast(pl.Int64).to_numpy(), return_inverse=True)
        return tuple(int(number) for number in numbers), codes
    if column.kind is Kind.BOOLEAN:
        return ("false", "true"), values.to_numpy().astype(np.int64)
    # Packed as a feature would be: in NFC, so that two spellings of one label are one label.
    texts = TableInputs((column,)).pack({column.name: values}).strings[column.name]
    distinct = sorted(texts.unique().to_list())
    for label in distinct:
        try:
            check_label(label, "label")
        except LeptonError as error:
            raise _bad(f"the target {column.name!r} has a value that cannot be a label: {error.came}") from None
    codes = texts.replace_strict(distinct, list(range(len(distinct))), return_dtype=pl.Int64).to_numpy()
    return tuple(distinct), codes


def _check_finite(name: str, values: Doubles, rows: NDArray[np.int64]) -> None:
    bad = np.flatnonzero(~(np.abs(values) <= _LARGEST))
    if bad.size:
        raise _bad(
            f"the target {name!r} is {values[bad[0]]} in row {rows[bad[0]]}"
            + (f" (and in {bad.size - 1} more rows something like it)" if bad.size > 1 else ""),
            wanted=f"finite numbers of at most {_LARGEST:g}, whose squares are finite too",
            fix="drop those rows or mend them",
        )


def _check_classes(name: str, task: str, labels: tuple[str, ...] | tuple[int, ...], codes: NDArray[np.int64]) -> None:
    counts = np.bincount(codes)
    if task == "binary" and len(labels) != 2:
        raise _bad(f"the target {name!r} has {len(labels)} classes", wanted="2 for binary", fix="task='multiclass'")
    if len(labels) > MAX_CLASSES:
        raise _bad(
            f"the target {name!r} has {len(labels)} classes",
            wanted=f"at most {MAX_CLASSES}",
            fix="group rare classes, or take the target as a number with task='regression'",
        )
    lonely = [labels[i] for i in np.flatnonzero(counts < 2)]
    if lonely:
        shown = ", ".join(printable(repr(label), 60) for label in lonely[:10])
        raise _bad(
            f"{len(lonely)} of {len(labels)} classes of the target {name!r} have one row only: {shown}"
            + (", …" if len(lonely) > 10 else ""),
            wanted="at least 2 rows of each class",
            fix="leave those rows out, or join rare classes",
        )


def prepare_weight(frame: pl.DataFrame, schema: Schema, rows: NDArray[np.int64]) -> tuple[str | None, Doubles | None]:
    """Name and values of the weight column for `rows`, or None twice where no column has that role.

    Raises:
        DataError: two such columns; weights that are missing, negative, infinite or all 0.
    """
    columns = schema.of_role(Role.WEIGHT)
    if not columns:
        return None, None
    if len(columns) > 1:
        names = ", ".join(repr(c.name) for c in columns)
        raise DataError(ErrorCode.BAD_VALUE, f"the columns {names} all have the role weight", wanted="at most one")
    column = columns[0]
    if column.kind not in {Kind.NUMBER, Kind.BOOLEAN}:
        raise DataError(ErrorCode.WRONG_KIND, f"the weight {column.name!r} is of kind {column.kind}", wanted="a number")
    values = frame[column.name].cast(pl.Float64).fill_null(np.nan).to_numpy()[rows]
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0.0)))
    if bad.size:
        raise DataError(
            ErrorCode.BAD_VALUE,
            f"the weight {column.name!r} is {values[bad[0]]} in row {rows[bad[0]]} (and bad in {bad.size} rows in all)",
            wanted="a finite number of at least 0 in every row that has a target",
        )
    if not values.any():
        raise DataError(ErrorCode.BAD_VALUE, f"the weight {column.name!r} is 0 in every row", wanted="some above 0")
    return column.name, values


def _bad(came: str, wanted: str = "", fix: str = "") -> DataError:
    return DataError(ErrorCode.BAD_TARGET, came, wanted=wanted, fix=fix)
