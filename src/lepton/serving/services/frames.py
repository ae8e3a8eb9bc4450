"""Frames between the server and the process of a service: two lengths, a head of strict JSON, then plain bytes.

Nothing is pickled, so neither side can make the other run anything. The head says what the bytes behind it are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lepton.core import ServingError
from lepton.serving.strict_json import dump, parse

__all__ = ["MAX_PART", "BadFrame", "Frames", "frame"]

_LENGTHS = struct.Struct(">II")
_MAX_HEAD = 16 * 2**20
MAX_PART = 256 * 2**20
"""Bytes of the parts of one frame together."""


class BadFrame(Exception):
    """The other side does not speak as agreed."""


def frame(head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> bytes:
    """The bytes of a frame; `sizes` of its head are those of `parts`."""
    text = dump({**head, "sizes": [len(part) for part in parts]})
    return b"".join((_LENGTHS.pack(len(text), sum(map(len, parts))), text, *parts))


class Frames:
    """Takes a stream of bytes apart."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[dict[str, Any], list[bytes]]]:
        """Heads and parts of the frames that `data` completes; `BadFrame` where it is none."""
        self._data += data
        while len(self._data) >= _LENGTHS.size:
            head_size, rest_size = _LENGTHS.unpack_from(self._data)
            if head_size > _MAX_HEAD or rest_size > MAX_PART:
                raise BadFrame(f"a frame of {head_size} and {rest_size} bytes")
            start = _LENGTHS.size + head_size
            if len(self._data) < start + rest_size:
                return
            head = self._head(bytes(self._data[_LENGTHS.size : start]))
            parts = []
            for size in head["sizes"]:
                parts.append(bytes(self._data[start : start + size]))
                start += size
            if start != _LENGTHS.size + head_size + rest_size:
                raise BadFrame("sizes that do not add up")
            del self._data[:start]
            yield head, parts

    @staticmethod
    def _head(text: bytes) -> dict[str, Any]:
        try:
            head = parse(text, "the head of a frame")
        except ServingError as error:
            raise BadFrame(str(error)) from None
        sizes = head.get("sizes") if isinstance(head, dict) else None
        if not isinstance(sizes, list) or not all(type(size) is int and 0 <= size <= MAX_PART for size in sizes):
            raise BadFrame("a head without sizes")
        return dict(head)
