"""Rows that do not fit in memory, as files in a scratch folder."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from lepton.core import ErrorCode, StoreError

__all__ = ["read_rows", "write_rows"]


def write_rows(frame: pl.DataFrame, path: Path) -> None:
    """Write rows that are read again in the same run.

    Raises:
        StoreError: the disk is full or failed.
    """
    try:
        frame.write_ipc_stream(path)
    except (OSError, pl.exceptions.ComputeError) as error:
        reason = getattr(error, "strerror", None) or "it cannot be written"
        raise StoreError(
            ErrorCode.STORE_FULL,
            f"rows that do not fit in memory do not fit on the disk either: {reason}",
            fix="free some space, or name another folder: Resources(scratch=...)",
        ) from None


def read_rows(path: Path) -> pl.DataFrame:
    """Rows that `write_rows` wrote."""
    return pl.read_ipc_stream(path)
