"""What a table says beside another one: how its columns have moved, and which rows stand in both."""

from __future__ import annotations

from dataclasses import dataclass, field

from lepton.core import Work
from lepton.data.dataset import Dataset
from lepton.data.quality.drift import DriftRecord, SchemaChange, Statistics, drift_of
from lepton.data.quality.overlap import SharedRows, shared_rows

__all__ = ["Beside", "DriftRecord", "SchemaChange", "SharedRows", "Statistics", "held_against"]


@dataclass(frozen=True)
class Beside:
    """What a table says beside another one.

    Attributes:
        schema_changes: of the columns.
        drift: of each column that both have in the same kind.
        statistics: of those columns in the other table and in this one.
        shared: rows that stand in both; None where there is no other table.
    """

    schema_changes: tuple[SchemaChange, ...] = ()
    drift: tuple[DriftRecord, ...] = ()
    statistics: Statistics = field(default_factory=dict)
    shared: SharedRows | None = None


def held_against(table: Dataset, other: Dataset | None, work: Work) -> Beside:
    """The table beside the other one, if there is one."""
    if other is None:
        return Beside()
    moved = drift_of(table, other, work)
    return Beside(moved.schema_changes, moved.records, moved.statistics, shared_rows(table, other, work=work))
