"""Categories as numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from lepton.bundle import GraphBuilder
from lepton.bundle.codecs import stable_hash
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Schema, UsageError
from lepton.data.recipes.base import Applied, BoundRowStep, BoundStep, Learner, RecipeStep, Scope, chosen_columns
from lepton.data.recipes.learning import Counts
from lepton.data.recipes.steps.lookup import LookedUp, Replaced, with_replaced
from lepton.data.steps import DropTexts, Tensors
from lepton.data.steps.base import concatenated, positions

__all__ = ["HashEncode", "OneHot", "Ordinal"]

_NAMES = (Kind.CATEGORY, Kind.IDENTIFIER)


@dataclass(frozen=True)
class OneHot(RecipeStep):
    """Replace each category column by one column of 0 and 1 for each of its frequent values.

    Other values, unseen ones and missing ones give 0 in all of them.

    Attributes:
        columns: the columns; () for every category column.
        max_categories: at most so many values of a column, the most frequent.
    """

    name: ClassVar[str] = "one_hot"
    scope: ClassVar[Scope] = Scope.ROW
    columns: tuple[str, ...] = ()
    max_categories: int = 100

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns."""
        return chosen_columns(schema, self.columns, (Kind.CATEGORY,), self.name)

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """The frequent values."""
        return Counts(self.reads(schema), self.max_categories)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        columns = self.reads(schema)
        values = tuple(tuple(sorted(value for value, _ in learned["counts"][name])) for name in columns)
        kept = [column for column in schema if column.name not in columns]
        added: list[ColumnRecord] = []
        for name, known in zip(columns, values, strict=True):
            for value in known:
                mark = f"{name}={value}"[:128]
                if any(mark == other.name for other in (*kept, *added)):
                    came = f"one_hot: two columns would be called {mark!r}"
                    raise DataError(ErrorCode.BAD_COLUMN_NAMES, came, fix="rename a column first")
                added.append(ColumnRecord(mark, Kind.NUMBER, "float64", role=schema[name].role))
        return _Encoded(schema, columns, values, Schema((*kept, *added)))


@dataclass(frozen=True)
class _Encoded(BoundRowStep):
    columns: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    after: Schema

    @property
    def schema(self) -> Schema:
        return self.after

    @property
    def reads(self) -> tuple[str, ...]:
        return self.columns

    @property
    def writes(self) -> tuple[str, ...]:
        return tuple(name for name in self.after.names if name not in self.before)

    def needs(self, wanted: set[str]) -> set[str]:
        made = dict(zip(self.writes, (n for n, known in self._known() for _ in known), strict=True))
        return {made.get(name, name) for name in wanted}

    def _known(self) -> list[tuple[str, tuple[str, ...]]]:
        return list(zip(self.columns, self.values, strict=True))

    def apply(self, frame: pl.DataFrame) -> Applied:
        pairs = [(name, value) for name, known in self._known() for value in known]
        marks = [
            (pl.col(name) == value).fill_null(False).cast(pl.Float64).alias(mark)
            for (name, value), mark in zip(pairs, self.writes, strict=True)
        ]
        return Applied(frame.with_columns(marks).select(self.after.names))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        if tensors.strings is None or not self.columns:
            return tensors
        place = positions(tensors.string_names)
        parts: list[str | None] = [tensors.numbers]
        made: list[str] = []
        marks = iter(self.writes)
        for name, known in self._known():
            names = [next(marks) for _ in known]
            if not known or name not in place:
                continue
            made += names
            texts = builder.node("Gather", [tensors.strings, builder.constant(np.array([place[name]]))], axis=1)
            hits = builder.node("Equal", [texts, builder.constant([list(known)])])
            parts.append(builder.node("Cast", [hits], to=11))  # onnx.TensorProto.DOUBLE
        rest = [n for n in tensors.string_names if n not in self.columns]
        left = np.array([place[n] for n in rest], dtype=np.int64)
        strings = builder.node("Gather", [tensors.strings, builder.constant(left)], axis=1) if rest else None
        return Tensors(concatenated(builder, parts), (*tensors.number_names, *made), strings, tuple(rest))


@dataclass(frozen=True)
class Ordinal(RecipeStep):
    """Replace each category by a number: 0, 1, 2 and so on, in a given order, by value or by frequency.

    A value that was not learned, or that is not in the order, becomes `unseen`. Missing stays missing.

    Attributes:
        columns: the columns; () for every category column.
        order: the values in their order, such as low, middle, high; () to learn them.
        by: without `order`, how the learned values are put in order: `value`, or `frequency`, the most frequent first.
        unseen: the number of other values; None makes them missing.
        max_categories: at most so many values of a column are learned, the most frequent.
    """

    name: ClassVar[str] = "ordinal"
    scope: ClassVar[Scope] = Scope.ROW
    columns: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    by: Literal["value", "frequency"] = "value"
    unseen: float | None = -1.0
    max_categories: int = 10_000

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns."""
        return chosen_columns(schema, self.columns, _NAMES, self.name, default=(Kind.CATEGORY,))

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """The values."""
        return None if self.order else Counts(self.reads(schema), self.max_categories)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        if len(set(self.order)) < len(self.order) or "" in self.order:
            came = f"ordinal: got order={list(self.order)[:20]!r}"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted="each value once, and none of them empty")
        columns = self.reads(schema)
        tables = []
        for name in columns:
            values = list(self.order) or [value for value, _ in learned["counts"][name]]
            if not self.order and self.by == "value":
                values.sort()
            tables.append({"": (math.nan,), **{value: (float(code),) for code, value in enumerate(values)}})
        unseen = math.nan if self.unseen is None else self.unseen
        made = tuple((name,) for name in columns)
        after = with_replaced(self.name, schema, columns, made)
        return LookedUp(schema, columns, made, after, tuple(tables), (unseen,))


@dataclass(frozen=True)
class HashEncode(RecipeStep):
    """Replace each category column by columns of 0 and 1, of which the value's hash picks the one that is 1.

    Nothing is learned, so that values of every table are treated alike, unseen ones too; some share a column. The
    column is the first 6 bytes of the value's BLAKE2b hash (8 bytes, of its UTF-8 form) as a whole number, the first
    byte the lowest, modulo `num_columns`. A missing value gives 0 in all columns.

    Attributes:
        columns: the columns; () for every category column.
        num_columns: of each column, 2 to 1,024.
    """

    name: ClassVar[str] = "hash_encode"
    scope: ClassVar[Scope] = Scope.ROW
    columns: tuple[str, ...] = ()
    num_columns: int = 16

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns."""
        return chosen_columns(schema, self.columns, _NAMES, self.name, default=(Kind.CATEGORY,))

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        if not 2 <= self.num_columns <= 1_024:
            came = f"hash_encode: got num_columns={self.num_columns}"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted="2 to 1,024")
        columns = self.reads(schema)
        made = tuple(tuple(f"{name} hash {place}"[-128:] for place in range(self.num_columns)) for name in columns)
        return _Hashed(schema, columns, made, with_replaced(self.name, schema, columns, made))


class _Hashed(Replaced):
    @property
    def codecs(self) -> Mapping[str, str]:
        return dict.fromkeys(self.columns, "stable-hash/1")

    def apply(self, frame: pl.DataFrame) -> Applied:
        numbers: dict[str, pl.Series] = {}
        for name, names in zip(self.columns, self.made, strict=True):
            distinct = frame[name].drop_nulls().unique()
            places = [stable_hash(text) % len(names) for text in distinct]
            found = frame[name].replace_strict(distinct, places, default=None, return_dtype=pl.Int64)
            numbers |= {
                new: (found == place).fill_null(value=False).cast(pl.Float64) for place, new in enumerate(names)
            }
        return Applied(self.with_numbers(frame, numbers))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        place = positions(tensors.string_names)
        parts: list[str | None] = [tensors.numbers]
        made: list[str] = []
        for name, names in zip(self.columns, self.made, strict=True):
            if name not in place or tensors.strings is None:
                continue
            texts = builder.node("Gather", [tensors.strings, builder.constant(np.array([place[name]]))], axis=1)
            missing = builder.node("Equal", [texts, builder.constant("")])
            digits = builder.node("Where", [missing, builder.constant("0"), texts])
            hashes = builder.node("Cast", [digits], to=7)  # onnx.TensorProto.INT64
            chosen = builder.node("Mod", [hashes, builder.constant(np.array([len(names)]))])
            hits = builder.node("Equal", [chosen, builder.constant(np.arange(len(names))[None])])
            hits = builder.node("And", [hits, builder.node("Not", [missing])])
            parts.append(builder.node("Cast", [hits], to=11))  # onnx.TensorProto.DOUBLE
            made += names
        left = DropTexts(self.columns).emit(builder, tensors)
        names = (*tensors.number_names, *made)
        return Tensors(concatenated(builder, parts), names, left.strings, left.string_names)
