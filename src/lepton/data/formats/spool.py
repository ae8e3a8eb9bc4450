"""Tables that can be read only once: kept in temporary Parquet files, so that every later pass sees the same rows."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

import polars as pl

from lepton.core import DataError, ErrorCode, StoreError, show_size
from lepton.data.decisions import DecisionRecord
from lepton.data.formats.base import ReadOptions, Source, check_columns, usable_columns
from lepton.data.formats.columnar import ColumnarSource
from lepton.store.files import replace_path, scratch_folder, stamp

__all__ = ["SPOOL_ROWS", "spool"]

SPOOL_ROWS = 65_536
"""Rows that a reader should give at once."""


def spool(frames: Iterable[pl.DataFrame], what: str, options: ReadOptions, decision: DecisionRecord) -> Source:
    """Write `frames` away one by one and open them as one table; on an error nothing of them is left.

    A column may come in different types, as SQLite gives it: it becomes the type that holds all of them.

    Args:
        frames: at least one, all of the same column names in the same order; it may have no rows.
        what: what the pieces are called in messages.
        options: limits, and the work that they are part of.
        decision: what to say of the source.

    Raises:
        DataError: columns that cannot be used.
        StoreError: `FETCH_FAILED` for more bytes than the limits allow.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder(options.work.resources.scratch))
        files: list[Path] = []
        types: dict[str, pl.DataType] = {}
        rows = size = 0
        for frame in frames:
            options.work.check()
            check_columns(frame.columns, what)
            types = _wider(types, frame.schema)
            files.append(folder / f"{what}, part {len(files) + 1}.parquet")
            with replace_path(files[-1]) as temporary:
                frame.write_parquet(temporary)
            rows += frame.height
            size += files[-1].stat().st_size
            if size > options.limits.size:
                raise StoreError(
                    ErrorCode.FETCH_FAILED,
                    f"{what} is larger than {show_size(options.limits.size)}",
                    fix="ask for less, or allow more with max_download= or --max-download",
                )
            options.work.report(rows, unit="rows", note="reading")
        source = _opened(tuple(files), types, what, decision)
        weakref.finalize(source, stack.pop_all().close)
        return source


def _opened(files: tuple[Path, ...], types: Mapping[str, pl.DataType], what: str, decision: DecisionRecord) -> Source:
    if not files:
        raise DataError(ErrorCode.EMPTY_DATA, f"{what} has no columns", wanted="a table")
    usable = usable_columns(types, what)
    casts = [pl.col(name).cast(types[name]) for name in usable.original.values() if types[name] != pl.Binary]

    def scan(path: Path) -> pl.LazyFrame:
        return pl.scan_parquet(path, glob=False).select(casts)

    heights = tuple(int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()) for path in files)
    source = ColumnarSource(files, tuple(map(stamp, files)), what, scan, usable, heights)
    source.decisions = (decision, *usable.decisions)
    return source


def _wider(types: Mapping[str, pl.DataType], more: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """For each column the type that holds the values of both; text where nothing else does."""
    return {name: _common(types.get(name, pl.Null()), dtype) for name, dtype in more.items()}


def _common(first: pl.DataType, second: pl.DataType) -> pl.DataType:
    for one, other in ((first, second), (second, first)):
        if one == other or isinstance(other, pl.Null) or isinstance(one, pl.Binary):
            return one
    if first.is_numeric() and second.is_numeric():
        return pl.Float64()
    return pl.String()
