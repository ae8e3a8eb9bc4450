"""What is measured on spoilt rows: a metric against the truth, or, without one, how far the answers stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.core import ErrorCode, UsageError, printable
from lepton.evaluation.answers import Answers
from lepton.evaluation.bootstrap import Estimate, intervals
from lepton.evaluation.classification import Floats, Labels, Score, mean_of
from lepton.evaluation.metrics import METRICS, Metric, metric as metric_of
from lepton.evaluation.robustness.asking import Replies, replied

__all__ = ["RESAMPLES", "compared", "constant", "measure_of", "paired", "point_loss", "tilted_scores"]

RESAMPLES = 200
NO_TRUTH = "There is no truth to compare with: answers to spoilt rows are compared with those to the unspoilt ones."


def measure_of(predictor: Predictor, metric: str | Metric | None, *, labelled: bool) -> Metric:
    """The metric that is asked for, or, where there is no truth, one of how answers stay as they were.

    Raises:
        UsageError: a metric that does not fit the task, or that needs a truth which is not there.
    """
    task = predictor.task
    if labelled:
        return metric_of(metric or task.metric, task.name)
    if metric is not None:
        name = metric if isinstance(metric, str) else metric.name
        raise UsageError(
            ErrorCode.USAGE,
            f"got metric={printable(name, 80)!r} for rows without a truth",
            wanted="rows with the target",
            fix="leave metric=: how far answers stay is measured then",
        )
    if task.classifies:
        return replace(METRICS["accuracy"], name="agreement", title="Share of answers that stay", tasks=(task.name,))
    if task.name == "clustering":
        return Metric(
            "agreement", "Share of answers that stay", (task.name,), "numbers", True, True, _never, prepare=_same
        )
    return replace(METRICS["mae"], name="change", title="Mean change of the answer", tasks=(task.name,))


def _never(y: object, answer: object, weight: object, labels: Labels) -> float:
    raise NotImplementedError("scored by its kernel")


def _same(y: NDArray[np.float64], answer: NDArray[np.float64], labels: Labels) -> Score:
    return mean_of((y == answer).astype(np.float64))


def paired(answers: Answers, replies: Replies) -> tuple[Answers, Answers] | None:
    """The answers to the unspoilt and to the spoilt rows, of the rows that have both; None where no row has."""
    if replies.answered.all():
        return answers, replied(answers, replies)
    if not replies.answered.any():
        return None
    return answers.only(replies.answered), replied(answers, replies).only(replies.answered)


def compared(answers: Answers, replies: Replies, measured: Metric, *, seed: int = 0) -> tuple[Estimate, Estimate]:
    """The metric on the spoilt rows, and its paired loss, each with its interval."""
    pair = paired(answers, replies)
    if pair is None:
        said = printable(replies.reason, 200)
        none = Estimate(None, reason=f"the model refused every row: {said}" if said else "the model refused every row")
        return none, none
    before, after = (each.score(measured) for each in pair)
    sign = 1.0 if measured.greater_is_better else -1.0
    found = intervals(
        {"value": after, "loss": lambda weights: sign * (before(weights) - after(weights))},
        pair[0].num_rows,
        undefined=dict.fromkeys(("value", "loss"), measured.undefined),
        weight=pair[0].weight,
        groups=pair[0].groups,
        resamples=RESAMPLES,
        seed=seed,
    )
    return found["value"], found["loss"]


def point_loss(answers: Answers, replies: Replies, measured: Metric) -> float:
    """The paired loss alone; NaN where there is none."""
    pair = paired(answers, replies)
    if pair is None:
        return float("nan")
    weights = np.ones((1, pair[0].num_rows)) if pair[0].weight is None else pair[0].weight[None, :]
    loss = float(pair[0].score(measured)(weights)[0] - pair[1].score(measured)(weights)[0])
    return loss if measured.greater_is_better else -loss


def tilted_scores(answers: Answers, tilts: Sequence[Floats], measured: Metric) -> dict[str, Score]:
    """The metric where some rows count more, averaged over the ways of weighing [N], and its loss."""
    plain = answers.score(measured)
    sign = 1.0 if measured.greater_is_better else -1.0

    def value(weights: Floats) -> Floats:
        total = np.zeros(len(weights))
        for tilt in tilts:
            total += plain(weights * tilt)
        return total / len(tilts)

    return {"value": value, "loss": lambda weights: sign * (plain(weights) - value(weights))}


def constant(answers: Answers) -> bool:
    """Whether the model answers the same to every row."""
    told = answers.predicted if answers.probabilities is None else answers.probabilities
    return len(told) > 1 and bool((told == told[0]).all())
