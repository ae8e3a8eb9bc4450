"""A table made ready for learners: which rows and columns, as numbers and texts, in which groups and order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import TableInputs
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, Schema, Work, show_duration
from lepton.data import Dataset
from lepton.training.base import Problem, Rows
from lepton.training.features import FeaturePlan, choose_features
from lepton.training.folds import Fold, make_folds, num_folds_for
from lepton.training.front import Front, front_of
from lepton.training.table_model import block_of
from lepton.training.target_statistics import MOST_CLASSES, many_valued
from lepton.training.tasks import Scale, Target, prepare_target, prepare_weight

__all__ = [
    "DEFAULT_WITHIN",
    "MAX_COLUMNS",
    "MIN_ROWS",
    "STATISTICS_COLUMNS",
    "STATISTICS_ROWS",
    "PreparedTable",
    "folds_of",
    "prepare_table",
]

DEFAULT_WITHIN = 60.0
"""Seconds that training takes at most where nobody said how long."""
MIN_ROWS = 5
MAX_COLUMNS = 20_000
"""That a table may have to learn from it; a model file describes every one."""
STATISTICS_ROWS = 100_000
STATISTICS_COLUMNS = 1_000

_CELLS_A_SECOND = 70_000  # of the time allowed: about what a modest machine can try several candidates on
_CLASSES = ("binary", "multiclass")
_MIN_SAMPLE = 2_000


@dataclass(frozen=True)
class PreparedTable:
    """A table made ready: what goes into the portfolio and what is said of it."""

    target: Target
    features: FeaturePlan
    inputs: TableInputs
    frame: pl.DataFrame
    rows: Rows
    problem: Problem
    scale: Scale
    groups: NDArray[np.int64] | None
    order: NDArray[np.float64] | None
    notes: tuple[str, ...]
    front: Front | None
    raw: pl.DataFrame


def prepare_table(dataset: Dataset, name: str, task: str | None, work: Work) -> PreparedTable:
    """What is learned and from what, as learners take it.

    Raises:
        DataError: a target or a table that cannot be learned.
    """
    schema = dataset.schema
    schema[name]  # the target is asked for before anything large is read
    if len(schema) > MAX_COLUMNS:
        raise DataError(
            ErrorCode.BAD_VALUE,
            f"the table has {len(schema):,} columns",
            wanted=f"at most {MAX_COLUMNS:,}, which every row would have to bring",
            fix="keep those that can say something: lepton.Recipe().select(['NAME', …])",
        )
    # What decides which rows are learned from comes first: the others then need no memory.
    deciding = dataset.frame([name, *(c.name for c in _deciding(schema) if c.name != name)])
    _check_rows(deciding.height, "")
    target = prepare_target(deciding, schema, name, task)
    _check_rows(len(target.rows), " with a target")
    target, sampled = _sample(target, len(schema) - 1, work)
    weight_name, weight = prepare_weight(deciding, schema, target.rows)
    frame = dataset.frame() if len(target.rows) == len(deciding) else _gathered(dataset, target.rows)
    features = choose_features(frame, schema, name)
    texts = tuple(column.name for column in features.columns if column.kind is Kind.TEXT)
    columns = [replace(column, role=Role.FEATURE) for column in features.columns]
    inputs = TableInputs(columns, dict.fromkeys(texts, "characters/1"))
    front = front_of(dataset, inputs, name)  # before any work: a step that a model cannot hold is said at once
    block = block_of(inputs, frame.select(inputs.names))
    scale = Scale.of(target.values) if target.task in {"regression", "quantile"} else Scale()
    groups = _groups(frame, schema)
    categories = tuple(name for name in block.string_names if name not in texts)
    problem = Problem(
        task=target.task,
        num_classes=len(target.labels or ()),
        num_rows=len(frame),
        dates=tuple(c.name for c in inputs.numbers if c.kind is Kind.DATETIME),
        categories=categories,
        many_valued=many_valued(block.strings, categories) if len(target.labels or ()) <= MOST_CLASSES else (),
        texts=texts,
    )
    notes = [*target.notes, *sampled, *features.notes]
    if len(features.columns) > STATISTICS_COLUMNS:
        notes.append(f"statistics for watching drift are kept of the first {STATISTICS_COLUMNS} columns")
    if weight_name is not None:
        notes.append(f"rows are weighted by {weight_name!r}")
    return PreparedTable(
        target=target,
        features=features,
        inputs=inputs,
        frame=frame,
        rows=Rows(
            block,
            (target.values - scale.offset) / scale.factor,
            weight,
            groups if target.task == "ranking" else None,
        ),
        problem=problem,
        scale=scale,
        groups=groups,
        order=_order(frame, schema),
        notes=tuple(notes),
        front=front,
        raw=frame if front is None else front.rows_before(dataset, STATISTICS_ROWS),
    )


def _check_rows(num_rows: int, which: str) -> None:
    if num_rows < MIN_ROWS:
        raise DataError(ErrorCode.TOO_FEW_ROWS, f"there are {num_rows} rows{which}", wanted=f"at least {MIN_ROWS}")


def _deciding(schema: Schema) -> list[ColumnRecord]:
    """Columns beside the target that say which rows count."""
    return [column for role in (Role.WEIGHT, Role.TARGET) for column in schema.of_role(role)]


def _gathered(dataset: Dataset, rows: NDArray[np.int64]) -> pl.DataFrame:
    """The rows at the given positions, which rise, read in parts."""
    parts, start = [], 0
    for part in dataset.batches():
        own = rows[slice(*np.searchsorted(rows, [start, start + part.height]))] - start
        parts.append(part[own])
        start += part.height
    return pl.concat(parts, rechunk=True)


def folds_of(table: PreparedTable, work: Work) -> tuple[tuple[Fold, ...], tuple[str, ...]]:
    """The folds that candidates are scored in, and what is to be said of them."""
    parts, scored = num_folds_for(table.problem.num_rows)
    folds = make_folds(
        table.problem.num_rows,
        parts,
        classes=table.target.values.astype(np.int64) if table.problem.task in _CLASSES else None,
        groups=table.groups,
        order=table.order,
        seed=work.seed_for("folds"),
    )
    # A holdout in time is the last block, which has the longest past.
    folds = folds[-scored:] if table.order is not None else folds[:scored]
    notes = []
    if len(folds) == 1:
        notes.append(f"scored on one part of {len(folds[0].valid)} rows: with so many rows, more say little more")
    if table.order is not None:
        notes.append("each fold learns from the past of the rows that it scores")
    elif table.groups is not None:
        notes.append(f"groups stay together in {len(folds)} folds")
    return folds, tuple(notes)


def _sample(target: Target, num_columns: int, work: Work) -> tuple[Target, tuple[str, ...]]:
    """As many rows, drawn by the seed, as `within` allows to learn from; the clock has no say in it."""
    limit = max(_MIN_SAMPLE, int(_CELLS_A_SECOND * (work.within or DEFAULT_WITHIN)) // max(1, num_columns))
    if len(target.rows) <= limit:
        return target, ()
    chosen = np.random.default_rng(work.seed_for("sample")).choice(len(target.rows), limit, replace=False)
    chosen.sort()
    note = (
        f"learned from {limit:,} of {len(target.rows):,} rows, drawn by the seed: what is possible in"
        f" {show_duration(work.within or DEFAULT_WITHIN)}; allow more time to use more"
    )
    return replace(target, rows=target.rows[chosen], values=target.values[chosen]), (note,)


def _only(schema: Schema, role: Role) -> str | None:
    columns = schema.of_role(role)
    if len(columns) > 1:
        names = ", ".join(repr(c.name) for c in columns)
        raise DataError(ErrorCode.BAD_VALUE, f"the columns {names} all have the role {role}", wanted="at most one")
    return columns[0].name if columns else None


def _groups(frame: pl.DataFrame, schema: Schema) -> NDArray[np.int64] | None:
    """Groups as numbers from 0; rows without one are a group together."""
    name = _only(schema, Role.GROUP)
    if name is None:
        return None
    groups = frame[name].cast(pl.String).fill_null("").rank("dense").to_numpy().astype(np.int64) - 1
    if groups.max() == 0:
        raise DataError(
            ErrorCode.BAD_VALUE, f"the group {name!r} is the same in every row", wanted="at least two groups"
        )
    return groups


def _order(frame: pl.DataFrame, schema: Schema) -> NDArray[np.float64] | None:
    name = _only(schema, Role.TIME)
    if name is None:
        return None
    column = schema[name]
    if column.kind not in {Kind.DATETIME, Kind.NUMBER}:
        raise DataError(ErrorCode.WRONG_KIND, f"the time {name!r} is of kind {column.kind}", wanted="a date or number")
    values = frame[name].to_physical().cast(pl.Float64)
    if values.null_count():
        raise DataError(
            ErrorCode.BAD_VALUE,
            f"the time {name!r} is missing in {values.null_count()} rows",
            wanted="a time in every row, because rows are learned from in that order",
        )
    return values.to_numpy()
