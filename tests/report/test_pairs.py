"""Pairs of distributions and flows of rows are well-formed, and say in words what they show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.report import flow, overlaid, paired_bars
from tests.report.test_figures import MANY, check, count


@given(MANY, MANY)
def test_distributions_of_any_counts(first, second):
    size = min(len(first), len(second))
    figure = overlaid(range(size + 1), first[:size], second[:size], title="t", x_label="x")
    assert count(figure, "polygon", "area") in {0, 2}


def test_each_distribution_is_of_its_own_rows():
    small, large = (overlaid([0, 1, 2], [1, 3], np.array([3, 1]) * times, title="t") for times in (1, 1_000))
    assert small.svg == large.svg
    assert small.alt == ("t. Two distributions from 0 to 2: before most often 1 to 2; after most often 0 to 1.")


def test_one_value_has_a_width():
    assert count(overlaid([5, 5], [2], [3], title="t"), "polygon", "area") == 2


def test_moments_are_dates():
    figure = overlaid([0, 86_400e6, 2 * 86_400e6], [1, 0], [0, 1], title="t", names=("then", "now"), dates=True)
    assert "then most often 1970-01-01 to 1970-01-02" in figure.alt


@pytest.mark.parametrize(
    ("edges", "first", "second"), [([], [], []), ([0, 1], [1, 2], [1]), ([0, np.inf], [1], [1]), ([0, 1], [0], [0])]
)
def test_what_cannot_be_drawn_says_so(edges, first, second):
    assert "nothing to draw" in overlaid(edges, first, second, title="t").alt


@given(MANY, MANY)
def test_bars_of_any_shares(first, second):
    size = min(len(first), len(second))
    figure = paired_bars(range(size), first[:size], second[:size], title="t")
    good = sum(0 <= a <= 1e300 and 0 <= b <= 1e300 for a, b in zip(first, second, strict=False))
    assert count(figure, "rect", "bar") == count(figure, "rect", "hollow") == good


def test_bars_say_both_shares():
    assert "Oslo 10 %, then 25 %" in paired_bars(["Oslo"], [0.1], [0.25], title="t").alt.replace("\u00a0", " ")


def test_bars_beyond_the_limit_are_counted():
    assert "The first 24 of 30 are shown." in paired_bars(range(30), [0.1] * 30, [0.1] * 30, title="t").caption


@given(st.lists(st.tuples(st.text(max_size=20), st.integers(0, 10**12)), max_size=12))
def test_flows_of_any_rows(steps):
    check(flow(steps, title="t"))


def test_a_flow_says_the_rows_of_every_step():
    figure = flow([("came", 1_000), *((f"step {n}", 1_000 - n) for n in range(1, 12))], title="Rows")
    assert "came 1,000, step 1 999" in figure.alt
    assert "step 11 989" in figure.alt
    assert figure.caption == "4 steps between are not drawn."
    assert count(figure, "rect", "bar") == 8
