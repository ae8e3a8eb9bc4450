"""Forecasters: each gives the next steps of windows in numpy, and the same in a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder

__all__ = [
    "Forecaster",
    "LinearForecast",
    "MeanForecast",
    "Traced",
    "View",
    "drift_matrix",
    "level_vector",
    "mean_matrix",
    "ridge_matrix",
    "seasonal_naive_matrix",
]

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """Windows as forecasters see them.

    Attributes:
        values: the target without missing values [B, L].
        scale: of its changes over a season [B, 1]; 0 where it is constant.
        last: time of the last step on the clock [B].
        covariates: of the last step, NaN where missing [B, F - 2].
    """

    values: Doubles
    scale: Doubles
    last: Doubles
    covariates: Doubles

    @property
    def divisor(self) -> Doubles:
        """The scale, 1 where it is 0 [B, 1]."""
        return np.where(self.scale > 0.0, self.scale, 1.0)

    def take(self, rows: NDArray[np.int64]) -> View:
        """The windows at `rows`."""
        return View(self.values[rows], self.scale[rows], self.last[rows], self.covariates[rows])


@dataclass(frozen=True)
class Traced:
    """The same as names of values in a graph; `divisor` [N, 1] as of `View`, `last` [N, 1]."""

    values: str
    scale: str
    divisor: str
    last: str
    covariates: str | None


class Forecaster(Protocol):
    """Something that forecasts."""

    def forecast(self, view: View) -> Doubles:
        """The next steps [B, H]."""

    def emit(self, builder: GraphBuilder, traced: Traced) -> str:
        """The same in a graph: name of a double tensor [N, H]."""


@dataclass(frozen=True)
class LinearForecast:
    """Forecasts that are the history times a matrix, on the target's own scale or on that of its logarithm.

    Attributes:
        matrix: [L, H].
        logarithm: whether histories and forecasts are ln(1 + target).
    """

    matrix: Doubles
    logarithm: bool = False

    def forecast(self, view: View) -> Doubles:
        """The next steps [B, H]."""
        if not self.logarithm:
            return view.values @ self.matrix
        with np.errstate(over="ignore"):
            forecast: Doubles = np.exp(np.log(np.maximum(view.values, 0.0) + 1.0) @ self.matrix) - 1.0
        return forecast

    def emit(self, builder: GraphBuilder, traced: Traced) -> str:
        """The same in a graph."""
        values, one = traced.values, builder.constant(1.0)
        if self.logarithm:
            positive = builder.node("Max", [values, builder.constant(0.0)])
            values = builder.node("Log", [builder.node("Add", [positive, one])])
        forecast: str = builder.node("MatMul", [values, builder.constant(self.matrix)])
        if self.logarithm:
            forecast = builder.node("Sub", [builder.node("Exp", [forecast]), one])
        return forecast


@dataclass(frozen=True)
class MeanForecast:
    """The mean of several forecasters."""

    parts: tuple[Forecaster, ...]

    def forecast(self, view: View) -> Doubles:
        """The next steps [B, H]."""
        total = self.parts[0].forecast(view)
        for part in self.parts[1:]:
            total = total + part.forecast(view)
        mean: Doubles = total / len(self.parts)
        return mean

    def emit(self, builder: GraphBuilder, traced: Traced) -> str:
        """The same in a graph."""
        total = self.parts[0].emit(builder, traced)
        for part in self.parts[1:]:
            total = builder.node("Add", [total, part.emit(builder, traced)])
        mean: str = builder.node("Div", [total, builder.constant(float(len(self.parts)))])
        return mean


# --- matrices --------------------------------------------------------------------------------------------------


def seasonal_naive_matrix(length: int, horizon: int, season: int) -> Doubles:
    """Each step is that of the last season; with season 1, the last value."""
    matrix = np.zeros((length, horizon))
    matrix[seasonal_positions(length, horizon, season), np.arange(horizon)] = 1.0
    return matrix


def seasonal_positions(length: int, horizon: int, season: int, seasons_before: int = 0) -> NDArray[np.int64]:
    """Where in the history the same step of the last season stands, for each step ahead [H]."""
    positions = length - season * (1 + seasons_before) + np.arange(horizon) % season
    return np.maximum(positions, 0)


def mean_matrix(length: int, horizon: int, season: int) -> Doubles:
    """Each step is the mean of the last two seasons, or of the last ten steps without seasons."""
    used = min(length, 2 * season if season > 1 else 10)
    matrix = np.zeros((length, horizon))
    matrix[length - used :] = 1.0 / used
    return matrix


def drift_matrix(length: int, horizon: int, season: int) -> Doubles:
    """The seasonal naive forecast, and on with the mean change of the season means over the history."""
    matrix = seasonal_naive_matrix(length, horizon, season)
    seasons = length // season
    if seasons < 2:
        return matrix
    slope = np.zeros(length)
    slope[length - season :] = 1.0 / season
    slope[length - seasons * season : length - (seasons - 1) * season] -= 1.0 / season
    slope /= seasons - 1  # the change of one season
    ahead = np.arange(horizon) // season + 1.0
    drift: Doubles = matrix + slope[:, None] * ahead
    return drift


def level_vector(length: int, season: int) -> Doubles:
    """What a history is multiplied with to give its level [L]: the mean of the last season, or the last value."""
    vector = np.zeros(length)
    vector[length - season :] = 1.0 / season
    return vector


def ridge_matrix(values: Doubles, scale: Doubles, future: Doubles, season: int) -> Doubles | None:
    """Ridge regression of every step ahead on the history around its level, in units of the scale.

    The penalty is the one that forecasts the last fifth of the windows best. Windows come in the order of time.

    Args:
        values: histories without missing values [B, L].
        scale: their scales [B, 1], above 0.
        future: what followed [B, H], without missing values.
        season: whose mean is the level.

    Returns:
        The matrix [L, H], or None with too few windows.
    """
    if len(values) < 20:
        return None
    length = values.shape[1]
    level = level_vector(length, season)
    levels = (values @ level)[:, None]
    x, y = (values - levels) / scale, (future - levels) / scale
    cut = len(x) - max(len(x) // 5, 2)
    best, best_error = None, np.inf
    for penalty in np.logspace(-2, 4, 7):
        weights = _solve(x[:cut], y[:cut], float(penalty))
        error = float(np.abs(x[cut:] @ weights - y[cut:]).mean())
        if error < best_error:
            best, best_error = float(penalty), error
    if best is None:
        return None
    solved = _solve(x, y, best)
    matrix: Doubles = level[:, None] + solved - level[:, None] * solved.sum(axis=0)
    return matrix


def _solve(x: Doubles, y: Doubles, penalty: float) -> Doubles:
    gram: Doubles = x.T @ x
    gram[np.diag_indices_from(gram)] += penalty
    return np.asarray(np.linalg.solve(gram, x.T @ y), dtype=np.float64)
