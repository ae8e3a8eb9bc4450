"""Files of a table as the arrays that a model takes: each decoded once, some at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import Predictor, TensorInputs, without_embedding
from lepton.bundle.codecs import decode_picture, decode_sound, is_picture, is_sound, one_channel
from lepton.core import DataError, ErrorCode, Kind, UsageError, Work, printable
from lepton.data.dataset import Dataset
from lepton.data.media.images import decode_image
from lepton.data.media.parallel import in_parallel
from lepton.data.media.signatures import KIND_OF_FORMAT, format_of_name
from lepton.data.media.sounds import decode_sound as decode_any_sound
from lepton.data.read import read

__all__ = ["DecodedRows", "cells_of", "decoded_batches", "files_column", "predicted", "takes_files"]

_STEP = 64


@dataclass(frozen=True)
class DecodedRows:
    """Some rows of a table.

    Attributes:
        frame: all of them, the column of files as in the table.
        readable: which of them have a file that can be read [N].
        arrays: of those, pictures [H, W, C] or samples [T].
        faults: of the others, what the cell says and what is wrong.
    """

    frame: pl.DataFrame
    readable: NDArray[np.bool_]
    arrays: list[NDArray[Any]]
    faults: tuple[str, ...]


def takes_files(inputs: Any) -> bool:
    """Whether a model decodes pictures or sounds."""
    return isinstance(inputs, TensorInputs) and inputs.decodes


def files_column(table: Dataset, inputs: TensorInputs) -> str:
    """The column that a model's files are in: that of its own name, or the only one of its kind.

    Raises:
        DataError: there is none, or there are several of its kind.
    """
    own = inputs.names[0]
    alike = [column.name for column in table.schema if column.kind is inputs.kind]
    return alike[0] if own not in table.schema and len(alike) == 1 else table.schema[own].name


def decoded_batches(
    table: Dataset, inputs: TensorInputs, columns: Sequence[str], work: Work | None = None
) -> Iterator[DecodedRows]:
    """The rows of a table with their files decoded; other formats than the model's codec takes are read too.

    Args:
        table: with a column of files; see `files_column`.
        inputs: of a model that decodes.
        columns: to give besides.
        work: cancel and threads.

    Raises:
        DataError: there is no such column.
    """
    work = Work.of(work)
    name, record = files_column(table, inputs), inputs.records[0]
    wanted = list(dict.fromkeys((name, *columns)))

    def decode(cell: Any) -> NDArray[Any] | str:
        try:
            if cell is None:
                return "it is missing"
            data = cell if isinstance(cell, bytes) else table.references.read(str(cell))
            return _picture(data, record.shape[3] or 3) if inputs.kind is Kind.IMAGE else _sound(data, record.rate or 1)
        except DataError as error:
            return error.came

    for batch in table.batches(rows=_STEP, columns=wanted):
        work.check()
        cells = batch[name].to_list()
        found = in_parallel(decode, cells, work)
        faults = [
            f"'{printable(str(cell), 80)}' ({array})"
            for cell, array in zip(cells, found, strict=True)
            if isinstance(array, str)
        ]
        arrays = [array for array in found if not isinstance(array, str)]
        readable = np.array([not isinstance(array, str) for array in found], dtype=bool)
        yield DecodedRows(batch, readable, arrays, tuple(faults))


def predicted(
    predictor: Predictor, table: Dataset, kept: Sequence[str], work: Work | None = None
) -> Iterator[tuple[pl.DataFrame, tuple[str, ...]]]:
    """Answers of a model that decodes to the rows of a table, some at a time, with the columns `kept`.

    Files that cannot be read have null as answers; what is wrong with them stands beside.
    """
    work, done = Work.of(work), 0
    for rows in decoded_batches(table, _decoding(predictor.inputs), kept, work):
        answers = predictor.answer_columns(without_embedding(predictor.outputs(rows.arrays)))
        places = pl.Series("place", np.flatnonzero(rows.readable), dtype=pl.Int64)
        whole = pl.DataFrame({"place": pl.int_range(rows.frame.height, eager=True, dtype=pl.Int64)})
        answers = whole.join(answers.with_columns(places), on="place", how="left", maintain_order="left").drop("place")
        done += rows.frame.height
        work.report(done, table.num_rows, "files", note="predicting")
        yield pl.DataFrame([*rows.frame.select(kept), *answers]), rows.faults


def cells_of(inputs: TensorInputs, source: str | Path | Dataset) -> Any:
    """What a model of files or texts is asked about, from a path or a table.

    A text is one for a model of texts, and the path of a single file one row; all else is read as a table.

    Raises:
        DataError: a file of the table that cannot be read; the first is named.
    """
    kind = inputs.kind
    if not isinstance(source, Dataset):
        is_file = inputs.decodes and KIND_OF_FORMAT.get(format_of_name(str(source))) is kind
        if is_file or (kind is Kind.TEXT and isinstance(source, str)):
            return source
    table = source if isinstance(source, Dataset) else read(source)
    if not inputs.decodes:
        return table.frame(list(inputs.names))
    arrays: list[NDArray[Any]] = []
    for rows in decoded_batches(table, inputs, ()):
        if rows.faults:
            raise DataError(
                ErrorCode.UNREADABLE,
                f"the file {rows.faults[0]} cannot be read",
                fix="take it out; lepton data check names all that are damaged",
            )
        arrays += rows.arrays
    return arrays


def _decoding(inputs: Any) -> TensorInputs:
    if not takes_files(inputs):
        raise UsageError(ErrorCode.USAGE, "the model takes no files", wanted="one of pictures or sounds")
    found: TensorInputs = inputs
    return found


def _picture(data: bytes, channels: int) -> NDArray[np.uint8]:
    if is_picture(data):
        return decode_picture(data, channels)
    image, _, _ = decode_image(data)
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def _sound(data: bytes, rate: int) -> NDArray[np.float32]:
    if is_sound(data):
        return decode_sound(data, rate)
    samples, own_rate = decode_any_sound(data)
    if not len(samples):
        raise DataError(ErrorCode.UNREADABLE, "empty: it holds no samples")
    return one_channel(samples, own_rate, rate)
