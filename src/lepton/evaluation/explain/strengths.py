"""How far each column moves a model's answers, without labels: a cheap screen of many columns.

A column's values are shuffled among the rows, and the answers change; half their mean squared change is the variance
that the column takes part in (Jansen, "Analysis of variance designs for model output", 1999). Shuffling many columns
at once changes the answers at least as much as any of them does, so columns of a wide table are looked for in halves
of halves, and groups that change nothing are done with at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lepton.bundle import Predictor
from lepton.core import Interrupted, Work
from lepton.data import Dataset
from lepton.evaluation.bootstrap import CONFIDENCE, Estimate, weightings
from lepton.evaluation.classification import Floats, Positions
from lepton.evaluation.explain.sample import Sample, sample_of

__all__ = ["DIRECT", "Strength", "Strengths", "strengths", "strengths_of"]

_ROWS = 500
_SCREEN_ROWS = 100
DIRECT = 60
"""Columns up to which each is looked at."""
_QUESTIONS = 1_000
_DRAWS = 200


@dataclass(frozen=True)
class Strength:
    """How far one column moves the answers.

    Attributes:
        column: its name.
        moved: standard deviation of the answers that it takes part in, in their unit, with its 95 % interval.
    """

    column: str
    moved: Estimate

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"column": self.column, **self.moved.to_dict()}


@dataclass(frozen=True)
class Strengths:
    """Columns by how far they move the answers, the strongest first.

    Attributes:
        columns: those that were measured one by one.
        num_columns: all that the model takes.
        complete: whether the order of the first ones is known; not where questions ran out.
        num_rows: rows that were used.
    """

    columns: tuple[Strength, ...]
    num_columns: int
    complete: bool
    num_rows: int

    def strongest(self, most: int) -> list[str]:
        """Names of the strongest columns that move the answers at all; at most `most`."""
        return [each.column for each in self.columns if (each.moved.value or 0.0) > 0][:most]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "columns": [each.to_dict() for each in self.columns],
            "num_columns": self.num_columns,
            "complete": self.complete,
            "num_rows": self.num_rows,
        }


def strengths(
    predictor: Predictor,
    dataset: Dataset,
    *,
    label: Any = None,
    most: int = 30,
    seed: int = 0,
    work: Work | None = None,
) -> Strengths:
    """The columns that move a model's answers most; no labels are needed.

    Args:
        predictor: an opened model of tables.
        dataset: rows to ask it about.
        label: the one label whose probability is meant.
        most: how many of a wide table to find.
        seed: of draws and shuffles.
        work: cancel and progress.
    """
    return strengths_of(sample_of(predictor, dataset, label=label, seed=seed, work=work), most=most, seed=seed)


def strengths_of(sample: Sample, *, most: int = 30, seed: int = 0) -> Strengths:
    """`strengths` for rows that are packed already."""
    names = list(sample.inputs.names)
    rows = sample.draw(_ROWS, seed, 1)
    order = _derangement(rows.num_rows, seed)
    complete = True
    if len(names) > DIRECT:
        few = sample.draw(_SCREEN_ROWS, seed, 2)
        names, complete = _screened(few, names, most, _derangement(few.num_rows, seed))
    found = []
    for name in names:
        try:
            found.append(Strength(name, _moved(rows, _changes(rows, [name], order), order, seed)))
        except Interrupted:
            if not found:
                raise
            complete = False
            break
        sample.work.report(len(found), len(names), "columns", note="shuffling")
    found.sort(key=lambda each: -1.0 if each.moved.value is None else each.moved.value, reverse=True)
    return Strengths(tuple(found), len(sample.inputs.names), complete, rows.num_rows)


def _derangement(size: int, seed: int) -> Positions:
    """Each row's partner, never itself where there are two: a cycle through a random order."""
    order = np.random.default_rng([seed, 5]).permutation(size)
    partner = np.empty(size, dtype=np.int64)
    partner[order] = np.roll(order, 1)
    return partner


def _changes(rows: Sample, names: Sequence[str], order: Positions) -> Floats:
    """Half the squared change of each row's answers when the columns come from its partner [N]."""
    given = {name: rows.cells(name)[order] for name in names}
    after = rows.ask(np.arange(rows.num_rows), given)
    return np.asarray(0.5 * np.square(after - rows.answers).sum(axis=1))


def _moved(rows: Sample, changes: Floats, order: Positions, seed: int) -> Estimate:
    """The root of the mean change; a resample draws both rows of a pair, as in `importance`."""
    mass = rows.mass * rows.mass[order]
    value = float(np.sqrt(np.average(changes, weights=mass))) if mass.sum() > 0 else float("nan")
    if not np.isfinite(value):
        return Estimate(None, reason="the model answers no finite number")
    drawn = []
    for block in weightings(rows.num_rows, _DRAWS, weight=rows.weight, groups=rows.groups, seed=seed):
        pairs = block * block[:, order]
        sums = pairs.sum(axis=1)
        drawn.append(np.sqrt((pairs @ changes)[sums > 0] / sums[sums > 0]))
    ends = np.quantile(np.concatenate(drawn), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(ends[0]), float(ends[1]))


def _screened(rows: Sample, names: list[str], most: int, order: Positions) -> tuple[list[str], bool]:
    """The strongest columns of many, best groups first; and whether no other group could hold a stronger one."""
    start = max(len(names) // 64, 1)
    groups = [names[first : first + start] for first in range(0, len(names), start)]
    heap: list[tuple[float, int, list[str]]] = []
    asked = 0
    for group in groups:
        heap.append((-float(_changes(rows, group, order).mean()), asked, group))
        asked += 1
    heapq.heapify(heap)
    found: list[str] = []
    while heap and len(found) < most and asked < _QUESTIONS and not rows.work.stopped:
        value, _, group = heapq.heappop(heap)
        if value == 0 and found:
            break
        if len(group) == 1:
            found.append(group[0])
            continue
        middle = len(group) // 2
        for half in (group[:middle], group[middle:]):
            heapq.heappush(heap, (-float(_changes(rows, half, order).mean()), asked, half))
            asked += 1
        rows.work.report(asked, _QUESTIONS, "questions", note="looking for the strongest columns")
    complete = len(found) >= most or not heap or heap[0][0] >= 0
    while heap and not complete and len(found) < most:  # of the best groups that are left, all
        found += heapq.heappop(heap)[2]
    return found, complete
