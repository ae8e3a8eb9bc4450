"""What is learned of each group of rows: a mean, a median or a frequent value of each column."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import polars as pl

from lepton.core import DataError, ErrorCode, Kind, Schema
from lepton.data.recipes.base import Learner
from lepton.data.statistics.quantiles import QuantileSketch

__all__ = ["MAX_GROUPS", "GroupMeans", "GroupMedians", "GroupModes", "group_keys", "group_types"]

MAX_GROUPS = 10_000
"""Groups that a fitted recipe may hold."""

_VALUE = "\0value"
_ROWS = "\0rows"
_SMALLEST, _LARGEST = 64, 4_096  # values that the sketch of a group keeps


def group_types(schema: Schema, by: Sequence[str]) -> dict[str, pl.DataType]:
    """How the values that name a group are held: texts, booleans, and any number as a double."""
    types: dict[Kind, pl.DataType] = {Kind.NUMBER: pl.Float64(), Kind.BOOLEAN: pl.Boolean()}
    return {name: types.get(schema[name].kind, pl.String()) for name in by}


def group_keys(types: dict[str, pl.DataType]) -> list[pl.Expr]:
    """The columns that name the group of a row; -0.0 is 0.0."""
    return [pl.col(name).cast(dtype) + 0.0 if dtype.is_float() else pl.col(name) for name, dtype in types.items()]


class _GroupLearner(Learner):
    """Learns of all rows by `overall`, and of those whose group is known by group.

    `finish` gives what `overall` does, and `groups`: for each column [key, …, value] in the order of the keys.

    Args:
        overall: learns of all rows.
        types: the columns that name the group.
        columns: what is summarised.
    """

    def __init__(self, overall: Learner, types: dict[str, pl.DataType], columns: Sequence[str]) -> None:
        self.columns = tuple(dict.fromkeys((*types, *columns)))
        self._overall, self._types, self._values = overall, types, tuple(columns)
        self._by = list(types)

    def update(self, frame: pl.DataFrame) -> None:
        """See some more rows."""
        self._overall.update(frame)
        for name in self._values:
            known = frame.select(*group_keys(self._types), pl.col(name).alias(_VALUE)).drop_nulls()
            if known[_VALUE].dtype.is_numeric():
                known = known.with_columns(pl.col(_VALUE).cast(pl.Float64)).filter(pl.col(_VALUE).is_finite())
            if known.height:
                self._see(name, known)

    @abstractmethod
    def _see(self, name: str, known: pl.DataFrame) -> None:
        """Rows of keys and one value, none of them missing."""

    @abstractmethod
    def _found(self, name: str) -> pl.DataFrame:
        """Keys and the value of each group."""

    def finish(self) -> dict[str, Any]:
        """The values of all rows and of the groups."""
        groups = {}
        for name in self._values:
            found = self._found(name).drop_nulls()
            self._check(found.height)
            groups[name] = [list(row) for row in found.sort(self._by).select(*self._by, _VALUE).rows()]
        return {**self._overall.finish(), "groups": groups}

    def _check(self, number: int) -> None:
        if number > MAX_GROUPS:
            raise DataError(
                ErrorCode.BAD_VALUE,
                f"by {', '.join(self._by)} there are more than {MAX_GROUPS:,} groups",
                wanted="columns of few different values",
                fix="put rare values together first (merge_rare), or use fill_forward, which learns nothing",
            )

    def _empty(self, name: str) -> pl.DataFrame:
        return pl.DataFrame(schema={**self._types, _VALUE: pl.Float64()})


class GroupMeans(_GroupLearner):
    """Means by group."""

    def __init__(self, overall: Learner, types: dict[str, pl.DataType], columns: Sequence[str]) -> None:
        super().__init__(overall, types, columns)
        self._sums: dict[str, pl.DataFrame] = {}

    def _see(self, name: str, known: pl.DataFrame) -> None:
        value = pl.col(_VALUE)
        self._add(name, known.group_by(self._by).agg(value.sum(), value.len().cast(pl.Int64).alias(_ROWS)))

    def _add(self, name: str, sums: pl.DataFrame) -> None:
        if name in self._sums:
            sums = pl.concat([self._sums[name], sums]).group_by(self._by).agg(pl.col(_VALUE, _ROWS).sum())
        self._check(sums.height)
        self._sums[name] = sums

    def merge(self, other: Self) -> None:
        """Take in what another one has seen."""
        self._overall.merge(other._overall)
        for name, sums in other._sums.items():
            self._add(name, sums)

    def _found(self, name: str) -> pl.DataFrame:
        mean = pl.col(_VALUE) / pl.col(_ROWS)
        sums = self._sums.get(name)
        return self._empty(name) if sums is None else sums.with_columns(mean).filter(pl.col(_VALUE).is_finite())


class GroupModes(_GroupLearner):
    """The most frequent value by group, the first in order of those that are equally frequent."""

    _HELD = 1_000_000

    def __init__(self, overall: Learner, types: dict[str, pl.DataType], columns: Sequence[str]) -> None:
        super().__init__(overall, types, columns)
        self._counts: dict[str, pl.DataFrame] = {}

    def _see(self, name: str, known: pl.DataFrame) -> None:
        self._add(name, known.group_by([*self._by, _VALUE]).agg(pl.len().cast(pl.Int64).alias(_ROWS)))

    def _add(self, name: str, counts: pl.DataFrame) -> None:
        if name in self._counts:
            counts = pl.concat([self._counts[name], counts]).group_by([*self._by, _VALUE]).agg(pl.col(_ROWS).sum())
        if counts.height > self._HELD:  # of very many values the rare ones go, as where there are no groups
            order = [_ROWS, *self._by, _VALUE]
            counts = counts.sort(order, descending=[True, *[False] * (len(order) - 1)]).head(self._HELD // 2)
        self._counts[name] = counts

    def merge(self, other: Self) -> None:
        """Take in what another one has seen."""
        self._overall.merge(other._overall)
        for name, counts in other._counts.items():
            self._add(name, counts)

    def _found(self, name: str) -> pl.DataFrame:
        counts = self._counts.get(name)
        if counts is None:
            return self._empty(name)
        order = [_ROWS, _VALUE]
        return counts.sort(order, descending=[True, False]).group_by(self._by, maintain_order=True).first()


class GroupMedians(_GroupLearner):
    """Medians by group: exact as long as the values fit, else by a sketch of each group.

    `finish` adds `group_rank_error`.

    Args:
        overall: learns of all rows.
        types: the columns that name the group.
        columns: what is summarised.
        memory: bytes that may be held.
    """

    def __init__(self, overall: Learner, types: dict[str, pl.DataType], columns: Sequence[str], memory: int) -> None:
        super().__init__(overall, types, columns)
        self._memory, self._held = memory, 0
        self._parts: dict[str, list[pl.DataFrame]] | None = {name: [] for name in self._values}
        self._sketches: dict[str, dict[tuple[Any, ...], QuantileSketch]] = {name: {} for name in self._values}

    def _see(self, name: str, known: pl.DataFrame) -> None:
        if self._parts is None:
            self._summarise(name, known)
            return
        self._parts[name].append(known)
        self._held += int(known.estimated_size())
        if self._held > self._memory:
            self._shrink()

    def _shrink(self) -> None:
        parts, self._parts = self._parts or {}, None
        for name, frames in parts.items():
            for frame in frames:
                self._summarise(name, frame)
            frames.clear()

    def _summarise(self, name: str, known: pl.DataFrame) -> None:
        sketches = self._sketches[name]
        for row in known.group_by(self._by, maintain_order=True).agg(_VALUE).iter_rows():
            *key, values = row
            self._sketch(sketches, tuple(key)).update(np.array(values, dtype=np.float64))

    def _sketch(self, sketches: dict[tuple[Any, ...], QuantileSketch], key: tuple[Any, ...]) -> QuantileSketch:
        if key not in sketches:
            self._check(len(sketches) + 1)
            share = self._memory // (8 * max(len(sketches), 1) * len(self._values))
            sketches[key] = QuantileSketch(int(np.clip(share, _SMALLEST, _LARGEST)))
        return sketches[key]

    def merge(self, other: Self) -> None:
        """Take in what another one has seen."""
        self._overall.merge(other._overall)
        if other._parts is not None:
            for name, frames in other._parts.items():
                for frame in frames:
                    self._see(name, frame)
            return
        if self._parts is not None:
            self._shrink()
        for name, sketches in other._sketches.items():
            for key, sketch in sketches.items():
                self._sketch(self._sketches[name], key).merge(sketch)

    def _found(self, name: str) -> pl.DataFrame:
        if self._parts is not None:
            parts = self._parts[name]
            return pl.concat([self._empty(name), *parts]).group_by(self._by).agg(pl.col(_VALUE).median())
        rows = [(*key, float(sketch.quantile(0.5)[0])) for key, sketch in self._sketches[name].items()]
        return pl.DataFrame(rows, schema=self._empty(name).schema, orient="row")

    def finish(self) -> dict[str, Any]:
        """The medians, and how far the rank of any of them may be off, as a share of the group."""
        errors = [sketch.rank_error for sketches in self._sketches.values() for sketch in sketches.values()]
        return {**super().finish(), "group_rank_error": max(errors, default=0.0)}
