"""Random forests and extremely randomised trees by scikit-learn, summed in double in the graph."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import MissingExtraError, Work
from lepton.data.steps import Block, Clip, Tensors, apply_steps, emit_steps
from lepton.training.base import Doubles, Problem, Rows, TableLearner
from lepton.training.features import tree_steps
from lepton.training.spaces import Choice, Dimension, Real, Whole
from lepton.training.trees import Forest

__all__ = ["RandomForest"]

_MAX_ROWS = 200_000
_MAX_CLASSES = 20  # the graph keeps a table of the shares of every class in every leaf
_TREES_AT_ONCE = 10  # between looks at the clock
_FLOAT, _DOUBLE = 1, 11  # onnx.TensorProto


class RandomForest(TableLearner):
    """Trees that are averaged: grown on drawn rows (`random forest`) or split at drawn places (`extra trees`).

    Probabilities are the mean share of each class in the leaves, with one more tree that knows nothing: no class is
    ever impossible.
    """

    name = "forest"
    library = "sklearn.ensemble"
    load_seconds = 1.5

    @classmethod
    def configurations(cls, problem: Problem) -> tuple[Mapping[str, Any], ...]:
        """Both, with leaves bounded in size and number, so that files stay small."""
        if problem.num_classes > _MAX_CLASSES:
            return ()
        max_features = 0.4 if problem.task == "regression" else "sqrt"
        bounds = {"num_trees": 100, "min_samples_leaf": 3, "max_leaf_nodes": 400, "max_features": max_features}
        return ({"label": "random forest", "extra": False, **bounds}, {"label": "extra trees", "extra": True, **bounds})

    @classmethod
    def space(cls, problem: Problem) -> Mapping[str, Dimension]:
        """Kind of tree, and the number and size of trees and leaves."""
        if problem.num_classes > _MAX_CLASSES:
            return {}
        return {
            "extra": Choice((False, True), False),
            "num_trees": Choice((100, 200), 100),
            "max_features": Real(0.1, 1.0, 0.4),
            "min_samples_leaf": Whole(1, 20, 3, log=True),
            "max_leaf_nodes": Whole(100, 2000, 400, log=True),
        }

    def fit(self, rows: Rows, *, valid: Rows | None, work: Work) -> Self:
        """Grow trees, from at most 200,000 of the rows, drawn by the seed."""
        rows = rows.drawn(_MAX_ROWS, self.seed)
        steps, block = tree_steps(self.problem, rows.block)
        clip = Clip.fit(block)  # scikit-learn refuses infinities
        self.steps = (*steps, clip)
        features = clip.apply(block).numbers.astype(np.float32)
        work.check()
        ensemble = self._ensemble(work.resources.cpus)
        self._cut_short = False
        target = rows.target if self.problem.task == "regression" else rows.target.astype(np.int64)
        for num_trees in range(_TREES_AT_ONCE, self.configuration["num_trees"] + 1, _TREES_AT_ONCE):
            ensemble.set_params(n_estimators=num_trees)
            ensemble.fit(features, target, sample_weight=rows.weight)
            self._cut_short = work.stopped and num_trees < self.configuration["num_trees"]
            if self._cut_short:
                break
        self._trees = [tree.tree_ for tree in ensemble.estimators_]
        self._classes: NDArray[np.int64] = getattr(ensemble, "classes_", np.zeros(1, dtype=np.int64))
        return self

    @classmethod
    def smaller(cls, settled: Mapping[str, Any], share: float) -> Mapping[str, Any] | None:
        """Fewer trees."""
        num_trees = int(share * settled["num_trees"]) // _TREES_AT_ONCE * _TREES_AT_ONCE
        return {**settled, "num_trees": num_trees} if num_trees else None

    def limited(self, settled: Mapping[str, Any]) -> Self:
        """The first of the same trees, as many as are settled."""
        limited = copy.copy(self)
        limited._trees = self._trees[: settled["num_trees"]]
        return limited

    @property
    def cut_short(self) -> bool:
        """Whether the clock ended the growing."""
        return self._cut_short

    def _ensemble(self, num_threads: int) -> Any:
        ensembles = _sklearn_ensemble()
        kind = "ExtraTrees" if self.configuration["extra"] else "RandomForest"
        kind += "Regressor" if self.problem.task == "regression" else "Classifier"
        return getattr(ensembles, kind)(
            random_state=self.seed % 2**31,
            n_jobs=num_threads,
            warm_start=True,
            **{key: self.configuration[key] for key in ("min_samples_leaf", "max_leaf_nodes", "max_features")},
        )

    def raw(self, block: Block) -> Doubles:
        """The mean of the trees, in their order; for classes its logarithm."""
        features = np.ascontiguousarray(apply_steps(self.steps, block).numbers, dtype=np.float32)
        total = np.zeros((len(features), self._width))
        for tree in self._trees:
            total += self._values(tree)[tree.apply(features)]
        if self.problem.task == "regression":
            return total
        logs = np.log(total + self._ignorance)
        if self.problem.task == "multiclass":
            return logs
        return logs - np.log(1.0 - total + self._ignorance)

    @property
    def _width(self) -> int:
        """Sums of a row: the number, the share of the second class, or the share of each class."""
        return self.problem.num_classes if self.problem.task == "multiclass" else 1

    @property
    def _ignorance(self) -> float:
        """The share of each class in the tree that knows nothing."""
        return 1.0 / (max(self.problem.num_classes, 1) * len(self._trees))

    def _values(self, tree: Any) -> Doubles:
        """What each node adds to the sums [M, width]."""
        values: Doubles = tree.value[:, 0, :] / len(self._trees)
        if self.problem.task == "regression":
            return values
        shares = np.zeros((len(values), self.problem.num_classes))
        shares[:, self._classes] = values
        return shares if self.problem.task == "multiclass" else shares[:, 1:]

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        """One `TreeEnsemble` behind the steps; with several classes it finds the leaves, whose shares are added up."""
        features = builder.mark("features", str(emit_steps(self.steps, builder, tensors).numbers))
        # scikit-learn compares numbers in single precision.
        single = builder.node("Cast", [builder.node("Cast", [features], to=_FLOAT)], to=_DOUBLE)
        if self.problem.task != "multiclass":
            total = self._forest(np.concatenate([self._values(tree)[:, 0] for tree in self._trees]), 1).emit(
                builder, single
            )
            if self.problem.task == "regression":
                return builder.mark("raw", total)
            rest = builder.node("Sub", [builder.constant(1.0), total])
            return builder.mark("raw", builder.node("Sub", [self._log(builder, total), self._log(builder, rest)]))
        values = np.concatenate([self._values(tree) for tree in self._trees])
        leaves = self._forest(np.arange(len(values), dtype=np.float64), len(self._trees)).emit(builder, single)
        places = builder.node("Cast", [leaves], to=7)  # onnx.TensorProto.INT64
        shares = builder.node("Gather", [builder.constant(values), places])
        total = builder.node("ReduceSum", [shares, builder.constant(np.array([1]))], keepdims=0)
        return builder.mark("raw", self._log(builder, total))

    def _log(self, builder: GraphBuilder, shares: str) -> str:
        log: str = builder.node("Log", [builder.node("Add", [shares, builder.constant(self._ignorance)])])
        return log

    def _forest(self, values: Doubles, num_targets: int) -> Forest:
        """The trees with the value of each of their nodes; each adds to its own sum where there are several."""
        roots = np.cumsum([0, *(tree.node_count for tree in self._trees)])
        inner, leaves, joined = 0, 0, _Joined()
        kept_values, targets, starts = [], [], []
        for position, (tree, first) in enumerate(zip(self._trees, roots[:-1], strict=True)):
            is_leaf = tree.children_left < 0
            numbers = np.where(is_leaf, ~(leaves + np.cumsum(is_leaf) - 1), inner + np.cumsum(~is_leaf) - 1)
            starts.append(inner)
            joined.add(tree, numbers, ~is_leaf)
            kept_values.append(values[first : first + tree.node_count][is_leaf])
            targets.append(np.full(is_leaf.sum(), position if num_targets > 1 else 0))
            inner += max(1, int((~is_leaf).sum()))
            leaves += int(is_leaf.sum())
        none = np.zeros(inner, dtype=np.int64)
        return Forest(
            num_features=int(self._trees[0].n_features),
            num_targets=num_targets,
            roots=np.array(starts, dtype=np.int64),
            features=np.concatenate(joined.features),
            thresholds=np.concatenate(joined.thresholds),
            is_set=none.astype(bool),
            members=np.empty(0, dtype=np.int64),
            set_sizes=none,
            missing_left=np.concatenate(joined.missing_left),
            left=np.concatenate(joined.left),
            right=np.concatenate(joined.right),
            leaf_values=np.concatenate(kept_values),
            leaf_targets=np.concatenate(targets).astype(np.int64),
        )


class _Joined:
    """Nodes of trees one after the other."""

    def __init__(self) -> None:
        self.features: list[NDArray[np.int64]] = []
        self.thresholds: list[Doubles] = []
        self.missing_left: list[NDArray[np.bool_]] = []
        self.left: list[NDArray[np.int64]] = []
        self.right: list[NDArray[np.int64]] = []

    def add(self, tree: Any, numbers: NDArray[np.int64], inner: NDArray[np.bool_]) -> None:
        """The inner nodes of a tree; `numbers` are those of all its nodes in the forest."""
        if not inner.any():  # a tree without a split: one node with the leaf on both sides
            self.features.append(np.zeros(1, dtype=np.int64))
            self.thresholds.append(np.zeros(1))
            self.missing_left.append(np.ones(1, dtype=bool))
            self.left.append(numbers)
            self.right.append(numbers)
            return
        self.features.append(tree.feature[inner])
        self.thresholds.append(tree.threshold[inner])
        self.missing_left.append(tree.missing_go_to_left[inner].astype(bool))
        self.left.append(numbers[tree.children_left[inner]])
        self.right.append(numbers[tree.children_right[inner]])


def _sklearn_ensemble() -> Any:
    try:
        import sklearn.ensemble
    except ImportError:
        raise MissingExtraError("scikit-learn", "train", "Training random forests") from None
    return sklearn.ensemble
