"""Rows in whatever container they come: Polars, pandas, Arrow, dicts, numpy; and answers in the same container."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import ErrorCode, SchemaError, UsageError, printable

__all__ = ["Rows", "given_as", "read_rows"]

_TAKEN = "a Polars or pandas DataFrame, an Arrow table, a dict of columns, a list of dicts, or a numpy matrix"
Values = pl.Series | list[Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as named columns, and the way back to the container that they came in.

    Attributes:
        num_rows: how many.
        columns: name → a Polars column, or a list of Python values.
        extra: names of columns that the model does not take.
        give_column: makes a column of answers, from its name and values [N].
        give_table: makes a table of answers, from the columns' names and values [N, C].
    """

    num_rows: int
    columns: Mapping[str, Values]
    extra: tuple[str, ...]
    give_column: Callable[[str, NDArray[Any]], Any]
    give_table: Callable[[Sequence[str], NDArray[Any]], Any]


def read_rows(rows: Any, names: Sequence[str]) -> Rows:
    """Read `rows` for a model that takes the columns `names`.

    Args:
        rows: a Polars or pandas DataFrame, an Arrow table or record batch, a dict of columns (or of scalars: one
            row), a list of dicts, a numpy matrix (columns in the order of `names`) or a structured array.
        names: columns of the model, in order.

    Raises:
        SchemaError: if columns are missing, named twice or of different lengths.
        UsageError: for any other container.
    """
    if isinstance(rows, np.ndarray):
        return _from_structured(rows, names) if rows.dtype.names else _from_matrix(rows, names)
    if isinstance(rows, pl.DataFrame):
        columns: dict[str, Values] = {name: rows[name] for name in _present(rows.columns, names)}
        return Rows(rows.height, columns, _extra(rows.columns, names), _polars_column, _polars_table)
    if isinstance(rows, Mapping):
        return _from_mapping(rows, names)
    library = type(rows).__module__.partition(".")[0]
    if library == "pandas" and type(rows).__name__ == "DataFrame":
        return _from_pandas(rows, names)
    if library == "pyarrow" and type(rows).__name__ in {"Table", "RecordBatch"}:
        return _from_arrow(rows, names)
    if isinstance(rows, Sequence) and not isinstance(rows, str | bytes):
        return _from_dicts(rows, names)
    raise UsageError(ErrorCode.USAGE, f"got rows of type {type(rows).__name__}", wanted=_TAKEN)


def given_as(rows: Any, frame: pl.DataFrame) -> Any:
    """`frame` in the container that `rows` came in, where the answers are rows of their own."""
    library = type(rows).__module__.partition(".")[0]
    if library == "pandas":
        import pandas as pd

        return pd.DataFrame({name: frame[name].to_list() for name in frame.columns})
    if library == "pyarrow":
        return frame.to_arrow()
    return frame if isinstance(rows, pl.DataFrame) else frame.to_dicts()


def _present(found: Iterable[str], names: Sequence[str], row: int | None = None) -> Sequence[str]:
    """`names`, if all of them were found; else `SchemaError` naming every missing one and what is closest to it."""
    known = dict.fromkeys(found)
    missing = [name for name in names if name not in known]
    if not missing:
        return names
    wanted = set(names)
    # Looking for close names costs their product, so a stranger's row gets hints from a bounded part of it.
    unused = [str(name) for name in known if name not in wanted][:200]
    hints = [
        f"rename '{printable(close[0])}' to '{printable(name)}'"
        for name in missing[:5]
        if (close := difflib.get_close_matches(name, unused, n=1))
    ]
    where = "" if row is None else f" in row {row} (counted from 0)"
    raise SchemaError(
        ErrorCode.MISSING_COLUMNS,
        f"missing columns{where}: " + _listed(missing),
        wanted="all of " + _listed(names),
        fix="; ".join(hints) or "give each of them, with missing values where nothing is known",
        details={"missing": missing, **({} if row is None else {"row": row})},
    )


def _listed(names: Sequence[str], limit: int = 30) -> str:
    shown = ", ".join(f"'{printable(str(name))}'" for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def _extra(found: Iterable[Any], names: Sequence[str]) -> tuple[str, ...]:
    known = set(names)
    return tuple(str(name) for name in found if name not in known)


# Polars


def _polars_column(name: str, values: NDArray[Any]) -> pl.Series:
    return pl.Series(name, values.tolist(), dtype=pl.String) if values.dtype == object else pl.Series(name, values)


def _polars_table(names: Sequence[str], values: NDArray[Any]) -> pl.DataFrame:
    return pl.DataFrame(values, schema=list(names), orient="row")


# pandas


def _from_pandas(frame: Any, names: Sequence[str]) -> Rows:
    import pandas as pd

    _refuse_duplicates(frame.columns)
    columns = {name: _pandas_values(frame[name]) for name in _present(frame.columns, names)}

    def give_column(name: str, values: NDArray[Any]) -> Any:
        return pd.Series(values, index=frame.index, name=name)

    def give_table(labels: Sequence[str], values: NDArray[Any]) -> Any:
        return pd.DataFrame(values, index=frame.index, columns=list(labels))

    return Rows(len(frame), columns, _extra(frame.columns, names), give_column, give_table)


def _pandas_values(series: Any) -> Values:
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        if dtype.kind != "O":
            return _numpy_values(series.to_numpy())
    elif getattr(dtype, "tz", None) is not None:
        naive = _numpy_values(series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy())
        return pl.Series(naive).dt.replace_time_zone("UTC")
    elif dtype.kind in "iufb" and not series.hasnans:
        return pl.Series(series.to_numpy(dtype=dtype.numpy_dtype))
    values = series.astype(object)
    return list(values.where(series.notna(), None))


# Arrow


def _from_arrow(table: Any, names: Sequence[str]) -> Rows:
    import pyarrow as pa

    _refuse_duplicates(table.schema.names)
    wanted = _present(table.schema.names, names)
    frame = pl.DataFrame(table.select(list(wanted)))
    columns: dict[str, Values] = {name: frame[name] for name in wanted}

    def give_column(name: str, values: NDArray[Any]) -> Any:
        return pa.array(values, type=pa.string() if values.dtype == object else None)

    def give_table(labels: Sequence[str], values: NDArray[Any]) -> Any:
        return pa.table({label: values[:, index] for index, label in enumerate(labels)})

    return Rows(table.num_rows, columns, _extra(table.schema.names, names), give_column, give_table)


def _refuse_duplicates(found: Iterable[Any]) -> None:
    seen: set[Any] = set()
    twice = [str(name) for name in found if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
    if twice:
        raise SchemaError(
            ErrorCode.BAD_COLUMN_NAMES,
            "columns with the same name: " + _listed(twice),
            fix="rename or drop all but one of each",
            details={"duplicates": twice},
        )


# Plain Python


def _from_mapping(rows: Mapping[Any, Any], names: Sequence[str]) -> Rows:
    wanted = _present(rows, names)
    is_column = {name: _is_column(rows[name]) for name in wanted}
    if any(is_column.values()) and not all(is_column.values()):
        single = [name for name in wanted if not is_column[name]]
        raise SchemaError(
            ErrorCode.WRONG_SHAPE,
            "some columns are lists and some single values: " + _listed(single),
            wanted="a list for every column, or one value for every column (one row)",
        )
    columns = {name: _python_values(rows[name]) if is_column[name] else [rows[name]] for name in wanted}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise SchemaError(
            ErrorCode.WRONG_SHAPE,
            "columns of different lengths: "
            + ", ".join(f"'{printable(name)}' {length}" for name, length in list(lengths.items())[:30]),
            wanted="one value for each row in every column",
        )
    num_rows = next(iter(lengths.values()), 0)
    return Rows(num_rows, columns, _extra(rows, names), _list_column, _list_table)


def _is_column(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray | pl.Series) or (
        hasattr(value, "__len__") and type(value).__module__.partition(".")[0] in {"pandas", "pyarrow"}
    )


def _python_values(values: Any) -> Values:
    if isinstance(values, list | pl.Series):
        return values
    if isinstance(values, np.ndarray):
        return _numpy_values(values)
    library = type(values).__module__.partition(".")[0]
    if library == "pandas":
        return _pandas_values(values)
    return pl.Series(values) if library == "pyarrow" else list(values)


def _from_dicts(rows: Sequence[Any], names: Sequence[str]) -> Rows:
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise SchemaError(
                ErrorCode.WRONG_SHAPE,
                f"row {number} (counted from 0) is of type {type(row).__name__}",
                wanted="a dict of column → value for every row",
            )
    try:
        columns: dict[str, Values] = {name: [row[name] for row in rows] for name in names}
    except KeyError:
        # A column that only some rows have is refused too: a row's answer never depends on its neighbours.
        for number, row in enumerate(rows):
            _present(row, names, number)
        raise
    wide = {name: None for row in rows if len(row) != len(names) for name in row}
    return Rows(len(rows), columns, _extra(wide, names), _list_column, _list_table)


def _list_column(name: str, values: NDArray[Any]) -> list[Any]:
    return list(values.tolist())


def _list_table(names: Sequence[str], values: NDArray[Any]) -> list[dict[str, Any]]:
    return [dict(zip(names, row, strict=True)) for row in values.tolist()]


# numpy


def _from_matrix(rows: NDArray[Any], names: Sequence[str]) -> Rows:
    if rows.ndim != 2 or rows.shape[1] != len(names):
        one_row = rows.ndim == 1 and len(rows) == len(names)
        raise SchemaError(
            ErrorCode.WRONG_SHAPE,
            f"got a numpy array of shape {rows.shape}",
            wanted=f"[rows, {len(names)}], with the columns in this order: {_listed(names)}",
            fix="for one row, use array.reshape(1, -1)" if one_row else "",
        )
    columns = {name: _numpy_values(rows[:, position]) for position, name in enumerate(names)}
    return Rows(len(rows), columns, (), _numpy_column, _numpy_table)


def _from_structured(rows: NDArray[Any], names: Sequence[str]) -> Rows:
    found = rows.dtype.names or ()
    flat = rows.ravel()
    columns = {name: _numpy_values(np.asarray(flat[name])) for name in _present(found, names)}
    return Rows(len(flat), columns, _extra(found, names), _numpy_column, _numpy_table)


def _numpy_values(values: NDArray[Any]) -> Values:
    if values.ndim != 1:
        raise SchemaError(
            ErrorCode.WRONG_SHAPE, f"got a column of shape {values.shape}", wanted="one value for each row"
        )
    kind = values.dtype.kind
    if kind in "iufb":
        exact = kind != "f" or values.dtype.itemsize in {4, 8}
        return pl.Series(values.astype(values.dtype.newbyteorder("=") if exact else np.float64, copy=False))
    if kind == "M":
        return pl.Series(values.astype("M8[us]"))
    return list(values.tolist())


def _numpy_column(name: str, values: NDArray[Any]) -> NDArray[Any]:
    return values


def _numpy_table(names: Sequence[str], values: NDArray[Any]) -> NDArray[Any]:
    return values
