"""Messages that come compressed: taken apart as far as a bound, so that a few bytes cannot become many."""

from __future__ import annotations

import zlib

from lepton.core import ErrorCode, ServingError

__all__ = ["ENCODINGS", "Unpacking"]

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_AT_ONCE = 256 * 2**10

ENCODINGS = ("identity", *_WINDOW_BITS)
"""What `grpc-encoding` may say."""


class Unpacking:
    """One message on its way back to what it was.

    Args:
        encoding: one of `ENCODINGS` but the first.
        packed: the message as it came.
        most: bytes that it may become.
    """

    def __init__(self, encoding: str, packed: bytes, most: int) -> None:
        self._most = most
        self._encoding = encoding
        self._left = packed
        self._unpacker = zlib.decompressobj(_WINDOW_BITS[encoding])
        self._parts: list[bytes] = []
        self._size = 0

    def begin(self) -> bytes | None:
        """The message if it is small; None if the rest is more work than a loop should do.

        Raises:
            ServingError: TOO_LARGE, or BAD_REQUEST: it is damaged.
        """
        more = self._take()
        return None if more else self._whole()

    def rest(self) -> bytes:
        """The message, whatever its size; in a thread.

        Raises:
            ServingError: as of `begin`.
        """
        while self._take():
            pass
        return self._whole()

    def _take(self) -> bool:
        """Unpack a part; whether there may be another."""
        try:
            part = self._unpacker.decompress(self._left, _AT_ONCE)
        except zlib.error:
            raise self._damaged() from None
        self._left = self._unpacker.unconsumed_tail
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._most:
            raise ServingError(
                ErrorCode.TOO_LARGE,
                "the message is too large when it is unpacked",
                wanted=f"at most {self._most} bytes",
            )
        return not self._unpacker.eof and (bool(self._left) or bool(part))  # some may be held back without input

    def _whole(self) -> bytes:
        if not self._unpacker.eof or self._unpacker.unused_data:
            raise self._damaged()
        return b"".join(self._parts)

    def _damaged(self) -> ServingError:
        return ServingError(
            ErrorCode.BAD_REQUEST, f"the message is no {self._encoding}", wanted="it as its headers say"
        )
