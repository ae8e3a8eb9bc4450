"""Several fitted learners as one: the weighted mean of their raw scores, in one graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from lepton.bundle import GraphBuilder
from lepton.core import Work
from lepton.data.steps import Block, Tensors
from lepton.training.base import LEARNERS, Doubles, Problem, Rows, TableLearner

__all__ = ["Blend"]


class Blend(TableLearner):
    """The weighted mean of other learners' raw scores; weights are above 0 and add up to 1.

    Its configuration holds `members`, each with `learner`, `configuration` and `weight`.
    """

    name = "blend"
    keeps_directions = True

    @classmethod
    def configurations(cls, problem: Problem) -> tuple[Mapping[str, Any], ...]:
        """None: a blend is made of what others have shown."""
        return ()

    @classmethod
    def of(cls, problem: Problem, configuration: Mapping[str, Any], learners: Sequence[TableLearner]) -> Blend:
        """A blend of members that are fitted already, in the order of the configuration."""
        blend = cls(problem, configuration)
        blend._learners = tuple(learners)
        return blend

    def fit(self, rows: Rows, *, valid: Rows | None, work: Work) -> Self:
        """Fit each member on the same rows."""
        learners = []
        for member in self.configuration["members"]:
            kind = LEARNERS.load(member["learner"])
            kind.load()
            learner = kind(self.problem, member["configuration"], work.seed_for(kind.name))
            learners.append(learner.fit(rows, valid=valid, work=work))
        self._learners = tuple(learners)
        return self

    @property
    def cut_short(self) -> bool:
        """Whether the time ended the fit of a member."""
        return any(learner.cut_short for learner in self._learners)

    @property
    def num_kept_rows(self) -> int:
        """Rows of the table that any member holds."""
        kept: list[int] = [learner.num_kept_rows for learner in self._learners]
        return max(kept)

    def raw(self, block: Block) -> Doubles:
        """The weighted mean of the members' raw scores."""
        return mean_of([learner.raw(block) for learner in self._learners], self._weights)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        """Every member as nodes of one graph, then the mean; only `raw` is an inner point."""
        parts = []
        for learner, weight in zip(self._learners, self._weights, strict=True):
            with builder.part():
                raw = learner.emit(builder, tensors)
            parts.append(builder.node("Mul", [raw, builder.constant(weight)]))
        total = parts[0]
        for part in parts[1:]:
            total = builder.node("Add", [total, part])
        return builder.mark("raw", total)

    @property
    def _weights(self) -> list[float]:
        return [float(member["weight"]) for member in self.configuration["members"]]

    def vocabulary(self) -> dict[str, tuple[str, ...]]:
        """The texts that any member knows."""
        known: dict[str, dict[str, None]] = {}
        for learner in self._learners:
            for column, values in learner.vocabulary().items():
                known.setdefault(column, {}).update(dict.fromkeys(values))
        return {column: tuple(values) for column, values in known.items()}


def mean_of(raw: Sequence[Doubles], weights: Sequence[float]) -> Doubles:
    """The weighted mean of raw scores, added up in their order."""
    total = raw[0] * weights[0]
    for part, weight in zip(raw[1:], weights[1:], strict=True):
        total = total + part * weight
    return np.asarray(total)
