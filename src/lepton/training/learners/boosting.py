"""Boosted trees by LightGBM for what one score does not tell: quantiles, several labels, the order within queries."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any, Self

import numpy as np

from lepton.bundle import GraphBuilder
from lepton.core import Work
from lepton.data.steps import Block, Tensors, emit_steps
from lepton.training.base import Doubles, Problem, Rows, TableLearner
from lepton.training.learners.lightgbm import LightGBM
from lepton.training.learners.lightgbm_forest import forest_from_text
from lepton.training.spaces import Dimension, Real, Whole

__all__ = ["Boosting"]

_MANY = 20  # columns of scores from which on one configuration is tried only
_SLOW = {"native": False, "learning_rate": 0.06, "max_rounds": 1000, "patience": 50, "lambda_l2": 1.0}


class Boosting(TableLearner):
    """One model of boosted trees for each column of the raw scores; all stand on the same features."""

    name = "boosting"
    library = "lightgbm"
    load_seconds = 1.5
    tasks = ("quantile", "multilabel", "ranking")

    @classmethod
    def configurations(cls, problem: Problem) -> tuple[Mapping[str, Any], ...]:
        """LightGBM's defaults first, then slower learning that stops early, of small and of medium trees."""
        tried: list[dict[str, Any]] = [
            {"label": "defaults", "native": False, "max_rounds": 100, "patience": None},
            {"label": "small trees", **_SLOW, "num_leaves": 12, "feature_fraction": 0.6},
            {"label": "medium trees", **_SLOW, "num_leaves": 40, "feature_fraction": 0.6},
        ]
        return tuple(tried[:1] if problem.num_scores > _MANY else tried)

    @classmethod
    def space(cls, problem: Problem) -> Mapping[str, Dimension]:
        """Size and number of leaves, sampling of columns, penalties; nothing where there are many columns of scores."""
        if problem.num_scores > _MANY:
            return {}
        return {
            "num_leaves": Whole(4, 128, 31, log=True),
            "min_data_in_leaf": Whole(2, 100, 20, log=True),
            "learning_rate": Real(0.02, 0.2, 0.1, log=True),
            "feature_fraction": Real(0.4, 1.0, 1.0),
            "lambda_l2": Real(1e-3, 100.0, 1e-3, log=True),
        }

    @classmethod
    def configured(cls, problem: Problem, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Boosting that stops early."""
        return {"native": False, "max_rounds": 1000, "patience": 50, **values}

    @classmethod
    def load(cls) -> None:
        """Import LightGBM."""
        LightGBM.load()

    def fit(self, rows: Rows, *, valid: Rows | None, work: Work) -> Self:
        """Fit one column after the other, each in its share of the time."""
        if self.problem.task == "ranking":
            rows, valid = _by_query(rows), None if valid is None else _by_query(valid)
        members = []
        for place in range(self.problem.num_scores):
            left = self.problem.num_scores - place
            part = work.part(None if work.remaining is None else work.remaining / left)
            member = LightGBM(self._member_problem(), self._member_configuration(place), self.seed)
            own = None if valid is None else _column(valid, place)
            members.append(member.fit(_column(rows, place), valid=own, work=part))
        self._members = tuple(members)
        self.steps = members[0].steps
        return self

    def _member_problem(self) -> Problem:
        """What LightGBM takes each column for; the objective of the configuration goes before that of the task."""
        task = "binary" if self.problem.task == "multilabel" else "regression"
        return replace(self.problem, task=task, num_classes=2 if task == "binary" else 0, many_valued=())

    def _member_configuration(self, place: int) -> Mapping[str, Any]:
        configuration = {key: value for key, value in self.configuration.items() if key != "rounds"}
        if self.problem.task == "quantile":
            configuration |= {"objective": "quantile", "alpha": self.problem.quantiles[place]}
        if self.problem.task == "ranking":
            configuration |= {"objective": "lambdarank", "eval_at": [10]}
        if "rounds" in self.configuration:
            configuration |= {"max_rounds": self.configuration["rounds"][place], "patience": None}
        return configuration

    @property
    def cut_short(self) -> bool:
        """Whether the clock ended the boosting of a column."""
        return any(member.cut_short for member in self._members)

    @classmethod
    def settled(cls, configuration: Mapping[str, Any], fitted: Sequence[Self]) -> Mapping[str, Any]:
        """As many rounds for each column as its median fold wanted, and no early stopping."""
        columns = zip(*([member.num_rounds for member in learner._members] for learner in fitted), strict=True)
        return {**configuration, "rounds": [max(1, round(median(rounds))) for rounds in columns]}

    @classmethod
    def smaller(cls, settled: Mapping[str, Any], share: float) -> Mapping[str, Any] | None:
        """Fewer rounds."""
        rounds = [int(share * each) for each in settled["rounds"]]
        return {**settled, "rounds": rounds} if all(rounds) else None

    def limited(self, settled: Mapping[str, Any]) -> Self:
        """The same trees, up to the settled number of rounds of each column."""
        limited = copy.copy(self)
        limited._members = tuple(
            member.limited({**member.configuration, "max_rounds": rounds})
            for member, rounds in zip(self._members, settled["rounds"], strict=True)
        )
        return limited

    def raw(self, block: Block) -> Doubles:
        """The scores of each column beside each other."""
        return np.hstack([member.raw(block) for member in self._members])

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        """One `TreeEnsemble` for each column, all behind the same steps."""
        features = builder.mark("features", str(emit_steps(self.steps, builder, tensors).numbers))
        parts = [forest_from_text(member.text()).emit(builder, features) for member in self._members]
        return builder.mark("raw", builder.node("Concat", parts, axis=1) if len(parts) > 1 else parts[0])

    def training_state(self) -> dict[str, bytes]:
        """LightGBM's text model of each column."""
        return {f"lightgbm-{place}.txt": member.text().encode() for place, member in enumerate(self._members)}


def _by_query(rows: Rows) -> Rows:
    """Rows of a query behind each other, as LightGBM takes them."""
    return rows if rows.queries is None else rows.take(np.argsort(rows.queries, kind="stable"))


def _column(rows: Rows, place: int) -> Rows:
    return rows if rows.target.ndim == 1 else replace(rows, target=np.ascontiguousarray(rows.target[:, place]))
