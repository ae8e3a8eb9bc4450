from __future__ import annotations

import io
import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from lepton.bundle import archive as room
from lepton.bundle.archive import check_member_name, open_archive, write_archive
from lepton.core import BundleError, DataError, ErrorCode, UsageError
from lepton.store import write_bytes

MEMBERS = {
    "manifest.json": b"{}\n",
    "assets/b.bin": bytes(range(256)),
    "assets/a.txt": b"",
    "model.onnx": b"x" * 100,
    "reports/speed.json": b"{}",
}


def archive_bytes(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    write_archive(file, {name: [data] for name, data in members.items()})
    return file.getvalue()


def read_all(path: Path) -> dict[str, bytes]:
    with open_archive(path) as archive:
        return {name: archive.read(name) for name in archive.names}


names = st.one_of(
    st.sampled_from(["manifest.json", "model.onnx"]),
    st.builds(
        "{}/{}".format,
        st.sampled_from(["assets", "baseline", "training"]),
        st.from_regex("[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True),
    ),
    st.builds("reports/{}.json".format, st.from_regex("[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)),
).filter(lambda name: room._MEMBER.fullmatch(name) is not None)


@given(members=st.dictionaries(names, st.binary(max_size=300), max_size=8))
def test_what_is_written_is_read_by_us_and_by_zipfile(members, tmp_path_factory):
    path = tmp_path_factory.mktemp("a") / "a.lepton"
    data = archive_bytes(members)
    path.write_bytes(data)
    assert read_all(path) == members
    assert data == archive_bytes(dict(reversed(list(members.items()))))
    with zipfile.ZipFile(io.BytesIO(data)) as standard:
        assert standard.testzip() is None
        assert standard.namelist() == sorted(members)
        assert {name: standard.read(name) for name in members} == members
        for info in standard.infolist():
            assert (info.compress_type, info.date_time, info.flag_bits) == (0, (1980, 1, 1, 0, 0, 0), 0)
            name_length, extra_length = struct.unpack_from("<2H", data, info.header_offset + 26)
            assert (info.header_offset + 30 + name_length + extra_length) % 64 == 0


def test_chunks_do_not_change_the_bytes():
    file = io.BytesIO()
    write_archive(file, {name: [data[:7], b"", data[7:]] for name, data in MEMBERS.items()})
    assert file.getvalue() == archive_bytes(MEMBERS)


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_unzip_reads_it(tmp_path):
    path = tmp_path / "a.lepton"
    path.write_bytes(archive_bytes(MEMBERS))
    done = subprocess.run(["unzip", "-q", path.name, "-d", "out"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "out" / "assets" / "b.bin").read_bytes() == MEMBERS["assets/b.bin"]


@pytest.mark.parametrize(
    "name",
    [
"", ".", "..", "/", "/etc/passwd", "../canary", "assets/../../canary", "assets/..", "assets/.hidden",
        "assets/", "assets//a", "assets/a/b", "assets\\a", "C:/a", "c:a", "assets/a:b", "Assets/a", "assets/A",
        "assets/é", "assets/a b", "assets/a\n", "assets/a\0", "assets/con", "assets/nul.txt", "assets/com1",
        "assets/a.", "assets/-rf", "assets/~", "other/a", "a", "manifest.json/a", "model.onnx.data", "reports/a",
        "reports/a.txt", "reports/a.b.json", "reports/.json", "assets/" + "a" * 101, "%2e%2e/a", "．．/a",
        "file:///a", "assets/a\u202e", "manifest.json\n",
    ],
)  # fmt: skip
def test_names_that_are_no_members(name):
    with pytest.raises(UsageError, match=r"a member cannot be called") as caught:
        check_member_name(name)
    assert caught.value.code == ErrorCode.BAD_NAME
    with pytest.raises(UsageError):
        archive_bytes({name: b""})


@pytest.mark.parametrize(
    "name", ["assets/consul", "assets/com10", "assets/a..b", "assets/" + "a" * 100, "reports/a-b_c.json"]
)
def test_names_that_are_members(name):
    assert check_member_name(name) == name


@given(data=st.data())
def test_any_flipped_bit_is_refused(data, tmp_path_factory):
    good = archive_bytes(MEMBERS)
    position = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[position] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("a") / "a.lepton"
    path.write_bytes(bad)
    with pytest.raises(BundleError):
        read_all(path)


def test_every_flipped_byte_and_every_cut_is_refused(tmp_path):
    good = archive_bytes({"assets/a": b"ab", "manifest.json": b"{}"})
    path = tmp_path / "a.lepton"
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0xFF]) + good[position + 1 :])
        with pytest.raises(BundleError):
            read_all(path)
        path.write_bytes(good[:position])
        with pytest.raises(BundleError):
            read_all(path)
        path.write_bytes(good[position + 1 :])
        with pytest.raises(BundleError):
            read_all(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda good: b"", r"its 0 bytes do not end with the end record of a zip .*begin with nothing"),
        (lambda good: good + b"x", r"do not end with the end record"),
        (lambda good: b"\x89PNG\r\n\x1a\n" + good, r"does not reach to its end record"),
        (lambda good: good[:-2] + b"\1\0x", r"do not end with the end record"),
        (lambda good: good[:-14] + b"\7\0" + good[-12:], r"different numbers of members"),
        (lambda good: good[:-14] + b"\1\0\1\0" + good[-10:], r"directory has .* bytes for 1 members"),
        (lambda good: good[:-14] + b"\6\0\6\0" + good[-10:], r"its directory ends within an entry"),
        (lambda good: good[:-14] + b"\4\0\4\0" + good[-10:], r"bytes follow the last entry"),
        (lambda good: good[:-14] + b"\xff\xff\xff\xff" + good[-10:], r"holds 65535 members. Wanted: at most 10000"),
    ],
)  # fmt: skip
def test_ends_that_are_refused(make, message, tmp_path):
    path = tmp_path / "a.lepton"
    path.write_bytes(make(archive_bytes(MEMBERS)))
    with pytest.raises(BundleError, match=message) as caught, open_archive(path):
        pass
    assert caught.value.code in {ErrorCode.BUNDLE_DAMAGED, ErrorCode.BUNDLE_UNSAFE}
    assert str(caught.value).startswith("'a.lepton' is not a bundle as Lepton writes it: ")
    assert str(tmp_path) not in str(caught.value)


def patched(name: bytes, field: str, value: int) -> bytes:
    """The archive with one field changed in both headers of a member."""
    data = bytearray(archive_bytes(MEMBERS))
    central = data.rindex(name) - 46
    local = data.index(name) - 30
    places = {
        "version": (4, 6, "<H"),
        "flags": (6, 8, "<H"),
        "method": (8, 10, "<H"),
        "time": (10, 12, "<H"),
        "date": (12, 14, "<H"),
        "stored size": (18, 20, "<L"),
    }
    first, second, kind = places[field]
    struct.pack_into(kind, data, local + first, value)
    struct.pack_into(kind, data, central + second, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("flags", 1),
        ("flags", 8),
        ("flags", 0x800),
        ("method", 8),
        ("version", 45),
        ("time", 5),
        ("date", 0x5B75),
        ("stored size", 99),
    ],
)
def test_fields_that_are_refused_are_named(field, value, tmp_path):
    path = tmp_path / "a.lepton"
    path.write_bytes(patched(b"model.onnx", field, value))
    with (
        pytest.raises(BundleError, match=f"the {field} of its member model.onnx is {value}") as caught,
        open_archive(path),
    ):
        pass
    assert caught.value.code == ErrorCode.BUNDLE_UNSAFE


def test_padding_hides_nothing(tmp_path):
    data = bytearray(archive_bytes(MEMBERS))
    local = data.index(b"model.onnx")
    data[local + 10 + 6] = 1
    path = tmp_path / "a.lepton"
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"the name or the padding of its member model.onnx"), open_archive(path):
        pass


@pytest.mark.parametrize(
    "name", [b"../aa/bb.txt", b"/etc/passwds", b"assets\\a.txt", b"assets/a.tx\0", b"ASSETS/a.txt", b"assets/a.tx\xff"]
)
def test_foreign_names_are_refused(name, tmp_path):
    path = tmp_path / "a.lepton"
    path.write_bytes(archive_bytes(MEMBERS).replace(b"assets/a.txt", name))
    with pytest.raises(BundleError, match=r"it has a member called") as caught, open_archive(path):
        pass
    assert caught.value.code == ErrorCode.BUNDLE_UNSAFE


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (b"assets/b.bin", "two members called assets/b.bin"),
        (b"assets/z.bin", "its member assets/b.bin stands after assets/z.bin"),
    ],
)
def test_order_and_doubles(name, message, tmp_path):
    path = tmp_path / "a.lepton"
    path.write_bytes(archive_bytes(MEMBERS).replace(b"assets/a.txt", name))
    with pytest.raises(BundleError, match=message), open_archive(path):
        pass


def test_a_size_beyond_the_file_is_refused_before_anything_is_read(tmp_path):
    data = bytearray(archive_bytes(MEMBERS))
    for place in (data.index(b"model.onnx") - 30 + 18, data.rindex(b"model.onnx") - 46 + 20):
        struct.pack_into("<2L", data, place, 0xFFFFFFF0, 0xFFFFFFF0)
    path = tmp_path / "a.lepton"
    path.write_bytes(data)
    with (
        pytest.raises(BundleError, match=r"model.onnx claims 4294967280 bytes, more than the file holds"),
        open_archive(path),
    ):
        pass


def test_damaged_data_are_told_when_they_are_read(tmp_path):
    path = tmp_path / "a.lepton"
    path.write_bytes(archive_bytes(MEMBERS).replace(b"x" * 100, b"x" * 99 + b"y"))
    with open_archive(path) as archive, pytest.raises(BundleError, match=r"model.onnx has the checksum") as caught:
        archive.sha256("model.onnx")
    assert caught.value.code == ErrorCode.BUNDLE_DAMAGED


def test_a_file_that_is_cut_while_it_is_read(tmp_path):
    path = tmp_path / "a.lepton"
    path.write_bytes(archive_bytes({"model.onnx": b"x" * 3_000_000}))
    with open_archive(path) as archive:
        chunks = archive.chunks("model.onnx")
        next(chunks)
        with path.open("rb+") as file:
            file.truncate(2**20)
        with pytest.raises(BundleError, match=r"the file ends .* before its member model.onnx does"):
            list(chunks)


def test_limits(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"got 10001 members"):
        archive_bytes({f"assets/{i}": b"" for i in range(10_001)})
    path = tmp_path / "a.lepton"
    path.write_bytes(archive_bytes(MEMBERS))
    with (
        open_archive(path) as archive,
        pytest.raises(BundleError, match=r"model.onnx has 100 bytes. Wanted: at most 99"),
    ):
        archive.read("model.onnx", limit=99)
    monkeypatch.setattr(room, "_MAX_FILE", len(archive_bytes(MEMBERS)) - 1)
    with pytest.raises(UsageError, match=r"4 GiB or more.*format 1 has no zip64"):
        archive_bytes(MEMBERS)


def test_many_members_open_quickly(tmp_path, stopwatch):
    path = tmp_path / "a.lepton"
    members = {f"assets/{i}": b"1" for i in range(room.MAX_MEMBERS)}
    path.write_bytes(archive_bytes(members))
    with stopwatch(2.0):
        assert read_all(path) == dict(sorted(members.items()))


def test_a_known_index_is_taken_over_while_the_file_is_the_same(tmp_path, monkeypatch):
    path = tmp_path / "a.lepton"
    path.write_bytes(archive_bytes(MEMBERS))
    with open_archive(path) as archive:
        index = archive.index
    with monkeypatch.context() as patch:
        patch.setattr(room, "_read_index", lambda file: pytest.fail("the index was read again"))
        with open_archive(path, known=index) as archive:
            assert archive.read("model.onnx") == MEMBERS["model.onnx"]
    write_bytes(path, archive_bytes(MEMBERS | {"assets/c": b"c"}))
    with open_archive(path, known=index) as archive:
        assert archive.read("assets/c") == b"c"


def test_no_file_and_no_regular_file(tmp_path):
    with pytest.raises(DataError, match=r"there is no file") as caught, open_archive(tmp_path / "a.lepton"):
        pass
    assert caught.value.code == ErrorCode.NOT_FOUND
    with pytest.raises(DataError, match=r"is a folder"), open_archive(tmp_path):
        pass
