"""Rows to Parquet files, with what a manifest says of them gathered in the same pass."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from lepton.core import Schema, Work
from lepton.data.convert import polars_type
from lepton.data.fingerprint import Fingerprint
from lepton.data.versions.folder import TAIL
from lepton.data.versions.manifest import ColumnSummary, PartRecord, summed
from lepton.store import hash_file, replace_file

__all__ = ["PART_CELLS", "now", "write_part"]

PART_CELLS = 100_000_000
"""Cells of a part of a table that is a folder: some hundred megabytes of Parquet."""


def write_part(
    frames: Iterator[pl.DataFrame], schema: Schema, path: Path, name: str, work: Work, *, max_rows: int | None = None
) -> PartRecord:
    """Write rows as one Parquet file, whole or not at all.

    Args:
        frames: typed as `schema` says; those that are left when the part is full stay in it.
        schema: the columns.
        path: of the file.
        name: of the file, as the manifest calls it.
        work: stops it.
        max_rows: of the part, at least; the frame that reaches it is the last one.
    """
    fingerprint = Fingerprint(schema)
    summaries: list[list[tuple[int, ColumnSummary]]] = [[] for _ in schema]
    rows = 0
    types = {column.name: polars_type(column) for column in schema}

    def note(frame: pl.DataFrame) -> None:
        fingerprint.update(frame)
        for parts, series in zip(summaries, frame, strict=True):
            parts.append((frame.height, _summary(series)))

    def read(
        _names: list[str] | None, _predicate: pl.Expr | None, _limit: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        nonlocal rows
        noting: Future[None] | None = None
        for frame in frames:
            work.check()
            frame = frame.select(list(types))
            if noting is not None:
                noting.result()
            # Beside the writing, and beside whatever makes the next frame.
            noting = beside.submit(note, frame)
            rows += frame.height
            yield frame
            if max_rows is not None and rows >= max_rows:
                break
        if noting is not None:
            noting.result()

    with replace_file(path) as file, ThreadPoolExecutor(1, thread_name_prefix="noting") as beside:
        # The file itself: by its name Polars might make it once more, after the rows failed and it was removed.
        register_io_source(read, schema=types).sink_parquet(file)
        temporary = Path(file.name)
        size = temporary.stat().st_size
        whole, tail = hash_file(temporary), hash_file(temporary, last=TAIL)
    columns = tuple(
        summed(parts) if parts else ColumnSummary(column.name, 0)
        for column, parts in zip(schema, summaries, strict=True)
    )
    return PartRecord(name, rows, size, whole, tail, fingerprint.hexdigest(), columns)


def _summary(series: pl.Series) -> ColumnSummary:
    missing = series.null_count()
    if isinstance(series.dtype, pl.String):
        series = series.str.len_chars()
    elif isinstance(series.dtype, pl.Datetime):
        series = series.to_physical()
    elif isinstance(series.dtype, pl.Boolean):
        series = series.cast(pl.UInt8)
    low, high = _ends(series)
    if low is not None and high is not None and not (math.isfinite(low) and math.isfinite(high)):
        series = series.filter(series.is_finite())
        low, high = _ends(series)
    mean, deviation = series.mean(), series.std(ddof=0)
    return ColumnSummary(series.name, missing, low, high, _double(mean), _double(deviation))


def _ends(series: pl.Series) -> tuple[float | None, float | None]:
    return _double(series.min()), _double(series.max())


def _double(value: Any) -> float | None:
    return None if value is None else float(value)


def now() -> str:
    """The time, for records."""
    return datetime.now(UTC).isoformat(timespec="seconds")
