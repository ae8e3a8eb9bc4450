"""Rows to check an imported table model with: what kinds their columns are, and how the graph takes them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import TableInputs
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, SchemaError, UsageError, printable
from lepton.data import Dataset, read
from lepton.training.importers.composing import Composer

__all__ = ["MADE_ROWS", "TableSample", "number_columns", "sample_table", "take_table"]

MADE_ROWS = 256
_MOST_ROWS = 10_000


@dataclass(frozen=True)
class TableSample:
    """Rows of a table.

    Attributes:
        rows: as the original model takes them.
        inputs: the columns of the bundle.
        tensors: the rows as the graph takes them.
        made: whether the importer made them.
    """

    rows: Any
    inputs: TableInputs
    tensors: Mapping[str, NDArray[Any]]
    made: bool = False

    @classmethod
    def of(cls, rows: Any, columns: Sequence[ColumnRecord], *, made: bool = False) -> TableSample:
        """The rows with the tensors of the named columns; others are ignored."""
        inputs = TableInputs(columns)
        return cls(rows, inputs, inputs.tensors(rows, "ignore"), made)


def number_columns(names: Sequence[str]) -> tuple[ColumnRecord, ...]:
    """Columns of numbers."""
    return tuple(ColumnRecord(name, Kind.NUMBER) for name in names)


def sample_table(sample: Any, names: Sequence[str] | None, width: int | None) -> TableSample:
    """The sample of a user, with the columns that a model takes.

    Args:
        sample: a table in memory, a `Dataset`, or a path; at most 10,000 rows of it are used.
        names: of the model's columns, where it knows them.
        width: how many columns it takes, where it knows that.

    Raises:
        DataError: there are no rows, or columns of kinds that ONNX has no place for.
        SchemaError: columns that the model needs are missing.
    """
    if isinstance(sample, str | os.PathLike):
        sample = read(sample)
    if isinstance(sample, Dataset):
        sample = sample.frame()
    if isinstance(sample, np.ndarray):
        return _of_matrix(sample[:_MOST_ROWS], names, width)
    rows = sample.head(_MOST_ROWS) if hasattr(sample, "head") else _framed(sample)
    kinds = _kinds(rows)
    if not len(rows):
        raise DataError(ErrorCode.EMPTY_DATA, "the sample has no rows", wanted="a few rows that the model takes")
    chosen = tuple(names) if names is not None else tuple(kinds)
    if missing := [name for name in chosen if name not in kinds]:
        raise SchemaError(
            ErrorCode.MISSING_COLUMNS,
            "the sample lacks columns of the model: " + ", ".join(repr(printable(name)) for name in missing[:20]),
            wanted=", ".join(repr(printable(name)) for name in chosen[:20]),
        )
    if width is not None and len(chosen) != width:
        raise SchemaError(
            ErrorCode.WRONG_SHAPE, f"the sample has {len(chosen)} columns", wanted=f"{width}, as the model takes"
        )
    return TableSample.of(rows, [ColumnRecord(name, *kinds[name]) for name in chosen])


def _framed(sample: Any) -> pl.DataFrame:
    try:
        frame = pl.DataFrame(sample)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise UsageError(
            ErrorCode.USAGE,
            f"the sample is no table: {printable(str(error))}",
            wanted="a Polars or pandas table, a dict of columns, a list of dicts, a numpy matrix, or a path",
        ) from None
    return frame.head(_MOST_ROWS)


def _of_matrix(matrix: NDArray[Any], names: Sequence[str] | None, width: int | None) -> TableSample:
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiub" or (width is not None and matrix.shape[1] != width):
        raise SchemaError(
            ErrorCode.WRONG_SHAPE,
            f"the sample is an array of {matrix.dtype} and the shape {list(matrix.shape)}",
            wanted=f"numbers [N, {width or 'columns'}], or a table with named columns",
        )
    if not len(matrix):
        raise DataError(ErrorCode.EMPTY_DATA, "the sample has no rows", wanted="a few rows that the model takes")
    names = names or [f"x{place}" for place in range(matrix.shape[1])]
    columns = number_columns(names)
    numbers = np.ascontiguousarray(matrix, dtype=np.float64)
    return TableSample(matrix, TableInputs(columns), {"numbers": numbers})


def _kinds(rows: Any) -> dict[str, tuple[Kind, str]]:
    """Column → kind and dtype of a Polars or pandas frame."""
    if isinstance(rows, pl.DataFrame):
        return {name: _polars_kind(name, dtype) for name, dtype in rows.schema.items()}
    if hasattr(rows, "dtypes") and hasattr(rows, "columns"):
        return {str(name): _pandas_kind(str(name), rows[name]) for name in rows.columns}
    raise UsageError(
        ErrorCode.USAGE, f"the sample is a {type(rows).__name__}", wanted="a Polars or pandas table, or a numpy matrix"
    )


_NUMBER, _WHOLE = (Kind.NUMBER, "float64"), (Kind.NUMBER, "int64")
_BOOLEAN, _CATEGORY = (Kind.BOOLEAN, "bool"), (Kind.CATEGORY, "string")


def _polars_kind(name: str, dtype: pl.DataType) -> tuple[Kind, str]:
    if dtype.is_float() or dtype.is_decimal():
        return _NUMBER
    if dtype.is_integer():
        return _WHOLE
    if dtype == pl.Boolean:
        return _BOOLEAN
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return _CATEGORY
    raise _no_place(name, str(dtype))


def _pandas_kind(name: str, column: Any) -> tuple[Kind, str]:
    dtype = column.dtype
    if hasattr(dtype, "categories"):
        dtype = dtype.categories.dtype
    kinds = {"f": _NUMBER, "i": _WHOLE, "u": _WHOLE, "b": _BOOLEAN, "O": _CATEGORY, "U": _CATEGORY, "T": _CATEGORY}
    if dtype.kind not in kinds:
        raise _no_place(name, str(dtype))
    return kinds[dtype.kind]


def _no_place(name: str, dtype: str) -> DataError:
    return DataError(
        ErrorCode.WRONG_KIND,
        f"the column '{printable(name)}' of the sample is of the type {printable(dtype)}",
        wanted="numbers, booleans or texts",
        fix="turn it into numbers before the model, and import the model with those",
    )


def take_table(composer: Composer, inputs: TableInputs, fed: Mapping[str, tuple[int, list[str]]]) -> None:
    """Give the foreign inputs `fed` (name → element type and columns) what the two tensors of a table hold."""
    groups = {"numbers": [column.name for column in inputs.numbers], "strings": [c.name for c in inputs.strings]}
    for tensor, names in groups.items():
        if names:
            composer.take(tensor, "double" if tensor == "numbers" else "string", ("N", len(names)))
    for name, (kind, columns) in fed.items():
        tensor = "numbers" if columns[0] in groups["numbers"] else "strings"
        places = [groups[tensor].index(column) for column in columns]
        composer.feed(name, kind, tensor, len(groups[tensor]), places)
