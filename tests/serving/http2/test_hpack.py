"""Compressed headers: examples of the specification, and what a stranger can send."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lepton.serving.http2.hpack import Decoder, HpackError, literal

GET = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")]


def decoder(size: int = 4096, headers: int = 100) -> Decoder:
    return Decoder(size, headers)


@pytest.mark.parametrize(
    "blocks",
    [  # the same three requests, with texts as they are and in the Huffman code
        (
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ),
        (
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ),
    ],
)
def test_examples_of_the_specification(blocks: tuple[str, str, str]) -> None:
    made = decoder()
    first, second, third = (made.decode(bytes.fromhex(block)) for block in blocks)
    assert first == GET
    assert second == [*GET, ("cache-control", "no-cache")]
    assert third == [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ]


def test_old_headers_leave_the_table() -> None:
    made = decoder()
    made.decode(b"\x3f\x61")  # 31 + 97 = 128 octets
    for number in range(10):
        made.decode(b"\x40\x04name\x3f" + b"%063d" % number)
    assert made.decode(b"\xbe") == [("name", f"{9:063}")]
    with pytest.raises(HpackError, match="no header 63"):
        made.decode(b"\xbf")


def test_a_change_of_the_table_is_told() -> None:
    made = decoder()
    made.decode(bytes.fromhex("828684"))
    made.decode(literal("a", "b"))
    assert not made.changed
    made.decode(b"\x40\x01a\x01b")
    assert made.changed


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # no header 0
        b"\xbe",  # beyond the table
        b"\xff\xff\xff\xff\xff\xff\xff\x01",  # a number without end
        b"\x40",  # no name
        b"\x40\x01",  # a name that is cut
        b"\x40\x01a",  # no value
        b"\x40\x01a\x7f",  # a length that is cut
        b"\x40\x01a\x05b",  # a value that is cut
        b"\x00\x82\xff\xff\x01b",  # no code
        b"\x82\x20",  # the table's size behind a header
        b"\x3f\xe2\x1f",  # 4,097 octets
    ],
)
def test_what_is_no_block(block: bytes) -> None:
    with pytest.raises(HpackError):
        decoder().decode(block)


def test_too_many_are_refused_and_the_table_goes_on() -> None:
    made = decoder(size=1000)
    assert made.decode(literal("a", "b" * 1000) + b"\x40\x01c\x01d") is None
    assert made.decode(b"\xbe") == [("c", "d")]
    assert decoder(headers=3).decode(b"\x82" * 4) is None


def test_a_bomb_ends_the_connection() -> None:
    made = decoder()
    made.decode(b"\x40\x01a" + b"\x7f\xa1\x1e" + b"x" * 4000)
    with pytest.raises(HpackError, match="far too large"):
        made.decode(b"\xbe" * 16_000)
    with pytest.raises(HpackError, match="far too large"):
        decoder(headers=10).decode(b"\x82" * 16_000)


@given(st.lists(st.tuples(st.text("abc-", max_size=20), st.text(st.characters(codec="ascii"), max_size=400))))
def test_what_is_written_comes_back(headers: list[tuple[str, str]]) -> None:
    block = b"".join(literal(*header) for header in headers)
    assert decoder(size=10**6, headers=1000).decode(block) == headers


@given(st.binary(max_size=60))
def test_no_block_breaks_it(block: bytes) -> None:
    try:
        found = decoder().decode(block)
    except HpackError:
        return
    assert found is not None
