"""The metrics by name: what each needs, which way it points, and how it is computed.

All of them are ours, in numpy: the base install has no scikit-learn, and intervals need forms that score a thousand
weightings of the same rows at once. Tests hold them equal to scikit-learn's to 1e-12.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from lepton.core import DataError, ErrorCode, SchemaError, UsageError, task_record
from lepton.evaluation import classification, multilabel, quantiles, ranking, regression
from lepton.evaluation.classification import Floats, Labels, Score

__all__ = ["METRICS", "Metric", "metric", "metrics_of"]

Needs = Literal["labels", "probabilities", "numbers", "quantiles"]
Prepare = Callable[[Any, Any, Labels], Score]
MetricFunction = Callable[[Any, Any, Any, Labels], float]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    >>> from lepton.evaluation import METRICS
    >>> METRICS["accuracy"](["no", "yes", "yes"], ["no", "yes", "no"], labels=("no", "yes"))
    0.666...

    Attributes:
        name: as it is asked for.
        title: as it is shown.
        tasks: names of the tasks that it fits.
        needs: what it compares with the target: predicted `labels` [N], `probabilities` [N, C], `numbers` [N] or
            `quantiles` [N, Q]. Where a row has several labels, target and labels are [N, L].
        greater_is_better: which way is good.
        bounded: whether a loss in it is told in absolute terms (metrics in [0, 1] or [-1, 1], and R²) rather than
            relative to the value.
        function: `(y, answer, weight, labels) -> float`; weight is [N] of at least 0 or None; NaN means undefined.
            `labels` are the labels of classes, the shares of quantiles [Q], or the query of each row [N].
        undefined: when the value is NaN, in words.
        prepare: `(y, answer, labels) -> Score`, the form that scores many weightings of the rows at once; a metric
            without it is called once a weighting.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    needs: Needs
    greater_is_better: bool
    bounded: bool
    function: MetricFunction
    undefined: str = "the function gave no number"
    prepare: Callable[[Any, Any, Labels], Score] | None = None

    def __call__(self, y: Any, answer: Any, weight: Any = None, labels: Labels = ()) -> float:
        """The value for target `y` [N] and `answer` [N] or [N, C]; NaN where it is undefined.

        Raises:
            DataError: a label that is none of `labels`; weights below 0, not finite or not one a row.
            SchemaError: `y` and `answer` do not have the same rows.
        """
        return float(self.function(y, answer, None if weight is None else check_weight(weight, len(y)), labels))

    def over(self, y: Any, answer: Any, labels: Labels = ()) -> Score:
        """The metric as a function of weights [B, N] that gives B values."""
        if self.prepare is not None:
            return self.prepare(y, answer, labels)
        return lambda weights: np.array([float(self.function(y, answer, row, labels)) for row in weights])

    def better(self, first: float, second: float) -> bool:
        """Whether `first` is better than `second`."""
        return first > second if self.greater_is_better else first < second


def check_weight(weight: Any, num_rows: int) -> Floats:
    """Weights as float64 [N]; `DataError` unless there is one finite weight of at least 0 a row, one above 0."""
    array = np.asarray(weight, dtype=np.float64)
    if array.shape != (num_rows,):
        raise SchemaError(ErrorCode.WRONG_SHAPE, f"{array.size} weights for {num_rows} rows", wanted="one weight a row")
    bad = ~np.isfinite(array) | (array < 0)
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            ErrorCode.BAD_VALUE,
            f"the weight of row {row} is {array[row]:g}",
            wanted="weights that are finite and at least 0",
            details={"row": row, "num_bad": int(bad.sum())},
        )
    if num_rows and not array.any():
        raise DataError(ErrorCode.BAD_VALUE, "every weight is 0", wanted="at least one weight above 0")
    return array


def _builtin(
    name: str,
    title: str,
    tasks: tuple[str, ...],
    needs: Needs,
    prepare: Callable[[Any, Any, Labels], Score],
    *,
    greater: bool,
    bounded: bool,
    undefined: str = "there are no rows",
) -> Metric:
    def function(y: Any, answer: Any, weight: Any = None, labels: Labels = ()) -> float:
        if len(y) != len(answer):
            raise SchemaError(ErrorCode.WRONG_SHAPE, f"{len(answer)} answers for {len(y)} targets")
        rows = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
        return float(prepare(y, answer, labels)(rows[None, :])[0])

    return Metric(name, title, tasks, needs, greater, bounded, function, undefined, prepare)


def _by_shape(one: Prepare, many: Prepare) -> Prepare:
    """`one` for a label a row, `many` for several."""
    return lambda y, answer, labels: (many if np.ndim(y) == 2 else one)(y, answer, labels)


_CLASSES = ("binary", "multiclass")
_LABELS = (*_CLASSES, "multilabel")
_BINARY = ("binary",)
_NUMBER = ("regression",)
_C, _R, _M = classification, regression, multilabel
_ONE_CLASS = "the rows hold one class only"

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        each.name: each
        for each in (
            _builtin(
                "accuracy",
                "Accuracy",
                _LABELS,
                "labels",
                _by_shape(_C.accuracy, _M.exact),
                greater=True,
                bounded=True,
            ),
            _builtin(
                "balanced_accuracy",
                "Balanced accuracy",
                _CLASSES,
                "labels",
                _C.balanced_accuracy,
                greater=True,
                bounded=True,
            ),
            _builtin(
                "precision",
                "Precision",
                _BINARY,
                "labels",
                _C.precision,
                greater=True,
                bounded=True,
                undefined="no row was predicted positive",
            ),
            _builtin(
                "recall",
                "Recall",
                _BINARY,
                "labels",
                _C.recall,
                greater=True,
                bounded=True,
                undefined="no row is positive",
            ),
            _builtin(
                "f1",
                "F1",
                _BINARY,
                "labels",
                _C.f1,
                greater=True,
                bounded=True,
                undefined="no row is positive and none was predicted positive",
            ),
            _builtin(
                "f1_macro",
                "F1, mean over labels",
                _LABELS,
                "labels",
                _by_shape(_C.f1_macro, _M.f1_macro),
                greater=True,
                bounded=True,
            ),
            _builtin(
                "f1_micro",
                "F1, all labels together",
                ("multilabel",),
                "labels",
                _M.f1_micro,
                greater=True,
                bounded=True,
                undefined="no label holds and none was predicted",
            ),
            _builtin(
                "f1_weighted",
                "F1, weighted by label",
                _CLASSES,
                "labels",
                _C.f1_weighted,
                greater=True,
                bounded=True,
            ),
            _builtin(
                "matthews",
                "Matthews correlation",
                _CLASSES,
                "labels",
                _C.matthews,
                greater=True,
                bounded=True,
                undefined=_ONE_CLASS,
            ),
            _builtin(
                "roc_auc",
                "Area under the ROC curve",
                _CLASSES,
                "probabilities",
                _C.roc_auc,
                greater=True,
                bounded=True,
                undefined=_ONE_CLASS,
            ),
            _builtin(
                "average_precision",
                "Average precision",
                _CLASSES,
                "probabilities",
                _C.average_precision,
                greater=True,
                bounded=True,
                undefined="no row is positive",
            ),
            _builtin(
                "log_loss",
                "Log loss",
                _LABELS,
                "probabilities",
                _by_shape(_C.log_loss, _M.log_loss),
                greater=False,
                bounded=False,
            ),
            _builtin("brier", "Brier score", _CLASSES, "probabilities", _C.brier, greater=False, bounded=True),
            _builtin("rmse", "Root mean squared error", _NUMBER, "numbers", _R.rmse, greater=False, bounded=False),
            _builtin("mae", "Mean absolute error", _NUMBER, "numbers", _R.mae, greater=False, bounded=False),
            _builtin(
                "median_absolute_error",
                "Median absolute error",
                _NUMBER,
                "numbers",
                _R.median_absolute_error,
                greater=False,
                bounded=False,
            ),
            _builtin(
                "mape",
                "Mean absolute percentage error (as a share)",
                _NUMBER,
                "numbers",
                _R.mape,
                greater=False,
                bounded=False,
                undefined="every target is 0",
            ),
            _builtin("mse", "Mean squared error", _NUMBER, "numbers", _R.mse, greater=False, bounded=False),
            _builtin(
                "r2",
                "R²",
                _NUMBER,
                "numbers",
                _R.r2,
                greater=True,
                bounded=True,
                undefined="the target is the same in every row",
            ),
            _builtin(
                "pinball",
                "Pinball loss",
                ("quantile",),
                "quantiles",
                quantiles.pinball,
                greater=False,
                bounded=False,
            ),
            *(
                _builtin(
                    name,
                    title,
                    ("ranking",),
                    "numbers",
                    ranking.ndcg_at(most),
                    greater=True,
                    bounded=True,
                    undefined="no query has a relevant row",
                )
                for name, title, most in (
                    ("ndcg_10", "NDCG of the first 10", 10),
                    ("ndcg_5", "NDCG of the first 5", 5),
                    ("ndcg", "NDCG of all rows", None),
                )
            ),
        )
    }
)
"""Every built-in metric by name, in the order in which reports show them."""


def metrics_of(task: str) -> tuple[Metric, ...]:
    """The built-in metrics that fit `task`, its default first."""
    default = task_record(task).metric
    fitting = [each for each in METRICS.values() if task in each.tasks]
    return tuple(sorted(fitting, key=lambda each: each.name != default))


def metric(name: str | Metric | MetricFunction | None, task: str) -> Metric:
    """The metric called `name` for `task`.

    Args:
        name: a name of `METRICS`; a `Metric`; a function `(y, answer, weight, labels) -> float`, which is given
            labels (or numbers) and taken as greater-is-better; None for the task's default.
        task: name of the task.

    Raises:
        UsageError: no such metric, with the closest name and those that fit, or one for another task.
    """
    default = task_record(task)
    if default.metric not in METRICS:
        raise UsageError(
            ErrorCode.USAGE, f"got a model for {task}", wanted="a model whose answers have a truth, row by row"
        )
    if name is None:
        return METRICS[default.metric]
    fitting = ", ".join(each.name for each in metrics_of(task))
    if callable(name) and not isinstance(name, Metric):
        needs: Needs = "labels" if default.classifies else "numbers"
        label = getattr(name, "__name__", type(name).__name__)
        return Metric(label, label, (task,), needs, True, False, name)
    found = name if isinstance(name, Metric) else METRICS.get(name)
    if found is None:
        close = difflib.get_close_matches(str(name), METRICS, n=1)
        raise UsageError(
            ErrorCode.USAGE,
            f"there is no metric {name!r}",
            wanted=f"for {task}, one of {fitting}",
            fix=f"did you mean {close[0]!r}?" if close else "",
        )
    if task not in found.tasks:
        raise UsageError(
            ErrorCode.USAGE,
            f"the metric {found.name!r} does not fit the task {task!r} (it is for {', '.join(found.tasks)})",
            wanted=f"one of {fitting}",
        )
    return found
