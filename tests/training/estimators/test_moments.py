"""Moments merge exactly, whatever the parts; weights count as repeated rows."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError
from lepton.training.estimators.moments import Moments, moments_of

RNG = np.random.default_rng(0)
X = RNG.normal(5, 2, (20_000, 3))
Y = RNG.normal(-1, 3, (20_000, 1))


def close(one: Moments, other: Moments) -> None:
    assert one.count == other.count
    assert one.weight == pytest.approx(other.weight, rel=1e-12)
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(one.scatter, other.scatter, rtol=1e-10, atol=1e-10 * np.abs(one.scatter).max())


def test_they_are_the_textbooks():
    found = moments_of(X, Y)
    both = np.column_stack([X, Y])
    np.testing.assert_allclose(found.mean, both.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.scatter, np.cov(both.T) * (len(X) - 1), rtol=1e-11)
    assert (found.count, found.weight) == (20_000, 20_000.0)


@given(st.lists(st.integers(0, 20_000), max_size=6), st.booleans())
def test_parts_merge_to_the_whole(cuts, weighted):
    weight = np.arange(20_000) % 3 * 0.5 if weighted else None
    edges = sorted({0, 20_000, *cuts})
    merged = Moments.empty(4)
    for start, stop in pairwise(edges):
        part = slice(start, stop)
        merged = merged.merge(moments_of(X[part], Y[part], None if weight is None else weight[part]))
    close(merged, moments_of(X, Y, weight))


def test_weights_count_as_repeated_rows():
    repeats = np.arange(500) % 4
    weighted = moments_of(X[:500], Y[:500], repeats.astype(float))
    repeated = moments_of(np.repeat(X[:500], repeats, axis=0), np.repeat(Y[:500], repeats, axis=0))
    assert weighted.count == np.count_nonzero(repeats)
    np.testing.assert_allclose(weighted.scatter, repeated.scatter, rtol=1e-11, atol=1e-9)
    np.testing.assert_allclose(weighted.mean, repeated.mean, rtol=1e-12)


def test_a_large_mean_costs_no_digits():
    shifted = moments_of(X + 1e9, Y)
    np.testing.assert_allclose(shifted.scatter, moments_of(X, Y).scatter, rtol=1e-6, atol=0.5)


def test_around_zero():
    np.testing.assert_allclose(moments_of(X, Y).about_zero().scatter[:3, :3], X.T @ X, rtol=1e-11)


def test_any_dtype_and_order():
    few = X[:100].astype(np.float32)
    close(moments_of(np.asfortranarray(few), Y[:100]), moments_of(few.astype(float), Y[:100]))


def test_no_rows_and_no_weight():
    assert moments_of(X[:0], Y[:0]).count == 0
    assert moments_of(X[:5], Y[:5], np.zeros(5)).count == 0


def test_the_json_form_is_exact():
    found = moments_of(X, Y)
    again = Moments.from_dict(json.loads(json.dumps(found.to_dict())))
    assert np.array_equal(again.scatter, found.scatter)
    assert (again.count, again.weight) == (found.count, found.weight)


def test_other_variables():
    with pytest.raises(DataError, match="one part has 4 variables, the other 3"):
        moments_of(X, Y).merge(moments_of(X, Y[:, :0]))
