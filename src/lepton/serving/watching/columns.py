"""From what a graph takes and gives back to columns with statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import Predictor, SeriesInputs, TableInputs, TensorInputs
from lepton.core import ColumnRecord, Kind
from lepton.core.lazy import LazyModule

if TYPE_CHECKING:
    from lepton.data.statistics import ColumnStatistics, baseline, columns
else:  # for servers that keep a state
    baseline, columns = LazyModule("lepton.data.statistics.baseline"), LazyModule("lepton.data.statistics.columns")

__all__ = ["INPUT", "MOMENT", "OUTPUT", "WatchedColumns"]

MOMENT = "%Y-%m-%dT%H:%M:%S%.6f"
"""How moments are written, in UTC where the column has a zone."""
INPUT, OUTPUT = "input/", "output/"
_SKETCH = 1_024
_MEMBERS = ("inputs.json", "outputs.json")

Tensors = Mapping[str, NDArray[Any]]


class WatchedColumns:
    """The columns of a model that can be compared with its training data.

    Args:
        predictor: the model.

    Attributes:
        baseline: column → statistics in training; before the name stands `input/` or `output/`.
        unwatched: column → why it is not compared.

    Raises:
        BundleError: the baseline of the bundle cannot be read.
    """

    def __init__(self, predictor: Predictor) -> None:
        bundle, inputs = predictor.bundle, predictor.inputs
        self.baseline: dict[str, ColumnStatistics] = {}
        self.unwatched: dict[str, str] = {}
        self._numbers: dict[int, ColumnRecord] = {}
        self._strings: dict[int, ColumnRecord] = {}
        self._answers: frozenset[str] = frozenset()
        if any(f"baseline/{name}" not in bundle.names for name in _MEMBERS):
            return
        found = baseline.Baseline.from_members({name: bundle.member(f"baseline/{name}") for name in _MEMBERS})
        known = {column.name: column for column in found.inputs}
        self._answers = frozenset(column.name.partition("[")[0] for column in found.outputs)
        self.baseline |= {OUTPUT + column.name: column for column in found.outputs if column.rows}
        if not isinstance(inputs, TableInputs):  # of pictures, sounds and texts the answers alone are compared
            return
        for records, kept in ((inputs.numbers, self._numbers), (inputs.strings, self._strings)):
            for position, record in enumerate(records):
                reason = _why_not(record, known.get(record.name), inputs.codecs.get(record.name))
                if reason:
                    self.unwatched[record.name] = reason
                else:
                    kept[position] = record
                    self.baseline[INPUT + record.name] = known[record.name]

    def update(self, statistics: dict[str, ColumnStatistics], tensors: Tensors, answers: Tensors) -> None:
        """Add rows to statistics by column, which may be empty.

        Args:
            statistics: what is added to.
            tensors: what the graph took.
            answers: what it gave; outputs that nobody asked for are absent.
        """
        for position, record in self._numbers.items():
            _add(statistics, record.name, record.kind, _number_series(record.kind, tensors["numbers"][:, position]))
        for position, record in self._strings.items():
            texts = pl.Series(tensors["strings"][:, position].tolist(), dtype=pl.String)
            _add(statistics, record.name, record.kind, texts.set(texts == "", None))
        for name, values in answers.items():
            if name not in self._answers:  # such as embeddings
                continue
            for column in baseline.output_columns(name, np.asarray(values)):
                key = OUTPUT + column.name
                reference = self.baseline.get(key)
                if reference is None or reference.kind is not column.kind:
                    continue
                if key in statistics:
                    statistics[key].merge(column)
                else:
                    statistics[key] = column

    def rows(self, inputs: TableInputs | SeriesInputs | TensorInputs, tensors: Tensors) -> list[dict[str, Any]]:
        """Rows as they were packed, by column: numbers, texts, truth values, and moments as in `MOMENT`."""
        if not isinstance(inputs, TableInputs):
            return []
        values: dict[str, list[Any]] = {}
        for position, record in enumerate(inputs.numbers):
            series = _number_series(record.kind, tensors["numbers"][:, position])
            if record.kind is Kind.DATETIME:
                series = series.dt.strftime(MOMENT + ("+00:00" if record.time_zone else ""))
            values[record.name] = series.to_list()
        for position, record in enumerate(inputs.strings):
            values[record.name] = [text or None for text in tensors["strings"][:, position].tolist()]
        return [
            dict(zip(inputs.names, row, strict=True)) for row in zip(*(values[n] for n in inputs.names), strict=True)
        ]


def _why_not(record: ColumnRecord, known: ColumnStatistics | None, codec: str | None) -> str:
    if known is None or not known.rows:
        return "the bundle holds no statistics of it"
    if codec is not None:
        return f"it reaches the model in another form ({codec})"
    if known.kind is not record.kind:
        return f"its statistics are of the kind {known.kind}"
    return "" if known.numbers is not None or known.frequent is not None else "it has no distribution"


def _number_series(kind: Kind, values: NDArray[np.float64]) -> pl.Series:
    series = pl.Series(values).fill_nan(None)
    if kind is Kind.BOOLEAN:
        return series.cast(pl.Boolean)
    return series.cast(pl.Int64).cast(pl.Datetime("us")) if kind is Kind.DATETIME else series


def _add(statistics: dict[str, ColumnStatistics], name: str, kind: Kind, series: pl.Series) -> None:
    key = INPUT + name
    if key not in statistics:
        statistics[key] = columns.ColumnStatistics(name, kind, size=_SKETCH)
    statistics[key].update(series)
