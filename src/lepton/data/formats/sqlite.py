"""SQLite, read-only: only what selects is allowed, so that a query can neither change a file nor open another one."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote

import polars as pl

from lepton.core import DataError, ErrorCode, SecurityError, StoreError, UsageError, printable, show_duration
from lepton.data.decisions import DecisionRecord
from lepton.data.formats.base import ReadOptions, Source, check_columns
from lepton.data.formats.memory import series_of
from lepton.data.formats.spool import SPOOL_ROWS, spool
from lepton.store.files import open_read

__all__ = ["open_sqlite"]

_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_STEPS = 100_000


def open_sqlite(url: str, options: ReadOptions) -> Source:
    """The answer to `options.query` by the file of `sqlite:///relative/path` or `sqlite:////absolute/path`.

    Raises:
        DataError: no such file, no SQLite database, or a query that fails.
        SecurityError: options in the URL, or a query that does more than select.
    """
    path = _path(url)
    open_read(path).close()
    decision = DecisionRecord(None, "source", "SQLite", f"the query's answer from {path.name}, read once", "query=")
    return spool(_frames(path, options), "the query's answer", options, decision)


def _path(url: str) -> Path:
    rest = url.partition(":")[2]
    if "?" in rest or "#" in rest:
        raise SecurityError(ErrorCode.FORBIDDEN_URL, "the SQLite URL holds options", wanted="sqlite:///path")
    if not rest.startswith("///") or len(rest) == len("///"):
        raise UsageError(
            ErrorCode.USAGE, "got an SQLite URL without a path", wanted="sqlite:///relative/path or sqlite:////absolute"
        )
    return Path(unquote(rest[len("///") :]))


def _frames(path: Path, options: ReadOptions) -> Iterator[pl.DataFrame]:
    until = time.monotonic() + options.limits.total
    stopped = options.work
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            connection.set_authorizer(_authorize)
            connection.set_progress_handler(lambda: stopped.stopped or time.monotonic() > until, _STEPS)
            yield from _answer(connection.execute(options.query or ""), path)
    except sqlite3.Warning as error:  # two statements
        raise UsageError(ErrorCode.USAGE, f"the query is refused: {printable(str(error))}") from None
    except sqlite3.DatabaseError as error:
        stopped.check()
        raise _failed(error, path, options) from None


def _answer(cursor: sqlite3.Cursor, path: Path) -> Iterator[pl.DataFrame]:
    if cursor.description is None:
        raise DataError(ErrorCode.EMPTY_DATA, "the query gives no table", wanted="a query that selects")
    names = check_columns([column[0] for column in cursor.description], "the query's answer")
    rows = cursor.fetchmany(SPOOL_ROWS)
    while True:
        columns = zip(*rows, strict=True) if rows else iter([()] * len(names))
        yield pl.DataFrame([_series(name, list(values)) for name, values in zip(names, columns, strict=True)])
        rows = cursor.fetchmany(SPOOL_ROWS)
        if not rows:
            return


def _series(name: str, values: list[object]) -> pl.Series:
    if any(isinstance(value, bytes) for value in values):
        return pl.Series(name, [value if isinstance(value, bytes) else None for value in values], dtype=pl.Binary)
    series = series_of(name, values)
    return series.cast(pl.Null) if series.null_count() == len(series) else series


def _authorize(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _failed(error: sqlite3.DatabaseError, path: Path, options: ReadOptions) -> DataError | SecurityError | StoreError:
    code = getattr(error, "sqlite_errorcode", 0)
    said = printable(str(error))
    if code == sqlite3.SQLITE_AUTH:
        return SecurityError(ErrorCode.FORBIDDEN_URL, "the query does more than select", wanted="a query that selects")
    if code == sqlite3.SQLITE_INTERRUPT:
        return StoreError(
            ErrorCode.FETCH_FAILED,
            f"the query took longer than {show_duration(options.limits.total)}",
            fix="ask for less",
        )
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        return DataError(ErrorCode.UNREADABLE, f"{path.name} is no SQLite database, or damaged: {said}")
    return DataError(ErrorCode.UNREADABLE, f"the query failed: {said}", fix="check it with the database's own tools")
