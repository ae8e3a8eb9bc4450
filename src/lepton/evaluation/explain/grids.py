"""Where the effect of a column is measured: quantiles of numbers and moments, frequent values of the others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import ColumnRecord, Kind
from lepton.evaluation.classification import Floats, Positions
from lepton.evaluation.explain.sample import Sample, kind_of_curve
from lepton.report import show_number, show_time

__all__ = ["Grid", "grid_of", "in_order_of_likeness", "point_text"]

_LEAST_BIN = 10
_LIKENESS_COLUMNS = 30
_LIKENESS_SHARES = np.linspace(0.05, 0.95, 19)
_GAP = 0.1
"""Part of a column's range without a single row from which a stretch is said to be a guess."""


@dataclass(frozen=True, slots=True)
class Grid:
    """P places of one column and how N rows lie among them.

    Attributes:
        record: the column.
        ordered: whether the places are numbers or moments; else they are values.
        points: the places as the graph gets them [P]: rising numbers, or values.
        near: for each row the stretch that it lies in, from `points[i]` to `points[i + 1]`, or the value that it has;
            -1 where it has none of them [N].
        num_others: values that are not among the places.
        share_others: share of the rows that have one of those.
        share_missing: share of the rows whose number is missing or infinite.
        gaps: the widest part of each stretch that holds no row, as a share of the range [P - 1].
    """

    record: ColumnRecord
    ordered: bool
    points: NDArray[Any]
    near: Positions
    num_others: int = 0
    share_others: float = 0.0
    share_missing: float = 0.0
    gaps: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def width(self) -> int:
        """P."""
        return len(self.points)

    @property
    def moves(self) -> tuple[Positions, ...]:
        """The steps between neighbouring places that a row can take, each [N] and -1 where it takes none.

        A number's stretch is crossed once; from a value a row moves to the one after it and to the one before it.
        """
        if self.ordered:
            return (self.near,)
        up = np.where((self.near >= 0) & (self.near < self.width - 1), self.near, -1)
        return (up, np.where(self.near >= 0, self.near - 1, -1))

    def shares(self, weight: Floats) -> Floats:
        """How much of each row stands at each place [N, P]: half at both ends of a stretch, or all at its value."""
        held = np.zeros((len(self.near), self.width))
        inside = np.flatnonzero(self.near >= 0)
        if self.ordered:
            held[inside, self.near[inside]] = 0.5
            held[inside, self.near[inside] + 1] = 0.5
        else:
            held[inside, self.near[inside]] = 1.0
        return held * weight[:, None]

    @property
    def counts(self) -> Positions:
        """Rows of each stretch [P - 1], or of each value [P]."""
        size = max(self.width - 1, 0) if self.ordered else self.width
        return np.bincount(self.near[self.near >= 0], minlength=size)[:size]

    def thin(self) -> list[int]:
        """Stretches or values that tell little: of less than ten rows, or with a wide part that has none."""
        few = self.counts < _LEAST_BIN
        if self.ordered and len(self.gaps):
            few |= self.gaps >= _GAP
        return np.flatnonzero(few).tolist()

    def reordered(self, order: Positions) -> Grid:
        """The same values in another order."""
        rank = np.argsort(order)
        near = np.where(self.near >= 0, rank[self.near], -1)
        return replace(self, points=self.points[order], near=near)


def grid_of(sample: Sample, name: str, points: int) -> Grid:
    """At most `points` places of a column; fewer where there are few rows, so that a stretch holds about ten.

    Raises:
        DataError: the model takes no such column.
        UsageError: the column holds texts.
    """
    record = sample.record(name)
    values = sample.cells(name)
    if kind_of_curve(record) == "levels":
        return _levels(record, values, sample.mass, points)
    numbers = values.astype(np.float64)
    there = np.isfinite(numbers)
    distinct = np.unique(numbers[there])
    wanted = max(min(points, int(there.sum()) // _LEAST_BIN + 1), 2)
    gaps = np.zeros(0)
    if len(distinct) > wanted:
        known, shares = distinct, np.linspace(0.0, 1.0, wanted)
        distinct = np.unique(np.quantile(numbers[there], shares, method="inverted_cdf"))
        widest = np.zeros(len(distinct) - 1)
        between = np.searchsorted(distinct, known[1:], side="left") - 1
        np.maximum.at(widest, between, known[1:] / 2 - known[:-1] / 2)
        gaps = 2 * widest / max(2 * (known[-1] / 2 - known[0] / 2), np.finfo(float).tiny)
    near = np.full(len(numbers), -1, dtype=np.int64)
    if len(distinct) > 1:
        near[there] = np.clip(np.searchsorted(distinct, numbers[there], side="left") - 1, 0, len(distinct) - 2)
    return Grid(record, True, distinct, near, share_missing=float(1 - there.mean()), gaps=gaps)


def _levels(record: ColumnRecord, values: NDArray[Any], weight: Floats, points: int) -> Grid:
    numeric = record.kind is Kind.BOOLEAN
    there = np.isfinite(values.astype(np.float64)) if numeric else np.ones(len(values), dtype=bool)
    found, codes = np.unique(values[there] if numeric else values.astype(str), return_inverse=True)
    held = np.bincount(codes, weights=weight[there], minlength=len(found))
    kept = np.sort(np.argsort(-held, kind="stable")[:points])
    rank = np.full(len(found), -1, dtype=np.int64)
    rank[kept] = np.arange(len(kept))
    near = np.full(len(values), -1, dtype=np.int64)
    near[there] = rank[codes]
    others = len(found) - len(kept)
    share = float((near[there] < 0).mean()) if there.any() else 0.0
    chosen: NDArray[Any] = found[kept] if numeric else found[kept].astype(object)
    return Grid(record, False, chosen, near, others, share, float(1 - there.mean()))


def in_order_of_likeness(grid: Grid, sample: Sample) -> Grid:
    """The values of a category side by side when the rows that have them are alike in the other columns.

    Apley & Zhu order levels so (section 3.4 of their supplement): distances between the distributions of each other
    column, Kolmogorov and Smirnov's of numbers and the total variation of values, summed, and laid on a line by
    classical scaling. Truth values keep their order.
    """
    if grid.ordered or grid.width < 3 or grid.record.kind is Kind.BOOLEAN:
        return grid
    held = grid.shares(sample.mass)
    apart = np.zeros((grid.width, grid.width))
    others = [column for column in sample.columns if column.name != grid.record.name]
    for column in [each for each in others if each.kind is not Kind.TEXT][:_LIKENESS_COLUMNS]:
        apart += _distances(sample.cells(column.name), held)
    middle = np.eye(grid.width) - 1.0 / grid.width
    values, vectors = np.linalg.eigh(-0.5 * middle @ apart**2 @ middle)
    line = vectors[:, -1] if values[-1] > 0 else np.zeros(grid.width)
    line = line * (1.0 if line[np.abs(line).argmax()] >= 0 else -1.0)
    return grid.reordered(np.argsort(np.round(line, 9), kind="stable"))


def _distances(cells: NDArray[Any], held: Floats) -> Floats:
    """Of the distributions of one column among the rows of each value [P, P]."""
    sums = held.sum(axis=0)
    if cells.dtype == object:
        found, codes = np.unique(cells.astype(str), return_inverse=True)
        if len(found) > 100:
            return np.zeros((len(sums), len(sums)))
        shares = (np.eye(len(found))[codes].T @ held / sums).T
        return np.asarray(np.abs(shares[:, None] - shares[None]).sum(axis=2) / 2)
    there = np.isfinite(cells)
    if not there.any():
        return np.zeros((len(sums), len(sums)))
    below = (cells[:, None] <= np.quantile(cells[there], _LIKENESS_SHARES)[None, :]).astype(np.float64)
    shares = (below.T @ held / sums).T
    return np.asarray(np.abs(shares[:, None] - shares[None]).max(axis=2))


def point_text(record: ColumnRecord, point: Any) -> str:
    """A place as people read it."""
    if record.kind is Kind.BOOLEAN:
        return "true" if point else "false"
    if record.kind is Kind.DATETIME:
        return show_time(float(point))
    if record.kind is Kind.NUMBER:
        return show_number(float(point))
    return str(point) or "(missing)"
