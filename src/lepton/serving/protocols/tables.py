"""Rows as CSV, Arrow or Parquet, and answers in the same forms.

CSV is read here, strictly. Arrow and Parquet are taken apart in a process of its own: their readers trust lengths that
a stranger writes, and may end the process that they run in.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

import polars as pl

from lepton.compute import LocalEngine
from lepton.compute.engine import State
from lepton.core import ErrorCode, Interrupted, Resources, SchemaError, ServingError, WorkerError, printable
from lepton.serving.protocols.media import ARROW_FILE, ARROW_STREAM, CSV, PARQUET, Media
from lepton.serving.table_child import MAX_DECODED, MAX_ROWS, check_names, too_large, unreadable

__all__ = ["TableReader", "write_table"]

_BLOCK_ROWS = 8192
_SECONDS = 30.0
_DECODE = "lepton.serving.table_child:decode"
_CHILD_MEMORY = 2**30
# Cells as RFC 4180 has them: quoted as a whole with quotes doubled, or without any quote.
_CELLS = re.compile(r'(?:(?:"(?:[^"]|"")*+"|[^",\r\n]*+)(?:,|\r\n?|\n|\Z))*+')
_NAMES = {ARROW_STREAM: "an Arrow stream", ARROW_FILE: "an Arrow file", PARQUET: "a Parquet file"}


class TableReader:
    """Reads tables that strangers sent; safe to call from several threads.

    The process for Arrow and Parquet is started with the first such body, and stays.

    Args:
        max_rows: rows of one table.
        max_decoded: bytes of one table when it is decoded.
    """

    def __init__(self, max_rows: int = MAX_ROWS, max_decoded: int = MAX_DECODED) -> None:
        self.max_rows, self.max_decoded = max_rows, max_decoded
        self._engine = LocalEngine()

    def read(self, media: Media, body: bytes, max_columns: int) -> pl.DataFrame:
        """The table in a body: plain columns with names of their own, texts alone if it is CSV.

        Raises:
            ServingError: damaged, or larger than the limits.
            SchemaError: columns that hold lists or the like, rows of another length, names that stand twice.
        """
        if not body:
            raise ServingError(ErrorCode.BAD_REQUEST, "the body is empty", wanted="a table")
        if media.essence == CSV:
            return _read_csv(body, media.parameters, self.max_rows, max_columns)
        return self._read_apart(media.essence, body, max_columns)

    def close(self) -> None:
        """End the process."""
        self._engine.close()

    def _read_apart(self, essence: str, body: bytes, max_columns: int) -> pl.DataFrame:
        job = self._engine.submit(
            _DECODE,
            {
                "name": _NAMES[essence],
                "body": body,
                "max_rows": self.max_rows,
                "max_bytes": self.max_decoded,
                "max_columns": max_columns,
            },
            Resources(cpus=1, memory=_CHILD_MEMORY + 2 * self.max_decoded),
            within=_SECONDS,
        )
        try:
            return pl.read_ipc_stream(io.BytesIO(job.result()))
        except WorkerError as error:
            if error.code is ErrorCode.OUT_OF_MEMORY:
                raise too_large(f"{_NAMES[essence]} that takes too much memory to read") from None
            if job.state is not State.KILLED and "signal" not in error.details:
                raise  # it could not be started, or an error of ours
        except Interrupted:
            raise too_large(f"{_NAMES[essence]} that takes more than {_SECONDS:g} s to read") from None
        raise unreadable(_NAMES[essence])


def write_table(frame: pl.DataFrame, essence: str) -> bytes:
    """A table as bytes of a content type."""
    out = io.BytesIO()
    if essence == CSV:
        frame.write_csv(out)
    elif essence == PARQUET:
        frame.write_parquet(out)
    elif essence == ARROW_STREAM:
        frame.write_ipc_stream(out, compat_level=pl.CompatLevel.oldest())
    else:
        frame.write_ipc(out, compat_level=pl.CompatLevel.oldest())
    return out.getvalue()


def _read_csv(body: bytes, parameters: Mapping[str, str], max_rows: int, max_columns: int) -> pl.DataFrame:
    if parameters.get("charset", "utf-8").lower() != "utf-8" or parameters.get("header", "present") != "present":
        raise ServingError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"the CSV has the parameters {printable(str(dict(parameters)), 80)}",
            wanted="UTF-8 with a line of column names",
        )
    try:
        text = body.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ServingError(ErrorCode.BAD_REQUEST, f"the CSV is not UTF-8 (byte {error.start})") from None
    if "\0" in text:
        raise ServingError(ErrorCode.BAD_REQUEST, "the CSV holds a NUL character")
    if '"' in text and _CELLS.fullmatch(text) is None:
        raise ServingError(
            ErrorCode.BAD_REQUEST,
            "a quote in the CSV neither encloses a cell nor is doubled in one that is enclosed",
            wanted='cells such as "a ""b"" c"',
        )
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = next(lines, [])
        check_names(names, max_columns)
        return _columns(lines, names, max_rows)
    except csv.Error as error:
        raise ServingError(
            ErrorCode.BAD_REQUEST, f"the CSV cannot be read at line {lines.line_num}: {printable(str(error), 80)}"
        ) from None


def _columns(lines: Any, names: list[str], max_rows: int) -> pl.DataFrame:
    """Lines of cells as columns of texts, block by block: Python's own objects would take several times the memory."""
    blocks: list[pl.DataFrame] = []
    num_rows = 0
    while block := list(islice(lines, _BLOCK_ROWS)):
        block = [cells for cells in block if cells]  # the reader gives [] for an empty line
        for position, cells in enumerate(block):
            if len(cells) != len(names):
                raise SchemaError(
                    ErrorCode.RAGGED_ROWS,
                    f"row {num_rows + position} (counted from 0) of the CSV has {len(cells)} cells",
                    wanted=f"{len(names)}, as its first line",
                    details={"row": num_rows + position},
                )
        num_rows += len(block)
        if num_rows > max_rows:
            raise too_large(f"CSV of more than {max_rows} rows")
        columns = zip(*block, strict=True) if block else [() for _ in names]
        blocks.append(
            pl.DataFrame([pl.Series(name, cells, dtype=pl.String) for name, cells in zip(names, columns, strict=True)])
        )
    return pl.concat(blocks) if blocks else pl.DataFrame(schema=dict.fromkeys(names, pl.String))
