"""Probabilities that come true: one temperature for the raw scores of a classifier, where it is needed.

A temperature divides scores before they become probabilities (Guo et al. 2017, arXiv 1706.04599). It is above 0, so the
order of the classes, and with it every label, stays as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lepton.training.answers import probabilities_of
from lepton.training.base import Doubles, Problem
from lepton.training.folds import parts_of

__all__ = ["MIN_CALIBRATION_ROWS", "temperature_for", "temperature_of"]

MIN_CALIBRATION_ROWS = 200
"""Rows out of fold that a temperature is learned from, at least."""

_PARTS = 5
_SURE = 2.0  # standard errors that the gain must be above 0
_LEAST_GAIN = 0.005  # of the loss: less is not worth another step
_RANGE = (np.exp(-3.0), np.exp(3.0))  # of what scores are multiplied with
_STEPS = 60
_CLOSE = 1e-9  # change of that factor, as a share
_CELLS = 200_000  # raw scores that a temperature is learned from: more say little more about one number
_LEAST_ROWS = 1_000
_TINY = 1e-15


def temperature_for(
    problem: Problem,
    raw: Doubles,
    classes: NDArray[np.int64],
    weight: Doubles | None,
    seed: int,
    groups: NDArray[np.int64] | None = None,
) -> tuple[float, float]:
    """The temperature of a classifier, 1 where it is calibrated already.

    Args:
        problem: `binary` or `multiclass`.
        raw: raw scores of rows that the classifier was not fitted on [M, S].
        classes: their classes [M].
        weight: their weights [M], or None.
        seed: draws the parts.
        groups: of the rows [M], which stay together, or None.

    Returns:
        The temperature, and the share of the log-loss that it saves on rows that it was not learned from (0 for 1).
    """
    weight = np.ones(len(raw)) if weight is None else weight
    random = np.random.default_rng(seed)
    most = max(_LEAST_ROWS, _CELLS // raw.shape[1])
    if len(raw) > most:
        drawn = np.sort(random.choice(len(raw), most, replace=False))
        raw, classes, weight = raw[drawn], classes[drawn], weight[drawn]
        groups = None if groups is None else groups[drawn]
    if len(raw) < MIN_CALIBRATION_ROWS or not weight.any():
        return 1.0, 0.0
    before = _losses(problem, raw, classes)
    after = np.empty_like(before)
    parts = parts_of(len(raw), _PARTS, random, groups)
    for part in range(int(parts.max()) + 1):
        rest, own = parts != part, parts == part
        temperature = temperature_of(problem, raw[rest], classes[rest], weight[rest])
        after[own] = _losses(problem, raw[own] / temperature, classes[own])
    gain = weight * (before - after)
    if groups is not None:  # rows of a group do not vote independently
        gain = np.bincount(np.unique(groups, return_inverse=True)[1], weights=gain)
    error = np.std(gain) * np.sqrt(len(gain))
    saved = float(gain.sum() / max((weight * before).sum(), _TINY))
    if gain.sum() <= _SURE * error or saved < _LEAST_GAIN:
        return 1.0, 0.0
    return temperature_of(problem, raw, classes, weight), saved


def temperature_of(problem: Problem, raw: Doubles, classes: NDArray[np.int64], weight: Doubles) -> float:
    """The temperature with the least log-loss, by Newton's method: the loss is convex in its inverse."""
    rows = np.arange(len(raw))
    low, high = _RANGE
    factor = 1.0
    for _ in range(_STEPS):
        shares = probabilities_of(problem, raw * factor)
        if problem.task == "binary":
            score = raw[:, 0]
            slope = score * (shares[:, 1] - classes)
            bend = score * score * shares[:, 0] * shares[:, 1]
        else:
            mean = np.einsum("ij,ij->i", shares, raw)
            slope = mean - raw[rows, classes]
            bend = np.einsum("ij,ij,ij->i", shares, raw, raw) - mean * mean
        down, curve = float(weight @ slope), float(weight @ bend)
        low, high = (low, factor) if down > 0.0 else (factor, high)
        before = factor
        factor = before - down / curve if curve > 0.0 else low
        if not low < factor < high:
            factor = float(np.sqrt(low * high))
        if abs(factor - before) <= _CLOSE * before:
            break
    return float(1.0 / factor)


def _losses(problem: Problem, raw: Doubles, classes: NDArray[np.int64]) -> Doubles:
    """Log-loss of each row [M]."""
    shares = probabilities_of(problem, raw)[np.arange(len(classes)), classes]
    losses: Doubles = -np.log(np.maximum(shares, _TINY))
    return losses
