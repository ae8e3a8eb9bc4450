from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from lepton.core import ErrorCode, ServingError
from lepton.serving.http2.compression import Unpacking

MANY = 2**20
PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


def unpacked(encoding: str, packed: bytes, most: int = MANY) -> bytes:
    unpacking = Unpacking(encoding, packed, most)
    small = unpacking.begin()
    return unpacking.rest() if small is None else small


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("size", [0, 1, 2**18 - 1, 2**18, 2**18 + 1, MANY])
@pytest.mark.parametrize("plain", [True, False])
def test_a_message_is_what_it_was(encoding: str, size: int, plain: bool):
    message = b"x" * size if plain else random.Random(0).randbytes(size)
    assert unpacked(encoding, PACKERS[encoding](message)) == message


def test_the_rest_of_a_large_one_is_left_to_a_thread():
    unpacking = Unpacking("gzip", gzip.compress(b"x" * MANY), MANY)
    assert unpacking.begin() is None
    assert len(unpacking.rest()) == MANY


@pytest.mark.parametrize("size", [MANY + 1, 64 * MANY])
def test_one_that_becomes_too_large_is_refused(size: int):
    with pytest.raises(ServingError) as caught:
        unpacked("gzip", gzip.compress(b"x" * size))
    assert caught.value.code is ErrorCode.TOO_LARGE


@given(st.binary(max_size=200), st.integers(0, 200), st.sampled_from(sorted(PACKERS)))
def test_what_is_damaged_is_refused(message: bytes, cut: int, encoding: str):
    packed = PACKERS[encoding](message)
    for damaged in (packed[: cut % len(packed)], packed + b"x", b"x" + packed):
        with pytest.raises(ServingError) as caught:
            unpacked(encoding, damaged)
        assert caught.value.code is ErrorCode.BAD_REQUEST
