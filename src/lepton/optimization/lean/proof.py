"""What a smaller model loses, with a bound that holds: paired on the same rows, honest where nothing went wrong yet.

`max_loss` is kept where the one-sided 99 % bound of the loss on rows that no step saw is within it (contract 8). Of
the share of right answers the bound is the score interval of a paired difference (Tango 1998), which does not shrink
to nothing where no row differs. Of any other metric it is the largest of Johnson's (1978) t bound over a jackknife of
200 blocks, which looks at the skew of the differences, and of the bootstrap's; where labels are compared, it also
counts the rows that could have gone wrong without one of them being seen; of numbers, more rows like the worst two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.evaluation import Metric
from lepton.evaluation.answers import Answers
from lepton.evaluation.bootstrap import weightings
from lepton.evaluation.classification import Floats, Score

__all__ = ["LEVEL", "LOOKS", "Loss", "Part", "least_rows", "loss_of", "parts_lost", "score_bound"]

LEVEL = 0.01
"""How often a loss may be larger than its bound, over all that is shown to the rows of the proof."""
LOOKS = (0.7, 0.2, 0.1)
"""Shares of `LEVEL` that the first, second and third candidate spend when they are proven."""
_BLOCKS = 200
_RESAMPLES = 1_000
_FEW_RESAMPLES = 200
_MANY_CELLS = 2**25
_STEP_CELLS = 2**21
_DRAWS = 20
_WORST = 2


@dataclass(frozen=True, slots=True)
class Loss:
    """How much worse a model is than the original on the same rows; below 0 where it is better.

    Attributes:
        value: in units of the metric, or as a share of the original's value where it is `relative`; None where the
            metric is undefined on these rows.
        upper: one-sided bound at `level`; infinite where there is none.
        interval: two-sided, 95 %.
        level: how often the loss may be above `upper`.
        original: the original's metric.
        lean: the other's.
        num_rows: rows behind it.
        relative: whether it is a share.
        changed: share of the rows that are answered by another label; None for numbers.
    """

    value: float | None
    upper: float
    interval: tuple[float, float]
    level: float
    original: float | None
    lean: float | None
    num_rows: int
    relative: bool
    changed: float | None

    def within(self, limit: float) -> bool:
        """Whether the loss is proven to be at most `limit`."""
        return self.value is not None and self.upper <= limit

    def rows_needed(self, limit: float) -> int | None:
        """About how many rows like these would prove `limit`; None where the loss itself is above it."""
        if self.value is None or self.value >= limit:
            return None
        if not math.isfinite(self.upper):
            return 2 * self.num_rows
        return math.ceil(self.num_rows * max(1.0, (self.upper - self.value) / (limit - self.value)) ** 2)

    def to_dict(self) -> dict[str, Any]:
        """JSON form: None rather than infinity."""
        told = asdict(self)
        told["upper"] = self.upper if math.isfinite(self.upper) else None
        told["interval"] = [each if math.isfinite(each) else None for each in self.interval]
        return told


@dataclass(frozen=True, slots=True)
class Part:
    """The loss of some of the rows.

    Attributes:
        column: what the rows are told apart by; `class` for the true label.
        value: that they share.
        loss: on them; its bound is corrected for the number of parts.
    """

    column: str
    value: str
    loss: Loss

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"column": self.column, "value": self.value, **self.loss.to_dict()}


def loss_of(
    original: Answers,
    lean: Answers,
    metric: Metric,
    *,
    level: float = LEVEL,
    as_of: int | None = None,
    quick: bool = False,
    seed: int = 0,
    work: Work | None = None,
) -> Loss:
    """What `lean` loses against `original` on the same rows.

    Args:
        original: answers of the model that was given.
        lean: answers of the smaller one to the same rows.
        metric: what the loss is told in: absolute where it is bounded, else as a share of the original's value.
        level: of the one-sided bound.
        as_of: tell the bound that as many rows like these would give.
        quick: leave the bootstrap out.
        seed: of everything drawn.
        work: cancel.
    """
    work = Work.of(work)
    rows = as_of or original.num_rows
    first, second = original.score(metric), lean.score(metric)
    every = _weights(original)[None, :]
    of_original, of_lean = float(first(every)[0]), float(second(every)[0])
    changed = float(_differ(original, lean).mean()) if original.labels else None
    told = Loss(
        None, math.inf, (-math.inf, math.inf), level, _number(of_original), _number(of_lean), rows,
        not metric.bounded, changed,
    )  # fmt: skip
    if not (math.isfinite(of_original) and math.isfinite(of_lean)):
        return told
    if metric.name == "accuracy" and metric.bounded and original.weight is None and original.groups is None:
        return _paired(original, lean, told, rows / original.num_rows)
    lost = _lost(first, second, metric)
    value = float(lost(every)[0])
    if not math.isfinite(value):
        return told
    error, skew, freedom = _jackknife(lost, original, seed, work)
    shrink = math.sqrt(original.num_rows / rows)
    upper = value + shrink * error * _johnson(level, skew * shrink, freedom)
    middle = shrink * error * _student(0.025, freedom)
    drawn = np.empty(0) if quick else _resampled(lost, original, seed, work)
    if len(drawn):
        upper = max(upper, value + float(drawn.std(ddof=1)) * _student(level, freedom))
        upper = max(upper, float(np.quantile(drawn, 1 - level)) if len(drawn) >= 5 / level else upper)
    if metric.needs == "labels" and original.labels:
        upper = max(upper, _unseen(original, lean, metric, level, rows, seed))
    else:
        upper += max(_more_of_the_worst(lost, original, lean, metric, level, rows) - value, 0.0)
    upper = upper if math.isfinite(upper) else math.inf
    return replace(told, value=value, upper=upper, interval=(value - middle, value + middle))


def parts_lost(
    original: Answers,
    lean: Answers,
    metric: Metric,
    parts: Mapping[tuple[str, str], NDArray[np.bool_]],
    *,
    level: float = LEVEL,
    seed: int = 0,
    work: Work | None = None,
) -> tuple[Part, ...]:
    """The loss of each part, whose bounds hold together: each is given its share of `level`.

    Args:
        original: answers of the model that was given.
        lean: answers of the smaller one.
        metric: what losses are told in.
        parts: column and value → mask [N].
        level: over all parts.
        seed: of everything drawn.
        work: cancel.
    """
    found = []
    for (column, value), rows in parts.items():
        some = (original.only(rows), lean.only(rows))
        lost = loss_of(*some, metric, level=level / len(parts), quick=True, seed=seed, work=work)
        found.append(Part(column, value, lost))
    return tuple(found)


def least_rows(limit: float, level: float = LEVEL * LOOKS[0]) -> int:
    """Rows that prove a loss of right answers of at most `limit` where none of them is answered otherwise."""
    squared = _normal(level) ** 2
    return math.ceil(squared * (1 - limit) / limit) if limit < 1 else 1


def score_bound(worse: float, better: float, num_rows: float, level: float) -> float:
    """Upper end of the score interval of a paired difference of shares (Tango 1998).

    >>> round(score_bound(0, 0, 1_000, 0.01), 4)
    0.0054

    Args:
        worse: rows that the first answers rightly and the second wrongly.
        better: the other way round.
        num_rows: rows in all.
        level: how often the difference may be above.
    """
    wanted = _normal(level)
    low, high = (worse - better) / num_rows, 1.0
    for _ in range(60):
        share = (low + high) / 2
        linear = -worse - better + (2 * num_rows - worse + better) * share
        root = math.sqrt(max(linear**2 + 8 * num_rows * better * share * (1 - share), 0.0))
        other = (root - linear) / (4 * num_rows)
        spread = math.sqrt(max(num_rows * (2 * other + share * (1 - share)), 1e-300))
        if (num_rows * share - worse + better) / spread < wanted:
            low = share
        else:
            high = share
    return high


def _paired(original: Answers, lean: Answers, told: Loss, scale: float) -> Loss:
    right, still = _right(original), _right(lean)
    worse, better = scale * int((right & ~still).sum()), scale * int((~right & still).sum())
    rows = scale * original.num_rows
    interval = (-score_bound(better, worse, rows, 0.025), score_bound(worse, better, rows, 0.025))
    return replace(
        told, value=(worse - better) / rows, upper=score_bound(worse, better, rows, told.level), interval=interval
    )


def _right(answers: Answers) -> NDArray[np.bool_]:
    same = answers.y == answers.predicted
    return np.asarray(same.all(axis=1) if same.ndim == 2 else same)


def _differ(original: Answers, lean: Answers) -> NDArray[np.bool_]:
    other = original.predicted != lean.predicted
    return np.asarray(other.any(axis=1) if other.ndim == 2 else other)


def _lost(first: Score, second: Score, metric: Metric) -> Score:
    """The loss as a function of weights [B, N]."""
    sign = 1.0 if metric.greater_is_better else -1.0

    def lost(weights: Floats) -> Floats:
        before = first(weights)
        lost_there = sign * (before - second(weights))
        if metric.bounded:
            return lost_there
        found: Floats = np.full(len(before), np.nan)
        np.divide(lost_there, np.abs(before), out=found, where=before != 0)
        found[(before == 0) & (lost_there == 0)] = 0.0
        return found

    return lost


def _weights(answers: Answers) -> Floats:
    return np.ones(answers.num_rows) if answers.weight is None else answers.weight


def _jackknife(lost: Score, answers: Answers, seed: int, work: Work) -> tuple[float, float, int]:
    """Standard error, skew of its mean (at least 0) and degrees of freedom, by leaving out blocks of rows or groups."""
    groups = answers.groups
    num_units = answers.num_rows if groups is None else int(groups.max()) + 1
    num_blocks = min(_BLOCKS, num_units)
    if num_blocks < 2:
        return math.inf, 0.0, 1
    block_of = np.random.default_rng(seed).permutation(num_units) % num_blocks
    rows = block_of if groups is None else block_of[groups]
    weight = _weights(answers)
    step = max(1, _STEP_CELLS // answers.num_rows)
    parts = []
    for start in range(0, num_blocks, step):
        work.check()
        left_out = np.arange(start, min(start + step, num_blocks))
        parts.append(lost((rows[None, :] != left_out[:, None]) * weight))
    without = np.concatenate(parts)
    if not np.isfinite(without).all():
        return math.inf, 0.0, num_blocks - 1
    # Leaving out what is worse lowers the loss: the signs turn.
    pulls = -(num_blocks - 1) * (without - without.mean())
    spread = float(pulls.std(ddof=1))
    if spread <= 1e-15 * float(np.abs(without).max() + 1e-300):
        return 0.0, 0.0, num_blocks - 1
    skew = float((pulls**3).mean()) / spread**3
    return spread / math.sqrt(num_blocks), max(skew, 0.0) / math.sqrt(num_blocks), num_blocks - 1


def _resampled(lost: Score, answers: Answers, seed: int, work: Work) -> Floats:
    num_drawn = _RESAMPLES if answers.num_rows * _RESAMPLES <= 16 * _MANY_CELLS else _FEW_RESAMPLES
    parts = []
    for block in weightings(answers.num_rows, num_drawn, weight=answers.weight, groups=answers.groups, seed=seed):
        work.check()
        parts.append(lost(block))
    drawn = np.concatenate(parts)
    return (
        np.where(np.isfinite(drawn), drawn, np.inf) if np.isfinite(drawn).mean() < 0.99 else drawn[np.isfinite(drawn)]
    )


def _unseen(original: Answers, lean: Answers, metric: Metric, level: float, rows: int, seed: int) -> float:
    """The loss if as many rows more had gone wrong as can hide, `level` being how often they do."""
    hidden = min(math.ceil(-math.log(level) * original.num_rows / rows), original.num_rows)
    generator = np.random.default_rng(seed)
    sign, found = (1.0 if metric.greater_is_better else -1.0), -math.inf
    every = _weights(original)[None, :]
    before = float(original.score(metric)(every)[0])
    for _ in range(_DRAWS):
        chosen = generator.choice(original.num_rows, hidden, replace=False)
        predicted = lean.predicted.copy()
        wrong = 1 - original.y[chosen] if original.y.ndim == 2 else (original.y[chosen] + 1) % len(original.labels)
        predicted[chosen] = wrong
        after = float(replace(lean, predicted=predicted).score(metric)(every)[0])
        found = max(found, sign * (before - after) if math.isfinite(after) else -math.inf)
    return found


def _more_of_the_worst(lost: Score, original: Answers, lean: Answers, metric: Metric, level: float, rows: int) -> float:
    """The loss if the rows whose answers moved most stood for as many more as can hide."""
    if metric.needs in ("probabilities", "quantiles"):
        name = metric.needs
        pair = [each.probabilities if name == "probabilities" else each.beside.get(name) for each in (original, lean)]
    else:
        pair = [original.predicted, lean.predicted]
    if pair[0] is None or pair[1] is None:
        return -math.inf
    moved = np.abs(pair[1] - pair[0]).reshape(original.num_rows, -1).max(axis=1)
    worst = np.argsort(-moved, kind="stable")[:_WORST]
    weight = _weights(original)
    more = weight.copy()
    more[worst] += weight.mean() * -math.log(level) * original.num_rows / rows / len(worst)
    return float(lost(more[None, :])[0])


def _johnson(level: float, skew: float, freedom: int) -> float:
    quantile = _student(level, freedom)
    return quantile + skew * (2 * quantile**2 + 1) / 6


def _normal(level: float) -> float:
    return NormalDist().inv_cdf(1 - level)


def _student(level: float, freedom: int) -> float:
    """Quantile of Student's t by the expansion of Cornish and Fisher, good to 1 % from 5 degrees of freedom on."""
    z = _normal(level)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
