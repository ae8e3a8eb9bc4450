"""A whole search, from openers to the model that is saved."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from lepton.bundle import machine
from lepton.compute import Engine, Handle, LocalEngine
from lepton.core import ErrorCode, Interrupted, LeptonError, Resources, StoreError, TrainingError, Work, time_allowed
from lepton.evaluation import METRICS, Estimate
from lepton.store import scratch_folder
from lepton.training.automl.closer import Closer, look_closer
from lepton.training.automl.files import save_table
from lepton.training.automl.finish import Mix, Picker, candidate_of, fit_mix
from lepton.training.automl.search import Effort, Search
from lepton.training.automl.trials import WARM_UP, Outside, Setting, address_of
from lepton.training.base import learners_for
from lepton.training.portfolio import Accept, Candidate, Chosen, Portfolio

__all__ = ["OPENERS", "Found", "run_search"]

OPENERS = ("baseline", "lightgbm")
"""Learners whose first configuration is fitted at once, in this process: a model is there within seconds."""

_WORTH_SECONDS = 8.0  # left after the openers: less is not worth starting processes for
_CELLS_A_WORKER = 3_000_000  # beyond, one trial at a time has all threads
_MEMORY_SHARE = 0.8
_SLACK = 1.3  # of the time that is kept for the last fits
_MOST_RESERVED = 0.3  # of the whole time
_FITS_RESERVED = 3  # last fits that time is kept for; a mix of more has to do with that
_SHOWN_INTERVALS = 12
_LOOK_SHARE = 0.05  # of the time that is for looking closer at the model, half of it for fits
_LOOK_SECONDS = 20.0
_STAND_BY_SHARE = 0.2  # of the time of a search that goes on, for a model that is there whenever it ends
_LOOK_WITHIN = 60.0  # where there is no time to take a share of


@dataclass(frozen=True)
class Found:
    """What a search gives.

    Attributes:
        chosen: as of the portfolio.
        score: of the choice, on rows that had no say in it.
        report: `reports/search.json`.
        closer: what a closer look at a strong model gave.
        look_seconds: what is left of the time for looking closer.
    """

    chosen: Chosen
    score: Estimate
    report: dict[str, Any]
    closer: Closer
    look_seconds: float


def run_search(
    portfolio: Portfolio,
    outside: Outside,
    effort: Effort,
    accept: Accept = lambda chosen: True,
    max_trials: int | None = None,
    keep: Callable[[Candidate], None] = lambda candidate: None,
    engine: Engine | None = None,
) -> Found | None:
    """Try the openers, then search, then fit the best on all rows.

    Args:
        portfolio: fresh, or with the candidates of an earlier part of the search, which then goes on.
        outside: what stands around the learner.
        effort: how far to go.
        accept: whether a model keeps the limits that were set.
        max_trials: end after so many; the same seed then gives the same trials and the same model, unless the time or
            a limit on latency, which is measured, has a say.
        keep: takes every trial that has ended.
        engine: runs trials; None for processes of this machine.

    Returns:
        None where the time is not enough for a search, or no learner has more to look for than its configurations: the
        portfolio should be run as it is.

    Raises:
        Interrupted: there is no time for the last fit of a model that an earlier part has found.
    """
    work = portfolio.work
    known = len(portfolio.candidates)
    if not known and work.remaining is not None and work.remaining - portfolio.saving_seconds < _WORTH_SECONDS:
        return None
    able = learners_for(portfolio.problem)
    if not known and not any(learner.space(portfolio.problem) for learner in able):
        return None
    workers, resources = _share(portfolio, work)
    portfolio.one_thread = max_trials is not None and resources.cpus == 1
    with scratch_folder(work.resources.scratch) as folder, engine or LocalEngine(workers) as engine:
        if known and max_trials != 0:
            _stand_by(portfolio)
        if not known:
            portfolio.run(first_only=OPENERS)
            if work.cancel.is_set() or portfolio.best() is None:
                return None
            for candidate in portfolio.candidates:
                if candidate.estimate is not None:
                    keep(candidate)
        # Processes that start beside the openers would make the first model several times as slow.
        learners = [address_of(learner) for learner in able if learner.name in OPENERS]
        warming = [
            engine.submit(WARM_UP, {"learners": learners}, resources, within=work.remaining)
            for _ in range(0 if max_trials == 0 or work.stopped else workers)
        ]
        _wait(warming, work)
        remaining = work.remaining
        if not known and remaining is not None and remaining - portfolio.saving_seconds < _WORTH_SECONDS / 2.0:
            return None
        try:
            search = _Run(portfolio, outside, effort, folder, engine, workers, resources, max_trials, keep, known)
        except StoreError as error:  # trials read the rows from a disk that has no space for them
            portfolio.notes.append(f"nothing was searched beyond the small portfolio: {error.came}")
            return None
        return search.found(accept)


def _stand_by(portfolio: Portfolio) -> None:
    """Fit one of the best of an earlier part on all rows, at once and in this process, for when there is no time later.

    What takes more than a share of the time is not fitted: the best that does not, or else the quickest.
    """
    work = portfolio.work
    share = np.inf if work.remaining is None else _STAND_BY_SHARE * work.remaining
    finished = [c for c in portfolio.candidates if c.estimate is not None and portfolio.is_allowed([c])]
    finished.sort(key=lambda c: portfolio.loss_of(c.raw))
    quick = [c for c in finished if portfolio.refit_seconds(c) <= share]
    if not finished:
        return
    chosen = quick[0] if quick else min(finished, key=portfolio.refit_seconds)
    with contextlib.suppress(LeptonError):
        chosen.learner.load()
        learner = chosen.learner(portfolio.problem, chosen.settled, work.seed_for(chosen.learner.name))
        chosen.fitted = [learner.fit(portfolio.rows.to_learn(portfolio.problem), valid=None, work=work.part())]


def _wait(handles: Sequence[Handle], work: Work) -> None:
    """Until all have ended, or the work should stop."""
    while not work.stopped and not all(handle.state.final for handle in handles):
        time.sleep(0.01)


def _share(portfolio: Portfolio, work: Work) -> tuple[int, Resources]:
    """Trials at a time, and what each may use."""
    cpus = work.resources.cpus
    workers = cpus if portfolio.rows.block.numbers.size <= _CELLS_A_WORKER else 1
    memory = work.resources.memory or int(_MEMORY_SHARE * _free_memory())
    share = memory // workers or None
    return workers, Resources(cpus=max(1, cpus // workers), memory=share, scratch=work.resources.scratch)


def _free_memory() -> int:
    """Bytes that can be had without swapping; 0 where the system does not tell."""
    try:
        told = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", told, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


class _Run:
    def __init__(
        self,
        portfolio: Portfolio,
        outside: Outside,
        effort: Effort,
        folder: Path,
        engine: Engine,
        workers: int,
        resources: Resources,
        max_trials: int | None,
        keep: Callable[[Candidate], None],
        known: int,
    ) -> None:
        self.portfolio, self.effort, self.work = portfolio, effort, portfolio.work
        self.engine, self.workers, self.resources = engine, workers, resources
        save_table(folder, portfolio.rows, portfolio.folds[: portfolio.num_folds])
        self.setting = Setting(
            folder=str(folder),
            number_names=portfolio.rows.block.number_names,
            num_folds=portfolio.num_folds,
            problem=portfolio.problem,
            metric=portfolio.metric.name if METRICS.get(portfolio.metric.name) is portfolio.metric else None,
            scale=portfolio.scale,
            outside=outside,
            seed=self.work.seed,
        )
        self.known = known
        self.earlier = f"{known} candidates are of an earlier part of the search; " if known else ""
        self.picking_seconds = self._picking_seconds()
        self.search = Search(
            portfolio,
            self.setting,
            engine,
            workers=workers,
            resources=resources,
            effort=effort,
            work=self.work,
            reserve=self.reserve,
            max_trials=max_trials,
            keep=keep,
            known=known,
        )

    def _picking_seconds(self) -> float:
        """About what choosing takes: how often a loss is computed, times what one costs."""
        candidate = next(c for c in self.portfolio.candidates if c.estimate is not None)
        seconds = []
        for _ in range(3):
            start = time.monotonic()
            self.portfolio.loss_of(candidate.raw)
            seconds.append(time.monotonic() - start)
        return 0.5 + 1500.0 * min(1.0, 16_000 / self.portfolio.rows.block.num_rows) * min(seconds)

    def reserve(self) -> float:
        """Seconds kept for choosing, the last fits and saving."""
        portfolio = self.portfolio
        finished = sorted(
            (c for c in portfolio.candidates if c.estimate is not None), key=lambda c: portfolio.loss_of(c.raw)
        )[: min(self.effort.max_members, _FITS_RESERVED)]
        needed = self._fitting_seconds(finished) * (2 if portfolio.limits else 1)  # the first file may be too large
        within = self.work.within or np.inf
        fitting = min(needed, _MOST_RESERVED * within)
        return portfolio.saving_seconds + self.picking_seconds + fitting + self.look_seconds

    def _fitting_seconds(self, candidates: Sequence[Candidate]) -> float:
        """About what fitting candidates on all rows takes, side by side: they do not go on in vain to stop early."""
        more = self.portfolio.problem.num_rows / max(len(fold.train) for fold in self.portfolio.folds)
        fits = [more * c.fit_seconds / max(len(c.raw), 1) for c in candidates]
        return _SLACK * max(max(fits, default=0.0), sum(fits) / self.workers)

    def found(self, accept: Accept) -> Found:
        why = self.search.run()
        chosen, score = self._accepted(accept)
        portfolio = self.portfolio
        self._intervals(chosen.candidate, score)
        search = self.search
        notes = (
            *chosen.notes,
            (
                f"{self.earlier}searched {search.num_trials} trials beyond the openers, {self.workers} at a time"
                f" ({search.num_stopped} given up early, {search.num_failed} failed); {why}"
            ),
            (
                "the score of the chosen model is of rows that had no say in which models and weights were chosen"
                f" for them: {portfolio.metric.name} {score}"
            ),
        )
        chosen = replace(chosen, notes=notes)
        start = time.monotonic()
        closer = self._closer(score)
        rest = self.look_seconds - (time.monotonic() - start)
        return Found(chosen, score, {**self._report(why, score, chosen), "closer": closer.report}, closer, rest)

    @property
    def look_seconds(self) -> float:
        """Seconds for looking closer."""
        return min(_LOOK_SHARE * (self.work.within or _LOOK_WITHIN), _LOOK_SECONDS)

    def _closer(self, score: Estimate) -> Closer:
        remaining = self.work.remaining
        left = np.inf if remaining is None else remaining - self.portfolio.saving_seconds - self.picking_seconds
        return look_closer(
            self.portfolio,
            self.setting,
            self.engine,
            workers=self.workers,
            resources=self.resources,
            score=score,
            seconds=0.0 if self.work.cancel.is_set() else min(0.5 * self.look_seconds, left),
        )

    def _accepted(self, accept: Accept) -> tuple[Chosen, Estimate]:
        """The best mix whose file keeps the limits; without time for another, or where none can, the last one."""
        while True:
            picker = Picker(self.portfolio, self.effort.max_members, self._in_time())
            mix, score = picker.pick()
            chosen = self._fitted(mix, picker)
            hopeless = not self.portfolio.is_allowed([chosen.candidate])
            seconds = self._seconds_to_fit()
            if accept(chosen) or hopeless or self.work.cancel.is_set() or (seconds is not None and seconds <= 0.0):
                return chosen, score
            chosen.candidate.refused = True

    def _fitted(self, mix: Mix, picker: Picker) -> Chosen:
        """The mix fitted on all rows; where that fails, the best alone; without time, the learner of a fold."""
        portfolio = self.portfolio
        for plan in (mix, *picker.alone()[:2]):
            if self.work.cancel.is_set():
                break
            seconds = self._seconds_to_fit()
            self.work.report(self.search.num_trials, None, "trials", note="the last fit, on all rows")
            tell = portfolio.notes.append
            learner = fit_mix(plan, self.setting, self.engine, self.resources, seconds, self.work, tell)
            if learner is not None:
                candidate = candidate_of(plan)
                if len(plan.candidates) > 1:
                    portfolio.candidates.append(candidate)
                return portfolio.chosen_as(candidate, learner)
        fitted = [c for c in portfolio.candidates if c.fitted and c.estimate is not None]
        if not fitted:
            raise self._unfitted()
        best = min(fitted, key=lambda c: portfolio.loss_of(c.raw))
        portfolio.notes.append(
            f"there was no time to fit what is best: the model is {best.learner.name} of an earlier part of the search"
            if any(best is each for each in portfolio.candidates[: self.known])
            else "the model has learned from part of the rows: there was no time for a last fit on all"
        )
        return portfolio.chosen_as(best, best.fitted[-1])

    def _unfitted(self) -> LeptonError:
        told = "the last fit, on all rows, of what an earlier part of the search has found"
        if self.work.stopped or (self._seconds_to_fit() or 1.0) <= 0.0:
            fix = "allow more time; the folder of the search holds every trial that has ended"
            return Interrupted(ErrorCode.INTERRUPTED, f"the work ended before {told}", fix=fix)
        return TrainingError(ErrorCode.TRAINING_FAILED, f"{told} failed")

    def _in_time(self) -> Callable[[Sequence[Candidate]], bool]:
        """Whether candidates can all be fitted on all rows in the time that is left when they have been chosen."""
        remaining = self.work.remaining
        if remaining is None:
            return lambda candidates: True
        left = remaining - self.portfolio.saving_seconds - self.picking_seconds
        return lambda candidates: self._fitting_seconds(candidates) <= left

    def _seconds_to_fit(self) -> float | None:
        """Until saving must begin; half of what the contract allows beyond the time is for a fit that takes longer."""
        work = self.work
        if work.remaining is None or work.within is None:
            return None
        return work.remaining - self.portfolio.saving_seconds + 0.5 * (time_allowed(work.within) - work.within)

    def _intervals(self, chosen: Candidate, score: Estimate) -> None:
        """Intervals of the candidates that are shown first; the score of the choice is that of rows without a say."""
        portfolio = self.portfolio
        finished = sorted(
            (c for c in portfolio.candidates if c.estimate is not None), key=lambda c: portfolio.loss_of(c.raw)
        )
        for candidate in finished[:_SHOWN_INTERVALS]:
            if self.work.remaining is not None and self.work.remaining < portfolio.saving_seconds:
                break
            candidate.estimate = portfolio.estimate_of(np.concatenate(candidate.raw[: portfolio.num_folds]))
        chosen.estimate = score

    def _report(self, why: str, score: Estimate, chosen: Chosen) -> dict[str, Any]:
        return {
            "trials": [
                {
                    "learner": c.learner.name,
                    "configuration": dict(c.configuration),
                    "score": None if c.estimate is None else c.estimate.value,
                    "fit_seconds": c.fit_seconds,
                    "scored_after": c.scored_after,
                    "size": None if c.measured is None else c.measured[0],
                    "predict_us": None if c.measured is None else c.measured[1],
                    "note": c.note,
                }
                for c in self.portfolio.candidates
            ],
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "ended": why,
            "workers": self.workers,
            "score": {"value": score.value, "lower": score.lower, "upper": score.upper},
        }
