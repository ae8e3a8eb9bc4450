"""Gradient descent as the textbook has it: full steps and mini-batch steps, with the loss of every one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, TrainingError, Work
from lepton.training.estimators.rows import Doubles

__all__ = ["Descent", "Gradient", "descend", "drawn_batches", "stepped", "stochastic_descent"]

Gradient = Callable[[Doubles], tuple[float, Doubles]]
"""Parameters to the mean loss with its penalty, and the gradient of the loss without it."""


@dataclass
class Descent:
    """Where a descent ended: parameters, the loss after each step (or epoch), steps taken, and whether it settled."""

    parameters: Doubles
    losses: list[float] = field(default_factory=list)
    steps: int = 0
    converged: bool = False


def stepped(parameters: Doubles, slope: Doubles, rate: float, shrink: Doubles) -> Doubles:
    """One step: parameters - rate × slope, and the L2 penalty `shrink` taken at its end, stable at any strength."""
    return np.asarray((parameters - rate * slope) / (1.0 + rate * shrink))


def descend(
    gradient: Gradient,
    start: Doubles,
    *,
    shrink: Doubles,
    learning_rate: float,
    max_iter: int,
    tol: float,
    work: Work,
) -> Descent:
    """Full gradient descent, step by step as in `stepped`.

    Stops when a step lowers the loss by less than `tol` of it, at `max_iter` steps, or when `work` is stopped.

    Raises:
        TrainingError: the loss grows without end; the message names a smaller learning rate.
    """
    found = Descent(start.copy())
    loss, slope = gradient(found.parameters)
    found.losses.append(loss)
    while found.steps < max_iter and not work.stopped:
        found.parameters = stepped(found.parameters, slope, learning_rate, shrink)
        found.steps += 1
        later, slope = gradient(found.parameters)
        _check_loss(later, found.losses[0], found.steps, learning_rate)
        found.losses.append(later)
        if abs(loss - later) <= tol * max(abs(loss), np.finfo(float).tiny):
            found.converged = True
            break
        loss = later
    return found


def stochastic_descent(
    epochs: Callable[[int], Iterable[Gradient]],
    start: Doubles,
    *,
    shrink: Doubles,
    learning_rate: float,
    max_iter: int,
    tol: float,
    work: Work,
) -> Descent:
    """Mini-batch descent with averaging over the last half of each epoch's steps (Polyak and Juditsky, 1992).

    The rate of epoch e is learning rate / √e. The loss of an epoch is the mean over its batches as they were met.

    Args:
        epochs: epoch number from 1 to the gradients of its mini-batches.
        start: first parameters.
        shrink: L2 penalty of each parameter.
        learning_rate: rate of the first epoch.
        max_iter: most epochs.
        tol: stops when two epochs in a row lower the loss by less than this share.
        work: cancel and deadline.
    """
    found = Descent(start.copy())
    patience = 0
    for epoch in range(1, max_iter + 1):
        parameters, rate = found.parameters.copy(), learning_rate / np.sqrt(epoch)
        trail, losses = [], []
        for gradient in epochs(epoch):
            loss, slope = gradient(parameters)
            losses.append(loss)
            parameters = stepped(parameters, slope, rate, shrink)
            trail.append(parameters)
        found.parameters = np.mean(trail[len(trail) // 2 :], axis=0)
        found.steps = epoch
        mean_loss = float(np.mean(losses))
        _check_loss(mean_loss, found.losses[0] if found.losses else mean_loss, epoch, learning_rate)
        settled = bool(found.losses) and found.losses[-1] - mean_loss <= tol * max(abs(mean_loss), 1e-300)
        patience = patience + 1 if settled else 0
        found.losses.append(mean_loss)
        if patience >= 2 or work.stopped:
            found.converged = patience >= 2
            break
    return found


def drawn_batches(
    x: NDArray[Any], y: NDArray[Any], weight: Doubles | None, size: int, generator: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Mini-batches of one epoch: rows drawn with chances in proportion to their weights.

    The order of the rows does not matter, and a row of weight 2 is drawn as two equal rows would be: rows are put in
    the order of a hash of their bits, and an epoch has as many draws as there are different rows.
    """
    keys = _row_hash(np.column_stack([x, y]))
    if weight is not None:
        kept = np.flatnonzero(weight)
        order = kept[np.argsort(keys[kept], kind="stable")]
        reach = np.cumsum(weight[order])
    else:
        order = np.argsort(keys, kind="stable")
        reach = np.arange(1.0, len(order) + 1)
    different = 1 + int(np.count_nonzero(np.diff(keys[order])))
    for start in range(0, different, size):
        draws = generator.random(min(size, different - start)) * reach[-1]
        yield order[np.searchsorted(reach, draws, side="right")]


def _row_hash(rows: Doubles) -> NDArray[np.uint64]:
    """A hash of the bits of each row; -0.0 counts as 0.0."""
    bits = np.ascontiguousarray(rows + 0.0).view(np.uint64)
    mixed = (bits ^ (bits >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    odd = np.random.default_rng(0).integers(1, 2**63, rows.shape[1], dtype=np.uint64) | np.uint64(1)
    return np.asarray((mixed ^ (mixed >> np.uint64(29))) @ odd)


def _check_loss(loss: float, first: float, steps: int, learning_rate: float) -> None:
    if not np.isfinite(loss) or loss > 1e6 * max(abs(first), 1.0):
        raise TrainingError(
            ErrorCode.TRAINING_FAILED,
            f"the loss grows without end: {loss:.3g} after {steps} steps with learning_rate={learning_rate:g}",
            fix=f"try learning_rate={learning_rate / 10:g}",
        )
