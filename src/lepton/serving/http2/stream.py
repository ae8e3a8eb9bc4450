"""One stream of a connection: a call on its way in and its answer on its way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepton.serving.http2.connection import Connection

__all__ = ["Stream"]


class Stream:
    """A stream that the peer opened.

    Attributes:
        number: of the stream.
        connection: that it is on.
        call: what the service makes of it.
        received: octets of data that came and were not taken yet.
        began: when it was opened, or its last message was taken; of the loop's clock.
        ended: whether the peer sends no more on it.
        answered: whether its answer is complete, though perhaps not sent.
        window: octets that may be sent on it; the connection has a window too.
        unsent: what waits for a window.
        trailers: block of headers that ends the answer, once everything unsent is sent.
        stalled: when what is unsent began to wait, or some of it was sent last.
        credit: octets that the peer may still send on it.
        waits: whether it gets no more until others need less room.
    """

    __slots__ = (
        "answered",
        "began",
        "call",
        "connection",
        "credit",
        "ended",
        "number",
        "received",
        "stalled",
        "trailers",
        "unsent",
        "waits",
        "window",
    )

    def __init__(self, number: int, connection: Connection, window: int, began: float) -> None:
        self.number = number
        self.connection = connection
        self.window = window
        self.began = began
        self.call: Any = None
        self.received: bytes | bytearray = b""
        self.ended = self.answered = False
        self.unsent = bytearray()
        self.trailers = b""
        self.stalled = 0.0
        self.credit = 65_535  # as the peer assumes until it is told otherwise
        self.waits = False
