"""Tables that are in memory already: Polars, pandas, Arrow, numpy, dicts and lists."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from lepton.core import DataError, ErrorCode, UsageError, printable
from lepton.data.decisions import DecisionRecord
from lepton.data.formats.base import SAMPLE_ROWS, Chunk, Source, check_columns, usable_columns
from lepton.data.formats.objects import adapter_of

__all__ = ["MemorySource", "frame_of_rows", "open_memory", "series_of"]

_TAKEN = (
    "a path or URL, a Polars or pandas DataFrame, a LazyFrame, an Arrow table, a numpy matrix or structured array, a "
    "dict of columns, a list of dicts, a Hugging Face dataset, or what scikit-learn's load_... gives"
)
_CHUNK_CELLS = 5_000_000


def open_memory(table: Any) -> Source:
    """Open a table in memory; `UsageError` for anything that is none."""
    if isinstance(table, pl.LazyFrame):
        return LazySource(table)
    if isinstance(table, pl.DataFrame):
        return MemorySource(table)
    if isinstance(table, np.ndarray):
        return MemorySource(_of_array(table))
    if adapt := adapter_of(table):
        return _adapted(*adapt(table))
    if isinstance(table, Mapping):
        return MemorySource(_of_columns(table))
    library = type(table).__module__.partition(".")[0]
    if library == "pandas" and type(table).__name__ == "DataFrame":
        return MemorySource(_of_columns({str(name): table.iloc[:, i] for i, name in enumerate(_unique(table.columns))}))
    if library == "pyarrow" and type(table).__name__ in {"Table", "RecordBatch"}:
        _unique(table.schema.names)
        frame = pl.from_arrow(table)
        return MemorySource(frame if isinstance(frame, pl.DataFrame) else frame.to_frame())
    if isinstance(table, Sequence) and not isinstance(table, str | bytes):
        return MemorySource(frame_of_rows(table))
    raise UsageError(ErrorCode.USAGE, f"got a source of type {type(table).__name__}", wanted=_TAKEN)


def _adapted(table: Any, decisions: tuple[DecisionRecord, ...]) -> Source:
    source = open_memory(table)
    source.decisions = (*decisions, *source.decisions)
    return source


class MemorySource(Source):
    """A frame in memory."""

    def __init__(self, frame: pl.DataFrame, file: str = "") -> None:
        usable = usable_columns(dict(frame.schema), file or "the table")
        self.file = file
        self.frame = frame.select(usable.select(usable.columns))
        self.columns = usable.columns
        self.decisions = usable.decisions
        self.num_rows = frame.height

    def chunks(
        self,
        names: Sequence[str],
        direct: Mapping[str, pl.DataType] | None = None,
        markers: Sequence[str] = (),
    ) -> Iterator[Chunk]:
        """See `Source.chunks`."""
        step = max(_CHUNK_CELLS // len(names), 10_000)
        for start in range(0, self.frame.height, step):
            yield Chunk(self.frame.select(names).slice(start, step), self.file, start + 1)

    def sample(self) -> pl.DataFrame:
        """See `Source.sample`."""
        return self.frame.head(SAMPLE_ROWS)


class LazySource(Source):
    """A Polars query, collected in slices: its order of rows must be the same each time."""

    def __init__(self, query: pl.LazyFrame) -> None:
        try:
            schema = dict(query.collect_schema())
        except pl.exceptions.PolarsError as error:
            raise _query_failed(error) from None
        usable = usable_columns(schema, "the query")
        self.columns = usable.columns
        self.decisions = usable.decisions
        self.query = query.select(usable.select(usable.columns))

    def chunks(
        self,
        names: Sequence[str],
        direct: Mapping[str, pl.DataType] | None = None,
        markers: Sequence[str] = (),
    ) -> Iterator[Chunk]:
        """See `Source.chunks`."""
        step = max(_CHUNK_CELLS // len(names), 10_000)
        start = 0
        while True:
            frame = self._collected(self.query.select(names).slice(start, step))
            if frame.height:
                yield Chunk(frame, first_row=start + 1)
            start += frame.height
            if frame.height < step:
                break
        self.num_rows = start

    def sample(self) -> pl.DataFrame:
        """See `Source.sample`."""
        return self._collected(self.query.select(list(self.columns)).head(SAMPLE_ROWS))

    def _collected(self, query: pl.LazyFrame) -> pl.DataFrame:
        try:
            return query.collect()
        except pl.exceptions.PolarsError as error:
            raise _query_failed(error) from None


def _query_failed(error: pl.exceptions.PolarsError) -> DataError:
    return DataError(ErrorCode.UNREADABLE, f"the query failed: {printable(str(error))}")


def _unique(names: Sequence[Any]) -> tuple[str, ...]:
    """The names as texts, if they can be column names; libraries disagree on what two equal ones would mean."""
    return check_columns([str(name) for name in names], "the table")


def _of_array(array: np.ndarray[Any, Any]) -> pl.DataFrame:
    if array.dtype.names:
        if array.ndim != 1:
            raise DataError(
                ErrorCode.WRONG_SHAPE, f"got a structured array of shape {array.shape}", wanted="one dimension"
            )
        return _of_columns({name: array[name] for name in array.dtype.names})
    if array.ndim != 2:
        raise DataError(ErrorCode.WRONG_SHAPE, f"got an array of shape {array.shape}", wanted="two dimensions")
    return _of_columns({f"column_{i}": array[:, i - 1] for i in range(1, array.shape[1] + 1)})


def _of_columns(columns: Mapping[Any, Any]) -> pl.DataFrame:
    names = _unique(list(columns))
    series = [series_of(name, values) for name, values in zip(names, columns.values(), strict=True)]
    sizes = {name: len(s) for name, s in zip(names, series, strict=True)}
    if len(set(sizes.values())) > 1:
        first, size = names[0], len(series[0])
        other, other_size = next(pair for pair in sizes.items() if pair[1] != size)
        raise DataError(
            ErrorCode.RAGGED_ROWS,
            f"column '{printable(first)}' has {size:,} values and '{printable(other)}' {other_size:,}",
            wanted="columns of one length",
        )
    return pl.DataFrame(series)


def frame_of_rows(rows: Sequence[Any]) -> pl.DataFrame:
    """A frame from a list of dicts: every key is a column, in the order in which keys come."""
    if not rows:
        raise DataError(ErrorCode.EMPTY_DATA, "got a list of no rows", wanted="at least one row")
    names: dict[Any, None] = {}
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise UsageError(ErrorCode.USAGE, f"row {number:,} is a {type(row).__name__}", wanted="a list of dicts")
        names.update(dict.fromkeys(row))
    return _of_columns({name: [row.get(name) for row in rows] for name in names})


def series_of(name: str, values: Any) -> pl.Series:
    """One column from a Series, an array or Python values; mixed values become texts.

    Raises:
        DataError: values that a table cannot hold.
    """
    if isinstance(values, pl.Series):
        return values.alias(name)
    library = type(values).__module__.partition(".")[0]
    try:
        if isinstance(values, np.ndarray) and values.dtype != object:
            if values.ndim != 1:
                raise DataError(
                    ErrorCode.WRONG_SHAPE,
                    f"column '{printable(name)}' has the shape {values.shape}",
                    wanted="one dimension",
                )
            return pl.Series(name, values if values.dtype.kind not in "SU" else values.astype(str).tolist())
        if library == "pandas" and values.dtype != object:
            return pl.Series(name, values)
        if library == "pyarrow":
            return pl.Series(name, values)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            ErrorCode.UNREADABLE, f"column '{printable(name)}' cannot be read: {printable(str(error))}"
        ) from None
    if not hasattr(values, "__iter__") or isinstance(values, str | bytes | Mapping):
        raise UsageError(
            ErrorCode.USAGE, f"column '{printable(name)}' is a {type(values).__name__}", wanted="a list of values"
        )
    return _of_values(name, [_plain(value) for value in values])


def _of_values(name: str, values: list[Any]) -> pl.Series:
    types = {type(value) for value in values if value is not None}
    try:
        if types <= {bool}:
            return pl.Series(name, values, dtype=pl.Boolean if types else pl.Null)
        if types <= {int}:
            return pl.Series(name, values, dtype=pl.Int64)
        if types <= {int, float}:
            return pl.Series(name, values, dtype=pl.Float64, strict=False)
        if types <= {str}:
            return pl.Series(name, values, dtype=pl.String)
        if types <= {dt.datetime} or types <= {dt.date}:
            return pl.Series(name, values)
        if types & {list, tuple, dict, set, np.ndarray}:
            return pl.Series(
                name, [None if value is None else [str(value)] for value in values], dtype=pl.List(pl.String)
            )
        return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)
    except (OverflowError, TypeError, ValueError, pl.exceptions.PolarsError):
        return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)


def _plain(value: Any) -> Any:
    """A Python value; None for what pandas calls missing."""
    if type(value) in (str, int, float, bool) or value is None:
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Decimal):
        return float(value)
    if type(value).__name__ in {"NAType", "NaTType"}:
        return None
    if type(value).__name__ == "Timestamp":
        return value.to_pydatetime()
    return str(value) if isinstance(value, str) else value
