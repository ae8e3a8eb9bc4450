"""A closer look at one strong model after a search, within a small share of the time.

Its configuration is fitted again on growing shares of the rows (would more rows help?), and on folds of rows that
stand together in the table (does the score hold for rows from elsewhere?). Fits run in the processes of the search and
are killed when their time is over; the point of the curve with all rows is known already, from the folds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.compute import Engine, Handle
from lepton.core import LeptonError, Resources
from lepton.evaluation import Estimate
from lepton.evaluation.classification import Floats, Score
from lepton.training.automl.refit import REFIT, Refitted
from lepton.training.automl.trials import Setting, address_of
from lepton.training.base import Doubles, TableLearner
from lepton.training.folds import Fold
from lepton.training.portfolio import Candidate, Portfolio

__all__ = ["Closer", "look_closer", "next_gain"]

SHARES = (0.125, 0.25, 0.5)
"""Of the rows of a fold that a curve learns from, beside all of them."""

_LEAST_ROWS = 30
_LOOKS = (2 * sum(SHARES) + 3, sum(SHARES) + 1)  # fits: two folds' curves and order, or one curve; and a learner
_SLACK = 1.5  # of the time that fits are expected to take
_LEAST_SECONDS = 0.2
_POLL_SECONDS = 0.01
_STRATA = 10  # of a number: rows that are sorted by the target must not leave a fold without part of it

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Closer:
    """What the closer look gives.

    Attributes:
        report: for `reports/search.json`.
        learner: of the configuration that was looked at, fitted without the rows of `fold`; None without one.
        fold: its rows.
    """

    report: dict[str, Any]
    learner: TableLearner | None = None
    fold: Fold | None = None


@dataclass(frozen=True)
class _Task:
    what: str  # curve, order or keep
    fold: int
    share: float
    train: Positions
    valid: Positions


@dataclass
class _Look:
    portfolio: Portfolio
    setting: Setting
    candidate: Candidate
    done: dict[tuple[str, int, float], Refitted] = field(default_factory=dict)


def look_closer(
    portfolio: Portfolio,
    setting: Setting,
    engine: Engine,
    *,
    workers: int,
    resources: Resources,
    score: Estimate,
    seconds: float,
) -> Closer:
    """Fit a strong configuration again, on fewer rows and on rows that stand together, as far as the time goes.

    Args:
        portfolio: has the candidates.
        setting: of the trials.
        engine: runs the fits.
        workers: fits at a time.
        resources: of each fit.
        score: of the chosen model; what lies within its interval is strong.
        seconds: that this may take; it takes no more.

    Returns:
        What was found; where nothing was, the report says why.
    """
    candidate = _strong(portfolio, score, seconds * workers)
    if candidate is None:
        return Closer({"skipped": "nothing but the baseline was fitted"})
    if seconds < _LEAST_SECONDS or _SLACK * SHARES[0] * candidate.fold_seconds > seconds:
        return Closer({"skipped": "there was no time for a closer look at the model"})
    look = _Look(portfolio, setting, candidate)
    start = time.monotonic()
    planned = list(_planned(_tasks(look), candidate, seconds * workers))
    _run(look, planned, engine, resources, seconds)
    learner, fold = _kept(look)
    report = {
        "of": {"learner": candidate.learner.name, "configuration": candidate.configuration["label"]},
        "learning_curve": _curve(look),
        "order": _order(look),
        "seconds": time.monotonic() - start,
    }
    return Closer(report, learner, fold)


def _strong(portfolio: Portfolio, score: Estimate, seconds: float) -> Candidate | None:
    """The best single candidate among those as good as can be told that there is time to look at from all sides.

    Where there is none, the best that there is time to look at from one; else the cheapest.
    """
    finished = [
        c
        for c in portfolio.candidates
        if c.estimate is not None and len(c.raw) == portfolio.num_folds and c.learner.name not in {"baseline", "blend"}
    ]
    finished.sort(key=lambda c: portfolio.loss_of(c.raw))
    if not finished or score.lower is None or score.upper is None:
        return finished[0] if finished else None
    strong = [finished[0], *(c for c in finished[1:] if c.estimate and _within(c.estimate, score))]
    for fits in _LOOKS:
        timely = [c for c in strong if _SLACK * fits * c.fold_seconds <= seconds]
        if timely:
            return timely[0]
    return min(strong, key=lambda c: c.fold_seconds)


def _within(estimate: Estimate, score: Estimate) -> bool:
    known = None not in (estimate.value, score.lower, score.upper)
    return known and score.lower <= estimate.value <= score.upper  # type: ignore[operator]


# --- which fits -----------------------------------------------------------------------------------------------


def _tasks(look: _Look) -> Iterator[_Task]:
    """Fold by fold: a learner to ask about features, the curve, the folds of rows that stand together."""
    portfolio = look.portfolio
    folds = portfolio.folds[: portfolio.num_folds]
    if not look.candidate.fitted:
        yield _Task("keep", len(folds) - 1, 1.0, folds[-1].train, folds[-1].valid)
    together = _standing_together(portfolio)
    for number, fold in enumerate(folds):
        for share in SHARES:
            rows = _part(portfolio, fold.train, share, number)
            if len(rows) >= max(_LEAST_ROWS, 2 * portfolio.problem.num_classes):
                yield _Task("curve", number, share, rows, fold.valid)
        if number < len(together):
            yield _Task("order", number, 1.0, together[number].train, together[number].valid)


def _planned(tasks: Iterator[_Task], candidate: Candidate, seconds: float) -> Iterator[_Task]:
    """As many as there is time for, by what the fits of the folds took."""
    spent = 0.0
    for task in tasks:
        spent += _SLACK * task.share * candidate.fold_seconds
        if spent > seconds:
            return
        yield task


def _part(portfolio: Portfolio, train: Positions, share: float, fold: int) -> Positions:
    """Some of the rows that a fold learns from, a smaller share within a larger: the latest, or whole groups, drawn."""
    if portfolio.order is not None:
        in_time = train[np.argsort(portfolio.order[train], kind="stable")]
        return np.sort(in_time[len(train) - round(share * len(train)) :])
    random = np.random.default_rng(portfolio.work.seed_for("curve", fold))
    if portfolio.groups is None:
        return np.sort(random.permutation(train)[: round(share * len(train))])
    groups = random.permutation(np.unique(portfolio.groups[train]))
    wanted = groups[: max(1, round(share * len(groups)))]
    return train[np.isin(portfolio.groups[train], wanted)]


def _standing_together(portfolio: Portfolio) -> list[Fold]:
    """Folds of neighbours in the table, each with its part of every class or of every range of the target.

    None where groups or time say already what belongs together, or where not every row has been scored.
    """
    num_folds = portfolio.num_folds
    if portfolio.groups is not None or portfolio.order is not None or num_folds < 2:
        return []
    if len(portfolio.scored_rows()) < portfolio.problem.num_rows:
        return []
    truth = portfolio.truth
    if portfolio.problem.task == "regression":
        truth = np.searchsorted(np.quantile(truth, np.linspace(0, 1, _STRATA + 1)[1:-1]), truth)
    part = np.empty(len(truth), dtype=np.int64)
    for stratum in np.unique(truth):
        rows = np.flatnonzero(truth == stratum)
        part[rows] = np.arange(len(rows)) * num_folds // len(rows)
    return [Fold(np.flatnonzero(part != fold), np.flatnonzero(part == fold)) for fold in range(num_folds)]


def _run(look: _Look, tasks: Sequence[_Task], engine: Engine, resources: Resources, seconds: float) -> None:
    """Everything side by side; what is not done in the time, or fails, is left out."""
    end = time.monotonic() + seconds
    handles: list[tuple[_Task, Handle]] = []
    for task in tasks:
        args = {
            "setting": look.setting,
            "learner": address_of(look.candidate.learner),
            "configuration": dict(look.candidate.configuration),
            "train": task.train,
            "valid": task.valid,
            "keep": task.what == "keep",
        }
        handles.append((task, engine.submit(REFIT, args, resources, seed=look.setting.seed, within=seconds)))
    while not all(handle.state.final for _, handle in handles):
        if time.monotonic() > end or look.portfolio.work.cancel.is_set():
            break
        time.sleep(_POLL_SECONDS)
    for task, handle in handles:
        if not handle.state.final:
            handle.kill()
            continue
        try:
            look.done[task.what, task.fold, task.share] = handle.result()
        except LeptonError:
            continue


def _kept(look: _Look) -> tuple[TableLearner | None, Fold | None]:
    portfolio = look.portfolio
    last = portfolio.num_folds - 1
    if look.candidate.fitted:
        return look.candidate.fitted[-1], portfolio.folds[last]
    found = look.done.get(("keep", last, 1.0))
    return (None, None) if found is None else (found.learner, portfolio.folds[last])


# --- what they say --------------------------------------------------------------------------------------------


def _curve(look: _Look) -> dict[str, Any]:
    """Score against rows, and what twice the rows would be worth."""
    portfolio = look.portfolio
    shares = {fold: sorted(s for w, f, s in look.done if w == "curve" and f == fold) for fold in _folds(look, "curve")}
    most = max((len(each) for each in shares.values()), default=0)
    if most == 0:
        return {"skipped": "no fit on fewer rows was finished in the time"}
    folds = [fold for fold, each in shares.items() if len(each) == most]
    rows = np.concatenate([portfolio.folds[fold].valid for fold in folds])
    scores: dict[str, Score] = {}
    num_rows = {}
    for share in (*shares[folds[0]], 1.0):
        raw = [_raw(look, fold, share) for fold in folds]
        scores[f"{share:g}"] = portfolio.score_over(np.concatenate(raw), rows)
        sizes = [len(_part(portfolio, portfolio.folds[fold].train, share, fold)) for fold in folds]
        num_rows[f"{share:g}"] = round(float(np.mean(sizes)))
    sign = 1.0 if portfolio.metric.greater_is_better else -1.0
    points = list(scores.values())
    last, following = _gain(points[-2], points[-1], sign), next_gain(points, sign)
    found = portfolio.estimates({**scores, "last": last}, rows)
    parts = np.repeat(np.arange(len(folds)), [len(portfolio.folds[fold].valid) for fold in folds])
    expected = portfolio.estimates({"next": following}, rows, parts)["next"]
    return {
        "metric": portfolio.metric.name,
        "points": [{"rows": num_rows[name], **found[name].to_dict()} for name in scores],
        "folds": len(folds),
        "last_doubling": found["last"].to_dict(),
        "next_doubling": _with_doubt(expected, found["last"]).to_dict(),
    }


def _with_doubt(expected: Estimate, last: Estimate) -> Estimate:
    """What is expected of the next doubling, its interval wider by how far that is from what the last one brought."""
    if None in (expected.value, expected.lower, expected.upper, last.value):
        return expected
    value, doubt = expected.value, last.value - expected.value  # type: ignore[operator]
    return Estimate(
        value,
        value - math.hypot(min(expected.lower - value, 0.0), doubt),  # type: ignore[operator]
        value + math.hypot(max(expected.upper - value, 0.0), doubt),  # type: ignore[operator]
    )


def _folds(look: _Look, what: str) -> list[int]:
    return sorted({fold for kind, fold, _ in look.done if kind == what})


def _raw(look: _Look, fold: int, share: float) -> Doubles:
    return look.candidate.raw[fold] if share == 1.0 else look.done["curve", fold, share].raw


def _gain(fewer: Score, more: Score, sign: float) -> Score:
    return lambda weights: sign * (more(weights) - fewer(weights))


def next_gain(points: Sequence[Score], sign: float) -> Score:
    """What twice the rows would be worth, after scores with rows that double from one to the next.

    Errors that fall as a power of the rows gain by each doubling the same share of what the doubling before gained.
    That share is taken from all doublings together, never above 1; a last doubling that has lost is what is expected.
    """

    def gain(weights: Floats) -> Floats:
        values: Floats = np.array([score(weights) for score in points])
        gains = sign * np.diff(values, axis=0)
        last: Floats = gains[-1]
        if len(gains) == 1:
            return last
        earlier, later = gains[:-1].sum(axis=0), gains[1:].sum(axis=0)
        share = np.clip(np.divide(later, earlier, out=np.ones_like(later), where=earlier > 0.0), 0.0, 1.0)
        expected: Floats = np.where(last > 0.0, share * last, last)
        return expected

    return gain


def _order(look: _Look) -> dict[str, Any]:
    """How much worse rows are answered by a model that has not seen their neighbours in the table."""
    portfolio, folds = look.portfolio, _folds(look, "order")
    if not folds:
        return {"skipped": "groups or time say what belongs together, or there was no time"}
    together = _standing_together(portfolio)
    rows = np.concatenate([together[fold].valid for fold in folds])
    in_order = np.concatenate([look.done["order", fold, 1.0].raw for fold in folds])
    place = np.empty(portfolio.problem.num_rows, dtype=np.int64)
    place[portfolio.scored_rows()] = np.arange(portfolio.problem.num_rows)

    def drawn(candidate: Candidate) -> Score:
        return portfolio.score_over(np.concatenate(candidate.raw)[place[rows]], rows)

    sign = 1.0 if portfolio.metric.greater_is_better else -1.0
    mixed, apart = drawn(look.candidate), portfolio.score_over(in_order, rows)
    scores: dict[str, Score] = {"mixed": mixed, "in_order": apart, "gap": _gain(apart, mixed, sign)}
    baseline = next((c for c in portfolio.candidates if c.learner.name == "baseline" and c.raw), None)
    if baseline is not None:
        scores["gain"] = _gain(drawn(baseline), mixed, sign)
    found = portfolio.estimates(scores, rows)
    return {"folds": len(folds), **{name: each.to_dict() for name, each in found.items()}}
