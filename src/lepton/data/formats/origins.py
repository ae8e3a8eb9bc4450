"""From what a user names to files: paths, URLs of files, databases; each scheme by the registry."""

from __future__ import annotations

import re
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from lepton.core import DataError, ErrorCode, Registry, SecurityError, UsageError, printable
from lepton.data.decisions import DecisionRecord
from lepton.data.formats.base import READERS, ReadOptions, Source, choose_format, shown
from lepton.store.files import expand
from lepton.store.urls import scheme_of

__all__ = ["CARRIERS", "DATABASES", "is_place", "open_place", "safe_address"]

CARRIERS = Registry(
    "carriers",
    {
        "http": "lepton.data.formats.remote:carry_web",
        "https": "lepton.data.formats.remote:carry_web",
        "s3": "lepton.data.formats.remote:carry_objects",
        "gs": "lepton.data.formats.remote:carry_objects",
        "gcs": "lepton.data.formats.remote:carry_objects",
        "abfs": "lepton.data.formats.remote:carry_objects",
        "abfss": "lepton.data.formats.remote:carry_objects",
        "az": "lepton.data.formats.remote:carry_objects",
        "memory": "lepton.data.formats.remote:carry_objects",
    },
)
"""Scheme → address of `carry(url, options) -> ContextManager[tuple[Path, ...]]`, which brings a URL's files here."""

DATABASES = Registry(
    "databases",
    {
        "sqlite": "lepton.data.formats.sqlite:open_sqlite",
        "postgresql": "lepton.data.formats.postgresql:open_postgresql",
        "postgres": "lepton.data.formats.postgresql:open_postgresql",
    },
)
"""Scheme behind `sql:` → address of `open(url, options) -> Source`, which answers `options.query`."""

_SQL = "sql:"
_SHEET = re.compile(r"(?P<file>.+\.(?:xlsx|xlsm|xlsb|xls|ods))#(?P<sheet>.+)", re.IGNORECASE | re.DOTALL)
_SECRETS = re.compile(r"//[^/?#]*@")


def is_place(source: object) -> bool:
    """Whether `source` names a place, or several: a text, a path, or a list of them."""
    if isinstance(source, str | Path):
        return True
    return isinstance(source, Sequence) and bool(source) and all(isinstance(part, str | Path) for part in source)


def safe_address(source: str) -> str:
    """`source` without what may be secret, to be shown: user names, passwords and queries of URLs.

    >>> safe_address("sql:postgresql://me:secret@host/shop"), safe_address("https://host/a.csv?token=secret")
    ('sql:postgresql://host/shop', 'https://host/a.csv')
    """
    if not source.lower().startswith(_SQL) and not scheme_of(source):
        return source
    return _SECRETS.sub("//", source).partition("?")[0]


def open_place(
    source: str | Path | Sequence[str | Path], options: ReadOptions, named: str | None
) -> tuple[Source, list[DecisionRecord]]:
    """Open what `source` names, and tell what was decided about it.

    Args:
        source: path, glob, URL, `sql:` and the URL of a database, or a list of paths and URLs of files.
        options: what the caller decided.
        named: the format, if the caller said so.

    Raises:
        SecurityError: a scheme that is not read, or a URL that is not allowed.
        DataError: nothing there, files of several formats, or no table.
    """
    if isinstance(source, str) and source.lower().startswith(_SQL):
        if any(option is not None for option in (named, options.delimiter, options.encoding, options.header)):
            raise UsageError(
                ErrorCode.USAGE, "got format, delimiter, encoding or header for a database", wanted="query= alone"
            )
        return _open_database(source[len(_SQL) :], options), []
    if options.query is not None:
        raise UsageError(ErrorCode.USAGE, "got a query for a file", wanted="query= with 'sql:...' alone")
    parts = [source] if isinstance(source, str | Path) else list(source)
    parts, sheet = _without_sheet(parts)
    with ExitStack() as stack:
        decisions: list[DecisionRecord] = []
        files: list[Path] = []
        for part in parts:
            if isinstance(part, str) and (scheme := scheme_of(part)):
                brought = stack.enter_context(CARRIERS.load(_known(scheme))(part.strip(), options))
                decisions.append(_brought(part, brought))
                files += brought
            else:
                _refuse_table_folder(Path(part))
                files += expand(part)
        files = list(dict.fromkeys(files))
        chosen, decision = _one_format(files, named)
        if sheet is not None and chosen != "excel":
            raise UsageError(ErrorCode.USAGE, f"got the sheet {sheet!r} for {chosen}", wanted="a spreadsheet")
        opened: Source = READERS.load(chosen)(tuple(files), replace(options, sheet=sheet))
        weakref.finalize(opened, stack.pop_all().close)  # what was brought here stays as long as the table
        return opened, [*decisions, decision]


def _open_database(url: str, options: ReadOptions) -> Source:
    scheme = scheme_of(url)
    if scheme not in DATABASES.names():
        raise SecurityError(
            ErrorCode.FORBIDDEN_URL,
            f"the database scheme {printable(scheme or url.partition(':')[0], 40)!r} is not read",
            wanted="sql: and one of " + ", ".join(f"{name}://" for name in DATABASES.names()),
            fix="read it with that database's own library, and give lepton.read the data frame",
        )
    if not options.query or not options.query.strip():
        raise UsageError(
            ErrorCode.USAGE,
            "got a database without a query",
            wanted='query="select ..."',
            fix="or --query on the command line",
        )
    opened: Source = DATABASES.load(scheme)(url, options)
    return opened


def _without_sheet(parts: list[str | Path]) -> tuple[list[str | Path], str | None]:
    """The sources without `#SHEET`, and the sheet, if one spreadsheet is named so."""
    if len(parts) != 1 or not (match := _SHEET.fullmatch(str(parts[0]))) or Path(parts[0]).exists():
        return parts, None
    file = match["file"]
    return [file if isinstance(parts[0], str) else Path(file)], match["sheet"]


def _known(scheme: str) -> str:
    if scheme in CARRIERS.names():
        return scheme
    raise SecurityError(
        ErrorCode.FORBIDDEN_URL,
        f"the scheme {printable(scheme, 40)!r} is not read",
        wanted="a path, or one of " + ", ".join(f"{name}://" for name in CARRIERS.names()),
        fix="give the path alone" if scheme == "file" else "download the file and give its path",
    )


def _refuse_table_folder(path: Path) -> None:
    """Refuse Delta and Iceberg tables, and the files in them: some of those hold rows that were deleted since."""
    for folder in {path, path.parent}:
        kind = "delta" if (folder / "_delta_log").is_dir() else ""
        kind = kind or ("iceberg" if any(folder.glob("metadata/*.metadata.json")) else "")
        if kind:
            raise DataError(
                ErrorCode.UNREADABLE,
                f"{shown(folder)} is a table of {kind.title()}, whose files hold more than its rows",
                fix=f"lepton.read(polars.scan_{kind}(...)), with the library that Polars names",
            )


def _brought(url: str, files: Sequence[Path]) -> DecisionRecord:
    size = sum(path.stat().st_size for path in files)
    evidence = f"{len(files):,} files, {size:,} bytes, kept in a temporary folder as long as the table"
    return DecisionRecord(None, "fetched", "once", f"{printable(safe_address(url), 80)}: {evidence}")


def _one_format(files: Sequence[Path], named: str | None) -> tuple[str, DecisionRecord]:
    chosen, decision = choose_format(files[0], named)
    for path in files[1:]:
        other, _ = choose_format(path, named)
        if other != chosen:
            raise DataError(
                ErrorCode.UNREADABLE,
                f"{shown(path)} is {other}, where {shown(files[0])} is {chosen}",
                wanted="files of one format",
            )
    return chosen, decision
