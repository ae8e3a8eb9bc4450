"""Nearest neighbours: the answer of the rows that are most alike, which the model therefore holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import Work
from lepton.data.steps import Block, Tensors, apply_steps, emit_steps
from lepton.training.base import Doubles, Problem, Rows, TableLearner
from lepton.training.features import linear_steps
from lepton.training.spaces import Dimension, Whole

__all__ = ["Neighbours"]

_MAX_ROWS = 10_000  # that are kept
_MAX_CELLS = 2_000_000
_MAX_CLASSES = 100
_GRID = 1024.0  # features are whole multiples of its inverse …
_REACH = 8.0  # … and at most so many standard deviations from the mean: see `_gridded`
_ROWS_AT_ONCE = 256
_KEPT_AT_ONCE = 1_000  # in the graph: more memory than that times the rows that are asked for is never used
_LEAST_SHARE = 1e-9
_INT64, _DOUBLE = 7, 11  # onnx.TensorProto


class Neighbours(TableLearner):
    """The mean of the nearest rows, of which nearer ones count more: nothing at the distance of the next after them.

    Distances are between filled, clipped and standardised numbers and indicators of categories. To the shares of
    classes one more neighbour is added that answers as all rows do.
    """

    name = "neighbours"
    keeps_rows = True

    @classmethod
    def configurations(cls, problem: Problem) -> tuple[Mapping[str, Any], ...]:
        """Some, and more."""
        if problem.task not in {"regression", "binary", "multiclass"} or problem.num_classes > _MAX_CLASSES:
            return ()
        return ({"label": "10 neighbours", "num_neighbours": 10}, {"label": "40 neighbours", "num_neighbours": 40})

    @classmethod
    def space(cls, problem: Problem) -> Mapping[str, Dimension]:
        """How many."""
        return {"num_neighbours": Whole(1, 100, 10, log=True)} if cls.configurations(problem) else {}

    def fit(self, rows: Rows, *, valid: Rows | None, work: Work) -> Self:
        """Keep at most 10,000 of the rows that count, fewer where there are many columns, drawn by the seed."""
        work.check()
        weight = np.ones(rows.block.num_rows) if rows.weight is None else rows.weight
        rows = rows.take(np.flatnonzero(weight > 0)) if (weight > 0).any() else rows
        self.steps, block = linear_steps(self.problem, rows.block)
        limit = max(1, min(_MAX_ROWS, _MAX_CELLS // max(1, block.numbers.shape[1])))
        self._overall = self._shares(rows.target, rows.weight)
        kept = np.arange(block.num_rows)
        if len(kept) > limit:
            kept = np.sort(np.random.default_rng(self.seed).choice(len(kept), limit, replace=False))
        work.check()
        self._kept = _gridded(block.numbers[kept])
        self._targets = rows.target[kept]
        given = None if rows.weight is None else rows.weight[kept]
        self._weight = np.ones(len(kept)) if given is None or not given.any() else given / given.mean()
        return self

    def _shares(self, target: Doubles, weight: Doubles | None) -> Doubles:
        """Shares of the classes among all rows [C]; [0] for numbers."""
        if self.problem.task == "regression":
            return np.zeros(1)
        counts = np.bincount(target.astype(np.int64), weights=weight, minlength=self.problem.num_classes)
        shares: Doubles = np.maximum(counts / max(counts.sum(), _LEAST_SHARE), _LEAST_SHARE)
        return shares

    @property
    def num_kept_rows(self) -> int:
        """Rows of the table that the model holds."""
        return len(self._kept)

    @property
    def _num_found(self) -> int:
        """Rows that are looked for: the neighbours, and the next one, whose distance is the measure of theirs."""
        return min(int(self.configuration["num_neighbours"]) + 1, len(self._kept))

    def raw(self, block: Block) -> Doubles:
        """The weighted mean of the neighbours; for classes the logarithms of their shares."""
        asked = _gridded(apply_steps(self.steps, block).numbers)
        parts = [self._raw(asked[first : first + _ROWS_AT_ONCE]) for first in range(0, len(asked), _ROWS_AT_ONCE)]
        return np.concatenate([np.empty((0, self.problem.num_scores)), *parts])

    def _raw(self, asked: Doubles) -> Doubles:
        distances = _squares(asked)[:, None] - 2.0 * (asked @ self._kept.T) + _squares(self._kept)
        found = _nearest(distances, self._num_found)
        near = np.take_along_axis(distances, found, axis=1)
        share = (1.0 - near / (near[:, -1:] + 1e-3)) * self._weight[found]
        targets = self._targets[found]
        if self.problem.task == "regression":
            return np.asarray((share * targets).sum(axis=1, keepdims=True) / share.sum(axis=1, keepdims=True))
        members = targets[:, :, None] == np.arange(self.problem.num_classes)
        sums = (share[:, :, None] * members).sum(axis=1) + self._overall
        logs: Doubles = np.log(sums)
        return logs[:, 1:] - logs[:, :1] if self.problem.task == "binary" else logs

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        """The nearest of each thousand kept rows, then the nearest of those: small matrices, one after the other."""
        features = builder.mark("features", str(emit_steps(self.steps, builder, tensors).numbers))
        held = builder.node("Clip", [features, builder.constant(-_REACH), builder.constant(_REACH)])
        steps = builder.node("Round", [builder.node("Mul", [held, builder.constant(_GRID)])])
        asked = builder.node("Div", [steps, builder.constant(_GRID)])
        own = builder.node("ReduceSum", [builder.node("Mul", [asked, asked]), builder.constant(np.array([1]))])
        twice = builder.node("Mul", [asked, builder.constant(-2.0)])
        parts = [self._emit_part(builder, twice, first) for first in range(0, len(self._kept), _KEPT_AT_ONCE)]
        near, found = parts[0]
        if len(parts) > 1:
            all_near = builder.node("Concat", [part[0] for part in parts], axis=1)
            all_found = builder.node("Concat", [part[1] for part in parts], axis=1)
            near, places = self._smallest(builder, all_near, self._num_found)
            found = builder.node("GatherElements", [all_found, places], axis=1)
        return self._emit_mean(builder, builder.node("Add", [near, own]), found)

    def _emit_part(self, builder: GraphBuilder, twice: str, first: int) -> tuple[str, str]:
        """Distances, up to what a row has by itself, of the nearest of some kept rows, and which they are."""
        kept = self._kept[first : first + _KEPT_AT_ONCE]
        whole = builder.constant((kept * _GRID).astype(np.int16))
        doubles = builder.node("Div", [builder.node("Cast", [whole], to=_DOUBLE), builder.constant(_GRID)])
        products = builder.node("MatMul", [twice, builder.node("Transpose", [doubles], perm=[1, 0])])
        distances = builder.node("Add", [products, builder.constant(_squares(kept)[None, :])])
        near, found = self._smallest(builder, distances, min(self._num_found, len(kept)))
        return near, builder.node("Add", [found, builder.constant(np.array([first]))])

    def _smallest(self, builder: GraphBuilder, values: str, number: int) -> tuple[str, str]:
        near, found = builder.node(
            "TopK", [values, builder.constant(np.array([number]))], outputs=2, axis=1, largest=0, sorted=1
        )
        return near, found

    def _emit_mean(self, builder: GraphBuilder, near: str, found: str) -> str:
        last = builder.node("Gather", [near, builder.constant(np.array([self._num_found - 1]))], axis=1)
        relative = builder.node("Div", [near, builder.node("Add", [last, builder.constant(1e-3)])])
        weight = builder.node("Gather", [builder.constant(self._weight), found])
        share = builder.node("Mul", [builder.node("Sub", [builder.constant(1.0), relative]), weight])
        along = builder.constant(np.array([1]))
        targets = builder.node("Gather", [builder.constant(self._targets), found])
        if self.problem.task == "regression":
            sums = builder.node("ReduceSum", [builder.node("Mul", [share, targets]), along])
            return builder.mark("raw", builder.node("Div", [sums, builder.node("ReduceSum", [share, along])]))
        last_axis = builder.constant(np.array([2]))
        classes = builder.constant(np.arange(self.problem.num_classes, dtype=np.float64))
        members = builder.node("Equal", [builder.node("Unsqueeze", [targets, last_axis]), classes])
        shares = builder.node(
            "Mul", [builder.node("Unsqueeze", [share, last_axis]), builder.node("Cast", [members], to=_DOUBLE)]
        )
        sums = builder.node("ReduceSum", [shares, along], keepdims=0)
        logs = builder.node("Log", [builder.node("Add", [sums, builder.constant(self._overall[None, :])])])
        if self.problem.task == "binary":
            first, second = builder.node("Split", [logs, builder.constant(np.array([1, 1]))], outputs=2, axis=1)
            logs = builder.node("Sub", [second, first])
        return builder.mark("raw", logs)


def _gridded(features: Doubles) -> Doubles:
    """Features as whole multiples of a power of two, few enough that sums of their products are exact.

    Distances then are the same to the last bit however they are added up, and rows that are equally far are so
    everywhere: the graph finds the neighbours that the trainer finds.
    """
    return np.asarray(np.rint(np.clip(features, -_REACH, _REACH) * _GRID) / _GRID)


def _squares(features: Doubles) -> Doubles:
    return np.asarray((features * features).sum(axis=1))


def _nearest(distances: Doubles, number: int) -> NDArray[np.int64]:
    """Positions of the smallest distances [N, number], nearest first, the earlier of equal ones first."""
    if number >= distances.shape[1]:
        return np.argsort(distances, axis=1, kind="stable")
    # Distances are whole multiples of the grid's square: with the position behind them none are equal.
    keys = (distances * _GRID**2).astype(np.int64) * distances.shape[1] + np.arange(distances.shape[1])
    found = np.argpartition(keys, number - 1, axis=1)[:, :number]
    order = np.take_along_axis(keys, found, axis=1).argsort(axis=1)
    return np.take_along_axis(found, order, axis=1)
