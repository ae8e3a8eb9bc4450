"""Compressed headers (RFC 7541): a decoder with its table, and the plainest form to write."""

from __future__ import annotations

from collections import deque

from lepton.serving.http2.huffman import HuffmanError, decode_huffman

__all__ = ["Decoder", "HpackError", "literal"]

_PLAIN_NAMES = (
    "accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control"
    " content-disposition content-encoding content-language content-length content-location content-range content-type"
    " cookie date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since"
    " last-modified link location max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after"
    " server set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate"
)
_STATIC: tuple[tuple[str, str], ...] = (
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    *((":status", status) for status in ("200", "204", "206", "304", "400", "404", "500")),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    *((name, "") for name in _PLAIN_NAMES.split()),
)
_TABLE_SIZE = 4096
_ENTRY = 32  # what an entry counts beside its texts
_LONGEST_NUMBER = 5  # octets behind the first
_BEYOND = 4  # times the bounds up to which a list that is refused is still read, since those after it build on it


class HpackError(ValueError):
    """A block that is none: the connection cannot go on, since later ones build on it."""


class Decoder:
    """Headers of one direction of a connection.

    Args:
        max_size: octets that the headers of a message may have.
        max_headers: number of them.

    Attributes:
        changed: whether a block has changed the table since this was last set to False; until then, the same block
            means the same.
    """

    def __init__(self, max_size: int, max_headers: int) -> None:
        self._max_size = max_size
        self._max_headers = max_headers
        self._table: deque[tuple[str, str]] = deque()
        self._size = 0
        self._bound = _TABLE_SIZE
        self.changed = False

    def decode(self, block: bytes) -> list[tuple[str, str]] | None:
        """Names and values in their order; None for more of them than may be.

        Raises:
            HpackError: a block that is none, or far larger than may be.
        """
        found: list[tuple[str, str]] = []
        size = at = 0
        try:
            while at < len(block):
                octet = block[at]
                if octet & 0x80:
                    index, at = _number(block, at, 7)
                    name, value = self._entry(index)
                elif octet & 0xE0 == 0x20:
                    if found:
                        raise HpackError("the size of the table changes behind headers")
                    bound, at = _number(block, at, 5)
                    self._resize(bound)
                    continue
                else:
                    kept = octet & 0x40
                    index, at = _number(block, at, 6 if kept else 4)
                    if index:
                        name = self._entry(index)[0]
                    else:
                        name, at = _text(block, at)
                    value, at = _text(block, at)
                    if kept:
                        self._keep(name, value)
                size += len(name) + len(value) + _ENTRY
                found.append((name, value))
                if size > _BEYOND * self._max_size or len(found) > _BEYOND * self._max_headers:
                    raise HpackError("the headers are far too large")
        except IndexError:
            raise HpackError("the headers end in the middle of one") from None
        return None if size > self._max_size or len(found) > self._max_headers else found

    def _entry(self, index: int) -> tuple[str, str]:
        if 0 < index <= len(_STATIC):
            return _STATIC[index - 1]
        if not len(_STATIC) < index <= len(_STATIC) + len(self._table):
            raise HpackError(f"there is no header {index} in the table")
        return self._table[index - len(_STATIC) - 1]

    def _keep(self, name: str, value: str) -> None:
        self.changed = True
        self._table.appendleft((name, value))
        self._size += len(name) + len(value) + _ENTRY
        self._evict()

    def _resize(self, bound: int) -> None:
        if bound > _TABLE_SIZE:
            raise HpackError(f"a table of {bound} octets is larger than agreed")
        self.changed = True
        self._bound = bound
        self._evict()

    def _evict(self) -> None:
        while self._size > self._bound:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + _ENTRY


def _number(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """A number that begins in the last `bits` of an octet, and where what follows begins."""
    full = (1 << bits) - 1
    value = block[at] & full
    at += 1
    if value < full:
        return value, at
    for shift in range(0, 7 * _LONGEST_NUMBER, 7):
        octet = block[at]
        at += 1
        value += (octet & 0x7F) << shift
        if not octet & 0x80:
            return value, at
    raise HpackError("a number is too long")


def _text(block: bytes, at: int) -> tuple[str, int]:
    coded = block[at] & 0x80
    length, at = _number(block, at, 7)
    end = at + length
    if end > len(block):
        raise HpackError("a text is longer than the headers")
    data = block[at:end]
    if coded:
        try:
            data = decode_huffman(data)
        except HuffmanError as error:
            raise HpackError(str(error)) from None
    return data.decode("latin-1"), end


def literal(name: str, value: str) -> bytes:
    """A header that no table keeps, as any peer reads it; what is no ASCII in it is left out."""
    return b"\0" + _sized(name) + _sized(value)


def _sized(text: str) -> bytes:
    data = text.encode("ascii", "ignore")
    length = len(data)
    if length < 0x7F:
        return bytes((length,)) + data
    out, rest = bytearray(b"\x7f"), length - 0x7F
    while rest >= 0x80:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out) + data
