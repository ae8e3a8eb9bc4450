"""Archives, friendly and hostile."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from lepton.core import DataError, ErrorCode, Work
from lepton.store import archives
from lepton.store.archives import ARCHIVE_NAME, unpack_archive

FILES = {"a/1.txt": b"one", "b/2.txt": b"two" * 1_000, "empty": b""}


def zipped(path: Path, files, method=zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, data)
    return path


def tarred(path: Path, files, mode="w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def unpack(path, tmp_path, limit=10**9):
    folder = tmp_path / "out"
    folder.mkdir()
    record = unpack_archive(path, folder, limit, Work())
    return record, {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_gives_its_files(tmp_path, mode):
    record, found = unpack(tarred(tmp_path / "x.tar", FILES, mode), tmp_path)
    assert found == FILES
    assert (record.files, record.size, record.left_out) == (3, 3_003, 0)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_gives_its_files(tmp_path, method):
    assert unpack(zipped(tmp_path / "x.zip", FILES, method), tmp_path)[1] == FILES


@pytest.mark.parametrize("make", [zipped, tarred])
@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "C:/x", "..\\x", "a\\..\\..\\x", ".", "//x"])
def test_a_name_that_leads_out_is_refused(tmp_path, make, name):
    path = make(tmp_path / "evil", {"ok": b"1", name: b"2"})
    with pytest.raises(DataError, match="leads out of it") as caught:
        unpack(path, tmp_path)
    assert caught.value.code is ErrorCode.UNREADABLE
    assert {p.name for p in tmp_path.iterdir()} == {"evil", "out"}


def test_links_and_devices_are_never_made(tmp_path):
    members = []
    for kind, name in ((tarfile.SYMTYPE, "s"), (tarfile.LNKTYPE, "l"), (tarfile.FIFOTYPE, "f"), (tarfile.CHRTYPE, "c")):
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        members.append((member, b""))
    record, found = unpack(tarred(tmp_path / "x.tar", [*members, ("s2", b"1")]), tmp_path)
    assert found == {"s2": b"1"}
    assert record.left_out == 4
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    (tmp_path / "more").mkdir()
    record, found = unpack(zipped(tmp_path / "x.zip", [(link, "/etc/passwd"), ("a", b"1")]), tmp_path / "more")
    assert (found, record.left_out) == ({"a": b"1"}, 1)


def test_a_file_cannot_be_written_through_a_link_of_the_archive(tmp_path):
    link = tarfile.TarInfo("d")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
    _, found = unpack(tarred(tmp_path / "x.tar", [(link, b""), ("d/escaped", b"1")]), tmp_path)
    assert found == {"d/escaped": b"1"}
    assert not (tmp_path / "escaped").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_name_that_stands_twice_is_refused(tmp_path, make):
    with pytest.raises(DataError, match="holds 'a' twice"):
        unpack(make(tmp_path / "x", [("a", b"1"), ("a", b"2")]), tmp_path)


@pytest.mark.parametrize("make", [zipped, lambda path, files: tarred(path, files, "w:gz")])
def test_a_bomb_is_refused(tmp_path, make):
    path = make(tmp_path / "x", {f"{n}": bytes(40 * 2**20) for n in range(4)})
    with pytest.raises(DataError, match="unpacks from"):
        unpack(path, tmp_path)


@pytest.mark.parametrize("make", [zipped, tarred])
def test_bounds_of_size_and_number(tmp_path, make, monkeypatch):
    path = make(tmp_path / "x", FILES)
    with pytest.raises(DataError, match=r"unpacks to more than .*max_download"):
        unpack(path, tmp_path, limit=3_002)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    (tmp_path / "more").mkdir()
    with pytest.raises(DataError, match="more than 2 files"):
        unpack(path, tmp_path / "more")


def test_names_that_no_disk_takes(tmp_path):
    for number, name in enumerate(["x" * 256, "/".join(["a"] * 65)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(DataError, match="no disk takes"):
            unpack(zipped(folder / "x.zip", {name: b"1"}), folder)


@pytest.mark.parametrize("make", [zipped, tarred, lambda path, files: tarred(path, files, "w:gz")])
def test_a_cut_archive_is_refused(tmp_path, make):
    path = make(tmp_path / "x", {"a": bytes(range(256)) * 400})
    path.write_bytes(path.read_bytes()[:-20_000] if path.stat().st_size > 30_000 else path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"x (is damaged|ends within)") as caught:
        unpack(path, tmp_path)
    assert caught.value.code is ErrorCode.UNREADABLE


def test_what_is_no_archive(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"hello" * 1_000)
    with pytest.raises(DataError, match=r"x\.zip is damaged, or no archive"):
        unpack(tmp_path / "x.zip", tmp_path)


def test_damage_within_a_member_is_found_by_its_sum(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a": b"abcdefgh" * 100}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(b"abcdefgh") + 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged at 'a': Bad CRC-32"):
        unpack(path, tmp_path)


def test_an_encrypted_zip_is_refused(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a": b"1"})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="encrypted"):
        unpack(path, tmp_path)


def test_a_header_that_claims_gigabytes_is_refused(tmp_path):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**31
    (tmp_path / "x.tar").write_bytes(header.tobuf() + bytes(10_000))
    with pytest.raises(DataError, match=r"a header of 2,147,483,648 bytes"):
        unpack(tmp_path / "x.tar", tmp_path)


def test_a_stop_is_heard(tmp_path):
    work = Work()
    work.cancel.set()
    with pytest.raises(Exception, match="asked to stop"):
        unpack_archive(zipped(tmp_path / "x.zip", FILES), tmp_path, 10**6, work)


def test_names_of_archives():
    assert all(map(ARCHIVE_NAME.match, ["a.zip", "A.TAR", "a.tar.gz", "b.tgz", "c.tar.zst"]))
    assert not any(map(ARCHIVE_NAME.match, ["a.csv.gz", "zip", ".zip", "a.zip.csv"]))
