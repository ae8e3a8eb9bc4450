"""CSV and its kin: read in blocks of whole records, parsed by Polars, held against every rule of the dialect.

A block that Polars refuses, or whose number of delimiters cannot be right, is read again record by record, which
either succeeds (padding before quotes, say) or finds the line to blame.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, printable, show_size
from lepton.data.decisions import DecisionRecord
from lepton.data.formats.base import SAMPLE_ROWS, Chunk, ReadOptions, Source, check_columns, shown
from lepton.data.formats.dialect import (
    MAX_RECORD,
    Dialect,
    bad_encoding,
    choose_encoding,
    csv_options,
    decide_dialect,
    long_fields,
)
from lepton.store.files import FileStamp, open_read, stamp
from lepton.store.unpack import packing, unpacked

__all__ = ["DelimitedSource", "Lines", "decide_encoding", "open_delimited", "text_lines"]

_HEAD_BYTES = 2**20
_SAMPLE_BLOCK = 4 * 2**20
_SAMPLE_BLOCKS = 8
_WIDE = 2_000  # columns
_BLOCK = 8 * 2**20
_AT_ONCE = 2**30
_NEWLINE, _RETURN = 10, 13


def open_delimited(files: tuple[Path, ...], options: ReadOptions) -> Source:
    """Open CSV or TSV files as one table.

    Raises:
        DataError: empty, not text, wrongly encoded, unusable column names, or files of different columns.
    """
    stamps = tuple(map(stamp, files))
    dialect: Dialect | None = None
    names: tuple[str, ...] = ()
    decisions: list[DecisionRecord] = []
    for path in files:
        head, whole = _head(path)
        if not head.strip():
            raise DataError(ErrorCode.EMPTY_DATA, f"{shown(path)} is empty", wanted="a header or rows")
        said = options if dialect is None else ReadOptions(dialect.delimiter, dialect.encoding, dialect.header)
        own, records, about = decide_dialect(
            head,
            file=shown(path),
            delimiter=said.delimiter,
            encoding=said.encoding,
            header=said.header,
            whole=whole,
        )
        if dialect is None:
            dialect, decisions = own, about
        found, unnamed = _column_names(records[0], dialect, shown(path))
        if not names:
            names = found
            decisions += unnamed
        elif found != names:
            raise _other_columns(names, found, shown(files[0]), shown(path))
    if dialect is None:
        raise DataError(ErrorCode.NOT_FOUND, "got no files", wanted="at least one")
    return DelimitedSource(files, stamps, dialect, names, tuple(decisions))


@dataclass(frozen=True, slots=True)
class _Request:
    """What a caller of `chunks` wants."""

    names: tuple[str, ...]
    direct: Mapping[str, pl.DataType] = field(default_factory=dict)
    markers: tuple[str, ...] = ()

    def including(self, name: str) -> _Request:
        return self if name in self.names else replace(self, names=(*self.names, name))

    def schema(self, columns: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
        return {name: self.direct.get(name, dtype) for name, dtype in columns.items()}


class DelimitedSource(Source):
    """Delimited text files of the same columns, one after the other."""

    textual = True

    def __init__(
        self,
        files: tuple[Path, ...],
        stamps: tuple[FileStamp, ...],
        dialect: Dialect,
        names: tuple[str, ...],
        decisions: tuple[DecisionRecord, ...],
    ) -> None:
        self.files = files
        self.stamps = stamps
        self.num_bytes = sum(each.size for each in self.stamps)
        self.dialect = dialect
        self.columns = dict.fromkeys(names, pl.String())
        self.decisions = decisions

    def chunks(
        self,
        names: Sequence[str],
        direct: Mapping[str, pl.DataType] | None = None,
        markers: Sequence[str] = (),
    ) -> Iterator[Chunk]:
        """See `Source.chunks`."""
        yield from self._chunks(_Request(tuple(names), direct or {}, tuple(markers)))

    def whole(
        self,
        names: Sequence[str],
        direct: Mapping[str, pl.DataType] | None = None,
        markers: Sequence[str] = (),
    ) -> Iterator[Chunk]:
        """See `Source.whole`: a plain file is given to Polars as it is, which is quickest."""
        yield from self._chunks(_Request(tuple(names), direct or {}, tuple(markers)), at_once=True)

    def sample(self) -> pl.DataFrame:
        """See `Source.sample`."""
        frames: list[pl.DataFrame] = []
        rows = 0
        blocks = max(1, _SAMPLE_BLOCKS - len(self.columns) // _WIDE)  # each takes time by the number of columns
        for chunk in self._chunks(_Request(tuple(self.columns)), _SAMPLE_BLOCK * _SAMPLE_BLOCKS // blocks):
            frames.append(chunk.frame.head(SAMPLE_ROWS - rows))
            rows += frames[-1].height
            if rows >= SAMPLE_ROWS or (len(frames) >= 2 and rows >= 1000) or len(frames) >= blocks:
                break
        else:
            self.num_rows = rows
        return pl.concat(frames) if frames else pl.DataFrame(schema=dict(self.columns))

    def _chunks(self, request: _Request, block_size: int | None = None, at_once: bool = False) -> Iterator[Chunk]:
        total = 0
        for path, before in zip(self.files, self.stamps, strict=True):
            before.check(path)
            row = 1
            frame = self._at_once(path, request, before.size) if at_once else None
            if frame is None:
                for block in _ahead(text_lines(path, self.dialect, block_size)):
                    frame = self._parse(block, path, request)
                    if frame.height:
                        yield Chunk(frame, shown(path), row)
                    row += frame.height
            else:
                yield Chunk(frame, shown(path), row)
                row += frame.height
            before.check(path)
            total += row - 1
        self.num_rows = total

    def _at_once(self, path: Path, request: _Request, size: int) -> pl.DataFrame | None:
        """The whole file as Polars reads it; None where it must be read in blocks, to be held against the rules.

        Polars fills rows that are too short, blank lines among them, with nulls at their end. So where the last
        column has none, there are no such rows.
        """
        if size > _AT_ONCE or self.dialect.encoding != "utf-8" or self.dialect.carriage_return:
            return None
        first = _first_line(path)
        if first.count(b'"') % 2 or not first.strip() or first.startswith(codecs.BOM_UTF8) or packing(first):
            return None
        last = list(self.columns)[-1]
        frame = self._polars(path, request.including(last), skip_rows=int(self.dialect.header))
        if frame is None or frame[last].null_count():
            return None
        return frame.select(request.names)

    def _parse(self, block: Lines, path: Path, request: _Request) -> pl.DataFrame:
        data, regular = _regular(block, self.dialect, len(self.columns))
        if not data:
            return pl.DataFrame(schema=request.schema(dict.fromkeys(request.names, pl.String())))
        frame = self._polars(data, request) if regular else None
        return self._parse_records(block, path, request) if frame is None else frame

    def _polars(self, data: bytes | Path, request: _Request, skip_rows: int = 0) -> pl.DataFrame | None:
        """The columns as Polars reads them; None where it refuses."""
        order = list(self.columns)
        names = list(request.names)
        # Where all columns are numbers, missing texts are refused or NaN: to look for them takes a quarter of the time.
        tries = [["", *request.markers]]
        if all(name in request.direct for name in names):
            tries.insert(0, [])
        for markers in tries:
            try:
                frame = pl.read_csv(
                    data,
                    has_header=False,
                    skip_rows=skip_rows,
                    schema=request.schema(self.columns),
                    columns=None if names == order else [order.index(name) for name in names],
                    separator=self.dialect.delimiter,
                    quote_char=self.dialect.quote,
                    null_values=markers,
                    glob=False,
                ).select(names)
            except pl.exceptions.PolarsError:
                continue
            if self.dialect.spaces:
                frame = frame.with_columns(pl.col(pl.String).str.strip_chars_start(" "))
            return frame
        return None

    def _parse_records(self, block: Lines, path: Path, request: _Request) -> pl.DataFrame:
        width = len(self.columns)
        null = {"", *request.markers}
        options = csv_options(self.dialect.delimiter, self.dialect.quote, self.dialect.spaces)
        text = io.StringIO(block.data.decode("utf-8"), newline="")
        reader = csv.reader(text, strict=True, **options)  # type: ignore[arg-type]
        rows: list[list[str | None]] = []
        try:
            with long_fields():
                start = block.first_line
                for fields in reader:
                    if width == 1 and not fields:
                        fields = [""]
                    if fields and len(fields) != width:
                        raise _ragged(path, start, len(fields), width)
                    if fields:
                        rows.append([None if field in null else field for field in fields])
                    start = block.first_line + reader.line_num
        except csv.Error as error:
            raise DataError(
                ErrorCode.UNREADABLE,
                f"line {start:,} of {shown(path)} has quotes that do not match ({error})",
                wanted='fields quoted as "a ""quoted"" text"',
            ) from None
        columns = zip(*rows, strict=True) if rows else iter([()] * width)
        found = dict(zip(self.columns, columns, strict=True))
        return pl.DataFrame({name: pl.Series(name, found[name], dtype=pl.String) for name in request.names})


# --- blocks ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lines:
    """A block of whole records.

    Attributes:
        data: in UTF-8.
        first_line: number of its first line in the file, from 1.
        newlines: which bytes end a line, those within quotes too.
    """

    data: bytes
    first_line: int
    newlines: NDArray[np.bool_]


def text_lines(path: Path, dialect: Dialect, block_size: int | None = None) -> Iterator[Lines]:
    """The records of a text file behind its header, in blocks of whole records, in UTF-8.

    Raises:
        DataError: `BAD_ENCODING` with the offset of the byte, `UNREADABLE` for NUL bytes, damaged gzip, or a
            record of more than `MAX_RECORD` bytes.
    """
    quote = dialect.quote.encode() if dialect.quote else b""
    header = dialect.header
    rest = b""
    line = 1
    for data in _decoded_blocks(path, dialect, block_size or _BLOCK):
        data = rest + data
        end = _last_record_end(data, quote)
        if not end and len(data) > MAX_RECORD:
            raise DataError(
                ErrorCode.UNREADABLE,
                f"the record that begins at line {line:,} of {shown(path)} is longer than {show_size(MAX_RECORD)}",
                wanted="shorter cells, and quotes that are closed",
            )
        block, rest = data[:end], data[end:]
        if header and block:
            skipped = _first_record_end(block, quote)
            line += int(np.count_nonzero(_newlines(block[:skipped])))
            block, header = block[skipped:], False
        if block:
            yield Lines(block, line, newlines := _newlines(block))
            line += int(np.count_nonzero(newlines))
    if rest and not header:
        yield Lines(rest, line, _newlines(rest))


def _newlines(block: bytes) -> NDArray[np.bool_]:
    newlines: NDArray[np.bool_] = np.frombuffer(block, np.uint8) == _NEWLINE
    return newlines


def _ahead(blocks: Iterator[Lines]) -> Iterator[Lines]:
    """The same blocks, the next one prepared while the last one is used."""
    with ThreadPoolExecutor(1, "lepton-read") as pool:
        pending = pool.submit(next, blocks, None)
        while (block := pending.result()) is not None:
            pending = pool.submit(next, blocks, None)
            yield block


def _decoded_blocks(path: Path, dialect: Dialect, block_size: int) -> Iterator[bytes]:
    """The text in UTF-8, without byte order mark, in blocks that may end within a record but not within a character."""
    encoding = dialect.encoding
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)()
    offset = 0
    with _open_text(path) as file:
        while data := _read(file, block_size):
            data += _read(file, 0)  # so that in plain text no record is cut
            pending = len(decoder.getstate()[0])
            if encoding == "utf-8" and offset and not pending and data.isascii():
                text = data  # nothing to decode: the common case, and quick
            else:
                try:
                    text = decoder.decode(data).encode("utf-8")
                except UnicodeDecodeError as error:
                    position = offset - pending + error.start
                    raise bad_encoding(
                        encoding, position, error.object[error.start : error.start + 1], shown(path)
                    ) from None
                except UnicodeEncodeError as error:  # lone surrogates
                    raise bad_encoding(
                        encoding, offset, error.object[error.start].encode("utf-16-be", "surrogatepass"), shown(path)
                    ) from None
            offset += len(data)
            if b"\0" in text:
                raise DataError(
                    ErrorCode.UNREADABLE,
                    f"{shown(path)} holds NUL bytes, so it is no text in {encoding}",
                    fix="if it is UTF-16, say encoding='utf-16'",
                )
            yield text.replace(b"\r", b"\n") if dialect.carriage_return else text
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise bad_encoding(encoding, offset - len(error.object), error.object[:1], shown(path)) from None


@contextmanager
def _open_text(path: Path) -> Iterator[BinaryIO]:
    with open_read(path) as file, unpacked(file, shown(path)) as text:
        yield text


def _read(file: BinaryIO, size: int) -> bytes:
    """Up to `size` bytes, or with 0 the rest of the line."""
    return file.read(size) if size else file.readline(MAX_RECORD)


def _head(path: Path) -> tuple[bytes, bool]:
    """The first bytes of the text, unpacked, a whole line at least, and whether they are all of it."""
    with _open_text(path) as file:
        head = b""
        while data := _read(file, max(len(head), _HEAD_BYTES)):
            head += data
            if b"\n" in head or len(head) > MAX_RECORD:
                return head, not _read(file, 1)
    return head, True


def _first_line(path: Path) -> bytes:
    with open_read(path) as file:
        return file.readline(MAX_RECORD)


def decide_encoding(path: Path, encoding: str | None) -> tuple[str, DecisionRecord]:
    """The encoding of a text file: as asked, by its mark, or by what its beginning allows."""
    head, _ = _head(path)
    return choose_encoding(head, encoding)


def _last_record_end(data: bytes, quote: bytes) -> int:
    """Where the last whole record ends: behind the last newline that has an even number of quotes before it."""
    end = data.rfind(b"\n") + 1
    if not quote or quote not in data:
        return end
    cells = np.frombuffer(data, np.uint8)
    within = np.cumsum(cells == quote[0], dtype=np.uint8) & 1
    ends = np.flatnonzero((cells == _NEWLINE) & (within == 0))
    return int(ends[-1]) + 1 if len(ends) else 0


def _first_record_end(block: bytes, quote: bytes) -> int:
    """Where the first record that is not blank ends."""
    end = start = 0
    while end < len(block):
        end = block.find(b"\n", end) + 1 or len(block)
        blank = not block[start:end].strip()
        if blank:
            start = end
        elif not quote or block.count(quote, start, end) % 2 == 0:
            return end
    return len(block)


def _regular(block: Lines, dialect: Dialect, width: int) -> tuple[bytes, bool]:
    """The block without blank lines, and whether it has as many delimiters as its records need.

    A record that is too short is null at its end for Polars, so that only counting tells; one that is too long is
    refused by Polars itself.
    """
    data, ends = block.data, block.newlines
    cells = np.frombuffer(data, np.uint8)
    marks = cells == ord(dialect.delimiter)
    if dialect.quote and b'"' in data:
        outside = (np.cumsum(cells == ord('"'), dtype=np.uint8) & 1) == 0
        if not outside[-1]:
            return data, False
        marks &= outside
        ends = ends & outside
    lines = np.flatnonzero(ends)
    lengths = np.diff(lines, prepend=-1)
    if width > 1 and len(lengths) and lengths.min() <= 2:
        blank = (lengths == 1) | ((lengths == 2) & (cells[lines - 1] == _RETURN))
        if blank.any():
            keep = np.ones(len(cells), bool)
            keep[lines[blank]] = False
            keep[lines[blank & (lengths == 2)] - 1] = False
            data = cells[keep].tobytes()
            lines = lines[~blank]
    records = len(lines) + int(bool(data) and not data.endswith(b"\n"))
    return data, int(np.count_nonzero(marks)) == records * (width - 1)


# --- names and errors --------------------------------------------------------------------------------------------


def _column_names(first: list[str], dialect: Dialect, file: str) -> tuple[tuple[str, ...], list[DecisionRecord]]:
    if not dialect.header:
        return check_columns([f"column_{i}" for i in range(1, len(first) + 1)], file), []
    stripped = [name.strip() for name in first]
    names = [name or f"column_{i}" for i, name in enumerate(stripped, 1)]
    unnamed = [
        DecisionRecord(name, "name", f"called {name!r}", "its name in the header is empty")
        for name, raw in zip(names, stripped, strict=True)
        if not raw
    ]
    return check_columns(names, file), unnamed


def _other_columns(names: tuple[str, ...], found: tuple[str, ...], first: str, file: str) -> DataError:
    missing = [name for name in names if name not in set(found)]
    extra = [name for name in found if name not in set(names)]
    if missing:
        came = f"{file} has no column '{printable(missing[0])}', which {first} has"
    elif extra:
        came = f"{file} has the column '{printable(extra[0])}', which {first} does not have"
    else:
        came = f"{file} has the columns of {first} in another order"
    return DataError(ErrorCode.BAD_COLUMN_NAMES, came, wanted="files of the same columns")


def _ragged(path: Path, line: int, found: int, width: int) -> DataError:
    return DataError(
        ErrorCode.RAGGED_ROWS,
        f"line {line:,} of {shown(path)} has {found:,} fields where the table has {width:,} columns",
        wanted="the same number of fields in every row",
        fix="mend that line, or check the delimiter with delimiter=",
        details={"file": shown(path), "line": line, "fields": found, "columns": width},
    )
