"""What a model promised of itself when it was trained, to be held against how good its answers are."""

from __future__ import annotations

from dataclasses import dataclass

from lepton.bundle import Predictor

__all__ = ["Promised", "promised_of"]

_REPORT = "training"


@dataclass(frozen=True, slots=True)
class Promised:
    """The score of a model on rows that it was not trained on, as its file tells it.

    Attributes:
        metric: name of it.
        value: the score.
        lower: end of its interval; the score itself where it has none.
        upper: the other end.
        greater_is_better: of the metric.
    """

    metric: str
    value: float
    lower: float
    upper: float
    greater_is_better: bool


def promised_of(predictor: Predictor) -> Promised | None:
    """What a model promised; None where its file does not tell it in this form."""
    report = predictor.bundle.reports.get(_REPORT, {})
    rows = report.get("rows")
    chosen = [row for row in rows if isinstance(row, dict) and row.get("chosen")] if isinstance(rows, list) else []
    if len(chosen) != 1 or not isinstance(report.get("metric"), str):
        return None
    value, lower, upper = (chosen[0].get(name) for name in ("metric", "lower", "upper"))
    if not isinstance(value, int | float):
        return None
    ends = [value if not isinstance(end, int | float) else end for end in (lower, upper)]
    return Promised(report["metric"], value, ends[0], ends[1], bool(report.get("greater_is_better")))
