"""Learning without a target: clusters of rows that are alike, and scores of rows that are unlike the others."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder, Manifest, OutputRecord, TableInputs, machine, write_bundle
from lepton.core import DataError, ErrorCode, Interrupted, Kind, Role, Schema, UsageError, Work, check_name
from lepton.data import Baseline, Dataset
from lepton.data.recipes.isolation import IsolationForest, average_path, grow
from lepton.data.steps import (
    Block,
    Impute,
    MissingIndicators,
    OneHot,
    Step,
    emit_steps,
)
from lepton.training.base import Problem
from lepton.training.estimators import KMeans
from lepton.training.features import FeaturePlan, choose_features, linear_steps, plain_steps
from lepton.training.front import Front, front_of, graph_inputs
from lepton.training.leaderboard import Leaderboard, LeaderboardRow
from lepton.training.table_model import block_of, versions
from lepton.training.tables import TrainingResult

__all__ = ["UNLABELLED", "refuse_options", "train_unlabelled"]

UNLABELLED = ("anomaly", "clustering")
"""Tasks without a target."""

Doubles = NDArray[np.float64]

_LEAST_ROWS = 5
_TREES, _ROWS_A_TREE = 200, 256
_MOST_CLUSTERS = 10
_FITTED_ROWS = 200_000
_JUDGED_ROWS = 2_000
_STATISTICS_ROWS = 100_000


@dataclass(frozen=True)
class _Learned:
    """What stands behind the features."""

    steps: tuple[Step, ...]
    outputs: tuple[OutputRecord, ...]
    emit: Any
    board: Leaderboard


def refuse_options(task: str | None, **options: object) -> None:
    """Refuse what a task has no use for, rather than leave it out silently.

    Args:
        task: one of `UNLABELLED`, or `forecast`.
        options: by name; None for those that were not given.

    Raises:
        UsageError: one was given.
    """
    given = [f"{name}={value!r}" for name, value in options.items() if value is not None]
    if given:
        raise UsageError(
            ErrorCode.USAGE,
            f"got {', '.join(given)} with task={task!r}",
            wanted="for it, none of these: they are for regression, binary and multiclass",
            fix="leave them out",
        )


def train_unlabelled(
    dataset: Dataset, *, task: str, target: str | None, work: Work, output: Path, name: str | None = None
) -> TrainingResult:
    """Learn from a table without a target and write the model file.

    Args:
        dataset: the table; columns with the role of features are used.
        task: `clustering` gives the number of a cluster; `anomaly` a score from 0 to 1, which is about 0.5 for rows
            like the others and nears 1 for rows that random cuts set apart early.
        target: must be None.
        work: time, threads, seed, stop signal.
        output: model file to write.
        name: of the model; None for the name of `output`.

    Raises:
        DataError: too few rows, or no column that says anything.
        UsageError: a target was given.
    """
    if target is not None:
        raise UsageError(
            ErrorCode.USAGE,
            f"got target={target!r} with task={task!r}",
            wanted="no target",
            fix="leave it out; to keep the column out of the model, give it the role ignored",
        )
    name = check_name(name or output.stem, "name of the model")
    frame, schema = dataset.frame(), dataset.schema
    if frame.height < _LEAST_ROWS:
        raise DataError(ErrorCode.TOO_FEW_ROWS, f"there are {frame.height} rows", wanted=f"at least {_LEAST_ROWS}")
    features = choose_features(frame, schema, "")
    texts = tuple(column.name for column in features.columns if column.kind is Kind.TEXT)
    inputs = TableInputs(features.columns, dict.fromkeys(texts, "characters/1"))
    front = front_of(dataset, inputs, "")
    taken = inputs if front is None else front.inputs
    every = -(-frame.height // _FITTED_ROWS)
    block = block_of(inputs, frame.gather_every(every).select(inputs.names))
    problem = Problem(
        task=task,
        num_classes=0,
        num_rows=block.num_rows,
        dates=tuple(c.name for c in inputs.numbers if c.kind is Kind.DATETIME),
        categories=tuple(each for each in block.string_names if each not in texts),
        texts=texts,
    )
    learned = (_anomaly if task == "anomaly" else _clusters)(problem, block, features, work)
    graph, inner = _graph(inputs, front, learned)
    raw = frame if front is None else front.rows_before(dataset, _STATISTICS_ROWS)
    model_id = write_bundle(
        output,
        manifest=Manifest(
            name=name,
            task=task,
            inputs=taken.columns,
            codecs=taken.codecs,
            outputs=learned.outputs,
            lineage=_lineage(dataset, features, front, learned, work),
            inner=inner,
        ),
        graph=graph,
        baseline=_statistics(raw, taken).to_members(),
        training={"kind": b"none"},
        reports={"training": _report(learned.board, task, frame.height, len(taken.columns), work)},
    )
    return TrainingResult(output, model_id, learned.board.rows, learned.board.notes)


# --- anomalies -------------------------------------------------------------------------------------------------


def _anomaly(problem: Problem, block: Block, features: FeaturePlan, work: Work) -> _Learned:
    """An isolation forest (Liu, Ting and Zhou 2008)."""
    start = time.perf_counter()
    plain, prepared = plain_steps(problem, block)
    steps = list(plain)
    numbers = prepared.number_names[: len(prepared.number_names) - len(problem.categories)]
    for kind in (MissingIndicators, Impute):
        steps.append(kind.fit(prepared, columns=numbers))
        prepared = steps[-1].apply(prepared)
    steps.append(OneHot.fit(prepared, columns=problem.categories))
    values = _finite(steps[-1].apply(prepared).numbers)
    work.check()
    rows = min(_ROWS_A_TREE, len(values))
    trees = grow(values, trees=_TREES, rows=rows, seed=work.seed_for("anomaly"))
    forest = IsolationForest(trees, values.shape[1])
    usual = average_path(rows) * _TREES
    judged = values[np.linspace(0, len(values) - 1, min(_JUDGED_ROWS, len(values))).astype(int)]
    scores = 2.0 ** (-forest.lengths(judged) / usual)
    halves = [IsolationForest(part, values.shape[1]).lengths(judged) for part in (trees[::2], trees[1::2])]
    agreement = _rank_correlation(*halves)
    row = LeaderboardRow(
        "isolation forest", f"{_TREES} trees of {rows} rows", agreement, None, None, 0, time.perf_counter() - start,
        None, None, True,
    )  # fmt: skip
    shares = ", ".join(f"{share:g} % score above {np.quantile(scores, 1 - share / 100):.3f}" for share in (10, 1))
    notes = (
        *features.notes,
        "without known anomalies nothing says how good the scores are",
        "stability is the rank correlation of the scores of two halves of the forest",
        f"of the rows that were learned from, {shares}",
    )

    def emit(builder: GraphBuilder, values: str) -> None:
        lengths = builder.node("Squeeze", [forest.emit(builder, values), builder.constant([1])])
        share = builder.node("Div", [lengths, builder.constant(-usual)])
        builder.output("score", builder.node("Pow", [builder.constant(2.0), share]), "double", ["N"])

    board = Leaderboard("stability", True, (row,), notes)
    return _Learned(tuple(steps), (OutputRecord("score", "double", ("N",)),), emit, board)


def _finite(values: Doubles) -> Doubles:
    """Infinities as the farthest finite numbers of their columns."""
    finite = np.where(np.isfinite(values), values, np.nan)
    return np.asarray(np.clip(values, np.nanmin(finite, axis=0), np.nanmax(finite, axis=0)))


def _rank_correlation(first: Doubles, second: Doubles) -> float:
    ranks = [pl.Series(each).rank().to_numpy() for each in (first, second)]
    if any(float(np.std(each)) == 0.0 for each in ranks):
        return 0.0
    return float(np.corrcoef(ranks)[0, 1])


# --- clusters --------------------------------------------------------------------------------------------------


def _clusters(problem: Problem, block: Block, features: FeaturePlan, work: Work) -> _Learned:
    """KMeans with the number of clusters whose silhouette is the largest."""
    steps, prepared = linear_steps(problem, block)
    values = prepared.numbers
    distinct = len(np.unique(values[:_JUDGED_ROWS], axis=0))
    judged = np.linspace(0, len(values) - 1, min(_JUDGED_ROWS, len(values))).astype(int)
    rows: list[LeaderboardRow] = []
    best: tuple[float, Doubles] | None = None
    try:
        for count in range(2, min(_MOST_CLUSTERS, distinct - 1) + 1):
            work.check()
            start = time.perf_counter()
            seed = work.seed_for("clustering", count) % 2**31
            centers = np.asarray(KMeans(count, random_state=seed).fit(values).cluster_centers_)
            score = _silhouette(values[judged], centers)
            spent = time.perf_counter() - start
            rows.append(LeaderboardRow("kmeans", f"{count} clusters", score, None, None, 0, spent, None, None, False))
            if best is None or score > best[0]:
                best = score, centers
            work.report(count - 1, _MOST_CLUSTERS - 1, "candidates", best=f"silhouette {best[0]:.3f}")
    except Interrupted:
        if best is None:
            raise
    if best is None:
        raise DataError(
            ErrorCode.EMPTY_DATA, f"there are {distinct} different rows", wanted="at least 3 different rows to cluster"
        )
    chosen = [replace(row, chosen=row.metric == best[0]) for row in rows]
    chosen.sort(key=lambda row: -(row.metric or 0.0))
    notes = (
        *features.notes,
        "the silhouette (1: far apart, 0: touching) is that of distances to centres, on at most 2,000 rows",
    )
    centers = best[1]

    def emit(builder: GraphBuilder, values: str) -> None:
        lengths = builder.constant((centers * centers).sum(axis=1))
        weights = builder.constant(np.ascontiguousarray(-2.0 * centers.T))
        raw = builder.mark("raw", builder.node("Gemm", [values, weights, lengths]))
        builder.output("cluster", builder.node("ArgMin", [raw], axis=1, keepdims=0), "int64", ["N"])

    board = Leaderboard("silhouette", True, tuple(chosen), notes)
    return _Learned(steps, (OutputRecord("cluster", "int64", ("N",)),), emit, board)


def _silhouette(values: Doubles, centers: Doubles) -> float:
    """Mean of (b - a) / max(a, b), a and b the distances to the own and the next centre (simplified silhouette)."""
    squared = (values**2).sum(axis=1)[:, None] - 2.0 * values @ centers.T + (centers**2).sum(axis=1)
    nearest = np.sqrt(np.maximum(np.partition(squared, 1, axis=1)[:, :2], 0.0))
    own, other = nearest.min(axis=1), nearest.max(axis=1)
    return float(np.mean((other - own) / np.where(other > 0.0, other, 1.0)))


# --- writing ---------------------------------------------------------------------------------------------------


def _graph(inputs: TableInputs, front: Front | None, learned: _Learned) -> tuple[bytes, dict[str, str]]:
    builder = GraphBuilder()
    taken = inputs if front is None else front.inputs
    tensors = graph_inputs(builder, taken)
    if front is not None:
        tensors = front.emit(builder, tensors, inputs)
    values = emit_steps(learned.steps, builder, tensors).numbers
    learned.emit(builder, builder.mark("features", str(values)))
    return builder.finish({"lepton.inputs": taken.metadata()}), dict(builder.inner)


def _statistics(frame: pl.DataFrame, inputs: TableInputs) -> Baseline:
    every = -(-frame.height // _STATISTICS_ROWS)
    return Baseline.of(frame.select(inputs.names).gather_every(every), Schema(inputs.columns), {})


def _lineage(
    dataset: Dataset, features: FeaturePlan, front: Front | None, learned: _Learned, work: Work
) -> dict[str, Any]:
    chosen = next(row for row in learned.board.rows if row.chosen)
    return {
        "dataset": {"fingerprint": dataset.fingerprint(), "num_rows": dataset.num_rows},
        "recipe": None if dataset.lineage is None else dataset.lineage.recipe.to_dict(),
        "table_steps": [] if front is None else list(front.table_steps),
        "parents": [str(parent["id"]) for parent in dataset.parents(files=False)],
        "seed": work.seed,
        "versions": versions(),
        "roles": {c.name: str(c.role) for c in dataset.schema if c.role is not Role.FEATURE},
        "ignored": list(features.ignored),
        "learner": chosen.learner,
        "configuration": {"label": chosen.configuration},
    }


def _report(board: Leaderboard, task: str, num_rows: int, num_features: int, work: Work) -> Mapping[str, Any]:
    return {
        **board.to_dict(),
        "task": task,
        "target": None,
        "num_rows": num_rows,
        "num_features": num_features,
        "within": work.within,
        "seconds": work.elapsed,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": work.resources.cpus,
        "machine": machine(),
    }
