"""`train`: from a table to a model file, within a time that is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import TableInputs, machine
from lepton.core import (
    DataError,
    ErrorCode,
    Kind,
    Role,
    Schema,
    Work,
    check_name,
    show_duration,
)
from lepton.data import Baseline, Dataset
from lepton.data.steps import Block
from lepton.evaluation import Metric, metric as metric_named
from lepton.training.automl import Outside, effort_of, run_search
from lepton.training.base import Problem, Rows
from lepton.training.features import FeaturePlan, choose_features
from lepton.training.folds import Fold, make_folds, num_folds_for
from lepton.training.front import Front, front_of
from lepton.training.leaderboard import Leaderboard, LeaderboardRow
from lepton.training.portfolio import Chosen, Portfolio
from lepton.training.table_model import TableModel, block_of, versions
from lepton.training.tasks import Scale, Target, prepare_target, prepare_weight

__all__ = ["DEFAULT_WITHIN", "MIN_ROWS", "PreparedTable", "TrainingResult", "prepare_table", "train"]

DEFAULT_WITHIN = 60.0
"""Seconds that training takes at most where nobody said how long."""
MIN_ROWS = 5

_SAVING_SECONDS = 0.5
_SAVING_SECONDS_A_COLUMN = 0.0005
_SAVING_SHARE = 0.02  # of the time: machines are at times slower at the end than they were at the beginning
_CELLS_A_SECOND = 200_000  # of the time allowed: about what a modest machine can try several candidates on
_MIN_SAMPLE = 2_000
_STATISTICS_ROWS = 100_000
_STATISTICS_COLUMNS = 1_000


@dataclass(frozen=True)
class TrainingResult:
    """What `train` gives.

    Attributes:
        path: of the model file.
        model_id: its identity.
        leaderboard: every candidate, best first.
        notes: decisions, for people.
    """

    path: Path
    model_id: str
    leaderboard: tuple[LeaderboardRow, ...]
    notes: tuple[str, ...]


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


def train(
    dataset: Dataset,
    *,
    target: str,
    task: str | None = None,
    metric: str | Metric | None = None,
    name: str | None = None,
    work: Work | None = None,
    effort: str = "fast",
    output: Path,
) -> TrainingResult:
    """Learn `target` from the other columns and write the best model that the effort finds.

    Args:
        dataset: the table; roles say which columns are weights, groups, time or to be ignored.
        target: column to predict.
        task: `regression`, `binary` or `multiclass`; None for what the target means.
        metric: what to choose by; None for the task's own.
        name: of the model; None for the name of `output`.
        work: time, threads, seed, stop signal; the time includes what has passed since it began. Stopped, the best so
            far is saved.
        effort: `fast` for a small portfolio; `good` or `best` for a search until the time is used, `good` also until
            nothing better comes.
        output: model file to write.

    Raises:
        DataError: a target or a table that cannot be learned, or a folder of `output` that is not there; the message
            says which and why.
        UsageError: no such task, metric or effort.
        TrainingError: no candidate could be fitted.
        StoreError: the file cannot be written; an earlier one is intact.
    """
    output = Path(output)
    name = check_name(name or output.stem, "name of the model")
    _check_folder(output)
    work = Work.of(work)
    wanted = effort_of(effort)
    notes = []
    if work.within is None:
        work = work.part(DEFAULT_WITHIN)
        notes.append(f"no time was given: at most {show_duration(DEFAULT_WITHIN)} were used (within=)")
    table = prepare_table(dataset, target, task, work)
    # What the file says of the data is gathered before the search, so that its time is known and not guessed.
    fingerprint, statistics = dataset.fingerprint(), _input_statistics(table)
    measured_by = metric_named(metric, table.problem.task)
    folds, fold_notes = _folds(table, work)
    portfolio = Portfolio(
        problem=table.problem,
        rows=table.rows,
        folds=folds,
        metric=measured_by,
        truth=_truth(table),
        scale=table.scale,
        groups=table.groups,
        saving_seconds=_SAVING_SECONDS
        + _SAVING_SECONDS_A_COLUMN * len(table.features.columns)
        + _SAVING_SHARE * (work.within or 0.0),
        measure=lambda learner: _measured(table, learner),
        work=work,
    )
    found = None if wanted is None else run_search(portfolio, _outside(table), wanted)
    if found is None:
        portfolio.run()
    chosen = portfolio.choose() if found is None else found.chosen
    notes = [*table.notes, *fold_notes, *chosen.notes, *notes]
    board = Leaderboard(
        measured_by.name, measured_by.greater_is_better, portfolio.leaderboard_rows(chosen.candidate), tuple(notes)
    )
    work.report(1, 1, "files", note="saving")
    model_id = _model(table, chosen.learner, chosen.temperature).to_bundle(
        output,
        name=name,
        target=replace(table.target.column, role=Role.TARGET),
        lineage=_lineage(dataset, fingerprint, table, chosen, measured_by, work),
        baseline=_baseline(table, statistics, chosen).to_members(),
        reports={"training": _report(board, table, work)} | ({} if found is None else {"search": found.report}),
    )
    return TrainingResult(output, model_id, board.rows, board.notes)


def _check_folder(output: Path) -> None:
    if not output.parent.is_dir():
        raise DataError(
            ErrorCode.NOT_FOUND, f"the folder {str(output.parent)!r} of the model file does not exist", fix="make it"
        )
    if output.is_dir():
        raise DataError(ErrorCode.NOT_A_FILE, f"{str(output)!r} is a folder", wanted="the name of a file to write")


# --- making ready ----------------------------------------------------------------------------------------------


def prepare_table(dataset: Dataset, name: str, task: str | None, work: Work) -> PreparedTable:
    """What is learned and from what, as learners take it.

    Raises:
        DataError: a target or a table that cannot be learned.
    """
    schema = dataset.schema
    schema[name]  # the target is asked for before anything large is read
    frame = dataset.frame()
    target = prepare_target(frame, schema, name, task)
    if len(target.rows) < MIN_ROWS:
        raise DataError(
            ErrorCode.TOO_FEW_ROWS, f"there are {len(target.rows)} rows with a target", wanted=f"at least {MIN_ROWS}"
        )
    target, sampled = _sample(target, len(schema) - 1, work)
    weight_name, weight = prepare_weight(frame, schema, target.rows)
    if len(target.rows) < len(frame):
        frame = frame[target.rows]
    features = choose_features(frame, schema, name)
    texts = tuple(column.name for column in features.columns if column.kind is Kind.TEXT)
    columns = [replace(column, role=Role.FEATURE) for column in features.columns]
    inputs = TableInputs(columns, dict.fromkeys(texts, "characters/1"))
    front = front_of(dataset, inputs)  # before any work: a step that a model cannot hold is said at once
    block = block_of(inputs, frame.select(inputs.names))
    scale = Scale.of(target.values) if target.labels is None else Scale()
    problem = Problem(
        task=target.task,
        num_classes=len(target.labels or ()),
        num_rows=len(frame),
        dates=tuple(c.name for c in inputs.numbers if c.kind is Kind.DATETIME),
        categories=tuple(name for name in block.string_names if name not in texts),
        texts=texts,
    )
    notes = [*target.notes, *sampled, *features.notes]
    if len(features.columns) > _STATISTICS_COLUMNS:
        notes.append(f"statistics for watching drift are kept of the first {_STATISTICS_COLUMNS} columns")
    if weight_name is not None:
        notes.append(f"rows are weighted by {weight_name!r}")
    return PreparedTable(
        target=target,
        features=features,
        inputs=inputs,
        frame=frame,
        rows=Rows(block, (target.values - scale.offset) / scale.factor, weight),
        problem=problem,
        scale=scale,
        groups=_groups(frame, schema),
        order=_order(frame, schema),
        notes=tuple(notes),
        front=front,
        raw=frame if front is None else front.rows_before(dataset, _STATISTICS_ROWS),
    )


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


def _folds(table: PreparedTable, work: Work) -> tuple[tuple[Fold, ...], tuple[str, ...]]:
    parts, scored = num_folds_for(table.problem.num_rows)
    folds = make_folds(
        table.problem.num_rows,
        parts,
        classes=None if table.target.labels is None else table.target.values.astype(np.int64),
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


def _truth(table: PreparedTable) -> NDArray[Any]:
    return table.target.values if table.target.labels is None else table.target.values.astype(np.int64)


# --- writing ---------------------------------------------------------------------------------------------------


def _model(table: PreparedTable, learner: Any, temperature: float = 1.0) -> TableModel:
    return TableModel(table.problem, table.inputs, learner, table.target.labels, table.scale, temperature, table.front)


def _measured(table: PreparedTable, learner: Any) -> tuple[int, float]:
    return _model(table, learner).measure(_sample_row(table))


def _sample_row(table: PreparedTable) -> Block:
    """One row with the columns that the model takes."""
    if table.front is None:
        return table.rows.block.take(np.array([0]))
    return block_of(table.front.inputs, table.raw.head(1))


def _outside(table: PreparedTable) -> Outside:
    return Outside(table.inputs, table.target.labels, table.front, _sample_row(table))


def _input_statistics(table: PreparedTable) -> Baseline:
    """Statistics of the features, of at most 100,000 rows and 1,000 columns."""
    inputs = table.inputs if table.front is None else table.front.inputs
    columns = inputs.columns[:_STATISTICS_COLUMNS]
    every = -(-len(table.raw) // _STATISTICS_ROWS)
    frame = table.raw.select(column.name for column in columns).gather_every(every)
    return Baseline.of(frame, Schema(columns), {})


def _baseline(table: PreparedTable, statistics: Baseline, chosen: Chosen) -> Baseline:
    """The statistics of the features with those of the answers to rows that the candidate was not fitted on."""
    outputs: dict[str, NDArray[Any]] = {"prediction": chosen.answers}
    if table.target.labels is not None:
        names = np.array(table.target.labels, dtype=object)
        outputs = {"prediction": names[chosen.answers.argmax(axis=1)], "probabilities": chosen.answers}
    return replace(statistics, outputs=Baseline.of(pl.DataFrame(), Schema(()), outputs).outputs)


def _lineage(
    dataset: Dataset, fingerprint: str, table: PreparedTable, chosen: Chosen, metric: Metric, work: Work
) -> dict[str, Any]:
    """Where the model comes from: nothing in it is measured or dated, so that it can be made again."""
    return {
        "dataset": {"fingerprint": fingerprint, "num_rows": dataset.num_rows},
        "recipe": None if dataset.lineage is None else dataset.lineage.recipe.to_dict(),
        "table_steps": [] if table.front is None else list(table.front.table_steps),
        "parents": [str(parent["id"]) for parent in dataset.parents(files=False)],
        "seed": work.seed,
        "versions": versions(),
        "roles": {c.name: str(c.role) for c in dataset.schema if c.role is not Role.FEATURE},
        "ignored": list(table.features.ignored),
        "notes": list(table.notes),
        "metric": metric.name,
        "learner": chosen.learner.name,
        "configuration": dict(chosen.learner.configuration),
    }


def _report(board: Leaderboard, table: PreparedTable, work: Work) -> Mapping[str, Any]:
    return {
        **board.to_dict(),
        "task": table.problem.task,
        "target": table.target.column.name,
        "num_rows": table.problem.num_rows,
        "num_features": len(table.features.columns),
        "within": work.within,
        "seconds": work.elapsed,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": work.resources.cpus,
        "machine": machine(),
    }
