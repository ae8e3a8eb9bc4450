"""What the target was in the rows of each category, without letting a row see its own."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.data.steps import Block, Lookup
from lepton.training.base import Doubles, Problem, Rows

__all__ = ["MANY", "MOST_CLASSES", "many_valued", "target_statistics"]

MANY = 50
"""Values from which on a column of categories is said to have many."""
MOST_CLASSES = 10
"""Classes up to which each has a share of its own."""

_FOLDS = 5
_SMOOTH = 10.0  # rows that the mean of all counts for
_MOST_TEXTS = 5_000


def many_valued(strings: pl.DataFrame, columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that have more than `MANY` values."""
    return tuple(column for column in columns if strings[column].n_unique() > MANY)


def target_statistics(problem: Problem, rows: Rows, block: Block, min_count: int) -> tuple[Lookup, Block]:
    """Means of the target by category, as a step and as the rows that are learned from have them.

    A category of n rows with the sum s becomes (s + smooth * mean) / (n + smooth), of the target, of the share of the
    second class, or of the share of each class. New rows get what all rows say. In the rows that are learned from, the
    own target must not tell: those of each category are dealt to five folds in turn, and a row becomes what the other
    four say (`docs/decisions/0131-targets-are-dealt-to-folds-in-turn.md`).

    Args:
        problem: which columns have many values.
        rows: targets and weights.
        block: features of the same rows, with the text columns.
        min_count: rows of the rarest category that is known.

    Returns:
        The step, and the block that its rows become.
    """
    told = _told(problem, rows)
    weight = np.ones(len(told)) if rows.weight is None else rows.weight / max(rows.weight.mean(), 1e-300)
    overall = weight @ told / max(weight.sum(), 1e-300)
    texts, numbers, own = [], [], []
    for column in problem.many_valued:
        known, codes = _codes(block.strings[column], min_count)
        sums, counts = _sums(codes, len(known), told, weight)
        every = (sums.sum(axis=1) + _SMOOTH * overall) / (counts.sum(axis=1) + _SMOOTH)[:, None]
        texts.append(known)
        numbers.append(tuple(map(tuple, every[:-1].tolist())))
        rest = sums.sum(axis=1, keepdims=True) - sums + _SMOOTH * overall
        rest /= (counts.sum(axis=1, keepdims=True) - counts + _SMOOTH)[:, :, None]
        found = rest[codes, _turns(codes)]
        found[codes == len(known)] = overall
        own.append(found)
    made = ("mean of target",) if told.shape[1] == 1 else tuple(f"share of class {i}" for i in range(told.shape[1]))
    step = Lookup(problem.many_valued, tuple(texts), tuple(numbers), tuple(overall.tolist()), made)
    return step, Block(np.hstack([block.numbers, *own]), step.names(block), block.strings)


def _told(problem: Problem, rows: Rows) -> Doubles:
    """What is averaged [N, K]."""
    if problem.task == "multiclass":
        return np.eye(problem.num_classes)[rows.target.astype(np.int64)]
    return rows.target[:, None]


def _codes(texts: pl.Series, min_count: int) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The known texts, the most frequent first, and the place of each row's among them; their number for others."""
    counts = texts.rename("text").value_counts(name="rows").filter(pl.col("rows") >= min_count)
    counts = counts.sort(["rows", "text"], descending=[True, False]).head(_MOST_TEXTS)
    known = tuple(counts["text"].to_list())
    codes = texts.replace_strict(list(known), list(range(len(known))), default=len(known), return_dtype=pl.Int64)
    return known, codes.to_numpy()


def _turns(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fold of each row: those of a category are dealt in turn."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    first = np.searchsorted(ordered, ordered)
    turns = np.empty_like(codes)
    turns[order] = (np.arange(len(codes)) - first) % _FOLDS
    return turns


def _sums(codes: NDArray[np.int64], num_known: int, told: Doubles, weight: Doubles) -> tuple[Doubles, Doubles]:
    """Sums [T + 1, folds, K] of what is told and of weights [T + 1, folds]; the last row is of other texts."""
    cells = codes * _FOLDS + _turns(codes)
    size = (num_known + 1) * _FOLDS
    counts, *sums = (
        np.asarray(np.bincount(cells, weights=weight * column, minlength=size), dtype=np.float64)
        for column in (np.ones(len(codes)), *told.T)
    )
    return np.stack(sums, axis=1).reshape(num_known + 1, _FOLDS, -1), counts.reshape(-1, _FOLDS)
