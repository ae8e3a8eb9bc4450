"""The rows of a table after the steps of a recipe, as a source that a data set reads when it is asked for rows."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import polars as pl

from lepton.core import Work
from lepton.data.convert import ColumnPlan, polars_type
from lepton.data.dataset import Dataset
from lepton.data.decisions import DecisionRecord
from lepton.data.detect import Wanted
from lepton.data.formats.base import SAMPLE_ROWS, Chunk, Source
from lepton.data.lineage import Lineage
from lepton.data.recipes.base import RecipeStep
from lepton.data.recipes.changes import Changes
from lepton.data.recipes.run import Pipeline, prepare
from lepton.data.references import References
from lepton.store import scratch_folder

__all__ = ["Prepared"]


class Prepared(Source):
    """The rows of a table after the steps of a recipe, learned when first asked for.

    Args:
        steps: of the recipe.
        table: the rows that go in.
        learned: what the steps have learned before; None to learn it from `table`.
        tables: for joins, by name.
        work: of the whole.
    """

    typed = True

    def __init__(
        self,
        steps: Sequence[RecipeStep],
        table: Dataset,
        learned: Sequence[Mapping[str, Any]] | None,
        tables: Mapping[str, Dataset],
        work: Work,
    ) -> None:
        self._steps, self._table, self._learned, self._tables, self._work = steps, table, learned, tables, work
        self._lock = threading.Lock()

    @cached_property
    def pipeline(self) -> Pipeline:
        """The steps on the rows; learned now, once."""
        with self._lock:
            if "pipeline" in vars(self):
                return self.pipeline
            opened = ExitStack()
            scratch = opened.enter_context(scratch_folder(self._work.resources.scratch))
            weakref.finalize(self, opened.close)
            return prepare(
                self._steps,
                self._table,
                self._learned,
                tables=self._tables,
                work=self._work,
                scratch=scratch,
            )

    @property
    def columns(self) -> dict[str, pl.DataType]:  # type: ignore[override]  # known once the steps have learned
        """The columns after the last step."""
        return {column.name: polars_type(column) for column in self.pipeline.schema}

    def plans(self) -> list[ColumnPlan]:
        """The columns after the last step, ready as they are."""
        return [ColumnPlan(column) for column in self.pipeline.schema]

    def dataset(self, lineage: Callable[[], Lineage]) -> Dataset:
        """The rows after the last step as a data set; nothing runs yet."""
        said = DecisionRecord(None, "recipe", f"{len(self._steps)} steps", ", ".join(s.name for s in self._steps))
        return Dataset(self, self.plans, [said], Wanted.of(None, None, None), lineage=lineage)

    def parents(self, *, files: bool = True) -> tuple[Mapping[str, Any], ...]:
        """What the rows that go in come from, and those of the other tables."""
        found = [parent for table in (self._table, *self._tables.values()) for parent in table.parents(files=files)]
        return tuple({tuple(parent.items()): parent for parent in found}.values())

    def references(self) -> References:
        """As in the rows that go in."""
        return self._table.references

    def changes(self) -> Changes:
        """What the steps changed."""
        return self.pipeline.changes()

    def chunks(
        self, names: Sequence[str], direct: Mapping[str, pl.DataType] | None = None, markers: Sequence[str] = ()
    ) -> Iterator[Chunk]:
        """The rows after the last step."""
        start = 1
        for frame in self.pipeline.frames():
            yield Chunk(frame.select(names), first_row=start)
            start += frame.height

    def sample(self) -> pl.DataFrame:
        """The first rows."""
        found: list[pl.DataFrame] = []
        left = SAMPLE_ROWS
        for chunk in self.chunks(list(self.columns)):
            found.append(chunk.frame.head(left))
            left -= found[-1].height
            if left <= 0:
                break
        return pl.concat(found) if found else pl.DataFrame(schema=self.columns)
