"""Folds for cross-validation: random, stratified by class, whole groups, or the past before the future."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fold", "make_folds", "num_folds_for", "parts_of"]

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """Positions of the rows to learn from and of the rows to score; no row is in both."""

    train: Positions
    valid: Positions


def num_folds_for(num_rows: int) -> tuple[int, int]:
    """How many parts the rows are cut into, and how many of them are scored, by the number of rows.

    Five of five for up to 10,000 rows, four of four for up to 100,000, and beyond one of five: a holdout.
    """
    if num_rows <= 10_000:
        return min(5, num_rows), min(5, num_rows)
    return (4, 4) if num_rows <= 100_000 else (5, 1)


def make_folds(
    num_rows: int,
    num_folds: int,
    *,
    classes: Positions | None = None,
    groups: Positions | None = None,
    order: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> tuple[Fold, ...]:
    """Cut rows into folds.

    Args:
        num_rows: N.
        num_folds: at least 2, at most N.
        classes: class of each row, spread evenly over the folds.
        groups: group of each row; a group is in one fold as a whole. At least 2 groups; fewer folds where there are
            fewer groups.
        order: time of each row: each fold learns from what came before the rows that it scores.
        seed: of the shuffle.
    """
    generator = np.random.default_rng(seed)
    if order is not None:
        return _forward(order, num_folds)
    if groups is not None:
        part = _by_group(groups, num_folds, generator)
    else:
        part = np.empty(num_rows, dtype=np.int64)
        shuffled = generator.permutation(num_rows)
        if classes is not None:
            # Neighbours in the order of classes go to different folds.
            shuffled = shuffled[np.argsort(classes[shuffled], kind="stable")]
        part[shuffled] = np.arange(num_rows) % num_folds
    return tuple(Fold(np.flatnonzero(part != fold), np.flatnonzero(part == fold)) for fold in range(part.max() + 1))


def parts_of(num_rows: int, num_parts: int, random: np.random.Generator, groups: Positions | None = None) -> Positions:
    """The part of each row [N], drawn; a group is in one part as a whole, where there are at least two."""
    if groups is not None:
        found, codes = np.unique(groups, return_inverse=True)
        if len(found) > 1:
            drawn: Positions = random.permutation(len(found))[codes] % min(num_parts, len(found))
            return drawn
    return random.permutation(num_rows) % num_parts


def _by_group(groups: Positions, num_folds: int, generator: np.random.Generator) -> Positions:
    """The fold of each row: the largest groups first, each to the fold that has the fewest rows so far."""
    sizes = np.bincount(groups)
    shuffled = generator.permutation(len(sizes))
    filled = np.zeros(min(num_folds, len(sizes)), dtype=np.int64)
    fold_of = np.empty(len(sizes), dtype=np.int64)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold_of[group] = filled.argmin()
        filled[fold_of[group]] += sizes[group]
    return fold_of[groups]


def _forward(order: NDArray[np.float64], num_folds: int) -> tuple[Fold, ...]:
    """Blocks of time: fold i learns from the blocks up to i and scores block i + 1."""
    blocks = np.array_split(np.argsort(order, kind="stable"), num_folds + 1)
    return tuple(Fold(np.concatenate(blocks[: i + 1]), blocks[i + 1]) for i in range(num_folds) if len(blocks[i + 1]))
