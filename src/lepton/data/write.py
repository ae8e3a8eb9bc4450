"""Writing a table to a file, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import polars as pl

from lepton.core import ErrorCode, UsageError
from lepton.store import replace_path

__all__ = ["WRITERS", "write_frame"]

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
        StoreError: the disk is full or failed; an earlier file is intact.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        formats = ", ".join(WRITERS)
        raise UsageError(ErrorCode.USAGE, f"cannot tell the format of {path.name!r}", wanted=f"a name in {formats}")
    with replace_path(path) as temporary:
        WRITERS[path.suffix](frame, temporary)
    return path
