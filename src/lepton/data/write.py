"""Writing a table to a file, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import polars as pl

from lepton.core import DataError, ErrorCode, UsageError
from lepton.store import replace_path

__all__ = ["WRITERS", "write_frame", "write_parquet"]

WRITERS: Mapping[str, Callable[[pl.DataFrame, Path], object]] = MappingProxyType(
    {
        ".parquet": pl.DataFrame.write_parquet,
        ".csv": pl.DataFrame.write_csv,
        ".tsv": lambda frame, path: frame.write_csv(path, separator="\t"),
        ".jsonl": pl.DataFrame.write_ndjson,
        ".arrow": pl.DataFrame.write_ipc,
    }
)
"""How a table is written, by the ending of the file's name."""


def write_frame(frame: pl.DataFrame, path: str | Path) -> Path:
    """Write `frame` in the format that the name of `path` ends in (a key of `WRITERS`).

    Raises:
        UsageError: another ending.
        DataError: JSON Lines cannot say NaN and the infinities that the table holds.
        StoreError: the disk is full or failed; an earlier file is intact.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        formats = ", ".join(WRITERS)
        raise UsageError(ErrorCode.USAGE, f"cannot tell the format of {path.name!r}", wanted=f"a name in {formats}")
    if path.suffix == ".jsonl":
        _check_finite(frame)
    with replace_path(path) as temporary:
        WRITERS[path.suffix](frame, temporary)
    return path


def write_parquet(rows: pl.LazyFrame, path: str | Path) -> Path:
    """Write rows that come in pieces as they come, so that memory stays bounded.

    Raises:
        StoreError: the disk is full or failed; an earlier file is intact.
    """
    path = Path(path)
    with replace_path(path) as temporary:
        rows.sink_parquet(temporary)
    return path


def _check_finite(frame: pl.DataFrame) -> None:
    """Refuse numbers that JSON has no word for: Polars would write them as null."""
    for column in frame.select(pl.selectors.float()):
        if not column.drop_nulls().is_finite().all():
            came = f"column {column.name!r} holds NaN or infinities, which JSON Lines cannot say"
            raise DataError(ErrorCode.BAD_VALUE, came, fix="write .parquet or .csv, or fill them first")
