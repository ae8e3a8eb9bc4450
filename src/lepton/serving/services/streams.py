"""A stream of a service in the server: its items as lines or as events, and how much of them is under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lepton.serving.protocols.base import Request, Response
from lepton.serving.protocols.streamed import Streamed
from lepton.serving.services.flow import WINDOW

__all__ = ["EVENTS", "LINES", "ItemStream", "size_over"]

LINES = "application/x-ndjson"
EVENTS = "text/event-stream"
_HEADERS = (("x-accel-buffering", "no"),)  # a proxy is to pass each item on as it comes
_TOLD_AT = WINDOW // 4


@dataclass(frozen=True, slots=True)
class _Form:
    """How items are written.

    Attributes:
        media: the content type.
        item: what stands before one, and behind it.
        error: what stands before the error that ends a stream, and behind it.
        end: what ends a stream that ends well.
        probe: what means nothing.
    """

    media: str
    item: tuple[bytes, bytes]
    error: tuple[bytes, bytes]
    end: bytes
    probe: bytes


_AS_LINES = _Form(LINES, (b"", b"\n"), (b"", b"\n"), b"", b"\n")
_AS_EVENTS = _Form(
    EVENTS, (b"data: ", b"\n\n"), (b"event: error\ndata: ", b"\n\n"), b"event: end\ndata: {}\n\n", b":\n\n"
)


class ItemStream:
    """One stream, from its first item on.

    Args:
        request: that it answers; its `accept` says whether lines or events are wanted.
        more: called with the number of bytes that the caller has taken, now and then.
        cancel: called when the caller is gone.
    """

    def __init__(self, request: Request, more: Callable[[int], None], cancel: Callable[[], None]) -> None:
        self._form = _form_of(request)
        self._more = more
        self._under_way = 0
        self._untold = 0
        self._streamed = Streamed(self._took, cancel, self._form.probe)
        self.response = Response(200, b"", self._form.media, _HEADERS, stream=self._streamed)

    @property
    def waits(self) -> bool:
        """Whether the service waits for the caller, not the caller for the service."""
        return self._under_way >= WINDOW

    def put(self, item: bytes) -> None:
        """An item of the service."""
        before, behind = self._form.item
        part = before + item + behind
        self._under_way += len(part)
        self._streamed.put(part)

    def end(self) -> None:
        """The stream ended well."""
        if self._form.end:
            self._streamed.put(self._form.end)
        self._streamed.end()

    def fail(self, response: Response) -> None:
        """The stream ends with an error, which is its last line or event."""
        before, behind = self._form.error
        self._streamed.put(before + response.body + behind)
        self._streamed.end(response.code or "error")

    def _took(self, size: int) -> None:
        self._under_way -= size
        self._untold += size
        if self._untold >= _TOLD_AT:
            untold, self._untold = self._untold, 0
            self._more(untold)


def size_over(request: Request) -> int:
    """Bytes by which an item becomes longer on its way to the caller of a request."""
    return len(b"".join(_form_of(request).item))


def _form_of(request: Request) -> _Form:
    return _AS_EVENTS if EVENTS in request.headers.get("accept", "") else _AS_LINES
