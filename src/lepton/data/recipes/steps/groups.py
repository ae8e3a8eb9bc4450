"""Sums and other summaries of rows: by key, by key and time window, and of the time before each row.

What can be merged is summed piece by piece, in pieces of one size, so that the same rows give the same answer however
they come; medians, quantiles and counts of different values are read off the values in order, which may lie on disk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, Schema, UsageError, check_label, printable
from lepton.core.budgets import parse_duration
from lepton.data.recipes.base import BoundTableStep, Frames, RecipeStep, RunContext, Scope
from lepton.data.recipes.expression_forms import without_zone
from lepton.data.recipes.sorting import PIECE, ROW, even_pieces, numbered, sorted_rows

__all__ = ["FUNCTIONS", "Aggregate", "BoundAggregate", "BoundRolling", "Summary", "Window"]

FUNCTIONS = ("count", "sum", "mean", "std", "min", "max", "first", "last", "median", "quantile", "n_unique")
"""Summaries by name: `count()` counts rows, `count(x)` values that are there, `quantile(x, 0.9)` takes a share."""

_CALL = re.compile(r"\s*([a-z_]+)\s*\(\s*(?:`([^`]+)`|([^`,()]*?))\s*(?:,\s*([0-9.]{1,20})\s*)?\)\s*")
_NUMBERS = frozenset({"sum", "mean", "std", "median", "quantile"})
_IN_ORDER = frozenset({"median", "quantile", "n_unique"})
_LONGEST = 100_000 * 86_400  # seconds
_ALL = "\0all"
_GROUP = "\0group"


@dataclass(frozen=True)
class Summary:
    """One summary, such as `mean(amount)`.

    Attributes:
        name: of the column that it gives.
        function: one of `FUNCTIONS`.
        column: what it looks at; "" for `count()`.
        share: of `quantile`; 0.5 for `median`.
    """

    name: str
    function: str
    column: str = ""
    share: float = 0.5

    @classmethod
    def of(cls, step: str, name: str, text: object) -> Summary:
        """Read `function(column)`; `UsageError` for anything else."""
        check_label(name, "column")
        match = _CALL.fullmatch(text) if isinstance(text, str) and len(text) <= 400 else None
        function = match[1] if match else ""
        column = (match[2] or match[3]) if match else ""
        share = match[4] if match else None
        fits = (
            match is not None
            and function in FUNCTIONS
            and (bool(column) or function == "count")
            and (share is not None) == (function == "quantile")
        )
        if not fits or (share is not None and not (share.count(".") <= 1 and share != "." and 0 <= float(share) <= 1)):
            raise UsageError(
                ErrorCode.BAD_RECIPE,
                f"{step}: got {printable(name)}={printable(str(text), 80)!r}",
                wanted="count(), quantile(column, 0.9), or one of these of a column: " + ", ".join(FUNCTIONS),
            )
        return cls(name, function, column, 0.5 if share is None else float(share))

    def record(self, step: str, schema: Schema) -> ColumnRecord:
        """The column that it gives; `DataError` where the column does not fit."""
        if not self.column:
            return ColumnRecord(self.name, Kind.NUMBER, "int64")
        source = schema[self.column]
        wanted = (Kind.NUMBER, Kind.BOOLEAN) if self.function in _NUMBERS else tuple(Kind)
        wanted = (Kind.NUMBER, Kind.BOOLEAN, Kind.DATETIME) if self.function in {"min", "max"} else wanted
        if source.kind not in wanted:
            raise DataError(
                ErrorCode.WRONG_KIND,
                f"{step}: {self.function} of column '{printable(source.name)}', which is of kind {source.kind}",
                wanted=" or ".join(wanted),
            )
        role = {Role.TARGET: Role.IGNORED, Role.PROTECTED: Role.PROTECTED}.get(source.role, Role.FEATURE)
        if self.function in {"count", "n_unique"}:
            return ColumnRecord(self.name, Kind.NUMBER, "int64", role=role)
        if self.function in _NUMBERS:
            unit = source.unit if source.kind is Kind.NUMBER else None
            return ColumnRecord(self.name, Kind.NUMBER, "float64", unit=unit, role=role)
        return ColumnRecord(
            self.name, source.kind, source.dtype, unit=source.unit, time_zone=source.time_zone, role=role
        )


@dataclass(frozen=True)
class Aggregate(RecipeStep):
    """Makes one row of all rows that have the same keys: `aggregate("town", {"income": "mean(income)"})`.

    The rows come out in order of the keys, missing last. Missing values are passed over; a count of none is 0, any
    other summary of none is missing.

    Attributes:
        by: key columns; () makes one row of the whole table.
        values: new column → summary: `count()`, or `count sum mean std min max first last median n_unique` of a column,
            such as `sum(amount)`, or `quantile(amount, 0.9)`.
    """

    name: ClassVar[str] = "aggregate"
    scope: ClassVar[Scope] = Scope.TABLE
    by: tuple[str, ...]
    values: Mapping[str, str]

    def __post_init__(self) -> None:
        """Reads the summaries, so that a mistake is found where it is written."""
        super().__post_init__()
        _summaries(self.name, self.values)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundAggregate:
        """Check the kinds of the columns."""
        return _bound_aggregate(self.name, schema, self.by, self.values, None)


@dataclass(frozen=True)
class Window(RecipeStep):
    """Summaries over time: of each window of time, or of the time before each row.

    `window("when", "7d", {"visits": "count()"}, by="person", how="rolling")` adds to each row how many rows of
    that person lie in the seven days before it. The row itself and those of the same moment are not looked at, nor
    later ones, so that nothing of what is to be predicted comes in.

    Attributes:
        time: a datetime column.
        every: length of a window, such as `15m`, `6h`, `7d`.
        values: new column → summary, as in `aggregate`; of the time before each row, `first`, `last` and
            `n_unique` are not there.
        by: key columns; windows never mix rows of different keys.
        how: `tumbling` makes one row of each key and window, at the time when the window begins (in UTC, counted from
            1970); `rolling` adds columns to every row, whose order stays.
    """

    name: ClassVar[str] = "window"
    scope: ClassVar[Scope] = Scope.TABLE
    time: str
    every: str
    values: Mapping[str, str]
    by: tuple[str, ...] = ()
    how: Literal["tumbling", "rolling"] = "tumbling"

    def __post_init__(self) -> None:
        """Reads length and summaries, so that a mistake is found where it is written."""
        super().__post_init__()
        summaries = _summaries(self.name, self.values)
        if parse_duration(self.every, "every") > _LONGEST:
            raise UsageError(ErrorCode.BAD_RECIPE, f"window: got every={self.every!r}", wanted="at most 100,000 days")
        if self.how == "rolling" and (strange := [s for s in summaries if s.function not in _ROLLING]):
            raise UsageError(
                ErrorCode.BAD_RECIPE,
                f"window: '{strange[0].function}' of the time before a row is not there",
                wanted="one of " + ", ".join(_ROLLING),
            )

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundAggregate | BoundRolling:
        """Check the kinds of the columns."""
        if schema[self.time].kind is not Kind.DATETIME:
            raise DataError(
                ErrorCode.WRONG_KIND,
                f"window: column '{printable(self.time)}' is of kind {schema[self.time].kind}",
                wanted="a datetime",
                fix=f"parse_dates('{printable(self.time)}')",
            )
        if self.time in self.by:
            raise UsageError(ErrorCode.BAD_RECIPE, "window: the time is also a key", wanted="other keys")
        length = max(round(parse_duration(self.every, "every") * 1e6), 1)
        if self.how == "tumbling":
            return _bound_aggregate(self.name, schema, (*self.by, self.time), self.values, length)
        summaries = _summaries(self.name, self.values)
        records = tuple(summary.record(self.name, schema) for summary in summaries)
        for summary in summaries:
            if summary.column and summary.function in {"min", "max"} and schema[summary.column].kind is not Kind.NUMBER:
                raise DataError(
                    ErrorCode.WRONG_KIND,
                    f"window: {summary.function} of column '{printable(summary.column)}' over the time before a row",
                    wanted="a number",
                )
        _refuse_twice(self.name, (*schema.names, *self.values))
        by = tuple(schema[name].name for name in self.by)
        return BoundRolling(schema, by, self.time, length, summaries, records)


def _summaries(step: str, values: Mapping[str, str]) -> tuple[Summary, ...]:
    if not values:
        raise UsageError(ErrorCode.BAD_RECIPE, f"{step}: got no values", wanted="for example {'rows': 'count()'}")
    return tuple(Summary.of(step, name, text) for name, text in values.items())


def _bound_aggregate(
    step: str, schema: Schema, by: tuple[str, ...], values: Mapping[str, str], length: int | None
) -> BoundAggregate:
    summaries = _summaries(step, values)
    keys = tuple(schema[name] for name in by)
    _refuse_twice(step, (*by, *values))
    if length is not None:  # the beginning of a window is written in UTC
        keys = (*keys[:-1], replace(keys[-1], time_zone=None, datetime_format=None))
    return BoundAggregate(schema, keys, summaries, tuple(s.record(step, schema) for s in summaries), length)


def _refuse_twice(step: str, names: tuple[str, ...]) -> None:
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise UsageError(
            ErrorCode.BAD_RECIPE, f"{step}: the column '{printable(twice[0])}' would be there twice", fix="another name"
        )


# --- by key -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BoundAggregate(BoundTableStep):
    """`Aggregate`, or a tumbling `Window`, on columns.

    Attributes:
        keys: columns of the keys as they come out.
        summaries: what is wanted.
        records: their columns.
        length: microseconds of a window of the last key; None: the keys are as they are.
    """

    keys: tuple[ColumnRecord, ...]
    summaries: tuple[Summary, ...]
    records: tuple[ColumnRecord, ...]
    length: int | None

    @property
    def schema(self) -> Schema:
        """Keys and summaries."""
        return Schema((*self.keys, *self.records))

    @property
    def reads(self) -> tuple[str, ...]:
        """Keys and what is summarised."""
        columns = (summary.column for summary in self.summaries if summary.column)
        return tuple(dict.fromkeys((*(key.name for key in self.keys), *columns)))

    @property
    def writes(self) -> tuple[str, ...]:
        """The summaries, and the time where it becomes the beginning of a window."""
        window = () if self.length is None else (self.keys[-1].name,)
        return (*window, *(record.name for record in self.records))

    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """Merge the summaries of pieces in order of the keys, then add those that need the values in order."""
        by = [key.name for key in self.keys] or [_ALL]
        merged = self._merged(lambda: self._keyed(frames), by, context)
        in_order = [n for n, summary in enumerate(self.summaries) if summary.function in _IN_ORDER]
        if in_order:
            if not (found := list(merged)):
                return
            groups = pl.concat(found)
            for number in in_order:
                groups = groups.with_columns(self._read_off(number, lambda: self._keyed(frames), by, groups, context))
            merged = iter([groups])
        for frame in merged:
            finals = [self._final(n, s).alias(s.name) for n, s in enumerate(self.summaries)]
            yield from frame.select(*(by if self.keys else []), *finals).iter_slices(PIECE)

    def _keyed(self, frames: Frames) -> Iterator[pl.DataFrame]:
        """The columns that are needed, under names of their own: keys, and `v<number>` for each summary."""
        values = [
            (pl.col(s.column) if s.function not in _NUMBERS else pl.col(s.column).cast(pl.Float64)).alias(f"v{n}")
            for n, s in enumerate(self.summaries)
            if s.column
        ]
        keys: list[pl.Expr] = [
            # 0.0 and -0.0 are one key
            pl.col(key.name) + 0.0 if key.dtype == "float64" else pl.col(key.name)
            for key in self.keys
        ] or [pl.lit(0, dtype=pl.Int8).alias(_ALL)]
        if self.length is not None:
            micros = without_zone(pl.col(self.keys[-1].name)).to_physical()
            keys[-1] = (micros // self.length * self.length).cast(pl.Datetime("us")).alias(self.keys[-1].name)
        for frame in frames():
            if values:
                yield frame.select(*keys, *values)
            else:
                yield (
                    frame.select(*keys)
                    if self.keys
                    else frame.select(pl.repeat(0, pl.len(), dtype=pl.Int8).alias(_ALL))
                )

    def _merged(self, frames: Frames, by: list[str], context: RunContext) -> Iterator[pl.DataFrame]:
        """One row for each group with the parts of all summaries, in order of the keys."""
        first, again = self._parts()

        def parts() -> Iterator[pl.DataFrame]:
            for piece in even_pieces(frames()):
                context.work.check()
                yield piece.group_by(by, maintain_order=True).agg(first)

        held: pl.DataFrame | None = None
        for frame in sorted_rows(numbered(parts()), by, context):
            rows = frame if held is None else pl.concat([held, frame])
            # The last group may go on in the next frame.
            groups = rows.group_by(by, maintain_order=True).agg(*again, pl.col(ROW).last())
            yield groups[:-1].drop(ROW)
            held = groups[-1:].select(frame.columns)
        if held is not None:
            yield held.drop(ROW)

    def _parts(self) -> tuple[list[pl.Expr], list[pl.Expr]]:
        """What is kept of a piece for each summary, and how two pieces' are merged."""
        first, again = [], []
        for number, summary in enumerate(self.summaries):
            for part, (of_rows, of_parts) in _PARTS[summary.function].items():
                name = f"{part}{number}"
                value = pl.col(f"v{number}") if summary.column else pl.lit(0)
                first.append((of_rows(value) if summary.column else pl.len().cast(pl.Int64)).alias(name))
                again.append(of_parts(str(number)).alias(name))
        return first, again

    def _final(self, number: int, summary: Summary) -> pl.Expr:
        """The summary from its parts."""
        count, total = pl.col(f"n{number}"), pl.col(f"s{number}")
        if summary.function in {"count", "n_unique"}:
            return pl.col(f"n{number}" if summary.function == "count" else f"r{number}")
        if summary.function == "sum":
            return pl.when(count > 0).then(total)
        if summary.function == "mean":
            return pl.when(count > 0).then(total / count)
        if summary.function == "std":
            return pl.when(count > 1).then((pl.col(f"q{number}") / (count - 1)).sqrt())
        return pl.col(f"r{number}")

    def _read_off(
        self, number: int, frames: Frames, by: list[str], groups: pl.DataFrame, context: RunContext
    ) -> pl.Series:
        """The quantile of each group, or how many different values it has, from the values in order."""
        value = f"v{number}"
        summary = self.summaries[number]
        numbers = groups.select(*by, pl.int_range(groups.height, dtype=pl.Int64).alias(_GROUP))
        kept = (frame.select(*by, value).drop_nulls(value) for frame in frames())
        reader = (
            _Distinct(groups.height)
            if summary.function == "n_unique"
            else _Quantile(groups[f"n{number}"], summary.share)
        )
        for frame in sorted_rows(numbered(kept), [*by, value], context):
            known = frame.join(numbers, on=by, how="left", nulls_equal=True, maintain_order="left")
            reader.update(known[_GROUP].to_numpy(), known[value])
        return reader.finish().alias(f"r{number}")


_Parts = dict[str, tuple[Callable[[pl.Expr], pl.Expr], Callable[[str], pl.Expr]]]

_COUNT: _Parts = {"n": (lambda v: v.count().cast(pl.Int64), lambda k: pl.col(f"n{k}").sum())}
_TOTAL: _Parts = {"s": (lambda v: v.sum(), lambda k: pl.col(f"s{k}").sum())}


def _merged_squares(k: str) -> pl.Expr:
    """Sum of squares about the mean, of parts (Chan, Golub and LeVeque, 1983)."""
    count, total = pl.col(f"n{k}"), pl.col(f"s{k}")
    mean = total.sum() / count.sum()
    # A part without values has no mean of its own.
    between = pl.when(count > 0).then(count * (total / count - mean).pow(2)).otherwise(0.0)
    return pl.col(f"q{k}").sum() + between.sum()


_PARTS: dict[str, _Parts] = {
    "count": _COUNT,
    "sum": _COUNT | _TOTAL,
    "mean": _COUNT | _TOTAL,
    "std": _COUNT | _TOTAL | {"q": (lambda v: (v - v.mean()).pow(2).sum(), _merged_squares)},
    "min": {"r": (lambda v: v.min(), lambda k: pl.col(f"r{k}").min())},
    "max": {"r": (lambda v: v.max(), lambda k: pl.col(f"r{k}").max())},
    "first": {"r": (lambda v: v.drop_nulls().first(), lambda k: pl.col(f"r{k}").drop_nulls().first())},
    "last": {"r": (lambda v: v.drop_nulls().last(), lambda k: pl.col(f"r{k}").drop_nulls().last())},
    "median": _COUNT,
    "quantile": _COUNT,
    "n_unique": _COUNT,
}


class _Quantile:
    """Quantiles of groups from their values in order, with straight lines between neighbours."""

    def __init__(self, counts: pl.Series, share: float) -> None:
        self.counts = counts.to_numpy().astype(np.int64)
        place = np.maximum(self.counts - 1, 0) * share
        self.low, self.part = np.floor(place).astype(np.int64), place - np.floor(place)
        self.values = np.zeros((2, len(self.counts)))
        self.seen = np.zeros(len(self.counts), dtype=np.int64)

    def update(self, groups: NDArray[np.int64], series: pl.Series) -> None:
        """Some more values in order, with the numbers of their groups, which are in order too."""
        values = series.to_numpy()
        starts = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]]))
        sizes = np.diff(np.concatenate([starts, [len(groups)]]))
        places = np.arange(len(groups)) - np.repeat(starts, sizes) + self.seen[groups]
        self.seen[groups[starts]] += sizes
        for row, wanted in enumerate((self.low, np.minimum(self.low + 1, np.maximum(self.counts - 1, 0)))):
            hit = places == wanted[groups]
            self.values[row, groups[hit]] = values[hit]

    def finish(self) -> pl.Series:
        """The quantiles; missing for a group without values."""
        low, high = self.values
        return pl.Series(np.where(self.part > 0, low + (high - low) * self.part, low)).set(
            pl.Series(self.counts == 0), None
        )


class _Distinct:
    """How many different values groups have, from their values in order."""

    def __init__(self, groups: int) -> None:
        self.counts = np.zeros(groups, dtype=np.int64)
        self.last: tuple[int, Any] | None = None

    def update(self, groups: NDArray[np.int64], values: pl.Series) -> None:
        """Some more values in order, with the numbers of their groups, which are in order too."""
        new = np.ones(len(groups), dtype=bool)
        new[1:] = (groups[1:] != groups[:-1]) | (values[1:] != values[:-1]).to_numpy()
        new[0] = self.last != (int(groups[0]), values[0])
        self.last = (int(groups[-1]), values[-1])
        self.counts += np.bincount(groups[new], minlength=len(self.counts))

    def finish(self) -> pl.Series:
        """The counts."""
        return pl.Series(self.counts)


# --- before each row --------------------------------------------------------------------------------------------------

_ROLLING = ("count", "sum", "mean", "std", "min", "max", "median", "quantile")
_TIME = "\0time"
_NEW = "\0new"


@dataclass(frozen=True)
class BoundRolling(BoundTableStep):
    """A rolling `Window` on columns."""

    by: tuple[str, ...]
    time: str
    length: int
    summaries: tuple[Summary, ...]
    records: tuple[ColumnRecord, ...]

    @property
    def schema(self) -> Schema:
        """The columns and the summaries."""
        return Schema((*self.before, *self.records))

    @property
    def reads(self) -> tuple[str, ...]:
        """Keys, time and what is summarised."""
        columns = (summary.column for summary in self.summaries if summary.column)
        return tuple(dict.fromkeys((*self.by, self.time, *columns)))

    @property
    def writes(self) -> tuple[str, ...]:
        """The summaries."""
        return tuple(record.name for record in self.records)

    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """Sort by key and time, summarise, and sort back."""
        for frame in sorted_rows(self._summarised(frames, context), [ROW], context):
            yield frame.select(self.schema.names)

    def _summarised(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        moment = without_zone(pl.col(self.time)).cast(pl.Datetime("us")).alias(_TIME)
        rows = (frame.with_columns(moment) for frame in numbered(frames()))
        over = [self._expression(summary, record) for summary, record in zip(self.summaries, self.records, strict=True)]
        held: list[pl.DataFrame] = []  # of the last key: the rows that windows of later ones may reach
        for frame in sorted_rows(rows, [*self.by, _TIME], context):
            context.work.check()
            whole = pl.concat([*held, frame.with_columns(pl.lit(value=True).alias(_NEW))])
            timed = whole.filter(pl.col(_TIME).is_not_null()).with_columns(over)
            untimed = whole.filter(pl.col(_TIME).is_null())
            yield pl.concat([timed, untimed], how="diagonal").filter(_NEW).drop(_TIME, _NEW)
            held = [self._reachable(whole).with_columns(pl.lit(value=False).alias(_NEW))]

    def _reachable(self, rows: pl.DataFrame) -> pl.DataFrame:
        last = rows[-1:]
        same = pl.lit(value=True)
        for name in self.by:
            same &= pl.col(name).eq_missing(pl.lit(last[name]).first())
        after = pl.col(_TIME) >= pl.col(_TIME).max() - pl.duration(microseconds=self.length)
        return rows.filter(same).filter(after)

    def _expression(self, summary: Summary, record: ColumnRecord) -> pl.Expr:
        value = pl.col(summary.column) if summary.column else pl.lit(1)
        if summary.function == "count":
            there = value.is_not_null().cast(pl.Int64) if summary.column else pl.col(_TIME).is_not_null().cast(pl.Int64)
            made = self._rolling(there, "sum").fill_null(0)
        elif summary.function in {"min", "max"}:
            made = self._rolling(value, summary.function)
        elif summary.function == "quantile":
            made = self._rolling(value.cast(pl.Float64), "quantile", quantile=summary.share, interpolation="linear")
        else:
            made = self._rolling(value.cast(pl.Float64), summary.function)
        return (made.over(self.by) if self.by else made).alias(record.name)

    def _rolling(self, value: pl.Expr, function: str, **more: Any) -> pl.Expr:
        roll = getattr(value, f"rolling_{function}_by")
        made: pl.Expr = roll(_TIME, window_size=f"{self.length}us", closed="left", min_samples=1, **more)
        return made
