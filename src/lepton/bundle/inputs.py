"""From rows in any container to the two tensors of a table model, `numbers` and `strings` (contract 2)."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle.containers import Rows, read_rows
from lepton.bundle.encoding import NUMBER_KINDS, STRING_KINDS, TextEncoder, numeric_encoder
from lepton.bundle.interface import describe_inputs
from lepton.core import ColumnRecord, ErrorCode, Kind, SchemaError, UsageError, printable

__all__ = ["Packed", "TableInputs"]

_NUMBERS = frozenset({float, int, type(None)})


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows as a graph takes them.

    Attributes:
        numbers: float64 [N, k], C-contiguous; missing is NaN.
        strings: m String columns without nulls; missing is "".
    """

    numbers: NDArray[np.float64]
    strings: pl.DataFrame


class TableInputs:
    """Packs rows into the tensors of one table model; training and predicting use the same one.

    >>> from lepton.core import ColumnRecord, Kind
    >>> inputs = TableInputs((ColumnRecord("rooms", Kind.NUMBER), ColumnRecord("town", Kind.CATEGORY)))
    >>> inputs.tensors({"rooms": [3, None], "town": ["Köln", None]})
    {'numbers': array([[ 3.],
           [nan]]), 'strings': array([['Köln'],
           ['']], dtype=object)}

    Args:
        columns: the model's columns, in the table's order.
        codecs: column name → codec that its values need beyond those of its kind, as the manifest records them.

    Raises:
        UsageError: for a column of a kind that tables do not hold.
    """

    def __init__(self, columns: Sequence[ColumnRecord], codecs: Mapping[str, str] | None = None) -> None:
        self.columns = tuple(columns)
        for column in self.columns:
            if column.kind not in NUMBER_KINDS | STRING_KINDS:
                raise UsageError(
                    ErrorCode.USAGE,
                    f"column '{printable(column.name)}' is of kind {column.kind}",
                    wanted="one of " + ", ".join(sorted(NUMBER_KINDS | STRING_KINDS)),
                )
        self.names = tuple(column.name for column in self.columns)
        self.numbers = tuple(column for column in self.columns if column.kind in NUMBER_KINDS)
        self.strings = tuple(column for column in self.columns if column.kind in STRING_KINDS)
        self.codecs = dict(codecs or {})
        self._numeric = {column.name: numeric_encoder(column) for column in self.numbers}
        self._text = {column.name: TextEncoder(column, codec=self.codecs.get(column.name)) for column in self.strings}
        self._all_numbers = all(column.kind is Kind.NUMBER for column in self.columns)
        self._of_row = itemgetter(*self.names) if len(self.names) > 1 else None

    @property
    def of_row(self) -> Callable[[Mapping[str, Any]], tuple[Any, ...]] | None:
        """What takes the `numbers` out of a dict that holds numbers alone; None where a row is more than these."""
        return self._of_row if self._all_numbers else None

    def pack(
        self, rows: Any, extra: Literal["refuse", "ignore"] = "refuse", *, ignored: Collection[str] = ()
    ) -> Packed:
        """Pack rows for training or for a graph.

        Args:
            rows: any container that `read_rows` takes.
            extra: what to do with columns that the model does not take.
            ignored: columns that may be there, whatever `extra` says.

        Raises:
            SchemaError: naming the column, the row and what came.
        """
        if self.is_tensor(rows):
            return Packed(rows, pl.DataFrame())
        return self.pack_rows(self.read(rows, extra, ignored=ignored))

    def tensors(
        self, rows: Any, extra: Literal["refuse", "ignore"] = "refuse", *, ignored: Collection[str] = ()
    ) -> dict[str, NDArray[Any]]:
        """Pack rows into the graph's inputs: `numbers` float64 [N, k], `strings` object [N, m]; only those it has."""
        if self.is_tensor(rows):
            return {"numbers": rows}
        return self.row_tensors(self.read(rows, extra, ignored=ignored))

    def is_tensor(self, rows: Any) -> bool:
        """Whether `rows` is the `numbers` tensor already: a float64 matrix for a model that takes numbers only."""
        return (
            self._all_numbers
            and type(rows) is np.ndarray
            and rows.dtype == np.float64
            and rows.ndim == 2
            and rows.shape[1] == len(self.columns)
            and rows.flags.c_contiguous
        )

    def plain_numbers(self, rows: Any) -> NDArray[np.float64] | None:
        """The `numbers` of dicts that hold each column and nothing else, all of them numbers or None; else None.

        Rows of requests mostly are that, and then no cell needs a look of its own. Whatever is wrong, `read` tells.
        """
        if not self._all_numbers or self._of_row is None or type(rows) is not list:
            return None
        values: list[Any] = []
        try:
            for row in rows:
                if type(row) is not dict or len(row) != len(self.names):
                    return None
                values += self._of_row(row)
            if not values or not _NUMBERS.issuperset(map(type, values)):
                return None
            return np.array(values, dtype=np.float64).reshape(len(rows), len(self.names))
        except (KeyError, OverflowError):
            return None

    def read(self, rows: Any, extra: Literal["refuse", "ignore"] = "refuse", *, ignored: Collection[str] = ()) -> Rows:
        """The rows as named columns, after checking which columns are there."""
        read = read_rows(rows, self.names)
        unknown = [name for name in read.extra if name not in ignored]
        if unknown and extra == "refuse":
            raise SchemaError(
                ErrorCode.EXTRA_COLUMNS,
                "columns that the model does not know: " + ", ".join(f"'{printable(name)}'" for name in unknown[:30]),
                wanted="only " + ", ".join(f"'{printable(name)}'" for name in self.names[:30]),
                fix=f"drop them, for example table.drop({unknown[:30]!r}) in Polars"
                f" or table.drop(columns={unknown[:30]!r}) in pandas",
                details={"extra": unknown},
            )
        return read

    def pack_rows(self, rows: Rows) -> Packed:
        """`pack` for rows that were read already."""
        texts = {name: self._texts(name, rows) for name in self._text}
        strings = pl.DataFrame([pl.Series(name, values, dtype=pl.String) for name, values in texts.items()])
        return Packed(self._doubles(rows), strings)

    def row_tensors(self, rows: Rows) -> dict[str, NDArray[Any]]:
        """`tensors` for rows that were read already."""
        tensors: dict[str, NDArray[Any]] = {}
        if self.numbers:
            tensors["numbers"] = self._doubles(rows)
        if self.strings:
            strings = np.empty((rows.num_rows, len(self.strings)), dtype=object)
            for position, name in enumerate(self._text):
                texts = self._texts(name, rows)
                strings[:, position] = texts if isinstance(texts, list) else _objects(texts)
            tensors["strings"] = strings
        return tensors

    def metadata(self) -> str:
        """The `lepton.inputs` property of a graph: what a stranger with onnxruntime alone needs to feed it."""
        return json.dumps(describe_inputs(self.columns, self.codecs), ensure_ascii=False)

    def _doubles(self, rows: Rows) -> NDArray[np.float64]:
        if not self.numbers:
            return np.empty((rows.num_rows, 0))
        columns = [
            encoder.cells(values) if isinstance(values := rows.columns[name], list) else encoder.series(values)
            for name, encoder in self._numeric.items()
        ]
        if rows.num_rows == 1:
            return np.array([[column[0] for column in columns]], dtype=np.float64)
        frame = pl.DataFrame({str(position): column for position, column in enumerate(columns)})
        return frame.to_numpy(order="c")

    def _texts(self, name: str, rows: Rows) -> list[str] | pl.Series:
        values = rows.columns[name]
        encoder = self._text[name]
        return encoder.cells(values) if isinstance(values, list) else encoder.series(values)


def _objects(texts: pl.Series) -> NDArray[np.object_]:
    """Texts as Python strings; equal ones are the same object, which is several times as fast for categories."""
    distinct = texts.unique()
    if 4 * len(distinct) >= len(texts):
        return np.array(texts.to_list(), dtype=object)
    codes = texts.replace_strict(distinct, pl.int_range(len(distinct), eager=True), return_dtype=pl.Int64)
    objects: NDArray[np.object_] = np.array(distinct.to_list(), dtype=object)
    return objects.take(codes.to_numpy())
