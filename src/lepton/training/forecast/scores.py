"""What forecasts are judged by, and the residuals that prediction intervals are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, UsageError

__all__ = ["METRICS", "Bounds", "Judged", "forward_bounds", "interval_bounds", "metric_named", "score_interval"]

Doubles = NDArray[np.float64]

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "mase": "mean absolute error in units of the mean absolute change over a season",
        "smape": "symmetric mean absolute percentage error, 0 to 200",
        "rmse": "root of the mean squared error",
        "mae": "mean absolute error",
    }
)
"""Metrics of forecasts: less is better."""

_RESAMPLES = 200
_LEAST_RESIDUALS = 60
_SHARES_MISSED = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)  # of what may lie outside: tried one after the other


def metric_named(name: str | None) -> str:
    """The metric called `name`, `mase` for None, or `UsageError`."""
    if name is None:
        return "mase"
    if name not in METRICS:
        raise UsageError(
            ErrorCode.USAGE, f"got the metric {name!r} for the task forecast", wanted="one of " + ", ".join(METRICS)
        )
    return name


@dataclass(frozen=True)
class Judged:
    """Forecasts of windows and what followed.

    Attributes:
        forecast: [B, H].
        future: [B, H], NaN where it is not known.
        scale: mean absolute change over a season in the history [B, 1]; windows with 0 do not count for MASE.
        blocks: which windows may depend on each other [B].
    """

    forecast: Doubles
    future: Doubles
    scale: Doubles
    blocks: NDArray[np.int64]

    @classmethod
    def together(cls, parts: Sequence[Judged]) -> Judged:
        """All windows of several."""
        return cls(
            np.concatenate([each.forecast for each in parts]),
            np.concatenate([each.future for each in parts]),
            np.concatenate([each.scale for each in parts]),
            np.concatenate([each.blocks for each in parts]),
        )

    def sums(self, metric: str) -> tuple[Doubles, Doubles]:
        """For each window, the sum of its errors and their number [B]."""
        error = np.abs(self.forecast - self.future)
        if metric == "rmse":
            error = error**2
        elif metric == "smape":
            size = np.abs(self.forecast) + np.abs(self.future)
            error = 200.0 * error / np.where(size > 0.0, size, 1.0)
        elif metric == "mase":
            error = np.where(self.scale > 0.0, error / np.where(self.scale > 0.0, self.scale, 1.0), np.nan)
        known = ~np.isnan(error)
        return np.where(known, error, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64)

    def score(self, metric: str) -> float | None:
        """The metric over all windows, or None where nothing is known."""
        total, count = (each.sum() for each in self.sums(metric))
        return _value(metric, float(total), float(count))


def _value(metric: str, total: float, count: float) -> float | None:
    if not count or not np.isfinite(total):
        return None
    return float(np.sqrt(total / count)) if metric == "rmse" else total / count


def score_interval(judged: Judged, metric: str, seed: int) -> tuple[float | None, float | None]:
    """The 95 % bootstrap interval of a score over blocks of windows; None with fewer than five blocks."""
    total, count = judged.sums(metric)
    names, own = np.unique(judged.blocks, return_inverse=True)
    if len(names) < 5 or not np.isfinite(total).all():
        return None, None
    totals, counts = np.bincount(own, total), np.bincount(own, count)
    draws = np.random.default_rng(seed).integers(0, len(names), (_RESAMPLES, len(names)))
    found = [_value(metric, float(totals[draw].sum()), float(counts[draw].sum())) for draw in draws]
    known = [value for value in found if value is not None]
    if not known:
        return None, None
    lower, upper = np.percentile(known, [2.5, 97.5])
    return float(lower), float(upper)


@dataclass(frozen=True)
class Bounds:
    """What is added to forecasts for an interval, in units of the scale: [H] each."""

    lower: Doubles
    upper: Doubles

    def covered(self, judged: Judged) -> float | None:
        """The share of known steps that lie within."""
        lower = judged.forecast + self.lower * judged.scale
        upper = judged.forecast + self.upper * judged.scale
        known = ~np.isnan(judged.future)
        if not known.any():
            return None
        slack = 1e-9 * np.abs(judged.forecast)
        inside = (judged.future >= lower - slack) & (judged.future <= upper + slack)
        return float(inside[known].mean())


def interval_bounds(judged: Judged, coverage: float) -> Bounds:
    """Split-conformal bounds of each step from the residuals of windows that the forecaster was not fitted on.

    The residuals stand in units of each window's scale. A step with few residuals takes those of its neighbours too.
    The rank is the (n + 1)-th part (Vovk et al. 2005), which keeps the coverage for exchangeable windows.
    """
    scale = np.where(judged.scale > 0.0, judged.scale, np.nan)
    residuals = (judged.future - judged.forecast) / scale
    horizon = residuals.shape[1]
    lower, upper = np.zeros(horizon), np.zeros(horizon)
    for step in range(horizon):
        reach = 0
        while True:
            used = residuals[:, max(step - reach, 0) : step + reach + 1].ravel()
            used = np.sort(used[np.isfinite(used)])
            if len(used) >= _LEAST_RESIDUALS or reach >= horizon:
                break
            reach += 1
        if len(used):
            rank = int(np.floor((1.0 - coverage) / 2.0 * (len(used) + 1)))
            lower[step] = used[max(rank - 1, 0)]
            upper[step] = used[min(len(used) - rank, len(used) - 1)]
    return Bounds(np.minimum(lower, upper), np.maximum(lower, upper))


def forward_bounds(folds: Sequence[Judged], coverage: float) -> tuple[Bounds, float]:
    """Bounds whose level is raised until those of earlier folds hold `coverage` of what came later.

    Windows are not exchangeable: a winter errs more than the summer before it. So each later fold is asked how much of
    it lies within bounds that were made of the folds before it, and the first level at which that is enough on the
    mean is taken for bounds that are made of all.

    Args:
        folds: in the order of time; with one, nothing tells and the level is as asked.
        coverage: share of values to hold.

    Returns:
        The bounds, and the level that they were made for.
    """
    level = coverage
    for share in _SHARES_MISSED:
        level = 1.0 - share * (1.0 - coverage)
        held = [
            interval_bounds(Judged.together(folds[:number]), level).covered(folds[number])
            for number in range(1, len(folds))
        ]
        known = [each for each in held if each is not None]
        if not known or float(np.mean(known)) >= coverage:
            break
    return interval_bounds(Judged.together(folds), level), level
