"""Where dates stand in the day, the week and the year, as points on a circle: 23:59 is close to 0:01."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from lepton.bundle import GraphBuilder
from lepton.data.steps.base import Block, Numbers, Step, Tensors, concatenated, gathered, unique_names

__all__ = ["CYCLES", "Cycles"]

_DAY = 86_400e6  # microseconds
CYCLES = {"day": (_DAY, 2), "week": (7.0 * _DAY, 1), "year": (365.2425 * _DAY, 2)}
"""Cycles with their length in microseconds, and how many times round they are told: twice parts morning and evening."""

_GRID = 2.0**20
"""Sines are rounded to a millionth or so: libraries differ in the last bit, and answers must not."""


@dataclass(frozen=True)
class Cycles(Step):
    """Adds sine and cosine of the place of dates (microseconds since 1970 UTC) in cycles; missing dates stay missing.

    Attributes:
        columns: the date column of each cycle.
        cycles: the cycle, one of `CYCLES`, for each of `columns`.
    """

    name: ClassVar[str] = "cycles"
    columns: tuple[str, ...]
    cycles: tuple[str, ...]

    @classmethod
    def fit(cls, block: Block, *, columns: Sequence[str] | None = None) -> Self:
        """Choose the cycles in which the rows differ, a year only where they span one; by default of all numbers."""
        chosen: list[tuple[str, str]] = []
        for column in block.number_names if columns is None else columns:
            values = block.column(column)
            values = values[np.isfinite(values)]
            if not values.size:
                continue
            days = np.floor(values / _DAY)
            differ = {
                "day": _varies(values - days * _DAY),
                "week": _varies(days - np.floor(days / 7.0) * 7.0),
                "year": values.max() - values.min() >= CYCLES["year"][0],
            }
            chosen += [(column, cycle) for cycle in CYCLES if differ[cycle]]
        return cls(tuple(column for column, _ in chosen), tuple(cycle for _, cycle in chosen))

    def apply(self, block: Block) -> Block:
        """Put sines, then cosines behind the numbers."""
        if not self.columns:
            return block
        sources, lengths, turns = self._layout()
        with np.errstate(invalid="ignore"):
            shares = block.columns(sources) / lengths
            angles = (shares - np.floor(shares)) * turns
            points = np.hstack([np.sin(angles), np.cos(angles)])
            points = np.rint(points * _GRID) / _GRID
        return Block(np.hstack([block.numbers, points + 0.0]), self._names(block), block.strings)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """All dates at once: `Div`, `Floor`, `Sin`, `Cos`, `Round`."""
        if not self.columns:
            return tensors
        sources, lengths, turns = self._layout()
        shares = builder.node("Div", [gathered(builder, tensors, sources), builder.constant(lengths)])
        place = builder.node("Sub", [shares, builder.node("Floor", [shares])])
        angles = builder.node("Mul", [place, builder.constant(turns)])
        points = builder.node("Concat", [builder.node("Sin", [angles]), builder.node("Cos", [angles])], axis=1)
        whole = builder.node("Round", [builder.node("Mul", [points, builder.constant(_GRID)])])
        whole = builder.node("Add", [whole, builder.constant(0.0)])  # -0 becomes 0
        points = builder.node("Div", [whole, builder.constant(_GRID)])
        return Tensors(
            concatenated(builder, [tensors.numbers, points]),
            self._names(tensors),
            tensors.strings,
            tensors.string_names,
        )

    def _points(self) -> list[tuple[str, str, int]]:
        """Column, cycle and times round of each pair of numbers."""
        pairs = zip(self.columns, self.cycles, strict=True)
        return [(column, cycle, times) for column, cycle in pairs for times in range(1, CYCLES[cycle][1] + 1)]

    def _layout(self) -> tuple[tuple[str, ...], Numbers, Numbers]:
        """Column, length of the cycle and radians in it, of each pair of numbers."""
        points = self._points()
        lengths = np.array([[CYCLES[cycle][0] for _, cycle, _ in points]])
        return tuple(column for column, _, _ in points), lengths, 2.0 * np.pi * np.array([[t for _, _, t in points]])

    def _names(self, before: Block | Tensors) -> tuple[str, ...]:
        wanted = [
            f"{function} {cycle}{'' if times == 1 else f' x{times}'}({column})"
            for function in ("sin", "cos")
            for column, cycle, times in self._points()
        ]
        return before.number_names + unique_names(wanted, (*before.number_names, *before.string_names))


def _varies(values: Numbers) -> bool:
    return bool((values != values[0]).any())
