"""PostgreSQL through its ADBC driver: rows arrive as Arrow, in batches, in a session that may read only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

import polars as pl

from lepton.core import DataError, ErrorCode, MissingExtraError, SecurityError, StoreError, printable
from lepton.data.decisions import DecisionRecord
from lepton.data.formats.base import ReadOptions, Source, check_columns
from lepton.data.formats.spool import spool
from lepton.store.urls import FetchLimits

__all__ = ["open_postgresql"]

_URL = re.compile(
    r"postgres(?:ql)?://(?:(?P<user>[^@/?#]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-][A-Za-z0-9._-]*)"
    r"(?::(?P<port>[0-9]{1,5}))?/(?P<database>[^/?#]+)(?:\?(?P<options>[^#]*))?",
    re.IGNORECASE,
)
_OPTIONS = {
    "sslmode": re.compile(r"disable|allow|prefer|require|verify-ca|verify-full"),
    "application_name": re.compile(r"[\w .-]{1,63}"),
}
_READ_ONLY, _CANCELLED = "25006", "57014"
_ABOUT_THE_QUERY = ("42", "22", "0A", "26")  # classes of SQLSTATE: syntax and names, values, what is not supported


def open_postgresql(url: str, options: ReadOptions) -> Source:
    """The answer to `options.query` by the database of `postgresql://user:password@host:port/database`.

    A password may also come from where PostgreSQL's own tools look for it (`PGPASSWORD`, `~/.pgpass`). It is never
    shown.

    Raises:
        DataError: a query that fails.
        SecurityError: a URL with driver options or without a host, or a query that would change something.
        StoreError: `FETCH_FAILED` where the server cannot be reached, refuses, drops the connection or is too slow.
        MissingExtraError: the driver is not installed.
    """
    uri, place, secret = _uri(url, options.limits)
    decision = DecisionRecord(None, "source", "PostgreSQL", f"the query's answer from {place}, read once", "query=")
    return spool(_frames(uri, place, secret, options), "the query's answer", options, decision)


def _uri(url: str, limits: FetchLimits) -> tuple[str, str, str]:
    """What the driver is given, how the place is called in messages, and the password."""
    match = _URL.fullmatch(url)
    if match is None:
        raise SecurityError(
            ErrorCode.FORBIDDEN_URL,
            "the URL of the database is refused",
            wanted="sql:postgresql://user@host:port/database; sockets, several hosts and empty names are not taken",
        )
    given = dict(parse_qsl(match["options"] or "", keep_blank_values=True))
    for name, value in given.items():
        if name not in _OPTIONS or not _OPTIONS[name].fullmatch(value):
            raise SecurityError(
                ErrorCode.FORBIDDEN_URL,
                f"the URL of the database sets {printable(name, 40)!r}",
                wanted="nothing but sslmode and application_name",
            )
    settings = {
        "connect_timeout": max(round(limits.connect), 2),
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "options": f"-c default_transaction_read_only=on -c statement_timeout={round(limits.total * 1000)}",
        **given,
    }
    user = f"{match['user']}@" if match["user"] else ""
    port = match["port"] or "5432"
    place = f"{match['host']}:{port}/{printable(unquote(match['database']), 63)}"
    uri = f"postgresql://{user}{match['host']}:{port}/{match['database']}?{urlencode(settings, quote_via=quote)}"
    return uri, place, unquote((match["user"] or "").partition(":")[2])


def _frames(uri: str, place: str, secret: str, options: ReadOptions) -> Iterator[pl.DataFrame]:
    driver = _driver()
    try:
        with closing(driver.connect(uri)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(options.query)
            batches = cursor.fetch_record_batch()
            yield _frame(batches.schema.empty_table())
            for batch in batches:
                yield _frame(batch)
    except driver.Error as error:
        raise _failed(error, place, secret) from None
    except OSError as error:  # what Arrow makes of an error between two batches
        raise _failed(error, place, secret) from None


def _driver() -> ModuleType:
    try:
        from adbc_driver_postgresql import dbapi
    except ImportError:
        raise MissingExtraError("adbc-driver-postgresql", "data", "reading from PostgreSQL") from None
    module: ModuleType = dbapi
    return module


def _frame(batch: Any) -> pl.DataFrame:
    """A Polars frame of an Arrow batch or table; types that Arrow lacks come as text, `numeric` as numbers."""
    check_columns(batch.schema.names, "the query's answer")
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        numeric = getattr(field.type, "type_name", "") == "numeric"
        if hasattr(field.type, "storage_type"):
            column = column.cast(field.type.storage_type)
        try:
            series = pl.Series(field.name, column)
        except (pl.exceptions.PolarsError, TypeError, ValueError):
            raise DataError(
                ErrorCode.UNREADABLE,
                f"column '{printable(field.name, 60)}' is of the type {field.type}, which a table cannot hold",
                fix=f"cast it in the query: {printable(field.name, 60)}::text",
            ) from None
        columns.append(series.cast(pl.Float64) if numeric else series)
    return pl.DataFrame(columns)


def _failed(error: Exception, place: str, secret: str) -> DataError | SecurityError | StoreError:
    state = str(getattr(error, "sqlstate", None) or "")
    said = str(error).strip().split("\n")[0]
    said = printable(said.replace(secret, "***") if secret else said)
    if state == _READ_ONLY:
        return SecurityError(ErrorCode.FORBIDDEN_URL, "the query would change something", wanted="a query that selects")
    if state == _CANCELLED or "statement timeout" in said:
        return StoreError(ErrorCode.FETCH_FAILED, f"the query at {place} took too long", fix="ask for less")
    if state.startswith(_ABOUT_THE_QUERY) or "ERROR:" in said:  # between two batches the driver tells no state
        return DataError(ErrorCode.UNREADABLE, f"the query failed: {said}", fix="check it with psql")
    return StoreError(
        ErrorCode.FETCH_FAILED,
        f"the database at {place} does not answer, or stopped early: {said}",
        fix="check that it runs and that the name and password are right; nothing of the answer was kept",
    )
