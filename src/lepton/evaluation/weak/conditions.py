"""Conditions on a column (a range, a value, missing), and columns coded so that all of them can be tried at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import printable
from lepton.evaluation.classification import Floats
from lepton.report import show_number, show_time

__all__ = ["CodedColumn", "Condition", "coded_column"]

FINE = 64
COARSE = 16
QUARTERS = 4
MAX_VALUES = 60
_LONG = 0.5
"""Share of different texts from which a column is taken for free text, whose length is what rows can share."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What rows share in one column.

    Attributes:
        column: its name.
        kind: `range` of numbers or moments, `length` of texts in characters, `value`, or `missing`.
        lower: least number of a range, or None where it is open; moments are microseconds since 1970 UTC.
        upper: greatest, or None.
        value: the value, of the kind `value`.
        moments: whether the range is one of moments.
    """

    column: str
    kind: Literal["range", "length", "value", "missing"]
    lower: float | None = None
    upper: float | None = None
    value: str | float | bool | None = None
    moments: bool = False

    @property
    def text(self) -> str:
        """In words, as in `age 30 to 45`."""
        name = printable(self.column, 60)
        if self.kind == "missing":
            return f"{name} is missing"
        if self.kind == "value":
            if isinstance(self.value, bool):
                return f"{name} is {'yes' if self.value else 'no'}"
            shown = show_number(self.value) if isinstance(self.value, int | float) else printable(str(self.value), 60)
            return f"{name} is {shown}"
        if self.kind == "length":
            name = f"length of {name}"
        show = show_time if self.moments else show_number
        if self.lower is None and self.upper is None:
            return f"{name} is there"
        if self.lower is None:
            return f"{name} at most {show(self.upper)}"
        if self.upper is None:
            return f"{name} at least {show(self.lower)}"
        if self.lower == self.upper:
            return f"{name} is {show(self.lower)}"
        return f"{name} from {show(self.lower)} to {show(self.upper)}"

    def rows(self, frame: pl.DataFrame) -> NDArray[np.bool_]:
        """The rows [N] of a frame where it holds; ends of ranges belong to them."""
        column = frame[self.column]
        if self.kind == "missing":
            return _missing(column)
        if self.kind == "value":
            wanted = pl.Series([self.value], dtype=column.dtype) if column.dtype != pl.Categorical else self.value
            return (column == wanted).fill_null(False).to_numpy()
        numbers = _numbers(column.str.len_chars() if self.kind == "length" else column)
        inside = ~np.isnan(numbers)
        if self.lower is not None:
            inside &= numbers >= self.lower
        if self.upper is not None:
            inside &= numbers <= self.upper
        return inside

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        raw: dict[str, Any] = {"column": self.column, "kind": self.kind, "text": self.text}
        if self.kind in ("range", "length"):
            raw |= {"lower": _json(self.lower), "upper": _json(self.upper)}
        return {**raw, "value": self.value} if self.kind == "value" else raw


@dataclass(frozen=True)
class CodedColumn:
    """A column as small numbers: bins of an ordered one in their order, or values, then the missing.

    Attributes:
        name: the column.
        codes: bin of each row, uint8 [N].
        num_bins: how many, the missing included.
        ordered: whether ranges of bins mean something.
        has_missing: whether the last bin holds missing values.
        lows: least number of each bin, of an ordered column.
        highs: greatest.
        values: the value of each bin of an unordered column; a bin beyond them holds all others.
        coarse: for each bin the wider one that it belongs to.
        kind: of its conditions, beside `missing`.
        moments: whether its numbers are moments.
        ranges: first and last wide bin of each condition that is tried, int64 [K, 2].
    """

    name: str
    codes: NDArray[np.uint8]
    num_bins: int
    ordered: bool
    has_missing: bool
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()
    values: tuple[Any, ...] = ()
    coarse: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, dtype=np.uint8))
    kind: Literal["range", "length", "value"] = "range"
    moments: bool = False

    @property
    def num_coarse(self) -> int:
        """Wide bins."""
        return int(self.coarse[-1]) + 1

    def candidates(self, *, fine: bool = False) -> NDArray[np.int64]:
        """First and last bin, the latter included, of each condition that can be tried, int64 [K, 2]."""
        bins = self.num_bins if fine else self.num_coarse
        there = bins - int(self.has_missing)
        if self.ordered:
            first, last = np.triu_indices(there)
            whole = (first == 0) & (last == there - 1)
            pairs = np.stack([first, last], axis=1)[~whole | self.has_missing]
        else:
            single = np.arange(len(self.values))
            pairs = np.stack([single, single], axis=1)
        if self.has_missing:
            pairs = np.concatenate([pairs, [[bins - 1, bins - 1]]])
        spans: NDArray[np.int64] = pairs.astype(np.int64)
        return spans

    def plain(self) -> list[tuple[int, int]]:
        """Spans of bins that are told without search: single values, runs of quarters of the numbers, missing."""
        if not self.ordered:
            spans = [(each, each) for each in range(len(self.values))]
        else:
            there = self.num_bins - int(self.has_missing)
            edges = np.unique(np.round(np.linspace(0, there, QUARTERS + 1)).astype(int)).tolist()
            whole = (0, there - 1)
            runs = [(a, b - 1) for place, a in enumerate(edges[:-1]) for b in edges[place + 1 :]]
            spans = [each for each in runs if each != whole or self.has_missing]
        return [*spans, (self.num_bins - 1, self.num_bins - 1)] if self.has_missing else spans

    def fine(self, span: Sequence[int]) -> tuple[int, int]:
        """The bins of a span of wide ones."""
        inside = np.flatnonzero((self.coarse >= span[0]) & (self.coarse <= span[1]))
        return int(inside[0]), int(inside[-1])

    def condition(self, span: tuple[int, int]) -> Condition:
        """The condition that a span of bins stands for."""
        first, last = span
        if self.has_missing and first == self.num_bins - 1:
            return Condition(self.name, "missing")
        if not self.ordered:
            return Condition(self.name, "value", value=self.values[first])
        there = self.num_bins - int(self.has_missing)
        lower = None if first == 0 else self.lows[first]
        upper = None if last == there - 1 else self.highs[last]
        return Condition(self.name, self.kind, lower, upper, moments=self.moments)


def coded_column(column: pl.Series, *, min_rows: int) -> CodedColumn | None:
    """A column coded for the search; None where no rows of it can be told from others.

    Args:
        column: values of N rows, of any type; what is neither a number, a moment, a truth value nor a text is left out.
        min_rows: rows that a value needs to be tried.
    """
    if column.dtype.is_temporal() or column.dtype.is_numeric():
        return _ordered(column.name, _numbers(column), "range", moments=column.dtype.is_temporal())
    if column.dtype == pl.Boolean:
        return _unordered(column, min_rows)
    if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return None
    texts = column.cast(pl.String)
    if texts.n_unique() > max(_LONG * len(texts), MAX_VALUES):
        coded = _unordered(texts, min_rows)
        if coded is None or not coded.values:
            lengths = texts.str.len_chars().cast(pl.Float64).fill_null(np.nan).to_numpy()
            return _ordered(column.name, lengths, "length", moments=False)
        return coded
    return _unordered(texts, min_rows)


def _ordered(name: str, numbers: Floats, kind: Literal["range", "length"], *, moments: bool) -> CodedColumn | None:
    missing = np.isnan(numbers)
    there = numbers[~missing]
    if not len(there):
        return None
    edges = np.unique(np.quantile(there, np.arange(1, FINE) / FINE, method="lower"))
    edges = edges[edges < there.max()]
    codes = np.searchsorted(edges, numbers, side="left")
    counts = np.bincount(codes[~missing], minlength=len(edges) + 1)
    rising = np.sort(there)
    ends = np.cumsum(counts)
    lows, highs = rising[ends - counts], rising[ends - 1]
    middle = (ends - counts / 2) / len(there)
    _, coarse = np.unique(np.floor(middle * COARSE), return_inverse=True)
    num_bins = len(counts)
    if missing.any():
        codes[missing] = num_bins
        coarse = np.append(coarse, coarse[-1] + 1)
        num_bins += 1
    if num_bins < 2:
        return None
    return CodedColumn(
        name,
        codes.astype(np.uint8),
        num_bins,
        True,
        bool(missing.any()),
        tuple(lows.tolist()),
        tuple(highs.tolist()),
        coarse=coarse.astype(np.uint8),
        kind=kind,
        moments=moments,
    )


def _unordered(column: pl.Series, min_rows: int) -> CodedColumn | None:
    values = column.drop_nulls().alias("value")
    counts = values.value_counts(name="rows").sort(["rows", "value"], descending=[True, False])
    kept = counts.filter(pl.col("rows") >= min_rows).head(MAX_VALUES)["value"]
    missing = column.is_null().to_numpy()
    others = counts.height > len(kept)
    rest = len(kept)
    codes = (
        column.replace_strict(kept, pl.Series(range(len(kept)), dtype=pl.Int64), default=rest, return_dtype=pl.Int64)
        if len(kept)
        else pl.Series([rest] * len(column), dtype=pl.Int64)
    )
    num_bins = len(kept) + int(others)
    numbers = codes.fill_null(rest).to_numpy().copy()
    if missing.any():
        numbers[missing] = num_bins
        num_bins += 1
    if num_bins < 2:
        return None
    return CodedColumn(
        column.name,
        numbers.astype(np.uint8),
        num_bins,
        False,
        bool(missing.any()),
        values=tuple(kept.to_list()),
        coarse=np.arange(num_bins, dtype=np.uint8),
        kind="value",
    )


def _numbers(column: pl.Series) -> Floats:
    if column.dtype.is_temporal():
        column = column.dt.epoch("us") if column.dtype in (pl.Date, pl.Datetime) else column.to_physical()
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64, copy=False)


def _missing(column: pl.Series) -> NDArray[np.bool_]:
    if column.dtype.is_float():
        return (column.is_null() | column.is_nan().fill_null(False)).to_numpy()
    return column.is_null().to_numpy()


def _json(value: float | None) -> float | None:
    return value if value is None or np.isfinite(value) else None
