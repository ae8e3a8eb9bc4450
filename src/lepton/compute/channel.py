"""Frames between a process and its own children: a kind of one byte, a length of eight, then that many bytes."""

from __future__ import annotations

import io
import struct
import threading

__all__ = ["CANCEL", "ERROR", "PROGRESS", "RESULT", "RUN", "Channel"]

RUN = b"R"  # to the child: a call and its number
CANCEL = b"C"  # to the child: stop the call of this number
PROGRESS = b"P"  # from the child: a progress report
RESULT = b"V"  # from the child: what the call gave
ERROR = b"E"  # from the child: the error and the traceback of its cause

_HEADER = struct.Struct(">cQ")


class Channel:
    """A pipe each way, unbuffered. Any thread may send; one receives."""

    def __init__(self, reader: io.FileIO, writer: io.FileIO) -> None:
        self._reader = reader
        self._writer = writer
        self._sending = threading.Lock()

    def send(self, kind: bytes, data: bytes) -> None:
        """Send one frame; `OSError` or `ValueError` when the pipe is broken or closed."""
        with self._sending:
            for part in (_HEADER.pack(kind, len(data)), data):
                left = memoryview(part)
                while left:
                    left = left[self._writer.write(left) :]

    def receive(self) -> tuple[bytes, bytearray]:
        """The next frame; `EOFError` when the other side is gone, in the middle of a frame too."""
        kind, size = _HEADER.unpack(self._exactly(_HEADER.size))
        return kind, self._exactly(size)

    def close(self) -> None:
        """Close this side."""
        self._writer.close()
        self._reader.close()

    def _exactly(self, size: int) -> bytearray:
        data = bytearray(size)
        left = memoryview(data)
        while left:
            count = self._reader.readinto(left)
            if not count:
                raise EOFError
            left = left[count:]
        return data
