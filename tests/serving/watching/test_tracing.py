"""Traces: what a collector is sent, and of which requests."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lepton.core import ErrorCode, ServingError, UsageError
from lepton.serving import Server
from lepton.serving.protocols.base import Request, Response, error_response
from lepton.serving.watching.tracing import Parent, Tracing, parent_of
from tests.serving.wire import request

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACED = {"traceparent": f"00-{TRACE}-{SPAN}-01"}


class Collector:
    """Keeps what is posted to it."""

    def __init__(self, status: int = 200) -> None:
        self.seen: list[tuple[str, dict[str, str], Any]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                collector.seen.append((self.path, headers, json.loads(body)))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def spans(self) -> list[dict[str, Any]]:
        return [
            span
            for _, _, body in self.seen
            for resource in body["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def values(attributes: list[dict[str, Any]]) -> dict[str, str]:
    return {each["key"]: next(iter(each["value"].values())) for each in attributes}


def asked(**headers: str) -> Request:
    return Request("POST", "/v2/models/a/infer", headers, b"body", "seven", "127.0.0.1")


def record(tracing: Tracing, made: Request, response: Response) -> None:
    tracing.record(made, response, 0.25, lambda _: "/v2/models/{model}/infer")


def test_a_server_tells_its_requests_with_the_trace_of_the_caller(
    collector: Collector, bundles: dict[str, Path]
) -> None:
    with Server({"price": bundles["price"]}, port=0, traces=collector.url) as server:
        address = (server.host, server.port)
        assert request(address, "GET", "/v2/models/price", headers={**TRACED, "x-request-id": "seven"}).status == 200
        assert request(address, "GET", "/v2/models/nobody").status == 404
    (first, second) = sorted(collector.spans, key=lambda span: "parentSpanId" not in span)
    assert (first["traceId"], first["parentSpanId"], first["kind"]) == (TRACE, SPAN, 2)
    assert first["name"] == "GET /v2/models/{model}"
    assert int(first["startTimeUnixNano"]) <= int(first["endTimeUnixNano"])
    told = values(first["attributes"])
    assert told["lepton.request_id"] == "seven"
    assert (told["http.route"], told["http.response.status_code"]) == ("/v2/models/{model}", "200")
    assert second["traceId"] != TRACE
    assert values(second["attributes"])["error.type"] == "unknown-model"
    path, headers, body = collector.seen[0]
    assert (path, headers["content-type"]) == ("/v1/traces", "application/json")
    assert values(body["resourceSpans"][0]["resource"]["attributes"])["service.name"] == "lepton"


def test_the_environment_names_the_service_and_brings_headers(collector: Collector) -> None:
    environment = {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_RESOURCE_ATTRIBUTES": "zone=eu, broken,  team = a%20b",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x",
    }
    tracing = Tracing(collector.url + "/own/path", environment)
    tracing.start()
    record(tracing, asked(), error_response(ServingError(ErrorCode.INTERNAL, "no")))
    tracing.close()
    ((path, headers, body),) = collector.seen
    assert (path, headers["authorization"]) == ("/own/path", "Bearer x")
    found = values(body["resourceSpans"][0]["resource"]["attributes"])
    assert found == {"zone": "eu", "team": "a b", "service.name": "shop"}
    assert collector.spans[0]["status"] == {"code": 2}


def test_who_decided_against_it_is_not_traced_and_of_others_so_many(collector: Collector) -> None:
    tracing = Tracing(collector.url, {})
    for _ in range(150):
        record(tracing, asked(traceparent=f"00-{TRACE}-{SPAN}-00"), Response(200, b""))
        record(tracing, asked(), Response(200, b""))
        record(tracing, asked(**TRACED), Response(200, b""))
    tracing.start()
    tracing.close()
    assert sum("parentSpanId" in span for span in collector.spans) == 150
    assert len(collector.spans) == 250


def test_a_collector_that_takes_nothing_is_said_and_costs_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    refusing = Collector(500)
    with caplog.at_level(logging.WARNING):
        tracing = Tracing(refusing.url, {})
        for _ in range(10_000):
            record(tracing, asked(**TRACED), Response(200, b""))
        tracing.start()
        tracing.close()
    refusing.close()
    assert "it answered 500" in caplog.text
    assert len(refusing.spans) < 10_000


@pytest.mark.parametrize("address", ["", "collector:4318", "grpc://127.0.0.1:4317", "http://"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="collector"):
        Tracing(address, {})


@pytest.mark.parametrize(
    "given",
    ["", "00", f"01-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{SPAN}"],
)
def test_what_is_no_parent_is_none(given: str) -> None:
    assert parent_of({"traceparent": given}) is None


def test_a_parent_is_read() -> None:
    assert parent_of(TRACED) == Parent(TRACE, SPAN, sampled=True)
    assert parent_of({"traceparent": f"00-{TRACE}-{SPAN}-02"}) == Parent(TRACE, SPAN, sampled=False)
