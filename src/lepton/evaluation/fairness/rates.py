"""Rates of groups on the same resamples, and how far they lie apart, with intervals that allow for many groups.

The greatest difference between groups is never negative, and chance alone makes it larger the more groups there are:
its resampled percentiles say little about whether there is any difference. So each pair of groups gets an interval, all
of them together hold with 95 %, and the ends of the greatest difference follow from those: the bootstrap of the
greatest studentised deviation over all pairs (Efron & Tibshirani 1993, section 16.4; the logic is that of Tukey's
range). `docs/decisions/0262-differences-of-groups.md` has the coverage that was measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.evaluation.bootstrap import CONFIDENCE, Estimate, intervals, num_resamples
from lepton.evaluation.classification import Floats, Positions, Score, ratio

__all__ = ["Family", "Rates", "difference_of", "ratio_of", "resampled_rates"]

_LEAST_DEFINED = 0.9
_Z2 = 3.8414588206941254  # of 95 %, squared


@dataclass(frozen=True)
class Family:
    """A rate of each group: weighted mean of some values over the rows that count.

    Attributes:
        name: such as `selection_rate`.
        values: one a row [N].
        counts: the rows that count [N].
        is_share: whether the values are 0 and 1.
        undefined: what it means when no row of a group counts.
    """

    name: str
    values: Floats
    counts: NDArray[np.bool_]
    is_share: bool = True
    undefined: str = "there are no such rows"


@dataclass(frozen=True)
class Rates:
    """What resampling gave for one family.

    Attributes:
        estimates: of each group, with percentile intervals (those of Wilson where the share is 0 or 1).
        drawn: the same on each resample [B, groups].
        extra: what the standard error of a share of 0 or 1 is taken to be [groups]; it does not vary when resampled.
    """

    estimates: tuple[Estimate, ...]
    drawn: Floats
    extra: Floats

    @property
    def values(self) -> Floats:
        """On all rows [groups]; NaN where undefined."""
        return np.array([math.nan if each.value is None else each.value for each in self.estimates])


class _Sums:
    """Sums of columns over each group, computed once for each block of weights, and kept."""

    def __init__(self, columns: Sequence[Floats], group: Positions, num_groups: int) -> None:
        inside = group >= 0
        self._rows = np.flatnonzero(inside)[np.argsort(group[inside], kind="stable")]
        ends = np.cumsum(np.bincount(group[inside], minlength=num_groups)).tolist()
        self._spans = list(zip([0, *ends[:-1]], ends, strict=True))
        known: dict[bytes, int] = {}
        self._place = [known.setdefault(column.tobytes(), len(known)) for column in columns]
        kept = [columns[self._place.index(place)] for place in range(len(known))]
        self._columns = np.stack(kept, axis=1)[self._rows]
        self._asked: Floats | None = None
        self._drawn: list[Floats] = []

    def of(self, weights: Floats) -> Floats:
        """Sums [B, columns, groups]."""
        if self._asked is not weights:
            taken = weights[:, self._rows]
            parts = [taken[:, start:end] @ self._columns[start:end] for start, end in self._spans]
            self._asked = weights
            self._drawn.append(np.stack(parts, axis=2)[:, self._place])
        return self._drawn[-1]

    @property
    def drawn(self) -> Floats:
        """Those of all resamples; the first that is asked for is the rows as they are."""
        return np.concatenate([self._drawn[0][:0], *self._drawn[1:]])


def resampled_rates(
    families: Sequence[Family],
    group: Positions,
    num_groups: int,
    *,
    weight: Floats | None = None,
    clusters: Positions | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> dict[str, Rates]:
    """The rates of all families and groups on the same resamples of the rows.

    Args:
        families: what is measured.
        group: number of the group of each row [N], -1 for rows of none.
        num_groups: how many groups there are; each has a row.
        weight: sample weights [N].
        clusters: rows that are drawn together [N], as numbers from 0.
        seed: of the bootstrap.
        work: cancel and progress.
    """
    columns = [part for each in families for part in (each.values * each.counts, each.counts.astype(np.float64))]
    sums = _Sums(columns, group, num_groups)

    def score(family: int, place: int) -> Score:
        def of(weights: Floats) -> Floats:
            found = sums.of(weights)
            return ratio(found[:, 2 * family, place], found[:, 2 * family + 1, place])

        return of

    keys = [(family, place) for family in range(len(families)) for place in range(num_groups)]
    found = intervals(
        {key: score(*key) for key in keys},
        len(group),
        undefined={key: families[key[0]].undefined for key in keys},
        weight=weight,
        groups=clusters,
        resamples=num_resamples(len(group), 2 * num_groups),
        seed=seed,
        work=work,
    )
    drawn = sums.drawn
    units = group if clusters is None else clusters
    told: dict[str, Rates] = {}
    for number, family in enumerate(families):
        over = drawn[:, 2 * number + 1]
        rates = ratio(drawn[:, 2 * number].ravel(), over.ravel()).reshape(over.shape)
        own = [found[number, place] for place in range(num_groups)]
        extra = np.zeros(num_groups)
        if family.is_share:
            for place, each in enumerate(own):
                if each.value in (0.0, 1.0):
                    inside = family.counts & (group == place)
                    num = int(inside.sum()) if clusters is None else len(np.unique(units[inside]))
                    own[place], extra[place] = _certain(float(each.value), num)
        told[family.name] = Rates(tuple(own), rates, extra)
    return told


def _certain(share: float, num: int) -> tuple[Estimate, float]:
    """A share of 0 or 1 in `num` rows: Wilson's interval, and the standard error of Agresti & Coull (1998)."""
    far = _Z2 / (num + _Z2)
    near = (num * share + _Z2 / 2) / (num + _Z2)
    error = math.sqrt(near * (1 - near) / (num + _Z2))
    return Estimate(share, *((0.0, far) if share == 0 else (1 - far, 1.0))), error


def difference_of(rates: Sequence[Rates]) -> Estimate:
    """The greatest difference between two groups in any of `rates`; its interval allows for all pairs.

    >>> difference_of([]).reason
    'fewer than two groups have a value'
    """
    return _spread([(each.values, each.drawn, each.extra) for each in rates])


def ratio_of(rates: Sequence[Rates]) -> Estimate:
    """The least ratio of two groups in any of `rates`, at most 1; its interval allows for all pairs."""
    lowest: list[float] = []
    for each in rates:
        known = each.values[np.isfinite(each.values)]
        if len(known) > 1 and known.max() > 0:
            lowest.append(float(known.min() / known.max()))
        elif len(known) > 1:
            return Estimate(None, reason="the rate is 0 in every group")
    if len(lowest) < len(rates) or not rates:
        return _TOO_FEW
    if min(lowest) <= 0:
        return Estimate(0.0, reason="no interval: the rate of a group is 0")
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [(np.log(each.values), np.log(each.drawn), each.extra / each.values) for each in rates]
    found = _spread(logs)
    if found.value is None:
        return found
    value, ends = min(lowest), (found.lower, found.upper)
    if ends[0] is None or ends[1] is None:
        return Estimate(value, reason=found.reason)
    return Estimate(value, math.exp(-ends[1]), math.exp(-ends[0]))


_TOO_FEW = Estimate(None, reason="fewer than two groups have a value")


def _spread(families: Sequence[tuple[Floats, Floats, Floats]]) -> Estimate:
    pairs = [part for each in families if (part := _pairs(*each)) is not None]
    if len(pairs) < len(families) or not pairs:
        return _TOO_FEW
    values = np.concatenate([each["value"] for each in pairs])
    drawn = np.concatenate([each["drawn"] for each in pairs], axis=1)
    extra = np.concatenate([each["extra"] for each in pairs])
    value = float(np.abs(values).max())
    good = np.isfinite(drawn).all(axis=1)
    if good.sum() < _LEAST_DEFINED * len(good):
        return Estimate(value, reason="no interval: in many resamples a group has no such rows")
    deviations = drawn[good] - values
    error = np.sqrt(deviations.var(axis=0) + extra**2)
    varies = error > 0
    if not varies.any():
        return Estimate(value, value, value)
    # A pair whose deviation is partly that of Agresti & Coull has it in its width, not in what is drawn.
    greatest = (np.abs(deviations[:, varies]) / error[varies]).max(axis=1)
    factor = max(float(np.quantile(greatest, CONFIDENCE)), math.sqrt(_Z2) if extra.any() else 0.0)
    lower = max(float((np.abs(values) - factor * error).max()), 0.0)
    return Estimate(value, lower, float((np.abs(values) + factor * error).max()))


def _pairs(values: Floats, drawn: Floats, extra: Floats) -> Mapping[str, Any] | None:
    """Signed differences of each pair of groups that have a value; None where there are fewer than two."""
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < 2:
        return None
    one, other = (known[each] for each in np.triu_indices(len(known), 1))
    with np.errstate(invalid="ignore"):  # logarithms of 0
        apart = drawn[:, one] - drawn[:, other]
    return {
        "value": values[one] - values[other],
        "drawn": apart,
        "extra": np.hypot(extra[one], extra[other]),
    }
