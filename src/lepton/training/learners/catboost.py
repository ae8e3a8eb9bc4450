"""Boosted symmetric trees by CatBoost, where it is installed; categories go through steps of our own."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import ErrorCode, TrainingError, Work
from lepton.data.steps import Block, Clip, OneHot, Tensors, apply_steps, emit_steps
from lepton.store import scratch_folder
from lepton.training.base import Doubles, Problem, Rows, TableLearner
from lepton.training.features import directions_of, tree_steps
from lepton.training.learners.catboost_forest import SymmetricTree, forest_of, sums_of, trees_of
from lepton.training.spaces import Choice, Dimension, Real, Whole

__all__ = ["CatBoost"]

_OBJECTIVES = {"regression": "RMSE", "binary": "Logloss", "multiclass": "MultiClass"}
_MAX_CLASSES = 10  # the graph holds every tree once for each
_FEW = 12  # categories up to which each has a column of its own beside the codes
_LEAST_SHARE = 1e-9
_LARGEST = float(np.finfo(np.float32).max) / 2.0  # CatBoost keeps a border beside the least number of all
_FLOAT, _DOUBLE = 1, 11  # onnx.TensorProto


class CatBoost(TableLearner):
    """Boosted trees that ask the same question in every node of a level.

    CatBoost's own statistics of categories cannot be written as a graph: categories are ordered codes, the few of a
    column are indicators too, and those of columns of many values are means of the target.
    """

    name = "catboost"
    library = "catboost"
    load_seconds = 1.5
    searched_only = True
    where_present = True
    keeps_directions = True

    @classmethod
    def configurations(cls, problem: Problem) -> tuple[Mapping[str, Any], ...]:
        """Slow learning that stops early."""
        if problem.task not in _OBJECTIVES or problem.num_classes > _MAX_CLASSES:
            return ()
        slow = {"learning_rate": 0.08, "max_rounds": 1000, "patience": 50, "depth": 5, "rsm": 0.8}
        return ({"label": "symmetric trees", **slow, "statistics": bool(problem.many_valued)},)

    @classmethod
    def space(cls, problem: Problem) -> Mapping[str, Dimension]:
        """Depth of the trees, sampling of rows and columns, penalties."""
        if not cls.configurations(problem):
            return {}
        space: dict[str, Dimension] = {
            "depth": Whole(3, 8, 5),
            "learning_rate": Real(0.03, 0.3, 0.08, log=True),
            "l2_leaf_reg": Real(0.3, 30.0, 3.0, log=True),
            "random_strength": Real(0.01, 10.0, 1.0, log=True),
            "subsample": Real(0.5, 1.0, 0.8),
            "rsm": Real(0.3, 1.0, 1.0),
        }
        if problem.many_valued:
            space["statistics"] = Choice((False, True), True)
        return space

    @classmethod
    def configured(cls, problem: Problem, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Boosting that stops early."""
        return {"max_rounds": 1500, "patience": 50, **values}

    def fit(self, rows: Rows, *, valid: Rows | None, work: Work) -> Self:
        """Boost until `valid` has not improved for `patience` rounds, or for `max_rounds`."""
        steps, block = tree_steps(self.problem, rows.block, rows if self.configuration.get("statistics") else None)
        few = [name for name in self.problem.categories if np.nanmax(block.column(name), initial=-1.0) < _FEW]
        copies = OneHot.fit(block, columns=few, max_categories=_FEW)
        clip = Clip.fit(copies.apply(block))
        self.steps = (*steps, copies, clip)
        block = clip.apply(copies.apply(block))
        self._directions = directions_of(self.problem, block)
        work.check()
        features = _single(block.numbers)
        self._cut_short = False
        self._trees: tuple[SymmetricTree, ...] = ()
        self._bias = self._answer_to_all(rows)
        self._num_features = features.shape[1]
        if self._can_learn(features, rows):
            self._boost(*self._with_every_class(features, rows), valid, work)
        return self

    def _answer_to_all(self, rows: Rows) -> Doubles:
        """What every row gets before any tree [S]."""
        if self.problem.task == "regression":
            return np.array([np.average(rows.target, weights=rows.weight)])
        counts = np.bincount(rows.target.astype(np.int64), weights=rows.weight, minlength=self.problem.num_classes)
        logs = np.log(np.maximum(counts / counts.sum(), _LEAST_SHARE))
        return np.asarray(logs[1:] - logs[:1] if self.problem.task == "binary" else logs)

    def _can_learn(self, features: NDArray[np.float32], rows: Rows) -> bool:
        """Whether there is anything to tell rows apart by, and anything to tell: CatBoost refuses what has neither."""
        known = rows.target if rows.weight is None else rows.target[rows.weight > 0]
        different = (features != features[:1]) & ~(np.isnan(features) & np.isnan(features[:1]))
        return len(np.unique(known)) > 1 and bool(different.any())

    def _with_every_class(self, features: NDArray[np.float32], rows: Rows) -> tuple[NDArray[np.float32], Rows]:
        """The rows, and one that weighs nothing for each class that is not there: CatBoost leaves classes out."""
        if self.problem.task != "multiclass":
            return features, rows
        absent = np.setdiff1d(np.arange(self.problem.num_classes), rows.target)
        if not len(absent):
            return features, rows
        first = np.zeros(len(absent), dtype=np.int64)
        weight = np.ones(len(features)) if rows.weight is None else rows.weight
        more = Rows(
            rows.block.take(np.concatenate([np.arange(len(features)), first])),
            np.concatenate([rows.target, absent]),
            np.concatenate([weight, np.zeros(len(absent))]),
        )
        return np.concatenate([features, features[first]]), more

    def _boost(self, features: NDArray[np.float32], rows: Rows, valid: Rows | None, work: Work) -> None:
        import catboost

        center = self._bias[0] if self.problem.task == "regression" else 0.0

        def pool(numbers: NDArray[np.float32], of: Rows) -> Any:
            return catboost.Pool(numbers, of.target - center, weight=of.weight)

        scored, patience = None, self.configuration["patience"]
        if valid is not None and patience is not None:
            scored = pool(_single(apply_steps(self.steps, valid.block).numbers), valid)
        clock = _Clock(work)
        booster = catboost.CatBoost(self._parameters(work.resources.cpus))
        try:
            booster.fit(
                pool(features, rows),
                eval_set=scored,
                early_stopping_rounds=patience if scored is not None else None,
                callbacks=[clock],
            )
        except catboost.CatBoostError as error:
            raise TrainingError(ErrorCode.TRAINING_FAILED, f"CatBoost refuses the rows: {error}") from None
        self._cut_short = clock.stopped
        rounds = booster.tree_count_
        if scored is not None and not self._cut_short:
            rounds = booster.get_best_iteration() + 1
        with scratch_folder(work.resources.scratch) as folder:
            booster.save_model(str(folder / "model.json"), format="json")
            model = json.loads((folder / "model.json").read_bytes())
        trees, bias = trees_of(model, self.problem.num_scores)
        self._trees, self._bias = trees[:rounds], bias + center

    def _parameters(self, num_threads: int) -> dict[str, Any]:
        ours = {"label", "max_rounds", "patience", "statistics"}
        parameters = {
            "loss_function": _OBJECTIVES[self.problem.task],
            "iterations": self.configuration["max_rounds"],
            "bootstrap_type": "Bernoulli",
            "subsample": 0.8,
            "boosting_type": "Plain",
            "use_best_model": False,
            "random_seed": self.seed % 2**31,
            "thread_count": num_threads,
            "allow_writing_files": False,
            "logging_level": "Silent",
            **{key: value for key, value in self.configuration.items() if key not in ours},
        }
        if self.problem.monotone:
            parameters["monotone_constraints"] = list(self._directions)
        return parameters

    @property
    def cut_short(self) -> bool:
        """Whether the clock ended the boosting."""
        return self._cut_short

    @classmethod
    def settled(cls, configuration: Mapping[str, Any], fitted: Sequence[Self]) -> Mapping[str, Any]:
        """As many rounds as the median fold wanted, and no early stopping."""
        rounds = max(1, round(median(len(learner._trees) for learner in fitted)))
        return {**configuration, "max_rounds": rounds, "patience": None}

    @classmethod
    def smaller(cls, settled: Mapping[str, Any], share: float) -> Mapping[str, Any] | None:
        """Fewer rounds."""
        rounds = int(share * settled["max_rounds"])
        return {**settled, "max_rounds": rounds} if rounds else None

    def limited(self, settled: Mapping[str, Any]) -> Self:
        """The same trees, up to the settled number of rounds."""
        limited = copy.copy(self)
        limited._trees = self._trees[: settled["max_rounds"]]
        return limited

    def raw(self, block: Block) -> Doubles:
        """The leaves of every row, added up in double in the order of the trees."""
        features = _single(apply_steps(self.steps, block).numbers).astype(np.float64)
        return sums_of(self._trees, features, self.problem.num_scores) + self._bias

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        """One `TreeEnsemble` behind the steps, which sees numbers in single precision as CatBoost does."""
        features = builder.mark("features", str(emit_steps(self.steps, builder, tensors).numbers))
        clipped = builder.node("Clip", [features, builder.constant(-_LARGEST), builder.constant(_LARGEST)])
        single = builder.node("Cast", [builder.node("Cast", [clipped], to=_FLOAT)], to=_DOUBLE)
        trees = self._trees or (SymmetricTree(np.empty(0, np.int64), np.empty(0), np.zeros((1, len(self._bias)))),)
        sums = forest_of(trees, self._num_features, self.problem.num_scores).emit(builder, single)
        return builder.mark("raw", builder.node("Add", [sums, builder.constant(self._bias)]))


def _single(numbers: Doubles) -> NDArray[np.float32]:
    return np.clip(numbers, -_LARGEST, _LARGEST).astype(np.float32)


class _Clock:
    """A callback of CatBoost that ends the boosting, and keeps what is there, when the work should stop."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.stopped = False

    def after_iteration(self, info: Any) -> bool:
        self.stopped = self._work.stopped
        return not self.stopped
