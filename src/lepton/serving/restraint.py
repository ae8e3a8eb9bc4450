"""Refusals that are kept back for a moment where there are many, so that who tries again at once does not drown all."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

__all__ = ["Restraint"]

_MANY = 1000
_DELAY = 0.025
_GRAIN = 0.01


class Restraint:
    """Keeps refusals beyond a thousand a second for 25 to 35 ms each.

    A refusal costs little, but not nothing: callers who answer each by the same request take the time in which others
    could be answered. While a connection waits for its refusal, nothing comes from it.

    Args:
        loop: on which refusals are sent.
        clock: in seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.monotonic) -> None:
        self._loop = loop
        self._clock = clock
        self._kept: deque[tuple[float, Callable[[], None]]] = deque()
        self._since = clock()
        self._count = 0
        self._many = False

    def keeps(self, send: Callable[[], None]) -> bool:
        """Whether a refusal is kept back; `send` is called later then."""
        now = self._clock()
        if now - self._since > 1.0:
            self._many = self._count > _MANY and now - self._since < 2.0
            self._since, self._count = now, 0
        self._count += 1
        if not self._many and self._count <= _MANY:
            return False
        self._kept.append((now + _DELAY, send))
        if len(self._kept) == 1:
            self._loop.call_later(_DELAY, self._send_due)
        return True

    def _send_due(self) -> None:
        now = self._clock()
        while self._kept and self._kept[0][0] <= now:
            self._kept.popleft()[1]()
        if self._kept:
            self._loop.call_later(max(_GRAIN, self._kept[0][0] - now), self._send_due)
