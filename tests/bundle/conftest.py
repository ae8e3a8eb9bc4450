"""Fixtures of this room's tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest


@pytest.fixture
def stopwatch() -> Callable[[float], AbstractContextManager[None]]:
    """`with stopwatch(2.0):` fails where the block takes more seconds of processor time, however busy the machine."""

    @contextmanager
    def watch(seconds: float) -> Iterator[None]:
        started = time.process_time()
        yield
        assert time.process_time() - started < seconds

    return watch
