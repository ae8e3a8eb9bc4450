"""From what `read` was given to a source of files: a folder, or an archive of one."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from lepton.core import ColumnRecord, Kind, Role, Schema
from lepton.data.formats.base import ReadOptions
from lepton.data.media.folder import Listing, list_folder
from lepton.data.media.labels import LabelTable, labels_for
from lepton.data.media.source import PATH, TEXT, MediaSource

__all__ = ["is_media_place", "open_media"]

_OWN = frozenset({PATH, TEXT, "width", "height", "mode", "format", "animated", "seconds", "rate", "channels", "bytes"})


def is_media_place(source: object) -> bool:
    """Whether `source` is a folder that is no saved table; those are looked for first."""
    if not isinstance(source, str | Path) or not str(source) or "\0" in str(source) or "://" in str(source):
        return False
    path = Path(source)
    return path.is_dir() and not _is_foreign_table(path)


def open_media(
    source: str | Path, options: ReadOptions, named: str | None, labels: tuple[Schema, pl.DataFrame] | None
) -> MediaSource:
    """Open a folder of images, sounds or texts.

    Args:
        source: the folder.
        options: encoding of texts; work.
        named: `images`, `sounds` or `texts`, if the caller says so.
        labels: schema and rows of a table that names the files, in place of the names of folders.

    Raises:
        DataError: no such files, or labels that do not fit them.
        UsageError: `named` is another format.
        MissingExtraError: Pillow or soundfile is not installed.
    """
    listing = list_folder(Path(source), named)
    said = _from_folders(listing) if labels is None else labels_for(listing.paths, *labels, _OWN)
    if labels is not None:
        listing.decisions = [each for each in listing.decisions if each.column is None]
    listing.decisions += said.decisions
    return MediaSource(listing, said.frame, said.records, options)


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
