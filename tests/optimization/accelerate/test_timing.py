"""Blocks of calls, on a clock that tests wind."""

from __future__ import annotations

import pytest

from lepton.optimization.accelerate.timing import Calls, block_calls


@pytest.fixture(autouse=True)
def short_blocks() -> None:
    """Blocks are as long as they are: no time passes here."""


class Clock:
    """Tells the seconds that calls take."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


@pytest.mark.parametrize(("seconds", "calls"), [(1e-9, 1_000), (1e-4, 200), (0.5, 3)])
def test_a_block_lasts_long_enough_and_not_too_long(seconds: float, calls: int) -> None:
    clock = Clock()

    def call() -> None:
        clock.now += seconds

    assert block_calls(call, clock) == calls


def test_a_block_tells_the_median_and_counts_no_warm_calls() -> None:
    clock = Clock()
    took = iter([9.0, 9.0, 0.01, 0.02, 0.03, 0.03, 0.02])

    def call() -> None:
        clock.now += next(took)

    calls = Calls("x", [call], [5], clock=clock, sleep=clock.sleep)
    assert calls.block() == pytest.approx(0.02)
    assert clock.slept > 0


def test_sizes_count_alike() -> None:
    clock = Clock()

    def small() -> None:
        clock.now += 0.001

    def large() -> None:
        clock.now += 0.004

    assert Calls("x", [small, large], [3, 3], clock=clock, sleep=clock.sleep).block() == pytest.approx(0.002)


def test_what_is_much_slower_than_expected_ends_its_block() -> None:
    clock, count = Clock(), 0

    def call() -> None:
        nonlocal count
        count += 1
        clock.now += 10.0

    Calls("x", [call], [1_000], clock=clock, sleep=clock.sleep).block()
    assert count == 2 + 3
