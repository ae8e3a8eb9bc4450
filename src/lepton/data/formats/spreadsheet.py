"""Spreadsheets: Excel's formats and OpenDocument, one sheet as a table, by fastexcel."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from lepton.core import DataError, ErrorCode, MissingExtraError, UsageError, printable, show_size
from lepton.data.decisions import DecisionRecord
from lepton.data.formats.base import ReadOptions, Source, check_columns, shown
from lepton.data.formats.memory import MemorySource
from lepton.store.files import open_read
from lepton.store.unpack import check_ratio

__all__ = ["open_spreadsheet"]

_MOST_BYTES = 512 * 2**20
_MOST_UNPACKED = 2 * 2**30
_MEMBER_HEAD = 30
_PIECE = 2**20
_LOOKED_FOR_HEADER = 200


def open_spreadsheet(files: tuple[Path, ...], options: ReadOptions) -> Source:
    """Open one sheet of a workbook: the first one, or `options.sheet`.

    The header is the first row of which at least half of the cells are filled; what stands above is left out, so are
    empty rows, and empty columns without a name. Merged cells count as their first cell.

    Raises:
        DataError: no such sheet (those that there are, are named), an empty one, or a damaged or oversized file.
        MissingExtraError: fastexcel is not installed.
    """
    if len(files) > 1:
        raise UsageError(ErrorCode.USAGE, f"got {len(files)} spreadsheets", wanted="one")
    path = files[0]
    _check_archive(path)
    library = _fastexcel()
    try:
        book = library.read_excel(str(path))
        sheets = list(book.sheet_names)
        name, decisions = _choose_sheet(sheets, options.sheet, path)
        head = book.load_sheet(name, header_row=None, skip_rows=0, n_rows=_LOOKED_FOR_HEADER, dtypes="string")
        texts = head.to_polars()
        first, more = _first_row(texts, options.header, f"sheet {name!r} of {shown(path)}")
        cells = book.load_sheet(name, header_row=None, skip_rows=first, schema_sample_rows=None).to_polars()
    except (library.FastExcelError, pl.exceptions.PolarsError) as error:
        said = printable(str(error).split("\n")[0])
        raise DataError(ErrorCode.UNREADABLE, f"{shown(path)} cannot be read as a spreadsheet: {said}") from None
    header = None if options.header is False else texts.row(first - 1)
    frame, empty = _table(cells, header, shown(path))
    source = MemorySource(frame, f"{shown(path)}#{name}")
    source.decisions = (*decisions, *more, *empty, *source.decisions)
    return source


def _fastexcel() -> ModuleType:
    try:
        import fastexcel
    except ImportError:
        raise MissingExtraError("fastexcel", "data", "reading spreadsheets") from None
    module: ModuleType = fastexcel
    return module


def _choose_sheet(sheets: Sequence[str], wanted: str | None, path: Path) -> tuple[str, list[DecisionRecord]]:
    names = ", ".join(f"'{printable(sheet, 40)}'" for sheet in sheets[:20])
    if wanted is None:
        if not sheets:
            raise DataError(ErrorCode.EMPTY_DATA, f"{shown(path)} has no sheets")
        why = f"the first of {len(sheets)}: {names}" if len(sheets) > 1 else "the only one"
        return sheets[0], [DecisionRecord(None, "sheet", sheets[0], why, f"'{shown(path)}#SHEET'")]
    if wanted not in sheets:
        raise DataError(
            ErrorCode.NOT_FOUND, f"{shown(path)} has no sheet '{printable(wanted, 60)}'", wanted=f"one of {names}"
        )
    return wanted, [DecisionRecord(None, "sheet", wanted, "as asked")]


def _first_row(texts: pl.DataFrame, header: bool | None, where: str) -> tuple[int, list[DecisionRecord]]:
    """Number of rows above the first row of values, and what was decided about them."""
    filled = [sum(cell is not None for cell in row) for row in texts.iter_rows()]
    if not any(filled):
        raise DataError(ErrorCode.EMPTY_DATA, f"{where} is empty", wanted="a row of column names and rows of values")
    begun = next(number for number, count in enumerate(filled) if count)
    if header is False:
        return begun, [DecisionRecord(None, "header", "none: columns are column_1, column_2, ...", "as asked")]
    widest = max(filled)
    row = next(number for number, count in enumerate(filled) if 2 * count >= widest)
    above = sum(count > 0 for count in filled[:row])
    why = "at least half filled"
    if above:
        why += f"; rows left out above it: {above}"
    return row + 1, [DecisionRecord(None, "header", f"row {row + 1}", why, "header=False")]


def _table(
    cells: pl.DataFrame, header: tuple[str | None, ...] | None, file: str
) -> tuple[pl.DataFrame, list[DecisionRecord]]:
    """The cells under their names, without empty rows and without empty columns that have no name."""
    if header is None:
        header = (None,) * cells.width
    kept, names, decisions = [], [], []
    for number, (series, raw) in enumerate(zip(cells, header, strict=True), 1):
        name = (raw or "").strip()
        if not name and series.null_count() == len(series):
            continue
        if not name:
            name = f"column_{number}"
            decisions.append(
                DecisionRecord(name, "name", f"called {name!r}", "its cell in the header is empty or merged")
            )
        kept.append(series)
        names.append(name)
    checked = check_columns(names, file)
    frame = pl.DataFrame([series.alias(name) for series, name in zip(kept, checked, strict=True)])
    full = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    if full.height < frame.height:
        decisions.append(
            DecisionRecord(None, "rows", f"{frame.height - full.height:,} left out", "all their cells are empty")
        )
    return full, decisions


# --- before a library unpacks it -----------------------------------------------------------------------------------


def _check_archive(path: Path) -> None:
    """Refuse a workbook that would unpack to more than it should, whatever it says of itself.

    Workbooks are zip archives (all but `.xls`), and what a member says of its size may be a lie: so members are
    unpacked once here, in pieces, and counted.
    """
    with open_read(path) as file:
        size = file.seek(0, 2)
        if size > _MOST_BYTES:
            raise DataError(
                ErrorCode.UNREADABLE,
                f"{shown(path)} is larger than {show_size(_MOST_BYTES)}",
                fix="save it as CSV or Parquet",
            )
        file.seek(0)
        if file.read(2) != b"PK":
            return
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
            total = 0
            for member in members:
                total = _unpacked_size(file, member, total, shown(path))
            check_ratio(size, total, shown(path))
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, ValueError, OSError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(ErrorCode.UNREADABLE, f"{shown(path)} is damaged: {printable(str(error), 80)}") from None


def _unpacked_size(file: Any, member: zipfile.ZipInfo, total: int, what: str) -> int:
    """`total` and the bytes that `member` unpacks to."""
    file.seek(member.header_offset)
    head = file.read(_MEMBER_HEAD)
    names = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    file.seek(names, 1)
    left = member.compress_size
    unpacker = zlib.decompressobj(-15) if member.compress_type == zipfile.ZIP_DEFLATED else None
    while left > 0 and (data := file.read(min(left, _PIECE))):
        left -= len(data)
        while data:
            total += len(data if unpacker is None else unpacker.decompress(data, _PIECE))
            if total > _MOST_UNPACKED:
                raise DataError(
                    ErrorCode.UNREADABLE,
                    f"{what} unpacks to more than {show_size(_MOST_UNPACKED)}",
                    fix="save it as CSV or Parquet",
                )
            data = b"" if unpacker is None else unpacker.unconsumed_tail
    return total
