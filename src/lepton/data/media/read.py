"""From what `read` was given to a source of files: a folder, an archive of one, or a single scan or video."""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from pathlib import Path

import polars as pl

from lepton.core import ColumnRecord, ErrorCode, Kind, Role, Schema, UsageError, printable
from lepton.data.decisions import DecisionRecord
from lepton.data.formats.base import ReadOptions
from lepton.data.media.folder import Listing, list_folder, list_frames
from lepton.data.media.labels import LabelTable, labels_for
from lepton.data.media.scans import OWN_FRAME_COLUMNS, FrameOptions, FrameSource, open_frames
from lepton.data.media.signatures import FRAME_WORDS
from lepton.data.media.source import OWN_COLUMNS, MediaSource
from lepton.store.archives import ARCHIVE_NAME, unpack_archive
from lepton.store.files import scratch_folder

__all__ = ["is_media_place", "open_media"]


def is_media_place(source: object, named: str | None = None) -> bool:
    """Whether `source` is an archive, a scan or video, or a folder that is no saved table; those are looked for first.

    Args:
        source: what `read` was given.
        named: the format that the caller says.
    """
    if not isinstance(source, str | Path) or not str(source) or "\0" in str(source) or "://" in str(source):
        return False
    path = Path(source)
    if path.is_dir():
        return not _is_foreign_table(path)
    if not path.is_file():
        return False
    return ARCHIVE_NAME.match(path.name) is not None or list_frames(path, named) is not None


def open_media(
    source: str | Path,
    options: ReadOptions,
    named: str | None,
    labels: tuple[Schema, pl.DataFrame] | None,
    media: FrameOptions | None = None,
) -> MediaSource | FrameSource:
    """Open a folder of images, sounds, texts, scans or videos, an archive of one, or a single scan or video.

    An archive is unpacked once, into a temporary folder that stays as long as the table; so are the pictures of scans
    and videos.

    Args:
        source: the folder, archive or file.
        options: encoding of texts; most bytes; work.
        named: a key of `FORMAT_WORDS`, if the caller says so.
        labels: schema and rows of a table that names the files, in place of the names of folders.
        media: what the caller says of scans and videos, if anything.

    Raises:
        DataError: no such files, labels that do not fit them, or an archive that is not safe to unpack.
        UsageError: `named` is another format, or `media` is said of other files.
        MissingExtraError: a library for such files is not installed.
    """
    path = Path(source)
    listing = list_folder(path, named) if path.is_dir() else _of_file(path, options, named)
    frames = listing.word in FRAME_WORDS
    if media is not None and not frames:
        raise UsageError(ErrorCode.USAGE, f"got media= for {listing.word}", wanted="scans or videos")
    taken = OWN_FRAME_COLUMNS if frames else OWN_COLUMNS
    said = _from_folders(listing) if labels is None else labels_for(listing.paths, *labels, taken)
    if labels is not None:
        listing.decisions = [each for each in listing.decisions if each.column is None]
    listing.decisions += said.decisions
    if frames:
        return open_frames(listing, said, options, media or FrameOptions())
    return MediaSource(listing, said.frame, said.records, options)


def _of_file(path: Path, options: ReadOptions, named: str | None) -> Listing:
    single = None if ARCHIVE_NAME.match(path.name) else list_frames(path, named)
    return single or _of_archive(path, options, named)


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
