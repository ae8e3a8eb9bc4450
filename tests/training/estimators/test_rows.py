"""Rows in blocks: sums do not depend on threads, samples are spread evenly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError
from lepton.training.estimators.rows import Team, Thinned


@given(st.lists(st.integers(0, 400), min_size=1, max_size=20), st.integers(2, 300))
def test_a_thinned_source_is_every_so_manieth_row(lengths, limit):
    thinned, start = Thinned(limit), 0
    for length in lengths:
        thinned.add(np.arange(start, start + length), np.arange(start, start + length) * 2.0)
        start += length
    numbers, doubled = thinned.arrays()
    assert thinned.num_rows == start
    assert np.array_equal(doubled, numbers * 2.0)
    assert len(numbers) <= limit
    if start:
        stride = numbers[1] - numbers[0] if len(numbers) > 1 else max(start, 1)
        assert np.array_equal(numbers, np.arange(0, start, stride))
        assert len(numbers) == start if start <= limit else len(numbers) > limit // 2 - 1


def test_sums_do_not_depend_on_the_threads():
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(50_000, 7)), rng.normal(size=50_000), rng.random(50_000)

    def measure(x, y, w):
        return (x * (y * w)[:, None]).sum(axis=0)

    def blocks():
        yield x[:30_000], y[:30_000], w[:30_000]
        yield x[30_000:], y[30_000:], w[30_000:]

    found = []
    for threads in (1, 2, 5):
        with Team(threads) as team:
            found.append(team.total(blocks(), measure))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    np.testing.assert_allclose(found[0], measure(x, y, w), rtol=1e-9, atol=1e-9)


def test_no_blocks():
    with Team(1) as team, pytest.raises(DataError, match="there are no rows"):
        team.total(iter([]), lambda x, y, w: x)
