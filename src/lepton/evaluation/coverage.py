"""Whether intervals and sets hold the truth as often as the model says, and how wide they are for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lepton.core import Work
from lepton.evaluation.answers import Answers
from lepton.evaluation.bootstrap import Estimate, intervals
from lepton.evaluation.classification import mean_of
from lepton.report import show_number

__all__ = ["Coverage", "coverage_of"]

_NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often the truth is inside.

    Attributes:
        stated: share of rows that the model was made for; None where it does not say.
        found: share of these rows.
        size: mean width of the intervals, or mean number of labels in a set.
        of: `interval` or `set`.
        rows_behind: rows that the model's coverage was learned from; None where it does not say.
    """

    stated: float | None
    found: Estimate
    size: Estimate
    of: str
    rows_behind: int | None = None

    @property
    def short(self) -> bool:
        """Whether fewer rows are inside than stated, beyond what the draws of these rows and those explain."""
        found = self.found
        if self.stated is None or found.value is None or found.upper is None:
            return False
        behind = (
            _NORMAL_95 * math.sqrt(self.stated * (1.0 - self.stated) / self.rows_behind) if self.rows_behind else 0.0
        )
        return found.value + math.hypot(found.upper - found.value, behind) < self.stated

    def text(self) -> str:
        """One sentence."""
        what = "mean width" if self.of == "interval" else "mean number of labels"
        stated = "" if self.stated is None else f", {show_number(self.stated)} was stated"
        return f"The {self.of} holds the truth in {self.found} of the rows{stated}; {what} {self.size}."

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "stated": self.stated,
            "found": self.found.to_dict(),
            "size": self.size.to_dict(),
            "of": self.of,
            "short": self.short,
        }


def coverage_of(
    answers: Answers, stated: float | None, *, rows_behind: int | None = None, seed: int = 0, work: Work | None = None
) -> Coverage | None:
    """The coverage of a model's intervals or sets; None where it gives neither."""
    beside = answers.beside
    if "lower" in beside and "upper" in beside:
        inside = (beside["lower"] <= answers.y) & (answers.y <= beside["upper"])
        sizes, of = np.asarray(beside["upper"] - beside["lower"], dtype=np.float64), "interval"
    elif "set" in beside:
        members = np.asarray(beside["set"])
        inside = members[np.arange(answers.num_rows), answers.y] > 0
        sizes, of = members.sum(axis=1).astype(np.float64), "set"
    else:
        return None
    found = intervals(
        {"found": mean_of(inside.astype(np.float64)), "size": mean_of(sizes)},
        answers.num_rows,
        weight=answers.weight,
        groups=answers.groups,
        resamples=answers.resamples,
        seed=seed,
        work=work,
    )
    return Coverage(stated, found["found"], found["size"], of, rows_behind)
