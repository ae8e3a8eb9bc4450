"""`read`: any table, from a file, several files or memory, as a lazy `Dataset`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from lepton.core import ErrorCode, Kind, Role, Schema, UsageError, Work, parse_size
from lepton.data.dataset import Dataset
from lepton.data.decisions import DecisionRecord
from lepton.data.detect import Wanted, detect
from lepton.data.formats import ReadOptions, Source
from lepton.data.formats.memory import open_memory
from lepton.data.formats.origins import is_place, open_place
from lepton.data.formats.saved import kinds_of, open_saved, plans_of, roles_of
from lepton.data.media import is_media_place, open_media
from lepton.data.media.scans import FrameOptions
from lepton.store.urls import FetchLimits

__all__ = ["read"]


def read(
    source: Any,
    *,
    kinds: Mapping[str, Kind | str] | None = None,
    roles: Mapping[str, Role | str] | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    missing: Sequence[str | float] | Mapping[str, Sequence[str | float]] | None = None,
    format: str | None = None,  # noqa: A002
    query: str | None = None,
    labels: Any = None,
    media: Mapping[str, Any] | None = None,
    allow_hosts: Sequence[str] = (),
    max_download: str | int | None = None,
    work: Work | None = None,
) -> Dataset:
    """Read a table. It is looked at now, on a bounded sample, and read when rows are asked for.

    What is not said is decided, and shown by `dataset.decisions` with the evidence and the argument that overrides
    it. A later row that breaks a decision is an error that names it, never a silent null.

    What comes from elsewhere is brought here once, whole or not at all, and kept in a temporary folder as long as the
    table: every pass then sees the same rows.

    A folder of images, sounds or texts, or a zip or tar of one, is a table with a row a file: its path, what its head
    says, its text, and as `label` the folder that it is in. Columns of kind `image` or `audio` of any table hold paths
    of files, or their bytes in base64. Scans (DICOM, NIfTI) and videos, single or in folders, have a row a picture, and
    nothing of a patient from their headers.

    A table that `Dataset.save` wrote as Parquet or as a folder has its columns from the manifest, and versions:
    `claims#2` is the second one of the folder `claims`.

    Args:
        source: a folder or archive of images, sounds, texts, scans or videos; a scan or video; a path, a glob or a
            list of paths (CSV or TSV, JSON Lines, a JSON array, each of them packed by gzip, zstd, bzip2 or xz too;
            Parquet, Arrow, a spreadsheet as `book.xlsx#Sheet`); the URL of such a file (`https://`, `s3://`, `gs://`, `abfs://`);
            `sql:sqlite:///shop.db` or `sql:postgresql://user@host/shop`; a Polars DataFrame or LazyFrame, a pandas
            DataFrame, an Arrow table, a numpy matrix or structured array, a dict of columns, a list of dicts, a
            Hugging Face dataset, or what scikit-learn's `load_...` give.
        kinds: column → `number`, `boolean`, `datetime` (or `datetime:%d/%m/%Y`), `category`, `text`, `identifier`,
            `image`, `audio`.
        roles: column → `feature`, `target`, `weight`, `group`, `time`, `protected`, `ignored`.
        delimiter: one character, for delimited text.
        encoding: a codec name such as `cp1252`, for text.
        header: whether the first row names the columns, for delimited text.
        missing: texts or numbers that mean "missing", for every column or by column; they replace the usual ones.
        format: `csv`, `jsonl`, `json`, `parquet`, `arrow`, `excel`, or the name of a plug-in reader; for a folder
            `images`, `sounds`, `texts`, `scans` or `videos`.
        query: what to ask a database; it may read only.
        labels: for a folder: a table that says more of the files, with their paths or names in one of its columns;
            it takes the place of the folders' names.
        media: of scans and videos: some of `window` (centre, width), `axis` (`axial`, `coronal`, `sagittal`), `rate`
            (frames a second), `most_frames`, `ids` (a key, for hashed ids of study and series).
        allow_hosts: `host:port` that may be fetched from although they are not public, such as `files.intranet:8080`.
        max_download: most bytes to bring or unpack here, such as `"20GB"`; default 4 GiB.
        work: stops a download, and hears of its progress.

    Raises:
        DataError: no such file, not a table, damaged, empty, ragged, too wide, or columns that are not there.
        UsageError: an argument that cannot be meant.
        SecurityError: an address that is not allowed.
        StoreError: what is elsewhere could not be fetched.
        MissingExtraError: an optional library is needed; the message names the command that installs it.
    """
    wanted = Wanted.of(kinds, roles, missing)
    options = ReadOptions(
        delimiter=delimiter,
        encoding=encoding,
        header=header,
        expected=tuple(wanted.kinds),
        query=query,
        limits=FetchLimits() if max_download is None else FetchLimits(size=parse_size(max_download, "max_download")),
        allow_hosts=_hosts(allow_hosts),
        work=Work.of(work),
    )
    saved, noted = open_saved(source, options)
    if saved is None and is_media_place(source, format):
        if any(option is not None for option in (delimiter, header, missing, query)):
            came = "got delimiter, header, missing or query for a folder or archive of files"
            raise UsageError(ErrorCode.USAGE, came, wanted="format=, encoding= or labels= alone")
        how = None if media is None else FrameOptions.of(media)
        files = open_media(source, options, format, None if labels is None else _labels(labels), how)
        return _as_wanted(Dataset(files, files.plans(), files.decisions, Wanted.of(None, None, None)), kinds, roles)
    if labels is not None or media is not None:
        given = "media" if labels is None else "labels"
        came = f"got {given} for a {type(source).__name__} that is no folder of files"
        raise UsageError(ErrorCode.USAGE, came, wanted="a folder of files, or a scan or video")
    if saved is not None and saved.version is not None:
        schema = saved.version.schema
        if not (kinds or missing or format):
            saved.typed = True
            return Dataset(saved, plans_of(schema.with_roles(roles or {})), [*saved.decisions, *noted], wanted)
        wanted = Wanted.of({**kinds_of(schema), **(kinds or {})}, {**roles_of(schema), **(roles or {})}, missing)
        opened, decisions = saved, list[DecisionRecord]()
    else:
        opened, decisions = _open(source, options, format)
    plans, about = detect(opened, wanted)
    return Dataset(opened, plans, [*decisions, *opened.decisions, *noted, *about], wanted)


def _labels(labels: Any) -> tuple[Schema, pl.DataFrame]:
    table = labels if isinstance(labels, Dataset) else read(labels)
    return table.schema, table.frame()


def _as_wanted(table: Dataset, kinds: Mapping[str, Any] | None, roles: Mapping[str, Any] | None) -> Dataset:
    table = table.with_kinds(kinds) if kinds else table
    return table.with_roles(roles) if roles else table


def _hosts(allowed: Sequence[str]) -> tuple[str, ...]:
    if isinstance(allowed, str):
        raise UsageError(ErrorCode.USAGE, f"got allow_hosts={allowed!r}", wanted="a list of 'host:port'")
    return tuple(allowed)


def _open(source: Any, options: ReadOptions, named: str | None) -> tuple[Source, list[DecisionRecord]]:
    if is_place(source):
        return open_place(source, options, named)
    of_files = (named, options.delimiter, options.encoding, options.header, options.query)
    if any(option is not None for option in of_files):
        raise UsageError(
            ErrorCode.USAGE,
            f"got format, delimiter, encoding, header or query for a {type(source).__name__}",
            wanted="a file, or a database",
        )
    return open_memory(source), []
