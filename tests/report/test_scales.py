"""Ticks stand at round places inside the range, whatever the range."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, strategies as st

from lepton.report.scales import DRAWABLE, Scale, date_ticks, drawable, nice_ticks, padded

numbers = st.floats(min_value=-DRAWABLE / 4, max_value=DRAWABLE / 4)


@given(numbers, numbers)
def test_ticks_lie_inside_and_rise(a, b):
    low, high = padded(min(a, b), max(a, b))
    ticks, texts = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 12
    assert len(texts) == len(ticks)
    assert all(x < y for x, y in pairwise(ticks))
    slack = 1e-6 * (high - low)
    assert low - slack <= ticks[0]
    assert ticks[-1] <= high + slack


@given(st.floats(min_value=-5e16, max_value=2e17), st.floats(min_value=1e6, max_value=1e17))
def test_date_ticks_lie_inside_and_differ(low, width):
    ticks, texts = date_ticks(low, low + width)
    assert 1 <= len(ticks) <= 16
    assert len(set(texts)) == len(texts)
    assert all(low - 1 <= t <= low + width + 1 for t in ticks)


def test_dates_stand_at_the_start_of_years_months_and_days():
    day = 86_400e6
    assert date_ticks(0, 365 * 20 * day)[1] == ["1970", "1975", "1980", "1985"]
    assert date_ticks(0, 200 * day, 7)[1] == [
        "1970-01",
        "1970-02",
        "1970-03",
        "1970-04",
        "1970-05",
        "1970-06",
        "1970-07",
    ]
    assert date_ticks(0, 10 * day)[1] == [f"1970-01-{d:02}" for d in (1, 3, 5, 7, 9, 11)]
    assert date_ticks(0, 3600e6)[1][1] == "01-01 00:15"


def test_labels_share_their_decimals():
    assert nice_ticks(0.1, 0.35)[1] == ["0.10", "0.15", "0.20", "0.25", "0.30", "0.35"]
    assert nice_ticks(0, 4e9)[1] == ["0", "1 G", "2 G", "3 G", "4 G"]
    assert nice_ticks(-1, 1)[1] == ["−1.0", "−0.5", "0.0", "0.5", "1.0"]


def test_a_range_without_width_is_widened():
    assert padded(0, 0) == (-0.5, 0.5)
    assert padded(-4, -4) == (-6, -2)
    assert padded(0, 10, 0.1) == (-1, 11)


def test_the_map_is_straight():
    scale = Scale(0, 10, 100, 0)
    assert scale(5) == 50
    assert scale.many(np.array([0.0, 10.0])).tolist() == [100, 0]


def test_what_cannot_be_drawn():
    assert drawable(np.array([1.0, np.nan, np.inf, -1e301])).tolist() == [True, False, False, False]
