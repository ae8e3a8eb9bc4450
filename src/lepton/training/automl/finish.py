"""After the search: which candidates are averaged, what that is worth on rows that had no say, and the last fits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton.compute import Engine
from lepton.core import LeptonError, Resources, Work
from lepton.evaluation import Estimate
from lepton.training.automl.greedy import greedy_weights
from lepton.training.automl.trials import FIT, Setting, address_of
from lepton.training.base import Doubles, TableLearner
from lepton.training.folds import parts_of
from lepton.training.learners.blend import Blend, mean_of
from lepton.training.portfolio import Candidate, Portfolio

__all__ = ["Mix", "Picker", "fit_mix"]

_POOL = 12
_OF_A_LEARNER = 3  # that are in the pool in any case
_SELECTION_CELLS = 16_000  # raw scores that a selection looks at: more say little more and cost time
_MIN_SELECTION_ROWS = 1_000
_PARTS = 5
_LEAST_GAIN = 0.001  # of the loss, for which several models are worth their size
_LEAST_SHARE = 0.001  # of the loss that each of them must be worth


@dataclass(frozen=True)
class Mix:
    """Candidates that are averaged, the one with the most weight first.

    Attributes:
        candidates: at least one.
        weights: above 0; they add up to 1.
    """

    candidates: tuple[Candidate, ...]
    weights: tuple[float, ...]

    @property
    def raw(self) -> list[Doubles]:
        """Raw scores of each fold."""
        return [mean_of(parts, self.weights) for parts in zip(*(c.raw for c in self.candidates), strict=True)]


class Picker:
    """Picks the mix with the least loss among finished candidates, and tells what such a choice is worth.

    Args:
        portfolio: has the candidates.
        max_members: of a mix.
        in_time: whether several candidates can be fitted on all rows in the time that is left.
    """

    def __init__(
        self,
        portfolio: Portfolio,
        max_members: int,
        in_time: Callable[[Sequence[Candidate]], bool] = lambda candidates: True,
    ) -> None:
        self._portfolio, self._max_members, self._in_time = portfolio, max_members, in_time
        folds = portfolio.num_folds
        finished = [c for c in portfolio.candidates if c.estimate is not None and c.raw and c.learner is not Blend]
        within = [c for c in finished if portfolio.is_allowed([c])]
        self._finished = within or [portfolio.cheapest(finished)]
        self._raw = [np.concatenate(c.raw[:folds]) for c in self._finished]
        self._rows = np.arange(len(self._raw[0]) if self._raw else 0)
        self._random = np.random.default_rng(portfolio.work.seed_for("selection"))

    def pick(self) -> tuple[Mix, Estimate]:
        """The mix, and the score of rows that had no say in which candidates and weights were chosen for them.

        The scored rows are cut into parts (the folds, where there are several). For each part the whole choice is
        made anew on the others. One model alone is taken where the mean of several is not better so.
        """
        parts = self._parts()
        most = self._max_members if len(self._finished) > 1 else 1
        alone = self._crossed(parts, 1)
        members, crossed = 1, alone
        if most > 1:
            together = self._crossed(parts, most)
            gain = self._portfolio.loss_of(alone) - self._portfolio.loss_of(together)
            if gain > _LEAST_GAIN * abs(self._portfolio.loss_of(alone)):
                members, crossed = most, together
        return self._mix(self._weights(self._rows, members)), self._portfolio.estimate_of(crossed)

    def _parts(self) -> NDArray[np.int64]:
        """The part of each scored row."""
        portfolio = self._portfolio
        sizes = [len(fold.valid) for fold in portfolio.folds[: portfolio.num_folds]]
        if len(sizes) > 1:
            return np.repeat(np.arange(len(sizes)), sizes)
        groups = None if portfolio.groups is None else portfolio.groups[portfolio.folds[0].valid]
        return parts_of(sizes[0], _PARTS, self._random, groups)

    def _crossed(self, parts: NDArray[np.int64], max_members: int) -> Doubles:
        """Raw scores of all scored rows, those of each part by the choice that the other parts make."""
        crossed = np.empty_like(self._raw[0])
        for part in range(int(parts.max()) + 1):
            weights = self._weights(np.flatnonzero(parts != part), max_members)
            own = parts == part
            chosen = np.flatnonzero(weights)
            crossed[own] = mean_of([self._raw[i][own] for i in chosen], weights[chosen].tolist())
        return crossed

    def _weights(self, rows: NDArray[np.int64], max_members: int) -> Doubles:
        """Weights of all finished candidates, chosen on some of the scored rows."""
        limit = max(_MIN_SELECTION_ROWS, _SELECTION_CELLS // self._raw[0].shape[1])
        if len(rows) > limit:
            rows = np.sort(self._random.choice(rows, limit, replace=False))
        losses = np.array([self._loss(raw[rows], rows) for raw in self._raw])
        pool = self._pool(losses)
        weights = np.zeros(len(self._raw))
        weights[pool] = greedy_weights(
            [self._raw[i][rows] for i in pool],
            lambda raw: self._loss(raw, rows),
            max_members=max_members,
            least_gain=_LEAST_SHARE,
            allowed=lambda members: self._may_mix([self._finished[pool[i]] for i in members]),
        )
        return weights

    def _may_mix(self, candidates: Sequence[Candidate]) -> bool:
        return self._portfolio.is_allowed(candidates) and self._in_time(candidates)

    def _loss(self, raw: Doubles, rows: NDArray[np.int64]) -> float:
        value = self._portfolio.loss_of(raw, among=rows)
        return np.inf if np.isnan(value) else value

    def _pool(self, losses: Doubles) -> list[int]:
        """The best candidates, and the best few of every learner."""
        order = np.argsort(losses, kind="stable").tolist()
        chosen = set(order[:_POOL])
        counts: dict[object, int] = {}
        for i in order:
            learner = self._finished[i].learner
            counts[learner] = counts.get(learner, 0) + 1
            if counts[learner] <= _OF_A_LEARNER:
                chosen.add(i)
        return [i for i in order if i in chosen]

    def _mix(self, weights: Doubles) -> Mix:
        order = sorted(np.flatnonzero(weights).tolist(), key=lambda i: -weights[i])
        return Mix(tuple(self._finished[i] for i in order), tuple(float(weights[i]) for i in order))

    def alone(self) -> list[Mix]:
        """Every finished candidate by itself, the best first."""
        portfolio = self._portfolio
        return [Mix((c,), (1.0,)) for c in sorted(self._finished, key=lambda c: portfolio.loss_of(c.raw))]


def candidate_of(mix: Mix) -> Candidate:
    """A mix as one candidate of the leaderboard: the member itself, where there is only one."""
    if len(mix.candidates) == 1:
        return mix.candidates[0]
    members = [
        {"learner": c.learner.name, "weight": weight, "configuration": dict(c.settled or c.configuration)}
        for c, weight in zip(mix.candidates, mix.weights, strict=True)
    ]
    told = ", ".join(f"{c.learner.name} {w:.2g}" for c, w in zip(mix.candidates, mix.weights, strict=True))
    configuration = {"label": f"mean of {len(members)}: {told}", "members": members}
    return Candidate(
        Blend,
        configuration,
        settled=configuration,
        raw=mix.raw,
        fit_seconds=sum(c.fit_seconds for c in mix.candidates),
        fold_seconds=sum(c.fold_seconds for c in mix.candidates),
        measured=_together(mix),
    )


def _together(mix: Mix) -> tuple[int, float] | None:
    """What the members cost, added up."""
    costs = [c.measured for c in mix.candidates if c.measured is not None]
    if len(costs) < len(mix.candidates):
        return None
    return sum(size for size, _ in costs), sum(micros for _, micros in costs)


def fit_mix(
    mix: Mix,
    setting: Setting,
    engine: Engine,
    resources: Resources,
    seconds: float | None,
    work: Work,
    tell: Callable[[str], None] = lambda why: None,
) -> TableLearner | None:
    """The members fitted on all rows, side by side in child processes; None where one of them fails or is too slow.

    Args:
        mix: what to fit.
        setting: of the trials.
        engine: runs the fits.
        resources: of each fit.
        seconds: that they may take; None for as long as they need.
        work: is asked whether to stop.
        tell: hears why there is none.
    """
    if seconds is not None and seconds <= 0.0:
        return None
    handles = [
        engine.submit(
            FIT,
            {"setting": setting, "learner": address_of(c.learner), "configuration": dict(c.settled or c.configuration)},
            resources,
            seed=work.seed,
            within=seconds,
        )
        for c in mix.candidates
    ]
    end = np.inf if seconds is None else time.monotonic() + seconds
    while not all(handle.state.final for handle in handles):
        if time.monotonic() > end or work.cancel.is_set():
            late = [c for c, handle in zip(mix.candidates, handles, strict=True) if not handle.state.final]
            for handle in handles:
                handle.kill()
            if not work.cancel.is_set():
                tell(f"the last fit, on all rows, of {_named(late[0])} was not done in the {seconds:.1f} s left for it")
            return None
        time.sleep(0.01)
    learners: list[TableLearner] = []
    for candidate, handle in zip(mix.candidates, handles, strict=True):
        try:
            learners.append(handle.result())
        except LeptonError as error:
            tell(f"the last fit, on all rows, of {_named(candidate)} failed: {error.came}")
            return None
    if len(learners) == 1:
        return learners[0]
    return Blend.of(setting.problem, candidate_of(mix).configuration, learners)


def _named(candidate: Candidate) -> str:
    return f"{candidate.learner.name} ({candidate.configuration['label']})"
