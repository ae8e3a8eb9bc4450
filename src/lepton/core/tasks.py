"""Tasks: what a model answers, and what its outputs are called, in order (contract 2)."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from lepton.core.errors import ErrorCode, UsageError

__all__ = ["OUTPUT_ORDER", "TASKS", "TaskRecord", "task_record"]

OUTPUT_ORDER = (
    "prediction",
    "probabilities",
    "lower",
    "upper",
    "set",
    "quantiles",
    "score",
    "cluster",
    "forecast",
    "embedding",
)
"""Names that a graph's outputs may have, in the order in which they stand."""


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task.

    Attributes:
        name: as the user says it.
        outputs: the graph's outputs, in order; none where they have names of their own.
        metric: default metric.
        supervised: whether there is a target.
    """

    name: str
    outputs: tuple[str, ...]
    metric: str
    supervised: bool = True

    @property
    def answer(self) -> str:
        """The output that `predict` gives; of a model of plain tensors, whose outputs are its own, ""."""
        return self.outputs[0] if self.outputs else ""

    @property
    def classifies(self) -> bool:
        """Whether answers are classes with probabilities."""
        return "probabilities" in self.outputs

    @property
    def several(self) -> bool:
        """Whether a row has several labels, each for itself."""
        return self.name == "multilabel"


TASKS = MappingProxyType(
    {
        task.name: task
        for task in (
            TaskRecord("regression", ("prediction",), "rmse"),
            TaskRecord("binary", ("prediction", "probabilities"), "log_loss"),
            TaskRecord("multiclass", ("prediction", "probabilities"), "log_loss"),
            TaskRecord("clustering", ("cluster",), "inertia", supervised=False),
            TaskRecord("anomaly", ("score",), "stability", supervised=False),
            TaskRecord("quantile", ("prediction", "quantiles"), "pinball"),
            TaskRecord("multilabel", ("prediction", "probabilities"), "log_loss"),
            TaskRecord("ranking", ("score",), "ndcg_10"),
            TaskRecord("forecast", ("forecast",), "mase"),
            TaskRecord("tensor", (), "", supervised=False),
        )
    }
)


def task_record(name: str) -> TaskRecord:
    """The task called `name`, or `UsageError`."""
    if name not in TASKS:
        raise UsageError(ErrorCode.USAGE, f"got the task {name!r}", wanted="one of " + ", ".join(TASKS))
    return TASKS[name]
