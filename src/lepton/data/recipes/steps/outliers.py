"""Numbers that lie far from the rest: held at bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from lepton.bundle import GraphBuilder
from lepton.core import ErrorCode, Schema, UsageError
from lepton.data.recipes.base import Applied, BoundStep, Learner
from lepton.data.recipes.bound import NumberStep, SameColumns
from lepton.data.recipes.learning import Quantiles
from lepton.data.steps import Clip as ClipStep, Tensors
from lepton.data.steps.base import full_width

__all__ = ["QUARTILES_OF_NORMAL", "Clip", "Outliers", "robust_bounds"]

QUARTILES_OF_NORMAL = 1.3489795
"""Distance of the quartiles of a normal distribution, in standard deviations."""


def robust_bounds(quartiles: Sequence[float | None], z: float) -> tuple[float, float] | None:
    """What lies within `z` robust deviations of the median; None where the quartiles are equal or there are none."""
    low, middle, high = quartiles
    if low is None or middle is None or high is None or not high > low:
        return None
    reach = z * (high - low) / QUARTILES_OF_NORMAL
    return middle - reach, middle + reach


@dataclass(frozen=True)
class Clip(NumberStep):
    """Hold numbers within bounds: quantiles of the rows that were learned from, or given ones. Missing stays missing.

    Attributes:
        columns: the columns; () for every number column.
        q: shares of the rows that lie below the lower and the upper bound.
        lower: the least value; instead of `q`.
        upper: the greatest value; instead of `q`.
    """

    name: ClassVar[str] = "clip"
    q: tuple[float, float] | None = None
    lower: float | None = None
    upper: float | None = None

    def __post_init__(self) -> None:
        """Bounds must be in order."""
        super().__post_init__()
        bounded = self.lower is not None or self.upper is not None
        if (self.q is None) != bounded:
            came = "clip: got q and bounds" if bounded else "clip: got neither q nor bounds"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted="q=(0.01, 0.99), or lower= and upper=")
        low, high = self.q or (self.lower, self.upper)
        if self.q is not None and not 0 <= self.q[0] < self.q[1] <= 1:
            raise UsageError(ErrorCode.BAD_RECIPE, f"clip: got q={self.q}", wanted="two shares, 0 ≤ low < high ≤ 1")
        if low is not None and high is not None and low > high:
            raise UsageError(ErrorCode.BAD_RECIPE, f"clip: got lower={low:g} above upper={high:g}")

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """The quantiles."""
        return None if self.q is None else Quantiles(self.reads(schema), self.q, memory)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        columns = self.reads(schema)
        bounds = {name: learned["values"][name] if self.q is not None else (self.lower, self.upper) for name in columns}
        known = {n: (low, high) for n, (low, high) in bounds.items() if low is not None or high is not None}
        lower = tuple(-np.inf if low is None else float(low) for low, _ in known.values())
        upper = tuple(np.inf if high is None else float(high) for _, high in known.values())
        # A bound between two whole numbers makes a column of fractions of it.
        pairs = dict(zip(known, zip(lower, upper, strict=True), strict=True))
        real = {n for n, ends in pairs.items() if any(np.isfinite(end) and end != np.round(end) for end in ends)}
        after = Schema(tuple(replace(c, dtype="float64") if c.name in real else c for c in schema))
        return _Clipped(schema, tuple(known), after, lower, upper)


@dataclass(frozen=True)
class Outliers(NumberStep):
    """Hold numbers that lie far from the rest, or take them as missing.

    A number is far if it lies more than `z` robust deviations from the median. A robust deviation is the distance of
    the quartiles over 1.349: the standard deviation where the rest is normal, and outliers do not move it. A column
    whose quartiles are equal stays as it is.

    Attributes:
        columns: the columns; () for every number column.
        z: how many robust deviations.
        action: `clip` holds them at the bound, `missing` makes them missing.
    """

    name: ClassVar[str] = "outliers"
    z: float = 8.0
    action: Literal["clip", "missing"] = "clip"

    def __post_init__(self) -> None:
        """The distance must be one."""
        super().__post_init__()
        if not 0 < self.z < np.inf:
            raise UsageError(ErrorCode.BAD_RECIPE, f"outliers: got z={self.z:g}", wanted="a number above 0")

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """The quartiles."""
        return Quantiles(self.reads(schema), [0.25, 0.5, 0.75], memory)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        bounds = {}
        for name in self.reads(schema):
            ends = robust_bounds(learned["values"][name], self.z)
            if ends is not None:
                bounds[name] = ends
        columns = tuple(bounds)
        lower, upper = tuple(low for low, _ in bounds.values()), tuple(high for _, high in bounds.values())
        if self.action == "missing":
            return _Blanked(schema, columns, None, lower, upper)
        after = Schema(tuple(replace(c, dtype="float64") if c.name in bounds else c for c in schema))
        return _Clipped(schema, columns, after, lower, upper)


@dataclass(frozen=True)
class _Blanked(SameColumns):
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()

    def apply(self, frame: pl.DataFrame) -> Applied:
        made = [
            pl.when(pl.col(name).is_between(low, high)).then(pl.col(name)).alias(name)
            for name, low, high in zip(self.columns, self.lower, self.upper, strict=True)
        ]
        return Applied(frame.with_columns(made))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        bounds = zip(self.columns, self.lower, self.upper, strict=True)
        there = [each for each in bounds if each[0] in tensors.number_names]
        if tensors.numbers is None or not there:
            return tensors
        columns, lower, upper = zip(*there, strict=True)
        low = builder.constant(full_width(tensors.number_names, columns, lower, -np.inf))
        high = builder.constant(full_width(tensors.number_names, columns, upper, np.inf))
        below, above = builder.node("Less", [tensors.numbers, low]), builder.node("Greater", [tensors.numbers, high])
        outside = builder.node("Or", [below, above])
        blanked = builder.node("Where", [outside, builder.constant(np.nan), tensors.numbers])
        return replace(tensors, numbers=blanked)


@dataclass(frozen=True)
class _Clipped(SameColumns):
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()

    def apply(self, frame: pl.DataFrame) -> Applied:
        made = []
        for name, low, high in zip(self.columns, self.lower, self.upper, strict=True):
            column = pl.col(name).cast(pl.Float64).clip(low, high)
            made.append(column.cast(pl.Int64) if self.schema[name].dtype == "int64" else column)
        return Applied(frame.with_columns(made))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        ends = zip(self.columns, self.lower, self.upper, strict=True)
        there = [each for each in ends if each[0] in tensors.number_names]
        columns, lower, upper = zip(*there, strict=True) if there else ((), (), ())
        return ClipStep(columns, lower, upper).emit(builder, tensors)
