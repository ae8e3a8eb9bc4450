"""From a panel to candidates that were tried: the season, the folds, and the time that trying gets."""

from __future__ import annotations

import numpy as np

from lepton.core import Work
from lepton.training.forecast.backtest import Plan, plan_backtest
from lepton.training.forecast.boosting import LagPlan, calendar_parts
from lepton.training.forecast.candidates import Search
from lepton.training.forecast.panel import Panel
from lepton.training.forecast.seasons import find_seasons
from lepton.training.forecast.windows import fill

__all__ = ["search_panel"]

_SHARE_OF_TRYING = 0.7  # of the time; the final fit is about as dear as that of one fold


def search_panel(panel: Panel, horizon: int, metric: str, work: Work) -> tuple[Search, list[str]]:
    """Find the season, lay the folds and try every candidate that the time allows.

    Returns:
        The search, and what was decided, for people.
    """
    season, longer = find_seasons(panel, max((panel.longest - horizon) // 2, 1))
    plan = plan_backtest(panel, horizon, season, longer)
    values = [float(np.nanmin(series.target)) for series in panel.series]
    positive = min(values) >= 0.0
    frequency = panel.frequency
    lags = LagPlan(
        plan.length,
        horizon,
        season,
        longer,
        frequency,
        len(panel.inputs.covariates),
        calendar_parts(frequency, panel.longest),
    )
    notes = [*panel.notes, _told_seasons(season, longer)]
    short = sum(len(series) < plan.season + horizon for series in panel.series)
    if short:
        notes.append(f"{short} of {len(panel.series)} series are shorter than a season and the horizon")
    notes.append(f"the model takes the last {plan.length} steps of a series and forecasts {horizon}")
    if positive:
        notes.append("no value is below 0, so no forecast is")
    remaining = work.remaining
    trying = work if remaining is None else work.part(_SHARE_OF_TRYING * remaining)
    if metric == "mase" and _repeats_exactly(plan):
        metric = "mae"
        notes.append(
            "the values repeat exactly from season to season, where mase is undefined: candidates are compared by mae"
        )
    search = Search(plan, lags, metric, positive, trying)
    search.run()
    search.work = work  # what is left is for the final fit
    if search.stopped:
        notes.append("the time ended before all candidates were tried")
    return search, notes


def _repeats_exactly(plan: Plan) -> bool:
    """Whether no window that candidates are compared on changes from season to season."""
    return all((fill(fold.valid.target, plan.season).scale == 0.0).all() for fold in plan.choosing)


def _told_seasons(season: int, longer: int) -> str:
    if season == 1:
        return "no season was found"
    return f"the season is {season} steps" + (f", with a longer one of {longer}" if longer else "")
