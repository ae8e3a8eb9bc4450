"""Texts that are there twice in slightly other words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, Schema, UsageError
from lepton.data.recipes.base import BoundTableStep, Frames, RecipeStep, RunContext, Scope, chosen_columns
from lepton.data.recipes.minhash import Corpus, folded, group

__all__ = ["BoundNearDuplicates", "NearDuplicates"]

_LEAST_SIMILARITY = 0.3
_TEXT_SHARE = 4  # of the memory for letters; the rest lies on disk


@dataclass(frozen=True)
class NearDuplicates(RecipeStep):
    """Keeps the first of texts that are nearly the same, or marks them: `near_duplicates("title")`.

    Texts are compared without regard to case and white space by the runs of a few letters that they share (Jaccard),
    which works for languages without spaces too. Of a text the first 65,536 letters count. From a similarity of 0.6 on,
    about 98 in 100 pairs just at the limit are found and nearly all above it; below 0.6 some more are missed and the
    search takes longer. What is found is checked exactly, and pairs are joined to groups. Missing and empty texts are
    never duplicates.

    Attributes:
        column: a text column.
        similarity: least share of runs of letters that two texts have in common, 0.3 to 1.
        letters: length of the runs; 3 suits titles and sentences, 5 longer texts.
        how: `drop` leaves the later ones out; `flag` adds the column "<column> duplicate of" with the row number
            (from 1) of the first of its group.
        seed: of the hashes.
    """

    name: ClassVar[str] = "near_duplicates"
    scope: ClassVar[Scope] = Scope.TABLE
    column: str
    similarity: float = 0.8
    letters: int = 3
    how: Literal["drop", "flag"] = "drop"
    seed: int = 0

    def __post_init__(self) -> None:
        """Bounds within which the search is quick."""
        super().__post_init__()
        if not _LEAST_SIMILARITY <= self.similarity <= 1:
            raise UsageError(
                ErrorCode.BAD_RECIPE,
                f"near_duplicates: got similarity={self.similarity}",
                wanted=f"{_LEAST_SIMILARITY} to 1",
            )
        if not 1 <= self.letters <= 20:
            raise UsageError(ErrorCode.BAD_RECIPE, f"near_duplicates: got letters={self.letters}", wanted="1 to 20")

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundNearDuplicates:
        """Check that the column holds texts."""
        kinds = (Kind.TEXT, Kind.CATEGORY, Kind.IDENTIFIER)
        (column,) = chosen_columns(schema, (self.column,), kinds, self.name)
        if self.how == "flag" and f"{column} duplicate of" in schema:
            raise DataError(ErrorCode.BAD_COLUMN_NAMES, f"near_duplicates: there is '{column} duplicate of' already")
        return BoundNearDuplicates(schema, self, column)


@dataclass(frozen=True)
class BoundNearDuplicates(BoundTableStep):
    """`NearDuplicates` on columns."""

    step: NearDuplicates
    column: str

    @property
    def schema(self) -> Schema:
        """The columns, and the mark if one is wanted."""
        marks = [ColumnRecord(name, Kind.NUMBER, "int64", role=Role.IGNORED) for name in self.writes]
        return Schema((*self.before, *marks))

    @property
    def reads(self) -> tuple[str, ...]:
        """The texts."""
        return (self.column,)

    @property
    def writes(self) -> tuple[str, ...]:
        """The mark, if one is wanted."""
        return (f"{self.column} duplicate of",) if self.step.how == "flag" else ()

    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """One pass to find the groups, one to give the rows."""
        firsts = self._firsts(frames, context)
        start = 0
        for frame in frames():
            context.work.check()
            place = np.arange(start, start + frame.height)
            of = firsts[start : start + frame.height]
            start += frame.height
            if self.step.how == "flag":
                mark = pl.Series(of + 1).set(pl.Series(of == place), None)
                yield frame.with_columns(mark.alias(self.writes[0]))
            elif (kept := frame.filter(pl.Series(of == place))).height:
                yield kept

    def _firsts(self, frames: Frames, context: RunContext) -> NDArray[np.int64]:
        """Number of the first row of each row's group [rows]."""
        corpus = Corpus(context.scratch, context.memory // _TEXT_SHARE)
        rows = [np.empty(0, dtype=np.int64)]
        total = 0
        for frame in frames():
            context.work.check()
            texts = folded(frame[self.column])
            there = texts.is_not_null() & (texts != "")
            rows.append(np.flatnonzero(there.to_numpy()) + total)
            total += frame.height
            corpus.add(texts.filter(there))
        firsts = np.arange(total, dtype=np.int64)
        step = self.step
        places = np.concatenate(rows)
        found = group(corpus, size=step.letters, similarity=step.similarity, seed=step.seed, work=context.work)
        firsts[places] = places[found]
        return firsts
