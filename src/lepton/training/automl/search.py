"""The search: trials beside each other in child processes, until the time, the trials or the ideas are used up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lepton.compute import Engine, Handle
from lepton.core import ErrorCode, LeptonError, MissingExtraError, Resources, UsageError, Work
from lepton.training.automl.sampler import Sampler
from lepton.training.automl.trials import EVALUATE, Outcome, Setting, address_of
from lepton.training.base import TableLearner, learners_for
from lepton.training.portfolio import Candidate, Portfolio
from lepton.training.spaces import Dimension

__all__ = ["EFFORTS", "Effort", "Family", "Search", "effort_of"]

_POLL_SECONDS = 0.01
_FAREWELL_SECONDS = 0.7  # for trials to stop by themselves at the end
_LEAST_SECONDS = 1.0  # that a trial gets
_SHORT_SECONDS = 10.0
_GIVEN_UP = 3  # trials, after which a learner of which none was finished is not tried any more
_FAILURES = 4  # in a row, after which a learner is not tried any more
_SMALL = 5_000  # rows up to which the scores of folds are mostly noise
_BARS_SMALL, _BARS_LARGE = 10, 3  # best trials of a learner, the worst of which another must not fall behind
_FAR = 0.05  # of the way from the best to the worst, which is the baseline: models beyond are of no use to a mean
_COMPARED = 4  # finished trials of a learner from which bad ones are told by their first folds
_PROPOSALS = 15  # for each setting of a learner: one penalty is known soon
_SHARES = (0.5, 0.25, 0.15, 0.1)  # of the time, for the learners in the order of their best scores
_LEAST_GAIN = 1e-4  # of the loss that counts as better
_PASSING = (ErrorCode.INTERRUPTED, ErrorCode.MISSING_EXTRA)  # with more time or a library it may be another
_WINDOW = 4  # trials under way where their order is fixed: what one is proposed by must not hang on the clock


@dataclass(frozen=True)
class Effort:
    """How far a search goes.

    Attributes:
        max_members: models that may be averaged.
        patience: trials without a better one after which it ends before its time; None to use all of it.
    """

    max_members: int
    patience: int | None


EFFORTS: dict[str, Effort | None] = {"fast": None, "good": Effort(6, 100), "best": Effort(10, None)}
"""Efforts by name; `fast` is the small portfolio alone."""


def effort_of(name: str) -> Effort | None:
    """The effort of that name; None for the portfolio alone.

    Raises:
        UsageError: there is none.
    """
    if name not in EFFORTS:
        raise UsageError(ErrorCode.USAGE, f"got effort={name!r}", wanted="one of " + ", ".join(EFFORTS))
    return EFFORTS[name]


@dataclass
class Family:
    """A learner in the search: what it has still to try, what it has shown, what it has cost.

    Attributes:
        learner: its class.
        starts: configurations to try before any that are proposed.
        sampler: proposes; None where there is no space.
        seconds: spent on it.
        losses: of its finished trials.
        fold_losses: losses up to each fold of those trials.
        costs: seconds of each finished trial.
        failures: in a row.
        proposals: that may still be asked for.
        given_up: trials that were far behind.
        num_trials: that were begun, or known before.
        has_begun: whether this search has tried it, beyond its openers.
    """

    learner: type[TableLearner]
    starts: list[Mapping[str, Any]]
    sampler: Sampler | None
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    fold_losses: list[tuple[float, ...]] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    failures: int = 0
    proposals: int = 0
    given_up: int = 0
    num_trials: int = 0
    has_begun: bool = False

    @property
    def best(self) -> float:
        """Its least loss."""
        return min(self.losses, default=np.inf)

    @property
    def expected_seconds(self) -> float:
        """Of its next trial, by those that have ended."""
        return float(np.median(self.costs[-7:])) if self.costs else 0.0

    @property
    def open(self) -> bool:
        """Whether there is anything left to try."""
        hopeless = not self.losses and self.given_up >= _GIVEN_UP
        return not hopeless and self.failures < _FAILURES and (bool(self.starts) or self.proposals > 0)

    def bars(self, num_rows: int) -> tuple[float, ...]:
        """Losses up to each fold that a trial must reach to go on: the worst of its few best."""
        if len(self.losses) < _COMPARED:
            return ()
        best = np.argsort(self.losses)[: _BARS_SMALL if num_rows <= _SMALL else _BARS_LARGE]
        return tuple(np.max([self.fold_losses[trial] for trial in best], axis=0).tolist())


@dataclass
class _Running:
    handle: Handle
    candidate: Candidate
    family: Family
    number: int | None  # of the point that the sampler waits for
    started: float


class Search:
    """Trials beside each other in child processes, on the folds of a portfolio whose openers have been tried.

    Args:
        portfolio: takes the candidates.
        setting: what trials share.
        engine: runs them.
        workers: trials at a time.
        resources: of each trial.
        effort: how far to go.
        reserve: seconds that are kept for choosing, fitting and saving, as a function of nothing: it grows with what
            has been found.
        work: time and stop signal.
        max_trials: at most so many; None for as many as the time allows. With it, trials are taken in in the order in
            which they began, and learners share trials, not seconds: how many run at a time then changes nothing.
        keep: takes every trial that has ended.
        known: trials of earlier parts of the search, for the numbers of those to come.
    """

    def __init__(
        self,
        portfolio: Portfolio,
        setting: Setting,
        engine: Engine,
        *,
        workers: int,
        resources: Resources,
        effort: Effort,
        work: Work,
        reserve: Any,
        max_trials: int | None = None,
        keep: Callable[[Candidate], None] = lambda candidate: None,
        known: int = 0,
    ) -> None:
        self.portfolio, self.setting, self.engine = portfolio, setting, engine
        self.workers, self.resources, self.effort, self.work = workers, resources, effort, work
        self._reserve, self._max_trials, self._keep, self._known = reserve, max_trials, keep, known
        self._in_order = max_trials is not None
        self._window = _WINDOW if self._in_order else workers
        self.families = self._families()
        self.num_trials = 0
        self.num_stopped = 0
        self.num_failed = 0
        self._since_better = 0
        self._running: list[_Running] = []
        self._least = min((family.best for family in self.families), default=np.inf)

    def _families(self) -> list[Family]:
        problem, tried = self.setting.problem, self.portfolio.candidates
        families = []
        for learner in learners_for(problem):
            own = [candidate for candidate in tried if candidate.learner is learner]
            done = {_written(candidate.configuration) for candidate in own}
            starts = [c for c in learner.configurations(problem) if _written(c) not in done]
            space = learner.space(problem)
            proposed = sum(candidate.point is not None for candidate in own)
            sampler = self._sampler(learner, space, proposed)
            family = Family(learner, starts, sampler, proposals=_PROPOSALS * len(space) - proposed if sampler else 0)
            for candidate in own:
                self._recall(family, candidate)
            families.append(family)
        return families

    def _recall(self, family: Family, candidate: Candidate) -> None:
        """Take in what was tried before: by the openers, or by an earlier part of this search."""
        sampler = family.sampler
        if candidate.estimate is not None and candidate.estimate.value is not None:
            loss = self.portfolio.loss_of(candidate.raw)
            self._note(family, candidate, loss, self._fold_losses(candidate))
            family.failures = 0
            if sampler is not None:
                sampler.start(candidate.configuration if candidate.point is None else candidate.point, loss)
        elif candidate.given_up is not None:
            family.given_up += 1
            family.seconds += candidate.fit_seconds
            family.failures = 0
            if sampler is not None and candidate.point is not None:
                sampler.start(candidate.point, *candidate.given_up)
        else:
            family.failures += 1
        family.num_trials += 1

    def _sampler(self, learner: type[TableLearner], space: Mapping[str, Dimension], proposed: int) -> Sampler | None:
        """What proposes points of the space; None without a space, or without the library that does it."""
        seed = self.work.seed_for("search", learner.name, *([proposed] if proposed else []))  # not the same ones again
        try:
            return Sampler(space, seed) if space else None
        except MissingExtraError as error:
            self.portfolio.notes.append(f"nothing was searched beyond configurations known to be good: {error}")
            return None

    def _note(self, family: Family, candidate: Candidate, loss: float, fold_losses: tuple[float, ...]) -> None:
        family.losses.append(loss)
        family.fold_losses.append(fold_losses)
        family.costs.append(candidate.fit_seconds)
        family.seconds += candidate.fit_seconds

    def _fold_losses(self, candidate: Candidate) -> tuple[float, ...]:
        return tuple(self.portfolio.loss_of(candidate.raw[: fold + 1]) for fold in range(self.setting.num_folds))

    # --- the loop ----------------------------------------------------------------------------------------------

    def run(self) -> str:
        """Try until the time, the trials or the ideas are used up.

        Returns:
            Why it ended, for people.
        """
        why = ""
        while not why:
            left = self.left
            why = self._end(left)
            while not why and len(self._running) < self._window:
                if not self._start_one(left):
                    break
            if why and self._in_order and left > 0.0 and not self.work.cancel.is_set():
                why = "" if self._running else why  # those under way have their say, however soon they end
            if not self._running:
                why = why or "there was nothing left to try in the time"
                break
            time.sleep(_POLL_SECONDS)
            self._collect()
        self._end_all()
        return why

    def _end_all(self) -> None:
        """Ask what runs to stop, so that its process is free for the last fits; kill what does not."""
        for running in self._running:
            running.handle.cancel()
        end = time.monotonic() + _FAREWELL_SECONDS
        while time.monotonic() < end and not all(r.handle.state.final for r in self._running):
            time.sleep(_POLL_SECONDS)
        for running in self._running:
            running.handle.kill()
            running.candidate.note = "stopped" if self.work.cancel.is_set() else "not finished in the time"
        self._running = []

    @property
    def left(self) -> float:
        """Seconds until choosing must begin."""
        remaining = self.work.remaining
        return np.inf if remaining is None else remaining - self._reserve()

    def _end(self, left: float) -> str:
        if self.work.cancel.is_set():
            return "it was stopped"
        if left <= 0.0:
            return "the time was used"
        if self._max_trials is not None and self.num_trials >= self._max_trials and not self._running:
            return f"{self.num_trials} trials were allowed"
        patience = self.effort.patience
        if patience is not None and self._since_better >= patience and not any(f.starts for f in self.families):
            return f"nothing better came in {patience} trials"
        return ""

    def _start_one(self, left: float) -> bool:
        """Start the next trial; False where there is none that would end in time."""
        family = self._next_family(left)
        if family is None or self.num_trials == self._max_trials:
            return False
        number: int | None = None
        values: Mapping[str, Any] = {}
        configuration: dict[str, Any] = {}
        if family.starts:
            configuration = dict(family.starts.pop(0))
        elif family.sampler is not None:
            number, values = family.sampler.ask()
            family.proposals -= 1
            configuration = {
                "label": f"trial {self._known + self.num_trials + 1}",
                **family.learner.configured(self.setting.problem, values),
            }
        self.num_trials += 1
        family.num_trials += 1
        family.has_begun = True
        candidate = Candidate(family.learner, configuration, point=None if number is None else values)
        handle = self.engine.submit(
            EVALUATE,
            {
                "setting": self.setting,
                "learner": address_of(family.learner),
                "configuration": configuration,
                "bars": self._bars(family),
                "keep_below": self._least,
                "most": self.portfolio.limits.most,
            },
            self.resources,
            seed=self.work.seed,
            within=_longest(left) if np.isfinite(left) else None,
        )
        self.portfolio.candidates.append(candidate)
        self._running.append(_Running(handle, candidate, family, number, time.monotonic()))
        return True

    def _bars(self, family: Family) -> tuple[float, ...]:
        """Losses up to each fold beyond which a trial is given up: those of its learner, or near the best of all."""
        num_rows = self.setting.problem.num_rows
        if self.portfolio.limits:
            return ()
        if (own := family.bars(num_rows)) or num_rows <= _SMALL:
            return own
        tried = [pair for f in self.families for pair in zip(f.losses, f.fold_losses, strict=True)]
        if not tried:
            return ()
        best, worst = (np.array(pick(tried)[1]) for pick in (min, max))
        return tuple((best + _FAR * (worst - best)).tolist())

    def _next_family(self, left: float) -> Family | None:
        """The first of what waits of each learner, cheap before dear; then the one that lacks most of its share."""
        possible = [f for f in self.families if f.open and f.expected_seconds < left]
        for family in possible:
            if family.starts and not family.has_begun:
                return family
        ranked = sorted(possible, key=lambda f: f.best)
        spent = {id(f): f.num_trials if self._in_order else self._seconds(f) for f in ranked}
        total = sum(spent.values())
        shares = {id(f): _SHARES[min(place, len(_SHARES) - 1)] for place, f in enumerate(ranked)}
        whole = sum(shares.values())
        return max(ranked, key=lambda f: shares[id(f)] / whole * total - spent[id(f)], default=None)

    def _seconds(self, family: Family) -> float:
        """Spent on a learner, by what runs too."""
        now = time.monotonic()
        return family.seconds + sum(now - running.started for running in self._running if running.family is family)

    def _collect(self) -> None:
        """Take in what has ended; where the order is fixed, the oldest alone, whatever has ended before it."""
        waiting = self._running[:1] if self._in_order else self._running
        for running in [running for running in waiting if running.handle.state.final]:
            self._running.remove(running)
            try:
                outcome: Outcome = running.handle.result()
            except LeptonError as error:
                self._failed(running, error)
            else:
                self._ended(running, outcome)
                self._keep(running.candidate)
            self._report()

    def _failed(self, running: _Running, error: LeptonError) -> None:
        running.candidate.note = error.came
        running.family.failures += 1
        running.family.seconds += time.monotonic() - running.started
        self.num_failed += 1
        self._since_better += 1
        if error.code not in _PASSING:
            self._keep(running.candidate)
        if running.number is not None and running.family.sampler is not None:
            running.family.sampler.tell(running.number, None)

    def _ended(self, running: _Running, outcome: Outcome) -> None:
        family, candidate = running.family, running.candidate
        family.failures = 0
        candidate.fit_seconds, candidate.fold_seconds = outcome.fit_seconds, outcome.fold_seconds
        loss = outcome.losses[-1] if outcome.stopped else self.portfolio.loss_of(outcome.raw)
        if outcome.stopped or np.isnan(loss):
            self.num_stopped += 1
            self._since_better += 1
            family.given_up += 1
            family.seconds += outcome.fit_seconds
            folds = f"{len(outcome.losses)} of {self.setting.num_folds} folds"
            candidate.note = f"given up after {folds}" if outcome.stopped else "its score is undefined"
            candidate.given_up = None if np.isnan(loss) else (loss, len(outcome.losses))
            if running.number is not None and family.sampler is not None:
                family.sampler.tell(running.number, None if np.isnan(loss) else loss, len(outcome.losses))
            return
        candidate.settled, candidate.raw, candidate.measured = outcome.settled, outcome.raw, outcome.measured
        self.portfolio.score_later(candidate, loss)
        allowed = self.portfolio.is_allowed([candidate])
        if allowed:
            self._note(family, candidate, loss, self._fold_losses(candidate))
        else:
            family.seconds += outcome.fit_seconds
            family.costs.append(outcome.fit_seconds)
        if family.sampler is not None:
            told = loss if allowed else self._worst(loss)
            if running.number is not None:
                family.sampler.tell(running.number, told)
            else:
                family.sampler.start(candidate.configuration, told)
        self._since_better += 1
        if not allowed:
            return
        if outcome.kept is not None and loss < self._least:
            candidate.fitted = [outcome.kept]
        if loss < self._least - _LEAST_GAIN * abs(self._least):
            self._since_better = 0
        self._least = min(self._least, loss)

    def _worst(self, loss: float) -> float:
        """What a sampler is told of a model beyond the limits: that it is no better than any other."""
        return max([loss, *(each for family in self.families for each in family.losses)])

    def _report(self) -> None:
        best = self.portfolio.best()
        value = None if best is None or best.estimate is None else best.estimate.value
        shown = "" if value is None else f"{self.portfolio.metric.name} {value:.5g}"
        note = f"{best.learner.name}" if best is not None else ""
        self.work.report(self.num_trials - len(self._running), self._max_trials, "trials", best=shown, note=note)


def _written(configuration: Mapping[str, Any]) -> str:
    """A configuration as a text, the same before and after it was kept in a file."""
    return json.dumps(configuration, sort_keys=True, default=str)


def _longest(left: float) -> float:
    """Seconds that one trial may take: one that hangs must not cost the whole search its worker."""
    return max(left if left < _SHORT_SECONDS else max(_SHORT_SECONDS, 0.6 * left), _LEAST_SECONDS)
