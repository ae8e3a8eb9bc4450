"""How far an event loop is behind with what it has read, so that it can refuse before it is far behind."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Pulse"]

_SUSTAINED = 0.5
_APART = 0.25
_TURNS = 4
_PEERS = 8


class Pulse:
    """Tells for how long a request that is taken up now may have waited for the loop.

    A loop takes turns: it asks the system what came, and answers all of that. What it takes up now has waited since
    this turn began at least, and since the turn before began at most, if it came while the loop was at work on that.

    One long turn is no overload: something held the loop once, and everything that waited is answered soon. Nor is a
    turn that is long for the sake of few, or because the processor was elsewhere. Turns of many that are long by the
    loop's own work, again and again for half a second, are.

    Args:
        turn: the time at which the turn of the loop began; uvloop's `time` is that.
        bound: seconds that a request may have waited.
        clock: the same clock, now.
        work: seconds that the loop's thread has been at work.
    """

    __slots__ = (
        "_before",
        "_bound",
        "_clock",
        "_first_long",
        "_last_long",
        "_long",
        "_peers",
        "_started",
        "_turn",
        "_work",
        "_worked",
        "ended",
    )

    def __init__(
        self,
        turn: Callable[[], float],
        bound: float,
        clock: Callable[[], float] = time.monotonic,
        work: Callable[[], float] = time.thread_time,
    ) -> None:
        self._turn = turn
        self._clock = clock
        self._bound = bound
        self._work = work
        self._worked = 0.0
        self._before = 0.0
        self._long = self._peers = 0
        self._started = self._first_long = self._last_long = float("-inf")
        self.ended = float("-inf")
        """When the loop was last seen at work; whoever answers sets it."""

    def beat(self) -> None:
        """Bytes came; to be called before they are looked at."""
        turn = self._turn()
        if turn == self._started:
            self._peers += 1
            return
        self._before = max(0.0, self.ended - self._started)
        worked, self._worked = self._worked, self._work()
        long = self._bound / 2
        if self._before > long and self._worked - worked > long and self._peers >= _PEERS:
            if self._started > self._last_long + _APART:
                self._first_long, self._long = self.ended, 0
            self._last_long = self.ended
            self._long += 1
        self._started, self._peers = turn, 1

    @property
    def late(self) -> bool:
        """Whether what is taken up now waited too long, and so has everything for a while."""
        if self._long < _TURNS or self._last_long - self._first_long < _SUSTAINED:
            return False  # as mostly, and without a look at the clock
        now = self._clock()
        return now - self._started + self._before > self._bound and now - self._last_long < _APART
