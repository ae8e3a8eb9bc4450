"""What a user asks of a model beyond its metric: weights of classes, costs of mistakes, directions of columns."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, Kind, UsageError
from lepton.evaluation import Costs, Metric, cost_matrix
from lepton.training.answers import decided
from lepton.training.base import LEARNERS, Doubles, Problem, TableLearner
from lepton.training.conformal import check_coverage
from lepton.training.further import FURTHER, QUANTILES, check_quantiles
from lepton.training.prepared import PreparedTable
from lepton.training.tasks import Target

__all__ = ["BALANCED", "Options", "by_labels", "class_weights", "cost_notes"]

BALANCED = "balanced"
_MOST_NAMED = 10

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Options:
    """What is asked of a model.

    Attributes:
        class_weight: `balanced`, or label → how much more its rows count in learning than those of others; labels that
            are not named weigh 1. None for rows as they are.
        costs: what it costs to call a row of one class another: `{"false_positive": 1, "false_negative": 5}` for two
            classes; truth → call → cost, where mistakes that are not named cost 1 and right answers 0; or a matrix
            with a row for each true label and a column for each call, in the order of the labels. None for the class
            that is most probable.
        monotone: number column → 1 where the answer must not fall as it grows, -1 where it must not rise.
        learners: names of the learners to try, beside the baseline; None for all that are offered.
        keep_rows: whether the model file may hold rows of the table, as nearest neighbours need them.
        coverage: share of rows whose truth an interval, or for classes a set of labels, is to hold; None for neither.
        quantiles: for the task quantile, the shares to learn; None for `QUANTILES`.
    """

    class_weight: str | Mapping[Any, Any] | None = None
    costs: Costs | Mapping[Any, Mapping[Any, float]] | None = None
    monotone: Mapping[str, int] | None = None
    learners: Sequence[str] | None = None
    keep_rows: bool | None = None
    coverage: float | None = None
    quantiles: Sequence[float] | None = None

    def __bool__(self) -> bool:
        """Whether anything is asked."""
        named = (self.class_weight, self.costs, self.learners, self.coverage, self.quantiles)
        return bool(self.monotone or self.keep_rows) or any(each is not None for each in named)

    @property
    def metric(self) -> str | None:
        """What to choose by where nobody says: with weights of classes probabilities are those of weighted classes."""
        return None if self.class_weight is None else "roc_auc"

    def applied(self, table: PreparedTable) -> PreparedTable:
        """The table with what is asked in its problem, and notes that say what it means.

        Raises:
            UsageError: options that do not fit the task, the labels or each other.
            DataError: a direction for a column that is not there, or is no number.
        """
        if self.class_weight is not None and self.costs is not None:
            raise UsageError(
                ErrorCode.USAGE,
                "got class_weight and costs",
                wanted="one of them: each says which mistakes are dear",
                fix="give costs alone: they are decided by, and probabilities stay true",
            )
        problem, notes = table.problem, []
        if problem.task in FURTHER:
            return self._further(table)
        if self.quantiles is not None:
            raise _unfit("quantiles", self.quantiles, problem.task, wanted="task='quantile'")
        if self.class_weight is not None:
            weights, note = class_weights(self.class_weight, table.target, table.rows.weight)
            problem = replace(problem, class_weights=weights)
            notes.append(note)
        if self.costs is not None:
            problem = replace(problem, costs=self._cost_matrix(self.costs, table))
            notes.append("the label is the one whose expected cost is least, by the probabilities; it is in the graph")
        if self.monotone:
            problem = replace(problem, monotone=self._directions(self.monotone, table))
            notes.append(_said(self.monotone))
        problem = replace(problem, keep_rows=bool(self.keep_rows))
        if self.learners is not None:
            problem = replace(problem, learners=_learners(self.learners, problem))
        if self.coverage is not None:
            problem = replace(problem, coverage=check_coverage(self.coverage, problem.task, problem.num_rows))
        return replace(table, problem=problem, notes=(*table.notes, *notes))

    def _further(self, table: PreparedTable) -> PreparedTable:
        """What the tasks of `FURTHER` take of it."""
        task = table.problem.task
        for each in fields(self):
            if (value := getattr(self, each.name)) is not None and each.name != "quantiles":
                raise _unfit(each.name, value, task, wanted="regression, binary or multiclass")
        if task != "quantile":
            if self.quantiles is not None:
                raise _unfit("quantiles", self.quantiles, task, wanted="task='quantile'")
            return table
        shares = check_quantiles(QUANTILES if self.quantiles is None else self.quantiles)
        return replace(table, problem=replace(table.problem, quantiles=shares))

    def _cost_matrix(self, asked: Any, table: PreparedTable) -> Matrix:
        labels = table.target.labels
        if labels is None:
            raise _unfit("costs", asked, table.problem.task)
        if isinstance(asked, Mapping) and any(isinstance(costs, Mapping) for costs in asked.values()):
            matrix = 1.0 - np.eye(len(labels))
            for truth, costs in asked.items():
                row = labels.index(_label(truth, labels, "costs"))
                if not isinstance(costs, Mapping):
                    raise UsageError(
                        ErrorCode.USAGE, f"got costs {costs!r} of the label {truth!r}", wanted="call → cost"
                    )
                for call, cost in costs.items():
                    column = labels.index(_label(call, labels, "costs"))
                    matrix[row, column] = cost if _is_number(cost) else math.nan
        elif len(labels) == 2:
            matrix = cost_matrix(asked)
        else:
            matrix = _numbers(asked)
        _check_costs(matrix, labels, asked)
        return tuple(tuple(row) for row in matrix.tolist())

    def _directions(self, asked: Mapping[str, int], table: PreparedTable) -> tuple[tuple[str, int], ...]:
        if table.problem.task == "multiclass":
            raise _unfit("monotone", dict(asked), table.problem.task, wanted="a number, or two classes")
        columns = {column.name: column for column in table.inputs.columns}
        for name, direction in asked.items():
            if direction not in (1, -1) or isinstance(direction, bool):
                raise UsageError(
                    ErrorCode.USAGE,
                    f"got the direction {direction!r} for the column {name!r}",
                    wanted="1 (the answer does not fall as it grows) or -1 (it does not rise)",
                )
            if name not in columns:
                reason = table.features.ignored.get(name, "")
                close = difflib.get_close_matches(name, columns, n=1)
                raise DataError(
                    ErrorCode.UNKNOWN_COLUMN,
                    f"monotone names {name!r}, which is not learned from" + (f": {reason}" if reason else ""),
                    wanted="a number column of the table",
                    fix=f"did you mean {close[0]!r}?" if close else "",
                )
            if columns[name].kind not in {Kind.NUMBER, Kind.BOOLEAN}:
                raise DataError(
                    ErrorCode.WRONG_KIND,
                    f"monotone names {name!r}, which is of kind {columns[name].kind}",
                    wanted="a number or boolean: other kinds have no order in which an answer could rise",
                )
        return tuple(sorted((name, int(direction)) for name, direction in asked.items()))


def cost_notes(table: PreparedTable, rows: NDArray[np.int64], answers: Doubles) -> tuple[str, ...]:
    """What a row costs on average by the cheapest label, and by the most probable one, for people; () without costs.

    Args:
        table: what was learned from.
        rows: positions of the rows [M].
        answers: probabilities of them [M, C], of a model that did not learn from them.
    """
    if not table.problem.costs:
        return ()
    matrix = np.array(table.problem.costs)
    truth = table.target.values[rows].astype(np.int64)
    weight = None if table.rows.weight is None else table.rows.weight[rows]
    weight = weight if weight is not None and weight.any() else None
    cheapest = np.average(matrix[truth, decided(table.problem, answers)], weights=weight)
    likeliest = np.average(matrix[truth, answers.argmax(axis=1)], weights=weight)
    return (f"a row out of fold costs {cheapest:.4g} on average; were the most probable class called, {likeliest:.4g}",)


def by_labels(metric: Metric, labels: tuple[str, ...] | tuple[int, ...] | None) -> Metric:
    """A metric of the caller's own as training asks it: by numbers of classes, where it sees labels."""
    if metric.prepare is not None or labels is None:
        return metric
    names = np.array(labels, dtype=object)

    def function(y: Any, answer: Any, weight: Any, _: Any) -> float:
        return metric.function(names[y], answer if metric.needs == "probabilities" else names[answer], weight, labels)

    return replace(metric, function=function)


def _learners(asked: Sequence[str], problem: Problem) -> tuple[str, ...]:
    """The names that are asked for, each of a learner that can do what is asked."""
    names = tuple(dict.fromkeys([asked] if isinstance(asked, str) else asked))
    if not names:
        known = ", ".join(LEARNERS.names())
        raise UsageError(ErrorCode.USAGE, f"got learners={asked!r}", wanted=f"at least one of {known}")
    for name in names:
        learner: type[TableLearner] = LEARNERS.load(name)
        if learner.keeps_rows and not problem.keep_rows:
            raise UsageError(
                ErrorCode.USAGE,
                f"got the learner {name!r} without leave to keep rows",
                wanted="keep_rows=True (--keep-rows): its model is rows of the table, readable in the file",
                fix="allow it where those who get the file may see the rows, or take another learner",
            )
        if problem.monotone and not learner.keeps_directions:
            raise UsageError(ErrorCode.USAGE, f"got the learner {name!r} with monotone", wanted="one that keeps to it")
        if problem.task not in learner.tasks or not learner.configurations(problem):
            classes = f" of {problem.num_classes} classes" if problem.num_classes else ""
            raise UsageError(
                ErrorCode.USAGE, f"got the learner {name!r} for the task {problem.task!r}{classes}", wanted="another"
            )
        learner.load()  # what is not installed is said now
    return names


def class_weights(
    asked: str | Mapping[Any, Any], target: Target, weight: NDArray[Any] | None
) -> tuple[tuple[float, ...], str]:
    """How much the rows of each class count, in the order of the labels, and a note that says so.

    Args:
        asked: see `Options`.
        target: what is learned.
        weight: of the rows [N], or None.

    Raises:
        UsageError: the target has no classes, no such label, or no such weight.
    """
    labels = target.labels
    if labels is None or target.task == "multilabel":
        raise _unfit("class_weight", asked, target.task)
    if isinstance(asked, str):
        if asked != BALANCED:
            raise UsageError(ErrorCode.USAGE, f"got class_weight={asked!r}", wanted='"balanced", or a weight by label')
        counts = np.bincount(target.values.astype(np.int64), weights=weight, minlength=len(labels))
        found = tuple(float(counts.sum() / (len(labels) * count)) if count else 1.0 for count in counts)
    else:
        named = dict.fromkeys(labels, 1.0)
        for name, factor in asked.items():
            label = _label(name, labels, "class_weight")
            if not _is_number(factor) or not 0.0 < factor < math.inf:
                raise UsageError(
                    ErrorCode.USAGE,
                    f"got class_weight {factor!r} for the label {name!r}",
                    wanted="a finite number above 0",
                    fix="leave out rows of classes that shall not count",
                )
            named[label] = float(factor)
        found = tuple(named.values())
    note = (
        f"rows count by class in learning ({_shown(dict(zip(labels, found, strict=True)))}): probabilities"
        " are those of classes weighted so; scores are of rows as they are"
    )
    return found, note


def _label(name: Any, labels: tuple[str, ...] | tuple[int, ...], where: str) -> Any:
    """The label that a user means: `True` and `1` are asked for as `"true"` and `"1"` too."""
    text = str(name).lower() if isinstance(name, bool) else str(name)
    for label in labels:
        if str(label) == text:
            return label
    close = difflib.get_close_matches(text, [str(label) for label in labels], n=1)
    shown = ", ".join(repr(label) for label in labels[:_MOST_NAMED]) + (", …" if len(labels) > _MOST_NAMED else "")
    raise UsageError(
        ErrorCode.USAGE,
        f"{where} names the label {name!r}",
        wanted=f"a label of the target: {shown}",
        fix=f"did you mean {close[0]!r}?" if close else "",
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(asked: Any) -> Doubles:
    try:
        return np.asarray(asked, dtype=np.float64)
    except (TypeError, ValueError):
        return np.empty(0)


def _check_costs(matrix: Doubles, labels: tuple[Any, ...], asked: Any) -> None:
    if matrix.shape != (len(labels), len(labels)) or not np.isfinite(matrix).all():
        raise UsageError(
            ErrorCode.USAGE,
            f"got costs={str(asked)[:200]}",
            wanted=f"finite numbers: truth → call → cost, or a matrix of {len(labels)} rows and columns, one a label",
        )
    cheap = np.argwhere((matrix <= np.diag(matrix)[:, None]) & ~np.eye(len(labels), dtype=bool))
    if len(cheap):
        truth, call = (labels[position] for position in cheap[0])
        raise UsageError(
            ErrorCode.USAGE,
            f"got costs in which calling {truth!r} {call!r} costs no more than the right answer",
            wanted="mistakes that are dearer than the right answer",
        )


def _unfit(name: str, asked: Any, task: str, wanted: str = "a target of classes") -> UsageError:
    return UsageError(ErrorCode.USAGE, f"got {name}={asked!r} for the task {task!r}", wanted=wanted)


def _shown(weights: Mapping[Any, float]) -> str:
    shown = [f"{label!r} {weight:.3g}" for label, weight in list(weights.items())[:_MOST_NAMED]]
    return ", ".join(shown) + (", …" if len(weights) > _MOST_NAMED else "")


def _said(asked: Mapping[str, int]) -> str:
    rising = [name for name, direction in asked.items() if direction == 1]
    falling = [name for name, direction in asked.items() if direction == -1]
    parts = [f"does not fall as {', '.join(rising)} grows"] if rising else []
    parts += [f"does not rise as {', '.join(falling)} grows"] if falling else []
    learners = {name: LEARNERS.load(name) for name in LEARNERS.names()}
    unable = [name for name, each in learners.items() if not each.keeps_directions and "binary" in each.tasks]
    return f"the answer {' and '.join(parts)}; learners that cannot keep to that are left out: {', '.join(unable)}"
