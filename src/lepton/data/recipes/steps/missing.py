"""Missing values: filled, marked, or the row goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from lepton.bundle import GraphBuilder
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Schema, UsageError
from lepton.data.recipes.base import (
    Applied,
    BoundRowStep,
    BoundStep,
    BoundTableStep,
    Frames,
    Learner,
    RecipeStep,
    RunContext,
    Scope,
    chosen_columns,
)
from lepton.data.recipes.bound import SameColumns
from lepton.data.recipes.learning import Counts, Means, Quantiles
from lepton.data.recipes.steps.fill_by_group import FilledByGroup, group_columns, group_learner, group_tables
from lepton.data.steps import Impute, MissingIndicators, Tensors

__all__ = ["DropMissing", "Fill", "FlagMissing", "MarkMissing"]

_WORDS = ("median", "mean", "mode")
_NUMBERS = (Kind.NUMBER,)
_TEXTS = (Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER)
_FILLED = (Kind.NUMBER, Kind.BOOLEAN, Kind.CATEGORY, Kind.TEXT)


@dataclass(frozen=True)
class Fill(RecipeStep):
    """Fill missing values of columns: with their median, mean or mode, of all rows or by group, or with a value.

    A column without any value stays as it is for `median`, `mean` and `mode`. By group, rows whose group is missing or
    was not seen take the value of all rows, as do those of groups without any value.

    Attributes:
        columns: the columns; () for every column that has missing values and fits.
        value: `"median"`, `"mean"`, `"mode"`, or a number, text or boolean; a text of those three names is written
            as `literal`.
        literal: a text to fill with, whatever it is.
        by: up to three columns that name the group of a row, at most 10,000 groups: `fill("income", by="town")`.
    """

    name: ClassVar[str] = "fill"
    scope: ClassVar[Scope] = Scope.ROW
    keeps_columns: ClassVar[bool] = True
    columns: tuple[str, ...] = ()
    value: str | float | int | bool = "median"
    literal: str | None = None
    by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """A value that is given is the same for every group."""
        super().__post_init__()
        if self.by and (self.literal is not None or self.value not in _WORDS):
            came = f"fill: got by={list(self.by)} and a value for all rows"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted="one of " + ", ".join(_WORDS))

    def _kinds(self) -> tuple[Kind, ...]:
        if self.literal is not None or self.value == "mode":
            return _FILLED if self.literal is None else (Kind.CATEGORY, Kind.TEXT)
        if isinstance(self.value, bool):
            return (Kind.BOOLEAN,)
        return (Kind.CATEGORY, Kind.TEXT) if isinstance(self.value, str) and self.value not in _WORDS else _NUMBERS

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns that name the group, and those that are filled."""
        columns = self._filled(schema)
        return (*group_columns(schema, self.by, columns, self.name), *columns) if self.by else columns

    def _filled(self, schema: Schema) -> tuple[str, ...]:
        columns = chosen_columns(schema, self.columns, self._kinds(), self.name)
        return columns if self.columns else tuple(name for name in columns if name not in self.by)

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """Medians, means or counts."""
        columns = self._filled(schema)
        if self.literal is not None or self.value not in _WORDS:
            return None
        memory //= 2 if self.by else 1
        overall: Learner = Quantiles(columns, [0.5], memory)
        if self.value != "median":
            overall = Means(columns) if self.value == "mean" else Counts(columns, 1)
        by = self.reads(schema)[: len(self.by)]
        return group_learner(schema, by, columns, str(self.value), overall, memory) if by else overall

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        columns = self._filled(schema)
        if self.by:
            return self._bound_by_group(schema, columns, learned)
        fills = {name: value for name in columns if (value := self._fill(name, learned)) is not None}
        whole = [n for n in fills if schema[n].dtype == "int64" and float(fills[n]) != int(float(fills[n]))]
        after = Schema(tuple(replace(c, dtype="float64") if c.name in whole else c for c in schema))
        return _Filled(schema, tuple(fills), after, tuple(fills.values()))

    def _bound_by_group(self, schema: Schema, columns: tuple[str, ...], learned: Mapping[str, Any]) -> BoundStep:
        by = group_columns(schema, self.by, columns, self.name)
        fills = {name: self._fill(name, learned) for name in columns}
        tables = dict(zip(columns, group_tables(schema, by, columns, learned), strict=True))
        values = {n: [*tables[n]["\0value"], *([] if fills[n] is None else [fills[n]])] for n in columns}
        whole = {n for n in columns if schema[n].dtype != "int64" or all(float(v).is_integer() for v in values[n])}
        after = Schema(
            tuple(c if c.name in whole or c.name not in fills else replace(c, dtype="float64") for c in schema)
        )
        return FilledByGroup(schema, columns, after, by, tuple(fills.values()), tuple(tables.values()))

    def _fill(self, name: str, learned: Mapping[str, Any]) -> Any:
        if self.literal is not None:
            return self.literal
        if self.value == "median":
            return learned["values"][name][0]
        if self.value == "mean":
            return learned["means"][name]
        if self.value == "mode":
            counts = learned["counts"][name]
            return counts[0][0] if counts else None
        if self.value == "":
            raise UsageError(ErrorCode.BAD_RECIPE, "fill: an empty text is a missing value", wanted="another value")
        return self.value


@dataclass(frozen=True)
class _Filled(SameColumns):
    fills: tuple[Any, ...] = ()

    def apply(self, frame: pl.DataFrame) -> Applied:
        made = []
        for name, fill in zip(self.columns, self.fills, strict=True):
            column = frame[name]
            if self.schema[name].dtype == "float64" and not column.dtype.is_float():
                column = column.cast(pl.Float64)
            made.append(column.fill_null(pl.Series([fill]).cast(column.dtype)[0]) if column.null_count() else column)
        return Applied(frame.with_columns(made))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        pairs = dict(zip(self.columns, self.fills, strict=True))
        numbers = {name: float(fill) for name, fill in pairs.items() if name in tensors.number_names}
        tensors = Impute(tuple(numbers), tuple(numbers.values())).emit(builder, tensors) if numbers else tensors
        texts = [pairs.get(name, "") for name in tensors.string_names]
        if not any(texts) or tensors.strings is None:
            return tensors
        empty = builder.node("Equal", [tensors.strings, builder.constant([[""]])])
        filled = builder.node("Where", [empty, builder.constant([texts]), tensors.strings])
        return replace(tensors, strings=filled)


@dataclass(frozen=True)
class MarkMissing(RecipeStep):
    """Take values that stand for "missing", such as `?` or -999, as missing.

    Attributes:
        columns: the columns; () for every column that fits.
        values: texts for columns of texts, numbers for columns of numbers; others are passed over.
    """

    name: ClassVar[str] = "mark_missing"
    scope: ClassVar[Scope] = Scope.ROW
    columns: tuple[str, ...] = ()
    values: tuple[str | float | int, ...] = ()

    def __post_init__(self) -> None:
        """There must be a value."""
        super().__post_init__()
        if not self.values:
            raise UsageError(ErrorCode.BAD_RECIPE, "mark_missing: got no values", wanted='such as ["?", -999]')

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        columns = chosen_columns(schema, self.columns, (*_TEXTS, Kind.NUMBER), self.name)
        numbers = tuple(float(value) for value in self.values if not isinstance(value, str))
        texts = tuple(value for value in self.values if isinstance(value, str))
        return _Marked(schema, columns, None, numbers, texts)


@dataclass(frozen=True)
class _Marked(SameColumns):
    numbers: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()

    def apply(self, frame: pl.DataFrame) -> Applied:
        made = []
        for name in self.columns:
            markers: tuple[Any, ...] = self.numbers if self.schema[name].kind is Kind.NUMBER else self.texts
            if markers:
                column = pl.col(name)
                found = (column.cast(pl.Float64) if markers is self.numbers else column).is_in(list(markers))
                made.append(pl.when(found).then(None).otherwise(column).alias(name))
        return Applied(frame.with_columns(made))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        numbers, strings = tensors.numbers, tensors.strings
        if numbers is not None and (here := [name in self.columns for name in tensors.number_names]) and any(here):
            for marker in self.numbers:
                row = np.where(here, marker, np.nan)[None, :]  # NaN equals nothing: other columns stay
                hit = builder.node("Equal", [numbers, builder.constant(row)])
                numbers = builder.node("Where", [hit, builder.constant(np.nan), numbers])
        if strings is not None and (here := [name in self.columns for name in tensors.string_names]) and any(here):
            empty = builder.constant([[""]])
            for text in self.texts:
                words = builder.constant([[text if each else "" for each in here]])  # "" is missing already
                strings = builder.node("Where", [builder.node("Equal", [strings, words]), empty, strings])
        return replace(tensors, numbers=numbers, strings=strings)


@dataclass(frozen=True)
class FlagMissing(RecipeStep):
    """Add a column of 0 and 1 for each number column that says where its value is missing.

    Attributes:
        columns: the columns; () for every number column that has missing values.
    """

    name: ClassVar[str] = "flag_missing"
    scope: ClassVar[Scope] = Scope.ROW
    columns: tuple[str, ...] = ()

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns."""
        return chosen_columns(schema, self.columns, _NUMBERS, self.name)

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """Which columns have missing values, unless they are named."""
        return None if self.columns else _Missing(self.reads(schema))

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        columns = self.reads(schema) if self.columns else tuple(learned["missing"])
        added = []
        for name in columns:
            mark = f"{name} is missing"
            if mark in schema:
                came = f"flag_missing: there is a column {mark!r} already"
                raise DataError(ErrorCode.BAD_COLUMN_NAMES, came, fix="rename it first")
            added.append(ColumnRecord(mark, Kind.NUMBER, "float64", role=schema[name].role))
        return _Flagged(schema, columns, Schema((*schema.columns, *added)))


class _Missing(Learner):
    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self._counts = dict.fromkeys(columns, 0)

    def update(self, frame: pl.DataFrame) -> None:
        for name in self.columns:
            self._counts[name] += frame[name].null_count()

    def merge(self, other: _Missing) -> None:
        for name, count in other._counts.items():
            self._counts[name] += count

    def finish(self) -> dict[str, Any]:
        return {"missing": {name: count for name, count in self._counts.items() if count}}


@dataclass(frozen=True)
class _Flagged(BoundRowStep):
    columns: tuple[str, ...]
    after: Schema

    @property
    def schema(self) -> Schema:
        return self.after

    @property
    def reads(self) -> tuple[str, ...]:
        return self.columns

    @property
    def writes(self) -> tuple[str, ...]:
        return tuple(f"{name} is missing" for name in self.columns)

    def needs(self, wanted: set[str]) -> set[str]:
        marks = {f"{name} is missing": name for name in self.columns}
        return {marks.get(name, name) for name in wanted}

    def apply(self, frame: pl.DataFrame) -> Applied:
        marks = [pl.col(n).is_null().cast(pl.Float64).alias(f"{n} is missing") for n in self.columns]
        return Applied(frame.with_columns(marks))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        return MissingIndicators(tuple(n for n in self.columns if n in tensors.number_names)).emit(builder, tensors)


@dataclass(frozen=True)
class DropMissing(RecipeStep):
    """Drop rows in which a value is missing. It acts when data is prepared, not on rows that a model is asked about.

    Attributes:
        columns: where to look; () for all columns.
        how: `any` of them missing, or `all`.
    """

    name: ClassVar[str] = "drop_missing"
    scope: ClassVar[Scope] = Scope.TABLE
    columns: tuple[str, ...] = ()
    how: Literal["any", "all"] = "any"

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        return _Complete(schema, tuple(schema[n].name for n in self.columns) or schema.names, self.how)


@dataclass(frozen=True)
class _Complete(BoundTableStep):
    only_filters: ClassVar[bool] = True
    columns: tuple[str, ...]
    how: str

    @property
    def schema(self) -> Schema:
        return self.before

    @property
    def reads(self) -> tuple[str, ...]:
        return self.columns

    @property
    def writes(self) -> tuple[str, ...]:
        return ()

    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        missing = [pl.col(name).is_null() for name in self.columns]
        gone = pl.any_horizontal(missing) if self.how == "any" else pl.all_horizontal(missing)
        for frame in frames():
            yield frame.filter(~gone)
