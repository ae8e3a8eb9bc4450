"""What a description holds: one record a column, and one of the table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lepton.core import ColumnRecord, Kind, Role
from lepton.data.decisions import DecisionRecord
from lepton.data.describe.findings import Finding
from lepton.data.describe.missing import MissingMap
from lepton.data.describe.relations import Relation
from lepton.data.describe.shapes import counts_between, edges_of
from lepton.data.references import References
from lepton.data.statistics import ColumnStatistics
from lepton.report import plural, show_number, show_share, show_time

__all__ = ["ColumnDescription", "Histogram", "TableDescription"]

_QUANTILES = {"p01": 0.01, "p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}
_TOP = 20


@dataclass(frozen=True, slots=True)
class Histogram:
    """Rows between edges.

    Attributes:
        edges: n + 1 rising places.
        counts: n counts, from the sketch.
        outside: rows beyond the edges: a few far values would flatten all others.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]
    outside: int


@dataclass(frozen=True, slots=True)
class ColumnDescription:
    """One column.

    Attributes:
        record: its place in the schema.
        statistics: what one pass over all rows found.
        relation: how it goes with the target, from a sample; None for the target itself and where nothing is measured.
    """

    record: ColumnRecord
    statistics: ColumnStatistics
    relation: Relation | None = None

    @property
    def missing_share(self) -> float:
        """Share of rows that are missing; 0 without rows."""
        return self.statistics.missing / self.statistics.rows if self.statistics.rows else 0.0

    def histogram(self, bins: int = 40) -> Histogram | None:
        """Distribution of the numbers, moments or lengths; None where there are none.

        Whole numbers get bins of whole width. Where a few values lie far out, the edges leave at most 2 % of the
        rows out.
        """
        numbers = self.statistics.numbers
        if numbers is None or not numbers.sketch.count:
            return None
        edges = edges_of([numbers.sketch], bins, whole=self._is_whole)
        if edges is None:
            return None
        counts = counts_between(numbers.sketch, edges)
        return Histogram(edges, counts, round(numbers.sketch.count - float(counts.sum())))

    @property
    def _is_whole(self) -> bool:
        return self.record.dtype == "int64" or self.record.kind in {Kind.TEXT, Kind.IDENTIFIER}

    def values_text(self) -> str:
        """The values in a line: smallest, median and largest, or the most frequent."""
        statistics = self.statistics
        if self.record.kind in {Kind.CATEGORY, Kind.BOOLEAN} and statistics.frequent is not None:
            top = statistics.frequent.top(3)
            return ", ".join(f"{value} {show_share(count / statistics.present)}" for value, count in top)
        if statistics.numbers is None or not statistics.numbers.sketch.count:
            return ""
        low, middle, high = statistics.numbers.sketch.quantile([0, 0.5, 1]).tolist()
        if self.record.kind in {Kind.TEXT, Kind.IDENTIFIER}:
            return f"{show_number(low)} to {show_number(high)} characters"
        show = show_time if self.record.kind is Kind.DATETIME else show_number
        return f"{show(low)} … {show(middle)} … {show(high)}"

    def relation_text(self) -> str:
        """The relation to the target in a word."""
        if self.record.role is Role.TARGET:
            return "target"
        if self.relation is None:
            return ""
        value, strength = self.relation.value, self.relation.strength
        return f"{value if abs(value) >= 0.9 * strength else strength:.2f}".replace("-", "−")

    def to_dict(self) -> dict[str, Any]:
        """JSON form; numbers that do not exist are left out."""
        statistics = self.statistics
        out: dict[str, Any] = self.record.to_dict() | {
            "rows": statistics.rows,
            "missing": statistics.missing,
            "missing_share": self.missing_share,
            "distinct": statistics.num_distinct,
            "distinct_exact": statistics.distinct.is_exact,
        }
        if statistics.numbers is not None and statistics.numbers.sketch.count:
            lengths = self.record.kind in {Kind.TEXT, Kind.IDENTIFIER}
            out["lengths" if lengths else "numbers"] = self._numbers()
        if statistics.frequent is not None:
            top = statistics.frequent.top(_TOP)
            out["top"] = [{"value": value, "rows": count} for value, count in top]
            out["top_error"] = statistics.frequent.error
        if self.relation is not None:
            found = asdict(self.relation)
            out["relation"] = {("rows" if name == "num_rows" else name): value for name, value in found.items()}
        return out

    def _numbers(self) -> dict[str, Any]:
        numbers = self.statistics.numbers
        if numbers is None:
            return {}
        sketch, moments = numbers.sketch, numbers.moments
        out: dict[str, Any] = {"min": sketch.minimum, "max": sketch.maximum, "zeros": numbers.zeros}
        out["infinities"] = numbers.infinities
        out["rank_error"] = sketch.rank_error
        out |= dict(zip(_QUANTILES, sketch.quantile(list(_QUANTILES.values())).tolist(), strict=True))
        finite = {"mean": moments.mean, "deviation": moments.deviation, "skew": moments.skew}
        out |= {name: value for name, value in finite.items() if value is not None and math.isfinite(value)}
        if (histogram := self.histogram()) is not None:
            out["histogram"] = {
                "edges": histogram.edges.tolist(), "counts": histogram.counts.tolist(), "outside": histogram.outside,
            }  # fmt: skip
        return out


@dataclass(frozen=True)
class TableDescription:
    """What one pass over a table found.

    Attributes:
        columns: one description a column, in order.
        findings: what to look at, warnings first.
        num_rows: rows seen.
        repeated_rows: rows that repeat an earlier one; an estimate where `repeated_exact` is False.
        repeated_exact: whether that is a count.
        target: name of the target, or None.
        complete: False if time was over before the last row: everything then speaks of the rows seen.
        decisions: what reading decided.
        sample: the rows that relations were measured on.
        missing: where in the table values are missing.
        references: what cells mean that are files.
    """

    columns: tuple[ColumnDescription, ...]
    findings: tuple[Finding, ...]
    num_rows: int
    repeated_rows: int
    repeated_exact: bool
    target: str | None
    complete: bool
    decisions: Sequence[DecisionRecord] = ()
    sample: pl.DataFrame = field(default_factory=pl.DataFrame, repr=False)
    missing: MissingMap = field(default_factory=MissingMap, repr=False)
    references: References = field(default_factory=References, repr=False)

    def __getitem__(self, name: str) -> ColumnDescription:
        for column in self.columns:
            if column.record.name == name:
                return column
        raise KeyError(name)

    @property
    def missing_share(self) -> float:
        """Share of all cells that are missing."""
        cells = self.num_rows * len(self.columns)
        return sum(column.statistics.missing for column in self.columns) / cells if cells else 0.0

    @property
    def related(self) -> tuple[ColumnDescription, ...]:
        """Columns with a relation to the target, the closest first."""
        having = [column for column in self.columns if column.relation is not None]
        return tuple(sorted(having, key=lambda c: (-_strength(c), c.record.name)))

    def summary_text(self) -> str:
        """The table in a line."""
        parts = [
            plural(self.num_rows, "row"),
            plural(len(self.columns), "column"),
            f"{show_share(self.missing_share)} missing",
        ]
        if self.repeated_rows:
            about = "" if self.repeated_exact else "about "
            parts.append(f"{about}{show_number(self.repeated_rows)} repeated rows")
        return " · ".join(parts)


def _strength(column: ColumnDescription) -> float:
    return 0.0 if column.relation is None else column.relation.strength
