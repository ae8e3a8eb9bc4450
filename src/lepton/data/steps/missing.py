"""Missing numbers: filled with a typical value, and marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from lepton.bundle import GraphBuilder
from lepton.data.steps.base import Block, Step, Tensors, concatenated, full_width, gathered, unique_names

__all__ = ["Impute", "MissingIndicators"]


@dataclass(frozen=True)
class Impute(Step):
    """Fills missing numbers.

    Attributes:
        columns: the columns that are filled.
        fills: the value for each.
    """

    name: ClassVar[str] = "impute"
    columns: tuple[str, ...]
    fills: tuple[float, ...]

    @classmethod
    def fit(
        cls, block: Block, *, columns: Sequence[str] | None = None, method: Literal["median", "mean"] = "median"
    ) -> Self:
        """Learn the median or mean of the finite values of each column; 0 where there is none."""
        columns = block.number_names if columns is None else tuple(columns)
        typical = np.median if method == "median" else np.mean
        fills = []
        for column in columns:
            values = block.column(column)
            finite = values[np.isfinite(values)]
            fills.append(float(typical(finite)) if finite.size else 0.0)
        return cls(tuple(columns), tuple(fills))

    def apply(self, block: Block) -> Block:
        """Fill."""
        fills = full_width(block.number_names, self.columns, self.fills, np.nan)
        return Block(np.where(np.isnan(block.numbers), fills, block.numbers), block.number_names, block.strings)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """`IsNaN` and `Where`; columns that are not filled get NaN for NaN."""
        if tensors.numbers is None or not self.columns:
            return tensors
        fills = builder.constant(full_width(tensors.number_names, self.columns, self.fills, np.nan))
        filled = builder.node("Where", [builder.node("IsNaN", [tensors.numbers]), fills, tensors.numbers])
        return Tensors(filled, tensors.number_names, tensors.strings, tensors.string_names)


@dataclass(frozen=True)
class MissingIndicators(Step):
    """Adds a column of 0 and 1 that says where a number is missing.

    Attributes:
        columns: the columns that are watched.
    """

    name: ClassVar[str] = "missing-indicators"
    columns: tuple[str, ...]

    @classmethod
    def fit(cls, block: Block, *, columns: Sequence[str] | None = None) -> Self:
        """Choose the columns in which some values are missing, but not all."""
        columns = block.number_names if columns is None else columns
        missing = {c: np.isnan(block.column(c)) for c in columns}
        return cls(tuple(c for c in columns if missing[c].any() and not missing[c].all()))

    def apply(self, block: Block) -> Block:
        """Put the indicators behind the numbers."""
        added = [np.isnan(block.column(c)).astype(np.float64) for c in self.columns]
        return Block(np.column_stack([block.numbers, *added]), self._names(block), block.strings)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """`IsNaN` of the watched columns."""
        if not self.columns:
            return tensors
        missing = builder.node("IsNaN", [gathered(builder, tensors, self.columns)])
        indicators = builder.node("Cast", [missing], to=11)  # onnx.TensorProto.DOUBLE
        numbers = concatenated(builder, [tensors.numbers, indicators])
        return Tensors(numbers, self._names(tensors), tensors.strings, tensors.string_names)

    def _names(self, before: Block | Tensors) -> tuple[str, ...]:
        wanted = [f"{column} is missing" for column in self.columns]
        return before.number_names + unique_names(wanted, (*before.number_names, *before.string_names))
