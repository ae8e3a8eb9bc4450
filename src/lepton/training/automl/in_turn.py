"""A search in this process, one trial after the other, for tasks that the search in processes does not know."""

from __future__ import annotations

from dataclasses import dataclass, field

from lepton.core import MissingExtraError
from lepton.evaluation import Estimate
from lepton.training.automl.finish import Picker
from lepton.training.automl.sampler import Sampler
from lepton.training.automl.search import Effort
from lepton.training.base import TableLearner, learners_for
from lepton.training.portfolio import Accept, Chosen, Portfolio

__all__ = ["best_in_turn"]

_PROPOSALS = 15  # for each setting of a learner, as in the search
_LEAST_SECONDS = 3.0  # left after the small portfolio: Optuna alone takes one to begin
_OTHERS = 4  # every so many trials another learner than the best has its turn


@dataclass
class _Family:
    """A learner, and what it has still to try."""

    learner: type[TableLearner]
    sampler: Sampler
    proposals: int
    losses: list[float] = field(default_factory=list)


def best_in_turn(portfolio: Portfolio, effort: Effort | None, accept: Accept) -> Chosen:
    """The best of the small portfolio, and of what Optuna proposes then.

    Args:
        portfolio: fresh; it gets the candidates, and a note that says how many.
        effort: after how many trials without a better one to end; None for the small portfolio alone.
        accept: whether the model keeps its limits.

    Returns:
        The model. Where more than the small portfolio was tried, its score is of rows that had no say in which
        candidate was chosen for them.
    """
    portfolio.run()
    score = None if effort is None else _search(portfolio, effort)
    chosen = portfolio.choose(accept)
    if score is not None:
        chosen.candidate.estimate = score
    return chosen


def _search(portfolio: Portfolio, effort: Effort) -> Estimate | None:
    """Trials until the time is used or nothing better comes; the score of the choice, None where there was none."""
    remaining = portfolio.work.remaining
    if remaining is not None and remaining - portfolio.saving_seconds < _LEAST_SECONDS:
        return None
    try:
        families = _families(portfolio)
    except MissingExtraError as error:
        portfolio.notes.append(f"nothing was tried beyond the small portfolio: {error.came}")
        return None
    best, since, trials, why = _least(families), 0, 0, "nothing is left to try"
    while families := [family for family in families if family.proposals > 0]:
        if effort.patience is not None and since >= effort.patience:
            why = f"the last {since} brought nothing better"
            break
        family = _next(families, trials)
        if not portfolio.has_time_for(family.learner):
            why = "it was stopped" if portfolio.work.cancel.is_set() else "the time was used"
            break
        number, point = family.sampler.ask()
        family.proposals -= 1
        trials += 1
        configured = family.learner.configured(portfolio.problem, point)
        candidate = portfolio.try_one(family.learner, {"label": f"trial {trials}", **configured}, point)
        loss = None if candidate.estimate is None else portfolio.loss_of(candidate.raw)
        family.sampler.tell(number, loss)
        if loss is not None:
            family.losses.append(loss)
        best, since = (loss, 0) if loss is not None and loss < best else (best, since + 1)
    if not trials:
        return None
    portfolio.notes.append(f"{trials} trials were made beyond the small portfolio, one after the other; {why}")
    return Picker(portfolio, 1).pick()[1]


def _families(portfolio: Portfolio) -> list[_Family]:
    """The learners that have a space and have shown something, told of what was tried."""
    found = []
    for learner in learners_for(portfolio.problem):
        space = learner.space(portfolio.problem)
        finished = [c for c in portfolio.candidates if c.learner is learner and c.estimate is not None]
        if space and finished:
            sampler = Sampler(space, portfolio.work.seed_for("in turn", learner.name))
            family = _Family(learner, sampler, _PROPOSALS * len(space))
            for candidate in finished:
                family.losses.append(portfolio.loss_of(candidate.raw))
                sampler.start(candidate.configuration, family.losses[-1])
            found.append(family)
    return found


def _least(families: list[_Family]) -> float:
    return min((min(family.losses) for family in families), default=float("inf"))


def _next(families: list[_Family], trials: int) -> _Family:
    """The learner with the best score; every few trials another."""
    in_order = sorted(families, key=lambda family: min(family.losses))
    others = in_order[1:]
    if others and trials % _OTHERS == _OTHERS - 1:
        return others[trials // _OTHERS % len(others)]
    return in_order[0]
