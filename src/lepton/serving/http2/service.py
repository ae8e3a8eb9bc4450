"""What answers the streams of connections."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from lepton.serving.http import Limits
from lepton.serving.http2.stream import Stream
from lepton.serving.pulse import Pulse

if TYPE_CHECKING:
    from lepton.serving.http2.connection import Connection

__all__ = ["Service"]


class Service(Protocol):
    """What answers the streams of a listening address.

    Attributes:
        limits: what peers may take.
        loop: on which it runs.
        pulse: of the loop.
        connections: that are open.
        draining: whether the server stops.
    """

    limits: Limits
    loop: asyncio.AbstractEventLoop
    pulse: Pulse
    connections: set[Connection]
    draining: bool

    def understood(self, headers: Mapping[str, str] | None) -> Any:
        """What headers mean; None are more of them than may be. It may be kept, and given again."""

    def opened(self, stream: Stream, head: Any) -> None:
        """A stream begins, with what its headers mean."""

    def came(self, stream: Stream) -> None:
        """Data came, or the end of the stream."""

    def gone(self, stream: Stream) -> None:
        """Nobody waits for the answer any more."""

    def late(self, stream: Stream, now: float) -> None:
        """Time passed; ends the stream if its message is overdue."""
