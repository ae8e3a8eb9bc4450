"""The model that every other must beat: the mean of a number, the shares of the classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from lepton.bundle import GraphBuilder
from lepton.core import Work
from lepton.data.steps import Block, Tensors, emit_steps
from lepton.training.base import Doubles, Problem, Rows, TableLearner
from lepton.training.features import plain_steps

__all__ = ["Baseline"]

_LEAST_SHARE = 1e-9
_LABELS = {
    "regression": "mean",
    "quantile": "quantiles",
    "multilabel": "share of each label",
    "ranking": "all alike",
}


class Baseline(TableLearner):
    """Answers the same for every row."""

    name = "baseline"
    keeps_directions = True
    tasks = (*TableLearner.tasks, "quantile", "multilabel", "ranking")

    @classmethod
    def configurations(cls, problem: Problem) -> tuple[Mapping[str, Any], ...]:
        """One."""
        return ({"label": _LABELS.get(problem.task, "share of each class")},)

    def fit(self, rows: Rows, *, valid: Rows | None, work: Work) -> Self:
        """Learn the weighted mean, or the log of the weighted shares."""
        self.steps, _ = plain_steps(self.problem, rows.block.take(np.arange(min(rows.block.num_rows, 1000))))
        if self.problem.task in {"regression", "ranking"}:
            self._scores = np.array([[np.average(rows.target, weights=_usable(rows.weight))]])
            return self
        if self.problem.task == "quantile":
            self._scores = np.quantile(rows.target, self.problem.quantiles)[None, :]
            return self
        if self.problem.task == "multilabel":
            shares = np.average(rows.target, axis=0, weights=_usable(rows.weight))
            held = np.clip(shares, _LEAST_SHARE, 1.0 - _LEAST_SHARE)
            self._scores = np.log(held / (1.0 - held))[None, :]
            return self
        counts = np.bincount(rows.target.astype(np.int64), weights=rows.weight, minlength=self.problem.num_classes)
        logs = np.log(np.maximum(counts / max(counts.sum(), _LEAST_SHARE), _LEAST_SHARE))
        self._scores = (logs[1:] - logs[:1] if self.problem.task == "binary" else logs)[None, :]
        return self

    def raw(self, block: Block) -> Doubles:
        """The same scores for each row."""
        return np.repeat(self._scores, block.num_rows, axis=0)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        """`Expand` the scores to as many rows as there are features."""
        features = emit_steps(self.steps, builder, tensors).numbers
        features = builder.mark("features", str(features))
        num_rows = builder.node("Shape", [features], start=0, end=1)
        width = builder.constant(np.array([self._scores.shape[1]]))
        shape = builder.node("Concat", [num_rows, width], axis=0)
        return builder.mark("raw", builder.node("Expand", [builder.constant(self._scores), shape]))


def _usable(weight: Doubles | None) -> Doubles | None:
    return weight if weight is not None and weight.sum() > 0 else None
