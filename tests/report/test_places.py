"""Maps along the rows show small shares, join equal neighbours, and say where most is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lepton.report import place_map
from tests.report.test_figures import check, count


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats()))
def test_maps_of_anything(shares):
    check(place_map(range(len(shares)), shares, range(shares.shape[1] + 1), title="t"))


def test_neighbours_of_one_shade_are_one_rectangle_and_nothing_is_blank():
    figure = place_map(["a", "b"], [[0, 0, 1, 1], [0, 0, 0, 0]], [0, 10, 20, 30, 40], title="t")
    assert count(figure, "rect", "q7") == 1
    assert count(figure, "rect", "blank") == 2


def test_a_small_share_is_seen():
    assert count(place_map(["a"], [[0.0, 0.001]], [0, 1_000, 2_000], title="t"), "rect", "q2") == 1


def test_words_tell_where_most_is():
    figure = place_map(["a"], [[0.0, 0.5]], [0, 1_000_000, 2_000_000], title="Missing")
    assert "a at most 50 % (rows 1,000,001 to 2,000,000), at least 0 %" in figure.alt.replace("\u00a0", " ")


def test_lines_beyond_the_limit_are_counted():
    figure = place_map(range(50), np.ones((50, 2)), [0, 1, 2], title="t")
    assert figure.caption == "The first 40 of 50 are shown."


@pytest.mark.parametrize("edges", [[0], [0, 0], [0, np.nan]])
def test_what_cannot_be_drawn_says_so(edges):
    assert "nothing to draw" in place_map(["a"], [[1.0]], edges, title="t").alt
