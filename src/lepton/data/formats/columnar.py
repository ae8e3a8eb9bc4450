"""Parquet and Arrow files: columns with types, read in slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from lepton.core import DataError, ErrorCode, printable
from lepton.data.formats.base import SAMPLE_ROWS, Chunk, ReadOptions, Source, Usable, shown, usable_columns
from lepton.store.files import FileStamp, open_read, stamp

__all__ = ["ColumnarSource", "open_arrow", "open_parquet"]

_CHUNK_CELLS = 5_000_000


def open_parquet(files: tuple[Path, ...], options: ReadOptions) -> Source:
    """Open Parquet files of one schema as one table."""
    return _open(files, "Parquet", lambda path: pl.scan_parquet(path, glob=False))


def open_arrow(files: tuple[Path, ...], options: ReadOptions) -> Source:
    """Open Arrow IPC (Feather) files of one schema as one table."""
    return _open(files, "Arrow", _scan_arrow)


def _scan_arrow(path: Path) -> pl.LazyFrame:
    return pl.scan_ipc(path)


def _open(files: tuple[Path, ...], what: str, scan: Callable[[Path], pl.LazyFrame]) -> Source:
    stamps = tuple(map(stamp, files))
    schemas: list[Mapping[str, pl.DataType]] = []
    heights = []
    for path in files:
        open_read(path).close()
        with _blamed(path, what):
            lazy = scan(path)
            schemas.append(dict(lazy.collect_schema()))
            heights.append(int(lazy.select(pl.len()).collect().item()))
    for path, schema in zip(files, schemas, strict=True):
        _check_same(schemas[0], schema, shown(files[0]), shown(path))
    return ColumnarSource(files, stamps, what, scan, usable_columns(schemas[0], shown(files[0])), tuple(heights))


class ColumnarSource(Source):
    """Typed files of the same columns, one after the other."""

    def __init__(
        self,
        files: tuple[Path, ...],
        stamps: tuple[FileStamp, ...],
        what: str,
        scan: Callable[[Path], pl.LazyFrame],
        usable: Usable,
        heights: tuple[int, ...],
    ) -> None:
        self.files = files
        self.stamps = stamps
        self.what = what
        self.scan = scan
        self.columns = usable.columns
        self.decisions = usable.decisions
        self.usable = usable
        self.heights = heights
        self.num_rows = sum(heights)

    def chunks(
        self,
        names: Sequence[str],
        direct: Mapping[str, pl.DataType] | None = None,
        markers: Sequence[str] = (),
    ) -> Iterator[Chunk]:
        """See `Source.chunks`."""
        step = max(_CHUNK_CELLS // len(names), 10_000)
        for path, before, height in zip(self.files, self.stamps, self.heights, strict=True):
            before.check(path)
            for start in range(0, height, step):
                yield Chunk(self._slice(path, names, start, step), shown(path), start + 1)
                before.check(path)

    def sample(self) -> pl.DataFrame:
        """See `Source.sample`."""
        frames = []
        wanted = SAMPLE_ROWS
        for path, height in zip(self.files, self.heights, strict=True):
            frames.append(self._slice(path, list(self.columns), 0, min(wanted, height)))
            wanted -= frames[-1].height
            if wanted <= 0:
                break
        return pl.concat(frames)

    def _slice(self, path: Path, names: Sequence[str], start: int, length: int) -> pl.DataFrame:
        with _blamed(path, self.what):
            return self.scan(path).select(self.usable.select(names)).slice(start, length).collect()


class _blamed:  # noqa: N801 - reads as a phrase: with _blamed(path, ...)
    """Turn what Polars says about a damaged file, panics included, into a `DataError`."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        damage = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, MemoryError)
        if isinstance(error, damage) and not isinstance(error, DataError):
            said = printable(str(error).replace(str(self.path), shown(self.path)).split("\n")[0])
            raise DataError(
                ErrorCode.UNREADABLE,
                f"{shown(self.path)} cannot be read as {self.what}: {said}",
                fix="the file is damaged, or of another format: say which with format=",
            ) from None


def _check_same(
    first: Mapping[str, pl.DataType], schema: Mapping[str, pl.DataType], first_name: str, name: str
) -> None:
    for column in (*first, *schema):
        if column not in schema or column not in first:
            where, other = (name, first_name) if column not in schema else (first_name, name)
            came = f"{where} has no column '{printable(column)}', which {other} has"
        elif first[column] != schema[column]:
            came = f"column '{printable(column)}' is {schema[column]} in {name} and {first[column]} in {first_name}"
        else:
            continue
        raise DataError(ErrorCode.BAD_COLUMN_NAMES, came, wanted="files of the same columns")
    if list(first) != list(schema):
        raise DataError(
            ErrorCode.BAD_COLUMN_NAMES,
            f"{name} has the columns of {first_name} in another order",
            wanted="files of the same columns",
        )
