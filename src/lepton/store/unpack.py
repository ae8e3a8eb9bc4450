"""Compressed streams: gzip, bzip2, xz and zstd, unpacked in pieces, and given up where they are bombs."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol, cast

from lepton.core import DataError, ErrorCode, MissingExtraError, show_size

__all__ = ["PACKED_SUFFIXES", "check_ratio", "packing", "unpacked"]

PACKED_SUFFIXES = ("gz", "zst", "zstd", "bz2", "xz")
"""Endings of names that say how a file is compressed."""

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_UNCHECKED = 64 * 2**20
_MOST_RATIO = 250
_XZ_MEMORY = 256 * 2**20
_PIECE = 2**18
_DAMAGE = (gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError, OSError)


class _Decompressor(Protocol):
    """What `bz2` and `lzma` agree on."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...


def packing(start: bytes) -> str:
    """How a file that begins with `start` is compressed: `gzip`, `zstd`, `bzip2`, `xz`, or "" for not at all."""
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


def check_ratio(taken: int, given: int, what: str) -> None:
    """Refuse a stream of which `taken` bytes became `given`, if nothing but a bomb unpacks so.

    Real tables reach a ratio of some tens. The first 64 MiB are free: they harm nobody.

    Raises:
        DataError: `UNREADABLE`.
    """
    if given > _UNCHECKED and given > _MOST_RATIO * max(taken, 1):
        raise DataError(
            ErrorCode.UNREADABLE,
            f"{what} unpacks from {show_size(taken)} to more than {show_size(given)}",
            wanted=f"at most {_MOST_RATIO} times its packed size",
            fix="if it is what it should be, unpack it yourself first",
        )


@contextmanager
def unpacked(file: BinaryIO, what: str) -> Iterator[BinaryIO]:
    """Give the content of `file`, unpacked where it is compressed, as a stream that is read once from its start.

    Args:
        file: at its start; stays open.
        what: its name, for messages.

    Raises:
        DataError: while reading: damaged, cut off, or a bomb.
        MissingExtraError: zstd without pyarrow.
    """
    packed = packing(file.read(8))
    file.seek(0)
    if not packed:
        yield file
        return
    with io.BufferedReader(_Guarded(_opened(file, packed), file, what, packed), _PIECE) as stream:
        yield cast("BinaryIO", stream)


def _opened(file: BinaryIO, packed: str) -> io.RawIOBase | io.BufferedIOBase:
    match packed:
        case "gzip":
            return gzip.GzipFile(fileobj=file)
        case "bzip2":
            return _Streams(file, bz2.BZ2Decompressor)
        case "xz":
            return _Streams(file, lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY))
    try:
        import pyarrow
    except ImportError:
        raise MissingExtraError("pyarrow", "data", "reading zstd") from None
    return cast("io.RawIOBase", pyarrow.CompressedInputStream(pyarrow.PythonFile(file, "r"), "zstd"))


class _Guarded(io.RawIOBase):
    """A stream that blames its file for damage, and stops where it gives too much for what it takes."""

    def __init__(self, stream: io.RawIOBase | io.BufferedIOBase, file: BinaryIO, what: str, packed: str) -> None:
        self._stream = stream
        self._file = file
        self._what = what
        self._packed = packed
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            data = self._stream.read(min(len(buffer), _PIECE)) or b""
        except _DAMAGE as error:
            said = str(error).split("\n")[0]
            raise DataError(
                ErrorCode.UNREADABLE,
                f"{self._what} is damaged {self._packed}, or cut off: {said}",
                fix="fetch or pack it again",
            ) from None
        buffer[: len(data)] = data
        self._given += len(data)
        check_ratio(self._file.tell(), self._given, self._what)
        return len(data)


class _Streams(io.RawIOBase):
    """One or more compressed streams in a row, unpacked in bounded pieces."""

    def __init__(self, file: BinaryIO, make: Callable[[], _Decompressor]) -> None:
        self._file = file
        self._make = make
        self._decompressor = make()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while True:
            if self._decompressor.eof:
                self._rest = self._decompressor.unused_data or self._file.read(_PIECE)
                if not self._rest:
                    return b""
                self._decompressor = self._make()
            elif self._decompressor.needs_input and not self._rest:
                self._rest = self._file.read(_PIECE)
                if not self._rest:
                    raise EOFError("it ends before its end mark")
            data = self._decompressor.decompress(self._rest, size)
            self._rest = b""
            if data:
                return data
