"""Heads of requests that came before: a client sends the same one again and again, so parsing it can be saved.

So can asking whether it may call and where its address leads: both are said by the head alone, and nothing that they
are judged by (tokens, addresses) changes while a server runs. What is counted, as the rate of a token, is counted each
time. A dict finds a head by a keyed hash, and compares bytes only where that is equal, so the time tells nothing of
a token. The id of a request is what heads of one client differ in, so it is left out of what is compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lepton.serving.allowances import Allowance
from lepton.serving.protocols.base import Request, Response

__all__ = ["Head", "KnownHeads", "Shortcut"]

_MOST, _LONGEST = 1_024, 2_048
_NOT_PLAIN = ("transfer-encoding", "expect", "upgrade")
_ID_NAME = "x-request-id"
_ID = re.compile(rb"\r\n[Xx]-[Rr]equest-[Ii][Dd]: ([A-Za-z0-9._:/+=@-]{1,128})\r\n")


@dataclass(frozen=True, slots=True)
class Head:
    """What the parser made of a head.

    Attributes:
        size: bytes of the body that follows.
        method: in capitals.
        path: as of `Request`.
        headers: as of `Request`; of an id only that there was one.
        version: of HTTP.
        keep_alive: whether the connection stays open.
        match: as of `Request`.
        allowance: as of `Request`.
        shortcut: what may answer requests with it in fewer steps.
    """

    size: int
    method: str
    path: str
    headers: Mapping[str, str]
    version: str
    keep_alive: bool
    match: Any = None
    allowance: Allowance | None = None
    shortcut: Shortcut | None = None


class Shortcut(Protocol):
    """Answers requests with one head, if it can."""

    def answer(self, request: Request, data: bytes, start: int) -> Response | None:
        """The response to a request whose body is what stands in `data` from `start` on; None where it cannot."""


class KnownHeads:
    """Heads that were parsed and taken, by their bytes; what is equal byte for byte means the same.

    Only requests that came in one piece, with nothing before or after them, are learned and found, and only with plain
    framing: `Content-Length`, or no body.
    """

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}
        self._with_id: dict[tuple[bytes, bytes], Head] = {}  # by what stands before the id and behind it

    def find(self, data: bytes) -> tuple[Head, int, str] | None:
        """The head of a request that is complete in `data`, if it is known; None says nothing about the request.

        Returns:
            The head; its length, the empty line included; and the id that the caller gave, or "".
        """
        length = data.find(b"\r\n\r\n", 0, _LONGEST) + 4
        top, given = data[:length], ""
        head = self._heads.get(top)
        if head is None and self._with_id and (found := _ID.search(top)) is not None:
            head = self._with_id.get((top[: found.start(1)], top[found.end(1) :]))
            given = found[1].decode("ascii")
        return (head, length, given) if head is not None and len(data) == length + head.size else None

    def learn(
        self, data: bytes, request: Request, version: str, *, keep_alive: bool, shortcut: Shortcut | None = None
    ) -> None:
        """Remember the head of `data`, which the parser has read as this one request and nothing else, and admitted."""
        length = data.find(b"\r\n\r\n", 0, _LONGEST) + 4
        size = len(request.body)
        headers = request.headers
        if len(data) != length + size or headers.get("content-length", "0") != str(size):
            return
        if any(name in headers for name in _NOT_PLAIN):
            return
        head = Head(
            size,
            request.method,
            request.path,
            headers,
            version,
            keep_alive,
            request.match,
            request.allowance,
            shortcut,
        )
        top = data[:length]
        if _ID_NAME not in headers:
            _put(self._heads, top, head)
            return
        found = _ID.search(top)
        if found is not None and found[1].decode("ascii") == request.id and top.lower().count(_ID_NAME.encode()) == 1:
            _put(self._with_id, (top[: found.start(1)], top[found.end(1) :]), head)


def _put(known: dict[Any, Head], key: Any, head: Head) -> None:
    if len(known) >= _MOST:
        known.clear()
    known[key] = head
