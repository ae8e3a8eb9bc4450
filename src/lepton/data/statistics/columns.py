"""Statistics of one column, whatever its kind, from a stream of series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from lepton.core import DataError, ErrorCode, Kind
from lepton.data.statistics.distinct import DistinctSketch, hash_numbers, hash_texts
from lepton.data.statistics.encoding import Floats, count_of, refuse_final
from lepton.data.statistics.frequent import FrequentValues
from lepton.data.statistics.numbers import NumberStatistics

__all__ = ["ColumnStatistics"]

_CATEGORIES = 1_024
_FREQUENT_NUMBERS = 64
_CANDIDATES = 128
_KEY_CHARACTERS = 128
_SUMMARY_POINTS = 128
_WITH_NUMBERS = frozenset({Kind.NUMBER, Kind.DATETIME, Kind.TEXT, Kind.IDENTIFIER})
_WITH_FREQUENT = frozenset({Kind.NUMBER, Kind.BOOLEAN, Kind.CATEGORY})
_TEXTUAL = frozenset({Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER, Kind.IMAGE, Kind.AUDIO})


class ColumnStatistics:
    """What one pass over a column tells; parts can be merged, and the result written as at most 64 kB of JSON.

    `numbers` holds the values of a number, the microseconds since 1970 UTC of a datetime, and the lengths in characters
    of texts and identifiers. `frequent` holds the most frequent categories (their first 128 characters), the two truth
    values, or the most frequent numbers. Kinds other than these are only counted.

    >>> column = ColumnStatistics("rooms", Kind.NUMBER)
    >>> column.update(pl.Series([1.0, 2.0, None, 2.0]))
    >>> column.rows, column.missing, column.distinct.estimate, column.frequent.top(1)
    (4, 1, 2, [(2.0, 2)])

    Args:
        name: the column.
        kind: what its values are.
        size: how many values the quantile sketch keeps at most; by default 4,096.
    """

    def __init__(self, name: str, kind: Kind, *, size: int | None = None) -> None:
        self.name = name
        self.kind = Kind(kind)
        self.rows = 0
        self.missing = 0
        self.numbers = NumberStatistics(size) if kind in _WITH_NUMBERS else None
        self.frequent = None
        if kind in _WITH_FREQUENT:
            self.frequent = FrequentValues(_FREQUENT_NUMBERS if kind is Kind.NUMBER else _CATEGORIES)
        self.distinct = DistinctSketch()
        self.is_final = False

    @property
    def present(self) -> int:
        """Rows that are not missing."""
        return self.rows - self.missing

    @property
    def num_distinct(self) -> int:
        """Different values: at most `present`, beyond which the estimate of many can stray."""
        return min(self.distinct.estimate, self.present)

    def update(self, series: pl.Series) -> None:
        """Add a series of the dtype that the kind has in a frame; null and NaN are missing.

        Raises:
            DataError: the series cannot be of this kind.
        """
        refuse_final(self.is_final)
        try:
            present = self._present(series)
        except (pl.exceptions.PolarsError, TypeError, ValueError):
            raise DataError(
                ErrorCode.WRONG_KIND,
                f"the column {self.name!r} came as {series.dtype}",
                wanted=f"values of kind {self.kind}",
            ) from None
        self.rows += len(series)
        self.missing += len(series) - len(present)
        if not len(present):
            return
        if self.kind in _TEXTUAL:
            self._update_texts(present)
        elif self.kind is Kind.BOOLEAN:
            self._update_truth(present)
        elif self.numbers is not None:
            self._update_numbers(present.to_numpy())

    def merge(self, other: ColumnStatistics) -> None:
        """Add what `other`, statistics of the same column elsewhere, has seen."""
        refuse_final(self.is_final or other.is_final)
        if self.kind is not other.kind:
            raise DataError(
                ErrorCode.WRONG_KIND,
                f"got statistics of the {other.kind} {other.name!r} to merge into the {self.kind} {self.name!r}",
                wanted="the same kind",
            )
        self.rows += other.rows
        self.missing += other.missing
        self.distinct.merge(other.distinct)
        if self.numbers is not None and other.numbers is not None:
            self.numbers.merge(other.numbers)
        if self.frequent is not None and other.frequent is not None:
            self.frequent.merge(other.frequent)

    def summary(self, *, points: int = _SUMMARY_POINTS, min_rows: int = 10) -> ColumnStatistics:
        """A final, small copy to hand out.

        Values with fewer than `min_rows` rows are folded into "other", each point of the distribution stands for at
        least as many, and nothing is left that tells whether a rare value occurred; only the extremes are single rows'.
        """
        out = ColumnStatistics(self.name, self.kind)
        out.rows, out.missing, out.is_final = self.rows, self.missing, True
        out.distinct = self.distinct.sealed()
        if self.numbers is not None:
            out.numbers = self.numbers.summary(min(points, max(1, self.numbers.sketch.count // min_rows)))
        if self.frequent is not None:
            out.frequent = self.frequent.limited(min_rows=min_rows, max_bytes=32_000)
        return out

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        out: dict[str, Any] = {"name": self.name, "kind": str(self.kind), "rows": self.rows, "missing": self.missing}
        out["distinct"] = self.distinct.to_dict()
        if self.numbers is not None:
            out["numbers"] = self.numbers.to_dict()
        if self.frequent is not None:
            out["frequent"] = self.frequent.to_dict()
        if self.is_final:
            out["final"] = True
        return out

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ColumnStatistics:
        """Read the JSON form; `ValueError` or `KeyError` on anything else."""
        out = cls(str(raw["name"]), Kind(raw["kind"]))
        out.rows, out.missing = count_of(raw, "rows"), count_of(raw, "missing")
        out.distinct = DistinctSketch.from_dict(raw["distinct"])
        if out.numbers is not None:
            out.numbers = NumberStatistics.from_dict(raw["numbers"])
        if out.frequent is not None:
            out.frequent = FrequentValues.from_dict(raw["frequent"])
        out.is_final = raw.get("final") is True
        return out

    def _present(self, series: pl.Series) -> pl.Series:
        if self.kind in _TEXTUAL:
            return series.cast(pl.String).drop_nulls()
        if self.kind is Kind.BOOLEAN:
            return series.cast(pl.Boolean).drop_nulls()
        if self.kind is Kind.DATETIME:
            return series.drop_nulls().dt.epoch("us").cast(pl.Float64)
        if self.kind is Kind.NUMBER:
            numbers = series.cast(pl.Float64).drop_nulls()
            return numbers.filter(numbers.is_not_nan()) if numbers.is_nan().any() else numbers
        return series.drop_nulls()

    def _update_numbers(self, values: Floats) -> None:
        if self.numbers is None:
            return
        rising = self.numbers.update(values)
        if not len(rising):
            return
        starts = np.flatnonzero(np.concatenate([[True], rising[1:] != rising[:-1]]))
        self.distinct.update(hash_numbers(rising[starts]))
        if self.frequent is not None:
            self._count_numbers(rising[starts], np.diff(starts, append=len(rising)))

    def _count_numbers(self, values: Floats, counts: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        if self.frequent is None:
            return
        rows, error = int(counts.sum()), 0
        if len(values) > _CANDIDATES:
            # The rest has at most as many rows as the first that is left out.
            kept = np.argpartition(counts, -_CANDIDATES - 1)[-_CANDIDATES - 1 :]
            kept = kept[np.argsort(-counts[kept], kind="stable")]
            error = int(counts[kept[-1]])
            kept = np.sort(kept[:-1][counts[kept[:-1]] > error])
            values, counts = values[kept], counts[kept] - error
        self.frequent.update(zip(values.tolist(), counts.tolist(), strict=True), rows=rows, error=error)

    def _update_texts(self, texts: pl.Series) -> None:
        if self.numbers is not None:
            self.numbers.update(texts.str.len_chars().cast(pl.Float64).to_numpy())
        if self.frequent is None:
            self.distinct.update(hash_texts(texts))
            return
        texts = texts.alias("text")
        counted = texts.value_counts(name="rows").sort("rows", "text", descending=[True, False])
        self.distinct.update(hash_texts(counted[texts.name]))
        error = 0
        if len(counted) > _CATEGORIES:
            error = int(counted["rows"][_CATEGORIES])
            counted = counted.head(_CATEGORIES).with_columns(pl.col("rows") - error).filter(pl.col("rows") > 0)
        keys = counted[texts.name].str.slice(0, _KEY_CHARACTERS).to_list()
        self.frequent.update(zip(keys, counted["rows"].to_list(), strict=True), rows=len(texts), error=error)

    def _update_truth(self, truth: pl.Series) -> None:
        if self.frequent is None:
            return
        true = int(truth.sum())
        counts = [(text, count) for text, count in (("false", len(truth) - true), ("true", true)) if count]
        self.distinct.update(hash_texts(pl.Series([text for text, _ in counts])))
        self.frequent.update(counts)
