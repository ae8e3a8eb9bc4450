"""Columns made of two columns: what one means may hang on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Self

import numpy as np

from lepton.bundle import GraphBuilder
from lepton.data.steps.base import Block, Numbers, Step, Tensors, concatenated, gathered, unique_names
from lepton.data.steps.scaling import Standardise

__all__ = ["Pairs", "Products"]

_HELD = 3.0


@dataclass(frozen=True)
class Products(Step):
    """Adds products of scaled number columns, or of indicators, themselves scaled; missing stays missing.

    Factors are held within ±3, so that a product of far values does not outweigh all others.

    Attributes:
        first: the first column of each pair.
        second: the second one; a column with itself gives its square.
        means: what is subtracted from each product.
        scales: what each is divided by; never 0.
    """

    name: ClassVar[str] = "products"
    first: tuple[str, ...]
    second: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]

    @classmethod
    def fit(cls, block: Block, *, pairs: Sequence[tuple[str, str]] | None = None) -> Self:
        """Learn mean and standard deviation of each product; by default each number column with the next."""
        names = block.number_names
        pairs = tuple(pairwise(names)) if pairs is None else tuple(pairs)
        first, second = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
        made = _held(block.columns(first)) * _held(block.columns(second))
        finite = [values[np.isfinite(values)] for values in made.T]
        scales = [float(values.std()) if values.size else 0.0 for values in finite]
        return cls(
            first,
            second,
            tuple(float(values.mean()) if values.size else 0.0 for values in finite),
            tuple(scale or 1.0 for scale in scales),
        )

    def apply(self, block: Block) -> Block:
        """Put the products behind the numbers."""
        if not self.first:
            return block
        made = _held(block.columns(self.first)) * _held(block.columns(self.second))
        made = (made - np.array(self.means)) / np.array(self.scales)
        return Block(np.hstack([block.numbers, made]), self._names(block), block.strings)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """`Max`, `Min`, `Mul`, `Sub`, `Div`."""
        if not self.first:
            return tensors
        low, high = builder.constant(np.array(-_HELD)), builder.constant(np.array(_HELD))
        held = [
            builder.node("Min", [builder.node("Max", [gathered(builder, tensors, columns), low]), high])
            for columns in (self.first, self.second)
        ]
        centred = builder.node("Sub", [builder.node("Mul", held), builder.constant(np.array([self.means]))])
        made = builder.node("Div", [centred, builder.constant(np.array([self.scales]))])
        return Tensors(
            concatenated(builder, [tensors.numbers, made]),
            self._names(tensors),
            tensors.strings,
            tensors.string_names,
        )

    def _names(self, of: Block | Tensors) -> tuple[str, ...]:
        wanted = (f"{a} × {b}" for a, b in zip(self.first, self.second, strict=True))
        return (*of.number_names, *unique_names(wanted, (*of.number_names, *of.string_names)))


@dataclass(frozen=True)
class Pairs(Step):
    """Adds sums, differences and ratios of pairs of scaled number columns: trees, which cut straight, then cut aslant.

    Attributes:
        first: the first column of each pair.
        second: the second one.
        first_scales: what the first columns are divided by; never 0.
        second_scales: what the second ones are divided by; never 0.
    """

    name: ClassVar[str] = "pairs"
    first: tuple[str, ...]
    second: tuple[str, ...]
    first_scales: tuple[float, ...]
    second_scales: tuple[float, ...]

    @classmethod
    def fit(cls, block: Block, *, pairs: Sequence[tuple[str, str]] | None = None) -> Self:
        """Learn the standard deviation of each column; by default of pairs of each number column with the next."""
        names = block.number_names
        pairs = tuple(pairwise(names)) if pairs is None else tuple(pairs)
        first, second = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
        return cls(first, second, *(Standardise.fit(block, columns=columns).scales for columns in (first, second)))

    def apply(self, block: Block) -> Block:
        """Put sums, differences, then ratios behind the numbers; a number by 0 is infinite, 0 by 0 is missing."""
        if not self.first:
            return block
        with np.errstate(all="ignore"):
            left = block.columns(self.first) / np.array(self.first_scales)
            right = block.columns(self.second) / np.array(self.second_scales)
            made = np.hstack([block.numbers, left + right, left - right, left / right])
        return Block(made, self._names(block), block.strings)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """`Div`, `Add`, `Sub`, and `Div` again."""
        if not self.first:
            return tensors
        sides = [
            builder.node("Div", [gathered(builder, tensors, columns), builder.constant(np.array([scales]))])
            for columns, scales in ((self.first, self.first_scales), (self.second, self.second_scales))
        ]
        parts = [tensors.numbers, *(builder.node(op, sides) for op in ("Add", "Sub", "Div"))]
        return Tensors(concatenated(builder, parts), self._names(tensors), tensors.strings, tensors.string_names)

    def _names(self, of: Block | Tensors) -> tuple[str, ...]:
        pairs = tuple(zip(self.first, self.second, strict=True))
        wanted = [f"{a} {sign} {b}, scaled" for sign in "+-/" for a, b in pairs]
        return (*of.number_names, *unique_names(wanted, (*of.number_names, *of.string_names)))


def _held(values: Numbers) -> Numbers:
    held: Numbers = np.minimum(np.maximum(values, -_HELD), _HELD)
    return held
