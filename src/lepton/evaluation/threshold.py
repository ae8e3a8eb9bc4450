"""The threshold at which a binary model costs least, for what mistakes cost the user."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, UsageError, Work
from lepton.evaluation.bootstrap import Estimate, difference, intervals
from lepton.evaluation.classification import Floats, Positions, mean_of

__all__ = ["Costs", "Decision", "best_threshold", "cost_matrix", "decide"]

Costs = Mapping[str, float] | Sequence[Sequence[float]]
"""Cost of a row by what it is and what it is called: names such as `false_negative`, or [[tn, fp], [fn, tp]]."""

_CELLS = {"true_negative": (0, 0), "false_positive": (0, 1), "false_negative": (1, 0), "true_positive": (1, 1)}
_WANTED = 'costs={"false_positive": 1, "false_negative": 5} or a matrix [[tn, fp], [fn, tp]] of finite numbers'


@dataclass(frozen=True, slots=True)
class Decision:
    """A choice of threshold, by expected cost a row.

    Attributes:
        threshold: call a row positive where its probability is at least this.
        matrix: the costs, first by the truth, then by the call: [[tn, fp], [fn, tp]].
        cost: mean cost of a row at the threshold, for the rows it was chosen on.
        alternatives: `at 0.5`, `always positive`, `never positive` → their mean cost.
        savings: the same names → what the threshold saves against them, paired.
        calibrated_threshold: what would be best were the probabilities exact (Elkan 2001).
    """

    threshold: float
    matrix: tuple[tuple[float, float], tuple[float, float]]
    cost: Estimate
    alternatives: dict[str, Estimate]
    savings: dict[str, Estimate]
    calibrated_threshold: float

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "threshold": self.threshold,
            "costs": [list(row) for row in self.matrix],
            "cost": self.cost.to_dict(),
            "alternatives": {name: each.to_dict() for name, each in self.alternatives.items()},
            "savings": {name: each.to_dict() for name, each in self.savings.items()},
            "calibrated_threshold": self.calibrated_threshold,
            "note": NOTE,
        }


NOTE = (
    "The threshold was chosen on these very rows, so its cost here is a little too good: check it on others. "
    "The interval is that of the cost at this threshold."
)


def cost_matrix(costs: Costs) -> Floats:
    """Costs as [[tn, fp], [fn, tp]], what is not named being 0; `UsageError` on anything else."""
    if isinstance(costs, Mapping):
        if unknown := sorted(set(costs) - set(_CELLS)):
            raise UsageError(ErrorCode.USAGE, f"costs names {unknown[0]!r}", wanted="names among " + ", ".join(_CELLS))
        named = {_CELLS[name]: cost for name, cost in costs.items()}
        raw: Any = [[named.get((truth, call), 0.0) for call in (0, 1)] for truth in (0, 1)]
    else:
        raw = costs
    try:
        matrix = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape != (2, 2) or not np.isfinite(matrix).all():
        raise UsageError(ErrorCode.USAGE, f"got costs={costs!r}", wanted=_WANTED)
    if matrix[0, 1] <= matrix[0, 0] or matrix[1, 0] <= matrix[1, 1]:
        raise UsageError(
            ErrorCode.USAGE,
            f"got costs={costs!r}, where a mistake costs no more than the right answer",
            wanted="a false positive dearer than a true negative, and a false negative dearer than a true positive",
        )
    return matrix


def best_threshold(y: Positions, probability: Floats, matrix: Floats, weight: Floats | None = None) -> float:
    """The threshold with the least mean cost: y [N] of 0 and 1, probability [N] of 1; the highest one among equals."""
    weight = np.ones(len(y)) if weight is None else weight
    order = np.argsort(-probability, kind="stable")
    falling = probability[order]
    # From "never positive" downwards: what it changes to call one more row positive.
    change = np.cumsum(weight[order] * (matrix[y[order], 1] - matrix[y[order], 0]))
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    called = np.append(0, ends + 1)
    num_called = int(called[np.argmin(np.append(0.0, change[ends]))])
    if num_called == len(y):
        return 0.0
    above = math.nextafter(1.0, 2.0) if num_called == 0 else float(falling[num_called - 1])
    middle = (above + float(falling[num_called])) / 2
    return middle if middle > falling[num_called] else above


def decide(
    y: Positions,
    probability: Floats,
    costs: Costs,
    *,
    weight: Floats | None = None,
    groups: Positions | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> Decision:
    """Choose the threshold for `costs` and say what it saves, with intervals.

    Args:
        y: 0 or 1 [N].
        probability: of 1 [N].
        costs: names or matrix, as of `Costs`.
        weight: sample weights [N].
        groups: groups of rows [N], for the intervals.
        seed: of the bootstrap.
        work: asked whether to stop.
    """
    matrix = cost_matrix(costs)
    threshold = best_threshold(y, probability, matrix, weight)

    def cost_where(called: NDArray[np.bool_]) -> Floats:
        return matrix[y, called.astype(np.int64)]

    chosen = mean_of(cost_where(probability >= threshold))
    others = {
        "at 0.5": mean_of(cost_where(probability >= 0.5)),
        "always positive": mean_of(cost_where(np.ones(len(y), dtype=bool))),
        "never positive": mean_of(cost_where(np.zeros(len(y), dtype=bool))),
    }
    scores = {("cost", ""): chosen}
    for name, score in others.items():
        scores["cost", name] = score
        scores["saving", name] = difference(score, chosen)
    found = intervals(scores, len(y), weight=weight, groups=groups, seed=seed, work=work)
    alarm, miss = matrix[0, 1] - matrix[0, 0], matrix[1, 0] - matrix[1, 1]
    (tn, fp), (fn, tp) = matrix.tolist()
    return Decision(
        threshold,
        ((tn, fp), (fn, tp)),
        found["cost", ""],
        {name: found["cost", name] for name in others},
        {name: found["saving", name] for name in others},
        float(alarm / (alarm + miss)),
    )
