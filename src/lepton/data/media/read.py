"""From what `read` was given to a source of files: a folder, or an archive of one."""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from pathlib import Path

import polars as pl

from lepton.core import ColumnRecord, Kind, Role, Schema, printable
from lepton.data.decisions import DecisionRecord
from lepton.data.formats.base import ReadOptions
from lepton.data.media.folder import Listing, list_folder
from lepton.data.media.labels import LabelTable, labels_for
from lepton.data.media.source import OWN_COLUMNS, MediaSource
from lepton.store.archives import ARCHIVE_NAME, unpack_archive
from lepton.store.files import scratch_folder

__all__ = ["is_media_place", "open_media"]


def is_media_place(source: object) -> bool:
    """Whether `source` is an archive, or a folder that is no saved table; those are looked for first."""
    if not isinstance(source, str | Path) or not str(source) or "\0" in str(source) or "://" in str(source):
        return False
    path = Path(source)
    if path.is_dir():
        return not _is_foreign_table(path)
    return ARCHIVE_NAME.match(path.name) is not None and path.is_file()


def open_media(
    source: str | Path, options: ReadOptions, named: str | None, labels: tuple[Schema, pl.DataFrame] | None
) -> MediaSource:
    """Open a folder of images, sounds or texts, or an archive of one.

    An archive is unpacked once, into a temporary folder that stays as long as the table.

    Args:
        source: the folder or archive.
        options: encoding of texts; work.
        named: `images`, `sounds` or `texts`, if the caller says so.
        labels: schema and rows of a table that names the files, in place of the names of folders.

    Raises:
        DataError: no such files, labels that do not fit them, or an archive that is not safe to unpack.
        UsageError: `named` is another format.
        MissingExtraError: Pillow or soundfile is not installed.
    """
    path = Path(source)
    listing = list_folder(path, named) if path.is_dir() else _of_archive(path, options, named)
    said = _from_folders(listing) if labels is None else labels_for(listing.paths, *labels, OWN_COLUMNS)
    if labels is not None:
        listing.decisions = [each for each in listing.decisions if each.column is None]
    listing.decisions += said.decisions
    return MediaSource(listing, said.frame, said.records, options)


def _of_archive(path: Path, options: ReadOptions, named: str | None) -> Listing:
    """What lies in an archive, unpacked where its listing keeps it."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder(options.work.resources.scratch))
        made = unpack_archive(path, folder, options.limits.size, options.work)
        listing = list_folder(folder, named, printable(path.name))
        why = f"{made.files:,} files, {made.size:,} bytes, in a temporary folder that stays as long as the table"
        why += f"; {made.left_out:,} links and the like were left out" if made.left_out else ""
        listing.decisions.insert(0, DecisionRecord(None, "unpacked", "once", why))
        listing.archive = path
        listing.holder = _Holder()
        weakref.finalize(listing.holder, stack.pop_all().close)
        return listing


class _Holder:
    """As long as this is there, an unpacked archive is."""


def _from_folders(listing: Listing) -> LabelTable:
    columns: list[pl.Series] = []
    records: list[ColumnRecord] = []
    if listing.splits:
        columns.append(pl.Series("split", listing.splits, dtype=pl.String))
        records.append(ColumnRecord("split", Kind.CATEGORY, "string", role=Role.IGNORED))
    if listing.labels:
        columns.append(pl.Series("label", listing.labels, dtype=pl.String))
        records.append(ColumnRecord("label", Kind.CATEGORY, "string", role=Role.TARGET))
    return LabelTable(pl.DataFrame(columns), tuple(records), ())


def _is_foreign_table(folder: Path) -> bool:
    """Delta and Iceberg tables, which are refused elsewhere with the way to read them."""
    return (folder / "_delta_log").is_dir() or any(folder.glob("metadata/*.metadata.json"))
