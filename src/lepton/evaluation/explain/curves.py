"""Effects of one column and of two, as functions of the weights of rows, so that resampling costs no further answers.

Sources: partial dependence: Friedman, "Greedy function approximation" (2001), section 8.2; accumulated local effects
of the first and second order: Apley & Zhu, "Visualizing the effects of predictor variables in black box supervised
learning models" (2020).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from lepton.evaluation.bootstrap import CONFIDENCE, Estimate, weightings
from lepton.evaluation.classification import Floats, Positions
from lepton.evaluation.explain.grids import Grid
from lepton.evaluation.explain.sample import Sample

__all__ = ["RESAMPLES", "Statistic", "estimates_of", "joint_dependence", "local_curve", "missing_effect", "plain_curve",
           "second_order"]  # fmt: skip

RESAMPLES = 200
Statistic = Callable[[Floats], Floats]
"""From weights of N rows, [B, N], to B sets of K × P numbers, [B, K, P]."""


@dataclass(frozen=True, slots=True)
class Corners:
    """What rows answer when both columns move across a cell: its mixed difference, [M, K], and where it is [M]."""

    rows: Positions
    first: Positions
    second: Positions
    delta: Floats


def local_curve(sample: Sample, grid: Grid) -> Statistic:
    """Accumulated local effects [K, P], 0 on average over the rows."""
    rows, steps, deltas = [], [], []
    for move in grid.moves:
        chosen = np.flatnonzero(move >= 0)
        step = move[chosen]
        above = sample.ask(chosen, {grid.record.name: grid.points[step + 1]})
        deltas.append(above - sample.ask(chosen, {grid.record.name: grid.points[step]}))
        rows.append(chosen)
        steps.append(step)
    owner, delta = np.concatenate(rows), np.concatenate(deltas)
    at = np.eye(grid.width - 1)[np.concatenate(steps)]
    held = grid.shares(np.ones(sample.num_rows))

    def curve(weights: Floats) -> Floats:
        drawn = weights[:, owner]
        count = drawn @ at
        sums = np.stack([drawn @ (at * delta[:, [label]]) for label in range(delta.shape[1])], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = sums / count[:, None, :]
        means = np.where(count[:, None, :] > 0, means, 0.0)
        raised = np.concatenate([np.zeros((*means.shape[:2], 1)), np.cumsum(means, axis=2)], axis=2)
        return _centred(raised, weights @ held)

    return curve


def plain_curve(sample: Sample, grid: Grid) -> Statistic:
    """Partial dependence [K, P], 0 on average over the rows."""
    everyone = np.arange(sample.num_rows)
    answers = np.stack([sample.ask(everyone, _all_at(grid, place, everyone)) for place in range(grid.width)], axis=2)
    held = grid.shares(np.ones(sample.num_rows))

    def curve(weights: Floats) -> Floats:
        sums = np.stack([weights @ answers[:, label] for label in range(answers.shape[1])], axis=1)
        return _centred(sums / weights.sum(axis=1)[:, None, None], weights @ held)

    return curve


def missing_effect(sample: Sample, name: str) -> Statistic:
    """What the answers change by on average when the number is missing in every row [K, 1]."""
    everyone = np.arange(sample.num_rows)
    change = sample.ask(everyone, {name: np.full(sample.num_rows, np.nan)}) - sample.answers

    def means(weights: Floats) -> Floats:
        return np.asarray((weights @ change / weights.sum(axis=1)[:, None])[:, :, None])

    return means


def estimates_of(statistic: Statistic, sample: Sample, seed: int) -> tuple[Floats, list[list[Estimate]]]:
    """The numbers on all rows [K, P], and each with its 95 % interval over resampled rows."""
    whole = statistic(sample.mass[None, :])[0]
    blocks = []
    for block in weightings(sample.num_rows, RESAMPLES, weight=sample.weight, groups=sample.groups, seed=seed):
        sample.work.check()
        blocks.append(statistic(block[block.sum(axis=1) > 0]))
    drawn = np.concatenate(blocks)
    lower, upper = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    told = [
        [_estimate(*ends) for ends in zip(*(each.tolist() for each in row), strict=True)]
        for row in zip(whole, lower, upper, strict=True)
    ]
    return whole, told


def _estimate(value: float, lower: float, upper: float) -> Estimate:
    if not np.isfinite([value, lower, upper]).all():
        return Estimate(None, reason="the model answers no finite number there")
    return Estimate(value, lower, upper)


def _centred(curve: Floats, held: Floats) -> Floats:
    """[B, K, P] without their mean over places that are held so often [B, P]."""
    shares = held / np.maximum(held.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    return np.asarray(curve - np.einsum("bkp,bp->bk", curve, shares)[:, :, None])


def _all_at(grid: Grid, place: int, rows: Positions) -> dict[str, Floats]:
    return {grid.record.name: np.repeat(grid.points[[place]], len(rows))}


def second_order(sample: Sample, first: Grid, second: Grid) -> tuple[Floats, Positions]:
    """What two columns do beyond the sum of both: accumulated local effects of the second order.

    Returns:
        [K, A, B], 0 on average along both; and the rows behind each cell [A - 1, B - 1]. A cell without rows has the
        difference of the nearest one that has some.
    """
    corners = _corners(sample, first, second)
    shape = (first.width - 1, second.width - 1)
    cell = corners.first * shape[1] + corners.second
    weight = sample.mass[corners.rows]
    count: Floats = np.bincount(cell, weights=weight, minlength=shape[0] * shape[1]).astype(np.float64)
    rows = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    surfaces = []
    for label in range(corners.delta.shape[1]):
        sums = np.bincount(cell, weights=weight * corners.delta[:, label], minlength=len(count))
        means = np.where(count > 0, sums / np.maximum(count, np.finfo(float).tiny), 0.0).reshape(shape)
        means = means.ravel()[_nearest(count.reshape(shape) > 0)].reshape(shape)
        surfaces.append(_without_mains(np.pad(means.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0))), count, shape))
    return np.stack(surfaces), rows


def _corners(sample: Sample, first: Grid, second: Grid) -> Corners:
    rows, ones, others, deltas = [], [], [], []
    for move, turn in product(first.moves, second.moves):
        chosen = np.flatnonzero((move >= 0) & (turn >= 0))
        one, other = move[chosen], turn[chosen]
        delta = np.zeros((len(chosen), sample.answers.shape[1]))
        for up, over in product((0, 1), (0, 1)):
            given = {first.record.name: first.points[one + up], second.record.name: second.points[other + over]}
            delta += (1.0 if up == over else -1.0) * sample.ask(chosen, given)
        rows.append(chosen)
        ones.append(one)
        others.append(other)
        deltas.append(delta)
    return Corners(np.concatenate(rows), np.concatenate(ones), np.concatenate(others), np.concatenate(deltas))


def _nearest(filled: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Positions:
    """For each cell the number of the nearest one that is filled, in a flat count."""
    places = np.argwhere(np.ones_like(filled)) / np.array(filled.shape)
    known = np.flatnonzero(filled)
    if not len(known):
        return np.zeros(filled.size, dtype=np.int64)
    apart = ((places[:, None, :] - places[known][None]) ** 2).sum(axis=2)
    return np.asarray(known[apart.argmin(axis=1)], dtype=np.int64)


def _without_mains(raised: Floats, count: Floats, shape: tuple[int, int]) -> Floats:
    """The surface less the effects of either column that are left in it, centred by the rows of each cell."""
    held = count.reshape(shape)
    for axis in (0, 1):
        steps = np.diff(raised, axis=axis)
        between = (steps[:, 1:] + steps[:, :-1]) / 2 if axis == 0 else (steps[1:] + steps[:-1]) / 2
        sums, rows = (between * held).sum(axis=1 - axis), held.sum(axis=1 - axis)
        means = np.where(rows > 0, sums / np.maximum(rows, np.finfo(float).tiny), 0.0)
        main = np.concatenate([[0.0], np.cumsum(means)])
        raised = raised - (main[:, None] if axis == 0 else main[None, :])
    middle = (raised[1:, 1:] + raised[1:, :-1] + raised[:-1, 1:] + raised[:-1, :-1]) / 4
    return np.asarray(raised - (middle * held).sum() / max(held.sum(), np.finfo(float).tiny))


def joint_dependence(sample: Sample, first: Grid, second: Grid) -> tuple[Floats, Floats]:
    """Partial dependence of two columns: what they do beyond the sum of both, and all that they do, [K, A, B] each."""
    everyone = np.arange(sample.num_rows)
    weight = sample.mass / sample.mass.sum()
    joint = np.empty((sample.answers.shape[1], first.width, second.width))
    for one, other in product(range(first.width), range(second.width)):
        given = {**_all_at(first, one, everyone), **_all_at(second, other, everyone)}
        joint[:, one, other] = weight @ sample.ask(everyone, given)
    held, over = (grid.shares(sample.mass).sum(axis=0) for grid in (first, second))
    held, over = held / held.sum(), over / over.sum()
    mean = np.einsum("kab,a,b->k", joint, held, over)[:, None, None]
    mains = np.einsum("kab,b->ka", joint, over)[:, :, None] + np.einsum("kab,a->kb", joint, held)[:, None, :]
    return joint - mains + mean, joint - mean
