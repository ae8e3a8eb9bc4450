"""Writing a table to a file, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import polars as pl

from lepton.core import DataError, ErrorCode, UsageError
from lepton.store import replace_file

__all__ = ["WRITERS", "write_frame", "write_rows"]

WRITERS: Mapping[str, Callable[[pl.LazyFrame, BinaryIO], object]] = MappingProxyType(
    {
        ".parquet": pl.LazyFrame.sink_parquet,
        ".csv": pl.LazyFrame.sink_csv,
        ".tsv": lambda rows, file: rows.sink_csv(file, separator="\t"),
        ".jsonl": lambda rows, file: rows.map_batches(_checked_finite, streamable=True).sink_ndjson(file),
        ".arrow": pl.LazyFrame.sink_ipc,
    }
)
"""How rows are written, by the ending of the file's name."""


def write_frame(frame: pl.DataFrame, path: str | Path) -> Path:
    """Write `frame` in the format that the name of `path` ends in; see `write_rows`."""
    return write_rows(frame.lazy(), path)


def write_rows(rows: pl.LazyFrame, path: str | Path) -> Path:
    """Write rows as they come, in bounded memory, in the format that the name of `path` ends in (a key of `WRITERS`).

    Raises:
        UsageError: another ending.
        DataError: JSON Lines cannot say NaN and the infinities that the table holds.
        StoreError: the disk is full or failed; an earlier file is intact.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        formats = ", ".join(WRITERS)
        raise UsageError(ErrorCode.USAGE, f"cannot tell the format of {path.name!r}", wanted=f"a name in {formats}")
    with replace_file(path) as file:
        # The file itself: by its name Polars might make it once more, after the rows failed and it was removed.
        WRITERS[path.suffix](rows, file)
    return path


def _checked_finite(frame: pl.DataFrame) -> pl.DataFrame:
    """Refuse numbers that JSON has no word for: Polars would write them as null."""
    for column in frame.select(pl.selectors.float()):
        if not column.drop_nulls().is_finite().all():
            came = f"column {column.name!r} holds NaN or infinities, which JSON Lines cannot say"
            raise DataError(ErrorCode.BAD_VALUE, came, fix="write .parquet or .csv, or fill them first")
    return frame
