"""Answers that come part by part: what makes the parts, and what sends them, each at its own pace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["Sink", "Streamed"]


class Sink(Protocol):
    """What sends the parts of an answer."""

    def part(self, data: bytes) -> None:
        """Send a part."""

    def end(self) -> None:
        """All parts were given."""


class Streamed:
    """The body of an answer whose parts come one after the other. Everything here happens on the server's loop.

    Args:
        took: called with the size of what the peer has taken, after which more may be made.
        cancel: called when nobody reads the rest.
        probe: bytes that mean nothing among the parts, by which is found out whether the peer is still there.

    Attributes:
        code: of the error that the parts end with; empty where there is none.
        size: of the parts so far, in bytes.
        gone: whether nobody reads the rest.
    """

    def __init__(
        self, took: Callable[[int], None], cancel: Callable[[], None] = lambda: None, probe: bytes = b""
    ) -> None:
        self.probe = probe
        self.code = ""
        self.size = 0
        self.gone = False
        self._took, self._cancel = took, cancel
        self._waiting: list[bytes] = []
        self._ended = False
        self._sink: Sink | None = None
        self._at_end: list[Callable[[], None]] = []

    def at_end(self, call: Callable[[], None]) -> None:
        """Have a function called once when all parts are given, or nobody reads the rest."""
        self._at_end.append(call)

    # Of who makes the parts

    def put(self, part: bytes) -> None:
        """Give a part; once nobody reads, it is dropped."""
        if self.gone:
            return
        self.size += len(part)
        if self._sink is None:
            self._waiting.append(part)
        else:
            self._sink.part(part)

    def end(self, code: str = "") -> None:
        """Say that all parts are given.

        Args:
            code: of the error that the last of them tells.
        """
        self.code, self._ended = code, True
        self._over()
        if self._sink is not None and not self.gone:
            self._sink.end()

    # Of who sends them

    def start(self, sink: Sink) -> None:
        """Give the parts to `sink`, those that wait at once."""
        self._sink = sink
        waiting, self._waiting = self._waiting, []
        for part in waiting:
            sink.part(part)
        if self._ended:
            sink.end()

    def took(self, size: int) -> None:
        """Say that parts of this size together are on their way to the peer."""
        self._took(size)

    def cancel(self) -> None:
        """Say that nobody reads the rest."""
        if not self.gone and not self._ended:
            self.gone = True
            self._waiting.clear()
            self._cancel()
            self._over()

    def _over(self) -> None:
        at_end, self._at_end = self._at_end, []
        for call in at_end:
            call()
