"""Numbers on one scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl

from lepton.bundle import GraphBuilder
from lepton.core import Schema
from lepton.data.recipes.base import Applied, BoundStep, Learner
from lepton.data.recipes.bound import NumberStep, SameColumns
from lepton.data.recipes.learning import Means, Quantiles
from lepton.data.steps import Standardise as StandardiseStep, Tensors

__all__ = ["MinMax", "RobustScale", "Standardise"]


@dataclass(frozen=True)
class Standardise(NumberStep):
    """Subtract the mean of a column and divide by its standard deviation; one that does not vary becomes 0.

    Attributes:
        columns: the columns; () for every number column.
    """

    name: ClassVar[str] = "standardise"

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """Means and deviations."""
        return Means(self.reads(schema))

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        pairs = {name: (learned["means"][name], learned["deviations"][name]) for name in self.reads(schema)}
        return _scaled(schema, pairs)


@dataclass(frozen=True)
class MinMax(NumberStep):
    """Map the range of a column onto 0 to 1; new values may lie outside. One that does not vary becomes 0.

    Attributes:
        columns: the columns; () for every number column.
    """

    name: ClassVar[str] = "min_max"

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """The extremes."""
        return Quantiles(self.reads(schema), [0.0, 1.0], memory)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        ends = {name: learned["values"][name] for name in self.reads(schema)}
        return _scaled(schema, {n: (low, None if low is None else high - low) for n, (low, high) in ends.items()})


@dataclass(frozen=True)
class RobustScale(NumberStep):
    """Subtract the median and divide by the distance of the quartiles, which outliers do not move.

    Attributes:
        columns: the columns; () for every number column.
    """

    name: ClassVar[str] = "robust_scale"

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """The quartiles."""
        return Quantiles(self.reads(schema), [0.25, 0.5, 0.75], memory)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        ends = {name: learned["values"][name] for name in self.reads(schema)}
        return _scaled(schema, {n: (mid, None if mid is None else high - low) for n, (low, mid, high) in ends.items()})


def _scaled(schema: Schema, pairs: Mapping[str, tuple[float | None, float | None]]) -> BoundStep:
    """(value - shift) / scale; a column without values keeps its own."""
    columns = tuple(pairs)
    shifts = tuple(shift or 0.0 for shift, _ in pairs.values())
    scales = tuple(scale or 1.0 for _, scale in pairs.values())
    after = Schema(tuple(replace(c, dtype="float64", unit=None) if c.name in pairs else c for c in schema))
    return _Scaled(schema, columns, after, shifts, scales)


@dataclass(frozen=True)
class _Scaled(SameColumns):
    shifts: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()

    def apply(self, frame: pl.DataFrame) -> Applied:
        made = []
        for name, shift, scale in zip(self.columns, self.shifts, self.scales, strict=True):
            # By numpy: Polars multiplies by the inverse of a constant, which differs in the last bit, and not always.
            with np.errstate(over="ignore", invalid="ignore"):
                scaled = (frame[name].cast(pl.Float64).to_numpy() - shift) / scale
            made.append(pl.Series(name, scaled, nan_to_null=True))
        return Applied(frame.with_columns(made))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        scaled = zip(self.columns, self.shifts, self.scales, strict=True)
        there = [each for each in scaled if each[0] in tensors.number_names]
        columns, shifts, scales = zip(*there, strict=True) if there else ((), (), ())
        return StandardiseStep(columns, shifts, scales).emit(builder, tensors)
