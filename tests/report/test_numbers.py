"""Numbers for people."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.report.numbers import show_number, show_share, show_time


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (-math.inf, "−∞"),
        (0.1 + 0.2, "0.3"),
        (1e-5, "1×10⁻⁵"),
        (-1234.5678, "−1,235"),
        (999.96, "1,000"),
        (0.00012345, "0.0001234"),
        (123456789, "123,456,789"),
        (10**20, "1×10²⁰"),
        (np.float64(2.50000001), "2.5"),
    ],
)
def test_numbers_are_short_and_free_of_noise(value, text):
    assert show_number(value) == text


@given(st.floats(min_value=-1e14, max_value=1e14).filter(lambda v: abs(v) > 1e-4))
def test_what_is_shown_is_within_half_of_the_last_digit(value):
    shown = float(show_number(value).replace(",", "").replace("−", "-"))
    assert shown == pytest.approx(value, rel=0.5e-3)


@given(st.floats())
def test_every_number_gives_some_text(value):
    assert show_number(value)
    assert show_share(value)
    assert show_time(value)


def test_moments():
    assert show_time(0.0) == "1970-01-01"
    assert show_time(86_400e6 + 3_661e6) == "1970-01-02 01:01:01"
    assert show_time(1e30) == "1×10³⁰"
