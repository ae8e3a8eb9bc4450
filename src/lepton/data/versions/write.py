"""Rows to Parquet files, with what a manifest says of them gathered in the same pass."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from lepton.core import Schema, Work
from lepton.data.convert import polars_type
from lepton.data.fingerprint import Fingerprint
from lepton.data.versions.folder import TAIL
from lepton.data.versions.manifest import ColumnSummary, PartRecord, summed
from lepton.store import hash_file, replace_path

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

    def noted() -> Iterator[pl.DataFrame]:
        nonlocal rows
        for frame in frames:
            work.check()
            frame = frame.select(list(types))
            rows += frame.height
            fingerprint.update(frame)
            for parts, summary in zip(summaries, _summaries(frame), strict=True):
                parts.append((frame.height, summary))
            yield frame
            if max_rows is not None and rows >= max_rows:
                return

    def read(
        _names: list[str] | None, _predicate: pl.Expr | None, _limit: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        yield from noted()

    with replace_path(path) as temporary:
        register_io_source(read, schema=types).sink_parquet(temporary)
        size = temporary.stat().st_size
        whole, tail = hash_file(temporary), hash_file(temporary, last=TAIL)
    columns = tuple(
        summed(parts) if parts else ColumnSummary(column.name, 0)
        for column, parts in zip(schema, summaries, strict=True)
    )
    return PartRecord(name, rows, size, whole, tail, fingerprint.hexdigest(), columns)


def _summaries(frame: pl.DataFrame) -> list[ColumnSummary]:
    values = []
    for name, dtype in frame.schema.items():
        column = pl.col(name)
        if isinstance(dtype, pl.String):
            column = column.str.len_chars()
        elif isinstance(dtype, pl.Datetime):
            column = column.to_physical()
        column = column.cast(pl.Float64)
        column = pl.when(column.is_finite()).then(column)
        values += [
            pl.col(name).null_count().cast(pl.Float64).alias(f"{name}\0m"),
            column.min().alias(f"{name}\0l"),
            column.max().alias(f"{name}\0h"),
            column.mean().alias(f"{name}\0a"),
            column.std(ddof=0).alias(f"{name}\0s"),
        ]
    found = frame.lazy().select(values).collect().row(0)
    return [
        ColumnSummary(name, int(found[5 * at]), *found[5 * at + 1 : 5 * at + 5])
        for at, name in enumerate(frame.columns)
    ]


def now() -> str:
    """The time, for records."""
    return datetime.now(UTC).isoformat(timespec="seconds")
