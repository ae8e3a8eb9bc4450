# ruff: noqa: DTZ001
"""Splits are disjoint, complete, seeded, and keep what they promise."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError, ErrorCode, UsageError
from lepton.data.split import split_by_group, split_by_time, split_random, split_stratified

SHARES = st.floats(0.01, 0.99)
SEEDS = st.integers(-(2**63), 2**63)


@given(st.integers(2, 500), SHARES, SEEDS)
def test_random_holds_out_exactly_the_share(num_rows, test, seed):
    mask = split_random(num_rows, test, seed)
    assert mask.sum() == min(max(round(num_rows * test), 1), num_rows - 1)
    assert (mask == split_random(num_rows, test, seed)).all()


def test_random_is_the_same_everywhere():
    assert np.flatnonzero(split_random(20, 0.25, seed=7)).tolist() == [0, 4, 8, 9, 19]


def test_every_row_is_as_likely():
    often = np.sum([split_random(50, 0.2, seed) for seed in range(2000)], axis=0)
    assert abs(often - 400).max() < 5 * np.sqrt(2000 * 0.2 * 0.8)


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=2, max_size=200), SHARES, SEEDS)
def test_stratified_within_one_row(values, test, seed):
    key = pl.Series("key", values, dtype=pl.String)
    mask = split_stratified(key, test, seed)
    wanted = min(max(round(len(values) * test), 1), len(values) - 1)
    assert mask.sum() == wanted
    for value in set(values):
        rows = np.array([v == value for v in values])
        assert abs(mask[rows].sum() - rows.sum() * wanted / len(values)) < 1


def test_numbers_are_stratified_by_tenths():
    values = np.random.default_rng(0).normal(size=1000)
    mask = split_stratified(pl.Series("y", values), 0.2, seed=0)
    ranks = np.argsort(np.argsort(values)) * 10 // 1000
    assert [mask[ranks == tenth].sum() for tenth in range(10)] == [20] * 10


@given(st.lists(st.integers(0, 8), min_size=2, max_size=100).filter(lambda v: len(set(v)) > 1), SHARES, SEEDS)
def test_groups_never_straddle(values, test, seed):
    mask = split_by_group(pl.Series("group", values), test, seed)
    assert 0 < mask.sum() < len(values)
    assert not set(np.array(values)[mask]) & set(np.array(values)[~mask])


@given(st.lists(st.integers(0, 30), min_size=2, max_size=100).filter(lambda v: len(set(v)) > 1), SHARES)
def test_no_test_row_is_earlier_than_a_training_row(values, test):
    times = [dt.datetime(2020, 1, 1) + dt.timedelta(hours=v) for v in values]
    mask = split_by_time(pl.Series("time", times), test)
    assert 0 < mask.sum() < len(values)
    assert min(np.array(values)[mask]) > max(np.array(values)[~mask])


@pytest.mark.parametrize("test", [0, 1, -0.5, 2, float("nan")])
def test_a_share_that_is_none(test):
    with pytest.raises(UsageError, match="test="):
        split_random(10, test, 0)


def test_what_cannot_be_split():
    with pytest.raises(DataError, match="1 rows") as caught:
        split_random(1, 0.5, 0)
    assert caught.value.code is ErrorCode.TOO_FEW_ROWS
    with pytest.raises(DataError, match="one group"):
        split_by_group(pl.Series("g", [1, 1, 1]), 0.5, 0)
    with pytest.raises(DataError, match="missing in 1 of 3 rows"):
        split_by_group(pl.Series("g", [1, None, 2]), 0.5, 0)
    with pytest.raises(DataError, match="the same time"):
        split_by_time(pl.Series("t", [dt.datetime(2020, 1, 1)] * 3), 0.5)
