"""From pictures, sounds, texts or arrays, in any container, to the tensors of a graph that takes no table."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle.codecs.pictures import decode_picture
from lepton.bundle.codecs.sounds import decode_sound
from lepton.bundle.codecs.tokens import padded_length
from lepton.bundle.containers import read_rows
from lepton.bundle.tensor_records import NUMPY_TYPES, TensorRecord, describe_tensors
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, SchemaError, UsageError, printable, show_size
from lepton.store import open_read

__all__ = ["MAX_FILE", "TensorInputs", "TensorRecord", "TensorRows", "TokenEncoder", "num_bytes"]

MAX_FILE = 256 * 2**20
"""Bytes: larger files are not opened."""

_PART_ROWS = 256
_PART_BYTES = 2**26  # of decoded rows that are held at once
_FILES = (bytes, bytearray, memoryview, str, os.PathLike)
_TAKEN = {
    Kind.IMAGE: "arrays [H, W, C], paths or the bytes of JPEG or PNG files",
    Kind.AUDIO: "arrays [T], paths or the bytes of WAV or FLAC files",
    Kind.SERIES: "arrays [T, F]",
    Kind.TEXT: "texts",
}
_OPEN_SIZES = {Kind.IMAGE: 64, Kind.TEXT: 16}


class TokenEncoder(Protocol):
    """What a codec of texts does; see `lepton.bundle.codecs`."""

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """The tokens of each text, cut to the most that the model takes, at least one."""


@dataclass(frozen=True, slots=True)
class TensorRows:
    """Rows as they came, and the way back to their container.

    Attributes:
        num_rows: how many.
        columns: name → an array `[N, …]`, or a sequence of what single rows hold.
        files: whether a text among them may be the path of a file.
        give_column: makes a column of answers, from its name and values [N].
        give_table: makes a table of answers, from the columns' names and values [N, C].
    """

    num_rows: int
    columns: Mapping[str, Any]
    files: bool
    give_column: Callable[[str, NDArray[Any]], Any]
    give_table: Callable[[Sequence[str], NDArray[Any]], Any]


class TensorInputs:
    """Packs rows into the tensors of one model that takes no table.

    Rows of tensors with open sizes need not be of one shape. They are then given as an array of objects `[N]`, one
    array each, which `Predictor.run` calls the graph with shape by shape: so no row depends on its neighbours.

    >>> inputs = TensorInputs((TensorRecord("x", "float", (None, 2)),))
    >>> inputs.tensors({"x": [[1, 2], [3, 4]]})
    {'x': array([[1., 2.],
           [3., 4.]], dtype=float32)}

    Args:
        records: the graph's inputs.
        columns: the one column that they hold, or none.
        codecs: of that column.
        tokens: of a column of texts, what takes them into tokens.
    """

    numbers: tuple[ColumnRecord, ...] = ()
    strings: tuple[ColumnRecord, ...] = ()

    def __init__(
        self,
        records: Sequence[TensorRecord],
        columns: Sequence[ColumnRecord] = (),
        codecs: Mapping[str, str] | None = None,
        tokens: TokenEncoder | None = None,
    ) -> None:
        self.records = tuple(records)
        self.columns = tuple(columns)
        self.codecs = dict(codecs or {})
        self.column = self.columns[0] if self.columns else None
        self.names = tuple(each.name for each in (self.columns or self.records))
        self.ragged = frozenset(r.name for r in self.records if None in r.shape[1:] and r.dtype != "string")
        self._tokens = tokens

    @property
    def kind(self) -> Kind | None:
        """Of the one column; None of a model of plain tensors."""
        return None if self.column is None else self.column.kind

    @property
    def decodes(self) -> bool:
        """Whether a row may come as the bytes of a file."""
        return self.column is not None and self.column.name in self.codecs and self.kind is not Kind.TEXT

    def is_tensor(self, rows: Any) -> bool:
        """Whether `rows` is the `numbers` tensor of a table model: never."""
        return False

    def read(self, rows: Any, *, files: bool = False) -> TensorRows:
        """The rows as named columns.

        Args:
            rows: an array, its first dimension being the row; a list of arrays, bytes, paths or texts, or one of
                them; any container with the column (`read_rows`), others being passed over; of plain tensors a dict
                from name to array.
            files: whether a text may be the path of a file on this machine, as it is where its owner asks, and never
                where a stranger does.

        Raises:
            SchemaError: columns or tensors are missing, or of different lengths.
            UsageError: any other container.
        """
        if not isinstance(rows, Mapping) and len(self.names) == 1:
            name = self.names[0]
            if isinstance(rows, np.ndarray) and not rows.dtype.names:
                if rows.dtype != object and self.kind is not Kind.TEXT:
                    self._check_shape(self.records[0], rows, "rows")
                elif rows.ndim == 0:
                    raise SchemaError(ErrorCode.WRONG_SHAPE, "got a single object", wanted="rows")
                return TensorRows(len(rows), {name: rows}, files, _same, _same)
            cells = [rows] if isinstance(rows, _FILES) else rows
            if isinstance(cells, list | tuple | pl.Series) and not (len(cells) and isinstance(cells[0], Mapping)):
                return TensorRows(len(cells), {name: cells}, files, _list_column, _list_table)
        if isinstance(rows, Mapping) and not self.columns:
            return self._of_arrays(rows)
        read = read_rows(rows, self.names)
        return TensorRows(read.num_rows, read.columns, files, read.give_column, read.give_table)

    def _of_arrays(self, rows: Mapping[Any, Any]) -> TensorRows:
        self._check_names(rows)
        columns = {record.name: _array_of(rows[record.name], record) for record in self.records}
        lengths = {name: len(array) if array.ndim else 0 for name, array in columns.items()}
        if len(set(lengths.values())) != 1:
            shown = ", ".join(f"'{name}' {length}" for name, length in lengths.items())
            raise SchemaError(
                ErrorCode.WRONG_SHAPE, f"tensors of different lengths: {shown}", wanted="as many rows in each"
            )
        return TensorRows(next(iter(lengths.values())), columns, False, _same, _same)

    def _check_names(self, tensors: Mapping[Any, Any]) -> None:
        if missing := [record.name for record in self.records if record.name not in tensors]:
            raise SchemaError(
                ErrorCode.MISSING_COLUMNS,
                "missing tensors: " + ", ".join(missing),
                wanted=", ".join(map(str, self.records)),
                details={"missing": missing},
            )

    def tensors(self, rows: Any, *, files: bool = False) -> dict[str, NDArray[Any]]:
        """Rows as `Predictor.run` takes them; `files` as in `read`."""
        return self.row_tensors(self.read(rows, files=files))

    def row_tensors(self, rows: TensorRows) -> dict[str, NDArray[Any]]:
        """The graph's inputs for all rows that were read already."""
        return self._tensors(rows, 0, rows.num_rows)

    def parts(self, rows: TensorRows) -> Iterator[dict[str, NDArray[Any]]]:
        """The graph's inputs, some rows at a time, so that no more pictures are decoded than fit into memory."""
        start = 0
        step = 1 if self.decodes else _PART_ROWS
        while start < rows.num_rows:
            stop = min(start + step, rows.num_rows)
            tensors = self._tensors(rows, start, stop)
            a_row = max(sum(map(num_bytes, tensors.values())) // (stop - start), 1)
            step = min(max(_PART_BYTES // a_row, 1), _PART_ROWS, 4 * step)
            yield tensors
            start = stop

    def _tensors(self, rows: TensorRows, start: int, stop: int) -> dict[str, NDArray[Any]]:
        if self.kind is Kind.TEXT:
            return self._texts(rows.columns[self.names[0]], start, stop)
        # The column, where there is one, is the only tensor's, whatever it is called.
        named = zip(self.records, self.names, strict=True)
        return {
            record.name: self._tensor(record, rows.columns[name], start, stop, rows.files) for record, name in named
        }

    def _tensor(self, record: TensorRecord, values: Any, start: int, stop: int, files: bool) -> NDArray[Any]:
        if isinstance(values, np.ndarray) and values.dtype != object:
            return self._array(record, values[start:stop], "rows")
        if record.name not in self.ragged and record.dtype != "string" and self.column is None:
            return self._array(record, _array_of(values[start:stop], record), "rows")
        arrays = [self._cell(record, values[row], row, files) for row in range(start, stop)]
        if record.name not in self.ragged:
            sizes = record.shape[1:]
            return np.stack(arrays) if arrays else np.empty((0, *map(int, filter(None, sizes))), _dtype(record))
        out = np.empty(len(arrays), dtype=object)
        for place, array in enumerate(arrays):
            out[place] = array
        return out

    def _cell(self, record: TensorRecord, cell: Any, row: int, files: bool) -> NDArray[Any]:
        """One row as an array of the tensor's type and shape."""
        where = f"row {row} (counted from 0)"
        try:
            if cell is None:
                raise DataError(ErrorCode.BAD_VALUE, "it is missing")
            array = self._decoded(record, cell, files) if isinstance(cell, _FILES) else _array_of(cell, record)
            found: NDArray[Any] = self._array(record, array[None], where)[0]
            return found
        except SchemaError:
            raise
        except DataError as error:
            raise SchemaError(
                ErrorCode.BAD_VALUE,
                f"{self._called()}{where} cannot be read: {error.came}",
                wanted=_TAKEN.get(self.kind or Kind.SERIES, str(record)),
                fix=error.fix or "leave it out, or send another file",
                details={"row": row, **error.details},
            ) from None

    def _decoded(self, record: TensorRecord, cell: Any, files: bool) -> NDArray[Any]:
        if not self.decodes:
            raise DataError(ErrorCode.BAD_VALUE, f"it is {type(cell).__name__}, and the model has no codec for files")
        data = _bytes_of(cell, files)
        if self.kind is Kind.IMAGE:
            return decode_picture(data, record.shape[3] or 3)
        return decode_sound(data, record.rate or 1)

    def _array(self, record: TensorRecord, array: NDArray[Any], where: str) -> NDArray[Any]:
        """`array` `[N, …]` in the tensor's type, if it fits."""
        if self.kind is Kind.IMAGE and array.ndim == 3 and record.shape[3] == 1:
            array = array[..., None]
        self._check_shape(record, array, where)
        return self._cast(record, array, where)

    def _check_shape(self, record: TensorRecord, array: NDArray[Any], where: str) -> None:
        if self.kind is Kind.IMAGE and array.ndim == 3 and record.shape[3] == 1:
            return  # grey pictures may come without their one channel
        rank = len(record.shape)
        sizes, wanted = array.shape[1:], record.shape[1:]
        if array.ndim != rank or any(want not in (None, have) for have, want in zip(sizes, wanted, strict=True)):
            raise SchemaError(
                ErrorCode.WRONG_SHAPE,
                f"{self._called()}{where}: got the shape {_shape(array, where)}",
                wanted=str(record),
                fix=self._fix(record, array),
            )
        if 0 in sizes:
            raise SchemaError(ErrorCode.WRONG_SHAPE, f"{self._called()}{where}: it is empty", wanted=str(record))

    def _fix(self, record: TensorRecord, array: NDArray[Any]) -> str:
        rank = len(record.shape)
        if array.ndim == rank - 1:
            return "for one row, use array[None]"
        if self.kind is Kind.IMAGE and array.ndim == rank and array.shape[1] == record.shape[3]:
            return "the channels come last: array.transpose(0, 2, 3, 1)"
        return ""

    def _cast(self, record: TensorRecord, array: NDArray[Any], where: str) -> NDArray[Any]:
        """In the tensor's type; numbers that it cannot hold are refused, but for digits of floats."""
        dtype = _dtype(record)
        if array.dtype == dtype or dtype == np.dtype(object):
            cast = array
        elif array.dtype.kind not in "fiub":
            raise SchemaError(
                ErrorCode.WRONG_KIND, f"{self._called()}{where}: got values of type {array.dtype}", wanted=str(record)
            )
        else:
            with np.errstate(all="ignore"):
                cast = array.astype(dtype)
            lossless = dtype.kind == "f" or bool((cast == array).all())
            if not lossless or (dtype.kind == "f" and bool((np.isinf(cast) & np.isfinite(array)).any())):
                low, high = float(array.min()), float(array.max())
                raise SchemaError(
                    ErrorCode.BAD_VALUE,
                    f"{self._called()}{where}: got {array.dtype} from {low:g} to {high:g}",
                    wanted=f"values of {record.dtype}" + (", 0 to 255" if record.dtype == "uint8" else ""),
                    fix="(255 * array).round().astype('uint8')" if record.dtype == "uint8" and high <= 1 else "",
                )
        if self.kind in (Kind.IMAGE, Kind.AUDIO) and cast.dtype.kind == "f" and not bool(np.isfinite(cast).all()):
            raise SchemaError(
                ErrorCode.BAD_VALUE, f"{self._called()}{where}: values that are not finite", wanted="numbers"
            )
        return np.ascontiguousarray(cast)

    def _texts(self, values: Any, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Tokens, and which of them are some: each row is padded by its own length, or to the one that is fixed."""
        if self._tokens is None:
            raise UsageError(ErrorCode.USAGE, "the model has no tokenizer")
        texts = [_text(value, row, self._called()) for row, value in enumerate(values[start:stop], start)]
        out = {record.name: np.empty(len(texts), dtype=object) for record in self.records}
        for row, found in enumerate(self._tokens.encode(texts)):
            length = self.records[0].shape[1] or padded_length(len(found))
            for record in self.records:
                padded = np.zeros(length, _dtype(record))
                padded[: len(found)] = found[:length] if record is self.records[0] else 1
                out[record.name][row] = padded
        if self.ragged or not texts:
            return out
        return {name: np.stack(rows.tolist()) for name, rows in out.items()}

    def of_tensors(self, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The graph's inputs, where they come as what they are.

        Raises:
            SchemaError: a tensor that is missing, or of another shape, or of values that its type cannot hold.
        """
        self._check_names(tensors)
        return {record.name: self._array(record, tensors[record.name], "rows") for record in self.records}

    def example(self) -> dict[str, NDArray[Any]]:
        """One row of zeros, open sizes being those of something small."""
        out: dict[str, NDArray[Any]] = {}
        for record in self.records:
            size = record.rate or _OPEN_SIZES.get(self.kind or Kind.SERIES, 8)
            shape = (1, *(known or size for known in record.shape[1:]))
            out[record.name] = np.full(shape, "") if record.dtype == "string" else np.zeros(shape, _dtype(record))
        if "mask" in out and self.kind is Kind.TEXT:
            out["mask"][:] = 1
        return out

    def metadata(self) -> str:
        """The `lepton.inputs` property of a graph."""
        return json.dumps(describe_tensors(self.records, self.columns, self.codecs), ensure_ascii=False)

    def _called(self) -> str:
        return "" if self.column is None else f"'{printable(self.column.name)}' "


def num_bytes(tensor: NDArray[Any]) -> int:
    """Bytes of a tensor, of one of unequal rows those of its rows."""
    return sum(row.nbytes for row in tensor) if tensor.dtype == object and tensor.ndim == 1 else tensor.nbytes


def _same(name: Any, values: NDArray[Any]) -> NDArray[Any]:
    return values


def _list_column(name: str, values: NDArray[Any]) -> list[Any]:
    return list(values.tolist())


def _list_table(names: Sequence[str], values: NDArray[Any]) -> list[dict[str, Any]]:
    return [dict(zip(names, row, strict=True)) for row in values.tolist()]


def _dtype(record: TensorRecord) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(NUMPY_TYPES[record.dtype])
    return dtype


def _array_of(values: Any, record: TensorRecord) -> NDArray[Any]:
    try:
        array = np.asarray(values, dtype=object if record.dtype == "string" else None)
    except (ValueError, TypeError, OverflowError):
        array = np.asarray(None)
    if array.dtype == object and record.dtype != "string":
        raise SchemaError(
            ErrorCode.WRONG_SHAPE,
            f"got {type(values).__name__} that is no array of numbers of one shape for '{record.name}'",
            wanted=str(record),
        )
    return array


def _bytes_of(cell: Any, files: bool) -> bytes:
    if isinstance(cell, bytes):
        return cell
    if isinstance(cell, bytearray | memoryview):
        return bytes(cell)
    if not files:
        raise DataError(ErrorCode.BAD_VALUE, "it is a text", wanted="the bytes of a file")
    path = Path(cell)
    with open_read(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_FILE:
            raise DataError(ErrorCode.BAD_VALUE, f"it has {show_size(size)}, where {show_size(MAX_FILE)} are read")
        return file.read(size)


def _text(value: Any, row: int, called: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8-sig")
        except UnicodeDecodeError:
            value = b"bytes that are no UTF-8"
    if not isinstance(value, str):
        raise SchemaError(
            ErrorCode.WRONG_KIND,
            f"{called}row {row} (counted from 0) is {type(value).__name__}",
            wanted="a text",
            details={"row": row},
        )
    return value


def _shape(array: NDArray[Any], where: str) -> list[int]:
    return list(array.shape if where == "rows" else array.shape[1:])
