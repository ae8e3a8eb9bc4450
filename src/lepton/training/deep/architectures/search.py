"""The search: designs are drawn, measured, trained for a while, and the better ones for longer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from lepton.core import Interrupted, ProgressRecord, TrainingError, Work, show_duration, show_size
from lepton.evaluation import Metric
from lepton.training.deep.architectures import designs, ladder
from lepton.training.deep.architectures.costs import Meter, untrained
from lepton.training.deep.architectures.learning import Learning
from lepton.training.deep.architectures.trials import NEVER_TRAINED, Cost, Trial, TrialFolder
from lepton.training.limits import Limits
from lepton.training.nets.spec import NetSpec

__all__ = ["ArchitectureSearch"]

_ROOM = 0.95  # of a limit that designs may use: the last word has the finished file
_DRAWS = 60  # of new designs, until one is found that is new and within the limits
_PARENTS = 4
_SAME_FOR_ALL = 0.3  # of a training's time does not grow with multiply-adds
_LEAST_PART = 1.0  # seconds
_BESIDE = 1.0


class ArchitectureSearch:
    """Fills a folder with trials until the time, or their number, is used.

    Args:
        learning: rows, splits and scores.
        folder: what is known already, and where trials are kept.
        meter: of costs.
        limits: which designs are trained at all.
        max_trials: how many trainings, or None.
        reserve: seconds to be left for what comes after the search, apart from the last training.
        work: time, seed, stop signal.
    """

    def __init__(
        self,
        learning: Learning,
        folder: TrialFolder,
        meter: Meter,
        limits: Limits,
        max_trials: int | None,
        reserve: float,
        work: Work,
    ) -> None:
        self.learning, self.folder, self.limits = learning, folder, limits
        self._meter, self._max_trials, self._work = meter, max_trials, work
        self.reserve = reserve
        self._before = max((trial.after for trial in folder.trials), default=0.0)
        self.passes = folder.asked.passes
        self.infeasible = False
        self._beside = _BESIDE  # seconds of a step apart from its training
        self.first = designs.first_designs(learning.family)

    @property
    def trials(self) -> Sequence[Trial]:
        """All trials so far."""
        return self.folder.trials

    def loss(self, trial: Trial) -> float:
        """Of a trial: less is better."""
        return self.learning.loss(trial.score)

    def best_first(self) -> list[Trial]:
        """Designs that were scored and keep the limits, or all where none does; see `ladder.best_first`."""
        return ladder.best_first(self._within_limits(), self.loss) or ladder.best_first(self.trials, self.loss)

    def _within_limits(self) -> list[Trial]:
        """Trials whose cost the limits allow: a search that goes on may have others than it began with."""
        return [trial for trial in self.trials if not self._excess(trial.cost)]

    def explore(self) -> None:
        """Try designs until there is no more time; what was found is in `trials`.

        Raises:
            Interrupted: stopped before anything was learned.
        """
        try:
            while self._step():
                pass
        except Interrupted:
            if not self.best_first():
                raise

    def _step(self) -> bool:
        """Train one network; whether there may be another."""
        self._work.check()
        started, known = time.monotonic(), len(self.trials)
        go_on = self._next()
        spent = time.monotonic() - started - sum(trial.seconds for trial in self.trials[known:])
        self._beside = (self._beside + spent) / 2
        return go_on

    def _next(self) -> bool:
        left = self._trainings_left()
        top = len(self.passes) - 1
        if left == 0:
            return False
        best = self.best_first()
        tried = {trial.design for trial in self.trials if trial.rung == top}
        # Something is to be trained in full before the time or the number of trainings is used.
        heir = None if best and best[0].rung == top else next((each for each in best if each.design not in tried), None)
        if left == 1 and heir is not None:
            return self._rise(heir, top)
        for trial in ladder.next_to_rise(self._within_limits(), len(self.passes), self.loss):
            if self._is_in_time(trial.spec, self.passes[trial.rung + 1], keep_free=0.0):
                return self._rise(trial, trial.rung + 1)
        trained = {trial.design for trial in self.trials if trial.rung > NEVER_TRAINED}
        for trial in self._within_limits():  # what was beyond the limits of an earlier part, and is not now
            if trial.design not in trained and self._is_in_time(trial.spec, self.passes[0], keep_free=0.0):
                return self._rise(trial, 0)
        can_rise = heir is not None and self._is_in_time(heir.spec, self.passes[top], keep_free=0.0)
        keep_free = self.seconds_of(heir.spec, self.passes[top]) if heir is not None and can_rise else 0.0
        if (found := self._new_design(keep_free)) is not None:
            spec, cost, parent = found
            rung = top if left == 1 or self.infeasible else 0
            self._train(spec, self._num_designs(), rung, cost, parent)
            return not self.infeasible
        if heir is not None and can_rise:
            return self._rise(heir, top)
        return False

    def _trainings_left(self) -> int | None:
        if self._max_trials is None:
            return None
        return max(self._max_trials - sum(trial.rung > NEVER_TRAINED for trial in self.trials), 0)

    def _num_designs(self) -> int:
        return len({trial.design for trial in self.trials})

    # --- time -------------------------------------------------------------------------------------------------------

    def seconds_of(self, spec: NetSpec, passes: int, *, num_rows: int | None = None) -> float:
        """What a training will take, from those that were made; 0 where no time is limited.

        Args:
            spec: the design.
            passes: over the rows.
            num_rows: how many; by default those that the search learns from.
        """
        rows = len(self.learning.rows.learn) if num_rows is None else num_rows
        made = [trial for trial in self.trials if trial.score is not None]
        own = [self._pace(trial) for trial in made if trial.spec == spec]
        guess = self._guess(spec)
        others = [self._pace(trial) / self._guess(trial.spec) for trial in made if self._guess(trial.spec) > 0]
        pace = statistics.median(own) if own else guess * (statistics.median(others) if others else 1.0)
        return pace * rows * passes + self._beside

    def _pace(self, trial: Trial) -> float:
        """Seconds of a row in one pass."""
        return trial.seconds / (trial.passes * len(self.learning.rows.learn))

    def _guess(self, spec: NetSpec) -> float:
        """The same, as far as multiply-adds tell it."""
        share = _multiply_adds(spec) / _multiply_adds(self.learning.paced)
        return self.learning.seconds_a_row * (_SAME_FOR_ALL + (1 - _SAME_FOR_ALL) * share)

    def last_training(self, spec: NetSpec) -> float:
        """Seconds of the training on all rows."""
        return 1.15 * self.seconds_of(spec, self.passes[-1], num_rows=self.learning.num_rows)

    def _is_in_time(self, spec: NetSpec, passes: int, *, keep_free: float) -> bool:
        """Whether a training can be had, and after it the last one of the design that is best by now."""
        remaining = self._work.remaining
        if remaining is None:
            return True
        best = self.best_first()
        if not best:
            return True  # something is better than nothing: it stops where the time does
        last = self.last_training(best[0].spec)
        return self.seconds_of(spec, passes) + keep_free + last + self.reserve <= remaining

    # --- designs ----------------------------------------------------------------------------------------------------

    def _new_design(self, keep_free: float) -> tuple[NetSpec, Cost, int | None] | None:
        """The next design within the limits, its cost and whom it was made of; those that are not are kept as such."""
        if not self._is_in_time(self.first[0], self.passes[0], keep_free=keep_free):
            return None
        for _ in range(_DRAWS):
            self._work.check()
            drawn = self._draw()
            if drawn is None:
                return None
            spec, parent = drawn
            self._tell(0, 0, f"measuring {designs.told(spec)}")
            cost = self._meter.of_design(spec, self._most_seconds)
            if (excess := self._excess(cost)) == "":
                if self._is_in_time(spec, self.passes[0], keep_free=keep_free):
                    return spec, cost, parent
                return None
            if spec == designs.least_design(self.learning.family):
                self.infeasible = not self.best_first()
                if self.infeasible:
                    return spec, cost, parent
            self._keep(spec, self._num_designs(), NEVER_TRAINED, 0, cost, parent=parent, note=excess)
        return None

    def _draw(self) -> tuple[NetSpec, int | None] | None:
        """A design that was not tried yet, and its parent; the same for the same trials and seed."""
        number, known = self._num_designs(), {designs.key_of(trial.spec) for trial in self.trials}
        if number < len(self.first):
            return self.first[number], None
        parents = self._parents()
        if not parents:
            return designs.least_design(self.learning.family), None
        random = np.random.default_rng(self._work.seed_for("architectures", number))
        for _ in range(_DRAWS):
            parent = parents[int(random.integers(len(parents)))]
            found = designs.changed(parent.spec, random, may_exit=self.learning.may_exit)
            if found is not None and designs.key_of(found) not in known:
                return found, parent.design
        return None

    def _parents(self) -> list[Trial]:
        """The best quarter of the designs, those that were trained longer first."""
        order = self.best_first()
        return order[: max(_PARENTS, len(order) // _PARENTS)]

    @property
    def _most_seconds(self) -> float | None:
        return None if self.limits.max_latency is None else _ROOM * self.limits.max_latency

    def _excess(self, cost: Cost) -> str:
        """Which limit a cost is beyond, in words; "" for none."""
        if self._most_seconds is not None and cost.slowest > self._most_seconds:
            return f"too slow: {show_duration(cost.slowest)}"
        if self.limits.max_size is not None and cost.size > _ROOM * self.limits.max_size:
            return f"too large: {show_size(cost.size)}"
        return ""

    # --- trainings --------------------------------------------------------------------------------------------------

    def _rise(self, trial: Trial, rung: int) -> bool:
        self._train(trial.spec, trial.design, rung, trial.cost, trial.parent)
        return True

    def _train(self, spec: NetSpec, design: int, rung: int, cost: Cost, parent: int | None) -> None:
        """Train, judge and keep a network."""
        passes, is_first = self.passes[rung], not self.best_first()
        remaining = self._work.remaining
        limit = None if remaining is None else max(remaining - self.reserve, _LEAST_PART)
        part = self._work.part(limit)
        note = f"design {design + 1}: {designs.told(spec)}"
        part.reporter = lambda record: self._tell(record.done, record.total or 0, note, record)
        try:
            net = self.learning.fit(spec, passes, f"{design}/{rung}", part)
        except TrainingError as error:
            self._keep(spec, design, rung, passes, cost, parent=parent, note=error.came)
            return
        if net.stopped and not is_first:
            self._keep(spec, design, rung, passes, cost, parent=parent, note=f"not finished: {net.stopped}")
            return
        self.learning.calibrate(net)
        estimate = self.learning.score(net)
        if spec.exits:
            cost = self._meter.of_net(net.module, self.learning.values_to_choose, self._most_seconds)
        trial = Trial(
            len(self.trials) + 1, design, spec, rung, max(net.passes, 1), cost, estimate.value, estimate.lower,
            estimate.upper, net.seconds, self._before + self._work.elapsed, parent, net.stopped,
        )  # fmt: skip
        if rung or is_first or ladder.best_first([*self.trials, trial], self.loss)[0] is trial:
            self.learning.subject.write(self.folder.file_of(trial), net, name=f"trial-{trial.number:05}")
        self.folder.keep(trial)

    def _keep(
        self,
        spec: NetSpec,
        design: int,
        rung: int,
        passes: int,
        cost: Cost,
        *,
        parent: int | None,
        note: str,
    ) -> None:
        """Write down what was tried and has no score."""
        after = self._before + self._work.elapsed
        number = len(self.trials) + 1
        self.folder.keep(Trial(number, design, spec, rung, passes, cost, after=after, parent=parent, note=note))

    def _tell(self, done: float, total: float, note: str, record: ProgressRecord | None = None) -> None:
        trained = sum(trial.rung > NEVER_TRAINED for trial in self.trials)
        best = next((trial for trial in self.best_first() if trial.score is not None), None)
        shown = "" if best is None else f"{self.metric.name} {best.score:.4g}, {show_duration(best.cost.row)} a row"
        share = done / total if total else 0.0
        if record is None or record.done:
            self._work.report(trained + share, self._max_trials, "networks", best=shown, note=note)

    @property
    def metric(self) -> Metric:
        """What is chosen by."""
        return self.learning.metric


@lru_cache(maxsize=4096)
def _multiply_adds(spec: NetSpec) -> int:
    """Of a row that goes all the way."""
    return int(untrained(spec).multiply_adds()[-1])
