"""One connection of HTTP/2: frames, windows and timers, for a service that answers its streams.

Whatever a peer does, it holds a bounded number of streams and octets, for a bounded time. What is wrong with the
connection as a whole ends it with the reason (GOAWAY); what is wrong with one stream ends that one.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Any, cast

from lepton.serving.http2.checks import Broken, as_mapping, check_length, unpadded
from lepton.serving.http2.frames import (
    ACK,
    CANCEL,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEAD,
    HEADERS,
    NO_ERROR,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_FLAG,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    frame,
    number_frame,
)
from lepton.serving.http2.hpack import Decoder, HpackError
from lepton.serving.http2.service import Service
from lepton.serving.http2.stream import Stream

__all__ = ["Connection"]

_WINDOW, _STREAM_WINDOW = 8 * 2**20, 2**20
_PARKED = (
    8 * 2**20
)  # octets that unfinished messages of a connection may have, beyond their first windows and the oldest
_MAX_WINDOW = 2**31 - 1
_FIRST_WINDOW = 65_535
_LEAST_FRAME, _LARGEST_FRAME = 2**14, 2**24 - 1
_MAX_STREAMS = 256
_AT_ONCE = 256 * 2**10  # octets of answers that are gathered before they are written
_PING_SECONDS = 30.0
_LINGER = 1.0
_RESTLESS = 1000  # frames that bring nothing on, beyond those that time and answered calls make up for
_FORGIVEN, _FORGIVEN_A_CALL = 25, 5
_ENABLE_PUSH, _STREAMS, _INITIAL_WINDOW, _FRAME_SIZE, _LIST_SIZE = range(2, 7)
_SETTING = struct.Struct(">HI")
_KNOWN = 64  # blocks of headers of one connection whose meaning is kept


class Connection(asyncio.Protocol):
    """One peer; see the module."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._limits = service.limits
        self._transport: asyncio.Transport | None = None
        self.client = ""
        self._buffer = b""
        self._begun = False  # the preface and the first settings are there
        self._decoder = Decoder(self._limits.max_head, self._limits.max_headers)
        self._known: dict[bytes, Any] = {}
        self._block: tuple[int, int, bytearray] | None = None  # stream, flags and headers that are to be continued
        self._streams: dict[int, Stream] = {}
        self._last = 0
        self._window = _FIRST_WINDOW
        self._peer_stream_window = _FIRST_WINDOW
        self._peer_frame = _LEAST_FRAME
        self._owed = 0
        self._withheld = False  # streams wait for room that others take
        self._blocked: dict[Stream, None] = {}
        self._out: list[bytes] = []
        self._out_size = 0
        self._working = False
        self._full = False
        self._leaving = False  # GOAWAY is sent
        self._broken = False  # nothing more is read
        self._restless = 0
        self._since = self._heard = 0.0  # idle or in the head since; when bytes came last
        self._pinged: float | None = None
        self._closes = float("inf")
        self._written = 0
        self._stalled: tuple[float, int] | None = None

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer connected."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.client = str(peer[0]) if isinstance(peer, tuple) else "local"
        service, limits = self._service, self._limits
        self._since = self._heard = service.loop.time()
        service.connections.add(self)
        settings = {_STREAMS: _MAX_STREAMS, _LIST_SIZE: limits.max_head}
        self._put(frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*setting) for setting in settings.items())))
        self._put(number_frame(WINDOW_UPDATE, 0, _WINDOW - _FIRST_WINDOW))
        if len(service.connections) > limits.max_connections:
            self._break(ENHANCE_YOUR_CALM, "the server has as many connections as it takes")

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        self._service.connections.discard(self)
        self._transport = None
        for stream in tuple(self._streams.values()):
            self._forget(stream)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        service = self._service
        service.pulse.beat()
        self._heard = service.loop.time()
        if self._broken:
            return
        self._buffer = self._buffer + data if self._buffer else data
        self._work()

    def pause_writing(self) -> None:
        """The peer reads more slowly than it is answered."""
        self._full = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The peer has read."""
        self._full = False
        if self._transport is not None:
            self._transport.resume_reading()
        self._send_blocked()
        self._work()

    # Frames in

    def _work(self) -> None:
        """Take up the frames that are there."""
        self._working = True
        try:
            if self._begun or self._begin():
                self._take_frames()
        except Broken as error:
            self._break(error.code, str(error))
        except HpackError as error:
            self._break(COMPRESSION_ERROR, str(error))
        finally:
            self._working = False
        self._flush()

    def _begin(self) -> bool:
        """Take up the preface; whether it is there."""
        buffer = self._buffer
        if not buffer.startswith(PREFACE):
            if not PREFACE.startswith(buffer):
                raise Broken(PROTOCOL_ERROR, "this is not HTTP/2")
            return False
        if len(buffer) < len(PREFACE) + HEAD:
            return False
        if buffer[len(PREFACE) + 3] != SETTINGS or buffer[len(PREFACE) + 4] & ACK:
            raise Broken(PROTOCOL_ERROR, "the first frame is none of settings")
        self._buffer = buffer[len(PREFACE) :]
        self._begun = True
        return True

    def _take_frames(self) -> None:
        buffer, at = self._buffer, 0
        try:
            while len(buffer) - at >= HEAD and not self._broken:
                length = int.from_bytes(buffer[at : at + 3], "big")
                if length > _LEAST_FRAME:
                    raise Broken(FRAME_SIZE_ERROR, f"a frame of {length} octets is larger than agreed")
                end = at + HEAD + length
                if end > len(buffer):
                    break
                kind, flags = buffer[at + 3], buffer[at + 4]
                number = int.from_bytes(buffer[at + 5 : at + HEAD], "big") & 0x7FFF_FFFF
                content = buffer[at + HEAD : end]
                at = end
                if self._block is not None and kind != CONTINUATION:
                    raise Broken(PROTOCOL_ERROR, "headers are not continued")
                if kind == DATA:
                    self._take_data(number, flags, content)
                elif kind == HEADERS:
                    self._take_headers(number, flags, content)
                else:
                    self._take_other(kind, number, flags, content)
                if self._out_size > _AT_ONCE:
                    self._flush()
                    if self._full:
                        break  # the rest waits until the peer has read
        finally:
            self._buffer = buffer[at:]

    def _take_data(self, number: int, flags: int, content: bytes) -> None:
        self._owed += len(content)
        if self._owed >= _WINDOW // 2:
            self._put(number_frame(WINDOW_UPDATE, 0, self._owed))
            self._owed = 0
        if not content and not flags & END_STREAM:
            self._bear()
        stream = self._streams.get(number)
        if stream is None or stream.ended:
            if not 0 < number <= self._last or stream is not None:
                raise Broken(PROTOCOL_ERROR, "data on a stream that is not open")
            return  # it was answered while they were on their way
        stream.credit -= len(content)
        if flags & PADDED:
            content = unpadded(content)
        if flags & END_STREAM:
            stream.ended = True
        if stream.answered:
            return
        if stream.credit < 0:
            self.reset(stream, FLOW_CONTROL_ERROR)
            return
        if not stream.received:
            stream.received = content
        elif isinstance(stream.received, bytearray):
            stream.received += content
        else:
            stream.received = bytearray(stream.received) + content
        self._service.came(stream)

    def _take_headers(self, number: int, flags: int, content: bytes) -> None:
        if flags & PADDED:
            content = unpadded(content)
        if flags & PRIORITY_FLAG:
            if len(content) < 5:
                raise Broken(FRAME_SIZE_ERROR, "headers without their priority")
            content = content[5:]
        if not flags & END_HEADERS:
            self._block = (number, flags, bytearray(content))
            return
        self._take_block(number, flags, content)

    def _take_block(self, number: int, flags: int, block: bytes) -> None:
        """Take up all headers of a stream."""
        known = self._known
        head = known.get(block)
        if head is None:
            self._decoder.changed = False
            head = self._service.understood(as_mapping(self._decoder.decode(block)))
            if self._decoder.changed:
                known.clear()  # what blocks mean hangs on the table
            elif len(known) < _KNOWN:
                known[block] = head
        if not number & 1:
            raise Broken(PROTOCOL_ERROR, f"a stream of the number {number}")
        stream = self._streams.get(number)
        if stream is not None:
            self._take_trailers(stream, flags)
            return
        if number <= self._last or self._leaving:
            self._bear()
            return
        self._last = number
        if len(self._streams) >= _MAX_STREAMS:
            self._bear()
            self._put(number_frame(RST_STREAM, number, REFUSED_STREAM))
            return
        stream = Stream(number, self, self._peer_stream_window, self._heard)
        self._streams[number] = stream
        stream.ended = bool(flags & END_STREAM)
        self._service.opened(stream, head)

    def _take_trailers(self, stream: Stream, flags: int) -> None:
        """Headers behind the data of a stream, which no call has, end it."""
        if stream.ended or not flags & END_STREAM:
            raise Broken(STREAM_CLOSED, "headers in the middle of a stream")
        stream.ended = True
        if not stream.answered:
            self._service.came(stream)

    def _take_other(self, kind: int, number: int, flags: int, content: bytes) -> None:
        if kind == CONTINUATION:
            self._take_continuation(number, flags, content)
        elif kind == WINDOW_UPDATE:
            self._take_window(number, content)
        elif kind == SETTINGS:
            self._take_settings(number, flags, content)
        elif kind == PING:
            check_length(content, 8)
            if flags & ACK:
                self._pinged = None
            else:
                self._bear()
                self._put(frame(PING, ACK, 0, content))
        elif kind == RST_STREAM:
            check_length(content, 4)
            self._bear()
            self._check_not_idle(number)
            stream = self._streams.get(number)
            if stream is not None:
                self._forget(stream)
        elif kind == PUSH_PROMISE:
            raise Broken(PROTOCOL_ERROR, "a peer that calls cannot push")
        elif kind != GOAWAY:  # which ends when its calls do, as any connection
            if kind == PRIORITY:
                check_length(content, 5)
            self._bear()

    def _take_continuation(self, number: int, flags: int, content: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise Broken(PROTOCOL_ERROR, "a continuation of nothing")
        _, first, block = self._block
        block += content
        if not content or len(block) > 4 * self._limits.max_head:
            raise Broken(ENHANCE_YOUR_CALM, "the headers are far too large")
        if flags & END_HEADERS:
            self._block = None
            self._take_block(number, first, bytes(block))

    def _take_settings(self, number: int, flags: int, content: bytes) -> None:
        self._bear()
        if number or len(content) % _SETTING.size or (flags & ACK and content):
            raise Broken(FRAME_SIZE_ERROR, "settings that are none")
        if flags & ACK:
            return
        settings: dict[int, int] = dict(_SETTING.iter_unpack(content))  # of those that stand twice, the last holds
        self._peer_frame = settings.get(_FRAME_SIZE, self._peer_frame)
        if not _LEAST_FRAME <= self._peer_frame <= _LARGEST_FRAME or settings.get(_ENABLE_PUSH, 0) > 1:
            raise Broken(PROTOCOL_ERROR, "settings that cannot be")
        window = settings.get(_INITIAL_WINDOW, self._peer_stream_window)
        for stream in self._streams.values():
            stream.window += window - self._peer_stream_window
        if max((window, *(stream.window for stream in self._streams.values()))) > _MAX_WINDOW:
            raise Broken(FLOW_CONTROL_ERROR, "a window that is too large")
        self._peer_stream_window = window
        self._put(frame(SETTINGS, ACK, 0))
        self._send_blocked()

    def _take_window(self, number: int, content: bytes) -> None:
        check_length(content, 4)
        self._restless += 1  # of the many that a quick reader sends, calls that are answered make up for
        self._check_restless()
        size = int.from_bytes(content, "big") & _MAX_WINDOW
        if not number:
            if not size or self._window + size > _MAX_WINDOW:
                raise Broken(FLOW_CONTROL_ERROR, "a window of the connection that cannot be")
            self._window += size
        else:
            self._check_not_idle(number)
            stream = self._streams.get(number)
            if stream is None:
                return
            if not size or stream.window + size > _MAX_WINDOW:
                self.reset(stream, FLOW_CONTROL_ERROR)
                return
            stream.window += size
        self._send_blocked()

    def _check_not_idle(self, number: int) -> None:
        if not 0 < number <= self._last:
            raise Broken(PROTOCOL_ERROR, f"a frame of the stream {number}, which was never opened")

    def _bear(self) -> None:
        """Count a frame that brings nothing on."""
        self._restless += 1
        self._check_restless()

    def _check_restless(self) -> None:
        if self._restless > _RESTLESS:
            raise Broken(ENHANCE_YOUR_CALM, "many frames, and few calls that are waited for")

    # Answers

    def begin_answer(self, stream: Stream, headers: bytes) -> None:
        """Send the headers of an answer whose data follow."""
        self._put(frame(HEADERS, END_HEADERS, stream.number, headers))

    def send(self, stream: Stream, data: bytes, trailers: bytes = b"") -> None:
        """Send data of an answer, and end it where there are trailers."""
        if trailers:
            stream.answered, stream.trailers = True, trailers
        size = len(data)
        if stream.unsent or size > self._peer_frame or size > self._window or size > stream.window:
            if not stream.unsent:
                stream.stalled = self._service.loop.time()
            stream.unsent += data
            self._blocked[stream] = None
            self._send_some(stream)
        else:
            if size:
                self._window -= size
                stream.window -= size
                self._put(frame(DATA, 0, stream.number, data))
            if trailers:
                self._end(stream)
        if not self._working:
            self._flush()

    def end(self, stream: Stream, headers: bytes) -> None:
        """End an answer, or a stream without one, with headers; what was sent before goes first."""
        stream.answered, stream.trailers = True, headers
        if not stream.unsent:
            self._end(stream)
        if not self._working:
            self._flush()

    def consumed(self, stream: Stream) -> None:
        """Let more of a stream come.

        Beyond what all may send at first, the oldest has room for its whole message, and the others share what is left.
        """
        if stream.credit >= _FIRST_WINDOW // 2 or stream.ended:
            return
        unfinished = [each for each in self._streams.values() if each.received]
        if unfinished and stream is not unfinished[0]:
            beyond = sum(max(0, len(each.received) + each.credit - _FIRST_WINDOW) for each in unfinished[1:])
            stream.waits = beyond + _STREAM_WINDOW > _PARKED
            if stream.waits:
                self._withheld = True
                return
        self._put(number_frame(WINDOW_UPDATE, stream.number, _STREAM_WINDOW - stream.credit))
        stream.credit = _STREAM_WINDOW

    def _give_room(self) -> None:
        """Let streams go on that waited for room."""
        self._withheld = False
        for stream in tuple(self._streams.values()):
            if stream.waits:
                stream.waits = False
                self.consumed(stream)

    def reset(self, stream: Stream, code: int) -> None:
        """End a stream without an answer."""
        self._put(number_frame(RST_STREAM, stream.number, code))
        self._forget(stream)
        if not self._working:
            self._flush()

    def _send_blocked(self) -> None:
        for stream in tuple(self._blocked):
            if self._window <= 0 or self._full:
                break
            self._send_some(stream)

    def _send_some(self, stream: Stream) -> None:
        """Send of what waits as much as both windows take."""
        unsent, sent = stream.unsent, 0
        while sent < len(unsent) and not self._full:
            size = min(len(unsent) - sent, self._peer_frame, self._window, stream.window)
            if size <= 0:
                break
            self._put(frame(DATA, 0, stream.number, bytes(unsent[sent : sent + size])))
            self._window -= size
            stream.window -= size
            sent += size
            if self._out_size > _AT_ONCE:
                self._flush()
        if sent:
            del unsent[:sent]
            stream.stalled = self._service.loop.time()
        if not unsent:
            self._blocked.pop(stream, None)
            if stream.trailers:
                self._end(stream)

    def _end(self, stream: Stream) -> None:
        self._put(frame(HEADERS, END_HEADERS | END_STREAM, stream.number, stream.trailers))
        if not stream.ended:
            self._put(number_frame(RST_STREAM, stream.number, NO_ERROR))  # the rest of it need not be sent
        self._restless = max(0, self._restless - _FORGIVEN_A_CALL)
        self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        self._blocked.pop(stream, None)
        if self._streams.pop(stream.number, None) is None:
            return
        self._service.gone(stream)
        if not self._streams:
            self._since = self._heard
        elif self._withheld and not self._broken:
            self._give_room()

    def _put(self, data: bytes) -> None:
        self._out.append(data)
        self._out_size += len(data)

    def _flush(self) -> None:
        transport = self._transport
        if self._out and transport is not None:
            self._written += self._out_size
            transport.write(b"".join(self._out))
        self._out.clear()
        self._out_size = 0

    # Times and ends

    def check_time(self, now: float) -> None:
        """Cut the peer off if it has been slow or silent for too long."""
        transport, limits = self._transport, self._limits
        if transport is None:
            return
        self._restless = max(0, self._restless - _FORGIVEN)
        if self._closes < float("inf"):
            if now >= self._closes:
                transport.abort()
            return
        if left := transport.get_write_buffer_size():
            self._check_reader(transport, now, self._written - left)
        else:
            self._stalled = None
        if not self._begun:
            if now >= self._since + limits.head_time:
                self._break(PROTOCOL_ERROR, "the connection did not begin in time")
            return
        for stream in tuple(self._streams.values()):
            if stream.unsent and now >= stream.stalled + limits.write_time and not self._full:
                self.reset(stream, CANCEL)
            elif not stream.answered:
                self._service.late(stream, now)
        if self._withheld:
            self._give_room()
        if not self._streams:
            if self._service.draining or now >= self._since + limits.idle_time:
                self.leave()
        elif self._pinged is not None:
            if now >= self._pinged + limits.write_time:
                transport.abort()
        elif now >= self._heard + _PING_SECONDS:
            self._pinged = now
            self._put(frame(PING, 0, 0, bytes(8)))
        self._flush()

    def _check_reader(self, transport: asyncio.Transport, now: float, taken: int) -> None:
        if self._stalled is None:
            self._stalled = (now, taken)
        elif now - self._stalled[0] >= self._limits.write_time:
            if taken - self._stalled[1] < self._limits.slowest * self._limits.write_time:
                transport.abort()
            self._stalled = (now, taken)

    def leave(self) -> None:
        """Take no more streams; once the last is answered, close."""
        if not self._leaving:
            self._leaving = True
            self._put(frame(GOAWAY, 0, 0, struct.pack(">II", self._last, NO_ERROR)))
        self._flush()
        if not self._streams:
            self._close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _break(self, code: int, reason: str) -> None:
        """Say why, and close."""
        self._broken = self._leaving = True
        self._buffer = b""
        self._put(frame(GOAWAY, 0, 0, struct.pack(">II", self._last, code) + reason.encode()))
        self._flush()
        for stream in tuple(self._streams.values()):
            self._forget(stream)
        self._close()

    def _close(self) -> None:
        """End our side; closing with bytes unread would take back what was sent last."""
        transport = self._transport
        if transport is None or self._closes < float("inf"):
            return
        self._closes = self._service.loop.time() + _LINGER
        if transport.can_write_eof():
            with contextlib.suppress(OSError):  # the peer has closed already
                transport.write_eof()
        else:
            transport.close()
