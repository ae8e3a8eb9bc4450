"""Steps on whole columns: choose, drop, rename, read as another kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl

from lepton.bundle import GraphBuilder
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Schema, UsageError, check_label
from lepton.data.recipes.base import Applied, BoundRowStep, OnError, RecipeStep, Scope
from lepton.data.recipes.bound import put
from lepton.data.recipes.expression_forms import Graph
from lepton.data.steps import Tensors

__all__ = ["Cast", "Drop", "Rename", "Select"]


@dataclass(frozen=True)
class Select(RecipeStep):
    """Keep the named columns only, in that order.

    Attributes:
        columns: the columns to keep.
    """

    name: ClassVar[str] = "select"
    scope: ClassVar[Scope] = Scope.ROW
    columns: tuple[str, ...]

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundRowStep:
        """The step on these columns."""
        return _Chosen(schema, schema.select(self.columns))


@dataclass(frozen=True)
class Drop(RecipeStep):
    """Take the named columns away.

    Attributes:
        columns: the columns to drop.
    """

    name: ClassVar[str] = "drop"
    scope: ClassVar[Scope] = Scope.ROW
    columns: tuple[str, ...]

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundRowStep:
        """The step on these columns."""
        dropped = {schema[name].name for name in self.columns}
        return _Chosen(schema, Schema(tuple(column for column in schema if column.name not in dropped)))


@dataclass(frozen=True)
class Rename(RecipeStep):
    """Give columns other names.

    Attributes:
        names: old name → new name.
    """

    name: ClassVar[str] = "rename"
    scope: ClassVar[Scope] = Scope.ROW
    names: Mapping[str, str]

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundRowStep:
        """The step on these columns."""
        names = {schema[old].name: check_label(new, "column name") for old, new in self.names.items()}
        columns = tuple(replace(column, name=names.get(column.name, column.name)) for column in schema)
        after = [column.name for column in columns]
        if len(set(after)) < len(after):
            twice = next(name for name in after if after.count(name) > 1)
            raise UsageError(ErrorCode.BAD_RECIPE, f"rename: two columns would be called {twice!r}")
        return _Renamed(schema, Schema(columns))


@dataclass(frozen=True)
class Cast(RecipeStep):
    """Take columns as another kind: numbers as texts or whole numbers, texts as numbers, booleans as numbers.

    A text that is no number, or a number with a fraction for `whole`, is a cell that cannot be treated. A model takes
    texts that were read as numbers or booleans as they come; it makes no whole numbers of texts, nor texts of numbers.

    Attributes:
        columns: the columns.
        to: `number`, `whole`, `boolean`, `category` or `text`.
        on_error: what becomes of such cells.
    """

    name: ClassVar[str] = "cast"
    scope: ClassVar[Scope] = Scope.ROW
    columns: tuple[str, ...]
    to: str
    on_error: OnError = OnError.FAIL

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundRowStep:
        """The step on these columns."""
        if self.to not in _CASTS:
            raise UsageError(ErrorCode.BAD_RECIPE, f"cast: got to={self.to!r}", wanted="one of " + ", ".join(_CASTS))
        kind, dtype, _ = _CASTS[self.to]
        names = {schema[name].name for name in self.columns}
        for name in names:
            if schema[name].kind not in _CASTABLE:
                came = f"cast: column {name!r} is of kind {schema[name].kind}"
                raise DataError(ErrorCode.WRONG_KIND, came, wanted=" or ".join(_CASTABLE))
        after = tuple(replace(c, kind=kind, dtype=dtype, missing_markers=()) if c.name in names else c for c in schema)
        return _Casted(
            schema, Schema(after), tuple(c.name for c in schema if c.name in names), self.to, self.on_error.is_lenient
        )


_CASTS = {
    "number": (Kind.NUMBER, "float64", pl.Float64()),
    "whole": (Kind.NUMBER, "int64", pl.Int64()),
    "boolean": (Kind.BOOLEAN, "bool", pl.Boolean()),
    "category": (Kind.CATEGORY, "string", pl.String()),
    "text": (Kind.TEXT, "string", pl.String()),
}
_CASTABLE = (Kind.NUMBER, Kind.BOOLEAN, Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER)


_NUMERIC = (Kind.NUMBER, Kind.BOOLEAN)


@dataclass(frozen=True)
class _Chosen(BoundRowStep):
    after: Schema

    @property
    def schema(self) -> Schema:
        return self.after

    @property
    def reads(self) -> tuple[str, ...]:
        return self.after.names

    @property
    def writes(self) -> tuple[str, ...]:
        return ()

    def apply(self, frame: pl.DataFrame) -> Applied:
        return Applied(frame.select(self.after.names))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        return tensors  # who reads the tensors takes what it needs by name


@dataclass(frozen=True)
class _Renamed(BoundRowStep):
    after: Schema

    @property
    def schema(self) -> Schema:
        return self.after

    @property
    def _names(self) -> dict[str, str]:
        pairs = zip(self.before.names, self.after.names, strict=True)
        return {old: new for old, new in pairs if old != new}

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(self._names)

    @property
    def writes(self) -> tuple[str, ...]:
        return tuple(self._names.values())

    def needs(self, wanted: set[str]) -> set[str]:
        old = {new: old for old, new in self._names.items()}
        return {old.get(name, name) for name in wanted}

    def apply(self, frame: pl.DataFrame) -> Applied:
        return Applied(frame.rename(self._names))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        names = self._names
        return replace(
            tensors,
            number_names=tuple(names.get(name, name) for name in tensors.number_names),
            string_names=tuple(names.get(name, name) for name in tensors.string_names),
        )


@dataclass(frozen=True)
class _Casted(BoundRowStep):
    after: Schema
    columns: tuple[str, ...]
    to: str
    is_lenient: bool

    @property
    def schema(self) -> Schema:
        return self.after

    @property
    def reads(self) -> tuple[str, ...]:
        return self.columns

    @property
    def writes(self) -> tuple[str, ...]:
        return self.columns

    @property
    def fallible(self) -> tuple[str, ...]:
        return self.columns

    def needs(self, wanted: set[str]) -> set[str]:
        return wanted

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        for name in self.columns:
            if name in tensors.string_names and self.to not in ("category", "text"):
                return super().emit(builder, tensors)
            if name in tensors.number_names and self.to != "number":
                if self.to not in ("whole", "boolean"):
                    return super().emit(builder, tensors)
                graph = Graph(builder, tensors)
                column = graph.column(name)
                fits = _fitting(graph, column) if self.to == "whole" else _deciding(graph, column)
                tensors = put(builder, tensors, name, graph.node("Not", fits), graph.number(np.nan))
        return tensors

    def raw(self, column: ColumnRecord) -> ColumnRecord | None:
        if column.name not in self.columns or self.to not in ("number", "boolean"):
            return None
        if column.kind in _NUMERIC:
            return column if self.to == "number" else None
        kind, dtype, _ = _CASTS[self.to]
        declared = replace(column, kind=kind, dtype=dtype, unreadable_is_missing=self.is_lenient)
        if self.to == "number":
            return declared
        return replace(declared, true_texts=_words(True), false_texts=_words(False))

    def apply(self, frame: pl.DataFrame) -> Applied:
        dtype = _CASTS[self.to][2]
        made, bad = [], {}
        for name in self.columns:
            old = frame[name]
            new = _as_type(old, dtype)
            made.append(new)
            bad[name] = new.is_null() & old.is_not_null()
        return Applied(frame.with_columns(made), bad)


_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _words(truth: bool) -> tuple[str, ...]:
    return tuple(word for word, value in _WORDS.items() if value is truth)


def _fitting(graph: Graph, column: str) -> str:
    """Which numbers are whole, and small enough to be held as such."""
    whole = graph.node("Equal", column, graph.node("Round", column))
    return graph.node("And", whole, graph.node("Less", graph.node("Abs", column), graph.number(2.0**63)))


def _deciding(graph: Graph, column: str) -> str:
    return graph.node("Or", *(graph.node("Equal", column, graph.number(value)) for value in (0.0, 1.0)))


def _as_type(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    if isinstance(dtype, pl.String):
        return values.cast(pl.String)
    if isinstance(dtype, pl.Boolean) and isinstance(values.dtype, pl.String):
        words = values.str.strip_chars().str.to_lowercase()
        return words.replace_strict(_WORDS, default=None, return_dtype=dtype)
    numbers = values.str.strip_chars().cast(pl.Float64, strict=False) if values.dtype == pl.String else values
    if isinstance(dtype, pl.Boolean):
        return numbers.to_frame().select(
            pl.when((pl.first() == 0) | (pl.first() == 1)).then(pl.first() == 1).alias(values.name)
        ).to_series()  # fmt: skip
    if numbers.dtype.is_float():
        numbers = numbers.fill_nan(None)
        if isinstance(dtype, pl.Int64):
            numbers = numbers.to_frame().select(
                pl.when(pl.first() == pl.first().round()).then(pl.first()).alias(values.name)
            ).to_series()  # fmt: skip
    return numbers.cast(dtype, strict=False)
