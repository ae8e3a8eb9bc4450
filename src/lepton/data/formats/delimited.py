"""CSV and its kin: read in blocks of whole records, parsed by Polars, held against every rule of the dialect.

A block that Polars refuses, or whose number of delimiters cannot be right, is read again record by record, which
either succeeds (padding before quotes, say) or finds the line to blame.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from lepton.core import DataError, ErrorCode, printable, show_size
from lepton.data.decisions import DecisionRecord
from lepton.data.formats.base import SAMPLE_ROWS, Chunk, ReadOptions, Source, check_columns, shown
from lepton.data.formats.dialect import MAX_RECORD, Dialect, bad_encoding, csv_options, decide_dialect, long_fields
from lepton.store.files import FileStamp, open_read, stamp

__all__ = ["DelimitedSource", "Lines", "open_delimited", "text_lines"]

_HEAD_BYTES = 2**20
_SAMPLE_BLOCK = 4 * 2**20
_BLOCK = 8 * 2**20
_GZIP = b"\x1f\x8b"


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
        _refuse_binary(head, path)
        if dialect is None:
            dialect, records, decisions = decide_dialect(
                head, delimiter=options.delimiter, encoding=options.encoding, header=options.header, whole=whole
            )
        else:
            _, records, _ = decide_dialect(
                head,
                delimiter=dialect.delimiter,
                encoding=dialect.encoding,
                header=dialect.header,
                whole=whole,
            )
        found, unnamed = _column_names(records[0], dialect, shown(path))
        if not names:
            names = found
            decisions += unnamed
        elif found != names:
            raise _other_columns(names, found, shown(files[0]), shown(path))
    if dialect is None:
        raise DataError(ErrorCode.NOT_FOUND, "got no files", wanted="at least one")
    return DelimitedSource(files, stamps, dialect, names, tuple(decisions))


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
        yield from self._chunks(names, direct or {}, markers, _BLOCK)

    def sample(self) -> pl.DataFrame:
        """See `Source.sample`."""
        frames: list[pl.DataFrame] = []
        rows = 0
        for chunk in self._chunks(list(self.columns), {}, (), _SAMPLE_BLOCK):
            frames.append(chunk.frame.head(SAMPLE_ROWS - rows))
            rows += frames[-1].height
            if rows >= SAMPLE_ROWS or (len(frames) >= 2 and rows >= 1000) or len(frames) >= 8:
                break
        else:
            self.num_rows = rows
        return pl.concat(frames) if frames else pl.DataFrame(schema=dict(self.columns))

    def _chunks(
        self, names: Sequence[str], direct: Mapping[str, pl.DataType], markers: Sequence[str], block_size: int
    ) -> Iterator[Chunk]:
        total = 0
        for path, before in zip(self.files, self.stamps, strict=True):
            before.check(path)
            row = 1
            for block in text_lines(path, self.dialect, block_size):
                frame = self._parse(block, path, names, direct, markers)
                if frame.height:
                    yield Chunk(frame, shown(path), row)
                row += frame.height
            before.check(path)
            total += row - 1
        self.num_rows = total

    def _parse(
        self,
        block: Lines,
        path: Path,
        names: Sequence[str],
        direct: Mapping[str, pl.DataType],
        markers: Sequence[str],
    ) -> pl.DataFrame:
        data, regular = _regular(block.data, self.dialect, len(self.columns))
        if not data:
            return pl.DataFrame(schema={name: direct.get(name, pl.String()) for name in names})
        if regular:
            order = list(self.columns)
            schema = {name: direct.get(name, kind) for name, kind in self.columns.items()}
            try:
                return pl.read_csv(
                    data,
                    has_header=False,
                    schema=schema,
                    columns=None if list(names) == order else [order.index(name) for name in names],
                    separator=self.dialect.delimiter,
                    quote_char=self.dialect.quote,
                    null_values=["", *markers],
                ).select(names)
            except pl.exceptions.PolarsError:
                pass  # read record by record below, which names the line
        return self._parse_records(block, path, names, markers)

    def _parse_records(self, block: Lines, path: Path, names: Sequence[str], markers: Sequence[str]) -> pl.DataFrame:
        width = len(self.columns)
        null = {"", *markers}
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
        return pl.DataFrame({name: pl.Series(name, found[name], dtype=pl.String) for name in names})


# --- blocks ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lines:
    """A block of whole records in UTF-8 and the number of its first line, from 1."""

    data: bytes
    first_line: int


def text_lines(path: Path, dialect: Dialect, block_size: int = _BLOCK) -> Iterator[Lines]:
    """The records of a text file behind its header, in blocks of whole records, in UTF-8.

    Raises:
        DataError: `BAD_ENCODING` with the offset of the byte, `UNREADABLE` for NUL bytes, damaged gzip, or a
            record of more than `MAX_RECORD` bytes.
    """
    quote = dialect.quote.encode() if dialect.quote else b""
    header = dialect.header
    rest = b""
    line = 1
    for data in _decoded_blocks(path, dialect, block_size):
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
            line += block.count(b"\n", 0, skipped)
            block, header = block[skipped:], False
        if block:
            yield Lines(block, line)
            line += block.count(b"\n")
    if rest and not header:
        yield Lines(rest, line)


def _decoded_blocks(path: Path, dialect: Dialect, block_size: int) -> Iterator[bytes]:
    """The text in UTF-8, without byte order mark, in blocks that may end within a record but not within a character."""
    encoding = dialect.encoding
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)()
    offset = 0
    with _open_text(path) as file:
        while data := _read(file, block_size, path):
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
    with open_read(path) as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        if packed:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked  # type: ignore[misc]
        else:
            yield file


def _read(file: BinaryIO, size: int, path: Path) -> bytes:
    try:
        return file.read(size)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(ErrorCode.UNREADABLE, f"{shown(path)} is damaged gzip: {error}") from None


def _head(path: Path) -> tuple[bytes, bool]:
    """The first bytes of the text, unpacked, a whole line at least, and whether they are all of it."""
    with _open_text(path) as file:
        head = b""
        while data := _read(file, max(len(head), _HEAD_BYTES), path):
            head += data
            if b"\n" in head or len(head) > MAX_RECORD:
                return head, not _read(file, 1, path)
    return head, True


def _refuse_binary(head: bytes, path: Path) -> None:
    wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE))
    if not wide and head[:1024].count(b"\0") > 0 and head[:4].count(b"\0") == 0 and b"\n" not in head[:1024]:
        raise DataError(ErrorCode.UNREADABLE, f"{shown(path)} holds NUL bytes, so it is no text")


def _last_record_end(data: bytes, quote: bytes) -> int:
    """Where the last whole record ends: behind the last newline that has an even number of quotes before it."""
    end = data.rfind(b"\n") + 1
    if not quote or quote not in data:
        return end
    odd = data.count(quote, 0, end) % 2
    while end and odd:
        before = data.rfind(b"\n", 0, end - 1) + 1
        odd ^= data.count(quote, before, end) % 2
        end = before
    return end


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


def _regular(data: bytes, dialect: Dialect, width: int) -> tuple[bytes, bool]:
    """The block without blank lines, and whether it has as many delimiters as its records need.

    A record that is too short is null at its end for Polars, so that only counting tells; one that is too long is
    refused by Polars itself.
    """
    delimiter = dialect.delimiter.encode()
    if dialect.quote and b'"' in data:
        cells = np.frombuffer(data, np.uint8)
        outside = (np.cumsum(cells == ord('"'), dtype=np.uint8) & 1) == 0
        ends = np.flatnonzero((cells == 10) & outside)
        lengths = np.diff(ends, prepend=-1)
        blank = (lengths == 1) | ((lengths == 2) & (cells[ends - 1] == 13))
        if width > 1 and blank.any():
            keep = np.ones(len(cells), bool)
            keep[ends[blank]] = False
            keep[ends[blank & (lengths == 2)] - 1] = False
            return _regular(cells[keep].tobytes(), dialect, width)
        records = len(ends) + int(not data.endswith(b"\n"))
        delimiters = int(((cells == delimiter[0]) & outside).sum())
        return data, bool(outside[-1]) and delimiters == records * (width - 1)
    if width > 1 and (data[:2].startswith((b"\n", b"\r\n")) or b"\n\n" in data or b"\n\r\n" in data):
        data = re.sub(rb"(?m)^\r?\n", b"", data)
    records = data.count(b"\n") + int(bool(data) and not data.endswith(b"\n"))
    return data, data.count(delimiter) == records * (width - 1)


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
