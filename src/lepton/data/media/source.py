"""A folder of files as a table with a row a file: facts at once, texts when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple
from functools import cached_property
from typing import Any, BinaryIO

import polars as pl

from lepton.core import ColumnRecord, DataError, Kind, Role
from lepton.data.convert import ColumnPlan, polars_type
from lepton.data.formats.base import SAMPLE_ROWS, Chunk, ReadOptions, Source
from lepton.data.media.folder import Listing
from lepton.data.media.images import ImageFacts, image_facts, pillow
from lepton.data.media.parallel import in_parallel
from lepton.data.media.sounds import SoundFacts, sound_facts, soundfile
from lepton.data.media.texts import MAX_TEXT, decode_text
from lepton.data.references import MAX_FILE, References
from lepton.store.files import open_read

__all__ = ["OWN_COLUMNS", "PATH", "TEXT", "MediaSource"]

PATH = "path"
TEXT = "text"
_STEP = 4_096
_TEXT_STEP = 256
_TEXT_SAMPLE = 1_000

_FACTS: Mapping[Kind, tuple[ColumnRecord, ...]] = {
    Kind.IMAGE: (
        ColumnRecord("width", Kind.NUMBER, "int64", unit="px", role=Role.IGNORED),
        ColumnRecord("height", Kind.NUMBER, "int64", unit="px", role=Role.IGNORED),
        ColumnRecord("mode", Kind.CATEGORY, "string", role=Role.IGNORED),
        ColumnRecord("format", Kind.CATEGORY, "string", role=Role.IGNORED),
        ColumnRecord("animated", Kind.BOOLEAN, "bool", role=Role.IGNORED),
    ),
    Kind.AUDIO: (
        ColumnRecord("seconds", Kind.NUMBER, "float64", unit="s", role=Role.IGNORED),
        ColumnRecord("rate", Kind.NUMBER, "int64", unit="Hz", role=Role.IGNORED),
        ColumnRecord("channels", Kind.NUMBER, "int64", role=Role.IGNORED),
        ColumnRecord("format", Kind.CATEGORY, "string", role=Role.IGNORED),
    ),
    Kind.TEXT: (),
}
_BYTES = ColumnRecord("bytes", Kind.NUMBER, "int64", role=Role.IGNORED)
OWN_COLUMNS = frozenset({PATH, TEXT, _BYTES.name, *(record.name for facts in _FACTS.values() for record in facts)})
"""Columns that tables of files have by themselves."""

_READERS: Mapping[Kind, Callable[[BinaryIO], ImageFacts | SoundFacts]] = {
    Kind.IMAGE: image_facts,
    Kind.AUDIO: sound_facts,
}


class MediaSource(Source):
    """The files of a listing.

    Args:
        listing: what lies in the folder.
        more: further columns, a row a file: labels.
        records: of those columns.
        options: encoding of texts; work.
    """

    def __init__(
        self, listing: Listing, more: pl.DataFrame, records: Sequence[ColumnRecord], options: ReadOptions
    ) -> None:
        {Kind.IMAGE: pillow, Kind.AUDIO: soundfile}.get(listing.kind, lambda: None)()
        self.kind = listing.kind
        self._listing, self._more, self._options = listing, more, options
        texts = PATH if listing.kind is Kind.TEXT else ""
        self._references = References(listing.root.absolute(), listing.odd, texts, options.encoding, listing.holder)
        self.records = (*self._own_records(), *records)
        self.columns = {record.name: polars_type(record) for record in self.records}
        self.num_rows = len(listing.paths)
        self.files = () if listing.archive is None else (listing.archive,)
        self.decisions = tuple(listing.decisions)

    def _own_records(self) -> tuple[ColumnRecord, ...]:
        if self.kind is Kind.TEXT:
            path = ColumnRecord(PATH, Kind.IDENTIFIER, "string", role=Role.IGNORED)
            return (path, ColumnRecord(TEXT, Kind.TEXT, "string"), _BYTES)
        return (ColumnRecord(PATH, self.kind, "string"), *_FACTS[self.kind], _BYTES)

    def plans(self) -> tuple[ColumnPlan, ...]:
        """The columns, ready as they are."""
        return tuple(map(ColumnPlan, self.records))

    def references(self) -> References:
        """How a path becomes a file."""
        return self._references

    def chunks(
        self, names: Sequence[str], direct: Mapping[str, pl.DataType] | None = None, markers: Sequence[str] = ()
    ) -> Iterator[Chunk]:
        """See `Source.chunks`."""
        step = _TEXT_STEP if TEXT in names and self.kind is Kind.TEXT else _STEP
        for start in range(0, len(self._listing.paths), step):
            self._options.work.check()
            yield Chunk(self._rows(names, start, step), first_row=start + 1)

    def sample(self) -> pl.DataFrame:
        """See `Source.sample`; texts that cannot be read stop it as they stop any other pass."""
        return self._rows(list(self.columns), 0, _TEXT_SAMPLE if self.kind is Kind.TEXT else SAMPLE_ROWS)

    def parents(self, *, files: bool = True) -> tuple[Mapping[str, Any], ...]:
        """An archive by its content; a folder by its name, for its files are not read for it."""
        if self.files:
            return super().parents(files=files)
        return ({"name": self._listing.root.name},) if files else ()

    def _rows(self, names: Sequence[str], start: int, step: int) -> pl.DataFrame:
        paths = self._listing.paths[start : start + step]
        found: list[pl.Series] = []
        for name in names:
            if name == PATH:
                found.append(pl.Series(PATH, paths, dtype=pl.String))
            elif name == TEXT and self.kind is Kind.TEXT:
                found.append(pl.Series(TEXT, [self._text(path) for path in paths], dtype=pl.String))
            elif name in self._more.columns:
                found.append(self._more[name].slice(start, step))
            else:
                found.append(self._facts[name].slice(start, step))
        return pl.DataFrame(found)

    def _text(self, path: str) -> str:
        return decode_text(self._references.read(path, MAX_TEXT), path, self._options.encoding)

    @cached_property
    def _facts(self) -> pl.DataFrame:
        """What the heads of all files say; null for a file that cannot be read."""
        paths = self._listing.paths
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(paths), _STEP):
            self._options.work.check()
            rows += in_parallel(self._fact, paths[start : start + _STEP], self._options.work)
            self._options.work.report(len(rows), len(paths), "files", note="reading heads")
        records = (*_FACTS[self.kind], _BYTES)
        schema = {record.name: polars_type(record) for record in records}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _fact(self, path: str) -> tuple[Any, ...]:
        nothing = (None,) * len(_FACTS[self.kind])
        try:
            file = open_read(self._references.path(path))
        except DataError:
            return (*nothing, None)
        with file:
            size = os.fstat(file.fileno()).st_size
            if self.kind is Kind.TEXT:
                return (size,)
            if size > MAX_FILE:
                return (*nothing, size)
            try:
                return (*astuple(_READERS[self.kind](file)), size)
            except DataError:
                return (*nothing, size)
