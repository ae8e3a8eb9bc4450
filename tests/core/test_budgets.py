"""Budgets are parsed once and mean one thing."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import assume, given, strategies as st

from lepton.core import ErrorCode, UsageError, parse_duration, parse_size, show_duration, show_size
from lepton.core.budgets import time_allowed, within_time

BAD = [
    "",
    " ",
    "abc",
    "-1",
    "-1s",
    "0",
    "0s",
    0,
    -1,
    -0.5,
    math.nan,
    math.inf,
    "nan",
    "inf",
    "1e3",
    "1,5s",
    "5 parsecs",
]
WORSE: list[object] = [None, True, False, [], b"1s", "1s2", "s", "٣s", "1" * 5000, "1s\0", "１s", 10**400, -(10**400)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60),
        ("5m", 300),
        ("5 min", 300),
        ("1.5h", 5400),
        ("2ms", 0.002),
        ("10us", 1e-5),
        ("1d", 86400),
        ("60", 60),
        (60, 60),
        (0.25, 0.25),
        ("  3 S ", 3),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1MB", 10**6), ("1MiB", 2**20), ("200KB", 200_000), ("0.5GB", 5 * 10**8), ("10", 10), (10, 10), ("1gib", 2**30)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("parse", [parse_duration, parse_size])
@pytest.mark.parametrize("text", BAD + WORSE)
def test_what_cannot_be_meant(parse, text):
    with pytest.raises(UsageError, match="within=") as caught:
        parse(text, "within")
    assert caught.value.code is ErrorCode.BAD_BUDGET
    assert "above 0" in caught.value.wanted


def test_sizes_and_times_do_not_mix():
    with pytest.raises(UsageError):
        parse_duration("1MB")
    with pytest.raises(UsageError):
        parse_size("1s")


def test_less_than_a_byte_is_nothing():
    with pytest.raises(UsageError):
        parse_size("0.1b")


@given(st.floats(1e-6, 1e8), st.sampled_from(["us", "ms", "s", "m", "h", "d"]))
def test_durations_scale_with_their_unit(number, unit):
    number = round(number, 6)
    assume(number > 0)
    assert parse_duration(f"{number:.6f}{unit}") == pytest.approx(number * parse_duration(f"1{unit}"))


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_refused(text):
    with suppress(UsageError):
        assert parse_duration(text) > 0


@pytest.mark.parametrize(("seconds", "limit"), [(1, 3), (10, 12), (20, 22), (60, 66), (600, 660)])
def test_the_time_that_is_granted(seconds, limit):
    assert time_allowed(seconds) == pytest.approx(limit)
    assert within_time(limit - 1e-6, seconds)
    assert not within_time(limit + 1e-6, seconds)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (5e-6, "5.0 µs"),
        (0.0123, "12.3 ms"),
        (1, "1.0 s"),
        (59.94, "59.9 s"),
        (75, "1 min 15 s"),
        (3600, "1 h 0 min"),
        (7265, "2 h 1 min"),
    ],
)
def test_shown_durations(seconds, shown):
    assert show_duration(seconds) == shown


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1_234_567, "1.23 MB"), (2_500_000_000, "2.5 GB")]
)
def test_shown_sizes(size, shown):
    assert show_size(size) == shown


@given(st.integers(1, 10**11))
def test_a_shown_size_is_read_back(size):
    assert parse_size(show_size(size)) == pytest.approx(size, rel=0.006)
