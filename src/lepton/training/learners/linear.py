"""Linear models: ridge regression, and logistic regression of two or more classes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import GraphBuilder
from lepton.core import MissingExtraError, Work
from lepton.data.steps import Block, Products, Tensors, TextGrams, apply_steps, emit_steps
from lepton.training.base import Doubles, Problem, Rows, TableLearner
from lepton.training.features import linear_steps, text_steps
from lepton.training.interactions import best_products
from lepton.training.spaces import Choice, Dimension, Real
from lepton.training.threads import blas_threads

__all__ = ["Linear"]

_MAX_ROWS = 200_000  # coefficients of some hundred columns are not better known from more
_STEP_ROWS = 20_000  # that medians, ranges and categories are learned from
_MAX_CELLS = 8_000_000
_ROWS_AT_ONCE = 16_384
_MAX_LETTERS = 20_000_000  # of texts
_MAX_NORMAL = 2_000  # columns up to which the normal equations are quicker than iterating
_MAX_ITERATIONS = 200
_BEND = 0.05  # of the target's standard deviation, over which the pinball loss is rounded off
_LABELS = {"regression": "ridge", "ranking": "ridge", "quantile": "quantiles"}
_PRODUCTS = (0, 10, 30, 100)
_ROWS_FOR_PRODUCTS = 2_000  # with fewer, products are known too badly to be tried first
_ABSENT = -30.0  # score of a class that the rows do not have

Loss = Callable[[Doubles], tuple[Doubles, Doubles]]
"""Scores [N, S] → the loss of each row [N] and its derivative by the scores [N, S]."""


class Linear(TableLearner):
    """Ridge or logistic regression on filled, clipped and standardised numbers and indicators of categories.

    With `products`, so many products of two of these are learned from too: those that go best with what a first fit
    leaves over (`docs/decisions/0167-columns-made-of-two-columns.md`).

    Minimises the weighted sum of losses plus `penalty / 2` times the sum of squared coefficients (intercepts are
    free): scikit-learn's `Ridge(alpha=penalty)` and `LogisticRegression(C=1 / penalty)`.
    """

    name = "linear"
    kind = "linear"
    library = "scipy.optimize"
    load_seconds = 0.5
    tasks = (*TableLearner.tasks, "quantile", "multilabel", "ranking")
    _coefficients: Doubles
    _intercepts: Doubles

    @classmethod
    def configurations(cls, problem: Problem) -> tuple[Mapping[str, Any], ...]:
        """One with a mild penalty, and one with products; with texts, whose columns are small numbers, weaker ones."""
        label = _LABELS.get(problem.task, "logistic")
        if problem.texts:
            return ({"label": label, "penalty": 0.1}, {"label": f"{label}, weak penalty", "penalty": 0.02})
        tried: list[Mapping[str, Any]] = [{"label": label, "penalty": 1.0}]
        if problem.num_rows >= _ROWS_FOR_PRODUCTS and problem.task != "quantile":
            most = _PRODUCTS[-1]
            tried.append({"label": f"{label}, {most} products of columns", "penalty": 1.0, "products": most})
        return tuple(tried)

    @classmethod
    def space(cls, problem: Problem) -> Mapping[str, Dimension]:
        """The penalty, and how many products."""
        return {"penalty": Real(1e-3, 1e3, 1.0, log=True), "products": Choice(_PRODUCTS, 0)}

    def fit(self, rows: Rows, *, valid: Rows | None, work: Work) -> Self:
        """Learn from at most 200,000 of the rows (fewer where there are very many columns), drawn by the seed."""
        with blas_threads(work.resources.cpus):
            return self._fitted(rows, work)

    def _fitted(self, rows: Rows, work: Work) -> Self:
        self._cut_short = False
        rows = rows.drawn(_MAX_ROWS, self.seed)
        some = rows.drawn(_STEP_ROWS, self.seed)
        self.steps, block = linear_steps(self.problem, some.block)
        work.check()
        num_features, products = block.numbers.shape[1], int(self.configuration.get("products", 0))
        rows = rows.drawn(max(1, _MAX_CELLS // (num_features + products)), self.seed)
        if rows is not some:
            block = apply_steps(self.steps, rows.block)
        if self.problem.texts:
            # Half of what is counted are the separators between characters.
            rows = rows.drawn(max(1, 2 * _MAX_LETTERS // self._mean_length(rows.block)), self.seed)
            block = apply_steps(self.steps, rows.block) if rows.block.num_rows < block.num_rows else block
        self._texts = text_steps(self.problem, rows.block)
        features = _beside(block.numbers, self._texts, rows.block)
        work.check()
        self._learn(features, rows, work)
        if products and not self._cut_short:
            rest = -self._loss(rows)(features @ self._coefficients + self._intercepts)[1]
            rest = rest if rows.weight is None else rest * rows.weight[:, None]
            told = np.abs(self._coefficients[:num_features]).max(axis=1)
            step = Products.fit(block, pairs=best_products(block, told, rest, products))
            self.steps = (*self.steps, step)
            self._learn(_beside(step.apply(block).numbers, self._texts, rows.block), rows, work)
        return self

    def _learn(self, features: Any, rows: Rows, work: Work) -> None:
        """Coefficients and intercepts of features [N, F]."""
        weight = np.ones(features.shape[0]) if rows.weight is None else rows.weight
        penalty = float(self.configuration["penalty"])
        task = self.problem.task
        if task in {"regression", "ranking"} and features.shape[1] <= _MAX_NORMAL and not self._texts:
            self._coefficients, self._intercepts = _ridge(features, rows.target, weight, penalty)
            return
        self._descend(features, self._loss(rows), weight, penalty, work)
        if task == "quantile":
            middle, spread = _middle_and_spread(rows.target)
            self._coefficients = self._coefficients * spread
            self._intercepts = self._intercepts * spread + middle
        if task == "multiclass":
            present = np.bincount(rows.target.astype(np.int64), minlength=self.problem.num_classes) > 0
            self._intercepts = np.where(present, self._intercepts, _ABSENT + self._intercepts[present].mean())

    def _loss(self, rows: Rows) -> Loss:
        """What is minimised, of scores; of quantiles, in units of the target's deviation from its median."""
        match self.problem.task:
            case "quantile":
                # The loss has slopes of at most 1, whatever the unit: far numbers would not be reached.
                middle, spread = _middle_and_spread(rows.target)
                return _pinball((rows.target - middle) / spread, self.problem.quantiles)
            case "multilabel":
                return _labels(rows.target)
            case "binary":
                return _logistic(rows.target.astype(np.int64))
            case "multiclass":
                return _softmax(rows.target.astype(np.int64))
            case _:
                return _squares(rows.target)

    @property
    def cut_short(self) -> bool:
        """Whether the time ended the iterations."""
        return self._cut_short

    def _descend(self, features: Any, loss: Loss, weight: Doubles, penalty: float, work: Work) -> None:
        """Coefficients [F, S] and intercepts [S] at the minimum, by L-BFGS; those so far where the time ends before."""
        shape = (features.shape[1] + 1, self.problem.num_scores)
        scale = max(weight.sum(), np.finfo(np.float64).tiny)

        def objective(flat: Doubles) -> tuple[float, Doubles]:
            parameters = flat.reshape(shape)
            values, slopes = loss(features @ parameters[:-1] + parameters[-1])
            slopes = slopes * (weight / scale)[:, None]
            gradient = np.vstack([features.T @ slopes + penalty / scale * parameters[:-1], slopes.sum(axis=0)[None, :]])
            value = weight @ values / scale + 0.5 * penalty / scale * np.sum(parameters[:-1] ** 2)
            return float(value), gradient.ravel()

        def look_at_the_clock(flat: Doubles) -> None:
            if work.stopped:
                self._cut_short = True
                raise StopIteration

        found = _optimize().minimize(
            objective,
            np.zeros(shape).ravel(),
            jac=True,
            method="L-BFGS-B",
            callback=look_at_the_clock,
            options={"maxiter": _MAX_ITERATIONS, "gtol": 1e-5, "ftol": 1e-9},
        )
        parameters = found.x.reshape(shape)
        self._coefficients, self._intercepts = np.ascontiguousarray(parameters[:-1]), parameters[-1]

    def _mean_length(self, block: Block) -> int:
        letters = sum(int(block.strings[column].str.len_chars().sum()) for column in self.problem.texts)
        return 1 + letters // max(1, block.num_rows)

    def raw(self, block: Block) -> Doubles:
        """Features times coefficients, plus intercepts."""
        scores = np.empty((block.num_rows, len(self._intercepts)))
        for first in range(0, block.num_rows, _ROWS_AT_ONCE):
            part = block.part(first, _ROWS_AT_ONCE)
            features = _beside(apply_steps(self.steps, part).numbers, self._texts, part)
            scores[first : first + part.num_rows] = features @ self._coefficients + self._intercepts
        return scores

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> str:
        """One `Gemm` behind the steps."""
        texts = [step.emit_weights(builder, tensors) for step in self._texts]
        parts = [part for part in (emit_steps(self.steps, builder, tensors).numbers, *texts) if part is not None]
        features = builder.mark("features", builder.node("Concat", parts, axis=1) if len(parts) > 1 else parts[0])
        weights, bias = builder.constant(self._coefficients), builder.constant(self._intercepts)
        return builder.mark("raw", builder.node("Gemm", [features, weights, bias]))

    def training_state(self) -> dict[str, bytes]:
        """Steps, coefficients and intercepts as JSON."""
        state = {
            "steps": [step.to_dict() for step in self.steps],
            "texts": [step.to_dict() for step in self._texts],
            "coefficients": self._coefficients.tolist(),
            "intercepts": self._intercepts.tolist(),
        }
        return {"linear.json": json.dumps(state, ensure_ascii=False, sort_keys=True).encode()}


def _beside(numbers: Doubles, texts: Sequence[TextGrams], block: Block) -> Any:
    """Numbers with the n-grams of texts beside them, as a sparse matrix where there are any."""
    if not texts:
        return numbers
    import scipy.sparse

    return scipy.sparse.hstack([scipy.sparse.csr_array(numbers), *(step.sparse(block) for step in texts)], format="csr")


def _ridge(features: Doubles, target: Doubles, weight: Doubles, penalty: float) -> tuple[Doubles, Doubles]:
    """The exact minimum, by the normal equations of centred rows."""
    total = max(weight.sum(), np.finfo(np.float64).tiny)
    means: Doubles = weight @ features / total
    mean = weight @ target / total
    gram, moments = np.zeros((len(means), len(means))), np.zeros(len(means))
    for first in range(0, len(features), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        centred = features[part] - means
        weighted = centred * weight[part, None]
        gram += weighted.T @ centred
        moments += weighted.T @ (target[part] - mean)
    gram[np.diag_indices_from(gram)] += penalty
    coefficients: Doubles = np.asarray(np.linalg.solve(gram, moments), dtype=np.float64)
    return coefficients[:, None], np.array([mean - means @ coefficients])


def _middle_and_spread(target: Doubles) -> tuple[float, float]:
    return float(np.median(target)), float(np.std(target)) or 1.0


def _squares(target: Doubles) -> Loss:
    def loss(scores: Doubles) -> tuple[Doubles, Doubles]:
        rest = scores - target[:, None]
        return 0.5 * rest[:, 0] ** 2, rest

    return loss


def _pinball(target: Doubles, shares: Sequence[float]) -> Loss:
    """The pinball loss of each share, rounded off where it bends, so that it has a slope."""
    wanted = np.array(shares)
    width = max(_BEND * float(np.std(target)), np.finfo(np.float64).tiny)

    def loss(scores: Doubles) -> tuple[Doubles, Doubles]:
        rest = target[:, None] - scores
        bent = np.logaddexp(0.0, -rest / width)
        below = np.exp(-np.logaddexp(0.0, rest / width))
        return (wanted * rest + width * bent).sum(axis=1), below - wanted

    return loss


def _labels(target: Doubles) -> Loss:
    sign = np.where(target > 0.0, 1.0, -1.0)

    def loss(scores: Doubles) -> tuple[Doubles, Doubles]:
        margin = sign * scores
        return np.logaddexp(0.0, -margin).sum(axis=1), -sign * np.exp(-np.logaddexp(0.0, margin))

    return loss


def _logistic(classes: NDArray[np.int64]) -> Loss:
    sign = np.where(classes == 1, 1.0, -1.0)[:, None]

    def loss(scores: Doubles) -> tuple[Doubles, Doubles]:
        margin = sign * scores
        return np.logaddexp(0.0, -margin)[:, 0], -sign * np.exp(-np.logaddexp(0.0, margin))

    return loss


def _softmax(classes: NDArray[np.int64]) -> Loss:
    rows = np.arange(len(classes))

    def loss(scores: Doubles) -> tuple[Doubles, Doubles]:
        shifted = scores - scores.max(axis=1, keepdims=True)
        powers = np.exp(shifted)
        sums = powers.sum(axis=1)
        slopes = powers / sums[:, None]
        slopes[rows, classes] -= 1.0
        return np.log(sums) - shifted[rows, classes], slopes

    return loss


def _optimize() -> Any:
    try:
        import scipy.optimize
    except ImportError:
        raise MissingExtraError("scipy", "train", "Training a linear model") from None
    return scipy.optimize
