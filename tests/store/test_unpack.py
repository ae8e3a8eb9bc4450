"""Compressed streams: whole, damaged, cut off, and bombs."""

import bz2
import gzip
import io
import lzma
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError, ErrorCode, MissingExtraError
from lepton.store.unpack import check_ratio, packing, unpacked

TEXT = b"".join(b"%d,some text %d\n" % (i, i * i) for i in range(20_000))


def zstd(data: bytes) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    return bytes(pyarrow.compress(data, codec="zstd", asbytes=True))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "zstd": zstd,
}
packed_in = pytest.mark.parametrize("name", list(PACKERS))


def read(data: bytes) -> bytes:
    with unpacked(io.BytesIO(data), "a.csv") as stream:
        return b"".join(iter(lambda: stream.read(70_001), b""))


def refused(data: bytes) -> str:
    with pytest.raises(DataError) as caught:
        read(data)
    assert caught.value.code is ErrorCode.UNREADABLE
    return str(caught.value)


@packed_in
def test_every_packing_is_known_and_read(name):
    packed = PACKERS[name](TEXT)
    assert packing(packed[:8]) == name
    assert read(packed) == TEXT


@packed_in
def test_streams_in_a_row_are_one(name):
    packed = PACKERS[name]
    assert read(packed(TEXT) + packed(b"") + packed(b"end")) == TEXT + b"end"


@packed_in
def test_lines_can_be_read(name):
    with unpacked(io.BytesIO(PACKERS[name](TEXT)), "a.csv") as stream:
        assert stream.readline(1000) == b"0,some text 0\n"
        assert sum(1 for _ in stream) == 19_999


@packed_in
@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_stream_that_ends_early_is_an_error(name, share):
    packed = PACKERS[name](TEXT)
    assert "a.csv" in refused(packed[: int(len(packed) * share)])


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz"])  # zstd carries a checksum where its writer asked for one
def test_damage_is_an_error(name):
    packed = bytearray(PACKERS[name](TEXT))
    packed[len(packed) // 2 : len(packed) // 2 + 40] = bytes(40)
    assert "damaged" in refused(bytes(packed))


@packed_in
def test_a_bomb_is_given_up(name):
    packed = PACKERS[name](bytes(70 * 2**20))
    assert len(packed) < 10**6
    assert "unpacks from" in refused(packed)


def test_an_xz_that_asks_for_much_memory_is_refused():
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 2**30, "mf": lzma.MF_HC3}]
    header = lzma.compress(b"small", format=lzma.FORMAT_XZ, filters=filters)
    assert "emory" in refused(header)


@given(st.binary(max_size=200))
def test_what_is_not_packed_comes_as_it_is(data):
    if not packing(data[:8]):
        assert read(data) == data


@given(st.sampled_from(list(PACKERS)), st.binary(max_size=300))
def test_noise_behind_a_mark_is_an_error_or_nothing(name, noise):
    start = {"gzip": b"\x1f\x8b\x08", "bzip2": b"BZh9", "xz": b"\xfd7zXZ\x00", "zstd": b"\x28\xb5\x2f\xfd"}[name]
    try:
        assert read(start + noise) is not None
    except DataError as error:
        assert error.code is ErrorCode.UNREADABLE  # noqa: PT017


def test_without_the_library_of_zstd(monkeypatch):
    packed = zstd(TEXT)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"lepton-ai\[data\]"):
        read(packed)


def test_ratios():
    check_ratio(1, 64 * 2**20, "x")
    check_ratio(10**6, 250 * 10**6, "x")
    with pytest.raises(DataError):
        check_ratio(10**6, 250 * 10**6 + 1, "x")
