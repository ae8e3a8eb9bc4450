"""Ridge regression in closed form, the strength of the penalty chosen by leaving out one row at a time.

With the eigenvectors of the moments the errors on left-out rows of every strength come without fitting again
(Golub, Heath and Wahba, "Generalized Cross-Validation", Technometrics 1979; the PRESS statistic of Allen 1974).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ridge", "centre_and_scale", "fit_ridge"]

Doubles = NDArray[np.float64]

_STRENGTHS = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # a row


@dataclass(frozen=True)
class Ridge:
    """Weights of a linear rule.

    Attributes:
        intercepts: one for each answer [K].
        weights: of each feature [p, K].
        left_out: what the rule says of each row that it learned from, without that row [n, K].
    """

    intercepts: Doubles
    weights: Doubles
    left_out: Doubles


def centre_and_scale(values: Doubles) -> tuple[float, float]:
    """Mean and standard deviation of finite numbers [n], n ≥ 1, whose squares may be beyond the doubles."""
    largest = float(np.abs(values).max())
    if largest == 0.0:
        return 0.0, 0.0
    relative = values / largest
    return float(relative.mean() * largest), float(relative.std() * largest)


def fit_ridge(features: Doubles, answers: Doubles) -> Ridge:
    """Fit the rule whose squared errors on left-out rows are least; the means alone where no rule is better.

    Args:
        features: [n, p], n ≥ 2, of about the same size each.
        answers: [n, K].
    """
    rows, means = len(features), answers.mean(axis=0)
    centres = features.mean(axis=0)
    inner, centred = features - centres, answers - means
    spread, vectors = np.linalg.eigh(inner.T @ inner)
    spread = np.maximum(spread, 0.0)
    turned = inner @ vectors
    moments = turned.T @ centred
    best = Ridge(means, np.zeros((features.shape[1], answers.shape[1])), means - centred / (rows - 1))
    least = float(((answers - best.left_out) ** 2).sum())
    for strength in _STRENGTHS:
        shrunk = 1.0 / (spread + strength * rows)
        leverage = (turned**2) @ shrunk + 1.0 / rows
        errors = (centred - turned @ (shrunk[:, None] * moments)) / np.maximum(1.0 - leverage, 1e-12)[:, None]
        total = float((errors**2).sum())
        if total < least:
            weights = vectors @ (shrunk[:, None] * moments)
            least, best = total, Ridge(means - centres @ weights, weights, answers - errors)
    return best
