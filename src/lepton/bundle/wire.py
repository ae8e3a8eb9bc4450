"""Protobuf's wire format, read strictly and bounded: what `graph.py` walks with, without the `onnx` package.

Only what a plain writer of the given messages emits is accepted: known fields, in their own wire type, single ones
once (protobuf would merge or override repeats, so two readers could see two graphs), varints no longer than needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NoReturn

import numpy as np

from lepton.core import BundleError, ErrorCode

__all__ = ["BYTES", "FIXED32", "FIXED32_LIST", "VARINT", "VARINT_LIST", "Message", "WireReader", "refuse"]

MAX_FIELDS = 2_000_000
"""Most fields that are looked at in one graph; runs of numbers and the data of tensors count as one."""

VARINT, BYTES, FIXED32 = 0, 2, 5
"""Wire types of single and repeated fields that the messages of ONNX use."""
VARINT_LIST, FIXED32_LIST = 16, 21
"""Repeated numbers that are written one by one, each with its tag: read as one run."""

_CHUNK = 1 << 20
_VALUE = {
    VARINT_LIST: rb"(?:[\x00-\x7f]|[\x80-\xff]{1,8}[\x01-\x7f]|[\x80-\xff]{9}\x01)",
    FIXED32_LIST: rb".{4}",
}


def refuse(came: str, wanted: str = "", fix: str = "") -> NoReturn:
    """Raise the `BundleError` `GRAPH_REFUSED`."""
    raise BundleError(ErrorCode.GRAPH_REFUSED, came, wanted=wanted, fix=fix)


class Message:
    """One message type: which tags it may hold.

    Args:
        name: of the message, for messages to people.
        single: field number → wire type, of fields that stand once at most.
        repeated: field number → wire type, of the others.
    """

    def __init__(self, name: str, single: Mapping[int, int], repeated: Mapping[int, int] | None = None) -> None:
        self.name = name
        self.tags = {number << 3 | kind: 1 << number for number, kind in single.items()}
        """Tag → a bit of its own for a field that stands once, 0 for one that may stand again."""
        self.runs: dict[int, re.Pattern[bytes]] = {}
        """Tag → pattern of a run of numbers that are written one by one."""
        for number, kind in (repeated or {}).items():
            tag = number << 3 | kind & 7
            if kind in _VALUE:
                # Possessive: what was matched is not kept for backtracking, so a long run costs no memory.
                element = re.escape(bytes([tag])) + _VALUE[kind]
                self.runs[tag] = re.compile(b"(?:" + element + b")++", re.DOTALL)
            else:
                self.tags[tag] = 0


class WireReader:
    """Reads messages of `data` by their position, without copying them.

    Args:
        data: the whole of the serialised message.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._fields_left = MAX_FIELDS

    def fields(self, message: Message, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """The fields of the message at `start` to `end`, in order.

        Yields:
            The field's number, then its value and 0 for a varint, else where its bytes begin and end. A run of
            numbers begins at its first tag.

        Raises:
            BundleError: the bytes are not such a message.
        """
        data, tags = self.data, message.tags
        seen = 0
        while start < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                refuse(f"the graph has more than {MAX_FIELDS} fields", "a smaller graph")
            # Numbers of one byte, which nearly all are, without a call.
            tag, value = (data[start], start + 1) if data[start] < 0x80 else self.varint(start, end)
            bit = tags.get(tag)
            if bit is None:
                start = self._end_of_run(message, tag, begin := start, end)
                yield tag >> 3, begin, start
                continue
            if seen & bit:
                refuse(f"{message.name} holds the field {tag >> 3} twice", "it once")
            seen |= bit
            kind = tag & 7
            if kind == FIXED32:
                start = value + 4
            elif value < end and data[value] < 0x80:
                number, start = data[value], value + 1
            else:
                number, start = self.varint(value, end)
            if kind == VARINT:
                yield tag >> 3, number, 0
                continue
            if kind == BYTES:
                value, start = start, start + number
            if start > end:
                refuse(f"{message.name} ends within its field {tag >> 3}", "a whole graph")
            yield tag >> 3, value, start

    def _end_of_run(self, message: Message, tag: int, start: int, end: int) -> int:
        pattern = message.runs.get(tag)
        if pattern is None:
            refuse(f"{message.name} holds the field {tag >> 3} in wire type {tag & 7}", "fields of ONNX IR 10 only")
        run = pattern.match(self.data, start, end)
        if run is None:
            refuse(f"{message.name} holds a number that is cut short or too long in field {tag >> 3}")
        return run.end()

    def varint(self, start: int, end: int) -> tuple[int, int]:
        """The number at `start`, of 64 bits at most and unsigned, and where it ends."""
        data = self.data
        value = shift = 0
        while start < end and shift < 70:
            byte = data[start]
            start += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if (byte == 0 and shift) or value >= 1 << 64:
                    refuse("a number is longer than it need be")
                return value, start
            shift += 7
        refuse("a number is cut short or longer than 64 bits")

    def run(self, start: int, end: int) -> list[int]:
        """The varints of a run of tag and value."""
        values = []
        while start < end:
            value, start = self.varint(start + 1, end)
            values.append(value)
        return values

    def text(self, start: int, end: int, limit: int) -> str:
        """The text from `start` to `end`, of `limit` bytes at most."""
        if end - start > limit:
            refuse(f"a text has {end - start} bytes", f"at most {limit}")
        try:
            return self.data[start:end].decode("utf-8")
        except UnicodeDecodeError:
            refuse("a text is not UTF-8")

    def count_packed(self, start: int, end: int) -> int:
        """How many varints are packed from `start` to `end`."""
        count, last = 0, start - 1
        for low in range(start, end, _CHUNK):
            piece = np.frombuffer(self.data, np.uint8, min(_CHUNK, end - low), low)
            ends = np.flatnonzero(piece < 0x80) + low
            if len(ends):
                if int(np.diff(ends, prepend=last).max()) > 10:
                    refuse("a number is longer than 64 bits")
                count, last = count + len(ends), int(ends[-1])
        if last != end - 1:
            refuse("a number is cut short")
        return count
