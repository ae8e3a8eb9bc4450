"""The series of a table on their regular grid: roles of the columns, the frequency and what was decided on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle.containers import read_rows
from lepton.bundle.frequency import DAY, Frequency
from lepton.bundle.series import SeriesInputs, SeriesRows
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, UsageError, printable
from lepton.data import Dataset

__all__ = ["Panel", "Series", "read_panel"]

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

_MOST_STEPS = 20_000_000  # of all grids together
_MOST_COLUMNS = 200
_MOST_SHARE_OF_GAPS = 0.75
_SHORTEST_MONTH, _LONGEST_MONTH = 28 * DAY, 31 * DAY


@dataclass(frozen=True)
class Series:
    """One series on its grid.

    Attributes:
        name: its key; `""` where there is only one.
        first: number of its first step; steps of all series are counted from the same point.
        times: time of each step on the clock; those of gaps too [T].
        values: target and covariates of each step, missing is NaN [T, F - 1].
    """

    name: str
    first: int
    times: Integers
    values: Doubles

    @property
    def target(self) -> Doubles:
        """The target [T]."""
        return self.values[:, 0]

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class Panel:
    """All series that can be learned from.

    Attributes:
        inputs: reads rows as the model will.
        series: on their grids, longest first.
        notes: decisions, for people.
    """

    inputs: SeriesInputs
    series: tuple[Series, ...]
    notes: tuple[str, ...]

    @property
    def frequency(self) -> Frequency:
        """The step of all series."""
        found = self.inputs.frequency
        if found is None:
            raise DataError(ErrorCode.BAD_VALUE, "the frequency of the series is not known")
        return found

    @property
    def longest(self) -> int:
        """Steps of the longest series."""
        return max(map(len, self.series))

    @property
    def end(self) -> int:
        """The step behind the last of all series."""
        return max(series.first + len(series) for series in self.series)


def read_panel(dataset: Dataset, *, target: str, time: str | None, series: str | None) -> Panel:
    """Read the series of a table.

    Args:
        dataset: its rows may stand in any order.
        target: column to forecast.
        time: column of the time; None for the one that has the role, or the only date.
        series: column that tells series apart; None for the one with the role `group`, or for one series.

    Raises:
        DataError: no time, an irregular step, a time that is there twice, a target that is no number or never known.
    """
    columns, notes = _columns(dataset, target, time, series)
    inputs = SeriesInputs(columns)
    _check_raw(dataset, inputs)
    frame = dataset.frame().select(inputs.names)
    if not frame.height:
        raise DataError(ErrorCode.EMPTY_DATA, "there are no rows", wanted="rows of history")
    rows = inputs.sort(read_rows(frame, inputs.names))
    inputs.frequency = _frequency(rows, inputs.time)
    notes.append(f"the series go {inputs.frequency.text} (by the times of '{printable(inputs.time.name)}')")
    clock = inputs.frequency.on_clock(rows.times)
    found, steps = [], 0
    for number, name in enumerate(rows.names):
        part = slice(rows.starts[number], rows.starts[number + 1])
        inputs.check_grid(name, clock[part], rows.times[part])
        found.append(_on_grid(name, clock[part], rows.values[part], inputs.frequency, _MOST_STEPS - steps))
        steps += len(found[-1])
    return _usable(inputs, found, notes)


def _check_raw(dataset: Dataset, inputs: SeriesInputs) -> None:
    """Refuse series that a recipe's row steps made: the graph takes values by time and has no place for them."""
    if dataset.lineage is not None and any(step.scope == "row" for step in dataset.lineage.recipe.steps):
        raise DataError(
            ErrorCode.NO_GRAPH_FORM,
            "the table was cleaned by steps on rows, which a forecaster's graph cannot hold",
            fix="train on table.without_recipe(), or save the cleaned table and train on the file",
        )


def _on_grid(name: str, clock: Integers, values: Doubles, frequency: Frequency, most: int) -> Series:
    steps = frequency.steps(clock)
    if frequency.unit != "month":
        steps = steps[0] + (clock - clock[0]) // frequency.count
    length = int(steps[-1] - steps[0]) + 1
    if length > most:
        came = (
            f"there are more than {_MOST_STEPS:,} steps {frequency.text} between the first and last times of the series"
        )
        raise DataError(ErrorCode.BAD_VALUE, came, wanted=f"at most {_MOST_STEPS:,}", fix="summarise to longer steps")
    grid = np.full((length, values.shape[1]), np.nan)
    grid[steps - steps[0]] = values
    times = np.concatenate([clock[:1], frequency.after(clock[:1], length - 1)[0]]) if length > 1 else clock[:1]
    return Series(name, int(steps[0]), times, grid)


def _usable(inputs: SeriesInputs, found: Sequence[Series], notes: list[str]) -> Panel:
    """Series that say something, cut to where their target is known."""
    target = printable(inputs.target.name)
    kept, empty = [], []
    gaps = cells = 0
    for series in found:
        known = np.flatnonzero(~np.isnan(series.target))
        if not len(known):
            empty.append(series.name)
            continue
        part = slice(int(known[0]), int(known[-1]) + 1)
        cut = Series(series.name, series.first + part.start, series.times[part], series.values[part])
        kept.append(cut)
        cells += len(cut)
        gaps += len(cut) - len(known)
    if not kept:
        raise DataError(
            ErrorCode.BAD_TARGET, f"the target '{target}' is missing in every row", wanted="numbers in most rows"
        )
    if gaps > _MOST_SHARE_OF_GAPS * cells:
        raise DataError(
            ErrorCode.BAD_VALUE,
            f"{gaps:,} of {cells:,} steps have no value: {notes[-1]}",
            wanted="a value at most steps",
            fix="summarise the rows to longer regular steps first",
        )
    if gaps:
        notes.append(
            f"{gaps:,} of {cells:,} steps have no value: read as one season earlier, or as the last value before"
        )
    if empty:
        notes.append(f"{len(empty)} series have no value and were left out: {', '.join(map(printable, empty[:5]))}")
    constant = sum(float(np.nanmin(s.target)) == float(np.nanmax(s.target)) for s in kept)
    if constant == len(kept):
        raise DataError(
            ErrorCode.BAD_TARGET,
            f"the target '{target}' never changes",
            wanted="a series with at least two different values",
        )
    if constant:
        notes.append(f"{constant} of {len(kept)} series never change; they do not count in the score")
    kept.sort(key=lambda series: (-len(series), series.name))
    return Panel(inputs, tuple(kept), tuple(notes))


# --- columns and frequency -------------------------------------------------------------------------------------


def _columns(
    dataset: Dataset, target: str, time: str | None, series: str | None
) -> tuple[tuple[ColumnRecord, ...], list[str]]:
    schema, notes = dataset.schema, []
    schema[target]
    time = time or _by_role(dataset, Role.TIME) or _only_date(dataset, target)
    series = series or _by_role(dataset, Role.GROUP)
    names = [name for name in (target, time, series) if name]
    if len(set(names)) < len(names):
        raise UsageError(
            ErrorCode.USAGE, f"got target={target!r}, time={time!r}, series={series!r}", wanted="different columns"
        )
    if schema[target].kind not in {Kind.NUMBER, Kind.BOOLEAN}:
        raise DataError(
            ErrorCode.BAD_TARGET,
            f"the target '{printable(target)}' is of kind {schema[target].kind}",
            wanted="a number",
            fix=f"--kind {printable(target)}=number, if its texts are numbers",
        )
    when = schema[time]
    if when.kind is Kind.IDENTIFIER:  # whole numbers that count up look like one
        when = replace(when, kind=Kind.NUMBER)
    if when.kind not in {Kind.DATETIME, Kind.NUMBER}:
        raise DataError(
            ErrorCode.WRONG_KIND,
            f"the time '{printable(time)}' is of kind {schema[time].kind}",
            wanted="dates of one form and one time zone, or whole numbers",
            fix=f"--kind {printable(time)}=datetime",
        )
    chosen = [replace(when, role=Role.TIME), replace(schema[target], role=Role.TARGET)]
    if series:
        key = schema[series]
        # Numbers that name series are read as their texts, whatever the column was taken for.
        kind = key.kind if key.kind in {Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER} else Kind.CATEGORY
        chosen.append(replace(key, role=Role.GROUP, kind=kind))
    passed_over, too_many = [], list[ColumnRecord]()
    for column in schema:
        if column.name in names or column.role is Role.IGNORED:
            continue
        if column.kind in {Kind.NUMBER, Kind.BOOLEAN} and column.role is Role.FEATURE:
            (chosen if len(chosen) < _MOST_COLUMNS else too_many).append(column)
        else:
            passed_over.append(column.name)
    if too_many:
        notes.append(f"past covariates are the first {_MOST_COLUMNS - len(names)}: {len(too_many)} more are not used")
    if passed_over:
        told = ", ".join(f"'{printable(name)}'" for name in passed_over[:10])
        notes.append(f"not used, because history holds numbers only: {told}")
    return tuple(chosen), notes


def _by_role(dataset: Dataset, role: Role) -> str | None:
    found = dataset.schema.of_role(role)
    if len(found) > 1:
        names = ", ".join(repr(c.name) for c in found)
        raise DataError(ErrorCode.BAD_VALUE, f"the columns {names} all have the role {role}", wanted="at most one")
    return found[0].name if found else None


def _only_date(dataset: Dataset, target: str) -> str:
    dates = [c.name for c in dataset.schema if c.kind is Kind.DATETIME and c.name != target]
    if len(dates) != 1:
        shown = ", ".join(repr(name) for name in dates) or "none"
        raise UsageError(
            ErrorCode.USAGE,
            f"it was not said which column is the time; dates are {shown}",
            wanted="time= (--time) with the name of a column",
        )
    return dates[0]


def _frequency(rows: SeriesRows, time: ColumnRecord) -> Frequency:
    """The commonest step between neighbouring times, in months where that is what they are."""
    steps = np.diff(rows.times)
    steps = np.delete(steps, rows.starts[1:-1] - 1)
    if not len(steps):
        raise DataError(
            ErrorCode.TOO_FEW_ROWS,
            f"every series has one time only (in '{printable(time.name)}')",
            wanted="several times in a series",
        )
    if time.kind is not Kind.DATETIME:
        return Frequency("number", _commonest(steps))
    zone = time.time_zone if time.time_zone not in {None, "UTC"} else None
    step = _commonest(steps)
    local = Frequency("duration", max(step, 1), time_zone=zone).on_clock(rows.times)
    if step >= _SHORTEST_MONTH:
        monthly = _monthly(local, rows, zone)
        if monthly is not None:
            return monthly
    if step < DAY - DAY // 24 or zone is None:
        return Frequency("duration", step)
    on_clock = np.delete(np.diff(local), rows.starts[1:-1] - 1)
    return Frequency("duration", _commonest(on_clock), time_zone=zone)


def _monthly(local: Integers, rows: SeriesRows, zone: str | None) -> Frequency | None:
    days = local // DAY
    month = days.astype("M8[D]").astype("M8[M]")
    in_month = days - month.astype("M8[D]").astype(np.int64)
    last = (month + 1).astype("M8[D]").astype(np.int64) - 1 == days
    starts = bool((in_month == in_month[0]).all())
    if not starts and not last.all():
        return None
    months = np.delete(np.diff(month.astype(np.int64)), rows.starts[1:-1] - 1)
    if (months < 1).any():
        return None
    return Frequency("month", _commonest(months), at_end=bool(last.all()), time_zone=zone)


def _commonest(steps: NDArray[Any]) -> int:
    values, counts = np.unique(steps, return_counts=True)
    return int(values[int(counts.argmax())])
