"""HTTP/1.1 on httptools: one connection's framing, limits and timers.

A peer may be slow, silent, wrong or hostile; whatever it does, it holds one connection for a bounded time and a bounded
number of bytes, and is told what was wrong in the shape that all errors have.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from typing import Literal, Protocol, cast

import httptools

from lepton.core import ErrorCode, LeptonError, ServingError, printable
from lepton.serving.framing import AnswerWriter, has_body, target_path, too_large
from lepton.serving.heads import Head, KnownHeads, Shortcut
from lepton.serving.protocols.base import Request, Response, error_response, internal_error, request_id
from lepton.serving.protocols.streamed import Streamed
from lepton.serving.pulse import Pulse
from lepton.serving.restraint import Restraint
from lepton.serving.streaming import Outlet

__all__ = ["Cancellable", "Connection", "Handler", "HttpService", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer, and all of them together, may take. Times in seconds, sizes in bytes.

    Attributes:
        max_body: body of a request, framing removed.
        max_held: bodies of all peers together, from their first byte until they are answered.
        max_head: request line and headers together.
        max_headers: number of headers.
        head_time: from the first byte of a request (or from connecting) to the end of its headers.
        body_time: for a body, beside what its bytes take at `slowest` bytes a second.
        idle_time: between two requests of a connection.
        write_time: in which a peer that does not read must have taken at least `slowest` bytes a second.
        slowest: bytes a second below which a peer counts as stalled.
        max_connections: open at once.
        max_waiting: requests that wait for one model.
        max_batch: rows that are run at once of what waits for a model.
        max_run: seconds that one run of a model may take.
        max_late: seconds that requests may wait, turn after turn, for the loop that reads them.
        drain_time: for requests in flight when the server stops.
    """

    max_body: int = 64 * 2**20
    max_held: int = 256 * 2**20
    max_head: int = 32 * 2**10
    max_headers: int = 100
    head_time: float = 10.0
    body_time: float = 10.0
    idle_time: float = 60.0
    write_time: float = 10.0
    slowest: int = 16 * 2**10
    max_connections: int = 1024
    max_waiting: int = 64
    max_batch: int = 32
    max_run: float = 60.0
    max_late: float = 0.04
    drain_time: float = 10.0


class Cancellable(Protocol):
    """A request under way."""

    def cancel(self) -> None:
        """The peer is gone: nobody waits for the answer any more."""


class Handler(Protocol):
    """What answers the requests of a transport."""

    def admit(self, head: Request) -> None:
        """Raise `LeptonError` for a request that is refused whatever its body is."""

    def admit_again(self, head: Request) -> None:
        """The same for one whose head is, byte for byte, one that was admitted before."""

    def shortcut(self, request: Request) -> Shortcut | None:
        """What may answer requests with the head of one that was admitted in fewer steps."""

    def runs_inline(self, request: Request) -> bool:
        """Whether `handle` is quick enough for the event loop."""

    def handle(self, request: Request) -> Response:
        """The response; never raises."""

    def refuses(self, request: Request) -> Response | None:
        """The response while the loop is late, if this request is one of those that make it so."""

    def begin(self, request: Request, done: Callable[[Response], None]) -> Response | Cancellable:
        """Begin to answer: the response if it is known at once; else `done` takes it, on the loop."""

    def finished(self, request: Request, response: Response, seconds: float) -> None:
        """Called when the response is sent."""


class HttpService:
    """What the connections of one listening address share."""

    def __init__(self, handler: Handler, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.handler = handler
        self.limits = limits
        self.loop = loop
        self.pulse = Pulse(loop.time, limits.max_late)
        self.restraint = Restraint(loop)
        self.connections: set[Connection] = set()
        self.heads = KnownHeads()
        self.held = 0
        self.most_held = max(limits.max_held, limits.max_body)
        self.draining = False
        self.answers = AnswerWriter()
        self._ticking = loop.call_soon(self._tick)

    def connect(self) -> Connection:
        """The protocol of a new connection."""
        return Connection(self)

    def _tick(self) -> None:
        self.answers.tell_time(formatdate(usegmt=True))
        now = self.loop.time()
        for connection in tuple(self.connections):
            connection.check_time(now)
        self._ticking = self.loop.call_later(0.25, self._tick)

    async def drain(self) -> None:
        """Finish the requests in flight, then close every connection.

        Connections stay open a moment longer for requests that are on their way; each answer says that it is the last.
        """
        self.draining = True
        ends = self.loop.time() + self.limits.drain_time
        grace = self.loop.time() + min(0.25, self.limits.drain_time)
        while self.connections and (now := self.loop.time()) < ends:
            if now >= grace:
                for connection in tuple(self.connections):
                    connection.close_if_idle()
            await asyncio.sleep(0.01)
        self._ticking.cancel()
        for connection in tuple(self.connections):
            connection.abort()
        await asyncio.sleep(0.01)  # in which the loop closes their sockets


_LINGER = 1.0
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_PROBES = 2  # the first finds out, the second is told
_FRAMING_ALLOWANCE = 64 * 2**10
_FRAMING_FACTOR = 4
_SINGLE = frozenset({"host", "content-length", "content-type", "transfer-encoding", "authorization", "origin"})


@dataclass(slots=True)
class _Turn:
    """One request that waits for its answer, or a refusal of what was no request."""

    request: Request
    keep_alive: bool = False
    version: str = "1.1"
    refusal: LeptonError | None = None
    held: int = 0  # bytes of its body that count as held


class Connection(asyncio.Protocol):
    """One peer. Requests may be pipelined; they are answered one after the other."""

    def __init__(self, service: HttpService) -> None:
        self._service = service
        self._limits = service.limits
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._client = ""
        self._queue: deque[_Turn] = deque()
        self._busy = False  # a thread works for this peer
        self._under_way: Cancellable | None = None
        self._outlet: Outlet | None = None  # while an answer goes out part by part
        self._full = False  # the peer reads more slowly than it is answered
        self._deaf = False  # nothing more is read: the last answer is on its way
        self._ended = False  # the peer sends no more
        self._probes = 0
        self._paused = False
        self._deadline = 0.0
        self._held = 0
        self._written = 0
        self._stalled: tuple[float, int] | None = None
        self._message = 0
        self._begin_message("idle")

    def _begin_message(self, reading: Literal["idle", "head"]) -> None:
        self._reading: Literal["idle", "head", "body"] = reading
        self._url = b""
        self._headers: dict[str, str] = {}
        self._num_headers = 0
        self._head_size = 0
        self._body: list[bytes] = []
        self._body_size = 0
        self._framed_size = 0
        self._body_started = 0.0
        self._expects = False
        self._turn = _Turn(Request("-", "-", client=self._client))

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer connected."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if isinstance(peer, tuple) else "local"
        self._turn.request.client = self._client
        self._deadline = self._service.loop.time() + self._limits.head_time
        self._service.connections.add(self)
        if len(self._service.connections) > self._limits.max_connections:
            self._refuse(ServingError(ErrorCode.OVERLOADED, "the server has as many connections as it takes"))
            self._pump()
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        self._service.connections.discard(self)
        self._transport = None
        self._queue.clear()
        if self._under_way is not None:
            self._under_way.cancel()
        self._hold(-self._held)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._deaf:
            return
        service = self._service
        service.pulse.beat()
        first = self._reading == "idle"
        if first:
            known = service.heads.find(data)
            if known is not None:
                self._take_up(*known, data)
                return
            self._reading = "head"
            self._deadline = service.loop.time() + self._limits.head_time
        before = (self._message, self._reading)
        try:
            self._parser.feed_data(data)
            if before == (self._message, self._reading):
                self._check_framing(len(data))
            elif first and self._reading == "idle" and self._message == before[0] + 1:
                self._learn(data, self._queue[-1])
        except LeptonError as error:
            self._refuse(error)
        except httptools.HttpParserUpgrade:
            # The request is answered in HTTP/1.1; whatever follows it is in another protocol.
            if self._queue:
                self._queue[-1].keep_alive = False
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, LeptonError) else internal_error())
        except httptools.HttpParserError as error:
            self._refuse(ServingError(ErrorCode.BAD_REQUEST, f"this is not HTTP/1.1: {printable(str(error))}"))
        self._pump()

    def _take_up(self, head: Head, length: int, given: str, data: bytes) -> None:
        """Take up a request whose head came before, but for its id; the parser, between two messages, is not asked."""
        service = self._service
        headers = {**head.headers, "x-request-id": given} if given else head.headers
        request = Request(head.method, head.path, headers, b"", given or request_id(None), self._client)
        request.match, request.allowance = head.match, head.allowance
        turn = _Turn(request, head.keep_alive, head.version)
        self._message += 1
        self._deadline = service.loop.time() + self._limits.idle_time
        try:
            service.handler.admit_again(request)
            if service.held + head.size > service.most_held:
                raise _too_much_held()
        except LeptonError as error:
            turn.refusal = error
        waits = self._queue or self._busy or self._full
        if not waits and head.shortcut is not None and turn.refusal is None and not service.pulse.late:
            started = time.monotonic()
            response = head.shortcut.answer(request, data, length)
            if response is not None:
                self._send(turn, response, started)  # as mostly, and then nothing waits
                return
        request.body = data[length:]
        if waits:
            self._hold_body(turn)
            self._queue.append(turn)
            self._pump()
        else:
            self._answer(turn)

    def _learn(self, data: bytes, turn: _Turn) -> None:
        if turn.refusal is None:
            service, request = self._service, turn.request
            shortcut = service.handler.shortcut(request)
            service.heads.learn(data, request, turn.version, keep_alive=turn.keep_alive, shortcut=shortcut)

    def _admit(self, turn: _Turn, *, has_body: bool) -> None:
        try:
            self._service.handler.admit(turn.request)
        except LeptonError as error:
            if has_body and error.code is not ErrorCode.RATE_LIMITED:  # who is asked to wait keeps its connection
                raise
            turn.refusal = error

    def eof_received(self) -> bool:
        """The peer sends no more; what it asked for before is still answered."""
        self._ended = True
        # With TLS, one side alone cannot close.
        half_open = self._transport is not None and self._transport.can_write_eof()
        return half_open and (self._busy or bool(self._queue))

    def pause_writing(self) -> None:
        """The peer reads more slowly than it is answered."""
        self._full = True

    def resume_writing(self) -> None:
        """The peer has read."""
        self._full = False
        if self._outlet is not None:
            self._outlet.resume()
        self._pump()

    # What httptools calls

    def on_message_begin(self) -> None:
        """A request begins."""
        self._message += 1
        self._begin_message("head")
        self._deadline = self._service.loop.time() + self._limits.head_time

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer, which counts and is dropped."""
        self._count_head(len(name) + len(value) + 4)
        self._num_headers += 1
        if self._num_headers > self._limits.max_headers:
            raise ServingError(
                ErrorCode.HEADERS_TOO_LARGE, "too many headers", wanted=f"at most {self._limits.max_headers}"
            )
        if self._reading == "body":
            return
        key = name.decode("ascii").lower()
        text = value.decode("latin-1")
        if key not in self._headers:
            self._headers[key] = text
        elif key in _SINGLE:
            raise ServingError(ErrorCode.BAD_REQUEST, f"the header {key} stands twice")
        else:
            self._headers[key] += ", " + text

    def on_headers_complete(self) -> None:
        """The head is there: refuse what can be refused without the body."""
        version = self._parser.get_http_version()
        headers = self._headers
        request = self._turn.request
        request.method = self._parser.get_method().decode("ascii")
        request.headers = headers
        request.id = request_id(headers.get("x-request-id"))
        if version not in {"1.0", "1.1"}:
            raise ServingError(ErrorCode.BAD_REQUEST, f"this is HTTP/{version}", wanted="HTTP/1.1")
        self._turn.version = version
        request.path = target_path(self._url, headers, version)
        follows = has_body(headers, version, self._limits.max_body)
        self._reading = "body"
        self._body_started = self._service.loop.time()
        self._deadline = self._body_started + self._limits.body_time
        self._admit(self._turn, has_body=follows)
        expect = headers.get("expect")
        if expect is not None and expect.lower() != "100-continue":
            raise ServingError(ErrorCode.BAD_REQUEST, f"the request expects {printable(expect, 40)!r}")
        self._expects = expect is not None and follows and version == "1.1"

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self._expects = False
        self._body_size += len(data)
        if self._body_size > self._limits.max_body:
            raise too_large(f"more than {self._limits.max_body} bytes", self._limits.max_body)
        self._body.append(data)
        self._hold(len(data))
        self._deadline = self._body_started + self._limits.body_time + self._body_size / self._limits.slowest

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._turn.request.body = b"".join(self._body)
        self._turn.held = self._body_size
        self._turn.keep_alive = self._parser.should_keep_alive()
        self._queue.append(self._turn)
        self._begin_message("idle")
        self._deadline = self._service.loop.time() + self._limits.idle_time

    # Limits

    def _hold(self, size: int) -> None:
        """Count what this peer's bodies take of the memory that all share."""
        self._held += size
        self._service.held += size
        if size > 0 and self._service.held > self._service.most_held:
            raise _too_much_held()

    def _hold_body(self, turn: _Turn) -> None:
        """Count the body of a request that cannot be answered at once."""
        turn.held = len(turn.request.body)
        self._held += turn.held
        self._service.held += turn.held

    def _count_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > self._limits.max_head:
            raise ServingError(
                ErrorCode.HEADERS_TOO_LARGE,
                "the request's target and headers are too long",
                wanted=f"at most {self._limits.max_head} bytes",
            )

    def _check_framing(self, size: int) -> None:
        """Bound what the parser swallows without a callback: half a header, chunk sizes and their extensions."""
        if self._reading == "head":
            self._count_head(size)
        elif self._reading == "body":
            self._framed_size += size
            if self._framed_size > _FRAMING_ALLOWANCE + _FRAMING_FACTOR * self._body_size:
                raise ServingError(
                    ErrorCode.BAD_REQUEST, "the body comes in wastefully small chunks", wanted="larger chunks"
                )

    def check_time(self, now: float) -> None:
        """Cut the peer off if it has been slow or silent for too long."""
        transport = self._transport
        if transport is None:
            return
        if self._ended and self._under_way is not None and self._probes < _PROBES:
            # Whether it only sends no more, or is gone, is seen by writing to it: what every client must pass over.
            self._probes += 1
            self._write(_CONTINUE if self._outlet is None else self._outlet.probe())
            return
        if left := transport.get_write_buffer_size():
            self._check_reader(transport, now, self._written - left)
            return
        self._stalled = None
        if self._busy or self._queue or now < self._deadline:
            return
        if self._deaf or self._reading == "idle" or self._message == 0:
            transport.close()
            return
        self._refuse(
            ServingError(
                ErrorCode.REQUEST_TIMEOUT, f"the request's {self._reading} did not arrive in time", fix="send it faster"
            )
        )
        self._pump()

    def _check_reader(self, transport: asyncio.Transport, now: float, taken: int) -> None:
        if self._stalled is None:
            self._stalled = (now, taken)
        elif now - self._stalled[0] >= self._limits.write_time:
            if taken - self._stalled[1] < self._limits.slowest * self._limits.write_time:
                transport.abort()
            self._stalled = (now, taken)

    # Answers

    def _refuse(self, error: LeptonError) -> None:
        self._turn.refusal = error
        self._turn.keep_alive = False
        self._turn.request.id = self._turn.request.id or request_id(None)
        self._queue.append(self._turn)
        self._hold(-self._body_size)
        self._body, self._body_size = [], 0
        self._deaf = True

    def _pump(self) -> None:
        """Answer what waits, as far as the thread and the peer's reading allow."""
        while self._queue and not self._busy and not self._full and self._transport is not None:
            self._answer(self._queue.popleft())
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        waits = bool(self._queue)
        if waits != self._paused:
            self._paused = waits
            if waits:
                transport.pause_reading()
            else:
                transport.resume_reading()
        if self._expects and not waits and not self._busy:
            self._expects = False
            self._written += len(_CONTINUE)
            transport.write(_CONTINUE)
        if self._ended and not waits and not self._busy:
            transport.close()

    def _answer(self, turn: _Turn) -> None:
        service, request = self._service, turn.request
        started = time.monotonic()
        if turn.refusal is not None:
            self._send(turn, error_response(turn.refusal), started)
        elif service.pulse.late and (refusal := service.handler.refuses(request)) is not None:
            self._send_refusal(turn, refusal, started)
        elif service.handler.runs_inline(request):
            self._send(turn, service.handler.handle(request), started)
        else:
            found = service.handler.begin(request, partial(self._answered, turn, started))
            if isinstance(found, Response):
                self._send_refusal(turn, found, started)
            else:
                self._busy, self._under_way = True, found
                if not turn.held:
                    self._hold_body(turn)

    def _send_refusal(self, turn: _Turn, response: Response, started: float) -> None:
        if self._service.restraint.keeps(partial(self._answered, turn, started, response)):
            self._busy = True
            if not turn.held:
                self._hold_body(turn)
        else:
            self._send(turn, response, started)

    def _answered(self, turn: _Turn, started: float, response: Response) -> None:
        self._busy, self._under_way = False, None
        if response.stream is not None:
            self._stream(turn, response, response.stream, started)
        elif self._transport is not None:
            self._send(turn, response, started)
            self._pump()

    def _stream(self, turn: _Turn, response: Response, stream: Streamed, started: float) -> None:
        """Send an answer whose parts come one after the other; the connection is busy until the last of them."""
        if self._transport is None:
            stream.cancel()
            return
        service, chunked = self._service, turn.version != "1.0"
        turn.keep_alive = turn.keep_alive and chunked and not service.draining
        self._write(
            service.answers.written(response, turn.request.id, keep_alive=turn.keep_alive, version=turn.version)
        )
        ended = partial(self._streamed, turn, response, stream, started)
        self._busy, self._probes = True, 0
        self._under_way = self._outlet = Outlet(stream, self._write, ended, chunked=chunked)
        stream.start(self._outlet)

    def _streamed(self, turn: _Turn, response: Response, stream: Streamed, started: float) -> None:
        """All parts of an answer are sent."""
        self._busy, self._under_way, self._outlet = False, None, None
        self._hold(-turn.held)
        turn.held = 0
        now = self._service.pulse.ended = time.monotonic()
        self._service.handler.finished(turn.request, response._replace(code=stream.code), now - started)
        if not turn.keep_alive:
            self._end_after(turn)
        self._pump()

    def _write(self, data: bytes) -> bool:
        """Send bytes; whether the peer reads as fast as they come."""
        self._written += len(data)
        if self._transport is not None:
            self._transport.write(data)
        return not self._full

    def _send(self, turn: _Turn, response: Response, started: float) -> None:
        transport = self._transport
        if transport is None:
            return
        service, request = self._service, turn.request
        keep_alive = turn.keep_alive and not service.draining
        data = service.answers.written(
            response, request.id, keep_alive=keep_alive, version=turn.version, head=request.method == "HEAD"
        )
        self._written += len(data)
        transport.write(data)
        if turn.held:
            self._hold(-turn.held)
            turn.held = 0
        now = service.pulse.ended = time.monotonic()
        service.handler.finished(request, response, now - started)
        if not keep_alive:
            self._end_after(turn)

    def _end_after(self, turn: _Turn) -> None:
        """Let the peer close, as the answer to this was the last."""
        transport = self._transport
        self._queue.clear()
        self._deaf = True
        # Closing with bytes unread would reset the connection, and the peer could lose the answer: let it close first.
        self._deadline = self._service.loop.time() + _LINGER
        if transport is None:
            return
        if not self._ended and transport.can_write_eof():
            transport.write_eof()
        elif turn.refusal is None:
            transport.close()

    def close_if_idle(self) -> None:
        """Close unless a request is on its way in or out."""
        if self._transport is not None and self._reading == "idle" and not self._busy and not self._queue:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()


def _too_much_held() -> ServingError:
    return ServingError(ErrorCode.OVERLOADED, "the bodies of all requests together are too large", fix="try again")
