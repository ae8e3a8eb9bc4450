"""One trial: a learner with a configuration on every fold, in a process of its own; and the last fit on all rows."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import TableInputs
from lepton.core import ErrorCode, Interrupted, MissingExtraError, TrainingError, Work
from lepton.core.imports import shared_process
from lepton.data.steps import Block
from lepton.evaluation import metric as metric_named
from lepton.training.answers import decided, numbers_of, probabilities_of
from lepton.training.automl.files import load_table
from lepton.training.base import Doubles, Problem, Rows, TableLearner
from lepton.training.folds import Fold
from lepton.training.front import Front
from lepton.training.table_model import TableModel
from lepton.training.tasks import Scale

__all__ = [
    "EVALUATE",
    "FIT",
    "WARM_UP",
    "Outcome",
    "Outside",
    "Setting",
    "address_of",
    "evaluate_trial",
    "fit_on_all",
    "loaded_learner",
    "warm_up",
]

EVALUATE = f"{__name__}:evaluate_trial"
FIT = f"{__name__}:fit_on_all"
WARM_UP = f"{__name__}:warm_up"

_FIT_SHARE = 0.65  # of a trial's time: the rest is for scoring and measuring


@dataclass(frozen=True)
class Outside:
    """What stands around the learner of a model: see `TableModel`.

    Attributes:
        inputs: columns of the model.
        labels: class labels; None for regression.
        front: what stands before the model's columns.
        sample: one row with the columns that a model takes, to be measured with.
    """

    inputs: TableInputs
    labels: tuple[str, ...] | tuple[int, ...] | None
    front: Front | None
    sample: Block


@dataclass(frozen=True)
class Setting:
    """What all trials of a search share; it travels with each.

    Attributes:
        folder: where `save_table` wrote the rows.
        number_names: number columns of the rows.
        num_folds: folds to score on.
        problem: what is to be learned.
        metric: name of what to choose by; None for one of the caller's own, which stays with the caller: trials are
            then not given up early.
        scale: of the learners' numbers.
        outside: what stands around the learner.
        seed: of the search.
    """

    folder: str
    number_names: tuple[str, ...]
    num_folds: int
    problem: Problem
    metric: str | None
    scale: Scale
    outside: Outside
    seed: int

    def measured(self, learner: TableLearner) -> tuple[int, float]:
        """Bytes of the graph and µs a row."""
        outside = self.outside
        model = TableModel(self.problem, outside.inputs, learner, outside.labels, self.scale, 1.0, outside.front)
        return model.measure(outside.sample)


@dataclass(frozen=True)
class Outcome:
    """What a trial gives.

    Attributes:
        raw: raw scores of the rows of each fold that was finished.
        losses: value of the metric on all rows up to each fold, signed so that less is better; empty without one.
        settled: configuration of the fit on all rows.
        fit_seconds: time of all fits.
        fold_seconds: the longest time of one fit.
        stopped: whether it was given up as a bad one.
        measured: bytes of the graph and µs a row.
        kept: the learner of the last fold, where it was asked for.
    """

    raw: list[Doubles]
    losses: tuple[float, ...]
    settled: Mapping[str, Any] = field(default_factory=dict)
    fit_seconds: float = 0.0
    fold_seconds: float = 0.0
    stopped: bool = False
    measured: tuple[int, float] | None = None
    kept: TableLearner | None = None


def address_of(learner: type[TableLearner]) -> str:
    """Where another process finds the class: `"package.module:Class"`."""
    return f"{learner.__module__}:{learner.__qualname__}"


def loaded_learner(address: str) -> type[TableLearner]:
    """The class at `address`, with its library imported.

    Raises:
        MissingExtraError: the library is not installed.
    """
    module, _, name = address.partition(":")
    if not module.startswith("lepton."):
        shared_process()
    kind: type[TableLearner] = getattr(importlib.import_module(module), name)
    kind.load()
    return kind


def warm_up(learners: Sequence[str], *, work: Work) -> None:
    """Import what learners need, so that the time of trials is their own; what is not installed is passed over.

    Args:
        learners: `address_of` their classes.
        work: ends it early.
    """
    for learner in learners:
        work.check()
        with contextlib.suppress(MissingExtraError):
            loaded_learner(learner)


def evaluate_trial(
    setting: Setting,
    learner: str,
    configuration: Mapping[str, Any],
    bars: Sequence[float] = (),
    keep_below: float = -np.inf,
    most: tuple[float, float] = (np.inf, np.inf),
    *,
    work: Work,
) -> Outcome:
    """Fit and score every fold; give up where the folds so far are worse than `bars`.

    Args:
        setting: of the search.
        learner: `address_of` its class.
        configuration: what to try.
        bars: losses up to each fold that others reached; empty to finish in any case.
        most: bytes and µs a row that the graph may have: a model beyond them is cut to what fits, if it can be.
        keep_below: the learner of the last fold is given back where the loss is below.
        work: threads, time, seed.

    Raises:
        Interrupted: the time was over before there was anything to score.
        TrainingError: raw scores are not finite.
    """
    kind = loaded_learner(learner)
    rows, folds = load_table(setting.folder, setting.number_names, setting.num_folds)
    learned = rows.to_learn(setting.problem)
    fitted: list[TableLearner] = []
    raw: list[Doubles] = []
    losses: list[float] = []
    seconds = []
    seed = Work(seed=setting.seed).seed_for(kind.name)
    for position, fold in enumerate(folds):
        work.check()
        start = time.monotonic()
        one = kind(setting.problem, configuration, seed)
        # A fit that the clock ends counts as stopped early: it is scored as it is.
        share = None if work.remaining is None else _FIT_SHARE * work.remaining / (len(folds) - position)
        one.fit(learned.take(fold.train), valid=learned.take(fold.valid), work=work.part(share))
        seconds.append(time.monotonic() - start)
        fitted.append(one)
        raw.append(one.raw(rows.block.take(fold.valid)))
        if not np.isfinite(raw[-1]).all():
            raise TrainingError(ErrorCode.TRAINING_FAILED, "gave scores that are not finite")
        if setting.metric is not None:
            losses.append(_loss(setting, setting.metric, rows, folds, raw))
        if position < min(len(bars), len(losses)) and position + 1 < len(folds) and not losses[-1] <= bars[position]:
            return Outcome([], tuple(losses), {}, sum(seconds), max(seconds), stopped=True)
        work.report(position + 1, len(folds), "folds")
    settled = kind.settled(configuration, fitted)
    # The fit that took longest has as many trees as the last one will have; others may have stopped earlier.
    largest = int(np.argmax(seconds))
    measured = setting.measured(fitted[largest].limited(settled))
    share = min(most[0] / measured[0], most[1] / measured[1])
    if share < 1.0 and (smaller := kind.smaller(settled, share)) is not None:
        settled = smaller
        measured = setting.measured(fitted[largest].limited(settled))
    fitted = [one.limited(settled) for one in fitted]
    raw = [one.raw(rows.block.take(fold.valid)) for one, fold in zip(fitted, folds, strict=True)]
    if not all(np.isfinite(part).all() for part in raw):
        raise TrainingError(ErrorCode.TRAINING_FAILED, "gave scores that are not finite")
    kept: TableLearner | None = fitted[-1]
    if setting.metric is not None:
        losses[-1] = _loss(setting, setting.metric, rows, folds, raw)
        kept = fitted[-1] if losses[-1] < keep_below else None
    return Outcome(raw, tuple(losses), settled, sum(seconds), max(seconds), measured=measured, kept=kept)


def _loss(setting: Setting, metric: str, rows: Rows, folds: Sequence[Fold], raw: Sequence[Doubles]) -> float:
    """The metric on all rows of the folds that `raw` is of, signed so that less is better; NaN where undefined."""
    scored = np.concatenate([folds[fold].valid for fold in range(len(raw))])
    scores, target = np.concatenate(raw), rows.target[scored]
    problem, scale = setting.problem, setting.scale
    measured_by = metric_named(metric, problem.task)
    given: NDArray[Any]
    truth: NDArray[Any]
    if problem.task == "regression":
        given, truth = numbers_of(scores, scale), target * scale.factor + scale.offset
    else:
        given, truth = probabilities_of(problem, scores), target.astype(np.int64)
        if measured_by.needs == "labels":
            given = decided(problem, given)
    weight = None if rows.weight is None else rows.weight[scored]
    if weight is not None and not weight.any():
        weight = None
    value = measured_by(truth, given, weight, labels=range(problem.num_classes))
    return -value if measured_by.greater_is_better else value


def fit_on_all(setting: Setting, learner: str, configuration: Mapping[str, Any], *, work: Work) -> TableLearner:
    """A learner with a settled configuration, fitted on all rows.

    Raises:
        Interrupted: the time was over before the end of the fit.
    """
    kind = loaded_learner(learner)
    rows, _ = load_table(setting.folder, setting.number_names, setting.num_folds)
    fitted = kind(setting.problem, configuration, Work(seed=setting.seed).seed_for(kind.name))
    fitted.fit(rows.to_learn(setting.problem), valid=None, work=work)
    if fitted.cut_short:
        raise Interrupted(ErrorCode.INTERRUPTED, "the last fit was not finished in the time")
    return fitted
