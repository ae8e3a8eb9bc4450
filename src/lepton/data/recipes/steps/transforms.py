"""Numbers bent into another shape: logarithms, powers that make a column look normal, ranks."""

from __future__ import annotations

import math
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import ErrorCode, Schema, UsageError
from lepton.data.recipes.base import Applied, BoundStep, Learner, OnError
from lepton.data.recipes.bound import NumberStep, SameColumns
from lepton.data.recipes.formulas import Arithmetic, Arrays, Nodes, log1p, normal_quantile, yeo_johnson
from lepton.data.recipes.learning import Quantiles
from lepton.data.steps import Tensors
from lepton.data.steps.base import concatenated, gathered

__all__ = ["Log", "QuantileTransform", "YeoJohnson"]

_POWER_SAMPLE = 20_000
"""Values of a column that its power is learned from: all, or quantiles that are even in rank."""
_POWERS = (-5.0, 5.0)
_MOST_QUANTILES = 10_000
_NEAR = 1e-7
"""How near to 0 and 1 shares may come before they become numbers of the normal distribution: within ±5.2."""
_LARGEST = sys.float_info.max

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Log(NumberStep):
    """Take the natural logarithm of a number plus an offset: log(value + offset).

    With the offset 1, the usual one, 0 stays 0, and small values keep their digits. A negative value cannot be
    treated, nor can 0 without an offset; for columns with values of both signs there is `yeo_johnson`. In front of a
    model such a value counts as missing.

    Attributes:
        columns: the columns; () for every number column.
        offset: what is added first, 0 or more, in the column's unit.
        on_error: what becomes of values that cannot be treated.
    """

    name: ClassVar[str] = "log"
    offset: float = 1.0
    on_error: OnError = OnError.FAIL

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        if not 0 <= self.offset < np.inf:
            raise UsageError(ErrorCode.BAD_RECIPE, f"log: got offset={self.offset:g}", wanted="0 or more")
        columns = self.reads(schema)
        return _Logarithm(schema, columns, _doubles(schema, columns), offset=self.offset)


@dataclass(frozen=True)
class YeoJohnson(NumberStep):
    """Bend a column by the power that makes it look most normal, for values of either sign; then standardise it.

    The power λ, from -5 to 5, is that of maximum likelihood over all values, or, of a column of more than 20,000,
    over so many quantiles, which are even in rank. A column that does not vary becomes 0 when it is standardised.

    Attributes:
        columns: the columns; () for every number column.
        standardise: whether the mean is then subtracted and the result divided by the standard deviation.
    """

    name: ClassVar[str] = "yeo_johnson"
    standardise: bool = True

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """The powers."""
        return _Powers(self.reads(schema), memory)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        columns = self.reads(schema)
        found = [learned["powers"][name] for name in columns]
        powers, means, scales = (tuple(float(each[key]) for each in found) for key in ("power", "mean", "deviation"))
        if not self.standardise:
            means, scales = (0.0,) * len(columns), (1.0,) * len(columns)
        scales = tuple(scale or math.inf for scale in scales)
        return _Bent(schema, columns, _doubles(schema, columns), powers=powers, means=means, scales=scales)


@dataclass(frozen=True)
class QuantileTransform(NumberStep):
    """Map a column onto its ranks, evenly from 0 to 1, or onto a normal distribution: outliers lose their weight.

    Between the quantiles that were learned ranks are interpolated. Values that are several quantiles at once have
    the middle of their ranks. Values beyond those that were learned from become 0 and 1, or ±5.2.

    Attributes:
        columns: the columns; () for every number column.
        to: `uniform` or `normal`.
        num_quantiles: how finely ranks are learned, 2 to 10,000.
    """

    name: ClassVar[str] = "quantile_transform"
    to: Literal["uniform", "normal"] = "uniform"
    num_quantiles: int = 1_000

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """The quantiles."""
        if not 2 <= self.num_quantiles <= _MOST_QUANTILES:
            came = f"quantile_transform: got num_quantiles={self.num_quantiles}"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted=f"2 to {_MOST_QUANTILES:,}")
        return Quantiles(self.reads(schema), np.linspace(0, 1, self.num_quantiles).tolist(), memory)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        columns = self.reads(schema)
        ranks = tuple(_Ranks.of(learned["values"][name]) for name in columns)
        return _Ranked(schema, columns, _doubles(schema, columns), ranks=ranks, normal=self.to == "normal")


def _doubles(schema: Schema, columns: Sequence[str]) -> Schema:
    return Schema(tuple(replace(c, dtype="float64", unit=None) if c.name in columns else c for c in schema))


@dataclass(frozen=True)
class _Formula(SameColumns):
    """A formula of each value, the same on arrays and in graphs."""

    @abstractmethod
    def formula(self, maths: Arithmetic, values: Any, places: Sequence[int]) -> Any:
        """Of the values [N, k] of those of the columns that stand at `places`."""

    def apply(self, frame: pl.DataFrame) -> Applied:
        if not self.columns:
            return Applied(frame)
        given = np.column_stack([frame[name].cast(pl.Float64).to_numpy() for name in self.columns])
        made = self.formula(Arrays(), given, range(len(self.columns)))
        columns = [pl.Series(name, made[:, place], nan_to_null=True) for place, name in enumerate(self.columns)]
        bad = {
            name: made.is_null() & frame[name].is_not_null() for name, made in zip(self.columns, columns, strict=True)
        }
        return Applied(frame.with_columns(columns), {name: bad[name] for name in self.fallible})

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        places = [place for place, name in enumerate(self.columns) if name in tensors.number_names]
        if not places:
            return tensors
        names = tuple(self.columns[place] for place in places)
        rest = tuple(name for name in tensors.number_names if name not in names)
        made = self.formula(Nodes(builder), gathered(builder, tensors, names), places)
        kept = gathered(builder, tensors, rest) if rest else None
        return replace(tensors, numbers=concatenated(builder, [kept, made]), number_names=(*rest, *names))


@dataclass(frozen=True)
class _Logarithm(_Formula):
    offset: float = 1.0

    @property
    def fallible(self) -> tuple[str, ...]:
        return self.columns

    def formula(self, maths: Arithmetic, values: Any, places: Sequence[int]) -> Any:
        values = maths.where(maths.less(values, 0.0), np.nan, values)
        if self.offset == 1.0:
            return log1p(maths, values)
        moved = maths.add(values, self.offset)
        return maths.of("Log", maths.where(maths.equal(moved, 0.0), np.nan, moved))


@dataclass(frozen=True)
class _Bent(_Formula):
    powers: tuple[float, ...] = ()
    means: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()

    def formula(self, maths: Arithmetic, values: Any, places: Sequence[int]) -> Any:
        powers, means, scales = (np.array([every])[:, places] for every in (self.powers, self.means, self.scales))
        return maths.divide(maths.subtract(yeo_johnson(maths, values, powers), means), scales)


class _Powers(Learner):
    """The powers of columns, and what they make of their mean and deviation."""

    def __init__(self, columns: Sequence[str], memory: int) -> None:
        self.columns = tuple(columns)
        self._quantiles = Quantiles(columns, (), memory)

    def update(self, frame: pl.DataFrame) -> None:
        self._quantiles.update(frame)

    def merge(self, other: Self) -> None:
        self._quantiles.merge(other._quantiles)

    def finish(self) -> dict[str, Any]:
        powers = {name: _power_of(self._quantiles.sample(name, _POWER_SAMPLE)) for name in self.columns}
        return {"powers": powers, "rank_error": self._quantiles.rank_error}


def _power_of(values: Doubles) -> dict[str, float]:
    """The power of maximum likelihood; 1, which changes nothing, where there is none."""
    power = 1.0
    if len(values) and np.isfinite(values).all() and values[0] < values[-1]:
        grid = np.arange(_POWERS[0], _POWERS[1] + 0.25, 0.5)
        likelihoods = [_likelihood(values, each) for each in grid]
        best = int(np.argmax(likelihoods))
        if np.isfinite(likelihoods[best]):
            power = _highest(values, max(grid[best] - 0.5, _POWERS[0]), min(grid[best] + 0.5, _POWERS[1]))
    bent = yeo_johnson(Arrays(), values, power)
    known = bool(len(bent)) and bool(np.isfinite(bent).all())
    mean, deviation = _moments(bent) if known else (0.0, 1.0)
    if not np.isfinite([mean, deviation]).all() or deviation <= abs(mean) * 1e-14:
        deviation = 0.0  # one value in many roundings
    return {"power": power, "mean": mean if np.isfinite(mean) else 0.0, "deviation": deviation}


def _moments(values: Doubles) -> tuple[float, float]:
    largest = float(np.abs(values).max()) or 1.0  # squares of large numbers would overflow
    return float((values / largest).mean() * largest), float((values / largest).std() * largest)


def _likelihood(values: Doubles, power: float) -> float:
    """The logarithm of the profile likelihood of a power, but for a constant; -inf where it cannot be told."""
    bent = yeo_johnson(Arrays(), values, power)
    if not np.isfinite(bent).all():
        return -np.inf
    mean, deviation = _moments(bent)
    if not deviation > abs(mean) * 1e-12:
        return -np.inf
    slope = float(np.sign(values) @ np.log1p(np.abs(values)))
    return -len(values) * float(np.log(deviation)) + (power - 1.0) * slope


def _highest(values: Doubles, low: float, high: float) -> float:
    """The power between two of the greatest likelihood, which has one top, by golden sections."""
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = _likelihood(values, left), _likelihood(values, right)
    while high - low > 1e-6:
        if at_left >= at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = _likelihood(values, left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = _likelihood(values, right)
    return float((low + high) / 2.0)


@dataclass(frozen=True)
class _Ranks:
    """The ranks of one column as lines over pieces, as `Arithmetic.piece` counts them.

    Attributes:
        places: the quantiles, each once, rising [m].
        starts: where the line of a piece starts [2m + 1].
        ranks: rank there [2m + 1].
        slopes: of the line [2m + 1].
    """

    places: tuple[float, ...]
    starts: tuple[float, ...]
    ranks: tuple[float, ...]
    slopes: tuple[float, ...]

    @classmethod
    def of(cls, quantiles: Sequence[float | None]) -> _Ranks:
        """From quantiles that are even in rank, from the least to the greatest; all of them null without values."""
        found = np.array([value for value in quantiles if value is not None], dtype=np.float64)
        if not len(found):
            return cls((0.0,), (0.0,) * 3, (0.5,) * 3, (0.0,) * 3)
        places, first, counts = np.unique(found, return_index=True, return_counts=True)
        last = max(len(found) - 1, 1)
        lower, upper = first / last, (first + counts - 1) / last
        starts, ranks, slopes = (np.zeros(2 * len(places) + 1) for _ in range(3))
        starts[1::2], starts[2::2], starts[0] = places, places, places[0]
        ranks[1::2], ranks[2::2], ranks[-1] = (lower + upper) / 2, upper, 1.0
        with np.errstate(over="ignore"):
            slopes[2:-1:2] = (lower[1:] - upper[:-1]) / np.diff(places)
        slopes[~np.isfinite(slopes)] = 0.0
        return cls(*(tuple(each.tolist()) for each in (places, starts, ranks, slopes)))


@dataclass(frozen=True)
class _Ranked(_Formula):
    ranks: tuple[_Ranks, ...] = ()
    normal: bool = False

    def formula(self, maths: Arithmetic, values: Any, places: Sequence[int]) -> Any:
        chosen = [self.ranks[place] for place in places]
        # Values beyond are held just outside: infinity times the slope 0 would be no number.
        low = np.array([[max(math.nextafter(each.places[0], -math.inf), -_LARGEST) for each in chosen]])
        high = np.array([[min(math.nextafter(each.places[-1], math.inf), _LARGEST) for each in chosen]])
        values = _held(maths, values, low, high)
        pieces = maths.piece(values, [each.places for each in chosen])
        starts, ranks, slopes = (
            maths.taken([value for each in chosen for value in getattr(each, name)], pieces)
            for name in ("starts", "ranks", "slopes")
        )
        shares = maths.add(ranks, maths.multiply(maths.subtract(values, starts), slopes))
        return normal_quantile(maths, _held(maths, shares, _NEAR, 1.0 - _NEAR)) if self.normal else shares


def _held(maths: Arithmetic, values: Any, low: Any, high: Any) -> Any:
    values = maths.where(maths.less(values, low), low, values)
    return maths.where(maths.less(high, values), high, values)
