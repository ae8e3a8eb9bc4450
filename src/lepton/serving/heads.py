"""Heads of requests that came before: a client sends the same one again and again, so parsing it can be saved.

So can asking whether it may call and where its address leads: both are said by the head alone, and nothing that they
are judged by (tokens, addresses) changes while a server runs. What is counted, as the rate of a token, is counted each
time. A dict finds a head by a keyed hash, and compares bytes only where that is equal, so the time tells nothing of
a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lepton.serving.allowances import Allowance
from lepton.serving.protocols.base import Request, Response

__all__ = ["Head", "KnownHeads", "Shortcut"]

_MOST, _LONGEST = 1_024, 2_048
_NOT_PLAIN = ("transfer-encoding", "expect", "upgrade")


@dataclass(frozen=True, slots=True)
class Head:
    """What the parser made of a head.

    Attributes:
        length: bytes of it, the empty line included.
        size: bytes of the body that follows.
        method: in capitals.
        path: as of `Request`.
        headers: as of `Request`.
        id: that the caller gave, or "".
        version: of HTTP.
        keep_alive: whether the connection stays open.
        match: as of `Request`.
        allowance: as of `Request`.
        shortcut: what may answer requests with it in fewer steps.
    """

    length: int
    size: int
    method: str
    path: str
    headers: Mapping[str, str]
    id: str
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

    def find(self, data: bytes) -> Head | None:
        """The head of a request that is complete in `data`, if it is known; None says nothing about the request."""
        head = self._heads.get(data[: data.find(b"\r\n\r\n", 0, _LONGEST) + 4])
        return head if head is not None and len(data) == head.length + head.size else None

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
        if len(self._heads) >= _MOST:
            self._heads.clear()
        given = request.id if headers.get("x-request-id") == request.id else ""
        self._heads[data[:length]] = Head(
            length,
            size,
            request.method,
            request.path,
            headers,
            given,
            version,
            keep_alive,
            request.match,
            request.allowance,
            shortcut,
        )
