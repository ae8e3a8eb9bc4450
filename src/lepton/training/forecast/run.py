"""`train_forecast`: from a table with times to a model file that forecasts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lepton.bundle import GraphBuilder, write_bundle
from lepton.core import ErrorCode, UsageError, Work, check_name
from lepton.data import Dataset
from lepton.training.forecast.backtest import check_horizon
from lepton.training.forecast.candidates import BASELINE, Search
from lepton.training.forecast.graph import forecast_graph, measure_graph
from lepton.training.forecast.panel import read_panel
from lepton.training.forecast.planning import search_panel
from lepton.training.forecast.scores import forward_bounds, metric_named
from lepton.training.forecast.writing import asset_of, manifest_of, report_of, statistics_of
from lepton.training.leaderboard import Leaderboard
from lepton.training.tables import TrainingResult

__all__ = ["COVERAGE", "is_forecast", "train_forecast"]

COVERAGE = 0.9
"""Share of future values that the intervals are made to hold."""

_BASELINE_NAME = f"naive: {BASELINE}"


def is_forecast(task: str | None, series: str | None, horizon: int | None) -> bool:
    """Whether `task` is to forecast.

    Raises:
        UsageError: what only forecasts have was given for another task.
    """
    if task == "forecast":
        return True
    for name, value in (("series", series), ("horizon", horizon)):
        if value is not None:
            raise UsageError(
                ErrorCode.USAGE,
                f"got {name}={value!r} with task={task!r}",
                wanted=f"{name} for forecasts only",
                fix="task='forecast' (--task forecast)",
            )
    return False


def train_forecast(
    dataset: Dataset,
    *,
    target: str,
    time: str | None = None,
    series: str | None = None,
    horizon: int | None,
    metric: str | None = None,
    name: str | None = None,
    work: Work | None = None,
    output: Path,
) -> TrainingResult:
    """Learn to forecast the next steps of one or many series and write the model file.

    Args:
        dataset: rows of history in any order; other columns of numbers are past covariates.
        target: column to forecast.
        time: column of the time; None for the one with that role, or the only date.
        series: column that tells series apart; None for the one with the role `group`, or for one series.
        horizon: steps ahead.
        metric: `mase`, `smape`, `rmse` or `mae`; None for `mase`.
        name: of the model; None for the name of `output`.
        work: time, threads, seed, stop signal.
        output: model file to write.

    Raises:
        DataError: series that cannot be learned from; the message says which and why.
        UsageError: no such metric, horizon or column of the time.
        StoreError: the file cannot be written; an earlier one is intact.
    """
    output, work = Path(output), Work.of(work)
    name = check_name(name or output.stem, "name of the model")
    measured_by = metric_named(metric)
    horizon = check_horizon(horizon, 2**62)  # said before anything is read
    panel = read_panel(dataset, target=target, time=time, series=series)
    check_horizon(horizon, panel.longest)
    search, notes = search_panel(panel, horizon, measured_by, work)
    best, forecaster = search.fit_best()
    plan = search.plan
    candidate = search.candidates[best]
    bounds, level = forward_bounds(candidate.judged_by_fold(plan.folds, plan.season, horizon), COVERAGE)
    builder = GraphBuilder()
    forecast_graph(builder, panel.inputs, plan, forecaster, bounds, search.positive)
    graph = builder.finish({"lepton.inputs": panel.inputs.metadata()})
    size, micros = measure_graph(graph)
    ranked = [*search.ranked(), *(n for n, c in search.candidates.items() if c.score is None)]
    rows = tuple(
        search.candidates[each].row(
            len(plan.choosing), each == best, size if each == best else None, micros if each == best else None
        )
        for each in ranked
    )
    honest = _honest(search, best)
    board = Leaderboard(search.metric, False, rows, (*notes, *_told(honest, search, level)))
    model_id = write_bundle(
        output,
        manifest=manifest_of(dataset, panel, search, best, name, work),
        graph=graph,
        assets={"forecast.json": asset_of(panel, plan, COVERAGE)},
        baseline=statistics_of(dataset, panel).to_members(),
        training={"kind": b"none"},
        reports={"training": report_of(board, panel, plan, honest, COVERAGE, work)},
    )
    return TrainingResult(output, model_id, board.rows, board.notes)


# --- honesty ---------------------------------------------------------------------------------------------------


def _honest(search: Search, best: str) -> dict[str, Any]:
    """Score and coverage on the last fold, which no choice saw."""
    plan = search.plan
    if len(plan.folds) < 2:
        return {}
    found: dict[str, Any] = {}
    last = plan.folds[-1:]
    for key, name in (("chosen", best), ("baseline", _BASELINE_NAME)):
        candidate = search.candidates[name]
        shown = replace(candidate, forecasts=candidate.forecasts[-1:])
        judged = shown.judged(last, plan.season, plan.horizon)
        found[key] = judged.score(search.metric)
        if key == "chosen":
            earlier = candidate.judged_by_fold(plan.choosing, plan.season, plan.horizon)
            found["coverage"] = forward_bounds(earlier, COVERAGE)[0].covered(judged)
            found["windows"] = len(judged.future)
    return found


def _told(honest: dict[str, Any], search: Search, level: float) -> tuple[str, ...]:
    notes = [
        f"scores are of rolling-origin backtests in {len(search.plan.choosing)} folds, each fitted on its past",
    ]
    if search.cut_short:
        notes.append("no time was left to fit it once more: it has learned from what lies before the last fold")
    if honest.get("chosen") is not None and honest.get("baseline") is not None:
        notes.append(
            f"on {honest['windows']} later windows that no choice saw: {search.metric} {honest['chosen']:.4g},"
            f" {BASELINE} {honest['baseline']:.4g}"
        )
    if honest.get("coverage") is not None:
        notes.append(
            f"intervals are made to hold {COVERAGE:.0%} of values; those of earlier folds held {honest['coverage']:.1%}"
            " of the later windows"
        )
    if level > COVERAGE + 1e-9:
        notes.append(
            f"later values erred more than earlier ones: intervals are as wide as held {level:.1%} of the backtests"
        )
    return tuple(notes)
