"""Ed25519 keys (RFC 8032): a private one that signs, a public one that verifies. No files here."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lepton.core import ErrorCode, LeptonError, SecurityError, UsageError, check_label, printable

__all__ = ["ALGORITHM", "PUBLIC_FORM", "PrivateKey", "PublicKey", "parse_base64"]

ALGORITHM = "lepton-ed25519"
"""First word of a public key in text form."""

PUBLIC_FORM = f"{ALGORITHM} BASE64 NAME"
"""How a public key looks in text form."""

_KEY_BYTES = 32
_FIELD = 2**255 - 19
# The y of the points whose order divides 8, up to the sign: 1, 4 and 8. Any message has a signature that holds under
# such a "key", so whoever trusted it would trust everybody. (Tests compute them from the equation of the curve.)
_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_WEAK = frozenset(sign * y % _FIELD for y in (0, 1, _ORDER_8) for sign in (1, -1))


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key with the name that its owner goes by; the name is a label and proves nothing.

    Attributes:
        raw: the key, 32 bytes.
        name: of the owner; "" where it is not known.

    >>> key = PrivateKey.generate()
    >>> key.public("release").verify(key.sign(b"text"), b"text")

    Raises:
        SecurityError: `BAD_KEY`, for other lengths and for keys under which anybody can sign.
        UsageError: `BAD_NAME`.
    """

    raw: bytes
    name: str = ""

    def __post_init__(self) -> None:
        if len(self.raw) != _KEY_BYTES:
            raise SecurityError(
                ErrorCode.BAD_KEY, f"a public key has {len(self.raw)} bytes", wanted=f"{_KEY_BYTES} bytes"
            )
        if int.from_bytes(self.raw, "little") % 2**255 % _FIELD in _WEAK:
            raise SecurityError(
                ErrorCode.BAD_KEY,
                "the public key is a point of low order, under which anybody can sign",
                fix="distrust whoever gave it to you",
            )
        if self.name and (check_label(self.name, "name of a key") != self.name or "=" in self.name):
            raise UsageError(
                ErrorCode.BAD_NAME,
                f"the name of a key is '{printable(self.name)}'",
                wanted="a name in Unicode normal form C without '=', which trust lists set terms with",
            )

    def __str__(self) -> str:
        return f"{self.name} ({self.key_id})" if self.name else self.key_id

    @property
    def key_id(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the key: a handle to find it by, not a proof."""
        return sha256(self.raw).hexdigest()[:16]

    def verify(self, signature: bytes, data: bytes) -> None:
        """Raise `SecurityError` `BAD_SIGNATURE` unless `signature` is one of `data` by this key."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except InvalidSignature:
            raise SecurityError(
                ErrorCode.BAD_SIGNATURE,
                f"the signature by the key {self} does not hold",
                wanted="a signature of exactly these bytes by this key",
                fix="get the file again from its author; do not use this one",
            ) from None

    def to_text(self) -> str:
        """The key on one line, as `from_text` reads it."""
        return f"{ALGORITHM} {base64.b64encode(self.raw).decode('ascii')} {self.name or self.key_id}"

    @classmethod
    def from_text(cls, line: str) -> PublicKey:
        """Read `lepton-ed25519 BASE64 NAME`; `SecurityError` `BAD_KEY` for anything else."""
        algorithm, _, rest = line.partition(" ")
        encoded, _, name = rest.partition(" ")
        raw = parse_base64(encoded)
        if algorithm != ALGORITHM or raw is None or not name:
            raise SecurityError(ErrorCode.BAD_KEY, "this is not a public key", wanted=PUBLIC_FORM)
        try:
            return cls(raw, check_label(name, "name of a key"))
        except LeptonError as error:
            raise SecurityError(ErrorCode.BAD_KEY, error.came, wanted=error.wanted, fix=error.fix) from None


class PrivateKey:
    """A private key. It shows itself by its id only, and can be neither pickled nor printed."""

    __slots__ = ("_key", "_public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = PublicKey(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> PrivateKey:
        """A new key, from the system's source of randomness."""
        return cls(Ed25519PrivateKey.generate())

    @property
    def key_id(self) -> str:
        """The id of the public key."""
        return self._public.key_id

    def public(self, name: str = "") -> PublicKey:
        """The public key, under the name that others shall know it by."""
        return PublicKey(self._public.raw, name)

    def sign(self, data: bytes) -> bytes:
        """The signature of `data`, 64 bytes: the same each time (RFC 8032 needs no randomness)."""
        return self._key.sign(data)

    def to_pkcs8(self) -> bytes:
        """The secret itself, as PKCS #8 in DER, for whoever writes key files."""
        return self._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def __repr__(self) -> str:
        return f"PrivateKey({self.key_id})"


def parse_base64(text: str) -> bytes | None:
    """What `text` says in base64, or None unless it is the one way of writing that."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    return data if base64.b64encode(data).decode("ascii") == text else None
