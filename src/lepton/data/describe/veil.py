"""Descriptions without the values of some columns, for pages that others see."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import polars as pl

from lepton.data.describe.records import ColumnDescription, TableDescription
from lepton.data.statistics import ColumnStatistics

__all__ = ["veiled"]

_VEIL = "•••"
_TELLING = frozenset({"spelling", "imbalance", "marker", "limit"})
"""Findings that name values."""


def veiled(description: TableDescription, private: Collection[str]) -> TableDescription:
    """The same description with counts alone of the `private` columns; the target stays as it is.

    Their values go from statistics and sample, with what is drawn from them, and what reading said of them.
    """
    hidden = {c.record.name for c in description.columns if c.record.name in private} - {description.target}
    masks = [pl.when(pl.col(name).is_not_null()).then(pl.lit(_VEIL)).alias(name) for name in sorted(hidden)]
    return replace(
        description,
        columns=tuple(_counts_alone(c) if c.record.name in hidden else c for c in description.columns),
        findings=tuple(f for f in description.findings if f.column not in hidden or f.what not in _TELLING),
        decisions=tuple(d for d in description.decisions if d.column not in hidden),
        sample=description.sample.with_columns(masks) if description.sample.width else description.sample,
    )


def _counts_alone(column: ColumnDescription) -> ColumnDescription:
    before = column.statistics
    counts = ColumnStatistics(before.name, before.kind)
    counts.rows, counts.missing, counts.distinct = before.rows, before.missing, before.distinct
    counts.numbers = counts.frequent = None
    return ColumnDescription(column.record, counts)
