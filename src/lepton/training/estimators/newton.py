"""Steps to the minimum of a penalised loss from sums over rows, one at a time: Newton, quasi-Newton, proximal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lepton.training.estimators.logistic_sums import LogisticRecord
from lepton.training.estimators.rows import Doubles

__all__ = ["SEPARATED_LOSS", "Stepper", "newton_move"]

SEPARATED_LOSS = 1e-6
"""Mean loss without a penalty below which every row is on the right side, and the loss has no minimum."""
_NEAR = 1e-3
_LIFT = 1e-12
"""What is added to the correlation of the parameters: directions that no row decides stay at rest."""
_MEMORY = 10
_MAX_SWEEPS = 200
_SWEPT = 1e-9
_SMALLEST_SHARE = 1e-8
_TINY = 1e-300


class Stepper:
    """Chooses steps, and takes those back by half that made things worse.

    A step is a Newton step where the record has its curvature. Otherwise it is a quasi-Newton step (L-BFGS; Nocedal,
    1980) that starts from the `held` curvature of a sample of the rows, or from nothing. With an L1 penalty steps are
    proximal (Lee, Sun and Saunders, 2014).

    Args:
        strengths: L1 and L2 of the mean loss.
        fit_intercept: whether the last column is free or held at 0.
        tol: share of the objective; settled when the model of it promises no more.
        held: curvature of the mean loss over a sample, [S (K + 1), S (K + 1)], or None.

    Attributes:
        best: the best parameters that were measured.
        objective: the mean loss with its penalty there.
        loss: the mean loss there.
        settled: whether the next step is the last.
        near: whether the next step promises so little that the curvature will hardly change, and yet is not the last.
    """

    def __init__(
        self, strengths: tuple[float, float], fit_intercept: bool, tol: float, held: Doubles | None = None
    ) -> None:
        self.l1, self.l2 = strengths
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.held = held
        self.settled = False
        self.near = False
        self.objective = float("inf")
        self.loss = float("inf")
        self.best: Doubles | None = None
        self._slope: Doubles = np.empty(0)
        self._move: Doubles = np.empty(0)
        self._share = 1.0
        self._pairs: list[tuple[Doubles, Doubles]] = []
        self._base: Callable[[Doubles], Doubles] | None = None

    def step(self, record: LogisticRecord) -> Doubles:
        """The next parameters [S, K + 1]."""
        at = record.parameters
        loss = record.loss / record.weight
        w = at[:, :-1]
        objective = loss + self.l1 * float(np.abs(w).sum()) + 0.5 * self.l2 * float(np.sum(w * w))
        if self.best is not None and not objective <= self.objective:
            if self._share < _SMALLEST_SHARE or objective - self.objective <= self.tol * abs(self.objective):
                self.settled = True
                return self.best
            self._share /= 2
            return self.best + self._share * self._move
        slope = self._slope_of(record)
        lowered = self.objective - objective
        if self.best is not None:
            self._pairs = [*self._pairs[1 - _MEMORY :], ((at - self.best).ravel(), (slope - self._slope).ravel())]
        self.best, self.objective, self.loss, self._slope, self._share = at, objective, loss, slope, 1.0
        self._move, promised = self._direction(record, slope)
        least = self.tol * max(abs(objective), _TINY)
        self.near = 100 * least < promised <= _NEAR * max(abs(objective), _TINY)
        # Without any curvature the promise is a guess: then the last step must have brought as little.
        guessed = record.curvature is None and self.held is None
        self.settled = promised <= least and (not guessed or lowered <= least)
        self.settled = self.settled or (self.l1 == self.l2 == 0 and loss < SEPARATED_LOSS)
        return at + self._move

    def _slope_of(self, record: LogisticRecord) -> Doubles:
        """Gradient of the smooth part."""
        slope = record.gradient / record.weight
        slope[:, :-1] += self.l2 * record.parameters[:, :-1]
        if not self.fit_intercept:
            slope[:, -1] = 0.0
        return slope

    def _direction(self, record: LogisticRecord, slope: Doubles) -> tuple[Doubles, float]:
        """The move, and by how much it should lower the objective."""
        at = record.parameters
        curvature = self.held if record.curvature is None else record.curvature / record.weight
        if curvature is not None and self.l1:
            return self._proximal(self._penalised(curvature, at.shape), at, slope)
        pairs = self._pairs
        if curvature is not None and (record.curvature is not None or self._base is None):
            self._base = _solver(self._penalised(curvature, at.shape), _free(at.shape, self.fit_intercept))
        if record.curvature is not None:
            pairs = []
        step = _quasi_newton(slope.ravel(), pairs, self._base).reshape(at.shape)
        if len(at) > 1:
            # The same number added to every score changes nothing: hold that direction still.
            held = slice(None) if self.l2 == 0 else slice(-1, None)
            step[:, held] -= step[:, held].mean(axis=0)
        return step, -0.5 * float(np.sum(slope * step))

    def _penalised(self, curvature: Doubles, shape: tuple[int, ...]) -> Doubles:
        diagonal = np.full(shape, self.l2)
        diagonal[:, -1] = 0.0
        return _steadied(curvature, shape, self.l1 > 0 or self.l2 > 0) + np.diag(diagonal.ravel())

    def _proximal(self, matrix: Doubles, at: Doubles, slope: Doubles) -> tuple[Doubles, float]:
        """The move to the minimum of the model with its L1 penalty, and by how much that lowers the objective.

        Intercepts have no penalty: they are solved for exactly, given the rest, so that means of the features that are
        far from 0 do not slow the coordinate descent down.
        """
        intercepts = np.zeros(at.shape, dtype=bool)
        intercepts[:, -1] = True
        chosen, rest = ~intercepts.ravel(), intercepts.ravel() & self.fit_intercept
        inverse = np.linalg.pinv(matrix[np.ix_(rest, rest)], hermitian=True)
        across = matrix[np.ix_(chosen, rest)] @ inverse
        down = slope.ravel()
        inner = matrix[np.ix_(chosen, chosen)] - across @ matrix[np.ix_(rest, chosen)]
        reduced = down[chosen] - across @ down[rest]
        move = np.zeros(at.size)
        # A column that is constant leaves nothing but rounding beside its intercept.
        usable = np.flatnonzero(np.diag(inner) > _LIFT * np.diag(matrix)[chosen])
        move[chosen] = _proximal_move(inner, reduced, at.ravel()[chosen], self.l1, usable)
        move[rest] = -inverse @ (down[rest] + matrix[np.ix_(rest, chosen)] @ move[chosen])
        grown = np.abs(at.ravel() + move)[chosen].sum() - np.abs(at.ravel())[chosen].sum()
        promised = -(down @ move + 0.5 * move @ matrix @ move + self.l1 * grown)
        return move.reshape(at.shape), float(promised)


def newton_move(record: LogisticRecord, fit_intercept: bool) -> tuple[Doubles, Doubles]:
    """The Newton step [S, K + 1] of an unpenalised loss, and the inverse of its curvature (of the sum over rows)."""
    if record.curvature is None:
        raise ValueError("a record with its curvature is needed")
    free = _free(record.parameters.shape, fit_intercept)
    solve = _solver(_steadied(record.curvature, record.parameters.shape, False), free)
    inverse = np.column_stack([solve(row) for row in np.eye(record.parameters.size)])
    move = -solve(record.gradient.ravel()).reshape(record.parameters.shape)
    return (move if len(move) == 1 else move - move.mean(axis=0)), inverse


def _free(shape: tuple[int, ...], fit_intercept: bool) -> NDArray[np.bool_]:
    free = np.ones(shape, dtype=bool)
    free[:, -1] = fit_intercept
    return free.ravel()


def _steadied(curvature: Doubles, shape: tuple[int, ...], only_intercepts: bool) -> Doubles:
    """The curvature with some of it where it has none: the same number added to every score changes nothing.

    No slope points that way, so steps stay what they are, but rounding no longer decides them.
    """
    num_scores, size = shape
    if num_scores == 1:
        return curvature
    steadied = curvature.reshape(num_scores, size, num_scores, size).copy()
    for column in range(size - 1 if only_intercepts else 0, size):
        steadied[:, column, :, column] += np.trace(steadied[:, column, :, column]) / num_scores**2
    return steadied.reshape(curvature.shape)


def _solver(matrix: Doubles, free: NDArray[np.bool_]) -> Callable[[Doubles], Doubles]:
    """Solves `matrix`·x = v over the free parameters; scaled first, so that units of the features do not matter."""
    inner = matrix[np.ix_(free, free)]
    scale: Doubles = np.sqrt(np.maximum(np.diag(inner), 0.0))
    scale = np.where(scale > 0, scale, 1.0)
    inverse = np.linalg.inv(inner / np.outer(scale, scale) + _LIFT * np.eye(len(inner)))

    def solve(vector: Doubles) -> Doubles:
        out = np.zeros(len(free))
        out[free] = (inverse @ (vector[free] / scale)) / scale
        return out

    return solve


def _proximal_move(matrix: Doubles, slope: Doubles, at: Doubles, limit: float, usable: NDArray[np.int64]) -> Doubles:
    """The move that minimises slope·d + ½ d·matrix·d + limit·|at + d|₁, by coordinate descent over `usable`."""
    move = np.zeros_like(at)
    pull = slope.copy()  # slope + matrix @ move, kept up to date
    curves = np.diag(matrix)
    for _ in range(_MAX_SWEEPS):
        moved = 0.0
        for j in usable:
            free = at[j] + move[j] - pull[j] / curves[j]
            later = np.sign(free) * max(abs(free) - limit / curves[j], 0.0) - at[j]
            if later != move[j]:
                pull += matrix[:, j] * (later - move[j])
                moved = max(moved, abs(later - move[j]) * np.sqrt(curves[j]))
                move[j] = later
        if moved <= _SWEPT * np.sqrt((at + move) ** 2 @ curves):
            break
    return move


def _quasi_newton(
    slope: Doubles, pairs: list[tuple[Doubles, Doubles]], base: Callable[[Doubles], Doubles] | None
) -> Doubles:
    """The two-loop recursion of L-BFGS around `base`, which solves with the curvature as far as it is known."""
    direction, shares = -slope, []
    used = [(s, y) for s, y in pairs if s @ y > _TINY]
    for s, y in reversed(used):
        share = (s @ direction) / (s @ y)
        direction = direction - share * y
        shares.append(share)
    if base is not None:
        direction = base(direction)
    elif used:
        s, y = used[-1]
        direction = direction * ((s @ y) / (y @ y))
    else:
        direction = direction / max(float(np.abs(slope).max()), 1.0)
    for (s, y), share in zip(used, reversed(shares), strict=True):
        direction = direction + s * (share - (y @ direction) / (s @ y))
    return direction
