"""Key files are made once, are readable by their owner only, and hold an Ed25519 key or are refused."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, strategies as st

from lepton.core import DataError, ErrorCode, LeptonError, SecurityError, StoreError, UsageError
from lepton.security import PrivateKey, read_private_key, read_public_key, write_key_pair
from lepton.security.pkcs8 import to_pem
from lepton.store import scratch_folder

CANARY = "canary-7f3a"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(path: str = "my.key", **options: Any) -> PrivateKey:
    key = PrivateKey.generate()
    write_key_pair(key, path, "me", **options)
    return key


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def private_file(path: str, data: bytes) -> str:
    Path(path).write_bytes(data)
    Path(path).chmod(0o600)
    return path


def refusal(read: Any, path: str, **options: Any) -> SecurityError:
    with pytest.raises(SecurityError) as caught:
        read(path, **options)
    assert caught.value.code == ErrorCode.BAD_KEY
    assert str(caught.value).isprintable()
    assert CANARY not in repr(caught.value.to_dict())
    return caught.value


def test_a_pair_is_written_and_read(folder):
    key = make()
    assert names(folder) == ["my.key", "my.key.pub"]
    assert read_private_key("my.key").key_id == key.key_id
    assert read_private_key(folder / "my.key", passphrase="not needed").key_id == key.key_id
    assert read_public_key("my.key.pub") == key.public("me")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_private_key_is_for_its_owner_whatever_the_umask(folder, umask):
    earlier = os.umask(umask)
    try:
        make()
    finally:
        os.umask(earlier)
    assert stat.S_IMODE(Path("my.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(Path("my.key.pub").stat().st_mode) == 0o644 & ~umask
    read_private_key("my.key")


@pytest.mark.parametrize("taken", ["my.key", "my.key.pub"])
@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "folder"])
def test_nothing_is_overwritten(folder, taken, kind):
    if kind == "file":
        Path(taken).write_bytes(b"mine")
    elif kind == "folder":
        Path(taken).mkdir()
    else:
        Path(taken).symlink_to("elsewhere")
        if kind == "link":
            Path("elsewhere").write_bytes(b"mine")
    before = names(folder)
    with pytest.raises((UsageError, DataError)) as caught:
        make()
    assert "my.key" in str(caught.value)
    assert names(folder) == before
    if kind in ("file", "link"):
        assert Path(taken).read_bytes() == b"mine"


def test_a_disk_that_fails_leaves_neither_file(folder, monkeypatch):
    written = []

    def fsync(handle):
        written.append(handle)
        if len(written) == 3:  # the public file, its folder, then the private file
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError) as caught:
        make()
    assert caught.value.code == ErrorCode.STORE_FULL
    assert names(folder) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o666, 0o601])
def test_a_key_that_others_can_read_is_not_used(folder, mode):
    make("my key")
    Path("my key").chmod(mode)
    error = refusal(read_private_key, "my key")
    assert f"its mode is {mode:04o}" in str(error)
    assert "chmod 600 'my key'" in error.fix
    Path("my key").chmod(0o400)
    read_private_key("my key")


def test_a_link_to_a_key_counts_by_the_file_it_leads_to(folder):
    key = make()
    Path("link.key").symlink_to("my.key")
    assert read_private_key("link.key").key_id == key.key_id
    Path("my.key").chmod(0o644)
    refusal(read_private_key, "link.key")


def test_a_passphrase_opens_what_it_closed(folder):
    key = make(passphrase=CANARY)
    text = Path("my.key").read_text()
    assert text.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert read_private_key("my.key", passphrase=CANARY).key_id == key.key_id
    assert read_private_key("my.key", passphrase=lambda: CANARY).key_id == key.key_id
    assert "is encrypted" in str(refusal(read_private_key, "my.key"))
    assert "does not open" in str(refusal(read_private_key, "my.key", passphrase=CANARY + "x"))
    assert "0 bytes" in str(refusal(read_private_key, "my.key", passphrase=""))
    make("other.key", passphrase="\udcff")  # a byte of the environment that is no UTF-8
    read_private_key("other.key", passphrase="\udcff")


def test_passphrases_that_cannot_be(folder):
    for passphrase in ("", "x" * 1001):
        with pytest.raises(SecurityError, match=f"has {len(passphrase)} bytes"):
            make(passphrase=passphrase)
    assert names(folder) == []


def test_a_passphrase_is_asked_for_only_where_one_is_needed(folder):
    make()
    read_private_key("my.key", passphrase=lambda: pytest.fail("asked"))


def foreign_keys() -> dict[str, Any]:
    return {
        "RSA": rsa.generate_private_key(65537, 2048),
        "EllipticCurve": ec.generate_private_key(ec.SECP256R1()),
        "Ed448": ed448.Ed448PrivateKey.generate(),
        "X25519": x25519.X25519PrivateKey.generate(),
    }


def test_keys_of_other_kinds(folder):
    for key in foreign_keys().values():
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        error = refusal(read_private_key, private_file("a.key", private))
        assert "holds a key for" in str(error)
        assert error.wanted == "one for Ed25519"
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        assert "holds a key for" in str(refusal(read_public_key, private_file("a.pub", public)))


def test_public_keys_of_other_tools(folder):
    key = make()
    raw = key.public().raw
    pem = to_pem(bytes.fromhex("302a300506032b6570032100") + raw, "PUBLIC KEY")
    assert read_public_key(private_file("a.pem", pem)) == key.public()
    line = key.public("me").to_text()
    for end in ("", "\n", "\r\n"):
        assert read_public_key(private_file("a.pub", f"{line}{end}".encode())) == key.public("me")
    for text in (f"{line}\n\n", f"\n{line}", f"{line}\n{line}", f"\ufeff{line}", f"# {line}"):
        refusal(read_public_key, private_file("a.pub", text.encode()))


def test_the_private_key_in_place_of_the_public_one(folder):
    make()
    make("sealed.key", passphrase=CANARY)
    for name in ("my.key", "sealed.key"):
        error = refusal(read_public_key, name)
        assert "is a private key" in str(error)
        assert Path(name).read_text().split("\n")[1] not in str(error)
    refusal(read_private_key, private_file("a.key", Path("my.key.pub").read_bytes()))


def test_a_public_key_that_everybody_can_change(folder):
    make()
    Path("my.key.pub").chmod(0o666)
    assert "chmod o-w my.key.pub" in refusal(read_public_key, "my.key.pub").fix
    Path("my.key.pub").chmod(0o664)
    read_public_key("my.key.pub")


@pytest.mark.parametrize("read", [read_private_key, read_public_key])
def test_files_that_are_no_keys(folder, read):
    cut = to_pem(PrivateKey.generate().to_pkcs8()[:-5], "PRIVATE KEY")
    for data in (b"", b"\0" * 100, b"\xff\xfe", b"-----BEGIN PRIVATE KEY-----", b"-----BEGIN PUBLIC KEY-----\n", cut):
        refusal(read, private_file("a.key", data))
    assert "more than 16384 bytes" in str(refusal(read, private_file("a.key", b"x" * 16_385)))
    private_file("large.key", b"")
    os.truncate("large.key", 10**12)
    refusal(read, "large.key")
    os.mkfifo("fifo.key", 0o600)
    Path("loop.key").symlink_to("loop.key")
    for name in ("fifo.key", "loop.key", ".", "/dev/zero", "no.key"):
        with pytest.raises(DataError):
            read(name)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_key_or_refused(data):
    with scratch_folder() as folder:
        path = folder / "a.key"
        for text in (data, b"-----BEGIN PRIVATE KEY-----\n" + data + b"\n-----END PRIVATE KEY-----\n"):
            path.write_bytes(text)
            path.chmod(0o600)
            for read in (read_private_key, read_public_key):
                with pytest.raises(LeptonError) as caught:
                    read(path, **({"passphrase": "x"} if read is read_private_key else {}))
                assert caught.value.code == ErrorCode.BAD_KEY
                assert str(folder) not in str(caught.value)


def code_of(read: Any, path: Path) -> ErrorCode | None:
    try:
        read(path)
    except LeptonError as error:
        return error.code
    return None


def test_every_flipped_bit_gives_another_key_or_one_clear_error(folder):
    key = PrivateKey(ed25519.Ed25519PrivateKey.from_private_bytes(b"a seed of thirty-two bytes, here"))
    write_key_pair(key, "my.key", "me")
    for name, read in (("my.key", read_private_key), ("my.key.pub", read_public_key)):
        path = Path(name)
        good = path.read_bytes()
        codes = set()
        for bit in range(8 * len(good)):
            raw = bytearray(good)
            raw[bit // 8] ^= 1 << bit % 8
            path.write_bytes(raw)
            codes.add(code_of(read, path))
        assert codes == {None, ErrorCode.BAD_KEY}
