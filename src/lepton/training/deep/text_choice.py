"""Which models of texts are better, on texts that none of them saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import MissingExtraError, Schema
from lepton.data.statistics import Baseline
from lepton.evaluation import Estimate, Metric, intervals
from lepton.training.answers import decided, probabilities_of
from lepton.training.base import Doubles, Problem
from lepton.training.leaderboard import LeaderboardRow

__all__ = ["Candidate", "answers_baseline", "held_out", "judged", "mixed"]

Positions = NDArray[np.int64]

_SHARE = 0.15
_SHARE_OF_FEW = 0.25
_FEW = 200
_MOST = 5_000
_STEPS = 200
_TINY = 1e-15


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that was tried.

    Attributes:
        name: what it is made of.
        configuration: what is particular about it.
        factors: what its parts count, linear scores and the network, and what is added.
        raw: its scores of the rows held out [M, S].
        seconds: that it took to learn.
        estimate: its score.
    """

    name: str
    configuration: str
    factors: tuple[float, float, float]
    raw: Doubles
    seconds: float
    estimate: Estimate

    def row(self, chosen: bool) -> LeaderboardRow:
        """Its line of the leaderboard."""
        value = self.estimate
        return LeaderboardRow(
            self.name, self.configuration, value.value, value.lower, value.upper, 1, self.seconds, None, None, chosen
        )


def held_out(same: Positions, classes: Positions | None, seed: int) -> NDArray[np.bool_]:
    """Which rows are held out to choose by, [N]: a share of each class, and all that are equal or none of them.

    Args:
        same: the first row that is equal to each, [N].
        classes: of the rows [N], or None.
        seed: of the draw.
    """
    num_rows = len(same)
    firsts = np.unique(same)
    share = min(_SHARE if num_rows > _FEW else _SHARE_OF_FEW, _MOST / num_rows)
    random = np.random.default_rng(seed)
    order = random.permutation(firsts)
    kinds = np.zeros(num_rows, dtype=np.int64) if classes is None else classes
    chosen: list[NDArray[np.int64]] = []
    for kind in np.unique(kinds[order]):
        members = order[kinds[order] == kind]
        # Where a class has few texts, chance decides about the last one, so that the share holds over all classes.
        chosen.append(members[: int(share * len(members) + random.random())][: len(members) - 1])
    out = np.isin(same, np.concatenate(chosen))
    if not out.any() and len(firsts) > 1:
        out = same == order[0]
    return out if out.any() else order[0] != np.arange(num_rows)  # one text alone: what is learned says nothing


def mixed(
    problem: Problem,
    parts: Sequence[Doubles | None],
    truth: Positions | Doubles,
    weight: NDArray[np.floating] | None = None,
) -> tuple[float, float, float]:
    """What each part counts, and what is added, so that the loss of raw scores is least; 0 for parts that are None.

    The loss is that of the task: the log-loss of probabilities, the mean square of numbers. Factors are held near
    where they usually are, so that few rows do not move them far.
    """
    given = [part for part in parts if part is not None]
    counts = np.ones((len(truth), 1)) if weight is None or not weight.any() else (weight / weight.mean())[:, None]
    several = problem.task == "multiclass"
    numbers = problem.task == "regression"
    usual = np.array([1.0 / len(given)] * len(given) + [0.0])

    def gradient_of(factors: Doubles) -> tuple[float, Doubles]:
        raw = sum(factor * part for factor, part in zip(factors, given, strict=False)) + factors[-1]
        if numbers:
            slopes = raw - truth.reshape(raw.shape)
            loss = 0.5 * float(np.mean(counts * slopes**2))
            slopes = counts * slopes
        else:
            shares = probabilities_of(problem, raw)
            aims = np.eye(problem.num_classes)[truth] if several else truth.reshape(raw.shape)
            shares = shares[:, 1:] if problem.task == "binary" else shares
            slopes = counts * (shares - aims)
            log = np.where(aims > 0, np.log(np.maximum(shares, _TINY)), 0.0)
            if not several:
                log = log + np.where(aims > 0, 0.0, np.log(np.maximum(1 - shares, _TINY)))
            loss = -float((counts * log).sum()) / len(raw)
            slopes = slopes * (slopes.size / len(raw))  # a mean over cells below, a sum over scores here
        gradient = np.array([np.mean(slopes * part) for part in given] + [0.0 if several else np.mean(slopes)])
        apart = factors - usual
        held = 1.0 / max(len(truth), 1)
        return loss + 0.5 * held * float(apart @ apart), gradient + held * apart

    found = _minimum(gradient_of, usual, floor=len(given))
    factors = iter(found[:-1])
    first, second = (0.0 if part is None else float(next(factors)) for part in parts)
    return first, second, float(found[-1])


def _minimum(function: Callable[[Doubles], tuple[float, Doubles]], start: Doubles, floor: int) -> Doubles:
    """Where a function is least; the first `floor` arguments stay at 0 or above."""
    try:
        import scipy.optimize  # noqa: PLC0415 - optional: half a second that only this needs
    except ImportError:
        raise MissingExtraError("scipy", "train", "Choosing a model of texts") from None
    bounds = [(0.0, None)] * floor + [(None, None)] * (len(start) - floor)
    found = scipy.optimize.minimize(
        function, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}
    )
    return np.asarray(found.x)


def judged(
    problem: Problem,
    metric: Metric,
    truth: Positions | Doubles,
    raw: Doubles,
    seed: int,
    scale: tuple[float, float] = (1.0, 0.0),
) -> Estimate:
    """The metric of raw scores of rows, with its interval."""
    if problem.task == "regression":
        given: NDArray[np.generic] = raw[:, 0] * scale[0] + scale[1]
    else:
        answers = probabilities_of(problem, raw)
        given = decided(problem, answers) if metric.needs == "labels" else answers
    score = metric.over(truth, given, range(problem.num_classes))
    return intervals({metric.name: score}, len(raw), undefined={metric.name: metric.undefined}, seed=seed)[metric.name]


def answers_baseline(
    problem: Problem,
    labels: Sequence[str] | Sequence[int] | None,
    raw: Doubles,
    scale: tuple[float, float] = (1.0, 0.0),
) -> dict[str, bytes]:
    """Statistics of the answers to rows held out, as members of a bundle: what later answers are held against.

    Args:
        problem: the task.
        labels: as the graph gives them; None for numbers.
        raw: scores of the rows [M, S].
        scale: factor and offset of numbers.
    """
    if problem.task == "regression":
        outputs: dict[str, NDArray[np.generic]] = {"prediction": raw[:, 0] * scale[0] + scale[1]}
    else:
        shares = probabilities_of(problem, raw)
        outputs = {"probabilities": shares}
        if problem.task != "multilabel":
            outputs["prediction"] = np.array(labels, dtype=object)[decided(problem, shares)]
    return Baseline.of(pl.DataFrame(), Schema(()), outputs).to_members()
