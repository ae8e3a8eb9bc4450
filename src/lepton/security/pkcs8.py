"""Private keys as PEM: PKCS #8 (RFC 5958), under a passphrase where there is one (RFC 8018, RFC 7914).

The `cryptography` library reads keys under scrypt but writes PBKDF2 with 2,048 rounds only, which tries 3,000
passphrases a second; so the 100 bytes around the cipher are written here (decision 0092).
"""

from __future__ import annotations

import base64
import hashlib
import os
import textwrap

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

__all__ = ["encrypt_pkcs8", "to_pem"]

# 16 MiB and five passes: the same work as 128 MiB in one, and within what OpenSSL allows itself when it reads.
_COST, _BLOCK, _PASSES = 2**14, 8, 5
_MAX_MEMORY = 64 * 2**20

_INTEGER, _OCTETS, _OBJECT, _SEQUENCE = 0x02, 0x04, 0x06, 0x30
_PBES2 = bytes.fromhex("2a864886f70d01050d")  # 1.2.840.113549.1.5.13
_SCRYPT = bytes.fromhex("2b06010401da47040b")  # 1.3.6.1.4.1.11591.4.11
_AES_256_CBC = bytes.fromhex("60864801650304012a")  # 2.16.840.1.101.3.4.1.42


def encrypt_pkcs8(secret: bytes, passphrase: bytes) -> bytes:
    """`EncryptedPrivateKeyInfo` of the PKCS #8 key `secret` in DER: scrypt, then AES-256-CBC.

    Args:
        secret: an Ed25519 key in DER; 48 bytes.
        passphrase: to open it with.
    """
    salt, start = os.urandom(16), os.urandom(16)
    key = hashlib.scrypt(passphrase, salt=salt, n=_COST, r=_BLOCK, p=_PASSES, maxmem=_MAX_MEMORY, dklen=32)
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(start)).encryptor()
    sealed = encryptor.update(padder.update(secret) + padder.finalize()) + encryptor.finalize()
    numbers = [_der(_INTEGER, number.to_bytes(2, "big").lstrip(b"\0")) for number in (_COST, _BLOCK, _PASSES)]
    derivation = _algorithm(_SCRYPT, _der(_SEQUENCE, _der(_OCTETS, salt), *numbers))
    cipher = _algorithm(_AES_256_CBC, _der(_OCTETS, start))
    return _der(_SEQUENCE, _algorithm(_PBES2, _der(_SEQUENCE, derivation, cipher)), _der(_OCTETS, sealed))


def to_pem(der: bytes, label: str) -> bytes:
    """`der` as PEM under `label` (RFC 7468)."""
    lines = textwrap.wrap(base64.b64encode(der).decode("ascii"), 64)
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode("ascii")


def _algorithm(name: bytes, parameters: bytes) -> bytes:
    return _der(_SEQUENCE, _der(_OBJECT, name), parameters)


def _der(tag: int, *parts: bytes) -> bytes:
    """One value in DER; nothing here has more than 255 bytes."""
    body = b"".join(parts)
    size = bytes([len(body)]) if len(body) < 128 else bytes([0x81, len(body)])
    return bytes([tag]) + size + body
