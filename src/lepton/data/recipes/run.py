"""Recipes at work: rows flow through the steps in pieces, in as few passes as what must be learned allows.

Row steps treat each piece as it comes by. What a step must learn takes a pass over the rows before it; neighbours that
do not touch each other's columns share one. Rows that were dear to come by (parsed from text, or made by a step on the
whole table) are kept for the next pass: in memory as far as the limit goes, else on disk.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from lepton.core import (
    ColumnRecord,
    DataError,
    ErrorCode,
    Kind,
    LeptonError,
    Role,
    Schema,
    UsageError,
    Work,
    printable,
)
from lepton.data.convert import polars_type
from lepton.data.dataset import Dataset
from lepton.data.recipes.base import (
    BoundRowStep,
    BoundStep,
    BoundTableStep,
    Frames,
    Learner,
    OnError,
    OwnRows,
    RecipeStep,
    RunContext,
    Scope,
)
from lepton.data.recipes.changes import Changes
from lepton.data.recipes.hidden import hidden_columns, without_value
from lepton.data.recipes.spill import read_rows, write_rows
from lepton.data.recipes.tally import ChangeRecord, Tally
from lepton.data.recipes.watched import Watched

__all__ = ["Pipeline", "bound_stage", "memory_limit", "prepare"]

_ROW = "\0row"
"""The hidden column of row numbers, which only the engine sees."""
_PIECE_ROWS = 262_144
_OWN_MEMORY = 450_000_000
"""What the process takes before it holds a row."""
_LEAST_MEMORY = 32_000_000


def memory_limit(work: Work) -> int:
    """Bytes of rows that a recipe may hold: half of what is left of the limit, or a quarter of the machine's memory."""
    if work.resources.memory is None:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    return max((work.resources.memory - _OWN_MEMORY) // 2, _LEAST_MEMORY)


class Kept:
    """Rows of a pass, to go through again: in memory up to a limit, from there on disk.

    Args:
        folder: for what does not fit.
        memory: bytes that may be held.
    """

    def __init__(self, folder: Path, memory: int) -> None:
        self._folder, self._memory = folder, memory
        self._pieces: list[pl.DataFrame | Path] = []
        self._held = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Keep some more rows."""
        size = int(frame.estimated_size())
        if self._held + size <= self._memory:
            self._held += size
            self._pieces.append(frame)
            return
        path = self._folder / f"rows-{id(self):x}-{len(self._pieces)}.arrow"
        write_rows(frame, path)
        self._pieces.append(path)

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows, in their order."""
        for piece in self._pieces:
            yield read_rows(piece) if isinstance(piece, Path) else piece


class Remembered:
    """Rows that are read at most once where they fit in memory, and each time from the start where they do not.

    Args:
        frames: reads them.
        memory: bytes that may be held.
    """

    def __init__(self, frames: Frames, memory: int) -> None:
        self._read, self._memory = frames, memory
        self._kept: list[pl.DataFrame] | None = None
        self._fits = True

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows, in their order."""
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[pl.DataFrame] = []
        held = 0
        for frame in self._read():
            held += int(frame.estimated_size())
            if held > self._memory:
                self._fits = False
                kept = []
            if self._fits:
                kept.append(frame)
            yield frame
        self._kept = kept if self._fits else None


@dataclass
class Stage:
    """A bound step with its place in the recipe, and what it did to the rows.

    Attributes:
        number: from 1.
        step: as it is written.
        bound: on the columns.
        tally: counts of a whole pass; None until there was one.
        own_rows: how the rows that it learned from are treated, where that differs.
        hidden: columns that come in and whose values no message may show.
    """

    number: int
    step: RecipeStep
    bound: BoundStep
    tally: Tally | None = None
    flags: tuple[str, ...] = ()
    own_rows: OwnRows | None = None
    hidden: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.on_error = getattr(self.step, "on_error", OnError.FAIL)
        if isinstance(self.bound, BoundRowStep) and self.on_error is OnError.FLAG:
            self.flags = tuple(f"{name} is bad" for name in self.bound.fallible)
        before, after = self.bound.before, self.bound.schema
        self.common = tuple(name for name in self.bound.writes if name in before and name in after)

    @property
    def schema(self) -> Schema:
        """The columns after the step, those that mark bad cells included."""
        marks = tuple(ColumnRecord(name, Kind.BOOLEAN, "bool", role=Role.IGNORED) for name in self.flags)
        return Schema((*self.bound.schema.columns, *marks))

    @property
    def title(self) -> str:
        """For messages."""
        return f"step {self.number} ({self.step.name})"

    def run(self, frames: Frames, context: RunContext, place: Callable[[int], str]) -> Iterator[pl.DataFrame]:
        """The rows after the step."""
        tally = Tally()
        made = (
            self._rows(frames, place, tally)
            if isinstance(self.bound, BoundRowStep)
            else self._table(frames, context, tally)
        )
        for frame in made:
            tally.rows_out += frame.height
            if frame.height:
                yield frame
        self.tally = self.tally or tally  # the first whole pass counts

    def _rows(self, frames: Frames, place: Callable[[int], str], tally: Tally) -> Iterator[pl.DataFrame]:
        bound = self.bound
        assert isinstance(bound, BoundRowStep)  # noqa: S101 - chosen by its caller
        counting = self.tally is None
        treat = bound.apply if self.own_rows is None else self.own_rows()
        for frame in frames():
            tally.rows_in += frame.height
            number = frame[_ROW] if _ROW in frame.columns else None
            before = frame if number is None else frame.drop(_ROW)
            applied = treat(before)
            after = applied.frame
            if counting:
                tally.compare(before, after, self.common)
            after, number = self._treated(before, after, applied.bad, number, place, tally)
            yield after if number is None else after.with_columns(number)

    def _treated(
        self,
        before: pl.DataFrame,
        after: pl.DataFrame,
        bad: Mapping[str, pl.Series],
        number: pl.Series | None,
        place: Callable[[int], str],
        tally: Tally,
    ) -> tuple[pl.DataFrame, pl.Series | None]:
        """What becomes of the cells that the step could not treat."""
        found = {name: mask for name, mask in bad.items() if mask.any()}
        for name, mask in found.items():
            tally.bad[name] = tally.bad.get(name, 0) + int(mask.sum())
        if found and self.on_error is OnError.FAIL:
            raise self._refusal(before, found, number, place)
        if self.on_error is OnError.FLAG and isinstance(self.bound, BoundRowStep):
            marks = [
                (bad[name] if name in bad else pl.repeat(False, after.height, eager=True)).alias(mark)
                for name, mark in zip(self.bound.fallible, self.flags, strict=True)
            ]
            after = after.with_columns(marks)
        elif found and self.on_error is OnError.DROP:
            keep = ~pl.DataFrame(list(found.values())).select(pl.any_horizontal(pl.all())).to_series()
            after, number = after.filter(keep), None if number is None else number.filter(keep)
        return after, number

    def _refusal(
        self,
        before: pl.DataFrame,
        found: Mapping[str, pl.Series],
        number: pl.Series | None,
        place: Callable[[int], str],
    ) -> DataError:
        name, mask = min(found.items(), key=lambda item: int(item[1].arg_max() or 0))
        row = int(mask.arg_max() or 0)
        where = "" if number is None else f", {place(int(number[row]))}"
        value = before[name][row] if name in before.columns else None
        shown = "a value that the recipe hides" if name in self.hidden else repr(printable(str(value), 80))
        return DataError(
            ErrorCode.BAD_VALUE,
            f"{self.title}, column {name!r}{where}: {shown} cannot be treated",
            fix='correct the value, or say on_error="flag" (null, with a mark) or "drop" (the row goes)',
            details={"step": self.number, "column": name},
        )

    def _table(self, frames: Frames, context: RunContext, tally: Tally) -> Iterator[pl.DataFrame]:
        bound = self.bound
        assert isinstance(bound, BoundTableStep)  # noqa: S101 - chosen by its caller

        def counted() -> Iterator[pl.DataFrame]:
            tally.rows_in = 0
            for frame in frames():
                tally.rows_in += frame.height
                yield frame if bound.only_filters else frame.drop(_ROW, strict=False)

        yield from bound.run(counted, replace(context, count=tally.compare) if self.tally is None else context)

    def records(self, private: Collection[str]) -> Iterator[ChangeRecord]:
        """What it changed, once a whole pass has counted; without examples of `private` columns."""
        tally = self.tally or Tally()
        before, after = set(self.bound.before.names), set(self.schema.names)
        name = self.step.name
        for column, count in tally.cells.items():
            if count:
                examples = () if column in private else tuple(tally.examples.get(column, ()))
                yield ChangeRecord(self.number, name, column, count, "cells", examples)
        for column, count in tally.bad.items():
            yield ChangeRecord(self.number, name, column, count, "bad cells")
        if tally.rows_in != tally.rows_out:
            went = tally.rows_in - tally.rows_out
            yield ChangeRecord(self.number, name, None, abs(went), "rows removed" if went > 0 else "rows added")
        for what, columns in (("columns added", after - before), ("columns removed", before - after)):
            if columns:
                listed = ", ".join(sorted(columns)[:20])
                yield ChangeRecord(self.number, name, listed, len(columns), what)


_UNUSABLE = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
)


def _try_out(bound: BoundRowStep) -> None:
    """Apply a step to one row of missing values: what no rows can be treated with is found before any row is read."""
    missing = pl.DataFrame({column.name: pl.Series([None], dtype=polars_type(column)) for column in bound.before})
    made = bound.apply(missing).frame
    for column in bound.schema:
        if made[column.name].dtype != polars_type(column):
            raise TypeError(f"column {column.name!r} would be {made[column.name].dtype}")


def bound_stage(number: int, step: RecipeStep, schema: Schema, learned: Mapping[str, Any]) -> Stage:
    """The step `number` on columns, with what it learned.

    Raises:
        LeptonError: as of `RecipeStep.bind`, with the step named.
        UsageError: what was learned is not what the step learns: a file was changed by hand.
    """
    with _named(number, step):
        try:
            stage = Stage(number, step, step.bind(schema, learned))
            if learned and isinstance(stage.bound, BoundRowStep):
                _try_out(stage.bound)
            return stage
        except _UNUSABLE as error:
            raise UsageError(
                ErrorCode.BAD_RECIPE,
                f"what the step has learned cannot be used: {type(error).__name__}: {printable(str(error), 100)}",
                fix="fit the recipe again",
            ) from error


@dataclass
class Pipeline:
    """A fitted recipe on the rows of one table.

    Attributes:
        before: the columns that come in.
        learned: what each step learned, in order.
        stages: all steps.
        base: rows of the last pass that was kept, or of the table.
        pending: the stages that `base` has not been through.
        came: watches the rows of the table.
        left: watches the rows after all steps.
        to_come: the steps that are not bound yet.
        hidden: columns of the table whose values no message may show.
    """

    before: Schema
    context: RunContext
    base: Frames
    place: Callable[[int], str]
    came: Watched
    left: Watched
    learned: list[dict[str, Any]] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    pending: list[Stage] = field(default_factory=list)
    to_come: Sequence[RecipeStep] = ()
    hidden: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._hide()

    @property
    def schema(self) -> Schema:
        """The columns after all steps so far."""
        return self.stages[-1].schema if self.stages else self.before

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows after all steps."""
        yield from self.left.follow((frame.drop(_ROW, strict=False) for frame in self._numbered()), self.schema)

    def _numbered(self) -> Iterator[pl.DataFrame]:
        frames = self.base
        for stage in self.pending:
            frames = _after(stage, frames, self.context, self.place)
        for frame in frames():
            self.context.work.check()
            yield frame

    def add(self, step: RecipeStep, learned: dict[str, Any]) -> None:
        """Bind the next step."""
        stage = bound_stage(len(self.stages) + 1, step, self.schema, learned)
        self.learned.append(learned)
        self.stages.append(stage)
        self.pending.append(stage)
        self.to_come = self.to_come[1:]
        self._hide()

    def _hide(self) -> None:
        """Say which values no message may show: of the table and in each stage."""
        found = hidden_columns([(stage.step, stage.bound) for stage in self.stages], self.to_come, self.schema)
        self.hidden = found[0]
        for stage, columns in zip(self.stages, found, strict=False):
            stage.hidden = columns

    def learn(self, wave: Sequence[tuple[RecipeStep, Learner]], keep: bool) -> None:
        """One pass over the rows so far for the steps of a wave, which are bound afterwards."""
        kept = Kept(self.context.scratch, self.context.memory) if keep else None
        seen = 0
        for frame in self._numbered():
            seen += frame.height
            for step, learner in wave:
                with _named(len(self.stages) + 1, step):
                    learner.update(frame.select(learner.columns))
            if kept is not None:
                kept.add(frame)
            self.context.work.report(seen, None, "rows", note=", ".join(step.name for step, _ in wave))
        if kept is not None:
            self.base, self.pending = kept.frames, []
        for step, learner in wave:
            with _named(len(self.stages) + 1, step):
                found = learner.finish()
            self.add(step, found)
            self.stages[-1].own_rows = learner.own_rows(self.stages[-1].bound)

    def changes(self) -> Changes:
        """What all steps changed; counts the rows if that was not done yet."""
        if any(stage.tally is None for stage in self.stages):
            for _ in self.frames():
                pass
        first = self.stages[0].tally if self.stages else None
        last = self.stages[-1].tally if self.stages else None
        records: list[ChangeRecord] = []
        private: set[str] = set()
        hidden: set[str] = set()
        for stage in reversed(self.stages):
            if stage.step.hides:
                private |= set(stage.bound.reads)
            hidden |= private
            records[:0] = stage.records(private)
            if isinstance(stage.bound, BoundRowStep):
                private = stage.bound.needs(private)
        return Changes(
            tuple(records),
            first.rows_in if first else 0,
            last.rows_out if last else 0,
            self.came.without(hidden | private),
            self.left.without(hidden | private),
        )


@contextlib.contextmanager
def _named(number: int, step: RecipeStep) -> Iterator[None]:
    """Errors of a step name it."""
    try:
        yield
    except LeptonError as error:
        if error.came.startswith("step "):
            raise
        raise type(error)(
            error.code,
            f"step {number} ({step.name}): {error.came.removeprefix(step.name + ': ')}",
            wanted=error.wanted,
            fix=error.fix,
            details=error.details,
        ) from None


def _after(stage: Stage, frames: Frames, context: RunContext, place: Callable[[int], str]) -> Frames:
    return lambda: stage.run(frames, context, place)


def prepare(
    steps: Sequence[RecipeStep],
    dataset: Dataset,
    learned: Sequence[Mapping[str, Any]] | None,
    *,
    tables: Mapping[str, Dataset],
    work: Work,
    scratch: Path,
) -> Pipeline:
    """The steps on the rows of `dataset`.

    Args:
        steps: of the recipe.
        dataset: the rows.
        learned: what each step has learned before; None to learn it from these rows.
        tables: for joins, by name.
        work: cancel, progress, seed and memory.
        scratch: a folder for rows that do not fit in memory; it must last as long as the pipeline.
    """
    starts: list[tuple[int, str, int]] = []
    fallible = any(hasattr(step, "on_error") for step in steps)

    came, left = (Watched(work.seed_for("changes", name)) for name in ("came", "left"))

    def rows() -> Iterator[pl.DataFrame]:
        starts.clear()
        read = dataset.numbered(_ROW, starts) if fallible else dataset.batches(_PIECE_ROWS)
        try:
            yield from came.follow((part for frame in read for part in frame.iter_slices(_PIECE_ROWS)), dataset.schema)
        except DataError as error:
            if "value" in error.details and error.details.get("column") in pipeline.hidden:
                raise without_value(error) from None
            raise

    def place(row: int) -> str:
        start, file, first = max((each for each in starts if each[0] <= row), default=(0, "", 1))
        return f"row {first + row - start:,}" + (f" of {file}" if file else "")

    context = RunContext(work, scratch, memory_limit(work), tables)
    source = Remembered(rows, context.memory // 2).frames if _is_read_again(steps, learned) else rows
    pipeline = Pipeline(dataset.schema, context, source, place, came, left, to_come=steps)
    if learned is not None:
        for step, values in zip(steps, learned, strict=True):
            pipeline.add(step, dict(values))
        return pipeline
    position = 0
    while position < len(steps):
        wave = _wave(steps[position:], position + 1, pipeline.schema, context.memory)
        if not wave:
            pipeline.add(steps[position], steps[position].from_tables(tables))
            position += 1
            continue
        tables_since = any(isinstance(stage.bound, BoundTableStep) for stage in pipeline.pending)
        dear = pipeline.base is source and dataset.is_text
        pipeline.learn(wave, keep=tables_since or dear)
        position += len(wave)
    return pipeline


def _is_read_again(steps: Sequence[RecipeStep], learned: Sequence[Mapping[str, Any]] | None) -> bool:
    """Whether the rows of the table are gone through more than once, as far as the steps tell."""
    return learned is None or any(step.scope is Scope.TABLE for step in steps)


def _wave(steps: Sequence[RecipeStep], first: int, schema: Schema, memory: int) -> list[tuple[RecipeStep, Learner]]:
    """The next steps, from number `first`, that can learn in one pass: none may look at what one before changes."""
    wave: list[tuple[RecipeStep, Learner]] = []
    touched: set[str] = set()
    for number, step in enumerate(steps, first):
        if wave and not wave[-1][0].keeps_columns:
            break
        with _named(number, step):
            reads = set(step.reads(schema))
            learner = None if touched & reads else step.learner(schema, memory // 8)
        if learner is None:
            break
        touched |= reads
        wave.append((step, learner))
    return wave
