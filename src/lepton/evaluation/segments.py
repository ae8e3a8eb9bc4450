"""How good a model is for parts of the rows: by the values of a column, numbers and dates cut at their quartiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import Work
from lepton.evaluation.answers import Answers
from lepton.evaluation.bootstrap import Estimate
from lepton.evaluation.classification import Floats
from lepton.evaluation.metrics import Metric
from lepton.report import show_number, show_time

__all__ = ["MIN_ROWS", "Segment", "parts_of", "segments_of"]

MIN_ROWS = 30
"""Below so many rows nothing is said: an interval would be wider than what it could tell."""
MAX_VALUES = 20
_FEW_NUMBERS = 8
TOO_FEW = f"too few to say (under {MIN_ROWS} rows)"


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of the rows.

    Attributes:
        value: the value, or the range, that its rows share.
        num_rows: how many.
        metrics: name → value with interval; empty where the rows are too few.
        note: why there are no metrics, or "".
    """

    value: str
    num_rows: int
    metrics: dict[str, Estimate]
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "value": self.value,
            "num_rows": self.num_rows,
            "metrics": {name: each.to_dict() for name, each in self.metrics.items()},
            "note": self.note,
        }


def segments_of(
    answers: Answers, column: str, metrics: tuple[Metric, ...], *, seed: int = 0, work: Work | None = None
) -> tuple[Segment, ...]:
    """The metrics for each part of the rows that `column`, one of `answers.columns`, makes."""
    found = []
    for value, rows in parts_of(answers.columns[column]):
        num_rows = int(rows.sum())
        if num_rows < MIN_ROWS:
            found.append(Segment(value, num_rows, {}, TOO_FEW))
        else:
            found.append(Segment(value, num_rows, answers.only(rows).estimates(metrics, seed=seed, work=work)))
    return tuple(found)


def parts_of(column: pl.Series) -> list[tuple[str, NDArray[np.bool_]]]:
    """Names and masks [N] of the parts: none overlaps, none is empty, all rows are in one."""
    missing = column.is_null().to_numpy()
    if column.dtype.is_temporal():
        parts = _ranges(column.cast(pl.Int64).cast(pl.Float64).fill_null(np.nan).to_numpy(), missing, show_time)
    elif column.dtype.is_numeric() and column.drop_nulls().n_unique() > _FEW_NUMBERS:
        parts = _ranges(column.cast(pl.Float64).fill_null(np.nan).to_numpy(), missing, show_number)
    else:
        parts = _values(column)
    return [*parts, ("missing", missing)] if missing.any() else parts


def _ranges(values: Floats, missing: NDArray[np.bool_], show: Any) -> list[tuple[str, NDArray[np.bool_]]]:
    there = values[~missing]
    if not len(there):
        return []
    inner = np.unique(np.quantile(there, [0.25, 0.5, 0.75], method="lower"))
    number = np.where(missing, -1, np.searchsorted(inner, values, side="left"))
    parts = []
    for each in np.unique(number[~missing]).tolist():
        inside = number == each
        lower, upper = float(values[inside].min()), float(values[inside].max())
        parts.append((show(lower) if lower == upper else f"{show(lower)} to {show(upper)}", inside))
    return parts


def _values(column: pl.Series) -> list[tuple[str, NDArray[np.bool_]]]:
    """The most frequent values, then the rest together; numbers in their order, the rest by falling count."""
    values = column.drop_nulls().alias("value")  # the column may be called as its counts are
    counts = values.value_counts(name="rows").sort(["rows", "value"], descending=[True, False])
    shown = counts["value"].head(MAX_VALUES)
    if column.dtype.is_numeric():
        shown = shown.sort()
    parts = [(_text(value), (column == value).fill_null(False).to_numpy()) for value in shown.to_list()]
    rest = counts.height - len(shown)
    if rest:
        others = ~column.is_null().to_numpy() & ~np.any([mask for _, mask in parts], axis=0)
        parts.append((f"{rest:,} other values", others))
    return parts


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return show_number(value) if isinstance(value, int | float) else str(value)
