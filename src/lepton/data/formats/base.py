"""The contract of readers and their registry; nothing is imported until a format is used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from lepton.core import DataError, ErrorCode, Registry, UsageError, Work, check_label, printable
from lepton.data.decisions import DecisionRecord
from lepton.data.references import References
from lepton.data.versions.manifest import TableVersion
from lepton.store.files import hash_file, open_read
from lepton.store.unpack import PACKED_SUFFIXES
from lepton.store.urls import FetchLimits

__all__ = [
    "MAX_COLUMNS",
    "READERS",
    "SAMPLE_ROWS",
    "Chunk",
    "ReadOptions",
    "Source",
    "Usable",
    "check_columns",
    "choose_format",
    "head_of",
    "shown",
    "usable_columns",
]

SAMPLE_ROWS = 20_000
"""Rows that detection looks at; every later row is held against what it decided."""

MAX_COLUMNS = 100_000

_NO_CELLS = (pl.List, pl.Array, pl.Struct, pl.Object, pl.Binary)

READERS = Registry(
    "readers",
    {
        "csv": "lepton.data.formats.delimited:open_delimited",
        "jsonl": "lepton.data.formats.jsonlines:open_jsonlines",
        "json": "lepton.data.formats.jsonlines:open_json",
        "parquet": "lepton.data.formats.columnar:open_parquet",
        "arrow": "lepton.data.formats.columnar:open_arrow",
        "excel": "lepton.data.formats.spreadsheet:open_spreadsheet",
    },
)
"""Format name → address of `open(files, options) -> Source`; more come through the entry points `lepton.readers`."""

_EXTENSIONS = {
    "csv": "csv",
    "tsv": "csv",
    "tab": "csv",
    "txt": "csv",
    "data": "csv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "json",
    "parquet": "parquet",
    "pq": "parquet",
    "arrow": "arrow",
    "feather": "arrow",
    "ipc": "arrow",
    "xlsx": "excel",
    "xlsm": "excel",
    "xlsb": "excel",
    "xls": "excel",
    "ods": "excel",
}
_MAGIC = ((b"PAR1", "parquet"), (b"ARROW1", "arrow"))
_SHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_FOREIGN = (
    (b"\x80\x02", "a pickle, which can run code and is never read"),
    (b"\x80\x03", "a pickle, which can run code and is never read"),
    (b"\x80\x04", "a pickle, which can run code and is never read"),
    (b"\x80\x05", "a pickle, which can run code and is never read"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old document of Microsoft Office"),
    (b"SQLite format 3", "an SQLite database, which is read with 'sql:sqlite:///FILE' and a query"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a numpy array"),
    (b"%PDF", "a PDF document"),
)
_WANTED = "CSV, JSON Lines, Parquet, Arrow or Excel"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the caller of `read` decided about the source; None where the reader decides."""

    delimiter: str | None = None
    encoding: str | None = None
    header: bool | None = None
    expected: tuple[str, ...] = ()
    """Columns that the caller named in `kinds`: they are there even if the sample lacks them."""
    sheet: str | None = None
    """Which sheet of a spreadsheet."""
    query: str | None = None
    """What to ask a database."""
    limits: FetchLimits = field(default_factory=FetchLimits)
    """Of time and size, for what comes from elsewhere."""
    allow_hosts: tuple[str, ...] = ()
    """`host:port` that may be fetched from although they are not public."""
    work: Work = field(default_factory=Work)
    """Stops what takes long, and hears of its progress."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a source.

    Attributes:
        frame: the columns asked for.
        file: the file as the user named it, "" for memory.
        first_row: number of the first row within that file, from 1, the header not counted.
    """

    frame: pl.DataFrame
    file: str = ""
    first_row: int = 1

    def place(self, index: int) -> str:
        """Where row `index` of the frame is, for messages."""
        of_file = f" of {self.file}" if self.file else ""
        return f"row {self.first_row + index:,}{of_file}"


class Source(ABC):
    """An opened table: raw columns, in pieces, as often as asked.

    Attributes:
        columns: name → raw Polars type, in order. Names are labels, unique.
        typed: True where frames come as a schema says, so that nothing is converted.
        textual: True where every value was text to begin with, so that numbers are only what looks like one.
        decisions: what opening decided.
        num_rows: rows, if known without reading, or once they were read.
        num_bytes: size of the files, where types hold only as far as the sample goes: text and JSON.
        files: the files that are read, if any.
        version: of a table that was saved with a manifest, which version this is.
    """

    columns: Mapping[str, pl.DataType]
    typed: bool = False
    textual: bool = False
    decisions: tuple[DecisionRecord, ...] = ()
    num_rows: int | None = None
    num_bytes: int | None = None
    files: tuple[Path, ...] = ()
    version: TableVersion | None = None

    @abstractmethod
    def chunks(
        self,
        names: Sequence[str],
        direct: Mapping[str, pl.DataType] | None = None,
        markers: Sequence[str] = (),
    ) -> Iterator[Chunk]:
        """Every row, in order, in pieces of bounded size.

        Args:
            names: columns wanted, in this order; at least one.
            direct: types that a textual reader may parse at once instead of giving text. It may give text all the
                same, for a piece that does not parse.
            markers: texts that a textual reader turns into null.

        Raises:
            DataError: damaged, ragged, wrongly encoded, or changed while it was read.
        """

    @abstractmethod
    def sample(self) -> pl.DataFrame:
        """The first rows, raw: at most `SAMPLE_ROWS`."""

    def whole(
        self,
        names: Sequence[str],
        direct: Mapping[str, pl.DataType] | None = None,
        markers: Sequence[str] = (),
    ) -> Iterator[Chunk]:
        """As `chunks`, for a caller who keeps every row anyway: pieces may be as large as the table."""
        yield from self.chunks(names, direct, markers)

    def count(self) -> int:
        """Number of rows; reads what it must."""
        if self.num_rows is None:
            self.num_rows = sum(chunk.frame.height for chunk in self.chunks(list(self.columns)[:1]))
        return self.num_rows

    def references(self) -> References:
        """What the cells of a column of files mean: paths that start from the folder of the table's first file."""
        return References(self.files[0].parent if self.files else None)

    def parents(self, *, files: bool = True) -> tuple[Mapping[str, Any], ...]:
        """What rows made from these come from, for manifests; with `files`, reads them once."""
        if self.version is not None:
            name = self.files[0].parents[1].name if self.version.parts[0].file else self.files[0].name
            return ({"name": name, "version": self.version.number, "id": self.version.id},)
        return tuple({"name": shown(path), "sha256": hash_file(path)} for path in (self.files if files else ()))


def shown(path: Path) -> str:
    """The file's name, safe to show: without its folder."""
    return printable(path.name)


def head_of(path: Path, size: int) -> bytes:
    """The first bytes of a regular file."""
    with open_read(path) as file:
        return file.read(size)


def choose_format(path: Path, named: str | None) -> tuple[str, DecisionRecord]:
    """The format of a file: as `named`, else by its first bytes, else by its extension, else delimited text."""
    if named is not None:
        READERS.address(named)
        return named, DecisionRecord(None, "format", named, "as asked", f"format={named!r}")
    start = head_of(path, 64)
    if not start:
        raise DataError(ErrorCode.EMPTY_DATA, f"{shown(path)} is empty", wanted="a table with at least one column")
    for magic, name in _MAGIC:
        if start.startswith(magic):
            return name, DecisionRecord(None, "format", name, f"begins with {magic.decode()}", "format=")
    suffixes = [suffix[1:].lower() for suffix in path.suffixes]
    extension = next((s for s in reversed(suffixes) if s not in PACKED_SUFFIXES), "")
    name = _EXTENSIONS.get(extension) or (extension if extension in READERS.names() else "csv")
    if name == "excel" and start.startswith(_SHEETS):
        return name, DecisionRecord(None, "format", name, f"extension {extension!r}", "format=")
    for magic, what in _FOREIGN:
        if start.startswith(magic):
            raise DataError(ErrorCode.UNREADABLE, f"{shown(path)} is {what}", wanted=_WANTED)
    if name in {"parquet", "arrow", "excel"}:
        raise DataError(
            ErrorCode.UNREADABLE,
            f"{shown(path)} does not begin as a {name} file",
            fix="the file is damaged or of another format: say which with format=",
        )
    return name, DecisionRecord(None, "format", name, f"extension {extension!r}", "format=")


def check_columns(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Column names as labels (NFC); refuses duplicates, hidden characters, more than 128 characters or too many."""
    if len(names) > MAX_COLUMNS:
        raise DataError(
            ErrorCode.TOO_WIDE, f"{where} has {len(names):,} columns", wanted=f"at most {MAX_COLUMNS:,} columns"
        )
    if not names:
        raise DataError(ErrorCode.EMPTY_DATA, f"{where} has no columns", wanted="at least one column")
    seen: dict[str, int] = {}
    for number, raw in enumerate(names, 1):
        try:
            name = check_label(raw, "column name")
        except UsageError as error:
            raise DataError(
                ErrorCode.BAD_COLUMN_NAMES,
                f"column {number} of {where}: {error.came}",
                wanted=error.wanted or "names of visible characters",
                fix="rename it in the source",
            ) from None
        if name == "*" or (name.startswith("^") and name.endswith("$")):
            raise DataError(
                ErrorCode.BAD_COLUMN_NAMES,
                f"column {number} of {where} is called '{printable(name)}', which is a pattern for many columns",
                fix="rename it in the source",
            )
        if name in seen:
            raise DataError(
                ErrorCode.BAD_COLUMN_NAMES,
                f"columns {seen[name]} and {number} of {where} have the same name '{printable(name)}'",
                fix="rename one of them in the source",
            )
        seen[name] = number
    return tuple(seen)


@dataclass(frozen=True, slots=True)
class Usable:
    """The columns of a typed source that a table can hold.

    Attributes:
        columns: name (in NFC) → type.
        original: name → name in the source.
        decisions: one for each column that is left out, because its cells hold several values.
    """

    columns: Mapping[str, pl.DataType]
    original: Mapping[str, str]
    decisions: tuple[DecisionRecord, ...]

    def select(self, names: Iterable[str]) -> list[pl.Expr]:
        """What selects the columns from the source, under their names."""
        return [pl.col(self.original[name]).alias(name) for name in names]


def usable_columns(schema: Mapping[str, pl.DataType], where: str) -> Usable:
    """The columns of a typed source that a table can hold; `DataError` if there are none."""
    original = dict(zip(check_columns(list(schema), where), schema, strict=True))
    left_out = {name: schema[key] for name, key in original.items() if isinstance(schema[key], _NO_CELLS)}
    columns = {name: schema[key] for name, key in original.items() if name not in left_out}
    if not columns:
        raise DataError(
            ErrorCode.UNREADABLE, f"every column of {where} holds lists, records or bytes", wanted="single values"
        )
    decisions = tuple(
        DecisionRecord(name, "column", "left out", f"its cells are {dtype}, not single values")
        for name, dtype in left_out.items()
    )
    return Usable(columns, original, decisions)
