"""Categories as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from lepton.bundle import GraphBuilder
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Schema
from lepton.data.recipes.base import Applied, BoundRowStep, BoundStep, Learner, RecipeStep, Scope, chosen_columns
from lepton.data.recipes.learning import Counts
from lepton.data.steps import Tensors
from lepton.data.steps.base import concatenated, positions

__all__ = ["OneHot"]


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
