"""Exponential smoothing with additive errors (Hyndman & Athanasopoulos, Forecasting: Principles and Practice, ch. 8).

With fixed parameters and a start that is a linear function of the history, the forecasts are a linear function of the
history. So one matrix forecasts every series, those that training never saw too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton.core import MissingExtraError, Work

__all__ = ["Smoothing", "fit_smoothing"]

Doubles = NDArray[np.float64]

_EVALUATIONS = 80
_START_STEPS = 10  # that the first level and trend of a series without seasons are taken from


@dataclass(frozen=True)
class Smoothing:
    """The parameters.

    Attributes:
        season: steps of a season; 1 for none.
        trend: whether there is a trend.
        alpha: how fast the level follows.
        beta: how fast the trend follows.
        gamma: how fast the seasonal pattern follows.
        phi: what is left of the trend after each step; 1 for no damping.
    """

    season: int
    trend: bool
    alpha: float
    beta: float = 0.0
    gamma: float = 0.0
    phi: float = 1.0

    def forecast(self, history: Doubles, horizon: int) -> Doubles:
        """Forecasts [B, horizon] of histories [B, L] without missing values."""
        steps = history.T
        length, season = len(steps), self.season
        seasonal = season > 1 and length >= 2 * season
        level, slope, pattern = _start(steps, season if seasonal else 1, self.trend)
        alpha, beta, gamma, phi = self.alpha, self.beta, self.gamma, self.phi
        for step in range(length):
            if self.trend:
                slope = phi * slope
            before = level + slope if self.trend else level
            if seasonal:
                own = pattern[step % season]
                error = steps[step] - before - own
                pattern[step % season] = own + gamma * error
            else:
                error = steps[step] - before
            level = before + alpha * error
            if self.trend:
                slope = slope + alpha * beta * error
        damped = np.cumsum(phi ** np.arange(1, horizon + 1))
        answers = np.repeat(level[:, None], horizon, axis=1)
        if self.trend:
            answers = answers + slope[:, None] * damped
        if seasonal:
            answers = answers + pattern[(length + np.arange(horizon)) % season].T
        return answers

    def matrix(self, length: int, horizon: int) -> Doubles:
        """What histories [B, length] are multiplied with to give forecasts: [length, horizon]."""
        return self.forecast(np.eye(length), horizon)


def _start(steps: Doubles, season: int, trend: bool) -> tuple[Doubles, Doubles, Doubles]:
    """First level, trend and pattern: linear functions of the first steps [L, B]."""
    if season > 1:
        first, second = steps[:season].mean(axis=0), steps[season : 2 * season].mean(axis=0)
        slope = (second - first) / season if trend else np.zeros_like(first)
        middle = (np.arange(season) - (season - 1) / 2.0)[:, None]
        pattern = (steps[:season] - first - middle * slope + steps[season : 2 * season] - second - middle * slope) / 2.0
        return first - slope * (season + 1) / 2.0, slope, pattern
    used = steps[: min(_START_STEPS, len(steps))]
    level = used.mean(axis=0)
    if not trend or len(used) < 2:
        return level, np.zeros_like(level), np.empty((0, 0))
    middle = (np.arange(len(used)) - (len(used) - 1) / 2.0)[:, None]
    slope = (used * middle).sum(axis=0) / (middle**2).sum()
    return level - slope * (len(used) + 1) / 2.0, slope, np.empty((0, 0))


def fit_smoothing(
    history: Doubles, future: Doubles, season: int, *, trend: bool, damped: bool, work: Work
) -> Smoothing:
    """The parameters whose forecasts are nearest to what followed, by the mean absolute error of all steps.

    Args:
        history: [B, L], on a common scale, without missing values.
        future: [B, H]; missing values do not count.
        season: steps of a season; 1 for none.
        trend: whether there is a trend.
        damped: whether it is damped.
        work: stop signal and time.
    """
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise MissingExtraError("scipy", "train", "Fitting exponential smoothing") from None
    horizon = future.shape[1]

    def made(free: Doubles) -> Smoothing:
        share = 1.0 / (1.0 + np.exp(-np.clip(free, -8.0, 8.0)))
        alpha = float(share[0])
        gamma = float((1.0 - alpha) * share[1]) if season > 1 else 0.0
        beta = float(share[-2]) if trend else 0.0
        phi = 0.8 + 0.19 * float(share[-1]) if damped else 1.0
        return Smoothing(season, trend, alpha, beta, gamma, phi)

    def loss(free: Doubles) -> float:
        work.check()
        error = np.abs(made(free).forecast(history, horizon) - future)
        value = float(np.nanmean(error)) if np.isfinite(error).any() else np.inf
        return value if np.isfinite(value) else 1e300

    start = np.array([-0.5, -2.0, -2.0, 1.0] if trend else [-0.5, -2.0])
    found = minimize(loss, start, method="Nelder-Mead", options={"maxfev": _EVALUATIONS, "xatol": 0.02, "fatol": 1e-5})
    return made(found.x)
