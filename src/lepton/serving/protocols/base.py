"""Requests and responses as plain records: what a transport hands to a protocol and takes from it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lepton.core import ErrorCode, LeptonError, ServingError
from lepton.serving.allowances import Allowance
from lepton.serving.protocols.streamed import Streamed
from lepton.serving.strict_json import dump

__all__ = ["JSON", "Request", "Response", "error_response", "internal_error", "json_response", "request_id"]

JSON = "application/json"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)


@dataclass(slots=True)
class Request:
    """One request.

    Attributes:
        method: in capitals.
        path: the target's path as it was sent, still percent-encoded, without the query.
        headers: names in lower case.
        body: complete, framing removed; empty where it was answered by a shortcut, which copies none.
        id: the caller's `x-request-id`, or a new one.
        client: address of the caller, for the log.
        message: of a call over gRPC, which has one in place of JSON; None over HTTP.
        timeout: seconds that the caller waits, where the transport knows.
        match: where its address leads, once that was looked up; None is looked up when it is needed.
        routed: where rules of traffic have sent it, once they have.
        answered: the model that it is for, once it was read.
        num_rows: that it asks for, once it was read.
        size: bytes of the body that a shortcut has read.
        allowance: of the token that it shows, where that has one.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    id: str = ""
    client: str = ""
    message: Any = None
    timeout: float | None = None
    match: Any = None
    routed: Any = None
    answered: Any = None
    num_rows: int = 0
    allowance: Allowance | None = None
    size: int = 0

    @property
    def caller(self) -> str:
        """Whom it is from, for fairness: the name of its token, else an address."""
        return self.client if self.allowance is None else self.allowance.name


class Response(NamedTuple):
    """One response; `headers` beside those that every response has, `code` of the error that it tells.

    A `stream` is the body of an answer that comes part by part, in place of `body`.
    """

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    code: str = ""
    stream: Streamed | None = None


def json_response(value: Any, status: int = 200) -> Response:
    """`value` as a JSON response."""
    return Response(status, dump(value))


def error_response(error: LeptonError) -> Response:
    """The one shape of an error: `{"error": message, "code": code, "details": {…}}` with the catalogue's status."""
    headers: tuple[tuple[str, str], ...] = ()
    if error.code in {ErrorCode.OVERLOADED, ErrorCode.NOT_READY}:
        headers = (("retry-after", "1"),)
    elif error.code is ErrorCode.RATE_LIMITED:
        headers = (("retry-after", str(error.details["retry_after"])),)
    elif error.code is ErrorCode.UNAUTHENTICATED:
        headers = (("www-authenticate", "Bearer"),)
    elif error.code is ErrorCode.METHOD_NOT_ALLOWED:
        headers = (("allow", ", ".join(error.details["allowed"])),)
    value = {"error": str(error), "code": str(error.code), "details": error.details}
    return Response(error.http_status, dump(value), headers=headers, code=error.code.value)


def internal_error() -> ServingError:
    """What a caller hears of an error of ours: nothing but that there was one."""
    return ServingError(ErrorCode.INTERNAL, "an error inside the server", fix="the server's log has the request id")


def request_id(given: str | None) -> str:
    """The caller's id if it is 1-128 plain characters, else a new one of 128 random bits."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else os.urandom(16).hex()
