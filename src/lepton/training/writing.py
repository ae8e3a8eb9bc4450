"""Models of a table as files: written, looked at for what they cost, kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import BudgetVerdict, Role, Schema, Work
from lepton.data import Baseline
from lepton.data.steps import Block
from lepton.store import scratch_folder
from lepton.training.answers import decided, middle_of
from lepton.training.base import TableLearner
from lepton.training.conformal import Conformal, conformal_classes, conformal_numbers, conformal_quantiles
from lepton.training.limits import Limits
from lepton.training.portfolio import Chosen
from lepton.training.prepared import STATISTICS_COLUMNS, STATISTICS_ROWS, PreparedTable
from lepton.training.table_model import TableModel, block_of

__all__ = ["ModelFile", "input_statistics", "measured", "sample_row"]

_BYTES_BESIDE = 6_000  # of a file, beside the graph and the statistics of the columns
_BYTES_A_COLUMN = 400
_MEASURED_ROWS = 256


class ModelFile:
    """Writes models of a table, to look at what they cost and to keep one.

    Attributes:
        verdicts: of the last model that was looked at.
        measured: what was measured of it.
    """

    def __init__(
        self, table: PreparedTable, statistics: Baseline, name: str, lineage: Callable[[Chosen], Mapping[str, Any]]
    ) -> None:
        self._table, self._statistics, self._name, self._lineage = table, statistics, name, lineage
        self.verdicts: tuple[BudgetVerdict, ...] = ()
        self.measured: dict[str, Any] = {}

    def prepare(self, limits: Limits) -> None:
        """Tell limits what a file holds beside the graph."""
        if limits:
            beside = sum(len(data) for data in self._statistics.to_members().values())
            limits.expect(
                beside + _BYTES_BESIDE + _BYTES_A_COLUMN * len(self._table.features.columns),
                len(self._table.features.columns),
            )

    def keeps(self, limits: Limits, work: Work, chosen: Chosen) -> bool:
        """Whether the file of a model keeps the limits."""
        if not limits:
            return True
        table = self._table
        rows = (table.frame if table.front is None else table.raw).head(_MEASURED_ROWS)
        taken = table.inputs if table.front is None else table.front.inputs
        with scratch_folder(work.resources.scratch) as folder:
            path = folder / "model.lepton"
            self.write(chosen, path, {})
            self.verdicts, self.measured = limits.check(path, rows.select(taken.names), chosen.candidate, work)
        return all(verdict.kept for verdict in self.verdicts)

    def conformal(self, chosen: Chosen) -> Conformal | None:
        """What makes intervals or sets of the answers where a coverage is asked for, and shares of quantiles true."""
        table, rows = self._table, chosen.scored
        coverage, shares = table.problem.coverage, table.problem.quantiles
        if coverage is None and not shares:
            return None
        truth, weight = table.target.values[rows], None if table.rows.weight is None else table.rows.weight[rows]
        weight = weight if weight is not None and weight.any() else None
        if coverage is None:
            return conformal_quantiles(shares, truth, chosen.answers, weight)
        if table.target.labels is None:
            return conformal_numbers(coverage, truth, chosen.answers, weight)
        return conformal_classes(coverage, truth.astype(np.int64), chosen.answers, weight)

    def write(self, chosen: Chosen, path: Path, reports: Mapping[str, Mapping[str, Any]]) -> str:
        """Write the model file; its `model_id`."""
        table = self._table
        model = replace(_model_of(table, chosen.learner, chosen.temperature), conformal=self.conformal(chosen))
        return model.to_bundle(
            path,
            name=self._name,
            target=None if table.problem.task == "multilabel" else replace(table.target.column, role=Role.TARGET),
            lineage=self._lineage(chosen),
            baseline=_baseline(table, self._statistics, chosen).to_members(),
            reports=reports,
        )


def _model_of(table: PreparedTable, learner: TableLearner, temperature: float = 1.0) -> TableModel:
    return TableModel(table.problem, table.inputs, learner, table.target.labels, table.scale, temperature, table.front)


def measured(table: PreparedTable, learner: TableLearner) -> tuple[int, float]:
    """Bytes of the graph of a fitted learner, and µs of a row through it."""
    return _model_of(table, learner).measure(sample_row(table))


def sample_row(table: PreparedTable) -> Block:
    """One row with the columns that the model takes."""
    if table.front is None:
        return table.rows.block.take(np.array([0]))
    return block_of(table.front.inputs, table.raw.head(1))


def input_statistics(table: PreparedTable) -> Baseline:
    """Statistics of the features, of at most 100,000 rows and 1,000 columns."""
    inputs = table.inputs if table.front is None else table.front.inputs
    columns = inputs.columns[:STATISTICS_COLUMNS]
    every = -(-len(table.raw) // STATISTICS_ROWS)
    frame = table.raw.select(column.name for column in columns).gather_every(every)
    return Baseline.of(frame, Schema(columns), {})


def _baseline(table: PreparedTable, statistics: Baseline, chosen: Chosen) -> Baseline:
    """The statistics of the features with those of the answers to rows that the candidate was not fitted on."""
    outputs: dict[str, NDArray[Any]] = {"prediction": chosen.answers}
    if table.problem.task == "quantile":
        outputs = {"prediction": chosen.answers[:, middle_of(table.problem.quantiles)]}
    elif table.problem.task == "ranking":
        outputs = {"score": chosen.answers}
    elif table.problem.task == "multilabel":
        outputs = {"probabilities": chosen.answers}
    elif table.target.labels is not None:
        names = np.array(table.target.labels, dtype=object)
        outputs = {"prediction": names[decided(table.problem, chosen.answers)], "probabilities": chosen.answers}
    return replace(statistics, outputs=Baseline.of(pl.DataFrame(), Schema(()), outputs).outputs)
