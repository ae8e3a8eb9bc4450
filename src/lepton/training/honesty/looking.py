"""After a training: what makes its score doubtful, where it errs, and whether its probabilities come true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lepton.core import Kind, Role, Work, time_allowed
from lepton.data import Dataset
from lepton.evaluation import Estimate
from lepton.evaluation.classification import Floats
from lepton.training.further import FURTHER
from lepton.training.honesty.checks import Doubt, doubts_of, order_doubt, too_few
from lepton.training.honesty.errors import errors_of
from lepton.training.honesty.judged import MAX_ROWS, Judged
from lepton.training.honesty.probabilities import calibration_doubt, calibration_of
from lepton.training.portfolio import Chosen, Portfolio
from lepton.training.prepared import PreparedTable

__all__ = ["checking_seconds", "doubts_and_errors", "left_of"]

_CHECK_SHARE = 0.01  # of the time that each look at single columns may take
_KEPT_SHARE = 0.02  # of the time that is kept for all of it
_CHECK_SECONDS = 0.1  # for anything of it
_CHECK_SECONDS_A_ROW = 2e-5
_OVER_SHARE = 0.25  # of what the contract allows beyond the time
_MOST_COLUMNS = 1_000
_LEAST_ROWS = 1_000  # of more, that must be looked at to say anything


def checking_seconds(work: Work, num_rows: int) -> float:
    """Seconds that are kept for looking for what makes a score doubtful."""
    return min(_KEPT_SHARE * (work.within or np.inf), _CHECK_SECONDS + _CHECK_SECONDS_A_ROW * min(num_rows, MAX_ROWS))


def left_of(portfolio: Portfolio, share: float) -> float:
    """Seconds for one look: a share of the time, as long as saving is not touched; 0 where it would be."""
    work = portfolio.work
    if work.cancel.is_set():
        return 0.0
    if work.remaining is None or work.within is None:
        return np.inf
    kept = portfolio.saving_seconds - checking_seconds(work, portfolio.problem.num_rows)
    beyond = _OVER_SHARE * (time_allowed(work.within) - work.within)  # the last fit may have taken longer
    return max(min(share * work.within, work.remaining - kept + beyond), 0.0)


def doubts_and_errors(
    dataset: Dataset, table: PreparedTable, portfolio: Portfolio, chosen: Chosen, search: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What `reports/training.json` holds of doubts: `doubts`, `not_checked`, `calibration` and `errors`.

    Args:
        dataset: as it was given.
        table: as it was learned from.
        portfolio: has the candidates and the time.
        chosen: the model.
        search: `reports/search.json`, or None.
    """
    if table.problem.task in FURTHER:
        reason = f"leaks, drift and places of errors are not looked for where the task is {table.problem.task}"
        return {"doubts": [], "not_checked": reason, "calibration": None, "errors": []}
    most = int(min((left_of(portfolio, 1.0) - 0.5 * _CHECK_SECONDS) / _CHECK_SECONDS_A_ROW, MAX_ROWS))
    if most < min(len(chosen.scored), _LEAST_ROWS):
        reason = "there was no time to look for leaks, drift and places of errors"
        return {"doubts": [], "not_checked": reason, "calibration": None, "errors": []}
    judged = _judged(dataset, table, portfolio, chosen, most)
    doubts, not_checked = doubts_of(judged, left_of(portfolio, _CHECK_SHARE))
    if len(judged.columns) < len(table.features.columns):
        not_checked = not_checked or f"only the first {len(judged.columns):,} columns were looked at by themselves"
    if search is not None:
        doubts += order_doubt(search["closer"].get("order", {}))
    doubts += _gain_doubts(portfolio, chosen)
    calibration = None
    if judged.labels is not None:
        groups = None if judged.groups is None else np.unique(judged.groups, return_inverse=True)[1]
        classes = judged.truth.astype(np.int64)
        calibration = calibration_of(
            judged.answers, classes, judged.labels, weight=judged.weight, groups=groups, seed=judged.seed
        )
        doubts += calibration_doubt(calibration)
    return {
        "doubts": [doubt.to_dict() for doubt in doubts],
        "not_checked": not_checked,
        "calibration": calibration,
        "errors": errors_of(judged, left_of(portfolio, _CHECK_SHARE)),
    }


def _judged(dataset: Dataset, table: PreparedTable, portfolio: Portfolio, chosen: Chosen, most: int) -> Judged:
    """The scored rows, at most so many of them."""
    sizes = [len(fold.valid) for fold in portfolio.folds[: portfolio.num_folds]]
    fold = np.repeat(np.arange(len(sizes)), sizes)
    seed = portfolio.work.seed_for("honesty")
    kept = np.arange(len(chosen.scored))
    if len(kept) > most:
        kept = np.sort(np.random.default_rng(seed).choice(len(kept), most, replace=False))
    # In the order of the table: some checks look at what stands together.
    kept = kept[np.argsort(chosen.scored[kept], kind="stable")]
    rows = chosen.scored[kept]
    weight = None if table.rows.weight is None else table.rows.weight[rows]
    columns = table.features.columns[:_MOST_COLUMNS]
    identifiers = tuple(c for c in dataset.schema if c.kind is Kind.IDENTIFIER and c.name in table.frame)
    identifiers = identifiers[:_MOST_COLUMNS]
    in_time = dataset.schema.of_role(Role.TIME)
    return Judged(
        problem=table.problem,
        labels=table.target.labels,
        frame=table.frame.select(c.name for c in (*columns, *identifiers))[rows],
        columns=columns,
        identifiers=identifiers,
        truth=portfolio.truth[rows],
        answers=chosen.answers[kept],
        fold=fold[kept],
        weight=None if weight is None or not weight.any() else weight,
        groups=None if table.groups is None else table.groups[rows],
        order=None if table.order is None else table.order[rows],
        time=in_time[0].name if in_time else None,
        seed=seed,
    )


def _gain_doubts(portfolio: Portfolio, chosen: Chosen) -> list[Doubt]:
    """Whether the model is better than one that looks at no column, as far as can be told."""
    baseline = next((c for c in portfolio.candidates if c.learner.name == "baseline" and c.raw), None)
    if baseline is None or baseline is chosen.candidate:
        return too_few(Estimate(0.0, 0.0, 0.0), portfolio.metric.name)
    rows = portfolio.scored_rows()
    without = portfolio.score_over(np.concatenate(baseline.raw[: portfolio.num_folds]), rows)
    model = portfolio.score_over(np.concatenate(chosen.candidate.raw[: portfolio.num_folds]), rows)
    sign = 1.0 if portfolio.metric.greater_is_better else -1.0

    def gain(weights: Floats) -> Floats:
        gained: Floats = sign * (model(weights) - without(weights))
        return gained

    return too_few(portfolio.estimates({"gain": gain}, rows)["gain"], portfolio.metric.name)
