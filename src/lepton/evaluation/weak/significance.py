"""Whether the mean of some rows is above that of others: Welch's test with weights and groups, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton.evaluation.bootstrap import Estimate
from lepton.evaluation.classification import Floats, Positions

__all__ = ["Excess", "excess", "holm"]

_PRIOR_ROWS = 3.0
"""Rows of the common spread that are added to that of a part: twenty equal losses do not prove that there is none."""


@dataclass(frozen=True, slots=True)
class Excess:
    """How far the mean of a part is above that of the rest.

    Attributes:
        value: the difference of the means.
        error: its standard error.
        freedom: degrees of freedom of `value / error`.
        z: the point of the normal distribution that lies as far out.
    """

    value: float
    error: float
    freedom: float
    z: float

    @property
    def p_value(self) -> float:
        """Probability of so much or more where there is nothing."""
        return 0.5 * math.erfc(self.z / math.sqrt(2.0))

    @property
    def estimate(self) -> Estimate:
        """The difference with its 95 % interval."""
        if not math.isfinite(self.error):
            return Estimate(self.value, reason="too few rows for an interval")
        # Student's quantile by its expansion around the normal one (Fisher and Cornish 1960).
        point, free = 1.959964, max(self.freedom, 1.0)
        reach = point + (point**3 + point) / (4 * free) + (5 * point**5 + 16 * point**3 + 3 * point) / (96 * free**2)
        return Estimate(self.value, self.value - reach * self.error, self.value + reach * self.error)


def excess(
    losses: Floats,
    part: NDArray[np.bool_],
    rest: NDArray[np.bool_],
    *,
    weight: Floats | None = None,
    groups: Positions | None = None,
) -> Excess:
    """The mean of `losses` [N] in `part` less that in `rest`, two masks [N] without a row in common.

    Unequal spreads are allowed (Welch 1947). With groups, the sums of whole groups vary, not single rows, as in the
    sandwich of Liang and Zeger (1986). The quantile is turned into a normal one by Wallace (1959).
    """
    weights = np.ones(len(losses)) if weight is None else weight
    inside, outside = weights[part].sum(), weights[rest].sum()
    if inside <= 0 or outside <= 0:
        return Excess(0.0, math.inf, 1.0, 0.0)
    means = (float(weights[part] @ losses[part] / inside), float(weights[rest] @ losses[rest] / outside))
    both = part | rest
    centred = losses[both] - weights[both] @ losses[both] / weights[both].sum()
    common = float(weights[both] @ centred**2 / weights[both].sum())
    variances, units = [], []
    for rows, total, mean in ((part, inside, means[0]), (rest, outside, means[1])):
        influence = weights[rows] * (losses[rows] - mean) / total
        shares = weights[rows] / total
        if groups is not None:
            _, unit = np.unique(groups[rows], return_inverse=True)
            influence = np.bincount(unit, weights=influence)
            shares = np.bincount(unit, weights=shares)
        count = 1.0 / float(shares @ shares)  # units of equal weight that would vary as much (Kish 1965)
        spread = float(influence @ influence) * count + _PRIOR_ROWS * common / count
        variances.append(spread / max(count + _PRIOR_ROWS - 1.0, 1.0))
        units.append(max(count - 1.0, 1e-9))
    value, total_variance = means[0] - means[1], sum(variances)
    if total_variance <= 0 or units[0] < 1.0:
        return Excess(value, math.inf, 1.0, 0.0)
    free = total_variance**2 / sum(v * v / u for v, u in zip(variances, units, strict=True) if v > 0)
    error = math.sqrt(total_variance)
    return Excess(value, error, free, _normal(value / error, free))


def _normal(t: float, free: float) -> float:
    """The normal quantile for Student's `t`."""
    shrink = (8 * free + 1) / (8 * free + 3)
    return math.copysign(shrink * math.sqrt(free * math.log1p(t * t / free)), t)


def holm(p_values: Sequence[float], *, looks: int = 1) -> list[float]:
    """Each p-value corrected so that the chance of any false one is kept (Holm 1979), times `looks` families."""
    order = np.argsort(p_values, kind="stable")
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for place, position in enumerate(order.tolist()):
        highest = max(highest, min(1.0, looks * (len(p_values) - place) * p_values[position]))
        corrected[position] = highest
    return corrected
