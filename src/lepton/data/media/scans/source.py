"""Scans and videos as a table with a row a picture: every file is decoded once, into a temporary folder."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl

from lepton.core import ColumnRecord, DataError, Kind, printable
from lepton.data.convert import ColumnPlan, polars_type
from lepton.data.decisions import DecisionRecord
from lepton.data.formats.base import SAMPLE_ROWS, Chunk, ReadOptions, Source
from lepton.data.media.folder import Listing
from lepton.data.media.labels import LabelTable
from lepton.data.media.scans.options import FrameOptions
from lepton.data.media.scans.reader import FrameReader, ScanReader, fact
from lepton.data.media.scans.video import VideoReader
from lepton.data.references import References
from lepton.store.files import make_folder, scratch_folder

__all__ = ["OWN_FRAME_COLUMNS", "FrameSource", "open_frames"]

_PATH = ColumnRecord("path", Kind.IMAGE, "string")
_SIZES = (
    fact("width", Kind.NUMBER, "int64", "px"),
    fact("height", Kind.NUMBER, "int64", "px"),
    fact("format", Kind.CATEGORY, "string"),
    fact("bytes", Kind.NUMBER, "int64"),
)
_STEP = 65_536
_MOST_NAME = 200

OWN_FRAME_COLUMNS = frozenset({
    "path", "scan", "width", "height", "format", "bytes", "study", "study_id", "series_id", "modality", "volume",
    "slice", "position", "row_spacing", "column_spacing", "thickness", "window_center", "window_width", "burned_in",
    "video", "frame", "time",
})  # fmt: skip
"""Columns that tables of scans and videos have by themselves."""


def open_frames(listing: Listing, said: LabelTable, options: ReadOptions, how: FrameOptions) -> FrameSource:
    """Decode the files of a listing into pictures, which stay as long as the table.

    Args:
        listing: scans or videos.
        said: further columns, a row a file: labels.
        options: most bytes of all pictures; work.
        how: what the caller says of scans and videos.

    Raises:
        DataError: no file can be read, or the pictures take too much room.
        MissingExtraError: a library is not installed.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder(options.work.resources.scratch))
        reader: FrameReader
        if listing.word == "scans":
            reader = ScanReader(how, options.work)
        else:
            reader = stack.enter_context(VideoReader(how, options.work))
        run = _Run(listing, reader, folder, options)
        run.all()
        holder = _Holder()
        weakref.finalize(holder, stack.pop_all().close)
    return FrameSource(listing, run, said, holder)


class _Holder:
    """As long as this is there, the pictures are."""


class _Run:
    """One pass over the files."""

    def __init__(self, listing: Listing, reader: FrameReader, folder: Path, options: ReadOptions) -> None:
        self._listing, self.reader, self.folder, self._options = listing, reader, folder, options
        self._files = References(listing.root.absolute(), listing.odd)
        self._room = options.limits.size
        self._refused: list[tuple[str, DataError]] = []
        self.rows: list[Mapping[str, Any]] = []
        self.places: list[int] = []

    def all(self) -> None:
        """Write every picture."""
        paths = self._listing.paths
        for place, name in enumerate(paths):
            self._options.work.check()
            try:
                self._take(place, name)
            except DataError as error:
                if error.details.get("fault") == "no room":
                    raise
                self._refused.append((name, error))
            self._options.work.report(place + 1, len(paths), "files", note="decoding pictures")
        if not self.rows:
            raise self._nothing()

    def _take(self, place: int, name: str) -> None:
        stem = name if len(name.encode()) <= _MOST_NAME else f"{place:07}"
        start = self.folder / stem
        make_folder(start.parent)
        found = self.reader.pictures(self._files.path(name), name, start, self._room)
        for picture in found:
            self._room -= picture.facts["bytes"]
            self.rows.append({"path": stem + picture.suffix, **picture.facts})
        self.places += [place] * len(found)

    def _nothing(self) -> DataError:
        (name, first), *others = self._refused
        came = f"'{printable(name, 80)}' is {first.came}" if first.details.get("fault") else first.came
        if others:
            came = f"none of {len(self._refused):,} {self._listing.word} can be read; {came}"
        return DataError(first.code, came, wanted=first.wanted, fix=first.fix, details=dict(first.details))

    def decisions(self) -> Iterator[DecisionRecord]:
        """How pictures were made, and which files gave none."""
        yield from self.reader.decisions()
        why = f"{len(self.rows):,} pictures, in a temporary folder that stays as long as the table"
        yield DecisionRecord(None, "decoded", "once", why)
        reasons = Counter(error.came for _, error in self._refused)
        for reason, count in sorted(reasons.items()):
            name = next(name for name, error in self._refused if error.came == reason)
            yield DecisionRecord(None, "left out", reason, f"{count:,} files, such as '{printable(name, 60)}'")


class FrameSource(Source):
    """Pictures of scans or videos.

    Args:
        listing: what lies in the folder.
        run: that wrote the pictures.
        said: labels, a row a file.
        holder: keeps the pictures.
    """

    def __init__(self, listing: Listing, run: _Run, said: LabelTable, holder: object) -> None:
        own = (_PATH, *run.reader.records, *_SIZES)
        schema = {record.name: polars_type(record) for record in own}
        more = said.frame[run.places] if said.frame.width else said.frame
        self._frame = pl.DataFrame(run.rows, schema=schema).hstack(more)
        self._references = References(run.folder, holder=holder)
        self._name = listing.root.name
        self.records = (*own, *said.records)
        self.columns = dict(self._frame.schema)
        self.num_rows = self._frame.height
        self.files = () if listing.archive is None else (listing.archive,)
        self.decisions = (*listing.decisions, *run.decisions())

    def plans(self) -> tuple[ColumnPlan, ...]:
        """The columns, ready as they are."""
        return tuple(map(ColumnPlan, self.records))

    def references(self) -> References:
        """How a path becomes a picture."""
        return self._references

    def chunks(
        self, names: Sequence[str], direct: Mapping[str, pl.DataType] | None = None, markers: Sequence[str] = ()
    ) -> Iterator[Chunk]:
        """See `Source.chunks`."""
        chosen = self._frame.select(names)
        for start in range(0, self._frame.height, _STEP):
            yield Chunk(chosen.slice(start, _STEP), first_row=start + 1)

    def sample(self) -> pl.DataFrame:
        """See `Source.sample`."""
        return self._frame.head(SAMPLE_ROWS)

    def parents(self, *, files: bool = True) -> tuple[Mapping[str, Any], ...]:
        """A single file or an archive by its content; a folder by its name, for its files are not read again."""
        if self.files:
            return super().parents(files=files)
        return ({"name": self._name},) if files else ()
