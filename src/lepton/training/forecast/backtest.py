"""Rolling-origin backtests: every candidate is fitted on the past of the windows that it is scored on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, UsageError
from lepton.training.forecast.models import View
from lepton.training.forecast.panel import Panel, Series
from lepton.training.forecast.scores import Judged
from lepton.training.forecast.windows import Windows, cut_windows, fill
from lepton.training.leaderboard import LeaderboardRow

__all__ = ["Candidate", "Fold", "Plan", "check_horizon", "plan_backtest", "view_of"]

Doubles = NDArray[np.float64]

_FOLDS = 4
_SHARE = 12  # a fold's origins cover this part of the longest series
_MOST_SCORED = 1_500  # windows of a fold
_MOST_FITTED = 4_000
_MOST_STEPS_OF_HISTORY = 2_048


@dataclass(frozen=True)
class Fold:
    """Windows whose futures lie before a time, and windows that begin after it."""

    train: Windows
    valid: Windows


@dataclass(frozen=True)
class Plan:
    """How candidates are judged.

    Attributes:
        length: steps of history that the model takes.
        horizon: steps ahead.
        season: steps of a season; 1 for none.
        longer: steps of a longer season, or 0.
        folds: in the order of time; the last is kept for the final judgement.
        everything: windows for the final fit.
    """

    length: int
    horizon: int
    season: int
    longer: int
    folds: tuple[Fold, ...]
    everything: Windows

    @property
    def choosing(self) -> tuple[Fold, ...]:
        """Folds that candidates are chosen on: all but the last, where there are several."""
        return self.folds[:-1] if len(self.folds) > 1 else self.folds


def check_horizon(horizon: object, longest: int) -> int:
    """The horizon as a whole number that the history can teach.

    Raises:
        UsageError: no positive whole number.
        DataError: the longest series is too short for it.
    """
    if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
        raise UsageError(
            ErrorCode.USAGE,
            f"got horizon={horizon!r}",
            wanted="a whole number of steps, at least 1",
            fix="horizon=14 or --horizon 14 forecasts the next 14 steps",
        )
    if longest < 2 * horizon + 4:
        raise DataError(
            ErrorCode.TOO_FEW_ROWS,
            f"the longest series has {longest} steps, for a horizon of {horizon}",
            wanted=f"at least {2 * horizon + 4} steps: twice the horizon and 4",
            fix=f"give a longer history, or a horizon of at most {max((longest - 4) // 2, 0)}",
        )
    return horizon


def length_of(longest: int, horizon: int, season: int, longer: int) -> int:
    """Steps of history that a model takes: three seasons, twice the horizon, and the longer season with its future."""
    wanted = max(3 * season, 2 * horizon, 60, longer + horizon if longer else 0)
    return max(min(wanted, longest - horizon - 2, _MOST_STEPS_OF_HISTORY), season + 1, 3)


def plan_backtest(panel: Panel, horizon: int, season: int, longer: int) -> Plan:
    """Lay the folds: each covers some steps before the end, and what candidates learn from ends before them."""
    longest = panel.longest
    length = length_of(longest, horizon, season, longer)
    width = max(longest // _SHARE, 1)
    cuts = [panel.end - horizon - (_FOLDS - fold) * width + 1 for fold in range(_FOLDS)]
    folds = []
    for number, cut in enumerate(cuts):
        # Futures of folds that choose end before the last fold begins, as far as there is room.
        latest = cut + width - 1
        if number < _FOLDS - 1 and cuts[-1] - horizon >= cut:
            latest = min(latest, cuts[-1] - horizon)
        stride = max(1, -(-(latest - cut + 1) * len(panel.series) // _MOST_SCORED))
        begins = range(cut, latest + 1, stride)
        valid = cut_windows(panel, length, horizon, partial(_everywhere, begins))
        if len(valid):
            folds.append(Fold(_learnable(panel, length, horizon, cut), valid))
    if not folds:
        raise DataError(
            ErrorCode.TOO_FEW_ROWS,
            f"no series has {horizon} known steps at its end and history before them",
            wanted="series that end at about the same time",
        )
    return Plan(length, horizon, season, longer, tuple(folds), _learnable(panel, length, horizon, panel.end))


def _everywhere(begins: range, _: Series) -> range:
    return begins


def _learnable(panel: Panel, length: int, horizon: int, end: int) -> Windows:
    """Windows whose futures end before the step `end`, in the order of time, spread over what there is."""
    total = sum(max(min(end, s.first + len(s)) - s.first - horizon, 0) for s in panel.series)
    stride = max(1, -(-total // _MOST_FITTED))
    # A window with less history than this teaches what padding looks like.
    least = min(length, max(length // 2, 4))

    def origins(series: Series) -> NDArray[np.int64]:
        last = min(end, series.first + len(series)) - horizon
        return np.arange(last, series.first + least - 1, -stride)[::-1]

    windows = cut_windows(panel, length, horizon, origins)
    return windows.take(np.argsort(windows.origins, kind="stable"))


def view_of(windows: Windows, season: int) -> View:
    """Windows as forecasters see them."""
    filled = fill(windows.target, season)
    return View(filled.values, filled.scale[:, None], windows.last, windows.covariates)


@dataclass
class Candidate:
    """One way to forecast and how far it got.

    Attributes:
        learner: its family.
        label: what is particular about it.
        forecasts: for each fold, of the windows that are scored.
        fit_seconds: of all fits.
        score: on the folds that choose.
        lower: end of the score's interval.
        upper: other end.
        note: why there is no score, or "".
    """

    learner: str
    label: str
    forecasts: list[Doubles] = field(default_factory=list)
    fit_seconds: float = 0.0
    score: float | None = None
    lower: float | None = None
    upper: float | None = None
    note: str = ""

    def timed(self, made: Callable[[], Doubles]) -> None:
        """Add the forecasts of one more fold and the time that they took."""
        start = time.perf_counter()
        self.forecasts.append(made())
        self.fit_seconds += time.perf_counter() - start

    def judged(self, folds: tuple[Fold, ...], season: int, horizon: int) -> Judged:
        """Its forecasts of `folds`, which are the first or all."""
        windows = [fold.valid for fold in folds]
        scale = [fill(each.target, season).scale[:, None] for each in windows]
        origins = np.concatenate([each.origins for each in windows])
        series = np.concatenate([each.series for each in windows])
        return Judged(
            np.concatenate(self.forecasts[: len(folds)]),
            np.concatenate([each.future for each in windows]),
            np.concatenate(scale),
            series * 10**9 + origins // max(horizon, season),
        )

    def judged_by_fold(self, folds: tuple[Fold, ...], season: int, horizon: int) -> tuple[Judged, ...]:
        """Its forecasts of each of `folds`, which are the first or all."""
        return tuple(
            replace(self, forecasts=[forecast]).judged((fold,), season, horizon)
            for forecast, fold in zip(self.forecasts, folds, strict=False)
        )

    def row(self, num_folds: int, chosen: bool, size: int | None, micros: float | None) -> LeaderboardRow:
        """Its line of the leaderboard."""
        return LeaderboardRow(
            learner=self.learner,
            configuration=self.label,
            metric=self.score,
            lower=self.lower,
            upper=self.upper,
            num_folds=min(len(self.forecasts), num_folds),
            fit_seconds=self.fit_seconds,
            predict_us=micros,
            size=size,
            chosen=chosen,
            note=self.note,
        )
