"""JSON Lines, streamed, and JSON arrays of objects, where they are small."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from lepton.core import DataError, ErrorCode, printable, show_size
from lepton.data.decisions import DecisionRecord
from lepton.data.formats.base import SAMPLE_ROWS, Chunk, ReadOptions, Source, shown, usable_columns
from lepton.data.formats.delimited import Lines, decide_encoding, text_lines
from lepton.data.formats.dialect import Dialect
from lepton.data.formats.memory import MemorySource, frame_of_rows
from lepton.store.files import FileStamp, stamp

__all__ = ["JsonLinesSource", "open_json", "open_jsonlines"]

_MAX_ARRAY = 64 * 2**20
_FITTING: Mapping[type[pl.DataType], frozenset[type]] = {
    pl.Boolean: frozenset({bool}),
    pl.Int64: frozenset({int}),
    pl.Float64: frozenset({int, float}),
}


def open_jsonlines(files: tuple[Path, ...], options: ReadOptions) -> Source:
    """Open files of one JSON object a line as one table.

    Raises:
        DataError: a line that is no object, or keys that the first rows lack.
    """
    encoding, decision = decide_encoding(files[0], options.encoding)
    return JsonLinesSource(files, encoding, options.expected, decision)


def open_json(files: tuple[Path, ...], options: ReadOptions) -> Source:
    """Open a JSON array of objects, at most 64 MB; a file that begins with an object is read as JSON Lines."""
    encoding, _ = decide_encoding(files[0], options.encoding)
    text = ""
    for block in text_lines(files[0], _plain(encoding)):
        text += block.data.decode("utf-8")
        if not text.lstrip().startswith("["):
            return open_jsonlines(files, options)
        if len(text) > _MAX_ARRAY:
            raise DataError(
                ErrorCode.UNREADABLE,
                f"the JSON array in {shown(files[0])} is larger than {show_size(_MAX_ARRAY)}",
                fix="write one object a line, as JSON Lines",
            )
    if len(files) > 1:
        raise DataError(
            ErrorCode.UNREADABLE, f"got {len(files)} JSON arrays", fix="write one object a line, as JSON Lines"
        )
    rows = _parsed(text, shown(files[0]), 1)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(
            ErrorCode.UNREADABLE, f"{shown(files[0])} holds other things than objects", wanted="[{...}, {...}]"
        )
    return MemorySource(frame_of_rows(rows), shown(files[0]))


class JsonLinesSource(Source):
    """JSON Lines files, one after the other; the keys of the first rows are the columns."""

    def __init__(
        self, files: tuple[Path, ...], encoding: str, expected: tuple[str, ...], decision: DecisionRecord
    ) -> None:
        self.files = files
        self.stamps: tuple[FileStamp, ...] = tuple(map(stamp, files))
        self.num_bytes = sum(each.size for each in self.stamps)
        self.dialect = _plain(encoding)
        rows: list[dict[str, Any]] = []
        for _, _, _, block in self._blocks():
            rows += block[: SAMPLE_ROWS - len(rows)]
            if len(rows) >= SAMPLE_ROWS:
                break
        else:
            self.num_rows = len(rows)
        if not rows:
            raise DataError(ErrorCode.EMPTY_DATA, f"{shown(files[0])} holds no rows", wanted="one JSON object a line")
        frame = frame_of_rows([*rows, dict.fromkeys(expected)])[:-1] if expected else frame_of_rows(rows)
        usable = usable_columns(dict(frame.schema), shown(files[0]))
        self.columns = usable.columns
        self.decisions = (decision, *usable.decisions)
        self._known = frozenset(frame.columns)
        self._sample = frame.select(list(usable.columns))

    def chunks(
        self,
        names: Sequence[str],
        direct: Mapping[str, pl.DataType] | None = None,
        markers: Sequence[str] = (),
    ) -> Iterator[Chunk]:
        """See `Source.chunks`."""
        total = 0
        for file, first_row, first_line, rows in self._blocks():
            self._refuse_new_keys(file, first_line, rows)
            columns = [self._column(name, [row.get(name) for row in rows]) for name in names]
            yield Chunk(pl.DataFrame(columns), file, first_row)
            total += len(rows)
        self.num_rows = total

    def sample(self) -> pl.DataFrame:
        """See `Source.sample`."""
        return self._sample

    def _blocks(self) -> Iterator[tuple[str, int, int, list[dict[str, Any]]]]:
        """File, number of the first row and of its line, and the rows of each block that holds any."""
        for path, before in zip(self.files, self.stamps, strict=True):
            before.check(path)
            first_row = 1
            for block in text_lines(path, self.dialect):
                rows = _objects(block, shown(path))
                if rows:
                    yield shown(path), first_row, block.first_line, rows
                first_row += len(rows)
            before.check(path)

    def _refuse_new_keys(self, file: str, first_line: int, rows: list[dict[str, Any]]) -> None:
        for number, row in enumerate(rows):
            if not self._known.issuperset(row):
                new = printable(next(key for key in row if key not in self._known), 60)
                raise DataError(
                    ErrorCode.UNKNOWN_COLUMN,
                    f"{file} has the new key '{new}' in an object at or after line {first_line + number:,}",
                    wanted="the keys of the first rows",
                    fix=f"name it: kinds={{'{new}': 'category'}}",
                )

    def _column(self, name: str, values: list[Any]) -> pl.Series:
        """Values as the type that the sample had; as texts where one does not fit, so that it can be named."""
        dtype = self.columns[name]
        types = {type(value) for value in values if value is not None}
        if types <= _FITTING.get(type(dtype), frozenset()):
            try:
                return (
                    pl.Series(name, values, dtype=dtype, strict=False)
                    if float in types
                    else pl.Series(name, values, dtype=dtype)
                )
            except (OverflowError, TypeError):
                pass  # an integer of more than 64 bits
        return pl.Series(name, [text_of(value) for value in values], dtype=pl.String)


def text_of(value: Any) -> str | None:
    """A JSON value as a text: texts as they are, anything else as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _plain(encoding: str) -> Dialect:
    return Dialect(encoding, ",", None, header=False, spaces=False, carriage_return=False)


def _objects(block: Lines, file: str) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(block.data.split(b"\n")):
        if line and not line.isspace():
            row = _parsed(line.decode("utf-8"), file, block.first_line + number)
            if not isinstance(row, dict):
                raise DataError(
                    ErrorCode.UNREADABLE,
                    f"line {block.first_line + number:,} of {file} is {printable(line.decode('utf-8'), 40)}",
                    wanted="one JSON object a line",
                )
            rows.append(row)
    return rows


def _parsed(text: str, file: str, line: int) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # refuses lone surrogates, which are no text
    except (ValueError, RecursionError) as error:
        said = printable(str(error), 100) if isinstance(error, ValueError) else "nested too deeply"
        raise DataError(
            ErrorCode.UNREADABLE, f"line {line:,} of {file} is not JSON: {said}", wanted="one JSON object a line"
        ) from None
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object with its keys in NFC, if no two are the same."""
    found = dict(pairs)
    if not all(map(str.isascii, found)):
        found = {unicodedata.normalize("NFC", key): value for key, value in found.items()}
    if len(found) < len(pairs):
        names = [unicodedata.normalize("NFC", name) for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} comes twice")
    return found
