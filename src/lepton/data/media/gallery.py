"""Some of the files of a table as small pictures, for its page."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from lepton.core import ColumnRecord, DataError, Kind, MissingExtraError, Work, printable
from lepton.data.media.images import decode_image, thumbnail_uri
from lepton.data.media.parallel import in_parallel
from lepton.data.media.sounds import decode_sound
from lepton.data.references import MAX_FILE, References
from lepton.report import Gallery, Thumbnail, waveform

__all__ = ["galleries", "picture_of"]

_MOST = 24


def galleries(
    rows: pl.DataFrame, columns: Sequence[ColumnRecord], references: References, target: str | None
) -> list[Gallery]:
    """A gallery for each column of images or sounds: files of every class, if there is a target; none for other tables.

    Args:
        rows: to choose from.
        columns: of the table.
        references: what cells mean.
        target: the column of the classes.
    """
    found = []
    for column in columns:
        if column.kind not in (Kind.IMAGE, Kind.AUDIO):
            continue
        chosen = _chosen(rows.filter(pl.col(column.name).is_not_null()), target)
        cells = chosen[column.name].to_list()
        labels = chosen[target].cast(pl.String).to_list() if target is not None else [None] * len(cells)

        def picture(item: tuple[str, str | None], kind: Kind = column.kind) -> Thumbnail:
            return _thumbnail(*item, kind, references)

        pictures = in_parallel(picture, list(zip(cells, labels, strict=True)), Work())
        caption = f"{column.name}: {len(pictures):,} files drawn at random" + (f", by {target}" if target else "")
        found.append(Gallery(pictures, caption))
    return found


def _chosen(rows: pl.DataFrame, target: str | None) -> pl.DataFrame:
    """At most 24 rows, drawn: one of every class, then another of each, and so on; class by class."""
    rows = rows.sample(fraction=1.0, shuffle=True, seed=0)
    if target is None:
        return rows.head(_MOST)
    turn = pl.int_range(pl.len()).over(target)
    return (
        rows.with_columns(turn.alias("\0turn"))
        .sort("\0turn", maintain_order=True)
        .head(_MOST)
        .sort(target, maintain_order=True)
    )


def _thumbnail(cell: str, label: str | None, kind: Kind, references: References) -> Thumbnail:
    shown = printable(cell.rpartition("/")[2] if len(cell) <= 1_024 else "bytes in the table", 40)
    return picture_of(cell, shown if label is None else f"{printable(label, 30)} · {shown}", kind, references)


def picture_of(cell: str, name: str, kind: Kind, references: References) -> Thumbnail:
    """The small picture of one file, with its name and size; words where it cannot be read.

    Args:
        cell: path or bytes.
        name: to show.
        kind: `IMAGE` or `AUDIO`.
        references: what cells mean.
    """
    try:
        data = references.read(cell, MAX_FILE)
        if kind is Kind.IMAGE:
            image, width, height = decode_image(data, smallest=192)
            uri, _, _ = thumbnail_uri(image)
            return Thumbnail(f"{name} · {width:,} x {height:,}", f"Image {name}", uri=uri)
        samples, rate = decode_sound(data)
        if not len(samples):
            return Thumbnail(name, words="no samples")
        seconds = f"{len(samples) / rate:.3g} s"
        return Thumbnail(f"{name} · {seconds}", svg=waveform(samples.mean(axis=1), f"Sound {name}, {seconds}"))
    except MissingExtraError as error:
        return Thumbnail(name, words=error.fix)
    except DataError as error:
        return Thumbnail(name, words=error.came)
