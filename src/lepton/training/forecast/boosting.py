"""One boosted forest for all series and all steps: what remains after a linear forecast, from lags and the calendar.

The step ahead is a column, so every step is forecast directly and no forecast stands on another one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.bundle.frequency import DAY, Frequency
from lepton.core import MissingExtraError, Work
from lepton.core.imports import lean_import
from lepton.data.steps import Block, Calendar, Tensors
from lepton.training.forecast.models import LinearForecast, Traced, View, seasonal_positions
from lepton.training.forecast.windows import emit_row_sum, row_sum
from lepton.training.learners.lightgbm_forest import forest_from_text
from lepton.training.trees import Forest

__all__ = ["BoostedForecast", "LagPlan", "calendar_parts", "fit_boosted"]

Doubles = NDArray[np.float64]

_MOST_LAGS = 24
_MOST_ROWS, _MOST_CELLS = 150_000, 15_000_000
_ROUNDS, _PATIENCE = 300, 20
_LEAST_WINDOWS = 40
_CELLS_AT_ONCE = 8_000_000
_CELLS_A_THREAD = 2_000_000  # threads wait for each other at every split
_YEAR = 365 * DAY


@dataclass(frozen=True)
class LagPlan:
    """Which columns the forest sees, the same in numpy and in a graph.

    Attributes:
        length: steps of history.
        horizon: steps ahead.
        season: steps of a season; its mean is the level.
        longer: steps of a longer season, or 0.
        frequency: of the series.
        covariates: how many there are.
        parts: calendar parts of each step ahead.
    """

    length: int
    horizon: int
    season: int
    longer: int
    frequency: Frequency
    covariates: int
    parts: tuple[str, ...]

    @property
    def lags(self) -> NDArray[np.int64]:
        """Positions of the last steps [p]."""
        return np.arange(self.length - min(_MOST_LAGS, self.length), self.length)

    @property
    def means(self) -> tuple[int, ...]:
        """How many last steps means are taken of: two seasons, and all."""
        return (min(2 * self.season, self.length), self.length)

    @property
    def aligned(self) -> tuple[NDArray[np.int64], ...]:
        """Positions of the same step in earlier seasons, [H] each."""
        found = [seasonal_positions(self.length, self.horizon, self.season, back) for back in range(3)]
        if self.longer:
            found.append(seasonal_positions(self.length, self.horizon, self.longer))
        return tuple(found)

    def columns(self, view: View, base: Doubles) -> Doubles:
        """The columns [B * H, K]."""
        rows, horizon = len(view.values), self.horizon
        level = row_sum(view.values[:, self.length - self.season :]) / self.season
        around = (view.values - level) / view.divisor
        means = np.hstack([row_sum(around[:, self.length - steps :]) / steps for steps in self.means])
        shared = [around[:, self.lags], means]
        shared.append(view.covariates)
        parts = [
            np.repeat(np.hstack(shared)[:, None, :], horizon, axis=1),
            ((base - level) / view.divisor)[:, :, None],
            *(around[:, positions][:, :, None] for positions in self.aligned),
            np.broadcast_to(np.arange(horizon, dtype=np.float64)[None, :, None], (rows, horizon, 1)),
        ]
        if self.parts:
            parts.append(self._times(view.last[:, None]))
        return np.concatenate(parts, axis=2).reshape(rows * horizon, -1)

    def emit(self, builder: GraphBuilder, traced: Traced, base: str) -> str:
        """The same in a graph: name of a double tensor [N * H, K]."""
        node, constant = builder.node, builder.constant
        last_axis = constant([2])

        def each_step(value: str) -> str:
            column: str = node("Unsqueeze", [value, last_axis])
            return column

        def mean(value: str, steps: int) -> str:
            last = node("Slice", [value, constant([self.length - steps]), constant([self.length]), constant([1])])
            found: str = node("Div", [emit_row_sum(builder, last, steps), constant(float(steps))])
            return found

        level = mean(traced.values, self.season)
        around = node("Div", [node("Sub", [traced.values, level]), traced.divisor])
        shared = [
            node("Gather", [around, constant(self.lags)], axis=1),
            *(mean(around, steps) for steps in self.means),
        ]
        if traced.covariates is not None:
            shared.append(traced.covariates)
        together = node("Unsqueeze", [node("Concat", shared, axis=1), constant([1])])
        # Copied by its shape, not by adding zeros: missing covariates stay, infinite ones too.
        rows = node("Shape", [traced.values], start=0, end=1)
        sizes = node("Concat", [rows, constant([self.horizon, 1])], axis=0)
        parts = [
            node("Expand", [together, sizes]),
            each_step(node("Div", [node("Sub", [base, level]), traced.divisor])),
            *(each_step(node("Gather", [around, constant(positions)], axis=1)) for positions in self.aligned),
            node("Expand", [constant(np.arange(self.horizon, dtype=np.float64)[None, :, None]), sizes]),
        ]
        if self.parts:
            parts.append(self._emit_times(builder, traced.last))
        joined = node("Concat", parts, axis=2)
        width = len(self.lags) + len(self.means) + self.covariates + 2 + len(self.aligned) + len(self.parts)
        columns: str = node("Reshape", [joined, constant([-1, width])])
        return columns

    def _times(self, last: Doubles) -> Doubles:
        """Calendar parts of every step ahead [B, H, P] of the last times [B, 1]."""
        if self.frequency.unit == "month":
            month = self._calendar().apply(Block(last, ("time",), pl.DataFrame())).numbers[:, 1:]
            since = month - 1.0 + self._ahead()[None, :]
            following: Doubles = since - 12.0 * np.floor(since / 12.0) + 1.0
            return following[:, :, None]
        ahead = (last + self._ahead()[None, :]).reshape(-1, 1)
        block = self._calendar().apply(Block(ahead, ("time",), pl.DataFrame()))
        return block.numbers[:, 1:].reshape(len(last), self.horizon, -1)

    def _emit_times(self, builder: GraphBuilder, last: str) -> str:
        node, constant = builder.node, builder.constant
        steps, by_month = constant(self._ahead()[None, :]), self.frequency.unit == "month"
        ahead = last if by_month else node("Reshape", [node("Add", [last, steps]), constant([-1, 1])])
        added = self._calendar().emit(builder, Tensors(ahead, ("time",), None, ()))
        found: str = node("Gather", [str(added.numbers), constant(np.arange(1, 1 + len(self.parts)))], axis=1)
        if by_month:
            since = node("Add", [node("Sub", [found, constant(1.0)]), steps])
            years = node("Floor", [node("Div", [since, constant(12.0)])])
            found = node("Add", [node("Sub", [since, node("Mul", [years, constant(12.0)])]), constant(1.0)])
        parts: str = node("Reshape", [found, constant([-1, self.horizon, len(self.parts)])])
        return parts

    def _calendar(self) -> Calendar:
        return Calendar(("time",) * len(self.parts), self.parts)

    def _ahead(self) -> Doubles:
        """Microseconds, or months, from the last step to each step ahead."""
        return np.arange(1, self.horizon + 1, dtype=np.float64) * self.frequency.count


def calendar_parts(frequency: Frequency, steps: int) -> tuple[str, ...]:
    """The calendar parts that a history of so many steps can teach."""
    if frequency.unit == "number":
        return ()
    if frequency.unit == "month":
        return (
            ("month",) if 12 % frequency.count == 0 and frequency.count < 12 and steps * frequency.count >= 24 else ()
        )
    span = steps * frequency.count
    parts = []
    if span >= 2 * _YEAR and frequency.count < 60 * DAY:
        parts += ["month"]
    if span >= 90 * DAY and frequency.count <= DAY:
        parts += ["day"]
    if span >= 21 * DAY and frequency.count <= DAY:
        parts += ["weekday"]
    if span >= 2 * _YEAR and frequency.count <= 7 * DAY:
        parts += ["day_of_year"]
    if span >= 3 * DAY and frequency.count < DAY:
        parts += ["hour" if frequency.count % (DAY // 24) == 0 else "minute_of_day"]
    return tuple(parts)


@dataclass(frozen=True)
class BoostedForecast:
    """A linear forecast and the forest's correction of it, in units of the scale."""

    plan: LagPlan
    base: LinearForecast
    forest: Forest
    booster: object

    def forecast(self, view: View) -> Doubles:
        """The next steps [B, H]."""
        base = self.base.forecast(view)
        # Many steps ahead of many windows would need more memory than there is; the columns are made in parts.
        most = max(_CELLS_AT_ONCE // (base.shape[1] * self.forest.num_features), 1)
        parts = []
        for first in range(0, len(base), most):
            rows = np.arange(first, min(first + most, len(base)))
            columns = self.plan.columns(view.take(rows), base[rows])
            parts.append(self.booster.predict(columns, num_threads=1))  # type: ignore[attr-defined]
        found = np.concatenate(parts) if parts else np.empty(0)
        forecast: Doubles = base + found.reshape(base.shape) * view.scale
        return forecast

    def emit(self, builder: GraphBuilder, traced: Traced) -> str:
        """The same in a graph."""
        base = self.base.emit(builder, traced)
        columns = self.plan.emit(builder, traced, base)
        sums = self.forest.emit(builder, columns)
        correction = builder.node("Reshape", [sums, builder.constant([-1, self.plan.horizon])])
        forecast: str = builder.node("Add", [base, builder.node("Mul", [correction, traced.scale])])
        return forecast


def fit_boosted(
    plan: LagPlan, base: LinearForecast, view: View, future: Doubles, *, rounds: int, work: Work
) -> tuple[BoostedForecast, int] | None:
    """Fit the forest.

    Args:
        plan: its columns.
        base: what it corrects.
        view: windows in the order of time.
        future: what followed [B, H]; missing values do not count.
        rounds: trees; 0 for as many as forecast the last windows best.
        work: threads, seed, stop signal.

    Returns:
        The forecaster and the number of trees; None with too few windows.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the learner of tables does, and for the same reason
    try:
        with lean_import("lightgbm"):
            import lightgbm
    except ImportError:
        raise MissingExtraError("lightgbm", "train", "Boosted trees") from None
    usable = np.flatnonzero((view.scale[:, 0] > 0.0) & ~np.isnan(future).all(axis=1))
    cells = plan.horizon * (_MOST_LAGS + view.covariates.shape[1])
    most = max(min(_MOST_ROWS // plan.horizon, _MOST_CELLS // cells), _LEAST_WINDOWS)
    if len(usable) > most:
        usable = usable[np.linspace(0, len(usable) - 1, most).astype(np.int64)]
    if len(usable) < _LEAST_WINDOWS:
        return None
    view, future = view.take(usable), future[usable]
    answers = base.forecast(view)
    columns = plan.columns(view, answers)
    wanted = ((future - answers) / view.divisor).ravel()
    known = ~np.isnan(wanted)
    settings = {
        "objective": "regression_l1",
        "learning_rate": 0.08,
        "num_leaves": 31,
        "min_data_in_leaf": max(20, plan.horizon),
        "feature_fraction": 0.7,
        "lambda_l2": 1.0,
        "num_threads": min(work.resources.cpus, max(1, columns.size // _CELLS_A_THREAD)),
        "seed": work.seed_for("forecast", "boosting") % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }

    def stop(environment: object) -> None:
        if work.stopped:
            work.check()

    def dataset(rows: NDArray[np.bool_]) -> object:
        return lightgbm.Dataset(columns[rows], wanted[rows], params={"verbosity": -1})

    if not rounds:
        window = np.repeat(np.arange(len(usable)), plan.horizon)
        early = known & (window < len(usable) * 4 // 5)
        late = known & ~early
        if not early.any() or not late.any():
            return None
        watch = [stop, lightgbm.early_stopping(_PATIENCE, verbose=False)]
        first = lightgbm.train(settings, dataset(early), _ROUNDS, valid_sets=[dataset(late)], callbacks=watch)
        rounds = max(first.best_iteration, 1)
    booster = lightgbm.train(settings, dataset(known), rounds, callbacks=[stop])
    return BoostedForecast(plan, base, forest_from_text(booster.model_to_string()), booster), rounds
