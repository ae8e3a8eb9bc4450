"""The metric for each part of the rows that a column makes, with intervals that many rows can afford."""

from __future__ import annotations

from lepton.core import Work
from lepton.evaluation.answers import Answers
from lepton.evaluation.bootstrap import intervals
from lepton.evaluation.metrics import Metric
from lepton.evaluation.segments import MIN_ROWS, TOO_FEW, Segment, parts_of

__all__ = ["MIN_ROWS", "Segment", "part_metrics"]

_RESAMPLES = 200


def part_metrics(
    answers: Answers, column: str, measured: Metric, *, seed: int = 0, work: Work | None = None
) -> tuple[Segment, ...]:
    """One metric for each value, or quartile, of `column`, as `segments_of` tells several, from 200 resamples."""
    work = Work.of(work)
    found = []
    for value, rows in parts_of(answers.columns[column]):
        work.check()
        num_rows = int(rows.sum())
        if num_rows < MIN_ROWS:
            found.append(Segment(value, num_rows, {}, TOO_FEW))
            continue
        part = answers.only(rows)
        told = intervals(
            {measured.name: part.score(measured)},
            num_rows,
            undefined={measured.name: measured.undefined},
            weight=part.weight,
            groups=part.groups,
            resamples=_RESAMPLES,
            seed=seed,
        )
        found.append(Segment(value, num_rows, told))
    return tuple(found)
