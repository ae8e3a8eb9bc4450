"""Fixtures of this room's tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest


@pytest.fixture
def stopwatch() -> Callable[[float], AbstractContextManager[None]]:
    """`with stopwatch(2.0):` fails where the block takes longer than so many seconds."""

    @contextmanager
    def watch(seconds: float) -> Iterator[None]:
        started = time.perf_counter()
        yield
        assert time.perf_counter() - started < seconds

    return watch
