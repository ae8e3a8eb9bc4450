"""Curves of a classifier: ROC, precision against recall, and reliability with the expected calibration error."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.evaluation.classification import Floats

__all__ = ["MAX_CURVES", "Calibration", "CalibrationBin", "RankingCurves", "calibration", "ranking_curves"]

MAX_POINTS = 200
MAX_CURVES = 12
"""Labels whose curves are drawn, where there are many."""
NUM_BINS = 10


@dataclass(frozen=True, slots=True)
class RankingCurves:
    """Points of the ROC and precision–recall curves, by falling threshold; at most 200 of them.

    Attributes:
        threshold: a row is called positive where its probability is at least this.
        false_positive_rate: share of the negative rows called positive.
        true_positive_rate: share of the positive rows called positive (recall).
        precision: share of the rows called positive that are.
    """

    threshold: tuple[float, ...]
    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]
    precision: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {name: list(values) for name, values in asdict(self).items()}


def ranking_curves(positive: NDArray[np.bool_], probability: Floats, weight: Floats | None) -> RankingCurves | None:
    """The curves; None unless there are positive and negative rows of weight above 0."""
    weight = np.ones(len(positive)) if weight is None else weight
    order = np.argsort(-probability, kind="stable")
    falling = probability[order]
    hits = np.cumsum(np.where(positive, weight, 0.0)[order])
    alarms = np.cumsum(np.where(positive, 0.0, weight)[order])
    if hits[-1] == 0 or alarms[-1] == 0:
        return None
    # One point a distinct probability, once the rows so far have weight.
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True) & (hits + alarms > 0))
    if len(ends) > MAX_POINTS:
        ends = ends[np.unique(np.linspace(0, len(ends) - 1, MAX_POINTS).round().astype(int))]
    return RankingCurves(
        tuple(falling[ends].tolist()),
        tuple((alarms[ends] / alarms[-1]).tolist()),
        tuple((hits[ends] / hits[-1]).tolist()),
        tuple((hits[ends] / (hits[ends] + alarms[ends])).tolist()),
    )


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Rows of similar probability.

    Attributes:
        lower: least probability in the bin.
        upper: greatest.
        predicted: weighted mean of the probabilities.
        observed: weighted share of rows where it came true.
        num_rows: how many rows.
    """

    lower: float
    upper: float
    predicted: float
    observed: float
    num_rows: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far probabilities are from what happens.

    Attributes:
        error: expected calibration error (Naeini et al. 2015): mean over bins of |predicted - observed|, each
            weighted by its rows.
        bins: at most ten, of about as many rows each.
        of: which probability was looked at.
    """

    error: float
    bins: tuple[CalibrationBin, ...]
    of: str

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"expected_calibration_error": self.error, "of": self.of, "bins": [asdict(each) for each in self.bins]}


def calibration(probability: Floats, came_true: NDArray[np.bool_], weight: Floats | None, of: str) -> Calibration:
    """Compare probabilities [N] with what came true [N], in bins of equal numbers of rows."""
    weight = np.ones(len(probability)) if weight is None else weight
    # Inner edges between tenths of the rows; equal probabilities always share a bin.
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, NUM_BINS + 1)[1:-1], method="lower"))
    number = np.searchsorted(edges, probability, side="left")
    bins, error = [], 0.0
    for each in np.unique(number):
        inside = number == each
        total = weight[inside].sum()
        if total == 0:
            continue
        predicted = float(weight[inside] @ probability[inside] / total)
        observed = float(weight[inside] @ came_true[inside] / total)
        lower, upper = float(probability[inside].min()), float(probability[inside].max())
        bins.append(CalibrationBin(lower, upper, predicted, observed, int(inside.sum())))
        error += total * abs(predicted - observed)
    return Calibration(float(error / weight.sum()), tuple(bins), of)
