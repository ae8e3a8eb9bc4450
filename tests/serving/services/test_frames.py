from __future__ import annotations

import struct

import pytest
from hypothesis import given, strategies as st

from lepton.serving.services.frames import BadFrame, Frames, frame


@given(st.lists(st.lists(st.binary(max_size=20), max_size=4), max_size=4), st.integers(1, 7))
def test_frames_come_out_as_they_went_in_however_they_are_cut(sent: list[list[bytes]], cut: int):
    data = b"".join(frame({"kind": "call", "id": number}, parts) for number, parts in enumerate(sent))
    frames = Frames()
    found = []
    for start in range(0, len(data), cut):
        found += list(frames.feed(data[start : start + cut]))
    assert [head["id"] for head, _ in found] == list(range(len(sent)))
    assert [parts for _, parts in found] == sent


def _raw(head: bytes, rest: bytes = b"") -> bytes:
    return struct.pack(">II", len(head), len(rest)) + head + rest


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">II", 2**31, 0),
        struct.pack(">II", 2, 2**31),
        _raw(b"not json"),
        _raw(b"[]"),
        _raw(b"{}"),
        _raw(b'{"sizes": [1, -1]}'),
        _raw(b'{"sizes": [true]}'),
        _raw(b'{"sizes": [1]}'),
        _raw(b'{"sizes": []}', b"x"),
        _raw(b'{"sizes": [2]}', b"x"),
        _raw(b'{"sizes": [0], "sizes": []}'),
        _raw(b"[" * 100 + b"]" * 100),
    ],
)
def test_what_is_no_frame_is_told(data: bytes):
    with pytest.raises(BadFrame):
        list(Frames().feed(data))
