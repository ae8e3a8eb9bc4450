"""How far a table has moved from a baseline: its columns, and the distribution of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from lepton.core import Kind, Work
from lepton.data.dataset import Dataset
from lepton.data.statistics.columns import ColumnStatistics
from lepton.data.statistics.distances import chi_square, jensen_shannon, kolmogorov_smirnov, psi, shares

__all__ = [
    "DriftRecord",
    "SchemaChange",
    "Statistics",
    "TableDrift",
    "Verdict",
    "compare_statistics",
    "compare_tables",
    "drift_of",
    "elsewhere",
    "statistics_of",
]

Verdict = Literal["stable", "moved", "shifted"]
Statistics = Mapping[str, tuple[ColumnStatistics, ColumnStatistics]]
"""By column: in the baseline, and in the table."""
MOVED = 0.1
"""Population stability index from which a column counts as moved."""
SHIFTED = 0.25
"""Population stability index from which it counts as shifted."""
_FEW_ROWS = 50
_KINDS = frozenset({Kind.NUMBER, Kind.BOOLEAN, Kind.DATETIME, Kind.CATEGORY, Kind.TEXT})


@dataclass(frozen=True)
class SchemaChange:
    """A difference in the columns.

    Attributes:
        column: its name.
        what: `added`, `removed`, `another kind` or `another unit`.
        before: kind or unit in the baseline, "" for what was not there.
        after: in the table.
    """

    column: str
    what: str
    before: str
    after: str


@dataclass(frozen=True)
class DriftRecord:
    """How far one column has moved. Verdicts go by effect size: with many rows any difference is significant.

    Attributes:
        column: its name.
        verdict: `stable`, `moved` (PSI from 0.1) or `shifted` (from 0.25), beyond what so few rows do by chance.
        psi: population stability index.
        jensen_shannon: distance, 0 to 1.
        cramers_v: effect size of the χ² test, 0 to 1.
        kolmogorov_smirnov: largest distance of the distribution functions; None for categories.
        missing_before: share of missing values in the baseline.
        missing_after: in the table.
        p_value: of the χ² test, corrected for the number of columns (Holm).
        note: what limits this, or "".
    """

    column: str
    verdict: Verdict
    psi: float | None
    jensen_shannon: float | None
    cramers_v: float | None
    kolmogorov_smirnov: float | None
    missing_before: float
    missing_after: float
    p_value: float | None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def statistics_of(table: Dataset, columns: tuple[str, ...], work: Work) -> dict[str, ColumnStatistics]:
    """Statistics of the columns, in one pass."""
    found = {name: ColumnStatistics(name, table.schema[name].kind) for name in columns}
    if not found:
        return found
    rows = 0
    for frame in table.batches(columns=columns):
        work.check()
        for name, statistics in found.items():
            statistics.update(frame[name])
        rows += frame.height
        work.report(rows, unit="rows", note="drift")
    return found


@dataclass(frozen=True)
class TableDrift:
    """What differs between a table and its baseline.

    Attributes:
        schema_changes: of the columns.
        records: of each column that both have in the same kind.
        statistics: of those columns in the baseline and in the table.
    """

    schema_changes: tuple[SchemaChange, ...] = ()
    records: tuple[DriftRecord, ...] = ()
    statistics: Statistics = field(default_factory=dict)


def compare_tables(
    table: Dataset, baseline: Dataset, work: Work | None = None
) -> tuple[tuple[SchemaChange, ...], tuple[DriftRecord, ...]]:
    """What differs in the columns, and how far those of the same kind have moved.

    Args:
        table: the rows of today.
        baseline: what they are compared with.
        work: cancel and progress.
    """
    found = drift_of(table, baseline, Work.of(work))
    return found.schema_changes, found.records


def drift_of(table: Dataset, baseline: Dataset, work: Work) -> TableDrift:
    """`compare_tables` with the statistics of the columns, for pictures."""
    changes = []
    for column in baseline.schema:
        if column.name not in table.schema:
            changes.append(SchemaChange(column.name, "removed", str(column.kind), ""))
            continue
        other = table.schema[column.name]
        if other.kind is not column.kind:
            changes.append(SchemaChange(column.name, "another kind", str(column.kind), str(other.kind)))
        elif other.unit != column.unit:
            changes.append(SchemaChange(column.name, "another unit", column.unit or "", other.unit or ""))
    added = [c for c in table.schema if c.name not in baseline.schema]
    changes += [SchemaChange(c.name, "added", "", str(c.kind)) for c in added]
    common = tuple(
        column.name
        for column in baseline.schema
        if column.name in table.schema and table.schema[column.name].kind is column.kind and column.kind in _KINDS
    )
    before, after = statistics_of(baseline, common, work), statistics_of(table, common, work)
    pairs = {name: (before[name], after[name]) for name in common}
    return TableDrift(tuple(changes), compare_statistics(before, after), pairs)


def elsewhere(before: ColumnStatistics, after: ColumnStatistics) -> float | None:
    """The least share of the rows that would have to change for the distributions to agree; None without rows.

    The total variation distance, half of Σ |q − p|, over the bins of `shares`.
    """
    first, second = shares(before, after)
    if not first.sum() or not second.sum():
        return None
    return float(np.abs(first / first.sum() - second / second.sum()).sum() / 2)


def compare_statistics(
    before: dict[str, ColumnStatistics], after: dict[str, ColumnStatistics]
) -> tuple[DriftRecord, ...]:
    """How far each column of `before` has moved in `after`, which has the same names and kinds."""
    pairs = {name: (before[name], after[name]) for name in before}
    raw = {name: _p_value(*pair) for name, pair in pairs.items()}
    corrected = _holm(raw)
    return tuple(_record(name, *pair, corrected[name]) for name, pair in pairs.items())


def _record(name: str, before: ColumnStatistics, after: ColumnStatistics, p_value: float | None) -> DriftRecord:
    index = _finite(psi(before, after))
    few = min(before.rows, after.rows)
    # What PSI is by chance alone when nothing has moved (Yurdakul 2018): (bins - 1)(1/n + 1/m).
    by_chance = 9 * (1 / before.rows + 1 / after.rows) if before.rows and after.rows else math.inf
    verdict: Verdict = "stable"
    if index is not None and index >= MOVED + by_chance and (p_value is None or p_value < 0.05):
        verdict = "shifted" if index >= SHIFTED + by_chance else "moved"
    note = f"there are {few} rows only" if few < _FEW_ROWS else ""
    return DriftRecord(
        column=name,
        verdict=verdict,
        psi=index,
        jensen_shannon=_finite(jensen_shannon(before, after)),
        cramers_v=_finite(chi_square(before, after)),
        kolmogorov_smirnov=None if before.numbers is None else _finite(kolmogorov_smirnov(before, after)),
        missing_before=before.missing / before.rows if before.rows else 0.0,
        missing_after=after.missing / after.rows if after.rows else 0.0,
        p_value=p_value,
        note=note,
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _p_value(before: ColumnStatistics, after: ColumnStatistics) -> float | None:
    """Of Pearson's χ² test; None where either has no rows."""
    effect = chi_square(before, after)
    if not math.isfinite(effect):
        return None
    rows = before.rows + after.rows
    bins = 10 if before.numbers is not None else min(51, len(before.frequent.top(51)) + 1 if before.frequent else 2)
    return _chi_square_tail(effect**2 * rows, max(bins - 1, 1))


def _chi_square_tail(value: float, degrees: int) -> float:
    """P(χ² > value), by the cube-root approximation of Wilson and Hilferty (1931): within 10⁻³."""
    spread = 2 / (9 * degrees)
    z = ((value / degrees) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
    return 0.5 * math.erfc(z / math.sqrt(2))


def _holm(raw: dict[str, float | None]) -> dict[str, float | None]:
    """P values corrected for how many there are (Holm 1979)."""
    known = sorted((value, name) for name, value in raw.items() if value is not None)
    corrected: dict[str, float | None] = dict(raw)
    largest = 0.0
    for position, (value, name) in enumerate(known):
        largest = max(largest, min(1.0, value * (len(known) - position)))
        corrected[name] = largest
    return corrected
