"""Finding a list of rules: bins of columns, and conditions that tell most of the rows they cover from the rest.

A list is grown like a tree of which one side of every split is a leaf: each rule is the conjunction that lowers the
loss of the rows that no earlier rule covers the most, where both sides answer their mean. It is kept where it saves
more than it costs to write down: the logarithm of how many conditions could have been chosen, and half the logarithm
of the rows for each new number (minimum description length).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton.core import Work
from lepton.data.steps.categories import OTHER
from lepton.training.base import Doubles

__all__ = ["Condition", "Rule", "find_rules", "simple_between"]

_BINS = 24  # of a number column; a condition is the rows on one side of a border between them
_CATEGORIES = 60  # of a column that have a bin of their own
_REST = 0.9  # of the loss of rows that no rule covers yet: later rules will lower it
_BEAM = 6  # conditions that are made narrower


@dataclass(frozen=True)
class Condition:
    """A test of one column of features.

    Attributes:
        column: which.
        lower: the least that passes.
        upper: the greatest that passes.
        missing: whether a missing value passes, and nothing else.
    """

    column: int
    lower: float = -np.inf
    upper: float = np.inf
    missing: bool = False

    def holds(self, features: Doubles) -> NDArray[np.bool_]:
        """Whether rows [N, F] pass [N]."""
        values = features[:, self.column]
        return np.isnan(values) if self.missing else (values >= self.lower) & (values <= self.upper)


Rule = tuple[Condition, ...]
"""Conditions that all hold."""


@dataclass(frozen=True)
class _Bins:
    """Columns cut into bins: the number of each cell's bin, and the conditions as sums of bins.

    Attributes:
        codes: bin of each cell, counted over all columns [N, F].
        firsts: first bin of each column [F + 1].
        is_category: whether a column is tested for single values [F].
        values: what bins that are tested alone hold, else the border above them; of all columns [B].
    """

    codes: NDArray[np.int64]
    firsts: NDArray[np.int64]
    is_category: NDArray[np.bool_]
    values: Doubles


def find_rules(
    features: Doubles,
    targets: Doubles,
    weight: Doubles,
    *,
    is_category: NDArray[np.bool_],
    is_date: NDArray[np.bool_],
    max_rules: int,
    max_conditions: int,
    min_weight: float,
    work: Work,
) -> tuple[tuple[Rule, ...], bool]:
    """Rules in their order, and whether the time ended the search before it was done.

    Args:
        features: rows [N, F]; missing is NaN.
        targets: one number [N, 1], or shares of classes [N, C] that add up to 1.
        weight: of rows [N].
        is_category: columns that are tested for being a value rather than for being above one [F].
        is_date: columns that hold microseconds [F].
        max_rules: at most so many.
        max_conditions: of a rule, at most so many.
        min_weight: of the rows that a rule covers, and that it leaves.
        work: ends it early.
    """
    bins = _binned(features, is_category, is_date)
    rows = np.flatnonzero(weight > 0)
    noise = _noise(targets[rows], weight[rows])
    rules: list[Rule] = []
    while len(rules) < max_rules:
        if work.stopped:
            return tuple(rules), True
        found = _best_rule(bins, targets, weight, rows, max_conditions, min_weight, noise)
        if found is None:
            break
        rules.append(found)
        rows = rows[~_covers(found, features[rows])]
    return tuple(rules), False


def _covers(rule: Rule, features: Doubles) -> NDArray[np.bool_]:
    return np.asarray(np.logical_and.reduce([condition.holds(features) for condition in rule]))


# --- bins -----------------------------------------------------------------------------------------------------


def _binned(features: Doubles, is_category: NDArray[np.bool_], is_date: NDArray[np.bool_]) -> _Bins:
    codes = np.empty(features.shape, dtype=np.int64)
    firsts, values = [0], []
    single = is_category.copy()
    for column, cells in enumerate(features.T):
        known = cells[np.isfinite(cells)]
        distinct, counts = np.unique(known, return_counts=True)
        single[column] |= len(distinct) <= 2  # yes or no
        if single[column]:
            named = (distinct != OTHER) | (not is_category[column])
            frequent = np.argsort(-counts[named], kind="stable")[:_CATEGORIES]
            own = np.sort(distinct[named][frequent])
            place = np.searchsorted(own, cells)
            hit = (place < len(own)) & (own[np.minimum(place, max(len(own) - 1, 0))] == cells) if len(own) else False
            # Behind the bins of values come one for all others, and one for missing.
            codes[:, column] = firsts[-1] + np.where(hit, place, len(own))
            upper = np.append(own, np.nan)
        else:
            borders = _borders(distinct, counts, is_date[column])
            codes[:, column] = firsts[-1] + np.searchsorted(borders, cells, side="left")
            upper = np.append(borders, np.inf)
        codes[np.isnan(cells), column] = firsts[-1] + len(upper)
        values.append(np.append(upper, np.nan))
        firsts.append(firsts[-1] + len(upper) + 1)
    return _Bins(codes, np.array(firsts), single, np.concatenate(values))


def _borders(distinct: Doubles, counts: NDArray[np.int64], dates: bool) -> Doubles:
    """Places between values that cut rows into parts of about the same size, as round as they can be."""
    if len(distinct) < 2:
        return np.empty(0)
    below = np.cumsum(counts)[:-1]
    wanted = np.arange(1, _BINS) * counts.sum() / _BINS
    places = np.unique(np.clip(np.searchsorted(below, wanted), 0, len(below) - 1))
    simple = _date_between if dates else simple_between
    return np.array([simple(float(distinct[place]), float(distinct[place + 1])) for place in places])


def _date_between(lower: float, upper: float) -> float:
    """As `simple_between`, for microseconds: a whole day, hour, minute or second."""
    middle = 0.5 * lower + 0.5 * upper
    for unit in (86_400e6, 3_600e6, 60e6, 1e6):
        rounded = float(np.floor(middle / unit) * unit)
        if lower <= rounded < upper:
            return rounded
    return lower


def simple_between(lower: float, upper: float) -> float:
    """The number with the fewest digits that is at least `lower` and below `upper`, near their middle."""
    middle = 0.5 * lower + 0.5 * upper
    for digits in range(1, 17):
        rounded = float(f"{middle:.{digits}g}")
        if lower <= rounded < upper:
            return rounded
    return float(lower)


# --- what a rule is worth ---------------------------------------------------------------------------------------


def _noise(targets: Doubles, weight: Doubles) -> float:
    """What a sum of squares is divided by to be a log-likelihood: the variance; 0 for classes, which need none."""
    if targets.shape[1] > 1:
        return 0.0
    mean = np.average(targets[:, 0], weights=weight)
    return float(max(np.average((targets[:, 0] - mean) ** 2, weights=weight), 1e-300))


def _loss(sums: Doubles, noise: float) -> Doubles:
    """Least loss in nats of rows of which these are the sums [..., K]: counts of classes, or weight, sum, squares."""
    if noise:
        total, first, second = sums[..., 0], sums[..., 1], sums[..., 2]
        rest = second - np.divide(first**2, total, out=np.zeros_like(total), where=total > 0)
        return np.asarray(0.5 * np.maximum(rest, 0.0) / noise)
    total = sums.sum(axis=-1)
    return np.asarray(_entropy(total) - _entropy(sums).sum(axis=-1))


def _entropy(values: Doubles) -> Doubles:
    return np.asarray(values * np.log(np.maximum(values, 1e-300)))


def _statistics(targets: Doubles, weight: Doubles, noise: float) -> Doubles:
    """What is added up over rows [N, K]."""
    if noise:
        values = targets[:, 0]
        return np.column_stack([weight, weight * values, weight * values**2])
    return targets * weight[:, None]


@dataclass(frozen=True)
class _Found:
    gain: float
    saved: float
    conditions: Rule
    rows: NDArray[np.int64]


def _best_rule(
    bins: _Bins,
    targets: Doubles,
    weight: Doubles,
    rows: NDArray[np.int64],
    max_conditions: int,
    min_weight: float,
    noise: float,
) -> Rule | None:
    """The rule that saves most on the rows, None where none is worth its words."""
    if len(rows) == 0:
        return None
    values = _statistics(targets[rows], weight[rows], noise)
    if noise:
        noise = _noise(targets[rows], weight[rows])  # of what is left
    whole = values.sum(axis=0)
    num_bins = len(bins.values)
    # A condition is one of about as many as there are bins; a rule has numbers of its own.
    cost_of_condition = np.log(2.0 * num_bins)
    cost_of_rule = 0.5 * np.log(max(len(rows), 2)) * max(values.shape[1] - 1, 1)
    beam = [_Found(-np.inf, 0.0, (), np.arange(len(rows)))]
    best: _Found | None = None
    for depth in range(1, max_conditions + 1):
        narrower: list[_Found] = []
        for start in beam:
            narrower += _narrowed(bins, values, whole, rows, start, min_weight, noise)
        narrower.sort(key=lambda found: -found.gain)
        beam = narrower[:_BEAM]
        for found in beam[:1]:
            gain = found.saved - depth * cost_of_condition - cost_of_rule
            if gain > 0 and (best is None or gain > best.gain):
                best = _Found(gain, gain, found.conditions, found.rows)
    return None if best is None else best.conditions


def _narrowed(
    bins: _Bins,
    values: Doubles,
    whole: Doubles,
    rows: NDArray[np.int64],
    start: _Found,
    min_weight: float,
    noise: float,
) -> list[_Found]:
    """The best few conditions that can be added to those of `start`."""
    num_columns, num_bins = bins.codes.shape[1], len(bins.values)
    codes = bins.codes[rows[start.rows]]
    sums: Doubles = np.stack(
        [np.bincount(codes.ravel(), np.repeat(part, num_columns), minlength=num_bins) for part in values[start.rows].T],
        axis=1,
    )
    inside, conditions = [], []
    for column in range(num_columns):
        first, last = int(bins.firsts[column]), int(bins.firsts[column + 1])
        own, names = sums[first:last], bins.values[first:last]
        if bins.is_category[column]:
            inside.append(own[:-2])
            conditions += [Condition(column, value, value) for value in names[:-2]]
        else:
            below = np.cumsum(own[:-2], axis=0)
            inside += [below, own[:-1].sum(axis=0) - below]
            conditions += [Condition(column, upper=border) for border in names[:-2]]
            conditions += [Condition(column, lower=float(np.nextafter(border, np.inf))) for border in names[:-2]]
        inside.append(own[-1:])
        conditions.append(Condition(column, missing=True))
    covered: Doubles = np.concatenate(inside)
    rest = whole - covered
    counts = _weights(covered, noise)
    of_covered, of_rest, of_all = _loss(covered, noise), _loss(rest, noise), _loss(whole, noise)
    saved = of_all - of_covered - of_rest
    if noise:
        total = float(_weights(whole, noise))
        saved = -0.5 * total * np.log(np.maximum(1.0 - 2.0 * saved / total, 1e-12))
    gains = of_all - of_covered - _REST * of_rest
    gains[(counts < min_weight) | (_weights(rest, noise) < min_weight)] = -np.inf
    if start.conditions:
        gains[counts >= _weights(values[start.rows].sum(axis=0), noise)] = -np.inf  # it leaves nothing out
    found = []
    for place in np.argsort(-gains, kind="stable")[:_BEAM]:
        if gains[place] > start.gain:
            condition = conditions[place]
            kept = _passing(bins, codes, condition)
            found.append(
                _Found(float(gains[place]), float(saved[place]), (*start.conditions, condition), start.rows[kept])
            )
    return found


def _weights(sums: Doubles, noise: float) -> Doubles:
    return np.asarray(sums[..., 0] if noise else sums.sum(axis=-1))


def _passing(bins: _Bins, codes: NDArray[np.int64], condition: Condition) -> NDArray[np.bool_]:
    """Which rows pass, told by their bins."""
    first, last = int(bins.firsts[condition.column]), int(bins.firsts[condition.column + 1])
    own, names = codes[:, condition.column] - first, bins.values[first:last]
    if condition.missing:
        return np.asarray(own == len(names) - 1)
    if bins.is_category[condition.column]:
        return np.asarray(own == np.searchsorted(names[:-2], condition.lower))
    borders = names[:-2]
    if np.isfinite(condition.upper):
        return np.asarray(own <= np.searchsorted(borders, condition.upper))
    return np.asarray((own > np.searchsorted(borders, condition.lower, side="left") - 1) & (own < len(names) - 1))
