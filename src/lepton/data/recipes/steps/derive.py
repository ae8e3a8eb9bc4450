"""Columns and choices of rows by expression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl

from lepton.bundle import GraphBuilder
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, Schema, check_label
from lepton.data.recipes.base import Applied, BoundRowStep, BoundTableStep, Frames, RecipeStep, RunContext, Scope
from lepton.data.recipes.expressions import Expression, parse
from lepton.data.steps.base import Tensors, concatenated, gathered

__all__ = ["BoundDerive", "BoundFilter", "Derive", "Filter"]


@dataclass(frozen=True)
class Derive(RecipeStep):
    """Adds a column by an expression over the others, or replaces one: `derive("each", "price / rooms")`.

    What cannot be computed, such as a division by zero, is missing. A column that is made from the target is ignored in
    training, and one that is made from a protected column is protected, unless roles are given.

    Attributes:
        column: name of the column.
        expression: see [expressions](expressions.md).
    """

    name: ClassVar[str] = "derive"
    scope: ClassVar[Scope] = Scope.ROW
    column: str
    expression: str

    def __post_init__(self) -> None:
        """Reads the expression, so that a mistake is found where it is written."""
        super().__post_init__()
        check_label(self.column, "column")
        parse(self.expression)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundDerive:
        """Check the kinds of the columns."""
        expression = parse(self.expression)
        kind = expression.kind(schema)
        role = schema[self.column].role if self.column in schema else _role(expression, schema)
        record = ColumnRecord(self.column, kind, expression.dtype(schema), role=role)
        return BoundDerive(schema, expression, record)


def _role(expression: Expression, schema: Schema) -> Role:
    roles = {schema[name].role for name in expression.columns}
    if Role.TARGET in roles:
        return Role.IGNORED
    return Role.PROTECTED if Role.PROTECTED in roles else Role.FEATURE


@dataclass(frozen=True)
class BoundDerive(BoundRowStep):
    """`Derive` on columns."""

    expression: Expression
    record: ColumnRecord

    @property
    def schema(self) -> Schema:
        """The columns with the new one last, or in its place."""
        if self.record.name in self.before:
            return Schema(tuple(self.record if c.name == self.record.name else c for c in self.before))
        return Schema((*self.before, self.record))

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the expression."""
        return self.expression.columns

    @property
    def writes(self) -> tuple[str, ...]:
        """The one column."""
        return (self.record.name,)

    def needs(self, wanted: set[str]) -> set[str]:
        """The columns of the expression in place of the column, which may have been there before."""
        return wanted if self.record.name not in wanted else wanted - {self.record.name} | set(self.reads)

    def apply(self, frame: pl.DataFrame) -> Applied:
        """Compute the column."""
        return Applied(frame.with_columns(self.expression.polars(self.before).alias(self.record.name)))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """The expression as nodes; the column comes last among those of its type."""
        made = self.expression.emit(builder, tensors, self.before)
        tensors = _without(builder, tensors, self.record.name)
        if self.record.kind in (Kind.TEXT, Kind.CATEGORY):
            strings, names = concatenated(builder, [tensors.strings, made]), (*tensors.string_names, self.record.name)
            return replace(tensors, strings=strings, string_names=names)
        numbers, names = concatenated(builder, [tensors.numbers, made]), (*tensors.number_names, self.record.name)
        return replace(tensors, numbers=numbers, number_names=names)


def _without(builder: GraphBuilder, tensors: Tensors, name: str) -> Tensors:
    """The tensors without a column, if they have it."""
    if name in tensors.number_names:
        names = tuple(n for n in tensors.number_names if n != name)
        return replace(tensors, numbers=gathered(builder, tensors, names) if names else None, number_names=names)
    if name in tensors.string_names:
        places = [place for place, n in enumerate(tensors.string_names) if n != name]
        kept = (
            builder.node("Gather", [str(tensors.strings), builder.constant(np.array(places))], axis=1)
            if places
            else None
        )
        return replace(tensors, strings=kept, string_names=tuple(tensors.string_names[place] for place in places))
    return tensors


@dataclass(frozen=True)
class Filter(RecipeStep):
    """Keeps the rows for which a condition holds: `filter("amount > 0 and town is not missing")`.

    Rows for which it is missing go.

    Attributes:
        condition: an expression that is true or false; see [expressions](expressions.md).
    """

    name: ClassVar[str] = "filter"
    scope: ClassVar[Scope] = Scope.TABLE
    condition: str

    def __post_init__(self) -> None:
        """Reads the condition, so that a mistake is found where it is written."""
        super().__post_init__()
        parse(self.condition)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundFilter:
        """Check the kinds of the columns."""
        condition = parse(self.condition)
        if (kind := condition.kind(schema)) is not Kind.BOOLEAN:
            raise DataError(
                ErrorCode.WRONG_KIND,
                f"filter: the condition '{condition}' gives a {kind}",
                wanted="true or false, such as amount > 0",
            )
        return BoundFilter(schema, condition)


@dataclass(frozen=True)
class BoundFilter(BoundTableStep):
    """`Filter` on columns."""

    only_filters: ClassVar[bool] = True
    condition: Expression

    @property
    def schema(self) -> Schema:
        """The same columns."""
        return self.before

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the condition."""
        return self.condition.columns

    @property
    def writes(self) -> tuple[str, ...]:
        """None."""
        return ()

    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """The rows that stay, piece by piece."""
        chosen = self.condition.polars(self.before)
        for frame in frames():
            context.work.check()
            if (kept := frame.filter(chosen)).height:
                yield kept
