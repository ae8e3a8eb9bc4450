"""Shapes that many steps have: number columns by name or all of them, and the same columns with other values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lepton.core import Kind, Schema
from lepton.data.recipes.base import BoundRowStep, RecipeStep, Scope, chosen_columns

__all__ = ["NumberStep", "SameColumns"]


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
