"""Labels of files from a table: which row speaks of which file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import polars as pl

from lepton.core import ColumnRecord, DataError, ErrorCode, Role, Schema, printable
from lepton.data.convert import polars_type
from lepton.data.decisions import DecisionRecord

__all__ = ["LabelTable", "labels_for"]

_NAMES = frozenset(
    ["path", "file", "filename", "file_name", "name", "image", "audio", "sound", "clip", "text_file", "id"]
)


@dataclass(frozen=True)
class LabelTable:
    """Columns that a table says of files.

    Attributes:
        frame: a row a file; null where the table says nothing.
        records: of the columns; one that is alone, or is called `label`, is the target.
        decisions: how rows and files were put together.
    """

    frame: pl.DataFrame
    records: tuple[ColumnRecord, ...]
    decisions: tuple[DecisionRecord, ...]


def labels_for(paths: Sequence[str], schema: Schema, frame: pl.DataFrame, taken: frozenset[str]) -> LabelTable:
    """The rows of a table of labels, in the order of the files.

    A row names its file by the path below the folder, by the file's name, or by that name without its ending, if no
    other file has the same.

    Args:
        paths: of the files.
        schema: of the table.
        frame: its rows.
        taken: names that the columns of the files have already.

    Raises:
        DataError: no column names the files, a file stands in two rows, or a column is called as one of the files'.
    """
    known = _by_spelling(paths)
    column, places = _matching_column(schema, frame, known)
    others = [record for record in schema if record.name != column]
    if not others:
        raise DataError(
            ErrorCode.EMPTY_DATA, f"the labels have only the column {column!r}", wanted="a column of labels"
        )
    for record in others:
        if record.name in taken:
            came = f"the labels have a column {record.name!r}, as the files have already"
            raise DataError(ErrorCode.BAD_COLUMN_NAMES, came, fix="rename it in the labels")
    found = places.drop_nulls()
    if found.n_unique() < len(found):
        place = next(place for place, count in Counter(found).items() if count > 1)
        came = f"the file '{printable(paths[place], 80)}' stands in several rows of the labels"
        raise DataError(ErrorCode.BAD_VALUE, came, wanted="one row a file", fix="leave one of them out")
    rows = frame.select([record.name for record in others]).filter(places.is_not_null())
    keyed = rows.with_columns(found.alias("\0place"))
    joined = pl.DataFrame({"\0place": pl.int_range(len(paths), eager=True)}).join(
        keyed, on="\0place", how="left", maintain_order="left"
    )
    target = "label" if any(record.name == "label" for record in others) else others[0].name if len(others) == 1 else ""
    records = tuple(replace(r, role=Role.TARGET) if r.name == target else r for r in others)
    why = f"{len(found):,} of {len(paths):,} files have a row; {len(places) - len(found):,} rows name no file"
    decisions = (DecisionRecord(None, "labels", f"by the column {column!r}", why, "labels="),)
    frame = joined.select([pl.col(r.name).cast(polars_type(r)) for r in records])
    return LabelTable(frame, records, decisions)


def _by_spelling(paths: Sequence[str]) -> tuple[Mapping[str, int], Mapping[str, int], Mapping[str, int]]:
    """Place of each file by its path, by its name and by its name without the ending, where that is clear."""
    names = [PurePosixPath(path) for path in paths]
    full = {path: place for place, path in enumerate(paths)}
    return full, _unique([path.name for path in names]), _unique([path.stem for path in names])


def _unique(keys: Sequence[str]) -> dict[str, int]:
    counts = Counter(keys)
    return {key: place for place, key in enumerate(keys) if counts[key] == 1}


def _matching_column(schema: Schema, frame: pl.DataFrame, known: Sequence[Mapping[str, int]]) -> tuple[str, pl.Series]:
    """The column that names most files, those with a telling name first; and the place of each row's file, or null."""
    best: tuple[int, bool, str, pl.Series] | None = None
    for record in schema:
        if record.dtype not in ("string", "int64"):
            continue
        cells = frame[record.name].cast(pl.String).str.replace_all("\\", "/", literal=True)
        cells = cells.str.strip_prefix("./")
        for spelling in known:
            places = cells.replace_strict(spelling, default=None, return_dtype=pl.Int64)
            candidate = (len(places) - places.null_count(), record.name.casefold() in _NAMES, record.name, places)
            if candidate[0] and (best is None or candidate[:2] > best[:2]):
                best = candidate
    if best is None:
        example = next(iter(known[0]))
        raise DataError(
            ErrorCode.UNKNOWN_COLUMN,
            "no column of the labels names the files",
            wanted=f"a column of paths or names, such as '{printable(example, 80)}'",
        )
    return best[2], best[3]
