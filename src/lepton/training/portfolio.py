"""The portfolio: candidates in order, each scored on the same folds, within a time that is kept.

Cheap before dear: the baseline, a linear model and boosting with defaults come first, so that there is something to
give whenever the time ends. A candidate is scored out of fold; the best is fitted once more on all rows.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, Interrupted, LeptonError, TrainingError, Work
from lepton.core.budgets import time_allowed
from lepton.core.memory import give_back
from lepton.evaluation import Estimate, Metric, intervals
from lepton.evaluation.classification import Score
from lepton.training.answers import answers_of, decided
from lepton.training.base import Doubles, Problem, Rows, TableLearner, learners_for
from lepton.training.calibration import temperature_for
from lepton.training.folds import Fold
from lepton.training.leaderboard import LeaderboardRow, with_front
from lepton.training.limits import Limits
from lepton.training.tasks import Scale

__all__ = ["Accept", "Candidate", "Chosen", "Portfolio"]

T = TypeVar("T")
R = TypeVar("R")

_SLACK = 1.25  # of the time that is kept for the final fit
_LEAST_SECONDS = 1.0  # that a candidate gets, where there are so many
_RESAMPLES = 200
_MIN_RESAMPLES = 40
_RESAMPLED_ROWS = 4_000_000  # with many rows the interval is narrow and fewer resamples say as much
_SMALL = 50_000  # rows up to which folds are fitted side by side


@dataclass
class Candidate:
    """One learner with one configuration, and how far it got.

    Attributes:
        learner: its class.
        configuration: as tried.
        fitted: one fitted learner for each fold that was finished.
        settled: the configuration of the final fit.
        raw: raw scores of the rows of each finished fold.
        fit_seconds: time of all fits.
        fold_seconds: the longest time of one fit.
        estimate: score with its interval; None where it was not finished.
        measured: bytes of the graph and µs a row.
        refused: whether a file that was made of it broke a limit.
        note: why it was not finished, or "".
        scored_after: seconds from the beginning of the work to its score; None without one.
        point: of the learner's space, where a search proposed it.
        given_up: its loss so far and the folds that it is of, where it was given up as a bad one.
    """

    learner: type[TableLearner]
    configuration: Mapping[str, Any]
    fitted: list[TableLearner] = field(default_factory=list)
    settled: Mapping[str, Any] = field(default_factory=dict)
    raw: list[Doubles] = field(default_factory=list)
    fit_seconds: float = 0.0
    fold_seconds: float = 0.0
    estimate: Estimate | None = None
    measured: tuple[int, float] | None = None
    refused: bool = False
    note: str = ""
    scored_after: float | None = None
    point: Mapping[str, Any] | None = None
    given_up: tuple[float, int] | None = None

    @property
    def cut_short(self) -> bool:
        """Whether the time ended its fit."""
        return any(learner.cut_short for learner in self.fitted)

    def row(self, chosen: bool) -> LeaderboardRow:
        """Its line of the leaderboard."""
        estimate = self.estimate or Estimate(None)
        size, micros = self.measured or (None, None)
        return LeaderboardRow(
            learner=self.learner.name,
            configuration=self.configuration["label"],
            metric=estimate.value,
            lower=estimate.lower,
            upper=estimate.upper,
            num_folds=len(self.raw),
            fit_seconds=self.fit_seconds,
            predict_us=micros,
            size=size,
            chosen=chosen,
            note=self.note or estimate.reason,
        )


@dataclass(frozen=True)
class Chosen:
    """What the portfolio gives: a learner that is ready, and the answers to rows that it was not fitted on.

    Attributes:
        candidate: the best.
        learner: fitted on all rows, or on one fold's where the time did not allow more.
        scored: positions of the rows that were scored out of fold [M].
        answers: numbers [M] or probabilities [M, C] for them.
        temperature: what raw scores of classes are divided by; 1 for those that are calibrated.
        notes: decisions, for people.
    """

    candidate: Candidate
    learner: TableLearner
    scored: NDArray[np.int64]
    answers: Doubles
    temperature: float
    notes: tuple[str, ...]


Accept = Callable[[Chosen], bool]
"""Whether a model keeps the limits that were set."""


class Portfolio:
    """Tries candidates and remembers the best.

    Args:
        problem: what is to be learned.
        rows: what to learn from.
        folds: in which to score; at least one.
        metric: what to choose by.
        truth: target as the metric takes it: numbers, or class numbers [N].
        scale: of the learners' numbers.
        groups: group of each row, or None; intervals draw whole groups.
        saving_seconds: time that is kept for writing the model.
        measure: size and µs a row of a fitted learner.
        work: the time; without a deadline everything is tried.
        limits: on size and latency of the model.
        order: time of each row, or None.
    """

    def __init__(
        self,
        *,
        problem: Problem,
        rows: Rows,
        folds: Sequence[Fold],
        metric: Metric,
        truth: NDArray[Any],
        scale: Scale,
        groups: NDArray[np.int64] | None,
        saving_seconds: float,
        measure: Any,
        work: Work,
        limits: Limits | None = None,
        order: Doubles | None = None,
    ) -> None:
        self.problem, self.rows, self.folds = problem, rows, tuple(folds)
        self.num_folds = len(self.folds)  # fewer where the time does not allow all
        self.metric, self.truth, self.scale, self.groups = metric, truth, scale, groups
        self.saving_seconds, self.measure, self.work = saving_seconds, measure, work
        self.limits, self.order = limits or Limits(), order
        self.one_thread = False  # a fit, so that sums are the same however many cores there are
        self.candidates: list[Candidate] = []
        self.notes: list[str] = []

    # --- time --------------------------------------------------------------------------------------------------

    def _left(self) -> float:
        """Seconds that candidates may still use, after what the best one needs for its final fit and for saving."""
        if self.work.cancel.is_set():
            return 0.0
        remaining = self.work.remaining
        best = self.best()
        refit = _SLACK * self.refit_seconds(best) if best is not None else 0.0
        return np.inf if remaining is None else remaining - self.saving_seconds - refit

    def refit_seconds(self, candidate: Candidate) -> float:
        """Time of a final fit on all rows, judged by the folds; early stopping makes folds dearer than that."""
        if candidate.cut_short:
            return 0.0
        return candidate.fold_seconds * self.problem.num_rows / max(len(fold.train) for fold in self.folds)

    # --- trying ------------------------------------------------------------------------------------------------

    def run(self, first_only: Sequence[str] | None = None) -> None:
        """Try every candidate that the time allows; the baseline always.

        Args:
            first_only: learners of which the first configuration is tried, and nothing else; None for all.
        """
        able = learners_for(self.problem)
        classes = [learner for learner in able if self.problem.learners or not learner.searched_only]
        plan = [(learner, list(learner.configurations(self.problem))) for learner in classes]
        if first_only is not None:
            plan = [(learner, configurations[:1]) for learner, configurations in plan if learner.name in first_only]
        total = sum(len(configurations) for _, configurations in plan) * len(self.folds)
        for position, (learner, configurations) in enumerate(plan):
            for first, configuration in zip([True] + [False] * len(configurations), configurations, strict=False):
                candidate = Candidate(learner, configuration)
                if any(c.learner is learner and c.configuration == configuration for c in self.candidates):
                    continue  # an opener of a search that did not come about
                self.candidates.append(candidate)
                # What others have not begun must get its turn: the first of each learner takes its share only, and
                # less than an equal one, because the cheap come first.
                share = 1.0 / (len(plan) - position) ** 2 if first else 1.0
                self._try(candidate, share, total)
                if self.problem.num_rows > _SMALL:
                    give_back()
                self._report(candidate, total)

    def has_time_for(self, learner: type[TableLearner]) -> bool:
        """Whether the time is likely to allow one more candidate of a learner that has been tried."""
        seconds = [c.fit_seconds for c in self.candidates if c.learner is learner and c.raw]
        return not self.work.stopped and self._left() > min(seconds, default=0.0)

    def try_one(
        self, learner: type[TableLearner], configuration: Mapping[str, Any], point: Mapping[str, Any]
    ) -> Candidate:
        """Try one more candidate, which a search has proposed."""
        candidate = Candidate(learner, configuration, point=point)
        self.candidates.append(candidate)
        total = len(self.candidates) * len(self.folds)
        self._try(candidate, 1.0, total)
        self._report(candidate, total)
        return candidate

    def _try(self, candidate: Candidate, share: float, total: int) -> None:
        is_baseline = len(self.candidates) == 1
        siblings = [c for c in self.candidates if c.learner is candidate.learner and c.raw]
        needed = _load_seconds(candidate.learner) + (siblings[0].fold_seconds if siblings else 0.0)
        left = self._left()
        if not is_baseline and left <= needed:
            candidate.note = "stopped" if self.work.cancel.is_set() else "no time left"
            return
        try:
            candidate.learner.load()
            left = min(self._left(), max(share * left, _LEAST_SECONDS))
            self._fit_folds(candidate, is_baseline, alone=not siblings, left=left, total=total)
            self._score(candidate)
        except Interrupted:
            candidate.note = "stopped" if self.work.cancel.is_set() else "not finished in the time"
        except LeptonError as error:
            candidate.note = error.came
        except Exception as error:  # noqa: BLE001  one learner that fails must not cost what the others have done
            candidate.note = f"failed: {type(error).__name__}: {str(error)[:200]}"
        if candidate.estimate is None:
            candidate.fitted, candidate.raw = [], []

    def _fit_folds(self, candidate: Candidate, is_baseline: bool, *, alone: bool, left: float, total: int) -> None:
        """Fit every fold; the only candidate of its learner may stop after some folds where the time is short."""
        work = Work(resources=self.work.resources, seed=self.work.seed)
        if not is_baseline:
            work = self.work.part(None if np.isinf(left) else left)
        together = min(work.resources.cpus, self.num_folds) if self.problem.num_rows <= _SMALL else 1
        for first in range(0, self.num_folds, together):
            work.check()
            folds = self.folds[first : min(first + together, self.num_folds)]
            # Threads of one fit wait for each other at every step; on small tables whole folds share cores better.
            cpus = 1 if self.one_thread else max(1, work.resources.cpus // len(folds))
            part = work.part(resources=replace(work.resources, cpus=cpus))
            start = time.monotonic()
            learners = self._fit_together(candidate, folds, part)
            seconds = time.monotonic() - start
            candidate.fit_seconds += seconds
            candidate.fold_seconds = max(candidate.fold_seconds, seconds)
            cut_short = any(learner.cut_short for learner in learners)
            if cut_short and (first or not alone):
                part.check()
            candidate.fitted += learners
            waves_to_come = -(-(self.num_folds - len(candidate.fitted)) // together)
            if cut_short or (part.remaining is not None and waves_to_come * seconds > part.remaining):
                if not alone:
                    raise Interrupted(ErrorCode.INTERRUPTED, "the folds to come would not end in time")
                self._be_content_with(len(candidate.fitted), candidate)
                return
            self.work.report(self._done(), total, "fits", note=candidate.learner.name)

    def _fit_together(self, candidate: Candidate, folds: Sequence[Fold], work: Work) -> list[TableLearner]:
        """One fitted learner for each fold, on a thread each."""
        seed = self.work.seed_for(candidate.learner.name)
        rows = self.rows.to_learn(self.problem)

        def fitted(fold: Fold) -> TableLearner:
            learner = candidate.learner(self.problem, candidate.configuration, seed)
            return learner.fit(rows.take(fold.train), valid=rows.take(fold.valid), work=work)

        with _algebra_threads(work.resources.cpus):
            return _together(fitted, folds)

    def _be_content_with(self, num_folds: int, candidate: Candidate) -> None:
        if num_folds < self.num_folds:
            self.num_folds = num_folds
            self.notes.append(
                f"the time allowed {num_folds} of {len(self.folds)} folds: candidates are compared on those rows"
            )
        if candidate.cut_short:
            self.notes.append(f"the time ended the first fit of {candidate.learner.name} early")

    def _score(self, candidate: Candidate) -> None:
        candidate.settled = candidate.learner.settled(candidate.configuration, candidate.fitted)
        candidate.fitted = [learner.limited(candidate.settled) for learner in candidate.fitted]
        scored = list(zip(candidate.fitted, self.folds, strict=False))
        candidate.raw = _together(lambda pair: pair[0].raw(self.rows.block.take(pair[1].valid)), scored)
        if not all(np.isfinite(raw).all() for raw in candidate.raw):
            candidate.note = "gave scores that are not finite"
            return
        candidate.estimate = self._estimate(candidate)
        candidate.scored_after = self.work.elapsed
        remaining = self.work.remaining
        if self.limits or remaining is None or remaining > 2.0 + self.saving_seconds:
            candidate.measured = self.measure(candidate.fitted[-1])

    # --- scoring -----------------------------------------------------------------------------------------------

    def scored_rows(self) -> NDArray[np.int64]:
        """Positions of the rows that every finished candidate has scored, fold by fold."""
        return np.concatenate([fold.valid for fold in self.folds[: self.num_folds]])

    def answers(self, candidate: Candidate, temperature: float = 1.0) -> Doubles:
        """Numbers or probabilities of a finished candidate for `scored_rows`."""
        return self._answers(np.concatenate(candidate.raw[: self.num_folds]) / temperature)

    def _answers(self, raw: Doubles) -> Doubles:
        return answers_of(self.problem, raw, self.scale)

    def _context(self, rows: NDArray[np.int64]) -> Sequence[Any]:
        """What metrics take beside: positions of classes, shares of quantiles, or the query of each row."""
        if self.rows.queries is not None:
            queries: list[int] = self.rows.queries[rows].tolist()
            return queries
        return self.problem.quantiles or range(self.problem.num_classes)

    def loss_of(self, raw: Sequence[Doubles] | Doubles, among: NDArray[np.int64] | None = None) -> float:
        """The metric, signed so that less is better, of raw scores of the first folds, or of some of those rows.

        Args:
            raw: raw scores of the rows of each fold; or one matrix of `scored_rows`.
            among: positions in `scored_rows` of the rows that `raw` is of; None for all.
        """
        scores = raw if isinstance(raw, np.ndarray) else np.concatenate(raw)
        rows = np.concatenate([fold.valid for fold in self.folds])[: len(scores)]
        if among is not None:
            rows = self.scored_rows()[among]
        answers, weight = self._answers(scores), self._weight(rows)
        given = decided(self.problem, answers) if self.metric.needs == "labels" else answers
        value = self.metric(self.truth[rows], given, weight, labels=self._context(rows))
        return -value if self.metric.greater_is_better else value

    def score_later(self, candidate: Candidate, loss: float) -> None:
        """Give a candidate its score; the interval is for those that are shown."""
        candidate.estimate = Estimate(-loss if self.metric.greater_is_better else loss)
        candidate.scored_after = self.work.elapsed

    def _weight(self, rows: NDArray[np.int64]) -> Doubles | None:
        weight = None if self.rows.weight is None else self.rows.weight[rows]
        return None if weight is None or not weight.any() else weight

    def _estimate(self, candidate: Candidate) -> Estimate:
        return self.estimate_of(np.concatenate(candidate.raw[: self.num_folds]))

    def estimate_of(self, raw: Doubles) -> Estimate:
        """Score and interval of raw scores of `scored_rows`."""
        rows = self.scored_rows()
        return self.estimates({self.metric.name: self.score_over(raw, rows)}, rows)[self.metric.name]

    def score_over(self, raw: Doubles, rows: NDArray[np.int64]) -> Score:
        """The metric of raw scores of the rows at some positions, as a function of weights."""
        answers = self._answers(raw)
        given = decided(self.problem, answers) if self.metric.needs == "labels" else answers
        return self.metric.over(self.truth[rows], given, self._context(rows))

    def estimates(
        self, scores: Mapping[str, Score], rows: NDArray[np.int64], parts: NDArray[np.int64] | None = None
    ) -> dict[str, Estimate]:
        """Values of scores of the same rows with intervals over the same resamples, of rows and of `parts` of them."""
        groups = None if self.groups is None else np.unique(self.groups[rows], return_inverse=True)[1]
        return intervals(
            scores,
            len(rows),
            undefined=dict.fromkeys(scores, self.metric.undefined),
            weight=self._weight(rows),
            groups=groups,
            parts=parts,
            resamples=max(_MIN_RESAMPLES, min(_RESAMPLES, _RESAMPLED_ROWS // len(rows))),
            seed=self.work.seed_for("intervals"),
        )

    def best(self) -> Candidate | None:
        """The best finished candidate within the limits; the earlier of two that are equal.

        Where none is within the limits, the one that costs least.
        """
        best: Candidate | None = None
        finished = [candidate for candidate in self.candidates if candidate.estimate is not None]
        within = [candidate for candidate in finished if self.is_allowed([candidate])]
        if finished and not within:
            return self.cheapest(finished)
        for candidate in within:
            value = None if candidate.estimate is None else candidate.estimate.value
            if best is None or _better(self.metric, value, best.estimate):
                best = candidate
        return best

    def is_allowed(self, candidates: Sequence[Candidate]) -> bool:
        """Whether candidates together would keep the limits, and may stand together."""
        if len(candidates) > 1 and not all(candidate.learner.blends for candidate in candidates):
            return False
        return self.limits.allow(candidates) and not (len(candidates) == 1 and candidates[0].refused)

    def cheapest(self, finished: Sequence[Candidate]) -> Candidate:
        """The candidate that needs least of what is limited."""
        place = 0 if self.limits.max_latency is None else 1
        return min(finished, key=lambda candidate: (candidate.measured or (np.inf, np.inf))[place])

    def _done(self) -> int:
        return sum(len(c.raw) or len(c.fitted) for c in self.candidates)

    def _report(self, candidate: Candidate, total: int) -> None:
        best = self.best()
        value = best.estimate.value if best is not None and best.estimate is not None else None
        shown = "" if value is None else f"{self.metric.name} {value:.5g}"
        name = f"{candidate.learner.name} ({candidate.configuration['label']})"
        self.work.report(self._done(), total, "fits", best=shown, note=name)

    # --- choosing ----------------------------------------------------------------------------------------------

    def choose(self, accept: Accept = lambda chosen: True) -> Chosen:
        """The best candidate, fitted on all rows where the time allows.

        Args:
            accept: whether the model keeps its limits; the next best is fitted where not and time is left.
        """
        for candidate in self.candidates:  # folds may have been given up since it was scored
            if candidate.estimate is not None and len(candidate.raw) > self.num_folds:
                candidate.estimate = self._estimate(candidate)
        while True:
            best = self.best()
            if best is None:
                raise self._nothing()
            chosen = self.chosen_as(best, self._final(best))
            hopeless = not self.is_allowed([best])
            if accept(chosen) or hopeless or self.work.stopped:
                return chosen
            best.refused = True

    def chosen_as(self, best: Candidate, learner: TableLearner) -> Chosen:
        """What is given where `best` was chosen and `learner` is its last fit."""
        temperature = self._temperature(best)
        remaining = self.work.remaining
        if best.measured is None and (remaining is None or remaining > self.saving_seconds):
            best.measured = self.measure(learner)
        answers = self.answers(best, temperature)
        if learner.num_kept_rows:
            self.notes.append(
                f"the model file holds {learner.num_kept_rows:,} rows of the table as learners see them (keep_rows=):"
                " who has the file can read them"
            )
        return Chosen(best, learner, self.scored_rows(), answers, temperature, tuple(dict.fromkeys(self.notes)))

    def _temperature(self, best: Candidate) -> float:
        """What makes the probabilities come true on the rows out of fold, where that is more than noise."""
        if self.problem.task not in {"binary", "multiclass"}:
            return 1.0
        rows = self.scored_rows()
        learned = self.rows.to_learn(self.problem).weight  # probabilities are to be true of rows that count so
        weight = None if learned is None else learned[rows]
        raw = np.concatenate(best.raw[: self.num_folds])
        groups = None if self.groups is None else self.groups[rows]
        temperature, saved = temperature_for(
            self.problem, raw, self.truth[rows], weight, self.work.seed_for("calibration"), groups
        )
        if temperature != 1.0:
            self.notes.append(
                f"probabilities are calibrated: raw scores are divided by {temperature:.3g}, which lowers the log-loss"
                f" of rows out of fold by {saved:.1%}" + ("" if self.problem.costs else "; labels are the same")
            )
        return temperature

    def _final(self, best: Candidate) -> TableLearner:
        remaining = self.work.remaining
        allowed = np.inf if remaining is None else remaining - self.saving_seconds
        part = Work(cancel=self.work.cancel, resources=self.work.resources, seed=self.work.seed)
        if remaining is not None and self.work.within is not None:
            # Half of what the contract allows beyond the time is for a fit that takes longer than it should.
            part = part.part(max(allowed + 0.5 * (time_allowed(self.work.within) - self.work.within), 0.0))
        if not best.cut_short and not part.stopped and self.refit_seconds(best) <= allowed:
            self.work.report(self._done(), None, "fits", note=f"{best.learner.name}, on all rows")
            learner = best.learner(self.problem, best.settled, self.work.seed_for(best.learner.name))
            try:
                learner.fit(self.rows.to_learn(self.problem), valid=None, work=part)
            except Interrupted:
                pass
            else:
                if not learner.cut_short:
                    return learner
        self.notes.append("the model has learned from part of the rows: there was no time for a last fit on all")
        return best.fitted[-1]

    def _nothing(self) -> LeptonError:
        told = "; ".join(f"{c.learner.name}: {c.note}" for c in self.candidates if c.note)
        return TrainingError(ErrorCode.TRAINING_FAILED, f"no candidate could be fitted ({told})")

    def leaderboard_rows(self, chosen: Candidate) -> tuple[LeaderboardRow, ...]:
        """Every candidate, best first, those without a score last."""
        sign = -1.0 if self.metric.greater_is_better else 1.0
        rows = [candidate.row(candidate is chosen) for candidate in self.candidates]
        ranked = sorted(rows, key=lambda row: np.inf if row.metric is None else sign * row.metric)
        return with_front(ranked, self.metric.greater_is_better)


def _better(metric: Metric, value: float | None, than: Estimate | None) -> bool:
    if value is None:
        return False
    return than is None or than.value is None or metric.better(value, than.value)


def _together(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """`function` of each item, on a thread each."""
    if len(items) == 1:
        return [function(items[0])]
    with ThreadPoolExecutor(len(items), thread_name_prefix="fold") as threads:
        return list(threads.map(function, items))


def _algebra_threads(num_threads: int) -> contextlib.AbstractContextManager[Any]:
    """Hold numpy's linear algebra to so many threads; scikit-learn brings the library that can."""
    try:
        threadpoolctl = importlib.import_module("threadpoolctl")
    except ImportError:
        return contextlib.nullcontext()
    limits: contextlib.AbstractContextManager[Any] = threadpoolctl.threadpool_limits(num_threads, user_api="blas")
    return limits


def _load_seconds(learner: type[TableLearner]) -> float:
    return 0.0 if learner.library in sys.modules else learner.load_seconds
