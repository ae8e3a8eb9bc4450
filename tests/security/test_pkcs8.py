"""Encrypted keys are the PKCS #8 that others read."""

from __future__ import annotations

import base64
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key
from hypothesis import given, settings, strategies as st

from lepton.security import PrivateKey
from lepton.security.pkcs8 import encrypt_pkcs8, to_pem


@settings(max_examples=3)
@given(st.binary(min_size=1, max_size=1000))
def test_a_library_of_others_opens_it(passphrase):
    key = PrivateKey.generate()
    sealed = encrypt_pkcs8(key.to_pkcs8(), passphrase)
    opened = load_der_private_key(sealed, passphrase)
    assert isinstance(opened, Ed25519PrivateKey)
    assert PrivateKey(opened).key_id == key.key_id
    with pytest.raises(ValueError, match="password"):
        load_der_private_key(sealed, passphrase + b"x")


def test_nothing_is_the_same_twice_and_nothing_of_the_secret_is_there():
    secret = PrivateKey.generate().to_pkcs8()
    first, second = (encrypt_pkcs8(secret, b"passphrase") for _ in range(2))
    assert first[-64:] != second[-64:]
    assert secret[-32:] not in first
    assert b"passphrase" not in first


def test_pem_has_lines_of_64():
    pem = to_pem(bytes(100), "PRIVATE KEY").decode()
    first, *lines, last = pem.splitlines()
    assert (first, last) == ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----")
    assert [len(line) for line in lines] == [64, 64, 8]
    assert base64.b64decode("".join(lines)) == bytes(100)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="OpenSSL's command is not on this machine")
@pytest.mark.parametrize("passphrase", [None, "correct horse"])
def test_openssl_reads_it_and_gives_the_same_public_key(tmp_path, passphrase):
    key = PrivateKey.generate()
    if passphrase is None:
        pem = to_pem(key.to_pkcs8(), "PRIVATE KEY")
    else:
        pem = to_pem(encrypt_pkcs8(key.to_pkcs8(), passphrase.encode()), "ENCRYPTED PRIVATE KEY")
    load_pem_private_key(pem, passphrase and passphrase.encode())
    (tmp_path / "my.key").write_bytes(pem)
    command = ["openssl", "pkey", "-in", tmp_path / "my.key", "-passin", f"pass:{passphrase}", "-pubout"]
    done = subprocess.run([*command, "-outform", "DER"], capture_output=True, check=True)
    assert done.stdout[-32:] == key.public().raw
