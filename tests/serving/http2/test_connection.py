"""HTTP/2 without a socket: frames in, frames out, and what a stranger can send."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, strategies as st

from lepton.serving.http import Limits
from lepton.serving.http2 import frames
from lepton.serving.http2.connection import Connection
from lepton.serving.http2.frames import frame, number_frame
from lepton.serving.http2.hpack import Decoder, literal
from lepton.serving.http2.stream import Stream
from lepton.serving.pulse import Pulse

HEADERS = literal(":method", "POST") + literal(":path", "/call")
OPENED = frames.END_HEADERS
ENDED = frames.END_HEADERS | frames.END_STREAM
BEGUN = frames.PREFACE + frame(frames.SETTINGS, 0, 0)


class Clock:
    now = 0.0

    def time(self) -> float:
        return self.now


class Transport(asyncio.Transport):
    """What was written, and whether it still takes more."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self.written = bytearray()
        self.left = 0
        self.ended = self.aborted = self.paused = False

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.left

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


@dataclass
class Service:
    """Answers a stream with what came, at its end; or waits, where `waits`."""

    limits: Limits = field(default_factory=Limits)
    loop: Any = field(default_factory=Clock)
    connections: set[Connection] = field(default_factory=set)
    draining: bool = False
    waits: bool = False
    streams: list[Stream] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    bodies: dict[int, bytes] = field(default_factory=dict)
    heads: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pulse = Pulse(self.loop.time, 1.0)

    def understood(self, headers: Mapping[str, str] | None) -> Any:
        self.heads.append(headers)
        return headers or {}

    def opened(self, stream: Stream, head: Any) -> None:
        self.streams.append(stream)
        if stream.ended:
            self.came(stream)

    def came(self, stream: Stream) -> None:
        self.bodies[stream.number] = bytes(stream.received)
        if not self.waits and stream.ended:
            self.answer(stream, bytes(stream.received))
        elif not stream.ended:
            stream.connection.consumed(stream)

    def answer(self, stream: Stream, data: bytes) -> None:
        stream.connection.begin_answer(stream, literal(":status", "200"))
        stream.connection.send(stream, data, literal("grpc-status", "0"))

    def gone(self, stream: Stream) -> None:
        self.lost.append(stream.number)

    def late(self, stream: Stream, now: float) -> None:
        pass


class Peer:
    """The other end of a connection."""

    def __init__(self, *, begun: bool = True, **options: Any) -> None:
        self.service = Service(**options)
        self.transport = Transport()
        self.connection = Connection(self.service)
        self.connection.connection_made(self.transport)
        if begun:
            self.send(BEGUN)
            self.told()

    def send(self, *data: bytes) -> None:
        self.connection.data_received(b"".join(data))

    def told(self) -> list[tuple[int, int, int, bytes]]:
        """Kind, flags, stream and content of each frame that was written since this was last asked."""
        data, found, at = bytes(self.transport.written), [], 0
        self.transport.written.clear()
        while at < len(data):
            end = at + 9 + int.from_bytes(data[at : at + 3], "big")
            found.append((data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9], "big"), data[at + 9 : end]))
            at = end
        return found

    def after(self, seconds: float) -> None:
        self.service.loop.now += seconds
        self.connection.check_time(self.service.loop.now)

    def code(self) -> int | None:
        """Of the GOAWAY that was told last."""
        found = [content for kind, _, _, content in self.told() if kind == frames.GOAWAY]
        return int.from_bytes(found[-1][4:8], "big") if found else None


def body_of(told: list[tuple[int, int, int, bytes]], stream: int = 1) -> bytes:
    return b"".join(content for kind, _, number, content in told if kind == frames.DATA and number == stream)


class TestAnswers:
    def test_a_call_is_answered_with_headers_data_and_trailers(self) -> None:
        peer = Peer()
        peer.send(frame(1, OPENED, 1, HEADERS), frame(0, frames.END_STREAM, 1, b"hello"))
        told = peer.told()
        assert [(kind, flags, stream) for kind, flags, stream, _ in told] == [(1, OPENED, 1), (0, 0, 1), (1, ENDED, 1)]
        assert body_of(told) == b"hello"
        assert Decoder(1000, 10).decode(told[2][3]) == [("grpc-status", "0")]
        assert peer.service.lost == [1]

    def test_every_cut_of_the_bytes_means_the_same(self) -> None:
        data = BEGUN + frame(1, OPENED, 1, HEADERS) + frame(0, 0, 1, b"hel") + frame(0, frames.END_STREAM, 1, b"lo")
        for size in range(1, len(data)):
            peer = Peer(begun=False)
            for start in range(0, len(data), size):
                peer.send(data[start : start + size])
            assert body_of(peer.told()) == b"hello"

    def test_headers_in_parts_with_padding_and_priority(self) -> None:
        peer = Peer()
        content = b"\x03" + bytes(5) + HEADERS[:4] + bytes(3)
        peer.send(frame(1, frames.PADDED | frames.PRIORITY_FLAG, 1, content))
        peer.send(frame(9, 0, 1, HEADERS[4:9]), frame(9, frames.END_HEADERS, 1, HEADERS[9:]))
        peer.send(frame(0, frames.PADDED | frames.END_STREAM, 1, b"\x02hi\0\0"))
        assert body_of(peer.told()) == b"hi"
        assert peer.service.heads == [{":method": "POST", ":path": "/call"}]

    def test_headers_are_understood_once_while_the_table_is_the_same(self) -> None:
        peer = Peer()
        for number in (1, 3, 5):
            peer.send(frame(1, ENDED, number, HEADERS))
        assert len(peer.service.heads) == 1
        peer.send(frame(1, ENDED, 7, b"\x40\x01a\x01b"), frame(1, ENDED, 9, HEADERS), frame(1, ENDED, 11, b"\xbe"))
        assert peer.service.heads[1:] == [{"a": "b"}, {":method": "POST", ":path": "/call"}, {"a": "b"}]

    def test_answers_wait_for_both_windows_and_for_the_size_of_frames(self) -> None:
        peer = Peer()
        peer.send(frame(4, 0, 0, struct.pack(">HI", 4, 100_000)))
        peer.send(*(frame(0, 0, 1, b"x" * 16_384) if i else frame(1, OPENED, 1, HEADERS) for i in range(8)))
        peer.told()
        peer.send(frame(0, frames.END_STREAM, 1))
        told = peer.told()
        assert max(len(content) for _, _, _, content in told) == 16_384
        assert len(body_of(told)) == 65_535
        peer.send(number_frame(8, 0, 10**6))
        assert len(body_of(peer.told())) == 100_000 - 65_535
        peer.send(frame(4, 0, 0, struct.pack(">HI", 4, 110_000)))
        assert len(body_of(peer.told())) == 10_000
        peer.send(number_frame(8, 1, 10**6))
        told = peer.told()
        assert len(body_of(told)) == 7 * 16_384 - 110_000
        assert told[-1][:3] == (1, ENDED, 1)

    def test_windows_are_given_back(self) -> None:
        peer = Peer()
        peer.service.came = lambda stream: stream.connection.consumed(stream)  # type: ignore[method-assign]
        peer.send(frame(1, OPENED, 1, HEADERS))
        for _ in range(64 * 5):
            peer.send(frame(0, 0, 1, b"x" * 16_384))
        given = [(stream, int.from_bytes(content, "big")) for kind, _, stream, content in peer.told() if kind == 8]
        assert sum(size for stream, size in given if stream == 1) + 65_535 >= 64 * 5 * 16_384
        assert sum(size for stream, size in given if stream == 0) >= 4 * 2**20

    def test_an_early_answer_tells_the_peer_to_stop(self) -> None:
        peer = Peer(waits=True)
        peer.send(frame(1, OPENED, 1, HEADERS))
        peer.connection.end(peer.service.streams[0], literal("grpc-status", "16"))
        assert [(kind, content) for kind, _, _, content in peer.told()][1] == (frames.RST_STREAM, bytes(4))
        peer.send(frame(0, frames.END_STREAM, 1, b"on its way"))
        assert peer.code() is None

    def test_a_ping_comes_back(self) -> None:
        peer = Peer()
        peer.send(frame(6, 0, 0, b"12345678"))
        assert peer.told() == [(6, frames.ACK, 0, b"12345678")]

    def test_a_call_that_is_cancelled_is_lost(self) -> None:
        peer = Peer(waits=True)
        peer.send(frame(1, ENDED, 1, HEADERS), number_frame(3, 1, frames.CANCEL))
        assert peer.service.lost == [1]

    def test_a_connection_that_ends_loses_its_calls(self) -> None:
        peer = Peer(waits=True)
        peer.send(frame(1, ENDED, 1, HEADERS), frame(1, ENDED, 3, HEADERS))
        peer.connection.connection_lost(None)
        assert peer.service.lost == [1, 3]
        assert not peer.service.connections


class TestTimes:
    def test_a_peer_that_never_begins(self) -> None:
        peer = Peer(begun=False)
        peer.send(frames.PREFACE[:10])
        peer.after(9)
        assert peer.code() is None
        peer.after(2)
        assert peer.code() == PROTOCOL
        peer.after(2)
        assert peer.transport.aborted

    def test_a_connection_without_calls_is_left(self) -> None:
        peer = Peer()
        peer.after(59)
        assert peer.code() is None
        peer.after(2)
        assert peer.code() == frames.NO_ERROR
        assert peer.transport.ended

    def test_a_silent_peer_with_a_call_is_asked_and_cut(self) -> None:
        peer = Peer(waits=True)
        peer.send(frame(1, ENDED, 1, HEADERS))
        peer.after(31)
        assert [kind for kind, *_ in peer.told()] == [frames.PING]
        peer.send(frame(6, frames.ACK, 0, bytes(8)))
        peer.after(31)
        assert [kind for kind, *_ in peer.told()] == [frames.PING]
        assert not peer.transport.aborted
        peer.after(11)
        assert peer.transport.aborted

    def test_an_answer_for_which_no_window_is_given_is_dropped(self) -> None:
        peer = Peer()
        peer.send(frame(4, 0, 0, struct.pack(">HI", 4, 0)), frame(1, OPENED, 1, HEADERS))
        peer.send(frame(0, frames.END_STREAM, 1, b"x"))
        peer.told()
        peer.after(9)
        assert peer.told() == []
        peer.after(2)
        assert peer.told() == [(3, 0, 1, frames.CANCEL.to_bytes(4, "big"))]
        assert peer.service.lost == [1]

    def test_a_peer_that_does_not_read_is_not_read_from_and_cut(self) -> None:
        peer = Peer()
        peer.connection.pause_writing()
        assert peer.transport.paused
        peer.transport.left = 10**6
        peer.after(1)
        peer.after(11)
        assert peer.transport.aborted

    def test_it_goes_on_when_the_peer_has_read(self) -> None:
        peer = Peer()
        peer.connection.pause_writing()
        peer.connection.resume_writing()
        assert not peer.transport.paused
        peer.send(frame(1, ENDED, 1, HEADERS))
        assert len(peer.told()) == 2

    def test_when_it_drains_calls_are_finished_and_no_more_taken(self) -> None:
        peer = Peer(waits=True)
        peer.send(frame(1, ENDED, 1, HEADERS))
        peer.service.draining = True
        peer.connection.leave()
        assert peer.code() == frames.NO_ERROR
        peer.send(frame(1, ENDED, 3, HEADERS))
        assert [stream.number for stream in peer.service.streams] == [1]
        assert not peer.transport.ended
        peer.service.answer(peer.service.streams[0], b"done")
        assert body_of(peer.told()) == b"done"
        peer.after(0.1)
        assert peer.transport.ended


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(4, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


OPEN = frame(1, OPENED, 1, HEADERS)
PROTOCOL, FLOW, SIZE, CALM, PACKED = (
    frames.PROTOCOL_ERROR,
    frames.FLOW_CONTROL_ERROR,
    frames.FRAME_SIZE_ERROR,
    frames.ENHANCE_YOUR_CALM,
    frames.COMPRESSION_ERROR,
)
HOSTILE: dict[str, tuple[bytes, int]] = {
    "a frame that is too large": (frame(0, 0, 1, b"x" * 16_385), SIZE),
    "a length that is a lie": (b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", SIZE),
    "data on no stream": (frame(0, 0, 0, b"x"), PROTOCOL),
    "data on a stream that was never opened": (frame(0, 0, 5, b"x"), PROTOCOL),
    "data behind the end": (frame(1, ENDED, 1, HEADERS) + frame(0, 0, 1, b"x"), PROTOCOL),
    "a stream of the server": (frame(1, OPENED, 2, HEADERS), PROTOCOL),
    "headers on no stream": (frame(1, OPENED, 0, HEADERS), PROTOCOL),
    "headers in the middle": (OPEN + OPEN, frames.STREAM_CLOSED),
    "headers that are no code": (frame(1, OPENED, 1, b"\xff\xff\xff\xff"), PACKED),
    "headers that are cut": (frame(1, OPENED, 1, b"\x40"), PACKED),
    "a bomb of headers": (frame(1, OPENED, 1, b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 12_000), PACKED),
    "headers without end": (frame(1, 0, 1, HEADERS) + frame(9, 0, 1, b"\0" * 16_000) * 20, CALM),
    "continuations of nothing": (frame(1, 0, 1, HEADERS) + frame(9, 0, 1) * 2, CALM),
    "a continuation alone": (frame(9, 4, 1, HEADERS), PROTOCOL),
    "a continuation of another": (frame(1, 0, 1, HEADERS) + frame(9, 4, 3, HEADERS), PROTOCOL),
    "another frame within headers": (frame(1, 0, 1, HEADERS) + frame(6, 0, 0, bytes(8)), PROTOCOL),
    "headers without their priority": (frame(1, OPENED | frames.PRIORITY_FLAG, 1, b"\0"), SIZE),
    "more padding than there is": (frame(1, OPENED | frames.PADDED, 1, b"\x05ab"), PROTOCOL),
    "padding of nothing": (OPEN + frame(0, frames.PADDED, 1), PROTOCOL),
    "a push": (frame(5, 4, 1, bytes(8)), PROTOCOL),
    "settings of a stream": (frame(4, 0, 1), SIZE),
    "half a setting": (frame(4, 0, 0, b"\0\1\0"), SIZE),
    "an acknowledgement with content": (frame(4, 1, 0, bytes(6)), SIZE),
    "frames of no size": (settings((5, 0)), PROTOCOL),
    "frames of all sizes": (settings((5, 2**24)), PROTOCOL),
    "a push that is half on": (settings((2, 2)), PROTOCOL),
    "a window beyond all": (settings((4, 2**31)), FLOW),
    "windows that overflow": (OPEN + number_frame(8, 1, 2**31 - 1 - 65_535) + settings((4, 2**31 - 1)), FLOW),
    "a window of nothing": (number_frame(8, 0, 0), FLOW),
    "a window of the connection that overflows": (number_frame(8, 0, 2**31 - 1), FLOW),
    "a window of a stream that is none": (number_frame(8, 9, 1), PROTOCOL),
    "half a window": (frame(8, 0, 0, b"\0"), SIZE),
    "a short ping": (frame(6, 0, 0, b"1234"), SIZE),
    "a reset of no stream": (number_frame(3, 7, 8), PROTOCOL),
    "half a reset": (OPEN + frame(3, 0, 1, b"\0"), SIZE),
    "half a priority": (frame(2, 0, 1, b"\0"), SIZE),
    "pings without end": (frame(6, 0, 0, bytes(8)) * 1002, CALM),
    "settings without end": (frame(4, 0, 0) * 1002, CALM),
    "priorities without end": (frame(2, 0, 1, bytes(5)) * 1002, CALM),
    "data of nothing without end": (OPEN + frame(0, 0, 1) * 1002, CALM),
    "windows without end": (OPEN + number_frame(8, 1, 1) * 1002, CALM),
    "frames of no kind without end": (frame(77, 0, 0, b"?") * 1002, CALM),
}


class TestHostilePeers:
    @pytest.mark.parametrize(("data", "code"), HOSTILE.values(), ids=HOSTILE)
    def test_the_connection_ends_with_the_reason(self, data: bytes, code: int) -> None:
        peer = Peer(waits=True)
        peer.send(data)
        assert peer.code() == code
        assert peer.transport.ended
        assert peer.service.lost == [stream.number for stream in peer.service.streams]
        peer.send(OPEN)  # nothing more is read
        assert peer.told() == []

    @pytest.mark.parametrize(
        "data", [b"GET / HTTP/1.1\r\n\r\n", frames.PREFACE + frame(6, 0, 0, bytes(8)), frames.PREFACE + frame(4, 1, 0)]
    )
    def test_what_does_not_begin_as_http2(self, data: bytes) -> None:
        peer = Peer(begun=False)
        peer.send(data)
        assert peer.code() == PROTOCOL

    def test_calls_that_are_opened_and_reset_without_end(self) -> None:
        peer = Peer(waits=True)
        for number in range(1, 2100, 2):
            peer.send(frame(1, ENDED, number, HEADERS), number_frame(3, number, frames.CANCEL))
        assert peer.code() == CALM

    def test_answered_calls_and_time_make_up_for_it(self) -> None:
        peer = Peer()
        for number in range(1, 6000, 2):
            peer.send(frame(1, ENDED, number, HEADERS), frame(6, 0, 0, bytes(8)), number_frame(8, 0, 1))
        for _ in range(100):
            peer.send(frame(6, 0, 0, bytes(8)) * 25)
            peer.after(0.25)
        assert peer.code() is None

    def test_streams_beyond_those_that_are_taken(self) -> None:
        peer = Peer(waits=True)
        peer.send(*(frame(1, ENDED, number, HEADERS) for number in range(1, 517, 2)))
        assert len(peer.service.streams) == 256
        refused = [(stream, content[-1]) for kind, _, stream, content in peer.told() if kind == frames.RST_STREAM]
        assert refused == [(513, frames.REFUSED_STREAM), (515, frames.REFUSED_STREAM)]

    def test_who_passes_over_the_window_of_a_stream_loses_it(self) -> None:
        peer = Peer(waits=True)
        peer.service.came = lambda stream: None  # type: ignore[method-assign]
        peer.send(OPEN, *[frame(0, 0, 1, b"x" * 16_384)] * 4)
        assert peer.told()[-1] == (frames.RST_STREAM, 0, 1, FLOW.to_bytes(4, "big"))
        assert peer.service.lost == [1]

    def test_messages_that_never_end_park_little_and_the_oldest_goes_on(self) -> None:
        peer = Peer(waits=True)
        credit = dict.fromkeys(range(1, 513, 2), 65_535)
        peer.send(*(frame(1, OPENED, number, HEADERS) for number in credit))
        for _ in range(200):
            for number in credit:
                if number != 1 and credit[number] > 0:
                    size = min(16_384, credit[number])
                    credit[number] -= size
                    peer.send(frame(0, 0, number, b"x" * size))
            for kind, _, number, content in peer.told():
                if kind == frames.WINDOW_UPDATE and number:
                    credit[number] += int.from_bytes(content, "big")
        held = sum(len(stream.received) for stream in peer.service.streams)
        assert 16 * 2**20 <= held + sum(credit.values()) <= 30 * 2**20
        stuck = [number for number, left in credit.items() if not left]
        assert stuck
        for number in credit:
            if number not in stuck[1:]:
                peer.send(number_frame(3, number, frames.CANCEL))
        assert {number for kind, _, number, _ in peer.told() if kind == frames.WINDOW_UPDATE} >= set(stuck[1:4])
        assert peer.code() is None

    def test_a_window_of_a_stream_that_overflows_ends_the_stream(self) -> None:
        peer = Peer(waits=True)
        peer.send(OPEN, number_frame(8, 1, 2**31 - 1))
        assert peer.told() == [(frames.RST_STREAM, 0, 1, FLOW.to_bytes(4, "big"))]

    def test_headers_that_are_too_large_are_told_to_the_service(self) -> None:
        peer = Peer(limits=Limits(max_head=1000))
        peer.send(frame(1, ENDED, 1, literal("a", "b" * 1000)))
        assert peer.service.heads == [None]

    def test_connections_beyond_those_that_are_taken(self) -> None:
        peer = Peer(begun=False, limits=Limits(max_connections=0))
        assert peer.code() == CALM
        assert peer.transport.ended

    @given(st.binary(max_size=200))
    def test_no_bytes_break_it(self, data: bytes) -> None:
        peer = Peer()
        peer.send(data)
        assert (peer.code() is not None) == peer.transport.ended  # who is cut off is told why

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 10), st.integers(0, 63), st.sampled_from([0, 1, 1, 3, 5, 2]), st.binary(max_size=12)
            )
        )
    )
    def test_no_frames_break_it(self, sent: list[tuple[int, int, int, bytes]]) -> None:
        peer = Peer()
        peer.send(*(frame(*one) for one in sent))
        peer.after(100)
        peer.connection.connection_lost(None)
        assert sorted(peer.service.lost) == sorted(stream.number for stream in peer.service.streams)
