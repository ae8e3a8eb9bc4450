"""Rows that are there twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from lepton.core import Schema
from lepton.data.recipes.base import BoundTableStep, Frames, RecipeStep, RunContext, Scope
from lepton.data.recipes.hashes import first_rows, row_hashes

__all__ = ["DropDuplicates"]


@dataclass(frozen=True)
class DropDuplicates(RecipeStep):
    """Keep the first of rows that are equal, in all columns or in those named.

    Missing values are equal to each other. Rows are compared by 128 bits of hash.

    Attributes:
        columns: the columns that must be equal; () for all.
    """

    name: ClassVar[str] = "drop_duplicates"
    scope: ClassVar[Scope] = Scope.TABLE
    columns: tuple[str, ...] = ()

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundTableStep:
        """The step on these columns."""
        names = tuple(schema[name].name for name in self.columns) or schema.names
        return _WithoutDuplicates(schema, names)


@dataclass(frozen=True)
class _WithoutDuplicates(BoundTableStep):
    only_filters: ClassVar[bool] = True
    keys: tuple[str, ...]

    @property
    def schema(self) -> Schema:
        return self.before

    @property
    def reads(self) -> tuple[str, ...]:
        return self.keys

    @property
    def writes(self) -> tuple[str, ...]:
        return ()

    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """Two passes: the hashes of all rows say which to keep, then those are given."""
        keep = first_rows(self._hashes(frames), context.memory, context.scratch, context.work)
        start = 0
        for frame in frames():
            chosen = pl.Series(keep[start : start + frame.height])
            start += frame.height
            yield frame.filter(chosen)

    def _hashes(self, frames: Frames) -> Iterator[pl.DataFrame]:
        start = 0
        for frame in frames():
            yield row_hashes(frame.select(self.keys), start)
            start += frame.height
