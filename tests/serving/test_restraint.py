"""Refusals that are kept back, on a loop whose time is set by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lepton.serving.restraint import Restraint


class Loop:
    """Calls what is due when its time is moved."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        self.calls.append((self.now + seconds, call))

    def move(self, seconds: float) -> None:
        self.now += seconds
        due, self.calls = [c for c in self.calls if c[0] <= self.now], [c for c in self.calls if c[0] > self.now]
        for _, call in due:
            call()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def restraint(loop: Loop) -> Restraint:
    unchecked: Any = loop
    return Restraint(unchecked, lambda: loop.now)


def test_few_refusals_are_sent_at_once(loop: Loop, restraint: Restraint) -> None:
    for _ in range(5000):
        assert not restraint.keeps(lambda: None)
        loop.move(0.002)


def test_many_are_kept_a_moment_each_and_none_is_lost(loop: Loop, restraint: Restraint) -> None:
    took: list[float] = []
    at_once = 0
    for _ in range(30_000):
        came = loop.now
        at_once += not restraint.keeps(lambda came=came: took.append(loop.now - came))  # type: ignore[misc]
        loop.move(0.0001)
    loop.move(1.0)
    loop.move(1.0)
    assert at_once == 1000
    assert len(took) == 29_000
    assert min(took) >= 0.025 - 1e-9
    assert sorted(took)[-400] <= 0.036


def test_it_ends_with_the_flood(loop: Loop, restraint: Restraint) -> None:
    for _ in range(2000):
        restraint.keeps(lambda: None)
    loop.move(5.0)
    assert not restraint.keeps(lambda: None)
