"""Linear models by scikit-learn: ridge regression, and logistic regression of two or more classes."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from lepton.bundle.build import GraphBuilder
from lepton.core import MissingExtraError, Work
from lepton.data.steps import Block, Tensors, apply_steps, emit_steps
from lepton.training.base import Doubles, Problem, Rows, TableLearner
from lepton.training.features import linear_steps

__all__ = ["Linear"]

_MAX_ROWS = 200_000  # coefficients of some hundred columns are not better known from more
_WIDE = 2_000  # columns from which iterative solving is quicker than the normal equations
_CHUNK = 20  # iterations between two looks at the clock
_MAX_ITERATIONS = 200
_ABSENT = -30.0  # score of a class that the rows do not have


class Linear(TableLearner):
    """Ridge or logistic regression on filled, clipped and standardised numbers and indicators of categories."""

    name = "linear"
    kind = "linear"
    library = "sklearn"

    @classmethod
    def configurations(cls, problem: Problem) -> tuple[Mapping[str, Any], ...]:
        """One, with a mild penalty."""
        return ({"label": "ridge" if problem.task == "regression" else "logistic", "penalty": 1.0},)

    @classmethod
    def load(cls) -> None:
        """Import scikit-learn."""
        _sklearn()

    def fit(self, rows: Rows, *, valid: Rows | None, work: Work) -> Self:
        """Learn from at most 200,000 of the rows, drawn by the seed."""
        if rows.block.num_rows > _MAX_ROWS:
            drawn = np.random.default_rng(self.seed).choice(rows.block.num_rows, _MAX_ROWS, replace=False)
            rows = rows.take(np.sort(drawn))
        self.steps, block = linear_steps(self.problem, rows.block)
        work.check()
        if self.problem.task == "regression":
            coefficients, intercepts = self._ridge(block.numbers, rows)
        else:
            coefficients, intercepts = self._logistic(block.numbers, rows, work)
        self._coefficients = np.ascontiguousarray(coefficients.T)  # [F, S]
        self._intercepts = intercepts
        return self

    def _ridge(self, features: Doubles, rows: Rows) -> tuple[Doubles, Doubles]:
        solver = "lsqr" if features.shape[1] > _WIDE else "cholesky"
        model = _sklearn().Ridge(alpha=self.configuration["penalty"], solver=solver)
        model.fit(features, rows.target, sample_weight=rows.weight)
        return model.coef_.reshape(1, -1), np.array([float(model.intercept_)])

    def _logistic(self, features: Doubles, rows: Rows, work: Work) -> tuple[Doubles, Doubles]:
        present = np.unique(rows.target).astype(np.int64)
        if len(present) == 1:
            return self._spread(np.zeros((1, features.shape[1])), np.zeros(1), present)
        model = _sklearn().LogisticRegression(C=1.0 / self.configuration["penalty"], warm_start=True, max_iter=_CHUNK)
        for _ in range(_MAX_ITERATIONS // _CHUNK):
            work.check()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the chunk ends before convergence: the next one goes on
                model.fit(features, rows.target, sample_weight=rows.weight)
            if model.n_iter_.max() < _CHUNK:
                break
        return self._spread(model.coef_, model.intercept_, present)

    def _spread(
        self, coefficients: Doubles, intercepts: Doubles, present: np.ndarray[Any, np.dtype[np.int64]]
    ) -> tuple[Doubles, Doubles]:
        """Coefficients for every class of the problem, where the rows may lack some."""
        num_classes = self.problem.num_classes
        if self.problem.task == "binary":
            if len(present) == 2:
                return coefficients, intercepts
            return coefficients, np.array([-_ABSENT if present[0] == 1 else _ABSENT])
        if len(present) == 2:  # scikit-learn gives one row for two classes
            coefficients = np.vstack([-coefficients / 2, coefficients / 2])
            intercepts = np.concatenate([-intercepts / 2, intercepts / 2])
        full = np.zeros((num_classes, coefficients.shape[1]))
        full[present] = coefficients
        scores = np.full(num_classes, _ABSENT)
        scores[present] = intercepts
        return full, scores

    def raw(self, block: Block) -> Doubles:
        """Features times coefficients, plus intercepts."""
        scores: Doubles = apply_steps(self.steps, block).numbers @ self._coefficients + self._intercepts
        return scores

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        """One `Gemm` behind the steps."""
        features = builder.mark("features", str(emit_steps(self.steps, builder, tensors).numbers))
        weights, bias = builder.constant(self._coefficients), builder.constant(self._intercepts)
        return builder.mark("raw", builder.node("Gemm", [features, weights, bias]))

    def training_state(self) -> dict[str, bytes]:
        """Steps, coefficients and intercepts as JSON."""
        state = {
            "steps": [step.to_dict() for step in self.steps],
            "coefficients": self._coefficients.tolist(),
            "intercepts": self._intercepts.tolist(),
        }
        return {"linear.json": json.dumps(state, ensure_ascii=False, sort_keys=True).encode()}


def _sklearn() -> Any:
    try:
        from sklearn import linear_model
    except ImportError:
        raise MissingExtraError("scikit-learn", "train", "training a linear model") from None
    return linear_model
