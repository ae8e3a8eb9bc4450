"""Numbers on one scale, within what training saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from lepton.bundle import GraphBuilder
from lepton.data.steps.base import Block, Step, Tensors, full_width

__all__ = ["Clip", "Standardise"]


@dataclass(frozen=True)
class Clip(Step):
    """Holds numbers within the range of the training rows, so that infinities and outliers cannot run away.

    Attributes:
        columns: the columns that are held.
        lower: the least value of each.
        upper: the greatest value of each.
    """

    name: ClassVar[str] = "clip"
    columns: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    @classmethod
    def fit(cls, block: Block, *, columns: Sequence[str] | None = None) -> Self:
        """Learn the least and the greatest finite value of each column; 0 where there is none."""
        columns = block.number_names if columns is None else tuple(columns)
        finite = [values[np.isfinite(values)] for values in map(block.column, columns)]
        return cls(
            tuple(columns),
            tuple(float(values.min(initial=np.inf)) if values.size else 0.0 for values in finite),
            tuple(float(values.max(initial=-np.inf)) if values.size else 0.0 for values in finite),
        )

    def apply(self, block: Block) -> Block:
        """Hold; missing stays missing."""
        lower = full_width(block.number_names, self.columns, self.lower, -np.inf)
        upper = full_width(block.number_names, self.columns, self.upper, np.inf)
        return Block(np.minimum(np.maximum(block.numbers, lower), upper), block.number_names, block.strings)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """`Max` and `Min`."""
        if tensors.numbers is None or not self.columns:
            return tensors
        lower = builder.constant(full_width(tensors.number_names, self.columns, self.lower, -np.inf))
        upper = builder.constant(full_width(tensors.number_names, self.columns, self.upper, np.inf))
        held = builder.node("Min", [builder.node("Max", [tensors.numbers, lower]), upper])
        return Tensors(held, tensors.number_names, tensors.strings, tensors.string_names)


@dataclass(frozen=True)
class Standardise(Step):
    """Subtracts the mean and divides by the standard deviation.

    Attributes:
        columns: the columns that are scaled.
        means: what is subtracted from each.
        scales: what each is divided by; never 0.
    """

    name: ClassVar[str] = "standardise"
    columns: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]

    @classmethod
    def fit(cls, block: Block, *, columns: Sequence[str] | None = None) -> Self:
        """Learn mean and standard deviation of the finite values of each column."""
        columns = block.number_names if columns is None else tuple(columns)
        means, scales = [], []
        for values in map(block.column, columns):
            finite = values[np.isfinite(values)]
            mean, scale = _moments(finite) if finite.size else (0.0, 0.0)
            means.append(mean)
            scales.append(scale or 1.0)
        return cls(tuple(columns), tuple(means), tuple(scales))

    def apply(self, block: Block) -> Block:
        """Scale."""
        means = full_width(block.number_names, self.columns, self.means, 0.0)
        scales = full_width(block.number_names, self.columns, self.scales, 1.0)
        with np.errstate(over="ignore"):
            return Block((block.numbers - means) / scales, block.number_names, block.strings)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """`Sub` and `Div`."""
        if tensors.numbers is None or not self.columns:
            return tensors
        means = builder.constant(full_width(tensors.number_names, self.columns, self.means, 0.0))
        scales = builder.constant(full_width(tensors.number_names, self.columns, self.scales, 1.0))
        scaled = builder.node("Div", [builder.node("Sub", [tensors.numbers, means]), scales])
        return Tensors(scaled, tensors.number_names, tensors.strings, tensors.string_names)


def _moments(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float]:
    # Scaled by the greatest magnitude first: the squares of numbers near 1e200 would overflow.
    largest = float(np.abs(values).max())
    if largest == 0.0:
        return 0.0, 0.0
    relative = values / largest
    return float(relative.mean() * largest), float(relative.std() * largest)
