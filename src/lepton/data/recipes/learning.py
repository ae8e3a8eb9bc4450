"""What steps learn: quantiles, moments and frequent values of columns, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.data.recipes.base import Learner
from lepton.data.statistics.numbers import Moments
from lepton.data.statistics.quantiles import QuantileSketch

__all__ = ["Counts", "Means", "Quantiles", "finite_values"]

_SKETCH_SIZE = 65_536
"""Values that a sketch keeps: rank errors of about 10^-4."""


def finite_values(column: pl.Series) -> NDArray[np.float64]:
    """The finite numbers of a column as doubles; missing values and infinities are left out."""
    values = column.drop_nulls().cast(pl.Float64).to_numpy()
    finite = np.isfinite(values)
    return values if finite.all() else values[finite]


class Quantiles(Learner):
    """Quantiles of number columns: exact as long as their values fit, else by a sketch whose rank error is told.

    `finish` gives `values` (a list for each column, of nulls where there were no numbers) and `rank_error`.

    Args:
        columns: whose quantiles.
        shares: which.
        memory: bytes that may be held.
    """

    def __init__(self, columns: Sequence[str], shares: Sequence[float], memory: int) -> None:
        self.columns = tuple(columns)
        self._shares = tuple(shares)
        self._memory = memory
        self._parts: dict[str, list[NDArray[np.float64]]] | None = {name: [] for name in self.columns}
        self._sketches: dict[str, QuantileSketch] = {}
        self._held = 0

    def update(self, frame: pl.DataFrame) -> None:
        """See some more rows."""
        for name in self.columns:
            self._take(name, finite_values(frame[name]))

    def _take(self, name: str, values: NDArray[np.float64]) -> None:
        if self._parts is None:
            self._sketches[name].update(values)
            return
        self._parts[name].append(values)
        self._held += values.nbytes
        if self._held > self._memory:
            self._summarise()

    def _summarise(self) -> None:
        parts, self._parts = self._parts or {}, None
        self._sketches = {name: QuantileSketch(_SKETCH_SIZE) for name in self.columns}
        for name, arrays in parts.items():
            for values in arrays:
                self._sketches[name].update(values)
            arrays.clear()

    def merge(self, other: Self) -> None:
        """Take in what another one has seen."""
        if other._parts is not None:
            for name, arrays in other._parts.items():
                for values in arrays:
                    self._take(name, values)
            return
        if self._parts is not None:
            self._summarise()
        for name, sketch in other._sketches.items():
            self._sketches[name].merge(sketch)

    def finish(self) -> dict[str, Any]:
        """The quantiles."""
        if self._parts is None:
            found = {name: self.at(name, self._shares) for name in self.columns}
        else:
            with ThreadPoolExecutor(2) as pool:
                found = dict(
                    zip(self.columns, pool.map(lambda name: self.at(name, self._shares), self.columns), strict=True)
                )
        values = {n: [None if np.isnan(v) else float(v) for v in each] for n, each in found.items()}
        return {"values": values, "rank_error": self.rank_error}

    @property
    def rank_error(self) -> float:
        """Bound on the error of the quantiles' ranks, as a share of the rows; 0 where they are exact."""
        return 0.0 if self._parts is not None else max(sketch.rank_error for sketch in self._sketches.values())

    def at(self, name: str, shares: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Quantiles of one column [len(shares)]; NaN where there were no numbers."""
        if self._parts is None:
            return self._sketches[name].quantile(shares)
        arrays = self._parts[name]
        values = np.concatenate(arrays) if arrays else np.empty(0)
        if not len(values):
            return np.full(len(shares), np.nan)
        with np.errstate(over="ignore"):
            return np.asarray(np.quantile(values, shares, overwrite_input=True))

    def sample(self, name: str, most: int) -> NDArray[np.float64]:
        """Values that stand for a column, rising: all where there are at most `most`, else so many, even in rank."""
        if self._parts is not None and sum(map(len, self._parts[name])) <= most:
            return np.sort(np.concatenate([np.empty(0), *self._parts[name]]))
        return self.at(name, (np.arange(most) + 0.5) / most)


class Means(Learner):
    """Means and standard deviations of number columns; nulls where there were no numbers.

    `finish` gives `means` and `deviations` (of the population) by column.

    Args:
        columns: whose.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self._moments = dict.fromkeys(self.columns, Moments())

    def update(self, frame: pl.DataFrame) -> None:
        """See some more rows."""
        for name in self.columns:
            self._moments[name] = self._moments[name].joined(Moments.of(finite_values(frame[name])))

    def merge(self, other: Self) -> None:
        """Take in what another one has seen."""
        for name, moments in other._moments.items():
            self._moments[name] = self._moments[name].joined(moments)

    def finish(self) -> dict[str, Any]:
        """The means and deviations."""
        means, deviations = {}, {}
        for name, each in self._moments.items():
            known = each.count > 0 and np.isfinite(each.mean) and np.isfinite(each.squares)
            means[name] = float(each.mean) if known else None
            deviations[name] = float(np.sqrt(each.squares / each.count)) if known else None
        return {"means": means, "deviations": deviations}


class Counts(Learner):
    """How often each value of some columns occurs; of columns of very many values the frequent ones.

    `finish` gives `counts`: for each column pairs of value and rows, the most frequent first, equals by value.

    Args:
        columns: whose values.
        limit: values of a column that are told.
    """

    _HELD = 1_000_000

    def __init__(self, columns: Sequence[str], limit: int) -> None:
        self.columns = tuple(columns)
        self._limit = limit
        self._counts: dict[str, pl.DataFrame] = {}

    def update(self, frame: pl.DataFrame) -> None:
        """See some more rows."""
        for name in self.columns:
            counted = frame[name].drop_nulls().rename("value").value_counts(name="rows")
            self._add(name, counted.with_columns(pl.col("rows").cast(pl.Int64)))

    def _add(self, name: str, counted: pl.DataFrame) -> None:
        before = self._counts.get(name)
        if before is not None:
            counted = pl.concat([before, counted]).group_by("value").agg(pl.col("rows").sum())
        if counted.height > self._HELD:
            counted = _ordered(counted).head(self._HELD // 2)
        self._counts[name] = counted

    def merge(self, other: Self) -> None:
        """Take in what another one has seen."""
        for name, counted in other._counts.items():
            self._add(name, counted)

    def finish(self) -> dict[str, Any]:
        """The counts."""
        found = {}
        for name in self.columns:
            counted = self._counts.get(name)
            found[name] = [] if counted is None else [list(row) for row in _ordered(counted).head(self._limit).rows()]
        return {"counts": found}


def _ordered(counted: pl.DataFrame) -> pl.DataFrame:
    return counted.sort(["rows", "value"], descending=[True, False])
