"""One connection's framing, limits and timers, on raw sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from lepton.core import ErrorCode, ServingError
from lepton.serving.http import Limits
from lepton.serving.pulse import Pulse
from tests.serving.wire import QUEUE, Answer, Wire, answers, connect, exchange, read_all, read_answer, request, within

HOST = b"Host: a\r\n"
POST = b"POST /x HTTP/1.1\r\n" + HOST
GET = b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n"
QUICK = Limits(
    head_time=0.6,
    body_time=0.6,
    idle_time=1.0,
    write_time=0.6,
    max_body=10_000,
    max_head=4096,
    max_headers=20,
    max_connections=20,
    drain_time=2.0,
)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with Wire(Limits(max_body=200_000)) as wire:
        yield wire


@pytest.fixture
def quick() -> Iterator[Wire]:
    with Wire(QUICK) as wire:
        yield wire


def healthy(wire: Wire) -> None:
    with within(2):
        assert [a.status for a in exchange(wire.address, GET)] == [200]


class TestFraming:
    def test_a_body_arrives_whole_whatever_the_segments(self, wire: Wire) -> None:
        data = POST + b"Content-Length: 11\r\n\r\nhello world"
        with connect(wire.address) as connection:
            for byte in data:
                connection.sendall(bytes([byte]))
            answer = read_answer(connection.makefile("rb"))
        assert answer.json == {"method": "POST", "path": "/x", "body": "hello world"}

    def test_chunks_with_extensions_and_trailers(self, wire: Wire) -> None:
        body = b'5;a="b"\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\nHost: evil\r\n\r\n'
        answer = exchange(wire.address, POST + b"Transfer-Encoding: chunked\r\n\r\n" + body)[0]
        assert answer.json["body"] == "hello world"
        assert wire.handler.seen[-1].headers["host"] == "a"

    def test_pipelined_requests_are_answered_in_order(self, wire: Wire) -> None:
        data = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(500))
        found = exchange(wire.address, data)
        assert [a.json["path"] for a in found] == [f"/{number}" for number in range(500)]

    def test_order_holds_when_an_early_answer_takes_longer(self, quick: Wire) -> None:
        with connect(quick.address) as connection:
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
            time.sleep(0.1)
            quick.handler.release.set()
            stream = connection.makefile("rb")
            assert [read_answer(stream).json["path"] for _ in range(2)] == ["/slow", "/x"]

    def test_a_head_that_came_before_means_the_same_and_is_counted_anew(self, quick: Wire) -> None:
        with connect(quick.address) as connection:
            stream = connection.makefile("rb")

            def told(body: bytes, pieces: int = 1, length: int = 3) -> Answer:
                data = POST + b"Content-Length: %d\r\n\r\n" % length + body
                for piece in (data,) if pieces == 1 else (data[:9], data[9:]):
                    connection.sendall(piece)
                    time.sleep(0.02 * (pieces - 1))  # so that the pieces come apart
                return read_answer(stream)

            assert [told(body).json["body"] for body in (b"abc", b"xyz", b"123")] == ["abc", "xyz", "123"]
            assert told(b"cut", pieces=2).json["body"] == "cut"
            assert told(b"four", length=4).json["body"] == "four"
            ids = {told(b"abc").headers["x-request-id"] for _ in range(3)}
            assert len(ids) == 3
            quick.handler.refusal = ServingError(ErrorCode.RATE_LIMITED, "too often", details={"retry_after": 1})
            assert told(b"abc").status == 429
            quick.handler.refusal = None
            assert told(b"abc").status == 200, "who is asked to wait keeps its connection"

    def test_head_answers_without_a_body(self, wire: Wire) -> None:
        answer = request(wire.address, "HEAD", "/x")
        assert answer.status == 200
        assert int(answer.headers["content-length"]) > 0

    def test_continue_is_sent_once_and_only_when_asked(self, wire: Wire) -> None:
        with connect(wire.address) as connection:
            connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"hello")
            assert read_answer(connection.makefile("rb")).json["body"] == "hello"

    def test_a_refused_request_gets_no_continue(self, quick: Wire) -> None:
        quick.handler.refusal = ServingError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "no")
        with connect(quick.address) as connection:
            connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            assert [a.status for a in answers(read_all(connection))] == [415]

    def test_absolute_targets_name_the_same_host(self, wire: Wire) -> None:
        assert exchange(wire.address, b"GET http://A/x?q HTTP/1.1\r\nHost: a\r\n\r\n")[0].json["path"] == "/x"
        assert exchange(wire.address, b"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n")[0].status == 400

    def test_upgrades_are_ignored_and_end_the_connection(self, wire: Wire) -> None:
        upgrade = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\n"
        found = exchange(wire.address, upgrade)
        assert [a.status for a in found] == [200]
        assert found[0].headers["connection"] == "close"

    def test_http_1_0_is_kept_alive_only_when_asked(self, wire: Wire) -> None:
        asked = b"GET /1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
        found = exchange(wire.address, asked + b"GET /2 HTTP/1.0\r\nHost: a\r\n\r\n" + GET)
        assert [a.json["path"] for a in found] == ["/1", "/2"]

    def test_every_answer_has_an_id_and_the_security_headers(self, wire: Wire) -> None:
        given = request(wire.address, "GET", "/x", headers={"X-Request-Id": "abc-1"})
        made = request(wire.address, "GET", "/x", headers={"X-Request-Id": "no spaces"})
        refused = exchange(wire.address, b"NONSENSE\r\n\r\n")[0]
        assert given.headers["x-request-id"] == "abc-1"
        for answer in (made, refused):
            assert len(answer.headers["x-request-id"]) == 32
        for answer in (given, made, refused):
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["date"].endswith("GMT")

    def test_refused_without_a_body_keeps_the_connection(self, quick: Wire) -> None:
        quick.handler.refusal = ServingError(ErrorCode.UNKNOWN_ROUTE, "nothing here")
        assert [a.status for a in exchange(quick.address, GET + GET)] == [404, 404]


SMUGGLING = {
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two equal lengths": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "a signed length": POST + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": POST + b"Content-Length: -5\r\n\r\nhello",
    "a hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "an endless length": POST + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "two encodings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two encoding headers": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "a hidden encoding": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded headers": POST + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "bare line feeds": b"GET /x HTTP/1.1\nHost: a\n\n",
    "a bare carriage return": b"GET /x HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "NUL in a header": b"GET /x HTTP/1.1\r\nHost: a\0b\r\n\r\n",
    "an empty header name": b"GET /x HTTP/1.1\r\n: a\r\n\r\n",
    "a negative chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
    "a prefixed chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "a chunk with a space": POST + b"Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
    "a chunk of 2^68": POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "a chunk that is longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    "two hosts": b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no host": b"GET /x HTTP/1.1\r\n\r\n",
    "HTTP/0.9": b"GET /x\r\n\r\n",
    "HTTP/2": b"GET /x HTTP/2.0\r\nHost: a\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("160301020001000 1fc0303".replace(" ", "")) + b"\0" * 50,
    "a tunnel": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a lower-case method": b"get /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "no path": b"GET x HTTP/1.1\r\nHost: a\r\n\r\n",
    "bytes above ASCII in the target": b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    "an unknown expectation": POST + b"Expect: tea\r\nContent-Length: 1\r\n\r\nx",
}


@pytest.mark.parametrize("data", SMUGGLING.values(), ids=SMUGGLING.keys())
def test_requests_that_two_parsers_could_read_in_two_ways_are_refused(wire: Wire, data: bytes) -> None:
    seen = len(wire.handler.seen)
    with within(2):
        found = exchange(wire.address, data + GET)
    assert [a.status for a in found] == [400], "one refusal, and nothing after it is read as a request"
    assert found[0].json["code"] == "bad-request"
    assert found[0].headers["connection"] == "close"
    assert len(wire.handler.seen) == seen
    healthy(wire)


class TestLimits:
    @pytest.mark.parametrize(
        "data",
        [
            b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /x HTTP/1.1\r\nHost: a\r\nCookie: " + b"x" * 2**20 + b"\r\n\r\n",
            b"GET /x HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
            b"GET /x HTTP/1.1\r\nHost: a\r\n" + b"x" * 2**20,
        ],
        ids=["target", "cookie", "count", "endless name"],
    )
    def test_heads(self, wire: Wire, data: bytes) -> None:
        with within(2):
            found = exchange(wire.address, data)
        assert [(a.status, a.json["code"]) for a in found] == [(431, "headers-too-large")]
        healthy(wire)

    def test_announced_bodies_are_refused_before_they_come(self, quick: Wire) -> None:
        with connect(quick.address) as connection:
            connection.sendall(POST + b"Content-Length: 10001\r\n\r\n")
            answer = read_answer(connection.makefile("rb"))
        assert (answer.status, answer.json["details"]) == (413, {"max_body": 10_000})

    def test_the_refusal_reaches_a_peer_that_is_still_sending(self, quick: Wire) -> None:
        found = exchange(quick.address, POST + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        assert [a.status for a in found] == [413]

    def test_chunked_bodies_are_counted(self, quick: Wire) -> None:
        chunk = b"fff\r\n" + b"x" * 4095 + b"\r\n"
        found = exchange(quick.address, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 5)
        assert [a.status for a in found] == [413]

    @pytest.mark.parametrize("chunk", [b"1\r\nx\r\n", b"1;" + b"e" * 500 + b"\r\nx\r\n"], ids=["bytes", "extensions"])
    def test_bodies_in_one_byte_chunks(self, chunk: bytes) -> None:
        data = POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * (3_000_000 // len(chunk))
        with Wire(Limits()) as wire, within(2), connect(wire.address) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
            assert [a.status for a in answers(read_all(connection))] == [400]

    def test_bodies_of_all_peers_together_are_bounded(self) -> None:
        limits = Limits(max_body=60_000, max_held=100_000)
        with Wire(limits) as wire:
            half = POST + b"Content-Length: 60000\r\n\r\n" + b"x" * 55_000
            with connect(wire.address) as first:
                first.sendall(half)
                time.sleep(0.1)
                refused = exchange(wire.address, half)
                assert [(a.status, a.json["code"]) for a in refused] == [(503, "overloaded")]
                first.sendall(b"x" * 5000)
                assert read_answer(first.makefile("rb")).status == 200
                assert [a.status for a in exchange(wire.address, half + b"x" * 5000)] == [200]
            with connect(wire.address) as leaves:
                leaves.sendall(half)
            time.sleep(0.1)
            assert wire.service.held == 0

    def test_connections_beyond_the_cap_are_told(self, quick: Wire) -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(QUICK.max_connections):
                stack.enter_context(connect(quick.address))
            time.sleep(0.1)
            with connect(quick.address) as connection:
                found = answers(read_all(connection))
            assert [(a.status, a.json["code"]) for a in found] == [(503, "overloaded")]
            assert found[0].headers["retry-after"] == "1"
        time.sleep(0.1)
        healthy(quick)

    def test_requests_beyond_the_queue_are_told_at_once(self, quick: Wire) -> None:
        slow = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
        with contextlib.ExitStack() as stack:
            waiting = [stack.enter_context(connect(quick.address)) for _ in range(QUEUE)]
            for connection in waiting:
                connection.sendall(slow)
            time.sleep(0.1)
            with within(0.5):
                refused = exchange(quick.address, slow)
            assert [(a.status, a.headers["retry-after"]) for a in refused] == [(503, "1")]
            healthy(quick)
            quick.handler.release.set()
            for connection in waiting:
                assert read_answer(connection.makefile("rb")).status == 200

    def test_who_leaves_is_waited_for_no_more(self, quick: Wire) -> None:
        with connect(quick.address) as connection:
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.1)
            assert not quick.handler.cancelled
        ends = time.monotonic() + 1.2
        while not quick.handler.cancelled and time.monotonic() < ends:
            time.sleep(0.01)
        assert [request.path for request in quick.handler.cancelled] == ["/slow"]
        quick.handler.release.set()
        healthy(quick)


class TestTimers:
    def test_silent_peers_are_cut(self, quick: Wire) -> None:
        with connect(quick.address) as connection, within(1.5):
            assert read_all(connection) == b""

    def test_idle_peers_are_cut(self, quick: Wire) -> None:
        with connect(quick.address) as connection, within(2.0):
            connection.sendall(GET)
            assert [a.status for a in answers(read_all(connection))] == [200]

    @pytest.mark.parametrize(
        "start", [b"GET /x HTTP/1.1\r\nX: ", POST + b"Content-Length: 9999\r\n\r\n"], ids=["head", "body"]
    )
    def test_dripping_peers_are_cut(self, quick: Wire, start: bytes) -> None:
        with connect(quick.address) as connection, within(2.0):
            connection.sendall(start)
            connection.settimeout(0.1)
            data = b""
            while not data:
                connection.sendall(b"x")
                with contextlib.suppress(TimeoutError):
                    data = connection.recv(65536)
            connection.settimeout(2)
            answer = answers(data + read_all(connection))[0]
        assert (answer.status, answer.json["code"]) == (408, "request-timeout")

    def test_steady_uploads_longer_than_the_time_for_a_body_pass(self) -> None:
        limits = Limits(body_time=0.5, slowest=1000)
        with Wire(limits) as wire, connect(wire.address) as connection:
            connection.sendall(POST + b"Content-Length: 10000\r\n\r\n")
            for _ in range(10):
                connection.sendall(b"x" * 1000)
                time.sleep(0.12)
            assert read_answer(connection.makefile("rb")).status == 200

    def test_peers_that_do_not_read_are_cut(self, quick: Wire) -> None:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(quick.address)
        with connection:
            connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            deadline = time.monotonic() + 3
            while quick.service.connections and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not quick.service.connections

    def test_peers_that_read_steadily_get_everything(self, quick: Wire) -> None:
        with connect(quick.address) as connection:
            connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            received = 0
            while part := connection.recv(2**18):
                received += len(part)
                time.sleep(0.03)
        assert received > 8 * 2**20

    def test_threads_are_not_held_against_a_peer(self, quick: Wire) -> None:
        with connect(quick.address) as connection:
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            threading.Timer(1.5, quick.handler.release.set).start()
            assert read_answer(connection.makefile("rb")).status == 200


class TestStopping:
    def test_requests_in_flight_are_finished_and_told_that_they_are_the_last(self) -> None:
        with Wire(QUICK) as wire, connect(wire.address) as connection:
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.1)
            wire.stop()
            threading.Timer(0.5, wire.handler.release.set).start()
            answer = read_answer(connection.makefile("rb"))
        assert (answer.status, answer.headers["connection"]) == (200, "close")

    def test_idle_connections_are_closed_soon(self) -> None:
        with Wire(QUICK) as wire, connect(wire.address) as connection:
            connection.sendall(GET)
            stream = connection.makefile("rb")
            assert read_answer(stream).status == 200
            wire.stop()
            with within(0.8):
                assert stream.read() == b""

    def test_what_takes_longer_than_the_drain_time_is_cut(self) -> None:
        limits = Limits(drain_time=0.3)
        with Wire(limits) as wire, connect(wire.address) as connection:
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.1)
            wire.stop()
            with within(1.0):
                assert read_all(connection) == b""
            wire.handler.release.set()


def test_a_peer_may_leave_at_any_byte(wire: Wire) -> None:
    data = POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    for length in range(0, len(data), 3):
        with connect(wire.address) as connection:
            connection.sendall(data[:length])
    healthy(wire)
    deadline = time.monotonic() + 3
    while wire.service.connections and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not wire.service.connections


def test_a_late_loop_refuses_what_makes_it_late_and_keeps_the_connection(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(Pulse):
        late = True

    monkeypatch.setattr(wire.service, "pulse", Late(lambda: 0.0, 0.0))
    with connect(wire.address) as connection:
        stream = connection.makefile("rb")
        for path, status in (("model", 503), ("x", 200), ("model", 503)):
            connection.sendall(b"POST /%s HTTP/1.1\r\nContent-Length: 2\r\n" % path.encode() + HOST + b"\r\n{}")
            assert read_answer(stream).status == status
