"""An answer that comes part by part, on its way to a connection of HTTP/1.1."""

from __future__ import annotations

from collections.abc import Callable

from lepton.serving.protocols.streamed import Streamed

__all__ = ["Outlet"]

_END = b"0\r\n\r\n"


class Outlet:
    """Sends the parts of an answer as chunks, or as they are to peers that know none.

    What the peer does not read is not asked for: parts count as taken only while the transport takes more.

    Args:
        streamed: the parts.
        write: sends bytes; whether the transport takes more.
        ended: called when all is sent.
        chunked: whether the peer knows chunks; the end of the connection ends the answer otherwise.
    """

    def __init__(
        self, streamed: Streamed, write: Callable[[bytes], bool], ended: Callable[[], None], *, chunked: bool
    ) -> None:
        self._streamed, self._write, self._ended, self._chunked = streamed, write, ended, chunked
        self._owed = 0

    def part(self, data: bytes) -> None:
        """See `Sink`."""
        if not self._write(self._framed(data)):
            self._owed += len(data)
        else:
            self._streamed.took(len(data))

    def end(self) -> None:
        """See `Sink`."""
        if self._chunked:
            self._write(_END)
        self._ended()

    def resume(self) -> None:
        """The transport takes more again."""
        owed, self._owed = self._owed, 0
        if owed:
            self._streamed.took(owed)

    def probe(self) -> bytes:
        """Bytes by which is found out whether the peer is still there."""
        return self._framed(self._streamed.probe)

    def cancel(self) -> None:
        """The peer is gone."""
        self._streamed.cancel()

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
