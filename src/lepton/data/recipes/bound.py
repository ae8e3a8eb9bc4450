"""Shapes that many bound steps have: the same columns with other values."""

from __future__ import annotations

from dataclasses import dataclass

from lepton.core import Schema
from lepton.data.recipes.base import BoundRowStep

__all__ = ["SameColumns"]


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
