"""`FileSteps`: files changed one by one and written to a new folder, whole or not at all."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import polars as pl

from lepton.core import DataError, ErrorCode, Kind, UsageError, Work, printable
from lepton.data.dataset import Dataset
from lepton.data.media.changes import Crop, FileChange, Mono, NormaliseText, Resample, Resize, TrimSilence
from lepton.data.media.check import file_columns
from lepton.data.media.content import decoded, encoded, most_bytes
from lepton.data.media.folder import list_folder
from lepton.data.media.parallel import in_parallel
from lepton.data.media.signatures import FORMAT_WORDS
from lepton.data.media.source import OWN_COLUMNS
from lepton.data.references import References
from lepton.data.write import write_frame
from lepton.store import make_folder, new_folder, write_scratch

__all__ = ["Converted", "FileSteps"]

_STEP = 256
_FOLDER_WORDS = {kind: word for word, kind in reversed(FORMAT_WORDS.items())}
LABELS = "labels.csv"


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        path: the new folder.
        files: how many there are in it.
        dropped: path → why a file is not among them.
        labels: a table with the other columns of the rows, if the folders alone do not say them:
            `read(path, labels=labels)`.
    """

    path: Path
    files: int
    dropped: dict[str, str] = field(default_factory=dict)
    labels: Path | None = None


@dataclass(frozen=True)
class FileSteps:
    """Changes of files, one after the other; each call gives new steps, and `save` does them.

    >>> steps = FileSteps().resize(64, 64)
    >>> steps.save(table, "small")                                  # doctest: +SKIP

    Args:
        changes: in order; the methods add them.
    """

    changes: tuple[FileChange, ...] = ()

    def resize(
        self, width: int, height: int | None = None, how: Literal["crop", "fit", "stretch"] = "crop"
    ) -> FileSteps:
        """Images in another size, in pixels; see `Resize`.

        Args:
            width: wanted.
            height: wanted; by default the same as the width.
            how: `crop` fills the size and cuts what stands over, `fit` makes the whole fit in, `stretch` distorts.
        """
        return self._with(Resize(width, width if height is None else height, how))

    def crop(self, width: int, height: int | None = None) -> FileSteps:
        """The middle of images, so many pixels of it."""
        return self._with(Crop(width, width if height is None else height))

    def mono(self) -> FileSteps:
        """Sounds of one channel."""
        return self._with(Mono())

    def resample(self, rate: int) -> FileSteps:
        """Sounds of another rate, in samples a second."""
        return self._with(Resample(rate))

    def trim_silence(self, decibels: float = 40.0, keep: float = 0.05) -> FileSteps:
        """Sounds without the silence at both ends: what is `decibels` below the loudest; `keep` seconds of it stay."""
        return self._with(TrimSilence(decibels, keep))

    def normalise(self, *, lower: bool = False) -> FileSteps:
        """Texts in one form: NFC, line ends, spaces, no invisible characters; in lower case too, if asked."""
        return self._with(NormaliseText(lower))

    def _with(self, change: FileChange) -> FileSteps:
        if self.changes and self.changes[0].kind is not change.kind:
            came = f"got steps for {self.changes[0].kind} and for {change.kind} files"
            raise UsageError(ErrorCode.USAGE, came, wanted="steps for files of one kind")
        return FileSteps((*self.changes, change))

    def save(
        self,
        table: Dataset,
        path: str | Path,
        *,
        column: str | None = None,
        on_error: Literal["fail", "drop"] = "fail",
        work: Work | None = None,
    ) -> Converted:
        """Change every file and write it to a new folder, under the same name; metadata is not written.

        JPEG and PNG stay what they are, other images become PNG; WAV and FLAC stay, other sounds become FLAC, of 16
        bits; texts become UTF-8.

        Args:
            table: its rows name or hold the files.
            path: the folder to make, as a whole or not at all.
            column: of the files; by default the only one.
            on_error: `fail` stops at the first file that cannot be changed; `drop` leaves such files out.
            work: stops it, and hears of its progress.

        Raises:
            DataError: a file that cannot be read or changed; or the folder is there.
            UsageError: there is no column of files of the kind that the steps are for.
            StoreError: the disk is full or failed.
        """
        if on_error not in ("fail", "drop"):
            raise UsageError(ErrorCode.USAGE, f"got on_error={on_error!r}", wanted="fail or drop")
        name, kind = self._column(table, column)
        with new_folder(path) as folder:
            run = _Run(self.changes, table, name, kind, folder, on_error == "drop")
            run.all(Work.of(work))
            rows = run.labels()
            if rows is not None:
                write_frame(rows, folder / LABELS)
        return Converted(Path(path), len(run.names), run.dropped, None if rows is None else Path(path) / LABELS)

    def _column(self, table: Dataset, column: str | None) -> tuple[str, Kind]:
        columns = file_columns(table)
        kinds = {change.kind for change in self.changes} or set(columns.values())
        fitting = [name for name, kind in columns.items() if kind in kinds and column in (None, name)]
        if len(fitting) != 1:
            had = ", ".join(f"{name!r} of {kind} files" for name, kind in columns.items()) or "none"
            came = f"got a table whose columns of files are {had}"
            wanted = "one column of " + " or ".join(sorted(kinds)) + " files" if kinds else "a column of files"
            fix = "name it: column=..." if len(fitting) > 1 else "kinds={'COLUMN': 'image'} for paths in a table"
            raise UsageError(ErrorCode.USAGE, came, wanted=wanted, fix=fix)
        return fitting[0], columns[fitting[0]]


class _Run:
    """One pass over the files."""

    def __init__(
        self, changes: Sequence[FileChange], table: Dataset, column: str, kind: Kind, folder: Path, drops: bool
    ) -> None:
        self._changes, self._table, self._column, self._kind = changes, table, column, kind
        self._folder, self._drops = folder, drops
        self._references = table.references
        self._rows: list[pl.DataFrame] = []
        self._others = [n for n in table.schema.names if n != column and n not in OWN_COLUMNS]
        self._taken: set[str] = set()
        self.names: list[str] = []
        self.dropped: dict[str, str] = {}

    def all(self, work: Work) -> None:
        """Change and write every file."""
        done = 0
        for frame in self._table.batches(_STEP, [self._column, *self._others]):
            work.check()
            found = in_parallel(self._changed, frame[self._column].to_list(), work)
            kept = [isinstance(each, tuple) for each in found]
            for number, (cell, each) in enumerate(zip(frame[self._column], found, strict=True), done + 1):
                if isinstance(each, DataError):
                    self._drop(cell, number, each)
                else:
                    self._write(self._name(cell, number, each[1]), each[0])
            if self._others:
                self._rows.append(frame.select(self._others).filter(pl.Series(kept, dtype=pl.Boolean)))
            done += frame.height
            work.report(done, self._table.num_rows, "files", note="changing")

    def labels(self) -> pl.DataFrame | None:
        """The other columns with the new names, where the folders alone do not say them."""
        if not self._rows:
            return None
        rows = pl.concat(self._rows)
        listing = list_folder(self._folder, _FOLDER_WORDS[self._kind]) if self.names else None
        if listing is not None and set(rows.columns) <= {"label", "split"}:
            places = {path: place for place, path in enumerate(listing.paths)}
            order = [places.get(unicodedata.normalize("NFC", name), -1) for name in self.names]
            told: dict[str, Sequence[str | None]] = {"label": listing.labels, "split": listing.splits}
            if all(told[column.name] and [told[column.name][n] for n in order] == column.to_list() for column in rows):
                return None
        return rows.insert_column(0, pl.Series("file", self.names, dtype=pl.String))

    def _changed(self, cell: str | None) -> tuple[bytes, str] | DataError:
        """The bytes and the ending of the new file, or why there is none."""
        if cell is None:
            return DataError(ErrorCode.BAD_VALUE, "missing: the cell is empty")
        try:
            data = self._references.read(cell, most_bytes(self._kind))
            content = decoded(data, self._kind, cell, self._references.encoding)
            for change in self._changes:
                content = change.apply(content)
            return encoded(content, self._kind, data)
        except DataError as error:
            return error

    def _name(self, cell: str, number: int, ending: str) -> str:
        """The path of the new file: as before, with the ending of its format; by the row's number for mere bytes."""
        place = _place(cell, self._references) or PurePosixPath(f"{number:07}")
        name = str(place.with_suffix(ending)) if ending and place.suffix else str(place) + ending
        if name in self._taken:
            name = str(place.with_name(f"{place.name}-{number}")) + ending
        self._taken.add(name)
        return name

    def _write(self, name: str, data: bytes) -> None:
        make_folder((self._folder / name).parent)
        write_scratch(self._folder / name, [data])
        self.names.append(name)

    def _drop(self, cell: str | None, number: int, error: DataError) -> None:
        shown = printable(cell, 80) if cell and len(cell) <= 1_024 else f"row {number:,}"
        if not self._drops:
            said = f"'{shown}': {error.came}"
            fix = error.fix or "leave such files out: on_error='drop', or --on-error drop"
            raise DataError(error.code, said, wanted=error.wanted, fix=fix)
        self.dropped[shown] = error.came


def _place(cell: str, references: References) -> PurePosixPath | None:
    """The path below the folder that a cell names; None where it holds the bytes."""
    try:
        found = references.path(cell)
    except DataError:
        return None
    if references.root is None or not found.is_file():
        return None
    if cell in references.odd:
        return PurePosixPath(cell)
    return PurePosixPath(found.relative_to(references.root.resolve()).as_posix())
