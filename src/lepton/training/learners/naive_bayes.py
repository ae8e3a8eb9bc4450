"""Naive Bayes: each column tells of the class by itself; numbers by a normal distribution, categories by counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import Work
from lepton.data.steps import Block, Clip, OneHot, Standardise, Tensors, apply_steps, emit_steps
from lepton.training.base import Doubles, Problem, Rows, TableLearner
from lepton.training.features import plain_steps
from lepton.training.spaces import Dimension, Real

__all__ = ["NaiveBayes"]

_MAX_ROWS = 200_000
_MAX_CATEGORIES = 50  # of a column that have a count of their own
_ABSENT = -30.0  # score of a class that the rows do not have, below the others
_HELD_OUT = 0.25
_TRUSTS = tuple(0.05 * step for step in range(1, 21))
_DOUBLE = 11  # onnx.TensorProto


class NaiveBayes(TableLearner):
    """The log of each class's share, plus what each column says of it.

    A number that is not there says only that it is missing, and a category that training never saw says nothing. Means
    and variances are drawn towards those of all classes, and counts towards the shares of all classes, as if
    `prior_rows` rows of them had been seen in each class. What all columns say together is multiplied by one number of
    at most 1, because columns that say the same are not independent.

    Written out it is linear: coefficients of each standardised number, of its square, of its being there, and of
    indicators of categories.
    """

    name = "naive-bayes"
    asked_only = True
    _coefficients: Doubles
    _intercepts: Doubles
    _shares: Doubles

    @classmethod
    def configurations(cls, problem: Problem) -> tuple[Mapping[str, Any], ...]:
        """One, for classes; numbers are not predicted by it."""
        return () if problem.task not in {"binary", "multiclass"} else ({"label": "naive Bayes", "prior_rows": 1.0},)

    @classmethod
    def space(cls, problem: Problem) -> Mapping[str, Dimension]:
        """How strongly classes are taken to be alike."""
        return {"prior_rows": Real(0.01, 1000.0, 1.0, log=True)} if cls.configurations(problem) else {}

    def fit(self, rows: Rows, *, valid: Rows | None, work: Work) -> Self:
        """Count, in at most 200,000 of the rows, drawn by the seed."""
        work.check()
        rows = rows.drawn(_MAX_ROWS, self.seed)
        steps, block = plain_steps(self.problem, rows.block)
        self._numbers = len(block.number_names) - len(self.problem.categories)
        fitted = list(steps)
        for kind in (Clip, Standardise):
            fitted.append(kind.fit(block, columns=block.number_names[: self._numbers]))
            block = fitted[-1].apply(block)
        fitted.append(OneHot.fit(block, columns=self.problem.categories, max_categories=_MAX_CATEGORIES))
        block = fitted[-1].apply(block)
        self.steps = tuple(fitted)
        work.check()
        trust = self._trust(block.numbers, rows)
        self._count(block.numbers, rows)
        self._coefficients = trust * self._coefficients
        self._intercepts = self._shares + trust * (self._intercepts - self._shares)
        return self

    def _trust(self, features: Doubles, rows: Rows) -> float:
        """What evidence is multiplied by: columns that say the same are counted twice, which a part held out shows."""
        held = np.random.default_rng(self.seed).random(len(features)) < _HELD_OUT
        learned, rest = np.flatnonzero(~held), np.flatnonzero(held)
        if not len(learned) or not len(rest):
            return 1.0
        self._count(features[learned], rows.take(learned))
        evidence = self._evidence(features[rest]) - self._shares
        truth = rows.target[rest].astype(np.int64)
        weight = np.ones(len(rest)) if rows.weight is None else rows.weight[rest]
        losses = [float(weight @ self._losses(self._shares + trust * evidence, truth)) for trust in _TRUSTS]
        return _TRUSTS[int(np.argmin(losses))]

    def _losses(self, scores: Doubles, truth: NDArray[np.int64]) -> Doubles:
        """Log-loss of each row [N]."""
        scores = np.hstack([np.zeros_like(scores), scores]) if self.problem.task == "binary" else scores
        shifted = scores - scores.max(axis=1, keepdims=True)
        return np.asarray(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(truth)), truth])

    def _count(self, features: Doubles, rows: Rows) -> None:
        """Coefficients [3k + i, S] of numbers, their squares, their being there and indicators; intercepts [S]."""
        num_classes, prior = self.problem.num_classes, float(self.configuration["prior_rows"])
        members = np.zeros((len(features), num_classes))
        members[np.arange(len(features)), rows.target.astype(np.int64)] = 1.0 if rows.weight is None else rows.weight
        totals = members.sum(axis=0)
        numbers, indicators = features[:, : self._numbers], features[:, self._numbers :]
        there = ~np.isnan(numbers)
        filled = np.where(there, numbers, 0.0)
        known = members.T @ there  # rows of each class in which each number is there [C, k]
        overall = known.sum(axis=0)
        mean_of_all = _divided((members.T @ filled).sum(axis=0), overall)
        square_of_all = _divided((members.T @ filled**2).sum(axis=0), overall)
        spread_of_all = np.maximum(square_of_all - mean_of_all**2, 1e-9)
        means = (members.T @ filled + prior * mean_of_all) / (known + prior)
        squares = members.T @ filled**2 - 2.0 * means * (members.T @ filled) + known * means**2
        variances = np.maximum((np.maximum(squares, 0.0) + prior * spread_of_all) / (known + prior), 1e-9)
        # A number that is there or not is one more category; where it always is there, that says nothing.
        share_of_all = _divided(overall, np.full(self._numbers, totals.sum()))
        given = (known + prior * share_of_all) / (totals[:, None] + prior)
        absent = np.log(np.maximum(1.0 - given, 1e-9)) * (share_of_all < 1.0)
        present = np.log(np.maximum(given, 1e-9)) - 0.5 * np.log(variances) - 0.5 * means**2 / variances - absent
        shares_of_all = _divided((members.T @ indicators).sum(axis=0), np.full(indicators.shape[1], totals.sum()))
        shares = (members.T @ indicators + prior * shares_of_all) / (totals[:, None] + prior)
        logs = np.log(np.maximum(shares, 1e-9))
        logs -= logs.mean(axis=0)  # categories that were never seen have no indicator, and say as little as this
        coefficients = np.hstack([means / variances, -0.5 / variances, present, logs])
        shares_of_classes = np.log(np.maximum(totals, 1e-9) / max(totals.sum(), 1e-9))
        intercepts = shares_of_classes + absent.sum(axis=1)
        seen = totals > 0
        if seen.any() and not seen.all():
            coefficients[~seen] = coefficients[seen].mean(axis=0)
            shares_of_classes[~seen] = _ABSENT
            intercepts[~seen] = intercepts[seen].min() + _ABSENT
        if self.problem.task == "binary":
            coefficients, intercepts = coefficients[1:] - coefficients[:1], intercepts[1:] - intercepts[:1]
            shares_of_classes = shares_of_classes[1:] - shares_of_classes[:1]
        self._coefficients, self._intercepts = np.ascontiguousarray(coefficients.T), intercepts
        self._shares = shares_of_classes

    def raw(self, block: Block) -> Doubles:
        """The log of each class's share of rows with those columns, up to what all classes have in common."""
        return self._evidence(apply_steps(self.steps, block).numbers)

    def _evidence(self, features: Doubles) -> Doubles:
        numbers, indicators = features[:, : self._numbers], features[:, self._numbers :]
        there = ~np.isnan(numbers)
        filled = np.where(there, numbers, 0.0)
        joined = np.hstack([filled, filled * filled, there, indicators])
        return np.asarray(joined @ self._coefficients + self._intercepts)

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        """One `Gemm` of the numbers, their squares, their being there and the indicators."""
        features = builder.mark("features", str(emit_steps(self.steps, builder, tensors).numbers))
        width = builder.constant(np.array([self._numbers, len(self._coefficients) - 3 * self._numbers]))
        numbers, indicators = builder.node("Split", [features, width], outputs=2, axis=1)
        missing = builder.node("IsNaN", [numbers])
        filled = builder.node("Where", [missing, builder.constant(0.0), numbers])
        there = builder.node("Cast", [builder.node("Not", [missing])], to=_DOUBLE)
        squares = builder.node("Mul", [filled, filled])
        joined = builder.node("Concat", [filled, squares, there, indicators], axis=1)
        weights, bias = builder.constant(self._coefficients), builder.constant(self._intercepts)
        return builder.mark("raw", builder.node("Gemm", [joined, weights, bias]))


def _divided(part: Doubles, whole: Doubles) -> Doubles:
    return np.asarray(part / np.maximum(whole, 1e-12))
