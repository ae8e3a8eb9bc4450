"""Saving: one Parquet file with its manifest beside it, or a folder to which rows can be appended."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from lepton.core import DataError, ErrorCode, Schema, Work, printable
from lepton.data.versions.fitting import fitting_frames
from lepton.data.versions.folder import beside, is_table_folder, manifest_path, read_beside, read_version, sweep
from lepton.data.versions.manifest import PartRecord, TableVersion
from lepton.data.versions.write import PART_CELLS, now, write_part
from lepton.data.write import write_rows
from lepton.store import locked, make_folder, publish, write_bytes

if TYPE_CHECKING:
    from lepton.data.dataset import Dataset

__all__ = ["Rows", "is_empty_but_ours", "part_name", "published", "save_file", "save_folder", "save_table"]

_FRAME_ROWS = 262_144


@dataclass(frozen=True)
class Rows:
    """What is to be saved.

    Attributes:
        schema: the columns.
        frames: the rows, typed as `schema` says; read once.
        recipe: the fitted recipe that made them, as plain data.
        parents: what they were made from, for the manifest.
    """

    schema: Schema
    frames: Iterator[pl.DataFrame]
    recipe: Mapping[str, Any] | None = None
    parents: tuple[Mapping[str, Any], ...] = ()


def save_table(table: Dataset, path: Path, *, append: bool, work: Work) -> Path:
    """Write a table as what its path says; see `Dataset.save`."""
    in_folder = append or path.is_dir() or not path.suffix
    if not in_folder and path.suffix != ".parquet":
        return write_rows(table.lazy(), path)
    schema = read_version(path).schema if append else table.schema
    frames = fitting_frames(table, schema, _FRAME_ROWS) if append else table.batches(_FRAME_ROWS)
    lineage = table.lineage
    rows = Rows(schema, frames, None if lineage is None else lineage.recipe.to_dict(), table.parents())
    if in_folder:
        save_folder(rows, path, work, append=append)
    else:
        save_file(rows, path, work)
    return path


def save_file(rows: Rows, path: Path, work: Work) -> TableVersion:
    """Write rows as the Parquet file `path`, whole or not at all, and then the manifest beside it."""
    earlier = read_beside(path)[0] if path.is_file() else None
    part = write_part(rows.frames, rows.schema, path, "", work)
    number = 1 if earlier is None else earlier.number + 1
    records = () if earlier is None else earlier.records
    version = TableVersion(
        number, "saved", now(), rows.schema, (part,), rows.recipe, rows.parents, records, oldest=number
    )
    write_bytes(beside(path), version.to_bytes())
    return version


def save_folder(rows: Rows, folder: Path, work: Work, *, append: bool = False) -> TableVersion:
    """Write rows as a new version of the table in `folder`: alone, or behind those of the newest version.

    Earlier versions stay as they are, and nothing of them is copied.

    Raises:
        DataError: the folder holds something else than a table, or there is no table to append to.
    """
    if not append:
        if folder.is_dir() and not is_empty_but_ours(folder) and not is_table_folder(folder):
            raise DataError(
                ErrorCode.NOT_A_FILE,
                f"the folder {printable(folder.name)} holds other files than a saved table",
                wanted="a new or an empty folder, or one that table.save made",
                fix="name another folder",
            )
        make_folder(folder)
    with locked(folder, work):
        sweep(folder)
        before = read_version(folder) if append or is_table_folder(folder) else None
        number = 1 if before is None else before.number + 1
        kept = before.parts if before is not None and append else ()
        place = kept[-1].file.partition("/")[0] if kept else f"rows-{number:06}"
        made = _written(rows, folder, place, len(kept), work)
        if before is not None and append and not sum(part.num_rows for part in made):
            sweep(folder)  # no rows, no version
            return before
        version = TableVersion(
            number,
            "appended" if append else "saved",
            now(),
            rows.schema,
            (*kept, *made),
            before.recipe if before is not None and append else rows.recipe,
            _joined(before.parents if before is not None and append else (), rows.parents),
            () if before is None else before.records,
            1 if before is None else before.oldest,
        )
        published(folder, version)
        return version


def _written(rows: Rows, folder: Path, place: str, before: int, work: Work) -> list[PartRecord]:
    """Write the rows as parts that no manifest names yet: at least one, and all of them or none."""
    make_folder(folder / place)
    max_rows = max(PART_CELLS // len(rows.schema), 1)
    parts: list[PartRecord] = []
    try:
        for number in itertools.count(before + 1):
            first = next(rows.frames, None)
            if first is None and parts:
                return parts
            left = rows.frames if first is None else itertools.chain([first], rows.frames)
            name = part_name(place, number)
            parts.append(write_part(left, rows.schema, folder / name, name, work, max_rows=max_rows))
            work.report(sum(part.num_rows for part in parts), unit="rows", note="written")
    except BaseException:
        for part in parts:
            (folder / part.file).unlink()
        with suppress(OSError):  # it may hold the parts of an earlier version
            (folder / place).rmdir()
        raise
    return parts


def published(folder: Path, version: TableVersion) -> None:
    """Make a version be there; `BAD_VERSION` if another writer made one of that number, where locks do not hold."""
    if not publish(manifest_path(folder, version.number), version.to_bytes()):
        raise DataError(
            ErrorCode.BAD_VERSION,
            f"another writer made version {version.number} of {printable(folder.name)} meanwhile",
            fix="do it again",
        )


def part_name(place: str, number: int) -> str:
    """A new name of a part in the folder `place` of a table."""
    return f"{place}/part-{number:06}-{secrets.token_hex(4)}.parquet"


def is_empty_but_ours(folder: Path) -> bool:
    """Whether a folder holds nothing but what a writer leaves that was killed before its first version was there."""
    return all(path.name.startswith((".lepton-part-", "rows-")) for path in folder.iterdir())


def _joined(
    before: tuple[Mapping[str, Any], ...], more: tuple[Mapping[str, Any], ...]
) -> tuple[Mapping[str, Any], ...]:
    return (*before, *(parent for parent in more if parent not in before))
