"""What logistic regression sums over rows: loss, gradient and curvature, which add up over parts of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode
from lepton.training.estimators.rows import Doubles, product

__all__ = ["LogisticRecord", "logistic_record", "sigmoid", "softmax"]


@dataclass(frozen=True)
class LogisticRecord:
    """Sums over some rows at given parameters; the sums of parts add up to those of the whole.

    Attributes:
        parameters: where the sums were taken, [S, K + 1], intercepts last.
        count: rows.
        weight: sum of their weights.
        loss: sum of weight × -log probability of the true class.
        gradient: [S, K + 1].
        curvature: second derivatives [S (K + 1), S (K + 1)], or None where they were not asked for.
    """

    parameters: Doubles
    count: int
    weight: float
    loss: float
    gradient: Doubles
    curvature: Doubles | None

    def __add__(self, other: LogisticRecord) -> LogisticRecord:
        """The record of both parts together.

        Raises:
            DataError: the two were taken at different parameters.
        """
        if self.parameters is not other.parameters and not np.array_equal(self.parameters, other.parameters):
            came = "the parts were measured at different parameters"
            raise DataError(ErrorCode.WRONG_SHAPE, came, fix="send every part the same parameters, then add")
        curvature = None
        if self.curvature is not None and other.curvature is not None:
            curvature = self.curvature + other.curvature
        return LogisticRecord(
            self.parameters,
            self.count + other.count,
            self.weight + other.weight,
            self.loss + other.loss,
            self.gradient + other.gradient,
            curvature,
        )


def logistic_record(
    x: NDArray[Any], y: NDArray[np.int64], weight: Doubles | None, at: Doubles, curvature: bool
) -> LogisticRecord:
    """Sums over one part.

    Args:
        x: features [n, K].
        y: class numbers [n].
        weight: [n], or None for 1.
        at: parameters [S, K + 1]; one score for two classes.
        curvature: whether the second derivatives are wanted.
    """
    x = np.asarray(x, dtype=np.float64)
    w = np.ones(len(x)) if weight is None else weight
    scores = product(x, at[:, :-1].T) + at[:, -1]
    if len(at) == 1:
        z = scores[:, 0]
        shrunk = np.exp(-np.abs(z))  # never overflows
        p = np.where(z >= 0, 1.0, shrunk) / (1.0 + shrunk)
        losses = np.maximum(z, 0.0) - y * z + np.log1p(shrunk)
        miss = ((p - y) * w)[:, None]
        second = _weighted_square(x, w * shrunk / (1.0 + shrunk) ** 2) if curvature else None
    else:
        rows = np.arange(len(x))
        scores -= scores.max(axis=1, keepdims=True)
        powers = np.exp(scores)
        sums = powers.sum(axis=1)
        losses = np.log(sums) - scores[rows, y]
        p = powers / sums[:, None]
        miss = p * w[:, None]
        second = _curvature(x, p, miss) if curvature else None
        miss[rows, y] -= w
    gradient = np.column_stack([product(miss.T, x), miss.sum(axis=0)])
    return LogisticRecord(at, len(x), float(w.sum()), float(losses @ w), gradient, second)


def _curvature(x: Doubles, p: Doubles, weighted: Doubles) -> Doubles:
    """Second derivatives of softmax from probabilities [n, S] and the same times the weights."""
    size, num_scores = x.shape[1] + 1, p.shape[1]
    # One product for all pairs of scores: (p_a × (row, 1)) of every score side by side.
    wide = np.empty((len(x), num_scores, size))
    roots = np.sqrt(weighted * p)
    np.multiply(roots[:, :, None], x[:, None, :], out=wide[:, :, :-1])
    wide[:, :, -1] = roots
    out = -product(wide.reshape(len(x), -1).T, wide.reshape(len(x), -1)).reshape(num_scores, size, num_scores, size)
    for a in range(num_scores):
        out[a, :, a] += _weighted_square(x, weighted[:, a])
    return out.reshape(num_scores * size, num_scores * size)


def _weighted_square(x: Doubles, weight: Doubles) -> Doubles:
    """The sum over rows of weight × (row, 1)(row, 1)ᵀ."""
    roots = np.sqrt(weight)
    design = np.empty((len(x), x.shape[1] + 1))
    np.multiply(x, roots[:, None], out=design[:, :-1])
    design[:, -1] = roots
    return product(design.T, design)  # of the same array: half the work


def sigmoid(z: Doubles) -> Doubles:
    """1 / (1 + exp(-z)) without overflow."""
    shrunk = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1.0, shrunk) / (1.0 + shrunk))


def softmax(scores: Doubles) -> Doubles:
    """Probabilities [n, S] from scores [n, S]."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
