"""Splits go where they say least, and rows reach the leaf that stands for what went."""

import numpy as np
import pytest

from lepton.optimization.lean.collapsing import fitted, splits_of, targets_of, thinned
from lepton.optimization.lean.forests import forests_in, leaves_of, own_leaves, sums_of
from lepton.optimization.lean.graphs import parse
from tests.optimization.lean.tables import WORK, made_subject


@pytest.fixture(scope="module", params=["regression", "multiclass"])
def grown(request):
    """Trees, rows, the leaves that they reach, and what splits are worth."""
    subject = made_subject(request.param, sets=request.param == "regression", rows=300, trees=6)
    (found,) = forests_in(parse(subject.original.graph))
    forest, rows = own_leaves(found.forest), subject.learn.tensors["numbers"]
    reached = leaves_of(forest, rows)
    weights = np.bincount(reached.ravel(), minlength=len(forest.leaf_values)).astype(np.float64) + 0.5
    return forest, rows, reached, splits_of(forest, weights)


def test_a_split_costs_as_much_as_each_below_it(grown):
    forest, _, _, splits = grown
    for children in (forest.left, forest.right):
        above = np.flatnonzero(children >= 0)
        assert (splits.costs[above] >= splits.costs[children[above]]).all()
        assert (splits.depths[children[above]] == splits.depths[above] + 1).all()
        assert (splits.trees[children[above]] == splits.trees[above]).all()


def test_the_cost_is_the_squared_change_of_the_sum(grown):
    forest, _, reached, _ = grown
    weights = np.bincount(reached.ravel(), minlength=len(forest.leaf_values)).astype(np.float64) + 1e-9
    splits = splits_of(forest, weights)
    last = np.flatnonzero((forest.left < 0) & (forest.right < 0))[0]
    gone = np.arange(len(forest.features)) == last
    thin, number = thinned(forest, splits, gone)
    before, after = sums_of(forest, reached), sums_of(thin, number[reached])
    assert ((after - before) ** 2).sum() == pytest.approx(splits.costs[last], rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_rows_reach_what_the_numbers_say(grown, share):
    forest, rows, reached, splits = grown
    gone = np.zeros(len(forest.features), dtype=bool)
    gone[np.lexsort((-splits.depths, splits.costs))[: round(share * len(gone))]] = True
    thin, number = thinned(forest, splits, gone)
    assert len(thin.features) >= len(gone) - gone.sum()
    assert set(targets_of(thin)) == set(targets_of(forest))  # of each sum one tree stays
    stays = (number[reached[:1]] >= 0).ravel()
    assert stays.sum() == thin.num_trees
    np.testing.assert_array_equal(leaves_of(thin, rows), number[reached[:, stays]])
    np.testing.assert_array_equal(np.unique(number[number >= 0]), np.arange(len(thin.leaf_values)))
    if share == 0.0:
        np.testing.assert_array_equal(sums_of(thin, leaves_of(thin, rows)), sums_of(forest, reached))
    if share < 1.0:  # what whole trees gave on average is not lost
        drift = (sums_of(thin, leaves_of(thin, rows)) - sums_of(forest, reached)).mean(axis=0)
        assert np.abs(drift).max() < 0.05 * sums_of(forest, reached).std(axis=0).max()


def test_leaves_fitted_at_once_come_nearer(grown):
    forest, rows, reached, splits = grown
    gone = splits.costs < np.quantile(splits.costs, 0.6)
    thin, number = thinned(forest, splits, gone)
    stays = (number[reached[:1]] >= 0).ravel()
    wanted, places = sums_of(forest, reached), number[reached[:, stays]]
    better = fitted(thin, places, wanted, np.ones(len(rows)), WORK)
    off = [float(((sums_of(each, places) - wanted) ** 2).mean()) for each in (thin, better)]
    assert off[1] < 0.7 * off[0]
    # Rows that do not count are not come near to.
    counts = (np.arange(len(rows)) % 2 == 0).astype(np.float64)
    ignored = fitted(thin, places, np.where(counts[:, None] == 0, 100.0, wanted), counts, WORK)
    assert float(((sums_of(ignored, places) - wanted)[::2] ** 2).mean()) < off[0]


def test_values_of_leaves_that_no_row_reaches_stay(grown):
    forest, _, reached, splits = grown
    thin, number = thinned(forest, splits, np.zeros(len(forest.features), dtype=bool))
    better = fitted(thin, number[reached[:5]], sums_of(forest, reached[:5]), np.ones(5), WORK)
    free = np.setdiff1d(np.arange(len(thin.leaf_values)), number[reached[:5]])
    np.testing.assert_array_equal(better.leaf_values[free], thin.leaf_values[free])
