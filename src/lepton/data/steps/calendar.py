"""Calendar parts of dates: year, month, day, weekday, hour, minute of the day, day of the year."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from lepton.bundle import GraphBuilder
from lepton.data.steps.base import Block, Numbers, Step, Tensors, concatenated, gathered, unique_names

__all__ = ["PARTS", "Calendar"]

PARTS = ("year", "month", "day", "weekday", "day_of_year", "hour", "minute_of_day")
"""Parts that a date can give: Monday is weekday 0; days and months count from 1, minutes and hours from 0; in UTC."""

_DAY = 86_400e6  # microseconds
_HOUR = 3_600e6
_MINUTE = 60e6


@dataclass(frozen=True)
class Calendar(Step):
    """Adds calendar parts of date columns (microseconds since 1970 UTC); missing dates give missing parts.

    Attributes:
        columns: the date column of each added part.
        parts: the part, one of `PARTS`, for each of `columns`.
    """

    name: ClassVar[str] = "calendar"
    columns: tuple[str, ...]
    parts: tuple[str, ...]

    @classmethod
    def fit(cls, block: Block, *, columns: Sequence[str] | None = None) -> Self:
        """Choose the parts that vary among the rows; `columns` are the date columns, by default all numbers."""
        chosen: list[tuple[str, str]] = []
        for column in block.number_names if columns is None else columns:
            values = block.column(column)
            values = values[np.isfinite(values)]
            parts = _parts(values, PARTS)
            # Where the minutes within the hour never change, the minute of the day says what the hour says.
            parts["minute_of_day"] = parts["minute_of_day"] - (0 if _varies(values % _HOUR) else 60 * parts["hour"])
            chosen += [(column, part) for part in PARTS if _varies(parts[part])]
        return cls(tuple(c for c, _ in chosen), tuple(p for _, p in chosen))

    def apply(self, block: Block) -> Block:
        """Add the parts behind the numbers."""
        if not self.columns:
            return block
        sources = self._sources()
        with np.errstate(invalid="ignore"):
            parts = _parts(block.columns(sources), self._wanted())
        added = [parts[part][:, [sources.index(column)]] for column, part in zip(self.columns, self.parts, strict=True)]
        return Block(np.hstack([block.numbers, *added]), self._names(block), block.strings)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """All date columns at once for every part, then the wanted ones of them."""
        if not self.columns:
            return tensors
        sources, wanted = self._sources(), self._wanted()
        dates = _Node(builder, gathered(builder, tensors, sources))
        parts = _parts(dates, wanted)
        everything: str | None = concatenated(builder, [parts[part].value for part in wanted])
        positions = [
            wanted.index(part) * len(sources) + sources.index(column)
            for column, part in zip(self.columns, self.parts, strict=True)
        ]
        if positions != list(range(len(wanted) * len(sources))):
            everything = builder.node("Gather", [str(everything), builder.constant(np.array(positions))], axis=1)
        return Tensors(
            concatenated(builder, [tensors.numbers, everything]),
            self._names(tensors),
            tensors.strings,
            tensors.string_names,
        )

    def _sources(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.columns))

    def _wanted(self) -> tuple[str, ...]:
        return tuple(part for part in PARTS if part in self.parts)

    def _names(self, before: Block | Tensors) -> tuple[str, ...]:
        wanted = [f"{part}({column})" for column, part in zip(self.columns, self.parts, strict=True)]
        return before.number_names + unique_names(wanted, (*before.number_names, *before.string_names))


def _varies(values: Numbers) -> bool:
    return values.size > 0 and bool((values != values[0]).any())


class _Node:
    """A value of a graph with the four operations that dates need, so that `_parts` is written once."""

    def __init__(self, builder: GraphBuilder, value: str) -> None:
        self.builder, self.value = builder, value

    def _with(self, op: str, *others: float | _Node) -> _Node:
        names = [o.value if isinstance(o, _Node) else self.builder.constant(float(o)) for o in others]
        return _Node(self.builder, self.builder.node(op, [self.value, *names]))

    def __add__(self, other: float | _Node) -> _Node:
        return self._with("Add", other)

    def __sub__(self, other: float | _Node) -> _Node:
        return self._with("Sub", other)

    def __mul__(self, other: float) -> _Node:
        return self._with("Mul", other)

    def __truediv__(self, other: float) -> _Node:
        return self._with("Div", other)

    def floor(self) -> _Node:
        return self._with("Floor")


def _floor(value: Any) -> Any:
    return value.floor() if isinstance(value, _Node) else np.floor(value)


def _parts(date: Any, wanted: Sequence[str]) -> dict[str, Any]:
    """The wanted parts of microseconds since 1970, for an array or a value of a graph.

    Everything is whole numbers in doubles: exact to 2^53 microseconds (the year 2255), and NaN stays NaN, which
    integers could not say. The civil date is counted in eras of 400 years that begin on 1 March of year 0, so that
    the leap day is the last of its year; 719468 days lie between that day and 1970.
    """
    days = _floor(date / _DAY)
    parts = {}
    if "weekday" in wanted:
        since_monday = days + 3.0  # 1 January 1970 was a Thursday
        parts["weekday"] = since_monday - _floor(since_monday / 7.0) * 7.0
    if {"hour", "minute_of_day"} & set(wanted):
        in_day = date - days * _DAY
        parts["hour"] = _floor(in_day / _HOUR)
        parts["minute_of_day"] = _floor(in_day / _MINUTE)
    if {"year", "month", "day", "day_of_year"} & set(wanted):
        shifted = days + 719_468.0
        era = _floor(shifted / 146_097.0)
        day_of_era = shifted - era * 146_097.0
        leap_free = (
            day_of_era - _floor(day_of_era / 1_460.0) + _floor(day_of_era / 36_524.0) - _floor(day_of_era / 146_096.0)
        )
        year_of_era = _floor(leap_free / 365.0)
        since_march = day_of_era - (year_of_era * 365.0 + _floor(year_of_era / 4.0) - _floor(year_of_era / 100.0))
        month_from_march = _floor((since_march * 5.0 + 2.0) / 153.0)
        next_year = _floor(month_from_march / 10.0)  # January and February belong to the year that follows
        year = year_of_era + era * 400.0 + next_year
        parts["year"] = year
        parts["month"] = month_from_march + 3.0 - next_year * 12.0
        parts["day"] = since_march - _floor((month_from_march * 153.0 + 2.0) / 5.0) + 1.0
        if "day_of_year" in wanted:
            before = year - 1.0
            leap_days = _floor(before / 4.0) - _floor(before / 100.0) + _floor(before / 400.0)
            parts["day_of_year"] = days + 719_163.0 - (before * 365.0 + leap_days)
    return parts
