"""Rows that lie far from the rest: left out, or marked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, Schema, UsageError, check_label
from lepton.data.recipes.base import (
    Applied,
    BoundRowStep,
    BoundStep,
    BoundTableStep,
    Frames,
    Learner,
    RecipeStep,
    RunContext,
    Scope,
    chosen_columns,
)
from lepton.data.recipes.isolation import IsolationForest, average_path, grow
from lepton.data.recipes.learning import Quantiles, finite_values
from lepton.data.recipes.sampling import RowSample
from lepton.data.recipes.steps.outliers import robust_bounds
from lepton.data.steps import Tensors
from lepton.data.steps.base import concatenated, gathered

__all__ = ["DropOutliers", "FlagOutliers"]

_TREES, _ROWS_OF_A_TREE = 100, 256  # as in the paper
_SAMPLE = 20_000


@dataclass(frozen=True)
class _FarRows(RecipeStep):
    columns: tuple[str, ...] = ()
    method: Literal["forest", "z"] = "forest"
    share: float = 0.01
    score: float | None = None
    z: float = 8.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Shares and distances must be some."""
        super().__post_init__()
        if not 0 < self.share < 0.5:
            came = f"{self.name}: got share={self.share:g}"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted="above 0 and below 0.5")
        if self.score is not None and not 0 < self.score < 1:
            came = f"{self.name}: got score={self.score:g}"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted="above 0 and below 1, such as 0.7")
        if not 0 < self.z < np.inf:
            raise UsageError(ErrorCode.BAD_RECIPE, f"{self.name}: got z={self.z:g}", wanted="a number above 0")

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns."""
        columns = chosen_columns(schema, self.columns, (Kind.NUMBER,), self.name)
        columns = columns if self.columns else tuple(n for n in columns if schema[n].role is Role.FEATURE)
        if not columns:
            raise DataError(ErrorCode.WRONG_KIND, f"{self.name}: the table has no column of numbers")
        return columns

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """A forest, or quartiles."""
        columns = self.reads(schema)
        if self.method == "z":
            return Quantiles(columns, [0.25, 0.5, 0.75], memory)
        return _Forests(columns, self.share, self.score, self.seed)

    def _rule(self, schema: Schema, learned: Mapping[str, Any]) -> _Rule:
        columns = self.reads(schema)
        if self.method == "z":
            bounds = {name: robust_bounds(learned["values"][name], self.z) for name in columns}
            return _Beyond(tuple((name, *ends) for name, ends in bounds.items() if ends is not None))
        if not learned["trees"]:
            return _Beyond(())
        fills = tuple(float(learned["fills"][name]) for name in columns)
        forest = IsolationForest(tuple(learned["trees"]), len(columns))
        return _SetApart(columns, fills, forest, float(learned["limit"]))


class _Forests(Learner):
    def __init__(self, columns: tuple[str, ...], share: float, score: float | None, seed: int) -> None:
        self.columns = columns
        self._share, self._score, self._seed = share, score, seed
        self._sample = RowSample(columns, _SAMPLE, seed)

    def update(self, frame: pl.DataFrame) -> None:
        self._sample.update(frame)

    def merge(self, other: Self) -> None:
        self._sample.merge(other._sample)

    def finish(self) -> dict[str, Any]:
        frame = self._sample.frame()
        known = {} if not frame.height else {name: finite_values(frame[name]) for name in self.columns}
        fills = {name: float(np.median(known[name])) if len(known[name]) else 0.0 for name in known}
        if not any(map(len, known.values())):
            return {"fills": fills, "trees": [], "limit": 0.0, "rows": 0}
        values = _matrix(frame, fills)
        trees = grow(_finite(values, list(fills.values())), trees=_TREES, rows=_ROWS_OF_A_TREE, seed=self._seed)
        rows = min(_ROWS_OF_A_TREE, len(values))
        if self._score is not None:
            limit = -len(trees) * average_path(rows) * float(np.log2(self._score))
        else:
            limit = _limit(IsolationForest(trees, len(fills)).lengths(values), self._share)
        return {"fills": fills, "trees": list(trees), "limit": limit, "rows": len(values)}


def _matrix(frame: pl.DataFrame, fills: Mapping[str, float]) -> NDArray[np.float64]:
    """Numbers [N, F], missing ones filled."""
    return np.column_stack([frame[name].cast(pl.Float64).fill_null(fill).to_numpy() for name, fill in fills.items()])


def _finite(values: NDArray[np.float64], fills: Sequence[float]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, np.array(fills))


def _limit(lengths: NDArray[np.float64], share: float) -> float:
    """A length below which at most a share of the rows are, half-way to the next so that no rounding decides."""
    rising = np.sort(lengths)
    most = int(share * len(rising))
    below = rising[:most][rising[:most] < rising[most]]
    return float((below[-1] + rising[most]) / 2) if len(below) else 0.0


# --- rules ------------------------------------------------------------------------------------------------------------


class _Rule(ABC):
    """Which rows are far."""

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """The columns."""

    @abstractmethod
    def far(self, frame: pl.DataFrame) -> pl.Series:
        """Which rows are [N]."""

    @abstractmethod
    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        """The same as 0 and 1, a double tensor [N, 1]."""


@dataclass(frozen=True)
class _Beyond(_Rule):
    """A row is far where one of its numbers is beyond bounds."""

    bounds: tuple[tuple[str, float, float], ...]

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(name for name, _, _ in self.bounds)

    def far(self, frame: pl.DataFrame) -> pl.Series:
        far = pl.repeat(False, frame.height, eager=True)
        for name, low, high in self.bounds:
            far |= ~frame[name].is_between(low, high).fill_null(True)
        return far

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        there: str
        if not self.bounds:
            whole = tensors.numbers or tensors.strings
            size = builder.node("Shape", [str(whole)], start=0, end=1)
            shape = builder.node("Concat", [size, builder.constant(np.array([1]))], axis=0)
            there = builder.node("Expand", [builder.constant(np.array([[0.0]])), shape])
            return there
        values = gathered(builder, tensors, self.reads)
        low, high = (builder.constant(np.array([[ends[side] for ends in self.bounds]])) for side in (1, 2))
        below, above = builder.node("Less", [values, low]), builder.node("Greater", [values, high])
        beyond = builder.node("Cast", [builder.node("Or", [below, above])], to=11)  # onnx.TensorProto.DOUBLE
        there = builder.node("ReduceMax", [beyond, builder.constant(np.array([1]))], keepdims=1)
        return there


@dataclass(frozen=True)
class _SetApart(_Rule):
    """A row is far where a forest sets it apart early."""

    columns: tuple[str, ...]
    fills: tuple[float, ...]
    forest: IsolationForest
    limit: float

    @property
    def reads(self) -> tuple[str, ...]:
        return self.columns

    def far(self, frame: pl.DataFrame) -> pl.Series:
        values = _matrix(frame, dict(zip(self.columns, self.fills, strict=True)))
        return pl.Series(self.forest.lengths(values) < self.limit)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        values = gathered(builder, tensors, self.columns)
        missing = builder.node("IsNaN", [values])
        values = builder.node("Where", [missing, builder.constant(np.array([self.fills])), values])
        early = builder.node("Less", [self.forest.emit(builder, values), builder.constant(np.array([[self.limit]]))])
        far: str = builder.node("Cast", [early], to=11)
        return far


# --- steps ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DropOutliers(_FarRows):
    """Drop rows that lie far from the rest. It acts when data is prepared, not on rows that a model is asked about.

    An isolation forest (Liu, Ting and Zhou 2008; 100 trees of 256 rows from a sample of 20,000) looks at all columns
    together and finds rows that few random cuts set apart, also where no number is far by itself. Missing numbers count
    as the median. Scoring takes some microseconds a row.

    Attributes:
        columns: the columns; () for every number column that is a feature.
        method: `forest`, or `z`: rows with a number more than `z` robust deviations from the median, as in `outliers`.
        share: for `forest`, the share of the rows learned from that is far.
        score: for `forest`, instead of `share`: the score of the paper from which a row is far. Rows like most others
            have 0.4 to 0.5, and what has more than 0.7 is hardly ever one of them.
        z: for `z`, how many robust deviations.
        seed: the same seed gives the same forest.
    """

    name: ClassVar[str] = "drop_outliers"
    scope: ClassVar[Scope] = Scope.TABLE

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        return _Near(schema, self._rule(schema, learned))


@dataclass(frozen=True)
class FlagOutliers(_FarRows):
    """Add a column that says which rows lie far from the rest, as `drop_outliers` finds them.

    Attributes:
        columns: the columns; () for every number column that is a feature.
        method: `forest`, or `z`: rows with a number more than `z` robust deviations from the median, as in `outliers`.
        share: for `forest`, the share of the rows learned from that is far.
        score: for `forest`, instead of `share`: the score of the paper from which a row is far.
        z: for `z`, how many robust deviations.
        seed: the same seed gives the same forest.
        column: name of the column that is added.
    """

    name: ClassVar[str] = "flag_outliers"
    scope: ClassVar[Scope] = Scope.ROW
    column: str = "is outlier"

    def __post_init__(self) -> None:
        """The column must have a name."""
        super().__post_init__()
        check_label(self.column, "column")

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        if self.column in schema:
            came = f"flag_outliers: there is a column {self.column!r} already"
            raise DataError(ErrorCode.BAD_COLUMN_NAMES, came, fix="flag_outliers(column='another name')")
        return _Marked(schema, self._rule(schema, learned), self.column)


@dataclass(frozen=True)
class _Near(BoundTableStep):
    only_filters: ClassVar[bool] = True
    rule: _Rule

    @property
    def schema(self) -> Schema:
        return self.before

    @property
    def reads(self) -> tuple[str, ...]:
        return self.rule.reads

    @property
    def writes(self) -> tuple[str, ...]:
        return ()

    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        for frame in frames():
            context.work.check()
            yield frame.filter(~self.rule.far(frame))


@dataclass(frozen=True)
class _Marked(BoundRowStep):
    rule: _Rule
    column: str

    @property
    def schema(self) -> Schema:
        return Schema((*self.before, ColumnRecord(self.column, Kind.BOOLEAN, "bool")))

    @property
    def reads(self) -> tuple[str, ...]:
        return self.rule.reads

    @property
    def writes(self) -> tuple[str, ...]:
        return (self.column,)

    def apply(self, frame: pl.DataFrame) -> Applied:
        return Applied(frame.with_columns(self.rule.far(frame).alias(self.column)))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        numbers = concatenated(builder, [tensors.numbers, self.rule.emit(builder, tensors)])
        return Tensors(numbers, (*tensors.number_names, self.column), tensors.strings, tensors.string_names)
