"""SQLite files: opened for writing in one way, their failures told as those of all storage."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lepton.core import ErrorCode, StoreError, printable

__all__ = ["database_errors", "open_database"]

_PRIVATE = 0o600
_WAIT = 10.0  # seconds for another process that writes


def open_database(path: str | os.PathLike[str] | None, script: str) -> sqlite3.Connection:
    """A database that several processes may use: a commit is on the disk when it returns.

    Args:
        path: its file, made if it is not there, readable by this user only; None keeps it in memory.
        script: statements that make what is missing in it.

    Raises:
        StoreError: the file cannot be opened, or is no database.
    """
    name = "memory" if path is None else printable(Path(path).name)
    with database_errors(name):
        if path is not None:
            try:
                os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, _PRIVATE))
            except OSError as error:
                raise StoreError(ErrorCode.STORE_FAILED, f"'{name}' cannot be opened: {error.strerror}") from None
        connection = sqlite3.connect(
            ":memory:" if path is None else path, timeout=_WAIT, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(script)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def database_errors(name: str) -> Iterator[None]:
    """Tell what SQLite raises inside as `StoreError`."""
    try:
        yield
    except sqlite3.Error as error:
        full = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
        code = ErrorCode.STORE_FULL if full else ErrorCode.STORE_FAILED
        raise StoreError(code, f"the database '{name}' failed: {printable(str(error))}") from None
