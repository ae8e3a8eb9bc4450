"""Columns that a model does not need: found by shuffling them, left out where the score is no worse without."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lepton.core import ErrorCode, Interrupted, UsageError, Work, show_duration
from lepton.data import Dataset
from lepton.data.steps import Block
from lepton.evaluation import Metric, metric as metric_named
from lepton.training.answers import decided, numbers_of, probabilities_of
from lepton.training.base import LEARNERS, Doubles, Rows, TableLearner
from lepton.training.folds import Fold
from lepton.training.further import FURTHER
from lepton.training.options import Options, by_labels
from lepton.training.prepared import PreparedTable, folds_of, prepare_table

__all__ = ["Selection", "select_features"]

_LEARNER = "lightgbm"
_FOLDS = 3
_ROUNDS = 150  # of small trees that see some of the columns each: such learn little noise
_SHUFFLES = 3  # of a column, a fold
_SHUFFLED_ROWS = 2_000  # of a fold
_SURE = 1.0  # standard errors that a column must be above 0 to be needed
_SHARE = 0.2  # of the time that is left
_SHOWN = 20


@dataclass(frozen=True)
class Selection:
    """What a quick model says of the columns.

    Attributes:
        table: with the role `ignored` for what is left out.
        left_out: names, the least important first.
        importance: column → how much worse the quick model is where its values are shuffled.
        before: the score of the quick model with all columns, out of fold.
        after: the score without; equal to `before` where nothing is left out.
        notes: for people.
    """

    table: Dataset
    left_out: tuple[str, ...]
    importance: dict[str, float]
    before: float
    after: float
    notes: tuple[str, ...]


def select_features(
    dataset: Dataset,
    *,
    target: str,
    task: str | None = None,
    metric: str | Metric | Callable[..., float] | None = None,
    options: Options | None = None,
    work: Work | None = None,
) -> Selection:
    """Look which columns small boosted trees do not need, and leave them out if the score allows.

    A column whose shuffling costs no more than chance does is not needed by itself; several such may stand for each
    other. So the score is looked at without all of them, without the less important half and without the least
    important quarter, on other folds than those that were shuffled; the first set without which it is no worse is left
    out. Columns with a direction stay.

    Args:
        dataset: the table, with its roles.
        target: column to predict.
        task: `regression`, `binary` or `multiclass`; None for what the target means.
        metric: as of `train`.
        options: as of `train`.
        work: threads, seed and time, of which at most a fifth of what is left is used.

    Raises:
        DataError: the table or target cannot be learned from.
        UsageError: another task.
    """
    if task in FURTHER:
        raise UsageError(
            ErrorCode.USAGE,
            f"got select_features for the task {task!r}",
            wanted="regression, binary or multiclass",
            fix="choose the columns by hand: with_roles({'NAME': 'ignored'})",
        )
    work = Work.of(work)
    options = options or Options()
    table = options.applied(prepare_table(dataset, target, task, work))
    chosen = by_labels(metric_named(metric or options.metric, table.problem.task), table.target.labels)
    part = work.part(None if work.remaining is None else _SHARE * work.remaining)
    judge = _Judge(table, chosen, part)
    means: dict[str, float] = {}
    before = math.nan
    try:
        folds = judge.folds("shuffled folds")
        importance = judge.importance(folds, judge.fitted(folds, ())[1])
        means = {name: float(deltas.mean()) for name, deltas in importance.items()}
        unneeded = judge.unneeded(importance, keep=dict(table.problem.monotone))
        why = "without those that seem to be of no use the score is worse" if unneeded else "all are needed"
        # Chance that made a column look useless is not asked again.
        folds = judge.folds("other folds")
        before, _ = judge.fitted(folds, ())
        for size in filter(None, dict.fromkeys((len(unneeded), len(unneeded) // 2, len(unneeded) // 4))):
            left_out = unneeded[:size]
            after, _ = judge.fitted(folds, left_out)
            if after <= before:
                ignored = dataset.with_roles(dict.fromkeys(left_out, "ignored"))
                scores = judge.score(before), judge.score(after)
                return Selection(ignored, left_out, means, *scores, (_told(left_out, chosen.name, *scores),))
    except Interrupted:
        work.check()  # the whole time may be over, or the user may have had enough
        why = f"a fifth of the time was not enough to look ({show_duration(part.elapsed)})"
    score = judge.score(before)
    return Selection(dataset, (), means, score, score, (f"no column was left out: {why}",))


class _Judge:
    """Fits the quick model on every fold, with and without columns."""

    def __init__(self, table: PreparedTable, metric: Metric, work: Work) -> None:
        self._table, self._metric, self._work = table, metric, work
        self._kind: type[TableLearner] = LEARNERS.load(_LEARNER)
        self._kind.load()

    def folds(self, name: str) -> tuple[Fold, ...]:
        """Folds of their own for each name, but where time or few groups leave no choice."""
        return folds_of(self._table, Work(seed=self._work.seed_for(name) % 2**31))[0][-_FOLDS:]

    def fitted(self, folds: Sequence[Fold], without: Sequence[str]) -> tuple[float, list[TableLearner]]:
        """The loss on all scored rows of a model without some columns, and its fits."""
        table, rows = self._table, self._table.rows
        problem = table.problem
        gone = set(without)
        problem = replace(
            problem,
            dates=_others(problem.dates, gone),
            categories=_others(problem.categories, gone),
            texts=_others(problem.texts, gone),
            many_valued=_others(problem.many_valued, gone),
        )
        rows = Rows(_without(rows.block, gone), rows.target, rows.weight)
        configuration = {**self._kind.configurations(problem)[1], "max_rounds": _ROUNDS, "patience": None}
        learned, fits, raw = rows.to_learn(problem), [], []
        for fold in folds:
            learner = self._kind(problem, configuration, self._work.seed_for("selection"))
            fits.append(learner.fit(learned.take(fold.train), valid=learned.take(fold.valid), work=self._work))
            if learner.cut_short:
                self._work.check()
            raw.append(learner.raw(rows.block.take(fold.valid)))
        scored = np.concatenate([fold.valid for fold in folds])
        return self._loss(np.concatenate(raw), scored), fits

    def importance(self, folds: Sequence[Fold], fits: Sequence[TableLearner]) -> dict[str, Doubles]:
        """How much worse each fold is where the values of a column are shuffled, for each column and shuffle."""
        generator = np.random.default_rng(self._work.seed_for("shuffles"))
        block = self._table.rows.block
        found: dict[str, list[float]] = {name: [] for name in (*block.number_names, *block.string_names)}
        for fold, learner in zip(folds, fits, strict=True):
            rows = fold.valid
            if len(rows) > _SHUFFLED_ROWS:
                rows = np.sort(generator.choice(rows, _SHUFFLED_ROWS, replace=False))
            part = block.take(rows)
            plain = self._loss(learner.raw(part), rows)
            for name, deltas in found.items():
                for _ in range(_SHUFFLES):
                    self._work.check()
                    order = generator.permutation(len(rows))
                    deltas.append(self._loss(learner.raw(_shuffled(part, name, order)), rows) - plain)
        return {name: np.array(deltas) for name, deltas in found.items()}

    def unneeded(self, importance: dict[str, Doubles], keep: dict[str, int]) -> tuple[str, ...]:
        """The columns that are not above chance, the least important first; never all of them."""
        found = {}
        for name, deltas in importance.items():
            mean = float(deltas.mean())
            if name not in keep and mean <= _SURE * float(deltas.std(ddof=1)) / np.sqrt(len(deltas)):
                found[name] = mean
        ordered = sorted(found, key=lambda name: found[name])
        return tuple(ordered[: len(importance) - 1])

    def score(self, loss: float) -> float:
        """The metric, as it is told."""
        return -loss if self._metric.greater_is_better else loss

    def _loss(self, raw: Doubles, rows: Any) -> float:
        table, problem = self._table, self._table.problem
        answers = numbers_of(raw, table.scale) if table.target.labels is None else probabilities_of(problem, raw)
        given = decided(problem, answers) if self._metric.needs == "labels" else answers
        truth = table.target.values[rows]
        truth = truth if table.target.labels is None else truth.astype(np.int64)
        weight = None if table.rows.weight is None else table.rows.weight[rows]
        weight = weight if weight is not None and weight.any() else None
        value = self._metric(truth, given, weight, labels=range(problem.num_classes))
        return -value if self._metric.greater_is_better else value


def _others(names: tuple[str, ...], gone: set[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in gone)


def _without(block: Block, gone: set[str]) -> Block:
    kept = _others(block.number_names, gone)
    return Block(block.columns(kept), kept, block.strings.select(_others(block.string_names, gone)))


def _shuffled(block: Block, name: str, order: Any) -> Block:
    if name in block.string_names:
        shuffled = block.strings[name].gather(order)
        return Block(block.numbers.copy(), block.number_names, block.strings.with_columns(shuffled))
    numbers = block.numbers.copy()
    place = block.number_names.index(name)
    numbers[:, place] = numbers[order, place]
    return Block(numbers, block.number_names, block.strings)


def _told(left_out: Sequence[str], metric: str, before: float, after: float) -> str:
    shown = ", ".join(left_out[:_SHOWN]) + (f" and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else "")
    return (
        f"left out {len(left_out)} columns that boosted trees do not need: {shown}; out of fold their {metric} is"
        f" {before:.5g} with them and {after:.5g} without"
    )
