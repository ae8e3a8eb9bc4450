"""Sorting rows that are more than the memory holds: sorted runs on disk, merged block by block (Knuth, volume 3, 5.4).

The order is that of the values, then that in which the rows came, so it never depends on how the rows were cut.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from lepton.data.recipes.base import RunContext
from lepton.data.recipes.spill import read_rows, write_rows

__all__ = ["PIECE", "ROW", "even_pieces", "numbered", "sorted_rows"]

ROW = "\0row"
"""Name of the hidden column of row numbers (Int64, from 0); no column of a table can have it."""

PIECE = 65_536
"""Rows of a frame that is handed on."""

_RUN_SHARE = 4  # of the memory for one run: sorting takes two to three times its size
_BLOCK_SHARE = 128  # of the memory for one block of a run that is being merged
_FEWEST = 16  # rows of a block
_MERGED_AT_ONCE = 16

Run = list[Path]


def numbered(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The frames with the hidden column of row numbers."""
    first = 0
    for frame in frames:
        yield frame.with_columns(pl.int_range(first, first + frame.height, dtype=pl.Int64).alias(ROW))
        first += frame.height


def even_pieces(frames: Iterable[pl.DataFrame], rows: int = PIECE) -> Iterator[pl.DataFrame]:
    """The same rows in frames of exactly `rows` rows, but for the last: sums over pieces come out the same."""
    held: list[pl.DataFrame] = []
    count = 0
    for frame in frames:
        held.append(frame)
        count += frame.height
        if count >= rows:
            whole = pl.concat(held)
            cut = count - count % rows
            yield from whole[:cut].iter_slices(rows)
            held, count = [whole[cut:]], count - cut
    if count:
        yield pl.concat(held)


def sorted_rows(
    frames: Iterable[pl.DataFrame], by: Sequence[str], context: RunContext, *, descending: Sequence[bool] | None = None
) -> Iterator[pl.DataFrame]:
    """All rows in order of `by`, missing last; equal ones in the order of the hidden row numbers.

    Args:
        frames: rows with the hidden column of `numbered`.
        by: columns, the first one first.
        context: memory and folder for what does not fit in it.
        descending: for each of `by`.

    Returns:
        Frames of at most `PIECE` rows, the hidden column still there.

    Raises:
        StoreError: no space is left for the runs.
    """
    order = [*by, ROW]
    down = [*(descending or [False] * len(by)), False]
    names = (context.scratch / f"run-{id(order):x}-{number}.arrow" for number in itertools.count())
    runs: list[Run] = []
    held: list[pl.DataFrame] = []
    size = 0

    def in_order() -> pl.DataFrame:
        return pl.concat(held).sort(order, descending=down, nulls_last=True)

    for frame in frames:
        context.work.check()
        if not frame.height:
            continue
        held.append(frame)
        size += int(frame.estimated_size())
        if size > context.memory // _RUN_SHARE:
            runs.append(_written(in_order().iter_slices(PIECE), names, context))
            held, size = [], 0
    if not runs:
        if held:
            yield from in_order().iter_slices(PIECE)
        return
    if held:
        runs.append(_written(in_order().iter_slices(PIECE), names, context))
        held = []
    while len(runs) > _MERGED_AT_ONCE:
        first, runs = runs[:_MERGED_AT_ONCE], runs[_MERGED_AT_ONCE:]
        runs.append(_written(_merged(first, order, down, context), names, context))
    yield from _merged(runs, order, down, context)


def _written(frames: Iterable[pl.DataFrame], names: Iterator[Path], context: RunContext) -> Run:
    """Write sorted rows as files of one block each."""
    run: Run = []
    for frame in frames:
        context.work.check()
        bytes_a_row = max(int(frame.estimated_size()) // frame.height, 1)
        for block in frame.iter_slices(max(context.memory // _BLOCK_SHARE // bytes_a_row, _FEWEST)):
            path = next(names)
            write_rows(block, path)
            run.append(path)
    return run


def _merged(runs: list[Run], order: list[str], down: list[bool], context: RunContext) -> Iterator[pl.DataFrame]:
    """The rows of sorted runs in order; each file is removed when it has been read."""
    left = [iter(run) for run in runs]
    rest: pl.DataFrame | None = None
    counts = [0] * len(runs)  # rows of each run that are held
    last: dict[int, int] = {}  # of each run that goes on: the row up to which it is held
    run_of = "\0run"
    while True:
        context.work.check()
        loaded = [] if rest is None else [rest]
        enough = max(counts) // 2
        for number in range(len(runs)):
            if counts[number] > enough or (rest is not None and number not in last):
                continue
            path = next(left[number], None)
            if path is None:
                last.pop(number, None)
                continue
            block = read_rows(path)
            path.unlink()
            last[number] = block[ROW][-1]
            loaded.append(block.with_columns(pl.lit(number, dtype=pl.Int32).alias(run_of)))
        whole = pl.concat(loaded).sort(order, descending=down, nulls_last=True)
        # Up to the first row that ends what is held of a run, nothing smaller can come any more.
        ends = whole[ROW].is_in(list(last.values())).arg_true() if last else None
        cut = whole.height if ends is None else int(ends[0]) + 1
        yield from whole[:cut].drop(run_of).iter_slices(PIECE)
        if ends is None:
            return
        rest = whole[cut:]
        found = dict(rest.group_by(run_of).len().iter_rows())
        counts = [found.get(number, 0) for number in range(len(runs))]
