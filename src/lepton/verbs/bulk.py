"""Answers for tables of any size: rows are read, answered and written side by side, in memory that does not grow."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from polars.io.plugins import register_io_source

from lepton import bundle, data
from lepton.bundle.model import CHUNK_ROWS
from lepton.core import DataError, ErrorCode, Interrupted, Kind, UsageError, Work, printable
from lepton.core.lazy import LazyModule
from lepton.verbs.model import Model

if TYPE_CHECKING:
    from lepton.data.media import decoded as files
else:
    files = LazyModule("lepton.data.media.decoded")

__all__ = ["Answering", "checked_output"]

_WAITING = 4  # batches for each thread, read ahead or answered and not yet written


@dataclass
class Answering:
    """The answers of a model to the rows of a table, some at a time, in the rows' order.

    Attributes:
        model: who answers.
        table: the rows, as the model's training read them; see `rows_for`.
        keep: columns of the table to give beside the answers.
        only_prediction: the answer alone, without what stands beside it.
        work: cancel, progress and threads.
        rows: how many have been answered so far.
        faults: files that could not be read, and why; their rows have null as answers.
    """

    model: Model
    table: data.Dataset
    keep: Sequence[str] = ()
    only_prediction: bool = False
    work: Work = field(default_factory=Work)
    rows: int = 0
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._predictor = self.model.predictor
        inputs = self._predictor.inputs
        self._names: tuple[str, ...] = tuple(inputs.names)
        if isinstance(inputs, bundle.TensorInputs) and inputs.decodes:
            self._names = (files.files_column(self.table, inputs),)
        if self.keep and self.model.task == "forecast":
            raise UsageError(
                ErrorCode.USAGE,
                "columns to keep were given for forecasts",
                wanted="none: their rows are steps of the future",
            )
        self.keep = tuple(self.table.schema[name].name for name in self.keep)
        # Numbers that are names, such as ids, are given back as the numbers that they were.
        types, needed = self.table.source_types, {*self._names, self.model.target}
        ids = [name for name in self.keep if name in types and types[name].is_integer() and name not in needed]
        self.table = self.table.with_kinds(dict.fromkeys(ids, Kind.NUMBER)) if ids else self.table
        if files.takes_files(self._predictor.inputs) and not self.keep:
            self.keep = self._names  # whose answer it is, one wants to see

    @property
    def unused(self) -> tuple[str, ...]:
        """Columns of the table that nobody asked for: neither the model, nor its target, nor kept."""
        used = {*self._names, *self.keep, self.model.target}
        return tuple(name for name in self.table.schema.names if name not in used)

    def frames(self) -> Generator[pl.DataFrame, None, None]:
        """The columns kept and the answers.

        Raises:
            DataError: a value that cannot be read; file, row, column and value are named. Or no file has an answer.
            SchemaError: columns are missing or of another kind.
            Interrupted: the work was asked to stop; the message says how far it came.
        """
        with contextlib.closing(self._answered()) as answered:
            try:
                for frame in answered:
                    self.work.check()
                    self.rows += frame.height
                    yield frame
            except Interrupted:
                total = self.table.known_rows
                of = "" if total is None else f" of {total:,}"
                came = f"stopped after {self.rows:,}{of} rows"
                raise Interrupted(ErrorCode.INTERRUPTED, came, fix="run it again: no file was written") from None
        if self.faults and len(self.faults) == self.rows:
            raise DataError(
                ErrorCode.UNREADABLE,
                f"none of {self.rows:,} files has an answer; the first is {self.faults[0]}",
                wanted="files that the model can answer",
            )

    def write(self, path: str | Path) -> Path:
        """The same as a file, whole or not at all, in the format that its name ends in.

        Raises:
            StoreError: the disk is full or failed; what was there is intact.
        """
        with contextlib.closing(self.frames()) as frames:
            first = next(frames, None)
            if first is None:
                return data.write_frame(self._empty(), path)

            def read(
                _names: list[str] | None, _predicate: pl.Expr | None, _limit: int | None, _size: int | None
            ) -> Iterator[pl.DataFrame]:
                return itertools.chain([first], frames)

            # In a thread of its own, so that this one hears of Ctrl-C.
            with ThreadPoolExecutor(1, thread_name_prefix="lepton-write") as writing:
                rows = register_io_source(read, schema=first.schema)
                return writing.submit(data.write_rows, rows, path).result()

    def frame(self) -> pl.DataFrame:
        """The same in memory."""
        return pl.concat([*self.frames()] or [self._empty()])

    def _answered(self) -> Generator[pl.DataFrame, None, None]:
        if files.takes_files(self._predictor.inputs):
            for frame, faults in files.predicted(self._predictor, self.table, self.keep, self.work):
                self.faults += faults
                yield frame
        elif self.model.task == "forecast":  # a series needs all of its history at once
            yield self.model.predict(self.table.frame())
        else:
            done = 0
            for frame in _in_order(self._answer, self._batches(), self.work.resources.cpus):
                done += frame.height
                self.work.report(done, self.table.known_rows, "rows", note="predicting")
                yield frame

    def _batches(self) -> Iterator[pl.DataFrame]:
        names = self._predictor.inputs.names
        if not set(names) <= set(self.table.schema.names):
            self._predictor.outputs(self.table.head(1))  # says which, and what may be meant by it
        wanted = list(dict.fromkeys((*names, *self.keep)))
        for batch in self.table.batches(rows=CHUNK_ROWS, columns=wanted):
            self.work.check()
            yield batch

    def _answer(self, batch: pl.DataFrame) -> pl.DataFrame:
        rows = batch.select(self._predictor.inputs.names)
        wanted = [self._predictor.answer] if self.only_prediction else None
        if isinstance(self._predictor.inputs, bundle.TensorInputs):  # which takes a part of the rows at a time
            outputs = self._predictor.outputs(rows)
            outputs = {name: outputs[name] for name in wanted or outputs}
        else:
            outputs = self._predictor.run(self._predictor.tensors(rows), wanted)
        answers = self._predictor.answer_columns(bundle.without_embedding(outputs))
        return pl.DataFrame([*batch.select(self.keep), *answers])

    def _empty(self) -> pl.DataFrame:
        return self._answer(self.table.frame([*dict.fromkeys((*self._predictor.inputs.names, *self.keep))]))


def checked_output(output: Path, source: Any) -> Path:
    """A file that can be written in one of the formats, and does not take the place of the rows themselves.

    Raises:
        UsageError: another ending, or one of the files that are read.
    """
    if output.suffix not in data.WRITERS:
        formats = ", ".join(data.WRITERS)
        raise UsageError(ErrorCode.USAGE, f"cannot tell the format of {output.name!r}", wanted=f"a name in {formats}")
    sources = source if isinstance(source, list | tuple) else [source]
    own = [place for place in sources if isinstance(place, str | Path) and Path(place).is_file()]
    if output.exists() and any(output.samefile(place) for place in own):
        raise UsageError(
            ErrorCode.USAGE,
            f"'{printable(output.name)}' holds the rows that are to be answered",
            wanted="another file for the answers",
        )
    return output


def _in_order(
    answer: Callable[[pl.DataFrame], pl.DataFrame], batches: Iterator[pl.DataFrame], threads: int
) -> Iterator[pl.DataFrame]:
    """`answer` of every batch in the order of the batches; some are at work while others are read and written."""
    waiting: deque[Future[pl.DataFrame]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="lepton-answer") as pool:
        try:
            for batch in batches:
                waiting.append(pool.submit(answer, batch))
                if len(waiting) > _WAITING * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
