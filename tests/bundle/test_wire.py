from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, strategies as st

from lepton.bundle import wire as room
from lepton.bundle.wire import BYTES, FIXED32, FIXED32_LIST, VARINT, VARINT_LIST, Message, WireReader
from lepton.core import BundleError, ErrorCode

THING = Message("a thing", {1: VARINT, 2: BYTES, 3: FIXED32}, {4: BYTES, 5: VARINT_LIST, 6: FIXED32_LIST})


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def fields(data: bytes) -> list[tuple[int, int, int]]:
    return list(WireReader(data).fields(THING, 0, len(data)))


def test_fields_come_in_order():
    data = b"\x08\x96\x01" + b"\x12\x02hi" + b"\x1d....." + b"\x12"
    assert fields(data[:-2]) == [(1, 150, 0), (2, 5, 7), (3, 8, 12)]
    assert fields(b"\x22\x00\x22\x01x") == [(4, 2, 2), (4, 4, 5)]
    assert fields(b"") == []


def test_runs_of_numbers_come_as_one():
    data = b"\x28\x01\x28\xac\x02\x28\x00" + b"\x35....\x35...." + b"\x28\x07"
    assert fields(data) == [(5, 0, 7), (6, 7, 17), (5, 17, 19)]
    assert WireReader(data).run(0, 7) == [1, 300, 0]


@given(values=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_numbers_of_64_bits(values):
    packed = b"".join(map(varint, values))
    reader = WireReader(packed)
    assert reader.count_packed(0, len(packed)) == len(values)
    start, found = 0, []
    while start < len(packed):
        value, start = reader.varint(start, len(packed))
        found.append(value)
    assert found == values
    run = b"".join(b"\x28" + varint(value) for value in values)
    assert fields(run) == [(5, 0, len(run))]
    assert WireReader(run).run(0, len(run)) == values


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x08", "cut short"),
        (b"\x08\x96", "cut short"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "longer than 64 bits"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "longer than it need be"),
        (b"\x08\x80\x00", "longer than it need be"),
        (b"\x88\x00\x01", "longer than it need be"),
        (b"\x12\x03hi", "ends within its field 2"),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "ends within its field 2"),
        (b"\x1d...", "ends within its field 3"),
        (b"\x08\x01\x08\x02", "holds the field 1 twice"),
        (b"\x12\x00\x12\x00", "holds the field 2 twice"),
        (b"\x3a\x00", "holds the field 7 in wire type 2"),
        (b"\x0a\x00", "holds the field 1 in wire type 2"),
        (b"\x0b\x0c", "holds the field 1 in wire type 3"),
        (b"\x09........", "holds the field 1 in wire type 1"),
        (b"\x2a\x01\x01", "holds the field 5 in wire type 2"),
        (b"\x00\x00", "holds the field 0 in wire type 0"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "in wire type 7"),
        (b"\x28", "cut short or too long in field 5"),
        (b"\x28\x80\x00", "cut short or too long in field 5"),
        (b"\x28" + b"\xff" * 10, "cut short or too long in field 5"),
        (b"\x35...", "cut short or too long in field 6"),
    ],
)
def test_odd_bytes_are_refused(data, message):
    with pytest.raises(BundleError, match=message) as caught:
        fields(data)
    assert caught.value.code == ErrorCode.GRAPH_REFUSED


@given(data=st.binary(max_size=40))
def test_any_bytes_give_fields_or_a_refusal(data):
    try:
        found = fields(data)
    except BundleError:
        return
    for number, start, end in found:
        assert number in range(1, 7)
        assert number == 1 or 0 <= start <= end <= len(data)


@pytest.mark.parametrize(
    "data", [b"\x80", b"\x01\x80", b"\x80" * 11 + b"\x01", b"\x80" * 10 + b"\x01", b"\x80" * (3 << 20)]
)
def test_odd_packed_numbers(data):
    with pytest.raises(BundleError, match="a number is"):
        WireReader(data).count_packed(0, len(data))


def test_packed_numbers_across_chunks():
    data = b"\xff\x01" * ((1 << 20) + 5)
    assert WireReader(b"\x01" + data).count_packed(1, len(data) + 1) == (1 << 20) + 5


def test_texts():
    reader = WireReader("aß".encode() + b"\xff")
    assert reader.text(0, 3, 3) == "aß"
    with pytest.raises(BundleError, match="a text has 3 bytes"):
        reader.text(0, 3, 2)
    with pytest.raises(BundleError, match="not UTF-8"):
        reader.text(0, 4, 10)


def test_the_number_of_fields_is_bounded(monkeypatch):
    monkeypatch.setattr(room, "MAX_FIELDS", 10)
    assert len(fields(b"\x22\x00" * 10)) == 10
    with pytest.raises(BundleError, match="more than 10 fields"):
        fields(b"\x22\x00" * 11)


def test_a_long_run_takes_no_memory_and_little_time(stopwatch):
    data = b"\x28\xff\x01" * 2_000_000
    tracemalloc.start()
    with stopwatch(2.0):
        assert fields(data) == [(5, 0, len(data))]
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()
