"""What a strong model leans on, asked about rows that it was not fitted on, as far as the time goes."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from lepton.bundle import Predictor, open_model
from lepton.core import LeptonError, Resources, Role, Work
from lepton.data import read
from lepton.evaluation import METRICS, Metric, importance
from lepton.store import scratch_folder
from lepton.training.base import TableLearner
from lepton.training.folds import Fold
from lepton.training.prepared import PreparedTable
from lepton.training.table_model import TableModel

__all__ = ["importance_of"]

_REPEATS = (5, 3, 1)
_MOST_ROWS = 2_000
_LEAST_ROWS = 150
_TIMED_ROWS = 200
_MODEL_SHARE = 0.4  # of the time: the rest is for scores and intervals


def importance_of(
    table: PreparedTable, learner: TableLearner | None, fold: Fold | None, metric: Metric, seconds: float, work: Work
) -> dict[str, Any]:
    """Loss by shuffling each column among the rows of a fold.

    Columns are those that the learner sees: after the recipe, where there is one.

    Args:
        table: as it was learned from.
        learner: fitted without the rows of `fold`; None where there is none.
        fold: its rows are asked about.
        metric: what the model was chosen by; the task's own is lost where it is a function.
        seconds: that this may take.
        work: seed, threads, scratch folder.

    Returns:
        For `reports/search.json`: an `Importance` as a dictionary, or `skipped` with the reason.
    """
    if learner is None or fold is None or seconds <= 0.0:
        return {"skipped": "there was no time to shuffle columns"}
    end = time.monotonic() + seconds
    name = metric.name if METRICS.get(metric.name) is metric else None
    try:
        with scratch_folder(work.resources.scratch) as folder:
            path = folder / "fold.lepton"
            model = TableModel(table.problem, table.inputs, learner, table.target.labels, table.scale)
            target = replace(table.target.column, role=Role.TARGET)
            model.to_bundle(path, name="fold", lineage={}, target=target, baseline={}, reports={})
            predictor = open_model(path, resources=Resources(cpus=work.resources.cpus))
            frame = table.frame[fold.valid]
            rows, repeats = _affordable(predictor, frame, end - time.monotonic())
            if rows < _LEAST_ROWS and rows < len(frame):
                return {"skipped": "there was no time to shuffle columns"}
            columns = [*table.features.columns, target]
            dataset = read(
                frame.select(column.name for column in columns),
                kinds={column.name: str(column.kind) for column in columns},
            )
            found = importance(
                predictor,
                dataset,
                target=target.name,
                metric=name,
                repeats=repeats,
                max_rows=max(rows, 2),
                seed=work.seed_for("importance"),
                work=work.part(max(end - time.monotonic(), 0.0)),
            )
    except LeptonError as error:
        return {"skipped": error.came}
    return found.to_dict()


def _affordable(predictor: Predictor, frame: pl.DataFrame, seconds: float) -> tuple[int, int]:
    """Rows to ask about and shuffles of each column, by what a few rows take."""
    few = frame.select(column.name for column in predictor.manifest.inputs).head(_TIMED_ROWS)
    predictor.outputs(few)
    start = time.monotonic()
    predictor.outputs(few)
    a_row = max((time.monotonic() - start) / len(few), 1e-7)
    afforded = _MODEL_SHARE * seconds / (a_row * 1.5 * len(predictor.manifest.inputs))  # closely related ones, twice
    for repeats in _REPEATS:
        rows = int(min(afforded / repeats, _MOST_ROWS, len(frame)))
        if rows >= min(2 * _LEAST_ROWS, len(frame)):
            return rows, repeats
    return int(np.clip(afforded, 0, min(_MOST_ROWS, len(frame)))), 1
