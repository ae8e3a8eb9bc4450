"""Hostile HTTP: request smuggling by two corpora and by chance, and peers that are slow, silent or half there.

Which test covers which input of the catalogue of hostile inputs (H051-H070 and H110-H117), over REST:

| inputs | tests |
|---|---|
| H051 NaN, infinities, 1e999 | test_server `HOSTILE`, test_strict_json; in bytes: protocols/test_binary |
| H052 shapes that lie | test_server `HOSTILE`, protocols/test_tensors, protocols/test_binary |
| H053 sizes of binary tensors | test_server `test_binary_bodies`, protocols/test_binary and `test_any_bytes` there |
| H054 safetensors | not taken by the server: 415, test_guard `test_only_json_is_taken` |
| H055 deep metadata | test_server `HOSTILE`, test_strict_json |
| H056 many rows, inputs, outputs | test_server `HOSTILE`, `test_a_million_cells…`; protocols/test_tables |
| H057 images | not taken by the server: 415, test_guard |
| H058 datatypes mixed up | test_server `HOSTILE`, protocols/test_tensors, protocols/test_binary |
| H059 unknown and equal names, sizes | test_server `HOSTILE`, protocols/test_oip |
| H060 models and versions | `test_versions_that_are_none` here, protocols/test_oip, test_swapping |
| H061 sparse, quantised tensors | no such datatype: `test_tensors_of_other_kinds` here |
| H062 a row behind a giant batch | test_dispatch, test_server `test_a_million_cells…` |
| H063 leaving at any point | test_http `test_a_peer_may_leave_at_any_byte`, `test_peers_that_reset…` here |
| H064-H068 JSON | test_server `HOSTILE`, test_strict_json, protocols/test_rows |
| H069 dates | protocols/test_rows, test_server `HOSTILE` |
| H070 paging, sorting | there is none; queries are no part of an address: `test_queries_change_nothing` here |
| H110 smuggling | here; test_http `SMUGGLING` |
| H111 chunks of a byte, without end | test_http `test_bodies_in_one_byte_chunks`, `test_chunked_bodies_are_counted` |
| H112 forms | protocols/test_multipart `HOSTILE` |
| H113 slow, silent, dripping | test_http `TestTimers`, `test_half_a_request…` here |
| H114 idle connections | test_http `test_connections_beyond_the_cap_are_told`, `test_idle_peers_are_cut` |
| H115 ranges, conditions | `test_ranges_and_conditions_are_passed_over` here |
| H116 heads | test_http `TestLimits.test_heads` |
| H117 overload | test_batching, test_dispatch, test_http `test_requests_beyond_the_queue…` |
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st

from lepton.serving import Server
from lepton.serving.http import Limits
from tests.serving.smuggling import HIDDEN, READ, REFUSED
from tests.serving.wire import Address, Wire, answers, connect, exchange, read_all, request

ROW = {"rooms": 1, "town": "Basel", "garden": True}


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with Wire(Limits(max_body=200_000)) as wire:
        yield wire


@pytest.fixture(scope="module")
def quick() -> Iterator[Wire]:
    with Wire(Limits(head_time=0.4, body_time=0.4, idle_time=0.4, write_time=0.4, max_body=200_000)) as wire:
        yield wire


def seen_paths(wire: Wire, before: int) -> list[str]:
    return [request.path for request in wire.handler.seen[before:]]


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_has_two_meanings_is_refused_and_nothing_behind_it_is_read(wire: Wire, data: bytes) -> None:
    before = len(wire.handler.seen)
    (answer,) = exchange(wire.address, data + HIDDEN)
    assert 400 <= answer.status < 500
    assert answer.headers["connection"] == "close"
    assert seen_paths(wire, before) == []


@pytest.mark.parametrize(("data", "body"), READ.values(), ids=READ.keys())
def test_what_has_one_meaning_is_one_request(wire: Wire, data: bytes, body: bytes) -> None:
    before = len(wire.handler.seen)
    (answer,) = exchange(wire.address, data)
    assert answer.status == 200
    assert [(seen.path, seen.body) for seen in wire.handler.seen[before:]] == [("/x", body)]


@pytest.mark.parametrize("name", ["a length signed", "two lengths", "a chunk signed", "bare line feeds"])
def test_a_refusal_is_the_same_byte_by_byte(wire: Wire, name: str) -> None:
    before = len(wire.handler.seen)
    with connect(wire.address) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):
            for byte in REFUSED[name] + HIDDEN:
                connection.sendall(bytes([byte]))
            connection.shutdown(socket.SHUT_WR)
        assert [answer.status for answer in answers(read_all(connection))] == [400]
    assert seen_paths(wire, before) == []


PIECES = (
    b"Content-Length: 5", b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"\r\n",
    b"\n", b"\r", b" ", b"\t", b"\0", b":", b",", b"5\r\nhello\r\n", b"0\r\n\r\n", b"Host: a", b"hello", b";", b"\xff",
    b"GET /x HTTP/1.1", b"POST /x HTTP/1.1",
)  # fmt: skip


@given(seed=st.integers(0, 2**32))
def test_no_answer_without_a_request_that_was_sent_as_one(wire: Wire, seed: int) -> None:
    """Two requests with pieces of framing put in at random: no more answers than request lines, no error of ours."""
    draw, before = random.Random(seed), len(wire.handler.seen)
    data = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + HIDDEN
    for _ in range(draw.choice([1, 2, 3])):
        place = draw.randrange(len(data))
        data = data[:place] + draw.choice(PIECES) + data[place + draw.choice([0, 0, 1, 4]) :]
    found = exchange(wire.address, data)
    assert all(answer.status < 500 for answer in found)
    assert len(found) <= data.count(b" HTTP/1.1") + 1
    assert all(answer.status == 200 for answer in found[:-1])  # after a refusal nothing is read
    assert len(seen_paths(wire, before)) == sum(answer.status == 200 for answer in found)


class TestPeers:
    def test_half_a_request_and_an_end(self, quick: Wire) -> None:
        data = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        before = len(quick.handler.seen)
        for length in range(0, len(data), 5):
            assert exchange(quick.address, data[:length]) == []
        assert seen_paths(quick, before) == []

    def test_a_peer_that_waits_for_continue_and_then_is_silent(self, quick: Wire) -> None:
        with connect(quick.address) as connection:
            connection.sendall(b"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9999\r\n\r\n")
            data = read_all(connection)
        assert data.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408 ")

    def test_silence_between_two_halves_of_a_chunk(self, quick: Wire) -> None:
        with connect(quick.address) as connection:
            connection.sendall(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhello")
            assert [answer.status for answer in answers(read_all(connection))] == [408]

    def test_peers_that_reset_leave_nothing_behind(self, quick: Wire) -> None:
        data = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        for length in range(0, len(data) + 1, 3):
            connection = connect(quick.address)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(data[:length])
            connection.close()
        assert [answer.status for answer in exchange(quick.address, data)] == [200]
        assert quick.service.held == 0


@pytest.fixture
def address(server: Server) -> Address:
    return server.host, server.port


@pytest.mark.parametrize(
    "version",
    ["-1", "latest", "01", "1e3", "0", "1.0", "%31x", "+1", "%F0%9F%92%A9", "9" * 5000, "1%00", "..", "%2e%2e"],
)
def test_versions_that_are_none(address: Address, version: str) -> None:
    answer = request(address, "POST", f"/v2/models/sold/versions/{version}/infer", b"{}")
    assert (answer.status, answer.json["code"]) == (404, "unknown-model")
    assert len(answer.body) < 1000


@pytest.mark.parametrize("datatype", ["SPARSE", "QINT8", "FP8", "BF16", "STRING", "fp64", "", None, 7, ["FP64"]])
def test_tensors_of_other_kinds(address: Address, datatype: object) -> None:
    tensor = {"name": "rooms", "shape": [1], "datatype": datatype, "data": [1]}
    answer = request(address, "POST", "/v2/models/sold/infer", json.dumps({"inputs": [tensor]}).encode())
    assert 400 <= answer.status < 500


def test_queries_change_nothing(address: Address) -> None:
    plain = request(address, "GET", "/v2/models/sold")
    for query in ("limit=-1", "limit=1e9&offset=x", "sort=labels", "q=(a%2B)%2B$", "cursor=" + "A" * 5000, "&&==?"):
        asked = request(address, "GET", f"/v2/models/sold?{query}")
        assert (asked.status, asked.body) == (200, plain.body)


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=" + ",".join(["0-"] * 4000)},
        {"Range": "bytes=-1"},
        {"If-None-Match": "*", "If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"If-Match": '"x"', "If-Range": '"x"', "If-Unmodified-Since": "never"},
        {"TE": "trailers, deflate;q=0.5", "Trailer": "Content-Length"},
        {"X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/admin", "X-Rewrite-URL": "/admin"},
    ],
)
def test_ranges_and_conditions_are_passed_over(address: Address, headers: dict[str, str]) -> None:
    answer = request(address, "POST", "/v2/models/sold/rows", json.dumps(ROW).encode(), headers)
    assert (answer.status, answer.json["predictions"]) == (200, ["yes"])
