"""gRPC beside HTTP: the calls of the Open Inference Protocol as requests of the one application, on the same loop.

A call becomes the request that it would be over HTTP, with the message in place of a body, so that models, queues,
batches, tokens and errors are the same; and what is answered becomes a message, or a status with the error's code.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import starmap
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from lepton.core import ErrorCode, LeptonError, MissingExtraError, ServingError, printable
from lepton.serving.grpc_calls import CALLS, STREAM, GrpcCall
from lepton.serving.http import Cancellable, Handler, Limits
from lepton.serving.http2.compression import ENCODINGS, Unpacking
from lepton.serving.http2.connection import Connection
from lepton.serving.http2.hpack import literal
from lepton.serving.http2.stream import Stream
from lepton.serving.protocols.base import Request, Response, error_response, internal_error, request_id
from lepton.serving.protocols.messages import SERVICE, message_class
from lepton.serving.protocols.protobuf import Repeated, text_of, varint
from lepton.serving.pulse import Pulse

__all__ = ["ERROR_CODE", "STATUSES", "GrpcService", "status_of"]

ERROR_CODE = "lepton-code"
"""The trailing metadata that holds the code of an error."""

STATUSES: Mapping[int, str] = MappingProxyType(
    {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        405: "UNIMPLEMENTED",
        408: "DEADLINE_EXCEEDED",
        409: "ABORTED",
        413: "RESOURCE_EXHAUSTED",
        415: "INVALID_ARGUMENT",
        422: "INVALID_ARGUMENT",
        429: "RESOURCE_EXHAUSTED",
        431: "RESOURCE_EXHAUSTED",
        499: "CANCELLED",
        500: "INTERNAL",
        501: "UNIMPLEMENTED",
        502: "UNAVAILABLE",
        503: "UNAVAILABLE",
        504: "DEADLINE_EXCEEDED",
        507: "RESOURCE_EXHAUSTED",
    }
)
"""The name of a status in gRPC for each status of HTTP in the catalogue."""

_logger = logging.getLogger("lepton.serving")
_MAX_SAID = 2000  # what peers take of a message is bounded, as their metadata are
_KEPT = 64
_UNPACKERS = 2
_TICK = 0.25
_SILENT = 600.0  # seconds between two messages of a stream
_PREFIX = f"/{SERVICE}/"
_PREFIX_SIZE = 5  # of a message: whether it is compressed, and its length
_IN_STREAM = b"\x12"  # the field infer_response of ModelStreamInferResponse
_CONTENT_TYPES = frozenset({"application/grpc", "application/grpc+proto"})
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])", re.ASCII)
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if code != ord("%"))
_NAMES = (
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED"
    " RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS"
    " UNAUTHENTICATED"
)
_NUMBERS = {name: number for number, name in enumerate(_NAMES.split())}


def status_of(http_status: int) -> str:
    """The name in gRPC of a status of HTTP; what is not in the table is an error of ours."""
    return STATUSES.get(http_status, "INTERNAL")


@dataclass(frozen=True, slots=True)
class _Head:
    """What the headers of a call say; callers send the same again and again.

    Attributes:
        call: which one; None for what is none.
        headers: that are metadata.
        timeout: seconds that the caller waits.
        refusal: headers that answer it whatever follows.
        encoding: how messages are compressed that say they are.
    """

    call: GrpcCall | None
    headers: Mapping[str, str]
    timeout: float | None
    refusal: bytes = b""
    encoding: str = "identity"


@dataclass(slots=True)
class _Served:
    """A call that is on a stream.

    Attributes:
        head: of the call.
        call: which one it is.
        request: that its message, or the next one, is for; None once that was taken up.
        held: octets of its messages that count among those of all.
        under_way: what answers the message that was taken up.
        taken: octets of that message.
        answers: whether the headers of the answer are sent.
        packed: whether the message that was taken last is compressed.
    """

    head: _Head
    call: GrpcCall
    request: Request | None
    held: int = 0
    under_way: Cancellable | None = None
    taken: int = 0
    answers: bool = False
    packed: bool = False


class _InThread:
    """A message that a thread unpacks."""

    def cancel(self) -> None:
        """Let it end: it is soon done."""


class GrpcService:
    """The calls of one listening address.

    Args:
        handler: what answers requests, as of HTTP.
        limits: as of HTTP.
        loop: on which it runs.
        pulse: of the loop, which HTTP beats too.

    Attributes:
        connections: that are open.
        draining: whether it takes no more calls.

    Raises:
        MissingExtraError: protobuf is not installed.
    """

    def __init__(self, handler: Handler, limits: Limits, loop: asyncio.AbstractEventLoop, pulse: Pulse) -> None:
        try:
            from google.protobuf.message import DecodeError
        except ImportError:
            raise MissingExtraError("protobuf", "grpc", "serving over gRPC") from None
        self._undecodable = DecodeError
        self._handler = handler
        self.limits = limits
        self.loop = loop
        self.pulse = pulse
        self.connections: set[Connection] = set()
        self.draining = False
        self._calls = 0
        self._held = 0
        self._paths: dict[bytes, str] = {}  # of requests to infer, by their messages without the bytes of the tensor
        self._sizes: dict[int, int] = {}  # of these bytes, by the size of the message
        self._unpackers = ThreadPoolExecutor(_UNPACKERS, "lepton-unpack")  # few: each may hold a whole message
        self._ticking = loop.call_soon(self._tick)

    def connect(self) -> Connection:
        """The protocol of a new connection."""
        return Connection(self)

    async def drain(self) -> None:
        """Take no more calls, finish those in flight, then close every connection."""
        self.draining = True
        ends = self.loop.time() + self.limits.drain_time
        for connection in tuple(self.connections):
            connection.leave()
        while self.connections and self.loop.time() < ends:
            await asyncio.sleep(0.01)
        self._ticking.cancel()
        for connection in tuple(self.connections):
            connection.abort()
        self._unpackers.shutdown(wait=False, cancel_futures=True)
        await asyncio.sleep(0.01)  # in which the loop closes their sockets

    def _tick(self) -> None:
        now = self.loop.time()
        for connection in tuple(self.connections):
            connection.check_time(now)
        self._ticking = self.loop.call_later(_TICK, self._tick)

    # What connections call

    def understood(self, headers: Mapping[str, str] | None) -> _Head:
        """What the headers of a call say; None are more than may be."""
        if headers is None:
            said = f"the metadata are too large; wanted: at most {self.limits.max_head} bytes"
            return _Head(None, {}, None, _status("RESOURCE_EXHAUSTED", said))
        essence = headers.get("content-type", "").partition(";")[0]
        if headers.get(":method") != "POST" or essence not in _CONTENT_TYPES:
            return _Head(None, {}, None, _NO_CALL)
        call = CALLS.get(headers.get(":path", "").removeprefix(_PREFIX))
        if call is None:
            return _Head(None, {}, None, _status("UNIMPLEMENTED", f"there is no such call; wanted: one of {SERVICE}"))
        encoding = headers.get("grpc-encoding", "identity")
        if encoding not in ENCODINGS:
            return _Head(None, {}, None, _COMPRESSED)
        # Metadata of bytes mean nothing to us.
        kept = {name: text for name, text in headers.items() if name[:1] != ":" and not name.endswith("-bin")}
        return _Head(call, kept, _seconds(headers.get("grpc-timeout")), encoding=encoding)

    def opened(self, stream: Stream, head: _Head) -> None:
        """A call begins; what can be refused without its message is."""
        self._calls += 1
        call = head.call
        if call is None:
            stream.connection.end(stream, head.refusal)
            return
        request = _request(call, head, stream)
        stream.call = _Served(head, call, request)
        try:
            if self._calls > self.limits.max_connections:
                raise ServingError(ErrorCode.OVERLOADED, "the server has as many calls as it takes", fix="try again")
            self._handler.admit(request)
        except LeptonError as error:
            self._end(stream, request, self._refused(request, error))
            return
        if stream.ended:
            self.came(stream)

    def came(self, stream: Stream) -> None:
        """Data of a call came, or its end: take up the next message if it is there."""
        served = stream.call
        try:
            self._hold(served, len(stream.received) + served.taken)
            while served.under_way is None and not stream.answered:
                raw = self._next(stream)
                if raw is None:
                    stream.connection.consumed(stream)
                    return
                if served.packed and (raw := self._unpacked(stream, raw)) is None:
                    return
                self._take(stream, raw)
        except LeptonError as error:  # after which no more of the call can be read
            self._break_off(stream, error)

    def _break_off(self, stream: Stream, error: LeptonError) -> None:
        served = stream.call
        request = served.request or _request(served.call, served.head, stream)
        self._end(stream, request, self._refused(request, error))

    def _unpacked(self, stream: Stream, raw: bytes) -> bytes | None:
        """A message as it was before it was compressed; None where a thread finds that out first."""
        served = stream.call
        unpacking = Unpacking(served.head.encoding, raw, self.limits.max_body)
        whole = unpacking.begin()
        if whole is not None:
            return whole
        work = served.under_way = _InThread()
        served.taken = len(raw)

        def ended(future: asyncio.Future[bytes]) -> None:
            if served.under_way is not work:
                return  # the caller is gone
            served.under_way, served.taken = None, 0
            try:
                message = future.result()
                self._hold(served, len(stream.received) + len(message))
                self._take(stream, message)
            except LeptonError as error:
                self._break_off(stream, error)
            else:
                self.came(stream)

        self.loop.run_in_executor(self._unpackers, unpacking.rest).add_done_callback(ended)
        return None

    def late(self, stream: Stream, now: float) -> None:
        """End a call whose message is overdue."""
        served, limits = stream.call, self.limits
        if served.under_way is not None:
            return
        # The first message must come, and any that has begun; between those of a stream there may be a pause.
        begun = stream.received or served.request is not None
        time_left = limits.body_time + len(stream.received) / limits.slowest if begun else _SILENT
        if now < stream.began + time_left:
            return
        error = ServingError(
            ErrorCode.REQUEST_TIMEOUT, "the call's message did not arrive in time", fix="send it faster"
        )
        self._break_off(stream, error)

    def gone(self, stream: Stream) -> None:
        """Nobody waits for the answer any more."""
        self._calls -= 1
        served = stream.call
        if served is not None:
            self._hold(served, 0)
            if served.under_way is not None:
                under_way, served.under_way = served.under_way, None
                under_way.cancel()

    # Messages

    def _hold(self, served: _Served, size: int) -> None:
        """Count what a call's messages take of the memory that all share."""
        more = size - served.held
        if not more:
            return
        served.held = size
        self._held += more
        if more > 0 and self._held > max(self.limits.max_held, self.limits.max_body):
            raise ServingError(ErrorCode.OVERLOADED, "the messages of all calls are too large", fix="try again")

    def _next(self, stream: Stream) -> bytes | None:
        """The next message of a call; None where the rest of it, or the end of the call, has not come."""
        received, streams = stream.received, stream.call.call is STREAM
        size = int.from_bytes(received[1:_PREFIX_SIZE], "big")
        if size > self.limits.max_body:
            raise ServingError(
                ErrorCode.TOO_LARGE, f"the message has {size} bytes", wanted=f"at most {self.limits.max_body}"
            )
        end = _PREFIX_SIZE + size
        complete = len(received) >= max(end, _PREFIX_SIZE)
        if complete and received[0]:
            if received[0] != 1 or stream.call.head.encoding == "identity":
                raise ServingError(
                    ErrorCode.BAD_REQUEST, "the message is compressed, and no header says how", wanted="grpc-encoding"
                )
            stream.call.packed = True
        elif complete:
            stream.call.packed = False
        if streams:
            if complete:
                stream.received = received[end:]
                return bytes(received[_PREFIX_SIZE:end])
            if stream.ended and not received:
                stream.connection.send(stream, b"", _OK)
                return None
        elif complete and len(received) > end:
            raise ServingError(ErrorCode.BAD_REQUEST, "the call has more than one message", wanted="one")
        if not stream.ended:
            return None
        if not complete:
            raise ServingError(ErrorCode.BAD_REQUEST, "the call ends without a whole message", wanted="one")
        stream.received = b""
        return bytes(received[_PREFIX_SIZE:])

    def _take(self, stream: Stream, raw: bytes) -> None:
        """Answer a message, or begin to."""
        served = stream.call
        request = served.request
        served.request = None
        if request is None:
            request = _request(served.call, served.head, stream)
            try:
                self._handler.admit(request)
            except LeptonError as error:
                self._answer(stream, request, self._refused(request, error))
                return
        response = self._take_up(stream, request, raw)
        if response is not None:
            self._answer(stream, request, response)

    def _take_up(self, stream: Stream, request: Request, raw: bytes) -> Response | None:
        """The response to a message; None where it comes later. Never raises."""
        started = time.monotonic()
        handler, pulse, served = self._handler, self.pulse, stream.call
        call = served.call
        try:
            if call.fields is None:
                self._read_infer(call, request, raw)
            else:
                request.message = message = self._decoded(call, raw)
                request.path = call.path(message)
                if call.body is not None:
                    request.body = json.dumps(call.body(message)).encode()
            request.match = None
            response = handler.refuses(request) if pulse.late else None
            if response is None:
                if not handler.runs_inline(request):
                    found = handler.begin(request, partial(self._answered, stream, request, started))
                    if not isinstance(found, Response):
                        served.under_way, served.taken = found, len(raw)
                        return None
                    response = found
                else:
                    response = handler.handle(request)
        except LeptonError as error:
            response = error_response(error)
        except Exception:
            _logger.exception("call %s failed: %s", request.id, printable(request.path))
            response = error_response(internal_error())
        pulse.ended = time.monotonic()
        handler.finished(request, response, pulse.ended - started)
        return response

    def _answered(self, stream: Stream, request: Request, started: float, response: Response) -> None:
        """The response to a message that was under way, on the loop."""
        served = stream.call
        if served.under_way is None:
            return  # the caller is gone
        served.under_way, served.taken = None, 0
        self.pulse.ended = time.monotonic()
        self._handler.finished(request, response, self.pulse.ended - started)
        self._answer(stream, request, response)
        self.came(stream)

    def _read_infer(self, call: GrpcCall, request: Request, raw: bytes) -> None:
        """Where a message is for, and itself; one that begins as another did is not taken apart again."""
        request.body = raw
        text = raw[: len(raw) - self._sizes.get(len(raw), 0)]
        path = self._paths.get(text)
        if path is not None:
            request.message, request.path = Repeated(text), path
            return
        request.message = message = self._decoded(call, raw)
        request.path = call.path(message)
        known = text_of(raw, message)
        if known is not None:
            if len(self._paths) >= _KEPT or len(self._sizes) >= _KEPT:
                self._paths.clear()
                self._sizes.clear()
            self._sizes[len(raw)] = len(raw) - len(known)
            self._paths[known] = request.path

    def _decoded(self, call: GrpcCall, raw: bytes) -> Any:
        try:
            return message_class(call.asks).FromString(raw)
        except self._undecodable:
            raise ServingError(
                ErrorCode.BAD_REQUEST, f"the message is no {call.asks}", wanted="one in protobuf, its texts in UTF-8"
            ) from None

    # Answers

    def _refused(self, request: Request, error: LeptonError) -> Response:
        response = error_response(error)
        self._handler.finished(request, response, 0.0)
        return response

    def _answer(self, stream: Stream, request: Request, response: Response) -> None:
        """Answer one message: with it ends a call, but for a stream of messages, in which an error is said too."""
        served = stream.call
        if served.call is not STREAM:
            self._end(stream, request, response)
            return
        stream.began = self.loop.time()
        answer = _converted(served.call, response)
        if isinstance(answer, bytes):
            data = _IN_STREAM + varint(len(answer)) + answer
        else:
            data = message_class("ModelStreamInferResponse")(
                error_message=answer["error"][:_MAX_SAID]
            ).SerializeToString()
        self._send(stream, data)

    def _end(self, stream: Stream, request: Request, response: Response) -> None:
        """End a call with a response."""
        answer = _converted(stream.call.call, response)
        behind = literal("x-request-id", request.id) + b"".join(starmap(literal, response.headers))
        if isinstance(answer, bytes):
            self._send(stream, answer, _OK + behind)
            return
        status = status_of(response.status)
        said = _status(status, answer["error"][:_MAX_SAID], headers=not stream.call.answers)
        stream.connection.end(stream, said + behind + literal(ERROR_CODE, answer["code"]))

    @staticmethod
    def _send(stream: Stream, data: bytes, trailers: bytes = b"") -> None:
        if not stream.call.answers:
            stream.call.answers = True
            stream.connection.begin_answer(stream, _HEADERS)
        stream.connection.send(stream, b"\0" + len(data).to_bytes(4, "big") + data, trailers)


def _converted(call: GrpcCall, response: Response) -> bytes | dict[str, Any]:
    """The message of an answer, or what is said of an error."""
    if call.fields is None:
        if response.status == 200:
            return response.body
        value = json.loads(response.body)
    else:
        value = json.loads(response.body)
        if response.status == 200 or (call.answers.endswith("ReadyResponse") and response.status == 503):
            out = message_class(call.answers)(**call.fields(response.status, value))
            return bytes(out.SerializeToString())
    return dict(value)


def _request(call: GrpcCall, head: _Head, stream: Stream) -> Request:
    """A request of which nothing is there yet but what it came with; the rules of its route hold already."""
    identifier = request_id(head.headers.get("x-request-id"))
    client = stream.connection.client
    return Request(call.method, call.route, head.headers, b"", identifier, client, call.asks, head.timeout)


def _seconds(timeout: str | None) -> float | None:
    """What `grpc-timeout` says, such as `20S` or `1500m`; what is none sets no limit, as in other servers."""
    found = _TIMEOUT.fullmatch(timeout or "")
    return None if found is None else int(found[1]) * _UNITS[found[2]]


def _status(name: str, said: str, *, headers: bool = True) -> bytes:
    """The headers that end a call with a status; the first headers are among them, where none were sent before."""
    block = literal("grpc-status", str(_NUMBERS[name])) + literal("grpc-message", quote(said, safe=_PLAIN))
    return _HEADERS + block if headers else block


_HEADERS = literal(":status", "200") + literal("content-type", "application/grpc")
_OK = literal("grpc-status", "0")
_NO_CALL = literal(":status", "415")  # for what does not speak gRPC, it has no status
_COMPRESSED = _status("UNIMPLEMENTED", "messages are taken in gzip, deflate or as they are") + literal(
    "grpc-accept-encoding", ",".join(ENCODINGS)
)
