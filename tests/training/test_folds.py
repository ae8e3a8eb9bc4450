"""Folds: every row is scored once, classes are even, groups stay whole, the past comes before the future."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.training.folds import make_folds, num_folds_for, parts_of


def scored(folds):
    return np.sort(np.concatenate([fold.valid for fold in folds]))


@given(st.integers(5, 60), st.integers(2, 5), st.integers(0, 99))
def test_every_row_is_scored_once_and_never_learned_from(num_rows, num_folds, seed):
    folds = make_folds(num_rows, num_folds, seed=seed)
    assert scored(folds).tolist() == list(range(num_rows))
    for fold in folds:
        assert not set(fold.train) & set(fold.valid)
        assert len(fold.train) + len(fold.valid) == num_rows


@given(st.lists(st.integers(0, 3), min_size=10, max_size=60), st.integers(2, 5))
def test_classes_are_spread_evenly(classes, num_folds):
    codes = np.array(classes)
    folds = make_folds(len(codes), num_folds, classes=codes)
    for label in np.unique(codes):
        counts = [int((codes[fold.valid] == label).sum()) for fold in folds]
        assert max(counts) - min(counts) <= 1


@given(st.lists(st.integers(0, 7), min_size=10, max_size=60).filter(lambda g: len(set(g)) > 1), st.integers(2, 5))
def test_groups_stay_whole(groups, num_folds):
    codes = np.unique(groups, return_inverse=True)[1]
    folds = make_folds(len(codes), num_folds, groups=codes)
    assert scored(folds).tolist() == list(range(len(codes)))
    for fold in folds:
        assert not set(codes[fold.train]) & set(codes[fold.valid])


@given(st.lists(st.floats(0, 100), min_size=12, max_size=60), st.integers(2, 5))
def test_the_past_comes_before_the_future(order, num_folds):
    times = np.array(order)
    folds = make_folds(len(times), num_folds, order=times)
    assert len(folds) == num_folds
    for fold in folds:
        assert times[fold.train].max() <= times[fold.valid].min()


def test_the_same_seed_gives_the_same_folds():
    first, again, other = (make_folds(40, 4, seed=seed) for seed in (1, 1, 2))
    assert [f.valid.tolist() for f in first] == [f.valid.tolist() for f in again]
    assert [f.valid.tolist() for f in first] != [f.valid.tolist() for f in other]


@pytest.mark.parametrize(("num_rows", "expected"), [(4, (4, 4)), (10_000, (5, 5)), (10_001, (4, 4)), (100_001, (5, 1))])
def test_large_tables_need_fewer_folds(num_rows, expected):
    assert num_folds_for(num_rows) == expected


def test_parts_keep_groups_together():
    groups = np.repeat(np.arange(12), 5)
    parts = parts_of(60, 5, np.random.default_rng(0), groups)
    assert set(parts) == set(range(5))
    assert all(len(set(parts[groups == group])) == 1 for group in range(12))
    assert set(parts_of(6, 5, np.random.default_rng(0), np.array([3, 3, 3, 8, 8, 8]))) == {0, 1}
    assert len(set(parts_of(50, 5, np.random.default_rng(0), np.zeros(50, dtype=int)))) == 5


def test_parts_without_groups_are_even():
    assert np.bincount(parts_of(23, 5, np.random.default_rng(0))).tolist() == [5, 5, 5, 4, 4]
