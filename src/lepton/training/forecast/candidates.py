"""The candidates, cheap before dear, each fitted anew on the past of every fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, Interrupted, TrainingError, Work
from lepton.training.forecast.backtest import Candidate, Plan, view_of
from lepton.training.forecast.boosting import LagPlan, fit_boosted
from lepton.training.forecast.models import (
    Forecaster,
    LinearForecast,
    MeanForecast,
    View,
    drift_matrix,
    mean_matrix,
    ridge_matrix,
    seasonal_naive_matrix,
)
from lepton.training.forecast.scores import score_interval
from lepton.training.forecast.smoothing import fit_smoothing
from lepton.training.forecast.windows import Windows

__all__ = ["BASELINE", "Search"]

Doubles = NDArray[np.float64]
Fit = Callable[[View, Doubles], Forecaster | None]

BASELINE = "seasonal naive"
_FITTED_WINDOWS = 150  # that smoothing is fitted on
_LEAST_WINDOWS = 5
_BLENDED = 3


@dataclass
class Search:
    """Tries candidates and remembers what they forecast.

    Attributes:
        plan: the folds.
        lags: columns of boosted trees.
        metric: what to choose by.
        positive: whether no value of the target is below 0.
        work: time, threads, seed, stop signal.
        stopped: whether the time ended before everything was tried.
        cut_short: whether it left no time to fit the best on everything.
    """

    plan: Plan
    lags: LagPlan
    metric: str
    positive: bool
    work: Work
    candidates: dict[str, Candidate] = field(default_factory=dict)
    _fits: dict[str, Fit] = field(default_factory=dict)
    _blends: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _views: dict[int, View] = field(default_factory=dict)
    _latest: dict[str, Forecaster] = field(default_factory=dict)
    stopped: bool = False
    cut_short: bool = False

    def run(self) -> None:
        """Try everything that the time allows; the baseline always."""
        plan, season = self.plan, self.plan.season
        length, horizon = plan.length, plan.horizon
        fixed = {
            ("naive", BASELINE): seasonal_naive_matrix(length, horizon, season),
            ("mean", "last two seasons"): mean_matrix(length, horizon, season),
            ("drift", "season means"): drift_matrix(length, horizon, season),
        }
        total = len(fixed) + 5
        for (learner, label), matrix in fixed.items():
            self._try(learner, label, partial(_ready, LinearForecast(matrix)))
        for learner, label, fit in self._fitted():
            if self.work.stopped:
                self.stopped = True
                break
            self._try(learner, label, fit)
            self.work.report(len(self.candidates), total, "candidates", best=self._told(), note=label)
        if not self.stopped:
            self._try("lightgbm", "lags and calendar", self._boosted)
        self._blend()

    def _fitted(self) -> list[tuple[str, str, Fit]]:
        found: list[tuple[str, str, Fit]] = [("ridge", "of the history", self._ridge)]
        for trend in (False, True):
            label = "level" + (", damped trend" if trend else "") + (", season" if self.plan.season > 1 else "")
            found.append(("ets", label, partial(self._smoothing, trend=trend, logarithm=False)))
            if self.positive:
                told = f"{label}, of logarithms"
                found.append(("ets", told, partial(self._smoothing, trend=trend, logarithm=True)))
        return found

    # --- one candidate -------------------------------------------------------------------------------------

    def _try(self, learner: str, label: str, fit: Fit) -> None:
        candidate = Candidate(learner, label)
        name = f"{learner}: {label}"
        self.candidates[name], self._fits[name] = candidate, fit
        try:
            for number, fold in enumerate(self.plan.folds):
                forecast = self._forecast(name, number, fold.train, fold.valid)
                if forecast is None:
                    candidate.note = "too little history before the folds, or none that changes"
                    return
        except Interrupted:
            self.stopped = True
            candidate.note = "the time was over"
            return
        self._score(candidate)

    def _forecast(self, name: str, number: int, train: Windows, valid: Windows) -> Doubles | None:
        found: list[Doubles] = []

        def made() -> Doubles:
            forecaster = self._fits[name](self._view(2 * number, train), train.future)
            if forecaster is not None:
                self._latest[name] = forecaster
                found.append(self.bounded(forecaster.forecast(self._view(2 * number + 1, valid))))
            return found[0] if found else np.empty(0)

        self.candidates[name].timed(made)
        return found[0] if found else None

    def bounded(self, forecast: Doubles) -> Doubles:
        """Forecasts, not below 0 where no value is."""
        return np.maximum(forecast, 0.0) if self.positive else forecast

    def _view(self, key: int, windows: Windows) -> View:
        if key not in self._views:
            self._views[key] = view_of(windows, self.plan.season)
        return self._views[key]

    def _score(self, candidate: Candidate) -> None:
        judged = candidate.judged(self.plan.choosing, self.plan.season, self.plan.horizon)
        candidate.score = judged.score(self.metric)
        if candidate.score is None:
            candidate.note = "its forecasts are not finite"
            return
        seed = self.work.seed_for("forecast", "interval")
        candidate.lower, candidate.upper = score_interval(judged, self.metric, seed)

    def _told(self) -> str:
        best = self.ranked()
        return f"{self.metric} {self.candidates[best[0]].score:.4g}" if best else ""

    # --- fits ----------------------------------------------------------------------------------------------

    def _ridge(self, view: View, future: Doubles) -> Forecaster | None:
        whole = np.flatnonzero(~np.isnan(future).any(axis=1) & (view.scale[:, 0] > 0.0))
        matrix = ridge_matrix(view.values[whole], view.scale[whole], future[whole], self.plan.season)
        return None if matrix is None else LinearForecast(matrix)

    def _smoothing(self, view: View, future: Doubles, *, trend: bool, logarithm: bool) -> Forecaster | None:
        usable = np.flatnonzero((view.scale[:, 0] > 0.0) & ~np.isnan(future).all(axis=1))
        if len(usable) < _LEAST_WINDOWS:
            return None
        if len(usable) > _FITTED_WINDOWS:
            usable = usable[np.linspace(0, len(usable) - 1, _FITTED_WINDOWS).astype(np.int64)]
        values, after, scale = view.values[usable], future[usable], view.scale[usable]
        if logarithm:
            values, after = np.log1p(values), np.log1p(after)
            scale = np.maximum(np.abs(np.diff(values, axis=1)).mean(axis=1, keepdims=True), 1e-9)
        level = values.mean(axis=1, keepdims=True)
        smoothing = fit_smoothing(
            (values - level) / scale,
            (after - level) / scale,
            self.plan.season,
            trend=trend,
            damped=trend,
            work=self.work,
        )
        return LinearForecast(smoothing.matrix(self.plan.length, self.plan.horizon), logarithm)

    def _boosted(self, view: View, future: Doubles) -> Forecaster | None:
        base = self._base()
        fitted = self._fits[base](view, future)
        if not isinstance(fitted, LinearForecast):
            return None
        found = fit_boosted(self.lags, fitted, view, future, rounds=0, work=self.work)
        return None if found is None else found[0]

    def _base(self) -> str:
        """The best linear candidate; the baseline where none has a score."""
        linear = [name for name in self.ranked() if self.candidates[name].learner in {"ridge", "ets", "drift", "naive"}]
        return next(iter(linear), f"naive: {BASELINE}")

    # --- choosing ------------------------------------------------------------------------------------------

    def ranked(self) -> list[str]:
        """Names of candidates with a score, best first; the earlier, simpler one first where they are equal."""
        scores: Mapping[str, float] = {n: c.score for n, c in self.candidates.items() if c.score is not None}
        return sorted(scores, key=lambda name: scores[name])

    def _blend(self) -> None:
        parts = tuple(self.ranked()[:_BLENDED])
        for count in range(2, len(parts) + 1):
            candidate = Candidate("mean", "of " + " and ".join(parts[:count]))
            for number in range(len(self.plan.folds)):
                forecasts = [self.candidates[name].forecasts[number] for name in parts[:count]]
                candidate.forecasts.append(np.mean(forecasts, axis=0))
            candidate.fit_seconds = sum(self.candidates[name].fit_seconds for name in parts[:count])
            self._score(candidate)
            name = f"mean: {candidate.label}"
            self.candidates[name], self._blends[name] = candidate, parts[:count]

    def fit_best(self) -> tuple[str, Forecaster]:
        """The name of the best candidate, and it: fitted on everything, or, without time, as the last fold left it."""
        for name in self.ranked():
            forecaster = self.fit(name)
            if forecaster is not None:
                return name, forecaster
        raise TrainingError(ErrorCode.TRAINING_FAILED, "no candidate gave finite forecasts")

    def fit(self, name: str) -> Forecaster | None:
        """The candidate called `name`, fitted on everything."""
        if name in self._blends:
            found = [self.fit(part) for part in self._blends[name]]
            parts = tuple(each for each in found if each is not None)
            return MeanForecast(parts) if len(parts) == len(found) else None
        try:
            return self._fits[name](self._view(-1, self.plan.everything), self.plan.everything.future)
        except Interrupted:
            self.cut_short = True
            return self._latest[name]


def _ready(forecaster: Forecaster, view: View, future: Doubles) -> Forecaster:
    """What needs no fitting."""
    return forecaster
