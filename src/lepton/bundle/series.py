"""From rows of history to the tensor of a forecaster: `series` double [N, L, F], the last L steps of each series."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle.containers import Rows, read_rows
from lepton.bundle.encoding import TextEncoder, numeric_encoder
from lepton.bundle.frequency import Frequency
from lepton.bundle.interface import series_columns
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, SchemaError, printable

__all__ = ["PackedSeries", "SeriesInputs", "SeriesRows"]

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SeriesRows:
    """Rows of history, ordered by series and then time.

    Attributes:
        names: name of each series [N]; `""` where there is only one.
        starts: first row of each series, and the number of rows [N + 1].
        times: of each row: microseconds since 1970 UTC, or plain numbers [R].
        values: target and covariates of each row, missing is NaN [R, F - 1].
    """

    names: tuple[str, ...]
    starts: Integers
    times: Integers
    values: Doubles


@dataclass(frozen=True, slots=True)
class PackedSeries:
    """What a forecaster's graph takes.

    Attributes:
        names: of the series [N].
        last: time of the last row of each [N].
        tensor: time, target and covariates of the last L steps [N, L, F]; NaN where nothing is known.
    """

    names: tuple[str, ...]
    last: Integers
    tensor: Doubles


class SeriesInputs:
    """Packs rows of history for one forecaster; training and predicting read rows alike.

    Args:
        columns: the model's columns, whose roles say which is the time, the series and the target.
        frequency: of the series; None while it is not known.
        length: steps of history that the graph takes.
        horizon: steps that it forecasts.
    """

    numbers: tuple[ColumnRecord, ...] = ()
    strings: tuple[ColumnRecord, ...] = ()

    def __init__(
        self, columns: Sequence[ColumnRecord], frequency: Frequency | None = None, length: int = 0, horizon: int = 0
    ) -> None:
        self.columns = tuple(columns)
        self.names = tuple(column.name for column in self.columns)
        self.frequency, self.length, self.horizon = frequency, length, horizon
        ordered = series_columns(self.columns)
        self.time, self.target, self.covariates = ordered[0], ordered[1], ordered[2:]
        self.key = next((column for column in self.columns if column.role is Role.GROUP), None)
        self.codecs: dict[str, str] = {}

    @property
    def width(self) -> int:
        """F: time, target and covariates."""
        return 2 + len(self.covariates)

    def is_tensor(self, rows: Any) -> bool:
        """Whether `rows` is the `numbers` tensor of a table model: never."""
        return False

    def read(self, rows: Any, extra: Literal["refuse", "ignore"] = "ignore", *, ignored: Collection[str] = ()) -> Rows:
        """The rows as named columns; others than the model's are passed over."""
        return read_rows(rows, self.names)

    def row_tensors(self, rows: Rows) -> dict[str, NDArray[Any]]:
        """The graph's input for rows that were read already."""
        return {"series": self.pack_rows(rows).tensor}

    def sort(self, rows: Rows) -> SeriesRows:
        """Rows by series and time, in whatever order they came.

        Raises:
            SchemaError: a time is missing or twice in a series, a value is infinite or of another kind.
        """
        times = self._times(rows)
        values = [self._numbers(column, rows) for column in (self.target, *self.covariates)]
        codes, names = self._keys(rows)
        order = np.lexsort((times, codes))
        codes, times = codes[order], times[order]
        twice = np.flatnonzero((codes[1:] == codes[:-1]) & (times[1:] == times[:-1]))
        if len(twice):
            self._refuse_twice(names[codes[twice[0]]], int(times[twice[0]]), len(twice))
        starts = np.searchsorted(codes, np.arange(len(names) + 1))
        stacked = np.column_stack(values)[order] if len(order) else np.empty((0, self.width - 1))
        return SeriesRows(tuple(names), starts, times, stacked)

    def pack_rows(self, rows: Rows) -> PackedSeries:
        """The last steps of each series on their regular grid.

        Raises:
            SchemaError: as `sort`, or a time that is not on the grid.
        """
        found, frequency = self.sort(rows), self._frequency()
        tensor = np.full((len(found.names), self.length, self.width), np.nan)
        clock = frequency.on_clock(found.times)
        last = np.empty(len(found.names), dtype=np.int64)
        for number, name in enumerate(found.names):
            part = slice(found.starts[number], found.starts[number + 1])
            own = clock[part]
            self.check_grid(name, own, found.times[part])
            back = (own[-1:] - own) // frequency.count
            if frequency.unit == "month":
                back = frequency.steps(own[-1:]) - frequency.steps(own)
            inside = back < self.length
            tensor[number, self.length - 1 - back[inside], 0] = own[inside]
            tensor[number, self.length - 1 - back[inside], 1:] = found.values[part][inside]
            last[number] = own[-1]
        return PackedSeries(found.names, last, tensor)

    def check_grid(self, name: str, clock: Integers, times: Integers) -> None:
        """Raise `SchemaError` if times of a series are not whole steps apart."""
        frequency = self._frequency()
        off = frequency.off_grid(clock)
        if frequency.unit == "month" and not off.any():  # two days of one month
            off = np.diff(frequency.steps(clock), prepend=-(2**62)) == 0
        if off.any():
            raise SchemaError(
                ErrorCode.BAD_VALUE,
                f"{self.told(name)}{self.show_time(int(times[int(off.argmax())]))} is not a whole number of steps"
                f" after its first time ({int(off.sum())} of {len(off)} rows)",
                wanted=f"a regular step: {frequency.text}",
                fix="summarise the rows to regular steps first (lepton data clean: group and sum)",
            )

    def frame(self, packed: PackedSeries, answers: Mapping[str, NDArray[Any]]) -> pl.DataFrame:
        """Forecasts as rows: series, time, `forecast` and the interval, one row a step."""
        frequency = self._frequency()
        ahead = frequency.from_clock(frequency.after(packed.last, self.horizon)).ravel()
        columns = [pl.Series(self.time.name, ahead)]
        if self.time.kind is Kind.DATETIME:
            moments = columns[0].cast(pl.Datetime("us"))
            if self.time.time_zone is not None:
                moments = moments.dt.replace_time_zone("UTC").dt.convert_time_zone(self.time.time_zone)
            columns[0] = moments
        if self.key is not None:
            keys = np.repeat(np.array(packed.names, dtype=object), self.horizon).tolist()
            columns.insert(0, pl.Series(self.key.name, keys, dtype=pl.String))
        taken = {column.name for column in columns}
        names = [name for name in ("forecast", "lower", "upper") if name in answers]
        given = [pl.Series(f"{name}_" if name in taken else name, answers[name].ravel()) for name in names]
        return pl.DataFrame([*columns, *given])

    def metadata(self) -> str:
        """The `lepton.inputs` property of a graph."""
        from_columns = [
            {"name": c.name, "kind": str(c.kind), "unit": c.unit, "time_zone": c.time_zone}
            for c in (self.time, self.target, *self.covariates)
        ]
        return json.dumps({"series": from_columns}, ensure_ascii=False)

    def show_time(self, time: int) -> str:
        """A time for people."""
        if self.time.kind is not Kind.DATETIME:
            return str(time)
        return str(pl.Series([time]).cast(pl.Datetime("us"))[0])

    def told(self, name: str) -> str:
        """The beginning of a sentence about one series."""
        return f"'{printable(self.time.name)}' " if self.key is None else f"series '{printable(name)}': "

    def _frequency(self) -> Frequency:
        if self.frequency is None:
            raise DataError(ErrorCode.BAD_VALUE, "the frequency of the series is not known")
        return self.frequency

    def _times(self, rows: Rows) -> Integers:
        times = self._encoded(self.time, rows)
        missing = ~np.isfinite(times)
        if missing.any():
            self._refuse(self.time, int(missing.argmax()), int(missing.sum()), "missing", "a time in every row")
        parts = times != np.floor(times)
        if parts.any():
            row = int(parts.argmax())
            self._refuse(self.time, row, int(parts.sum()), str(times[row]), "whole numbers or dates")
        return times.astype(np.int64)

    def _numbers(self, column: ColumnRecord, rows: Rows) -> Doubles:
        values = self._encoded(column, rows)
        infinite = np.isinf(values)
        if infinite.any():
            self._refuse(column, int(infinite.argmax()), int(infinite.sum()), "infinite", "a number, or missing")
        return values

    def _encoded(self, column: ColumnRecord, rows: Rows) -> Doubles:
        values, encoder = rows.columns[column.name], numeric_encoder(column)
        encoded = encoder.cells(values) if isinstance(values, list) else encoder.series(values).to_numpy()
        return np.asarray(encoded, dtype=np.float64)

    def _keys(self, rows: Rows) -> tuple[Integers, list[str]]:
        if self.key is None:
            return np.zeros(rows.num_rows, dtype=np.int64), [""] if rows.num_rows else []
        values, encoder = rows.columns[self.key.name], TextEncoder(self.key)
        texts = pl.Series(
            encoder.cells(values) if isinstance(values, list) else encoder.series(values), dtype=pl.String
        )
        names = texts.unique(maintain_order=True)
        codes = texts.replace_strict(names, pl.int_range(len(names), eager=True), return_dtype=pl.Int64)
        return codes.to_numpy(), names.to_list()

    def _refuse(self, column: ColumnRecord, row: int, count: int, came: str, wanted: str) -> None:
        raise SchemaError(
            ErrorCode.BAD_VALUE,
            f"column '{printable(column.name)}' is {came} in {count} rows, first in row {row} (counted from 0)",
            wanted=wanted,
            fix="drop these rows or give their values",
            details={"column": column.name, "row": row},
        )

    def _refuse_twice(self, name: str, time: int, count: int) -> None:
        fix = "sum or average the rows of one time first"
        if self.key is None:
            fix += ", or name the column that tells series apart (series=, --series)"
        raise SchemaError(
            ErrorCode.BAD_VALUE,
            f"{self.told(name)}the time {self.show_time(time)} is there twice ({count} such times)",
            wanted="each time once in a series",
            fix=fix,
        )
