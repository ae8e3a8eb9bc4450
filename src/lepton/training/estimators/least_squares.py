"""Least squares from moments where that is exact, from triangular factors of blocks where the condition asks for it.

Columns are scaled to unit length first: what is judged and factored is the correlation, so units do not matter. The
factors of blocks are combined as in Demmel et al., "Communication-optimal parallel and sequential QR" (2012); columns
are pivoted in the last step, so the rank is seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lepton.core import MissingExtraError
from lepton.training.estimators.moments import Moments
from lepton.training.estimators.rows import Block, Doubles

__all__ = ["Solution", "elastic_net", "is_ill_conditioned", "solve_factor", "solve_moments", "triangular_factor"]

_ILL_CONDITION = 1e-5
"""Smallest eigenvalue of the correlation, relative to the largest, above which moments keep some 10 digits."""
_NOISE = 1e-13
"""Eigenvalues of the correlation below this, relative to the largest, are rounding."""
_BLOCK_ROWS = 8_192


@dataclass(frozen=True)
class Solution:
    """Least squares of minimal length.

    Attributes:
        coefficients: [K, T].
        rank: of the features.
        inverse: of the scatter [K, K]; None below full rank.
        residual: sums of squares that are left [T]; None where only the moments could tell.
    """

    coefficients: Doubles
    rank: int
    inverse: Doubles | None
    residual: Doubles | None = None


def _scaled(moments: Moments, columns: int) -> tuple[Doubles, Doubles, Doubles]:
    """Lengths of the columns (1 where constant), their correlation and their products with the targets."""
    scatter = moments.scatter[:columns, :columns]
    lengths = np.sqrt(np.maximum(np.diag(scatter), 0.0))
    # A column is constant when what is left of it is rounding of its own mean.
    noise = np.abs(moments.mean[:columns]) * np.sqrt(max(moments.weight, 1.0)) * np.finfo(float).eps * 8
    lengths = np.where(lengths <= noise, 0.0, lengths)
    safe = np.where(lengths > 0, lengths, 1.0)
    products = moments.scatter[:columns, columns:] / safe[:, None]
    return lengths, scatter / np.outer(safe, safe), products


def is_ill_conditioned(moments: Moments, columns: int) -> bool:
    """Whether least squares from these moments would lose many of the digits."""
    lengths, correlation, _ = _scaled(moments, columns)
    used = lengths > 0
    if not used.any():
        return False
    eigenvalues = np.linalg.eigvalsh(correlation[np.ix_(used, used)])
    return bool(eigenvalues[0] < _ILL_CONDITION * eigenvalues[-1])


def solve_moments(moments: Moments, columns: int, penalty: float = 0.0) -> Solution:
    """Least squares with an L2 `penalty` from moments whose first `columns` variables are the features.

    Moments have half the digits of the rows: directions in which the scaled features vary by less than 3·10⁻⁷ of the
    largest count as none, where factors of the rows (`solve_factor`) still see them.
    """
    lengths, correlation, products = _scaled(moments, columns)
    used = lengths > 0
    coefficients = np.zeros_like(products)
    if not used.any():
        return Solution(coefficients, 0, None)
    length = lengths[used]
    values, vectors = np.linalg.eigh(correlation[np.ix_(used, used)] + np.diag(penalty / length**2))
    kept = values > values[-1] * (_NOISE if not penalty else np.finfo(float).eps * len(values))
    inner = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    coefficients[used] = (inner @ products[used]) / length[:, None]
    rank = int(kept.sum())
    if rank < len(length):
        coefficients[used] = _without(vectors[:, ~kept] / length[:, None], coefficients[used])
    inverse = inner / np.outer(length, length) if rank == columns else None
    return Solution(coefficients, rank, inverse)


def triangular_factor(blocks: Iterable[Block], mean: Doubles) -> Doubles:
    """R of the QR factors [V, V] of all rows of features, then targets, less their `mean` [V]."""
    factor = np.empty((0, mean.size))
    for x, y, weight in blocks:
        for start in range(0, len(x), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            part = np.column_stack([x[rows], y[rows]]) - mean
            if weight is not None:
                part *= np.sqrt(weight[rows])[:, None]
            factor = np.asarray(np.linalg.qr(np.concatenate([factor, part]), mode="r"))
    return factor


def solve_factor(factor: Doubles, columns: int) -> Solution:
    """Least squares of minimal length from R of the features, then the targets (`triangular_factor`)."""
    try:
        from scipy.linalg import qr, solve_triangular
    except ImportError:
        raise MissingExtraError("scipy", "train", "Stable least squares") from None
    features, targets = factor[:, :columns], factor[:, columns:]
    lengths = np.linalg.norm(features, axis=0)
    safe = np.where(lengths > 0, lengths, 1.0)
    q, r, order = qr(features / safe, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(r))
    limit = np.finfo(float).eps * max(factor.shape) * (diagonal[0] if diagonal.size else 0.0)
    rank = int((diagonal > limit).sum())
    scaled = np.zeros((columns, targets.shape[1]))
    scaled[:rank] = solve_triangular(r[:rank, :rank], (q.T @ targets)[:rank])
    coefficients = np.empty_like(scaled)
    coefficients[order] = scaled
    coefficients /= safe[:, None]
    residual = np.sum((targets - q[:, :rank] @ (q[:, :rank].T @ targets)) ** 2, axis=0)
    if rank < columns:
        # Columns of `null` are the directions that no row decides.
        null = np.empty((columns, columns - rank))
        null[order[:rank]] = -solve_triangular(r[:rank, :rank], r[:rank, rank:])
        null[order[rank:]] = np.eye(columns - rank)
        return Solution(_without(null / safe[:, None], coefficients), rank, None, residual)
    half = np.empty((columns, columns))
    half[order] = solve_triangular(r, np.eye(columns))
    half /= safe[:, None]
    return Solution(coefficients, rank, half @ half.T, residual)


def _without(null: Doubles, coefficients: Doubles) -> Doubles:
    """`coefficients` [K, T] less their part in the span of `null` [K, M]: the shortest that fit as well."""
    basis = np.linalg.qr(null)[0]
    return np.asarray(coefficients - basis @ (basis.T @ coefficients))


def elastic_net(
    moments: Moments, columns: int, l1: float, l2: float, *, max_iter: int, tol: float
) -> tuple[Doubles, int]:
    """Coefficients [K, T] that minimise ½·mean squared error + l1·|w|₁ + ½·l2·|w|², and the sweeps that it took.

    Coordinate descent on the moments (Friedman, Hastie and Tibshirani, "Regularization paths for generalized linear
    models via coordinate descent", 2010): exact, at any number of rows. Stops when no coefficient moves more than `tol`
    of the largest.
    """
    scatter = moments.scatter[:columns, :columns] / moments.weight
    products = moments.scatter[:columns, columns:] / moments.weight
    coefficients = np.zeros_like(products)
    diagonal = np.diag(scatter) + l2
    sweeps = 0
    for target in range(products.shape[1]):
        w = coefficients[:, target]
        residual = products[:, target].copy()  # products - scatter @ w, kept up to date
        for sweep in range(1, max_iter + 1):
            moved = 0.0
            for column in np.flatnonzero(diagonal > 0):
                earlier = w[column]
                pull = residual[column] + scatter[column, column] * earlier
                later = np.sign(pull) * max(abs(pull) - l1, 0.0) / diagonal[column]
                if later != earlier:
                    residual -= scatter[:, column] * (later - earlier)
                    w[column] = later
                    moved = max(moved, abs(later - earlier))
            sweeps = max(sweeps, sweep)
            if moved <= tol * max(np.abs(w).max(initial=0.0), np.finfo(float).tiny):
                break
    return coefficients, sweeps
