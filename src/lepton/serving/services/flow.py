"""A stream in the process of its service: how far it may run ahead of its reader, and whether it still has one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import ExitStack, closing
from typing import Any

__all__ = ["WINDOW", "Flow", "items_of"]

WINDOW = 256 * 2**10
"""Bytes of items that may be on their way to a caller who has not read them yet."""

_NO_MORE = object()


class Flow:
    """How far one stream may run ahead; `spend` is for the thread that runs it, all else for any.

    Args:
        over: bytes by which each item becomes longer on its way.

    Attributes:
        cancelled: set when nobody reads the rest.
    """

    def __init__(self, over: int = 0) -> None:
        self._over = over
        self.cancelled = threading.Event()
        self._left = WINDOW
        self._changed = threading.Condition()

    def spend(self, size: int) -> bool:
        """Wait until an item of this size may be sent; False when nobody reads it."""
        with self._changed:
            self._changed.wait_for(lambda: self._left > 0 or self.cancelled.is_set())
            self._left -= size + self._over
        return not self.cancelled.is_set()

    def add(self, size: int) -> None:
        """The caller has taken so much."""
        with self._changed:
            self._left += size
            self._changed.notify()

    def cancel(self) -> None:
        """Nobody reads the rest."""
        with self._changed:
            self.cancelled.set()
            self._changed.notify()


def items_of(given: Any) -> Generator[Any]:
    """The items of whatever a method gave; a generator is closed when they are not wanted any more.

    Raises:
        TypeError: what has no items.
    """
    if isinstance(given, AsyncIterator):
        yield from _in_turn(given)
        return
    with ExitStack() as stack:
        if callable(getattr(given, "close", None)):
            stack.enter_context(closing(given))
        yield from given


def _in_turn(items: AsyncIterator[Any]) -> Iterator[Any]:
    """Items of an asynchronous iterator, run on a loop of this thread while one is waited for."""

    async def step() -> Any:
        return await anext(items, _NO_MORE)

    async def close() -> None:
        if hasattr(items, "aclose"):
            await items.aclose()

    with asyncio.Runner() as runner:
        try:
            while (item := runner.run(step())) is not _NO_MORE:
                yield item
        finally:
            runner.run(close())
