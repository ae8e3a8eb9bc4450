"""The Huffman code of header texts, against examples of the specification and its own rules."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lepton.serving.http2.huffman import _LENGTHS, HuffmanError, decode_huffman


def codes() -> dict[int, tuple[int, int]]:
    """Code and its length by octet: in order of lengths, then octets, each is the next number."""
    lengths: list[int] = []
    for run in _LENGTHS.split():
        bits, _, times = run.partition("*")
        lengths += [int(bits)] * int(times or 1)
    found, code, last = {}, 0, 0
    for length, symbol in sorted(zip(lengths, range(257), strict=True)):
        code <<= length - last
        found[symbol], last, code = (code, length), length, code + 1
    return found


CODES = codes()


def encoded(text: bytes) -> bytes:
    bits = "".join(f"{CODES[octet][0]:0{CODES[octet][1]}b}" for octet in text)
    bits += "1" * (-len(bits) % 8)
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"),
        (b"no-cache", "a8eb10649cbf"),
        (b"custom-key", "25a849e95ba97d7f"),
        (b"custom-value", "25a849e95bb8e8b4bf"),
        (b"302", "6402"),
        (b"private", "aec3771a4b"),
        (b"Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"),
        (b"https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3"),
        (b"gzip", "9bd9ab"),
        (b"", ""),
    ],
)
def test_examples_of_the_specification(text: bytes, code: str) -> None:
    assert decode_huffman(bytes.fromhex(code)) == text
    assert encoded(text).hex() == code


def test_the_code_is_complete() -> None:
    assert len(CODES) == 257
    assert sum(2.0**-length for _, length in CODES.values()) == 1.0
    assert CODES[256] == (2**30 - 1, 30)


@given(st.binary(max_size=200))
def test_every_text_comes_back(text: bytes) -> None:
    assert decode_huffman(encoded(text)) == text


@pytest.mark.parametrize("code", ["ffffffff", "0000", "f8ff", "fffffffc", "3fffffff", "1fffffffffff", "ff"])
def test_the_end_of_a_text_and_wrong_padding_are_none(code: str) -> None:
    with pytest.raises(HuffmanError):
        decode_huffman(bytes.fromhex(code))
