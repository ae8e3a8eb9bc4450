"""A small tree that imitates a model: least squares, numbers and categories, missing values on the side they fit.

Source: Breiman, Friedman, Olshen & Stone, "Classification and regression trees" (1984). Of several numbers a row the
squared errors are summed. The values of a category are laid on a line by their means, along which one cut is the best
of all divisions in two where there is one number (Fisher 1958); of several numbers it is the line of their greatest
spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import ColumnRecord, Kind
from lepton.evaluation.classification import Floats

__all__ = ["Cut", "Node", "answers_of", "grow", "leaves"]

_MAX_CUTS = 64
_MAX_LEVELS = 200
_LEAST_GAIN = 0.002
"""Part of the whole variance that a cut must explain."""

Cells = dict[str, NDArray[Any]]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cut:
    """A question about one column.

    Attributes:
        record: the column.
        limit: numbers up to it go left; None for a category.
        values: values of a category that go left.
        missing_left: whether missing numbers go left, and values that were not met before.
    """

    record: ColumnRecord
    limit: float | None
    values: tuple[str, ...]
    missing_left: bool

    def left(self, cells: Cells) -> Mask:
        """Which rows go left [N]."""
        column = cells[self.record.name]
        if self.limit is None:
            return np.isin(column.astype(str), self.values)
        numbers = column.astype(np.float64)
        return np.where(np.isnan(numbers), self.missing_left, numbers <= self.limit)


@dataclass(frozen=True, slots=True)
class Node:
    """A part of the rows.

    Attributes:
        value: mean of the numbers [K].
        num_rows: rows that it was learned from.
        spread: their standard deviation around the mean.
        cut: the question that divides it, or None at a leaf.
        left: those of whom it holds.
        right: the others.
    """

    value: tuple[float, ...]
    num_rows: int
    spread: float
    cut: Cut | None = None
    left: Node | None = None
    right: Node | None = None


def leaves(node: Node) -> int:
    """How many leaves a tree has."""
    if node.left is None or node.right is None:
        return 1
    return leaves(node.left) + leaves(node.right)


def answers_of(node: Node, cells: Cells, num_rows: int) -> Floats:
    """What the tree answers rows [N, K]."""
    out = np.empty((num_rows, len(node.value)))
    out[:] = node.value
    if node.cut is None or node.left is None or node.right is None:
        return out
    goes = node.cut.left(cells)
    for mask, child in ((goes, node.left), (~goes, node.right)):
        part = {name: column[mask] for name, column in cells.items()}
        out[mask] = answers_of(child, part, int(mask.sum()))
    return out


def grow(columns: Sequence[ColumnRecord], cells: Cells, numbers: Floats, weight: Floats, depth: int) -> Node:
    """The tree of at most `depth` questions on top of each other.

    Args:
        columns: what may be asked about.
        cells: column → values as the graph gets them [N].
        numbers: what to imitate [N, K].
        weight: sample weights [N].
        depth: of the tree.
    """
    mean = np.average(numbers, axis=0, weights=weight)
    total = float((weight[:, None] * np.square(numbers - mean)).sum())
    least = max(5, round(0.01 * len(numbers)))
    return _grown(columns, cells, numbers, weight, depth, total * _LEAST_GAIN, least)


def _grown(
    columns: Sequence[ColumnRecord],
    cells: Cells,
    numbers: Floats,
    weight: Floats,
    depth: int,
    least_gain: float,
    least: int,
) -> Node:
    mean = np.average(numbers, axis=0, weights=weight) if weight.sum() > 0 else numbers.mean(axis=0)
    squares = float(np.average(np.square(numbers - mean).sum(axis=1), weights=weight if weight.sum() > 0 else None))
    node = Node(tuple(mean.tolist()), len(numbers), float(np.sqrt(squares)))
    if depth == 0 or len(numbers) < 2 * least:
        return node
    best: tuple[float, Cut] | None = None
    for record in columns:
        found = _best_cut(record, cells[record.name], numbers, weight, least)
        if found is not None and (best is None or found[0] > best[0] * (1 + 1e-9)):
            best = found
    if best is None or best[0] <= max(least_gain, 0.0):
        return node
    goes = best[1].left(cells)
    if goes.all() or not goes.any():  # infinite numbers beside missing ones
        return node
    children = [
        _grown(
            columns,
            {name: column[mask] for name, column in cells.items()},
            numbers[mask],
            weight[mask],
            depth - 1,
            least_gain,
            least,
        )
        for mask in (goes, ~goes)
    ]
    return Node(node.value, node.num_rows, node.spread, best[1], *children)


def _best_cut(
    record: ColumnRecord, column: NDArray[Any], numbers: Floats, weight: Floats, least: int
) -> tuple[float, Cut] | None:
    """The gain of the best question about one column, and the question."""
    if column.dtype == object:
        return _best_division(record, column, numbers, weight, least)
    values = column.astype(np.float64)
    there = ~np.isnan(values)
    distinct = np.unique(values[there])
    if len(distinct) == 0:
        return None
    limits = distinct[:-1]
    if len(limits) > _MAX_CUTS:
        shares = np.linspace(0, 1, _MAX_CUTS + 2)[1:-1]
        limits = np.unique(np.quantile(values[there], shares, method="inverted_cdf"))
        limits = limits[limits < distinct[-1]]
    best: tuple[float, Cut] | None = None
    sides = (True, False) if not there.all() else (False,)
    for missing_left in sides:
        # Missing values by themselves are a question as well: those go one way, and all numbers the other.
        tried = np.append(limits, distinct[-1]) if not (missing_left or there.all()) else limits
        order = np.digitize(np.where(there, values, -np.inf if missing_left else np.inf), tried, right=True)
        found = _best_place(order, len(tried) + 1, numbers, weight, least)
        if found is not None and (best is None or found[0] > best[0] * (1 + 1e-9)):
            limit = _between(float(tried[found[1]]), distinct, record)
            best = found[0], Cut(record, limit, (), missing_left)
    return best


def _between(limit: float, distinct: Floats, record: ColumnRecord) -> float:
    """Halfway to the next value that occurs, where that is finite."""
    above = distinct[distinct > limit]
    if not len(above) or not np.isfinite([limit, above[0]]).all():
        return limit
    return 0.5 if record.kind is Kind.BOOLEAN else limit + (float(above[0]) - limit) / 2


def _best_division(
    record: ColumnRecord, column: NDArray[Any], numbers: Floats, weight: Floats, least: int
) -> tuple[float, Cut] | None:
    found, codes = np.unique(column.astype(str), return_inverse=True)
    if len(found) < 2:
        return None
    counts: Floats = np.bincount(codes, weights=weight, minlength=len(found)).astype(np.float64)
    kept = np.argsort(-counts, kind="stable")[:_MAX_LEVELS]
    sums = np.stack([np.bincount(codes, weights=weight * k, minlength=len(found)) for k in numbers.T], axis=1)
    means = sums / np.maximum(counts, np.finfo(float).tiny)[:, None]
    middle = np.average(numbers, axis=0, weights=weight if weight.sum() > 0 else None)
    centred = (means - middle) * np.sqrt(counts)[:, None]
    line = (means - middle) @ np.linalg.svd(centred[kept], full_matrices=False)[2][0]
    line = line * (1.0 if (line * counts) @ (means[:, 0] - middle[0]) >= 0 else -1.0)
    rank = np.full(len(found), len(kept), dtype=np.int64)  # rare values of very many stay together on the right
    order = kept[np.argsort(line[kept], kind="stable")]
    rank[order] = np.arange(len(kept))
    best = _best_place(rank[codes], len(kept) + (len(found) > len(kept)), numbers, weight, least)
    if best is None:
        return None
    return best[0], Cut(record, None, tuple(sorted(found[order[: best[1] + 1]].tolist())), False)


def _best_place(
    order: NDArray[np.int64], width: int, numbers: Floats, weight: Floats, least: int
) -> tuple[float, int] | None:
    """Rows are in bins 0 … width - 1 in order: after which bin to divide them, and what that explains."""
    held = np.bincount(order, weights=weight, minlength=width).cumsum()[:-1]
    rows = np.bincount(order, minlength=width).cumsum()[:-1]
    centred = numbers - numbers.mean(axis=0)
    sums = np.stack([np.bincount(order, weights=weight * k, minlength=width) for k in centred.T], axis=1).cumsum(axis=0)
    whole, mass = sums[-1], weight.sum()
    left, right = sums[:-1], whole - sums[:-1]
    allowed = (rows >= least) & (len(numbers) - rows >= least) & (held > 0) & (mass - held > 0)
    if not allowed.any():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.square(left).sum(axis=1) / held + np.square(right).sum(axis=1) / (mass - held)
    gain = np.where(allowed, gain - np.square(whole).sum() / mass, -np.inf)
    place = int(gain.argmax())
    return float(gain[place]), place
