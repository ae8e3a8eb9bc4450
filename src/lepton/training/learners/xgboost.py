"""Gradient-boosted trees by XGBoost, stopped early on rows that the trees have not seen."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from statistics import median
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import MissingExtraError, Work
from lepton.core.imports import lean_import
from lepton.data.steps import Block, Clip, Tensors, apply_steps, emit_steps
from lepton.training.base import Doubles, Problem, Rows, TableLearner
from lepton.training.features import directions_of, tree_steps
from lepton.training.learners.xgboost_forest import forest_of, trees_of
from lepton.training.spaces import Choice, Dimension, Real, Whole

__all__ = ["XGBoost"]

# The margin that trees start from is 0: XGBoost takes a probability for `binary`, a score for the others.
_OBJECTIVES: dict[str, dict[str, Any]] = {
    "regression": {"objective": "reg:squarederror", "base_score": 0.0},
    "binary": {"objective": "binary:logistic", "base_score": 0.5},
    "multiclass": {"objective": "multi:softprob", "base_score": 0.0},
}
_FLOAT, _DOUBLE = 1, 11  # onnx.TensorProto
_LARGEST = float(np.finfo(np.float32).max)


class XGBoost(TableLearner):
    """Boosted trees that grow leaf by leaf; categories are ordered codes."""

    name = "xgboost"
    library = "xgboost"
    load_seconds = 1.5
    searched_only = True
    keeps_directions = True

    @classmethod
    def configurations(cls, problem: Problem) -> tuple[Mapping[str, Any], ...]:
        """Slow learning that stops early, of medium and of small trees."""
        slow = {"learning_rate": 0.06, "max_rounds": 1500, "patience": 60, "subsample": 0.9}
        tried: list[dict[str, Any]] = [
            {"label": "medium trees", **slow, "max_leaves": 40, "colsample_bytree": 0.6},
            {"label": "small trees", **slow, "max_leaves": 12, "colsample_bytree": 0.6, "reg_lambda": 3.0},
        ]
        if problem.many_valued:
            tried.append({**tried[0], "label": "medium trees, means of the target", "statistics": True})
        if problem.texts:
            tried.append({**tried[0], "label": "medium trees, topics of texts", "topics": True})
        return tuple(tried)

    @classmethod
    def space(cls, problem: Problem) -> Mapping[str, Dimension]:
        """Number and size of leaves, sampling of rows and columns, penalties."""
        space: dict[str, Dimension] = {
            "max_leaves": Whole(4, 255, 31, log=True),
            "learning_rate": Real(0.02, 0.3, 0.3, log=True),
            "min_child_weight": Real(0.01, 100.0, 1.0, log=True),
            "subsample": Real(0.5, 1.0, 1.0),
            "colsample_bytree": Real(0.25, 1.0, 1.0),
            "colsample_bylevel": Real(0.4, 1.0, 1.0),
            "reg_alpha": Real(1e-4, 10.0, 1e-4, log=True),
            "reg_lambda": Real(1e-2, 100.0, 1.0, log=True),
            "max_bin": Choice((64, 256, 1024), 256),
        }
        if problem.many_valued:
            space["statistics"] = Choice((False, True), False)
        if problem.texts:
            space["topics"] = Choice((False, True), False)
        return space

    @classmethod
    def configured(cls, problem: Problem, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Boosting that stops early."""
        return {"max_rounds": 2000, "patience": 60, **values}

    def fit(self, rows: Rows, *, valid: Rows | None, work: Work) -> Self:
        """Boost until `valid` has not improved for `patience` rounds, or for `max_rounds`."""
        xgboost = _xgboost()
        steps, block = tree_steps(
            self.problem,
            rows.block,
            rows if self.configuration.get("statistics") else None,
            topics=bool(self.configuration.get("topics")),
        )
        self._directions = directions_of(self.problem, block)
        clip = Clip.fit(block)  # XGBoost refuses infinities
        self.steps = (*steps, clip)
        work.check()
        self._num_threads = work.resources.cpus
        self._center = 0.0
        if self.problem.task == "regression":
            self._center = float(np.average(rows.target, weights=rows.weight))
        data = self._matrix(xgboost, clip.apply(block).numbers, rows)
        scored, patience = [], self.configuration["patience"]
        if valid is not None and patience is not None:
            scored = [(self._matrix(xgboost, apply_steps(self.steps, valid.block).numbers, valid), "valid")]
        clock = _clock(xgboost, work)
        self._booster = xgboost.train(
            self._parameters(),
            data,
            self.configuration["max_rounds"],
            evals=scored,
            early_stopping_rounds=patience if scored else None,
            verbose_eval=False,
            callbacks=[clock],
        )
        self._cut_short: bool = clock.stopped
        self._rounds = self._booster.num_boosted_rounds()
        if scored and not self._cut_short:
            self._rounds = self._booster.best_iteration + 1
        return self

    def _matrix(self, xgboost: Any, numbers: Doubles, rows: Rows) -> Any:
        return xgboost.DMatrix(
            _single(numbers), rows.target - self._center, weight=rows.weight, nthread=self._num_threads
        )

    def _parameters(self) -> dict[str, Any]:
        ours = {"label", "statistics", "topics", "max_rounds", "patience"}
        parameters = {
            **_OBJECTIVES[self.problem.task],
            "tree_method": "hist",
            "grow_policy": "lossguide",
            "max_depth": 0,
            "seed": self.seed % 2**31,
            "nthread": self._num_threads,
            "verbosity": 0,
            **{key: value for key, value in self.configuration.items() if key not in ours},
        }
        if self.problem.task == "multiclass":
            parameters |= {"num_class": self.problem.num_classes, "eval_metric": "mlogloss"}
        if self.problem.monotone:
            parameters["monotone_constraints"] = self._directions
        return parameters

    @property
    def cut_short(self) -> bool:
        """Whether the clock ended the boosting."""
        return self._cut_short

    @classmethod
    def settled(cls, configuration: Mapping[str, Any], fitted: Sequence[Self]) -> Mapping[str, Any]:
        """As many rounds as the median fold wanted, and no early stopping."""
        rounds = max(1, round(median(learner._rounds for learner in fitted)))
        return {**configuration, "max_rounds": rounds, "patience": None}

    @classmethod
    def smaller(cls, settled: Mapping[str, Any], share: float) -> Mapping[str, Any] | None:
        """Fewer rounds."""
        rounds = int(share * settled["max_rounds"])
        return {**settled, "max_rounds": rounds} if rounds else None

    def limited(self, settled: Mapping[str, Any]) -> Self:
        """The same trees, up to the settled number of rounds."""
        limited = copy.copy(self)
        limited._rounds = min(settled["max_rounds"], self._booster.num_boosted_rounds())
        return limited

    @cached_property
    def _trees(self) -> list[Any]:
        return trees_of(self._booster.save_raw("json"))

    @property
    def _used(self) -> list[Any]:
        return self._trees[: self._rounds * self.problem.num_scores]

    def raw(self, block: Block) -> Doubles:
        """The leaves that XGBoost finds, added up in double in the order of the trees."""
        features = _single(apply_steps(self.steps, block).numbers)
        data = _xgboost().DMatrix(features, nthread=self._num_threads)
        nodes = self._booster.predict(data, pred_leaf=True, iteration_range=(0, self._rounds), strict_shape=True)
        nodes = nodes.reshape(len(features), -1).astype(np.int64)
        sums = np.zeros((len(features), self.problem.num_scores))
        for position, tree in enumerate(self._used):
            values = np.array(tree["split_conditions"], dtype=np.float32).astype(np.float64)
            sums[:, position % sums.shape[1]] += values[nodes[:, position]]
        return sums + self._center

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        """One `TreeEnsemble` behind the steps, which sees numbers in single precision as XGBoost does."""
        features = builder.mark("features", str(emit_steps(self.steps, builder, tensors).numbers))
        clipped = builder.node("Clip", [features, builder.constant(-_LARGEST), builder.constant(_LARGEST)])
        single = builder.node("Cast", [builder.node("Cast", [clipped], to=_FLOAT)], to=_DOUBLE)
        sums = forest_of(self._used, self._booster.num_features(), self.problem.num_scores).emit(builder, single)
        if self._center:
            sums = builder.node("Add", [sums, builder.constant(self._center)])
        return builder.mark("raw", sums)


def _single(numbers: Doubles) -> NDArray[np.float32]:
    return np.clip(numbers, -_LARGEST, _LARGEST).astype(np.float32)


def _clock(xgboost: Any, work: Work) -> Any:
    """A callback of XGBoost that ends the boosting, and keeps what is there, when the work should stop."""

    class Clock(xgboost.callback.TrainingCallback):  # type: ignore[misc]  # a class of an optional library
        stopped: bool = False

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            ended: bool = work.stopped
            self.stopped = ended
            return ended

    return Clock()


def _xgboost() -> Any:
    try:
        with lean_import("xgboost"):
            import xgboost
    except ImportError:
        raise MissingExtraError("xgboost-cpu", "train", "Training boosted trees by XGBoost") from None
    return xgboost
