"""Traces: a span for each request that is traced, sent to a collector of OpenTelemetry by OTLP over HTTP in JSON.

Source: the OpenTelemetry protocol specification 1.x, and W3C Trace Context.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from lepton.core import ErrorCode, UsageError, printable
from lepton.serving.protocols.base import Request, Response
from lepton.serving.watching.triggers import NoRedirect
from lepton.version import __version__

__all__ = ["Tracing", "parent_of"]

_logger = logging.getLogger("lepton.serving")
_PATH = "/v1/traces"
_TURN = 1.0
_FRESH_A_TURN = 100  # requests that nobody traces, of which so many a second are
_PENDING = 4_096
_SEND_TIME = 10.0
_COMPLAINT = 60.0  # seconds between two lines in the log about a collector that does not take spans
_SERVER, _ERROR = 2, 2  # kind of a span; its status
_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Parent:
    """The span of the caller."""

    trace: str
    span: str
    sampled: bool


def parent_of(headers: Mapping[str, str]) -> Parent | None:
    """What the header `traceparent` says; None without it, and for what is none."""
    found = _PARENT.fullmatch(headers.get("traceparent", ""))
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        return None
    return Parent(found[1], found[2], bool(int(found[3], 16) & 1))


class Tracing:
    """Sends spans of requests in a thread of its own; what a collector does not take is dropped, and said in the log.

    A request whose caller traces it is traced; one whose caller decided against it is not. Of all others, about 100 a
    second are.

    Args:
        address: of the collector, as `http://127.0.0.1:4318`; `/v1/traces` is added to an address without a path.
        environment: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_EXPORTER_OTLP_HEADERS` are read of it.

    Raises:
        UsageError: an address that is no http or https.
    """

    def __init__(self, address: str, environment: Mapping[str, str] = os.environ) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(
                ErrorCode.BAD_SETTING,
                f"the collector of traces is {printable(address)!r}",
                wanted="an address such as http://127.0.0.1:4318",
            )
        self._address = address if parts.path.strip("/") else address.rstrip("/") + _PATH
        self._headers = {"content-type": "application/json"} | _pairs(environment.get("OTEL_EXPORTER_OTLP_HEADERS", ""))
        told = _pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""))
        told["service.name"] = environment.get("OTEL_SERVICE_NAME") or told.get("service.name", "lepton")
        self._resource = [_attribute(name, value) for name, value in told.items()]
        self._pending: deque[dict[str, Any]] = deque()
        self._fresh = _FRESH_A_TURN
        self._dropped = 0
        self._complained = float("-inf")
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lepton-traces", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def close(self) -> None:
        """Send what is there, and end."""
        self._ends.set()
        if self._thread.is_alive():
            self._thread.join(_SEND_TIME)

    def record(self, request: Request, response: Response, seconds: float, pattern: Callable[[Request], str]) -> None:
        """Keep the span of an answered request, if it is traced; on the loop.

        Args:
            request: that was answered.
            response: what was sent.
            seconds: from the read request to the sent answer.
            pattern: gives the pattern of the request's address, "" where there is none.
        """
        parent = parent_of(request.headers) if "traceparent" in request.headers else None
        if parent is None:
            if self._fresh <= 0:
                return
            self._fresh -= 1
        elif not parent.sampled:
            return
        if len(self._pending) >= _PENDING:
            self._dropped += 1
            return
        self._pending.append(_span(request, response, seconds, pattern(request), parent))

    def _run(self) -> None:
        while not self._ends.wait(_TURN):
            self._fresh = _FRESH_A_TURN
            self._send()
        self._send()

    def _send(self) -> None:
        spans = [self._pending.popleft() for _ in range(len(self._pending))]
        if not spans:
            return
        scope = {"scope": {"name": "lepton.serving", "version": __version__}, "spans": spans}
        body = {"resourceSpans": [{"resource": {"attributes": self._resource}, "scopeSpans": [scope]}]}
        request = urllib.request.Request(self._address, json.dumps(body).encode(), self._headers)  # noqa: S310 - checked
        try:
            with urllib.request.build_opener(NoRedirect).open(request, timeout=_SEND_TIME):
                reason = "" if not self._dropped else f"{self._dropped} spans found no place"
        except (OSError, ValueError) as error:
            reason = f"it answered {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
        if reason and time.monotonic() - self._complained >= _COMPLAINT:
            self._complained, self._dropped = time.monotonic(), 0
            _logger.warning("the collector of traces has not taken all spans: %s", printable(reason, 300))


def _span(request: Request, response: Response, seconds: float, pattern: str, parent: Parent | None) -> dict[str, Any]:
    """A request as a span of OTLP; neither its body nor its headers are in it."""
    ended = time.time_ns()
    attributes: dict[str, Any] = {
        "http.request.method": request.method,
        "http.response.status_code": response.status,
        "http.request.body.size": len(request.body) or request.size,
        "client.address": request.client,
        "lepton.request_id": request.id,
    }
    if pattern:
        attributes["http.route"] = pattern
    if response.code:
        attributes["error.type"] = response.code
    if request.message is not None:
        attributes["rpc.system"] = "grpc"
    if request.answered is not None:
        attributes |= {
            "lepton.model.name": request.answered.name,
            "lepton.model.version": request.answered.version,
            "lepton.rows": request.num_rows,
        }
    span = {
        "traceId": secrets.token_hex(16) if parent is None else parent.trace,
        "spanId": secrets.token_hex(8),
        "name": f"{request.method} {pattern}".rstrip(),
        "kind": _SERVER,
        "startTimeUnixNano": str(ended - round(seconds * 1e9)),
        "endTimeUnixNano": str(ended),
        "attributes": [_attribute(name, value) for name, value in attributes.items()],
        "status": {"code": _ERROR} if response.status >= 500 else {},
    }
    return span if parent is None else span | {"parentSpanId": parent.span}


def _attribute(name: str, value: str | int) -> dict[str, Any]:
    kind = {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}
    return {"key": name, "value": kind}


def _pairs(text: str) -> dict[str, str]:
    """`name=value,name=value` of the environment; what is none is left out."""
    pairs = (pair.partition("=") for pair in text.split(","))
    return {name.strip(): unquote(value.strip()) for name, equals, value in pairs if equals and name.strip()}
