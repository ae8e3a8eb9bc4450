"""Gradient-boosted trees by LightGBM, stopped early on rows that the trees have not seen."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Self

import numpy as np

from lepton.bundle import GraphBuilder
from lepton.core import MissingExtraError, Work
from lepton.core.imports import lean_import
from lepton.data.steps import Block, Pairs, Tensors, apply_steps, emit_steps
from lepton.training.base import Doubles, Problem, Rows, TableLearner
from lepton.training.features import directions_of, tree_steps
from lepton.training.interactions import used_together
from lepton.training.learners.lightgbm_forest import forest_from_text
from lepton.training.spaces import Choice, Dimension, Real, Whole

__all__ = ["LightGBM"]

_OBJECTIVES = {"regression": "regression", "binary": "binary", "multiclass": "multiclass"}
_CELLS_A_THREAD = 100_000
_SLOW = {"learning_rate": 0.06, "max_rounds": 1500, "patience": 60, "lambda_l2": 1.0}
_SMOOTH = {**_SLOW, "native": True, "cat_smooth": 30.0, "cat_l2": 30.0}
_PAIRS = (0, 4, 8)
_ROWS_FOR_PAIRS = 2_000  # with fewer, chance has too much of a say in which pairs are found to be tried first
_FIRST_TREES = {"num_leaves": 16, "learning_rate": 0.1, "feature_fraction": 0.5}
_FIRST_ROUNDS = 60
_ORDERED = {**_SLOW, "native": False}


class LightGBM(TableLearner):
    """Boosted trees; categories are split by sets of values (`native`) or as ordered codes."""

    name = "lightgbm"
    kind = "lightgbm"
    library = "lightgbm"
    load_seconds = 1.5
    keeps_directions = True

    @classmethod
    def configurations(cls, problem: Problem) -> tuple[Mapping[str, Any], ...]:
        """LightGBM's defaults first; then slower learning that stops early, of trees of several sizes.

        Each tree (or each split, in the last) sees some of the columns only, which gained more on real tables than
        any other setting; `docs/decisions/0052-a-small-portfolio.md` has the figures.
        """
        tried: list[dict[str, Any]] = [
            {"label": "defaults", "native": True, "max_rounds": 100, "patience": None},
            {"label": "small trees", **_SMOOTH, "num_leaves": 16, "feature_fraction": 0.4, "learning_rate": 0.08},
            {"label": "medium trees", **_SMOOTH, "num_leaves": 40, "feature_fraction": 0.5},
            {"label": "large trees", **_ORDERED, "num_leaves": 100, "feature_fraction": 0.5},
            {"label": "large trees, columns drawn by split", **_ORDERED, "num_leaves": 100}
            | {"feature_fraction_bynode": 0.5, "min_data_in_leaf": 10},
        ]
        if problem.many_valued:
            tried.append({**tried[2], "label": "medium trees, means of the target", "statistics": True})
        if problem.texts:
            tried.append({**tried[2], "label": "medium trees, topics of texts", "topics": True})
        if problem.num_rows >= _ROWS_FOR_PAIRS and not problem.monotone:
            tried.append({**tried[2], "label": "medium trees, pairs of columns", "pairs": 4})
        return tuple(tried)

    @classmethod
    def space(cls, problem: Problem) -> Mapping[str, Dimension]:
        """Size and number of leaves, sampling of rows and columns, penalties, and how categories are split."""
        space: dict[str, Dimension] = {
            "num_leaves": Whole(4, 255, 31, log=True),
            "learning_rate": Real(0.02, 0.2, 0.1, log=True),
            "min_data_in_leaf": Whole(2, max(20, min(200, problem.num_rows // 50)), 20, log=True),
            "feature_fraction": Real(0.25, 1.0, 1.0),
            "feature_fraction_bynode": Real(0.4, 1.0, 1.0),
            "bagging_fraction": Real(0.5, 1.0, 1.0),
            "lambda_l1": Real(1e-4, 10.0, 1e-4, log=True),
            "lambda_l2": Real(1e-3, 100.0, 1e-3, log=True),
            "extra_trees": Choice((False, True), False),
            "max_bin": Choice((63, 255, 1023), 255),
        }
        if problem.categories:
            space |= {
                "native": Choice((True, False), True),
                "cat_smooth": Real(1.0, 200.0, 10.0, log=True),
                "cat_l2": Real(1.0, 100.0, 10.0, log=True),
            }
        if problem.many_valued:
            space["statistics"] = Choice((False, True), False)
        if problem.texts:
            space["topics"] = Choice((False, True), False)
        if not problem.monotone:  # a sum grows with one column where another falls
            space["pairs"] = Choice(_PAIRS, 0)
        return space

    @classmethod
    def configured(cls, problem: Problem, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Boosting that stops early; rows are drawn for every tree."""
        return {"native": False, "bagging_freq": 1, "max_rounds": 2000, "patience": 60, **values}

    @classmethod
    def load(cls) -> None:
        """Import LightGBM, its threads told to sleep while they wait for each other.

        By default they spin: on two cores beside other work, two threads took ten times as long as one.
        """
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        super().load()

    def fit(self, rows: Rows, *, valid: Rows | None, work: Work) -> Self:
        """Boost until `valid` has not improved for `patience` rounds, or for `max_rounds`."""
        lightgbm = _lightgbm()
        self.steps, block = tree_steps(
            self.problem,
            rows.block,
            rows if self.configuration.get("statistics") else None,
            topics=bool(self.configuration.get("topics")),
        )
        work.check()
        # Threads wait for each other at every split, which costs more than it gives where there is little to do.
        self._num_threads = min(work.resources.cpus, 1 + block.numbers.size // _CELLS_A_THREAD)
        self._directions = directions_of(self.problem, block)
        if pairs := self.configuration.get("pairs"):
            block = self._with_pairs(block, rows, pairs, work)
        # Codes stand behind the numbers, in the order of the text columns.
        first_code = block.numbers.shape[1] - len(self.problem.categories)
        native = self.configuration["native"]
        data = lightgbm.Dataset(
            _without_other(block.numbers, first_code) if native else block.numbers,
            rows.target,
            weight=rows.weight,
            group=rows.query_sizes,
            categorical_feature=list(range(first_code, block.numbers.shape[1])) if native else [],
            params=self._parameters(),
        )
        callbacks = [_Clock(lightgbm, work)]
        scored = []
        if valid is not None and self.configuration["patience"] is not None:
            features = apply_steps(self.steps, valid.block).numbers
            features = _without_other(features, first_code) if native else features
            scored = [
                lightgbm.Dataset(features, valid.target, weight=valid.weight, group=valid.query_sizes, reference=data)
            ]
            callbacks.append(lightgbm.early_stopping(self.configuration["patience"], verbose=False))
        work.check()
        self._booster = lightgbm.train(
            self._parameters(), data, self.configuration["max_rounds"], valid_sets=scored, callbacks=callbacks
        )
        self._cut_short = callbacks[0].stopped
        self._rounds = self._booster.best_iteration if scored and not self._cut_short else 0
        self._rounds = self._rounds if self._rounds > 0 else self._booster.current_iteration()
        return self

    def _with_pairs(self, block: Block, rows: Rows, num_pairs: int, work: Work) -> Block:
        """The block with sums, differences and ratios of columns that a first small model uses together.

        They stand before the codes; the step is put into `steps`.
        """
        lightgbm = _lightgbm()
        first_code = block.numbers.shape[1] - len(self.problem.categories)
        parameters = {**self._parameters(), **_FIRST_TREES}
        data = lightgbm.Dataset(block.numbers, rows.target, weight=rows.weight, group=rows.query_sizes)
        first = lightgbm.train(parameters, data, _FIRST_ROUNDS, callbacks=[_Clock(lightgbm, work)])
        work.check()
        trees = [tree["tree_structure"] for tree in first.dump_model()["tree_info"]]
        names = block.number_names
        pairs = [(names[a], names[b]) for a, b in used_together(trees, range(first_code), num_pairs)]
        step = Pairs.fit(block, pairs=pairs)
        numbers = step.apply(Block(block.numbers[:, :first_code], names[:first_code], block.strings))
        self.steps = (*self.steps[:-1], step, self.steps[-1])
        return Block(
            np.hstack([numbers.numbers, block.numbers[:, first_code:]]),
            (*numbers.number_names, *names[first_code:]),
            block.strings,
        )

    def _parameters(self) -> dict[str, Any]:
        ours = {"label", "native", "statistics", "topics", "pairs", "max_rounds", "patience"}
        parameters = {
            "objective": _OBJECTIVES[self.problem.task],
            "seed": self.seed % 2**31,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self._num_threads,
            "verbosity": -1,
            **{key: value for key, value in self.configuration.items() if key not in ours},
        }
        if self.problem.task == "multiclass":
            parameters["num_class"] = self.problem.num_classes
        if self.problem.monotone:
            parameters["monotone_constraints"] = list(self._directions)
        return parameters

    @property
    def cut_short(self) -> bool:
        """Whether the clock ended the boosting."""
        return self._cut_short

    @property
    def num_rounds(self) -> int:
        """Rounds of boosting that the model is of."""
        return self._rounds

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
        limited._rounds = min(settled["max_rounds"], self._booster.current_iteration())
        return limited

    def raw(self, block: Block) -> Doubles:
        """LightGBM's own raw scores."""
        features = apply_steps(self.steps, block).numbers
        scores: Doubles = self._booster.predict(
            features, raw_score=True, num_iteration=self._rounds, num_threads=self._num_threads
        )
        return scores.reshape(len(features), -1)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        """One `TreeEnsemble` behind the steps."""
        features = builder.mark("features", str(emit_steps(self.steps, builder, tensors).numbers))
        return builder.mark("raw", forest_from_text(self.text()).emit(builder, features))

    def training_state(self) -> dict[str, bytes]:
        """LightGBM's text model, which it loads again."""
        return {"lightgbm.txt": self.text().encode()}

    def text(self) -> str:
        """LightGBM's text model, as far as it is the model."""
        # The parameters at the end hold the number of threads, which is no part of the model.
        text: str = self._booster.model_to_string(num_iteration=self._rounds)
        return text.partition("\nparameters:")[0] + "\n"


def _without_other(features: Doubles, first_code: int) -> Doubles:
    """Features with NaN for the code of rare categories: in sets, LightGBM takes negative codes for missing anyway.

    They are changed where they are, which is what the steps made of the rows and no one else's.
    """
    codes = features[:, first_code:]
    codes[codes < 0.0] = np.nan
    return features


class _Clock:
    """A callback of LightGBM that ends the boosting, and keeps what is there, when the work should stop."""

    order = 0
    before_iteration = False

    def __init__(self, lightgbm: Any, work: Work) -> None:
        self._lightgbm, self._work = lightgbm, work
        self.stopped = False

    def __call__(self, environment: Any) -> None:
        if self._work.stopped and environment.iteration + 1 < environment.end_iteration:
            self.stopped = True
            raise self._lightgbm.callback.EarlyStopException(environment.iteration, [])


def _lightgbm() -> Any:
    try:
        with lean_import("lightgbm"):
            import lightgbm
    except ImportError:
        raise MissingExtraError("lightgbm", "train", "Training boosted trees") from None
    return lightgbm
