"""What takes Arrow and Parquet bodies apart, in a process of its own that may die of them."""

from __future__ import annotations

import io
import os

import polars as pl

from lepton.core import ErrorCode, SchemaError, Work, printable
from lepton.serving.protocols.media import ARROW_FILE, ARROW_STREAM
from lepton.serving.protocols.tables import check_names, too_large, unreadable

__all__ = ["decode"]

_NAMES = {ARROW_STREAM: "an Arrow stream", ARROW_FILE: "an Arrow file"}
_DAMAGED = (pl.exceptions.PolarsError, OSError, ValueError, OverflowError, TypeError)


def decode(essence: str, body: bytes, max_rows: int, max_bytes: int, max_columns: int, work: Work) -> bytes:
    """A table as an Arrow stream that was written here, so that whoever reads it can trust its lengths.

    Raises:
        ServingError: it cannot be read, or is too large.
        SchemaError: a column of another type than numbers, booleans, texts and times.
    """
    _be_silent()
    name = _NAMES.get(essence, "a Parquet file")
    try:
        frame = _read(essence, body, max_rows)
        size = int(frame.estimated_size())
    except (*_DAMAGED, pl.exceptions.PanicException):
        raise unreadable(name) from None
    if frame.height > max_rows or size > max_bytes:
        raise too_large(f"{name} of {frame.height} rows and {size >> 20} MiB")
    check_names(frame.columns, max_columns)
    frame = frame.select(_plain(column) for column in frame.iter_columns())
    work.check()
    out = io.BytesIO()
    frame.write_ipc_stream(out, compression="uncompressed")
    return out.getvalue()


def _read(essence: str, body: bytes, max_rows: int) -> pl.DataFrame:
    """One row more than may be, so that a table of too many is found without reading them all."""
    source = io.BytesIO(body)
    if essence == ARROW_STREAM:
        return pl.read_ipc_stream(source, n_rows=max_rows + 1)
    if essence == ARROW_FILE:
        return pl.read_ipc(source, n_rows=max_rows + 1)
    return pl.read_parquet(source, n_rows=max_rows + 1)


def _plain(column: pl.Series) -> pl.Series:
    dtype = column.dtype
    if dtype in (pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    if dtype.is_numeric() or dtype in (pl.Boolean, pl.String, pl.Date, pl.Datetime, pl.Null):
        return column
    raise SchemaError(
        ErrorCode.WRONG_KIND,
        f"the column '{printable(column.name, 80)}' has the type {printable(str(dtype), 80)}",
        wanted="numbers, booleans, texts, dates or times with a date",
        details={"column": column.name[:128]},
    )


def _be_silent() -> None:
    """Libraries that fail here say so on standard error, with what they read: that is nobody's business."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)
