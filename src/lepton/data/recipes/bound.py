"""Shapes that many steps have: number columns by name or all of them, and the same columns with other values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from lepton.bundle import GraphBuilder
from lepton.core import Kind, Schema
from lepton.data.recipes.base import BoundRowStep, RecipeStep, Scope, chosen_columns
from lepton.data.recipes.expression_forms import Graph
from lepton.data.steps import Tensors

__all__ = ["NumberStep", "SameColumns", "put", "where_missing"]


@dataclass(frozen=True)
class NumberStep(RecipeStep):
    """A row step that changes the values of number columns.

    Attributes:
        columns: the columns; () for every number column.
    """

    scope: ClassVar[Scope] = Scope.ROW
    keeps_columns: ClassVar[bool] = True
    columns: tuple[str, ...] = ()

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns."""
        return chosen_columns(schema, self.columns, (Kind.NUMBER,), self.name)


@dataclass(frozen=True)
class SameColumns(BoundRowStep):
    """A row step that changes values of some columns; columns and kinds stay, or are those of `after`.

    Attributes:
        columns: whose values change.
        after: the columns that come out, where kinds change.
    """

    columns: tuple[str, ...]
    after: Schema | None = None

    @property
    def schema(self) -> Schema:
        """The columns that come out."""
        return self.before if self.after is None else self.after

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns."""
        return self.columns

    def needs(self, wanted: set[str]) -> set[str]:
        """Each column is made of itself."""
        return wanted

    @property
    def writes(self) -> tuple[str, ...]:
        """The columns."""
        return self.columns


def put(builder: GraphBuilder, tensors: Tensors, name: str, where: str, value: str) -> Tensors:
    """The tensors with `value` in a column, where a condition holds.

    Args:
        builder: of the graph.
        tensors: which have the column.
        name: of the column.
        where: bool tensor [N, 1] or [1, 1].
        value: tensor [N, 1] or [1, 1] of the column's type.
    """
    is_number = name in tensors.number_names
    names = tensors.number_names if is_number else tensors.string_names
    whole = tensors.numbers if is_number else tensors.strings
    here = builder.constant(np.array([[each == name for each in names]]))
    made = builder.node("Where", [builder.node("And", [where, here]), value, str(whole)])
    return replace(tensors, numbers=made) if is_number else replace(tensors, strings=made)


def where_missing(builder: GraphBuilder, tensors: Tensors, name: str, value: str) -> Tensors:
    """The tensors with `value` [N, 1] where a column is missing."""
    kind = Kind.NUMBER if name in tensors.number_names else Kind.TEXT
    graph = Graph(builder, tensors)
    return put(builder, tensors, name, graph.missing(kind, graph.column(name)), value)
