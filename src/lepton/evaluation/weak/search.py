"""The search for parts of the rows with high losses: all ranges, all pairs of them, and thirds added to the best.

Columns are coded in bins, so that the losses of every condition come from one histogram, and of every pair of ranges in
two columns from one histogram in two dimensions. What was found is then fitted to finer bins, relieved of conditions
that add nothing, and its losses are levelled, so that the next turn finds what it hid. Nothing here says that a part is
weak: that is for rows that the search has not seen.

Ideas: SliceFinder (Chung et al., ICDE 2019), SliceLine (Sagadeeva and Boehm, SIGMOD 2021), and the patient rule
induction of Friedman and Fisher (1999).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.evaluation.classification import Floats
from lepton.evaluation.weak.conditions import CodedColumn

__all__ = ["Box", "rows_of", "search"]

_BEAM = 40
_POOL = 15
_A_TURN = 3
_TURNS = 6
_LEAST_Z = 4.0
"""Below it a part is not worth a test: chance alone reaches it in any search."""
_ADDS = 3.5
_TURNED = 2.0
_APART = 0.2
_SAME = 0.5
_PAIRED = 45
"""Columns whose pairs are tried, where there are more: those with the strongest part of their own."""
_KEPT = 150
"""Columns that are looked at after the first turn, chosen in the same way."""
_CELLS = 60_000_000
"""Rows × pairs of columns that one turn may count."""

Spans = dict[int, tuple[int, int]]


@dataclass(frozen=True)
class Box:
    """A part of the rows: column number → first and last of its bins.

    Attributes:
        spans: its conditions.
        z: how many standard errors its mean lies above that of the rows that were searched.
    """

    spans: Spans
    z: float


def rows_of(columns: Sequence[CodedColumn], spans: Spans, rows: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """The rows in a box, as a mask over all rows or those given."""
    mask: NDArray[np.bool_] | None = None
    for number, (first, last) in spans.items():
        codes = columns[number].codes if rows is None else columns[number].codes[rows]
        inside = (codes >= first) & (codes <= last)
        mask = inside if mask is None else mask & inside
    if mask is None:
        raise ValueError("a box without conditions")
    return mask


def search(
    columns: Sequence[CodedColumn],
    losses: Floats,
    *,
    weight: Floats | None = None,
    max_conditions: int = 3,
    min_rows: int = 30,
    most: int = 15,
    work: Work | None = None,
) -> list[Box]:
    """Parts of N rows whose mean loss is high, the most striking first.

    Args:
        columns: coded columns of the N rows.
        losses: float64 [N].
        weight: of each row [N].
        max_conditions: 1 to 3.
        min_rows: rows in each part, and outside it.
        most: how many parts at most.
        work: asked between turns whether to stop.
    """
    work = Work.of(work)
    turn = _Turn(columns, losses, weight, min_rows)
    found: list[Box] = []
    if turn.spread <= 0 or len(losses) < 2 * min_rows:
        return found
    for _ in range(_TURNS):
        work.check()
        taken: list[NDArray[np.bool_]] = []
        for box in sorted(turn.pool(max_conditions), key=lambda each: -each.z)[:_POOL]:
            mask = rows_of(columns, box.spans)
            if any(_shared(mask, other) > _SAME for other in taken):
                continue
            better = turn.simplified(turn.fitted(box))
            mask = rows_of(columns, better.spans)
            if better.z < _LEAST_Z or any(_shared(mask, other) > _APART for other in taken):
                continue
            found.append(better)
            taken.append(mask)
            if len(taken) == _A_TURN or len(found) == most:
                break
        if not taken or len(found) == most:
            break
        for mask in taken:
            turn.level(mask)
    return found


def _shared(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Rows in both as a share of the smaller one."""
    return float((first & second).sum() / max(1, min(int(first.sum()), int(second.sum()))))


class _Turn:
    """The losses as they are in one turn of the search, and how parts of them stand out."""

    def __init__(self, columns: Sequence[CodedColumn], losses: Floats, weight: Floats | None, min_rows: int) -> None:
        self.columns = columns
        self.num_rows = len(losses)
        self.weight = weight
        self.min_rows = min_rows
        self.gains: Floats = np.empty(0)
        self.spread = self.skewness = 0.0
        weights = np.ones(self.num_rows) if weight is None else weight
        self.total = float(weights.sum())
        self.centred: Floats = losses - (weights @ losses / self.total if self.total else 0.0)
        self._weigh()
        # Weights that differ are worth fewer rows of one weight.
        self.worth = float(self.total / (weights @ weights)) if self.total else 0.0
        if self.spread <= 1e-12 * max(1.0, float(np.abs(losses).max(initial=0.0))):
            self.spread = 0.0
        self.coarse = [column.coarse[column.codes] for column in columns]
        self.tried = [column.candidates() for column in columns]
        self.numbers = list(range(len(columns)))
        self.narrow: dict[int, NDArray[np.int64]] = {}
        self.selects = [_selector(tried, column.num_coarse) for tried, column in zip(self.tried, columns, strict=True)]

    def level(self, mask: NDArray[np.bool_]) -> None:
        """Take the excess of a part away, so that it strikes no more."""
        rest = self.gains[~mask].sum() / max(self.total - self.weighed(mask), 1e-300)
        self.centred[mask] += rest - self.gains[mask].sum() / max(self.weighed(mask), 1e-300)
        self.centred -= rest
        self._weigh()

    def _weigh(self) -> None:
        weights = np.ones(self.num_rows) if self.weight is None else self.weight
        self.gains = weights * self.centred
        self.spread = float(np.sqrt(self.gains @ self.centred / self.total)) if self.total else 0.0
        cubes = float(self.gains @ self.centred**2) / self.total if self.total else 0.0
        self.skewness = cubes / self.spread**3 if self.spread > 0 else 0.0

    def z(self, rows: Floats, weights: Floats, gains: Floats) -> Floats:
        """Standard errors by which parts stand out; -inf where a part or its rest is too small.

        Means of few skewed losses stand out by chance. Their distribution is taken for a shifted gamma one of the same
        skewness, and turned into a normal one by Wilson and Hilferty (1931).
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            z = gains / np.sqrt(weights * (self.total - weights))
        z *= np.sqrt(self.total * self.worth) / self.spread
        if self.skewness > 0:
            high = z > _TURNED
            lean = self.skewness / np.sqrt(weights[high] * self.worth)
            z[high] = 6 / lean * (np.cbrt(1 + lean * z[high] / 2) - 1) + lean / 6
        fits = (rows >= self.min_rows) & (rows <= self.num_rows - self.min_rows) & np.isfinite(z)
        return np.where(fits, z, -np.inf)

    def histograms(
        self, codes: NDArray[np.integer], num_bins: int, rows: NDArray[np.int64] | None = None
    ) -> tuple[Floats, Floats, Floats]:
        """Rows, weights and gains in each bin."""
        gains = self.gains if rows is None else self.gains[rows]
        counts = np.bincount(codes, minlength=num_bins).astype(np.float64)
        weights: Floats = counts
        if self.weight is not None:
            own = self.weight if rows is None else self.weight[rows]
            weights = np.bincount(codes, weights=own, minlength=num_bins).astype(np.float64)
        return counts, weights, np.bincount(codes, weights=gains, minlength=num_bins).astype(np.float64)

    def pool(self, max_conditions: int) -> list[Box]:
        """The best part of each column, of each of the best pairs of columns, and of thirds added to these."""
        singles: list[Box] = []
        for number in self.numbers:
            singles += self.best_third({}, number, None)
        if len(self.numbers) > _KEPT:  # the others are not looked at again
            self.numbers = sorted(next(iter(each.spans)) for each in sorted(singles, key=lambda each: -each.z)[:_KEPT])
        if max_conditions == 1 or len(self.columns) < 2:
            return singles
        strongest = sorted(singles, key=lambda each: -each.z)[:_PAIRED]
        numbers = sorted(next(iter(each.spans)) for each in strongest)
        pairs = [box for first, second in self.chosen_pairs(numbers) if (box := self.best_pair(first, second))]
        pairs.sort(key=lambda each: -each.z)
        if max_conditions == 2:
            return singles + pairs
        thirds: list[Box] = []
        for box in [*pairs[:_BEAM], *sorted(singles, key=lambda each: -each.z)[:_A_TURN]]:
            if len(box.spans) < 2:
                continue
            rows = np.flatnonzero(rows_of(self.columns, box.spans))
            for number in numbers:
                if number not in box.spans:
                    thirds += self.best_third(box.spans, number, rows)
        return singles + pairs + thirds

    def chosen_pairs(self, numbers: Sequence[int]) -> list[tuple[int, int]]:
        """Pairs of columns, as many as may be counted."""
        pairs = list(combinations(numbers, 2))
        return pairs[: max(1, _CELLS // max(1, self.num_rows))]

    def best_third(self, spans: Spans, number: int, rows: NDArray[np.int64] | None) -> list[Box]:
        """The best condition on one more column, on wide bins."""
        select, column = self.selects[number], self.columns[number]
        if not len(select):
            return []
        codes = self.coarse[number] if rows is None else self.coarse[number][rows]
        sums = [select @ each for each in self.histograms(codes, column.num_coarse, rows)]
        z = self.z(*sums)
        best = int(z.argmax())
        if not np.isfinite(z[best]):
            return []
        first, last = self.tried[number][best].tolist()
        return [Box({**spans, number: column.fine((first, last))}, float(z[best]))]

    def best_pair(self, first: int, second: int) -> Box | None:
        """The best pair of conditions on two columns, on wide bins."""
        one, two = self.columns[first], self.columns[second]
        left, right = self.selects[first], self.selects[second]
        if not len(left) or not len(right):
            return None
        width = two.num_coarse
        joint = self.coarse[first].astype(np.int64) * width + self.coarse[second]
        shape = (one.num_coarse, width)
        sums = [left @ each.reshape(shape) @ right.T for each in self.histograms(joint, shape[0] * width)]
        z = self.z(*sums)
        row, column = divmod(int(z.argmax()), z.shape[1])
        if not np.isfinite(z[row, column]):
            return None
        spans = {
            first: one.fine(self.tried[first][row].tolist()),
            second: two.fine(self.tried[second][column].tolist()),
        }
        return Box(spans, float(z[row, column]))

    def fitted(self, box: Box) -> Box:
        """The same columns with the best narrow bins, one after the other, twice."""
        for _ in range(2):
            before = box
            for number in box.spans:
                others = {each: span for each, span in box.spans.items() if each != number}
                rows = np.flatnonzero(rows_of(self.columns, others)) if others else None
                column = self.columns[number]
                codes = column.codes if rows is None else column.codes[rows]
                if number not in self.narrow:
                    self.narrow[number] = column.candidates(fine=True)
                tried = self.narrow[number]
                sums = [_spans_of(each, tried) for each in self.histograms(codes, column.num_bins, rows)]
                z = self.z(*sums)
                best = int(z.argmax())
                if z[best] > box.z:
                    first, last = tried[best].tolist()
                    box = Box({**box.spans, number: (first, last)}, float(z[best]))
            if box is before:
                break
        return box

    def simplified(self, box: Box) -> Box:
        """Without the conditions that a part does well without: the rows they shut out are no better."""
        while len(box.spans) > 1:
            inside = rows_of(self.columns, box.spans)
            rated = []
            for number in box.spans:
                others = {each: span for each, span in box.spans.items() if each != number}
                out = rows_of(self.columns, others) & ~inside
                rated.append((self.apart(inside, out), number, others))
            worst, _, others = min(rated, key=lambda each: each[:2])
            if worst >= _ADDS:
                break
            mask = rows_of(self.columns, others)
            sums = (np.array([float(v)]) for v in (mask.sum(), self.weighed(mask), self.gains[mask].sum()))
            box = self.fitted(Box(others, float(self.z(*sums)[0])))
        return box

    def weighed(self, mask: NDArray[np.bool_]) -> float:
        return float(mask.sum()) if self.weight is None else float(self.weight[mask].sum())

    def apart(self, inside: NDArray[np.bool_], out: NDArray[np.bool_]) -> float:
        """Standard errors between the means of two parts."""
        first, second = self.weighed(inside), self.weighed(out)
        if first <= 0 or second <= 0:
            return 0.0
        difference = self.gains[inside].sum() / first - self.gains[out].sum() / second
        return float(difference / (self.spread * np.sqrt((1 / first + 1 / second) / self.worth)))


def _selector(tried: NDArray[np.int64], num_bins: int) -> Floats:
    """A row for each condition with 1 at its bins, float64 [K, bins]."""
    bins = np.arange(num_bins)
    return ((bins >= tried[:, :1]) & (bins <= tried[:, 1:])).astype(np.float64)


def _spans_of(histogram: Floats, tried: NDArray[np.int64]) -> Floats:
    """Sums of a histogram over each span [K]."""
    sums = np.concatenate([[0.0], np.cumsum(histogram)])
    return np.asarray(sums[tried[:, 1] + 1] - sums[tried[:, 0]])
