"""Writing a saved table again without some of its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from lepton.core import ErrorCode, Schema, UsageError, Work, printable
from lepton.data.convert import polars_type
from lepton.data.dataset import Dataset
from lepton.data.detect import Wanted
from lepton.data.formats import ReadOptions
from lepton.data.formats.columnar import open_parquet
from lepton.data.formats.saved import plans_of
from lepton.data.versions.folder import beside, numbers_of, read_beside, read_version, sweep
from lepton.data.versions.manifest import PartRecord, TableVersion
from lepton.data.versions.save import part_name, published
from lepton.data.versions.write import now, write_part
from lepton.store import make_folder, write_bytes

__all__ = ["count_rows", "rewrite_file", "rewrite_folder"]

_FRAME_ROWS = 262_144


def count_rows(table: Dataset, fits: pl.Expr, work: Work) -> int:
    """How many rows fit."""
    count = 0
    for frame in table.batches(_FRAME_ROWS):
        work.check()
        count += frame.filter(fits).height
    return count


def _kept(table: Dataset, fits: pl.Expr) -> Iterator[pl.DataFrame]:
    """The rows that do not fit; one for which the condition is missing stays."""
    for frame in table.batches(_FRAME_ROWS):
        if (kept := frame.filter(~fits.fill_null(False))).height:
            yield kept


def rewrite_file(path: Path, table: Dataset, fits: pl.Expr, record: Mapping[str, Any], work: Work) -> tuple[int, int]:
    """Replace a file by one without the rows, and its manifest.

    Args:
        path: a Parquet file.
        table: its rows.
        fits: the condition of those that go.
        record: what is noted of this.
        work: stops it; the file is then as it was.

    Returns:
        How many rows went, and how many versions.
    """
    rows = count_rows(table, fits, work)
    if not rows:
        return 0, 0
    _check_rewritable(path, table)
    before = read_beside(path)[0]
    records = () if before is None else before.records
    if before is not None:  # that rows are about to go stands there even if what follows is cut short
        begun = replace(before, records=(*records, {**record, "rows": rows, "state": "begun"}))
        write_bytes(beside(path), begun.to_bytes())
    part = write_part(_kept(table, fits), table.schema, path, "", work)
    done = (*records, {**record, "rows": rows, "state": "done"})
    number = 1 if before is None else before.number + 1
    recipe, parents = (None, ()) if table.version is None else (table.version.recipe, table.version.parents)
    version = TableVersion(number, "forgot", now(), table.schema, (part,), recipe, parents, done, oldest=number)
    write_bytes(beside(path), version.to_bytes())
    return rows, 0


def rewrite_folder(folder: Path, fits: pl.Expr, record: Mapping[str, Any], work: Work) -> tuple[int, int]:
    """Publish a version without the rows, and remove all others; parts that hold none of them stay as they are.

    Returns:
        How many rows of the newest version went, and how many versions.
    """
    sweep(folder)
    numbers = numbers_of(folder)
    before = read_version(folder)
    held = [count_rows(_part(folder, part, before.schema), fits, work) for part in before.parts]
    if not any(held) and not _held_earlier(folder, before, numbers, fits, work):
        return 0, 0
    number = before.number + 1
    place = f"rows-{number:06}"
    make_folder(folder / place)
    parts: list[PartRecord] = []
    for at, (part, rows) in enumerate(zip(before.parts, held, strict=True), 1):
        if not rows:
            parts.append(part)
        elif rows < part.num_rows:
            name = part_name(place, at)
            kept = _kept(_part(folder, part, before.schema), fits)
            parts.append(write_part(kept, before.schema, folder / name, name, work))
        work.report(at, len(held), "parts", note="rewritten")
    if not parts:
        name = part_name(place, 1)
        parts.append(write_part(iter(()), before.schema, folder / name, name, work))
    records = (*before.records, {**record, "rows": sum(held), "state": "done"})
    made = replace(before, number=number, operation="forgot", created=now(), oldest=number)
    published(folder, replace(made, parts=tuple(parts), records=records))
    sweep(folder)
    return sum(held), len(numbers)


def _held_earlier(folder: Path, newest: TableVersion, numbers: list[int], fits: pl.Expr, work: Work) -> bool:
    """Whether a version before the newest one has rows that fit, in parts of its own."""
    looked_at = {part.file for part in newest.parts}
    for number in numbers[:-1]:
        version = read_version(folder, number)
        for part in version.parts:
            if part.file in looked_at:
                continue
            looked_at.add(part.file)
            try:
                if count_rows(_part(folder, part, version.schema), fits, work):
                    return True
            except pl.exceptions.PolarsError:  # it has not the columns of the condition
                continue
    return False


def _part(folder: Path, part: PartRecord, schema: Schema) -> Dataset:
    """The rows of one part."""
    source = open_parquet((folder / part.file,), ReadOptions())
    source.typed = True
    return Dataset(source, plans_of(schema), (), Wanted.of(None, None, None))


def _check_rewritable(path: Path, table: Dataset) -> None:
    """Refuse a file whose columns would not be written back as they are."""
    kept = {column.name: polars_type(column) for column in table.schema}
    if dict(pl.read_parquet_schema(path)) != kept:
        raise UsageError(
            ErrorCode.USAGE,
            f"{printable(path.name)} holds columns of types that Lepton does not write",
            wanted="a table that table.save wrote",
            fix="lepton.read(...).save('table.parquet') under another name, and delete this file",
        )
