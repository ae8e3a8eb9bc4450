"""What takes Arrow and Parquet bodies apart, in a process of its own that may die of them.

It imports little, since the first such body waits for that.
"""

from __future__ import annotations

import io
import os
from collections import Counter

import polars as pl

from lepton.core import ErrorCode, SchemaError, ServingError, Work, printable

__all__ = ["MAX_DECODED", "MAX_ROWS", "check_names", "decode", "too_large", "unreadable"]

MAX_ROWS = 1_000_000
"""Rows of one table."""

MAX_DECODED = 256 * 2**20
"""Bytes of a table when it is decoded."""

_DAMAGED = (pl.exceptions.PolarsError, OSError, ValueError, OverflowError, TypeError)


def decode(name: str, body: bytes, max_rows: int, max_bytes: int, max_columns: int, work: Work) -> bytes:
    """A table as an Arrow stream that was written here, so that whoever reads it can trust its lengths.

    Raises:
        ServingError: it cannot be read, or is too large.
        SchemaError: a column of another type than numbers, booleans, texts and times.
    """
    _be_silent()
    try:
        frame = _read(name, body, max_rows)
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


def unreadable(name: str) -> ServingError:
    """What is said of bytes that are not what their type says."""
    return ServingError(ErrorCode.BAD_REQUEST, f"the body is not {name} that can be read", wanted=name)


def too_large(came: str) -> ServingError:
    """What is said of a table beyond the limits."""
    return ServingError(
        ErrorCode.TOO_LARGE,
        f"the body is {came}",
        wanted=f"at most {MAX_ROWS} rows and {MAX_DECODED >> 20} MiB decoded",
        fix="send fewer rows at once",
    )


def check_names(names: list[str], max_columns: int) -> None:
    """Raise `SchemaError` if columns are too many, or two have one name."""
    if len(names) > max_columns:
        raise SchemaError(ErrorCode.EXTRA_COLUMNS, f"the table has {len(names)} columns", wanted="the model's columns")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise SchemaError(
            ErrorCode.BAD_COLUMN_NAMES,
            f"the column '{printable(twice[0], 80)}' stands twice",
            wanted="each column once",
            details={"duplicates": [name[:128] for name in twice[:20]]},
        )


def _read(name: str, body: bytes, max_rows: int) -> pl.DataFrame:
    """One row more than may be, so that a table of too many is found without reading them all."""
    source = io.BytesIO(body)
    if name == "an Arrow stream":
        return pl.read_ipc_stream(source, n_rows=max_rows + 1)
    if name == "an Arrow file":
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
