"""Blocks of calls of a model in this process, for a race."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence

__all__ = ["Calls", "block_calls"]

_BLOCK_SECONDS = 0.02
_LONGEST_BLOCK = 5 * _BLOCK_SECONDS
_LEAST, _MOST = 3, 1_000
_WARM = 2
_PAUSE = 0.002  # in which threads of the one before that still look for work fall asleep
Call = Callable[[], object]


class Calls:
    """A contestant: one call, or a call of each of several sizes, which count alike.

    Args:
        name: for people.
        calls: what is timed.
        counts: calls of a block, of each.
        clock: tells seconds.
        sleep: waits.
    """

    def __init__(
        self,
        name: str,
        calls: Sequence[Call],
        counts: Sequence[int],
        *,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._calls, self._counts, self._clock, self._sleep = calls, counts, clock, sleep

    def block(self) -> float:
        """Seconds of a call: of several sizes the geometric mean."""
        self._sleep(_PAUSE)
        medians = [self._median(call, count) for call, count in zip(self._calls, self._counts, strict=True)]
        return math.exp(statistics.fmean(map(math.log, medians)))

    def _median(self, call: Call, count: int) -> float:
        for _ in range(_WARM):
            call()
        clock = self._clock
        times: list[float] = []
        ends = clock() + _LONGEST_BLOCK
        for _ in range(count):
            begin = clock()
            if begin > ends and len(times) >= _LEAST:
                break  # much slower than what the block was made for
            call()
            times.append(clock() - begin)
        return max(statistics.median(times), 1e-9)


def block_calls(call: Call, clock: Callable[[], float] = time.perf_counter) -> int:
    """How many calls make a block: enough to last, and not for long."""
    times = []
    for _ in range(_LEAST):
        begin = clock()
        call()
        times.append(clock() - begin)
    return min(max(round(_BLOCK_SECONDS / max(min(times), 1e-9)), _LEAST), _MOST)
