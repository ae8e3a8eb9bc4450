"""Keys are Ed25519 as RFC 8032 has it, and show nothing of their secret."""

from __future__ import annotations

import base64
import pickle
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, strategies as st

from lepton.core import ErrorCode, LeptonError, SecurityError, UsageError
from lepton.security import PrivateKey, PublicKey
from lepton.security.keys import parse_base64

# Seed, public key, message and signature of the first three tests of RFC 8032, section 7.1.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]
FIELD = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493


def private_key(seed: bytes) -> PrivateKey:
    return PrivateKey(Ed25519PrivateKey.from_private_bytes(seed))


@pytest.mark.parametrize(("seed", "public", "message", "signature"), VECTORS)
def test_the_vectors_of_the_standard(seed, public, message, signature):
    key = private_key(bytes.fromhex(seed))
    assert key.public().raw.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    key.public().verify(bytes.fromhex(signature), bytes.fromhex(message))


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100), st.data())
def test_a_signature_holds_for_one_message_and_key(seed, message, data):
    key = private_key(seed)
    signature = key.sign(message)
    key.public("me").verify(signature, message)
    bit = data.draw(st.integers(0, 8 * 64 - 1))
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    other = private_key(sha256(seed).digest())
    for public, text, signed in (
        (key.public(), message, bytes(flipped)),
        (key.public(), message + b"x", signature),
        (other.public(), message, signature),
        (key.public(), message, signature[:-1]),
        (key.public(), message, b""),
    ):
        with pytest.raises(SecurityError) as caught:
            public.verify(signed, text)
        assert caught.value.code == ErrorCode.BAD_SIGNATURE


def test_there_is_no_second_signature_with_a_larger_scalar():
    key = PrivateKey.generate()
    signature = key.sign(b"text")
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    with pytest.raises(SecurityError):
        key.public().verify(signature[:32] + scalar.to_bytes(32, "little"), b"text")


def on_curve(y: int) -> list[tuple[int, int]]:
    """The points of the curve -x² + y² = 1 + dx²y² with this y."""
    d = -121665 * pow(121666, -1, FIELD) % FIELD
    square = (y * y - 1) * pow(d * y * y + 1, -1, FIELD) % FIELD
    root = pow(square, (FIELD + 3) // 8, FIELD)
    candidates = {root, root * pow(2, (FIELD - 1) // 4, FIELD) % FIELD}
    return [(sign * x % FIELD, y) for x in candidates if x * x % FIELD == square for sign in (1, -1)]


def doubled(point: tuple[int, int]) -> tuple[int, int]:
    x, y = point
    d = -121665 * pow(121666, -1, FIELD) % FIELD
    t = d * x * x * y * y
    return 2 * x * y * pow(1 + t, -1, FIELD) % FIELD, (y * y + x * x) * pow(1 - t, -1, FIELD) % FIELD


def test_every_point_of_low_order_is_refused():
    order_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
    points = {point for y in (0, 1, FIELD - 1, order_8, FIELD - order_8) for point in on_curve(y)}
    assert len(points) == 8  # the cofactor: there are no others
    for point in points:
        assert doubled(doubled(doubled(point))) == (0, 1)
        for encoded in (point[1], point[1] + FIELD):
            if encoded < 2**255:
                for sign in (0, 1 << 255):
                    with pytest.raises(SecurityError, match="low order") as caught:
                        PublicKey((encoded | sign).to_bytes(32, "little"))
                    assert caught.value.code == ErrorCode.BAD_KEY


def test_ids_and_names():
    key = private_key(bytes(32))
    public = key.public("Ærlig")
    assert public.key_id == key.key_id == sha256(public.raw).hexdigest()[:16]
    assert str(public) == f"Ærlig ({key.key_id})"
    assert str(key.public()) == key.key_id
    assert PublicKey.from_text(public.to_text()) == public
    assert PublicKey.from_text(key.public().to_text()).name == key.key_id
    assert PublicKey.from_text(public.to_text().replace("Æ", "A\u0301")).name == "Árlig"
    for name in ("A\u0301", "a=b", "a\nb", "x" * 129, "\u202e"):
        with pytest.raises(UsageError) as caught:
            key.public(name)
        assert caught.value.code == ErrorCode.BAD_NAME
    with pytest.raises(SecurityError, match="has 31 bytes"):
        PublicKey(bytes(31))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lepton-ed25519",
        "lepton-ed25519 {key}",
        "lepton-ed25519 {key} ",
        "lepton-ed25519  {key} me",
        "ssh-ed25519 {key} me",
        "LEPTON-ED25519 {key} me",
        "lepton-ed25519 {key}AAAA me",
        "lepton-ed25519 {key}\t me",
        "lepton-ed25519 {cut} me",
        "lepton-ed25519 {loose} me",
        "lepton-ed25519 käse me",
        "lepton-ed25519 {zero} me",
        "lepton-ed25519 {key} me\nlepton-ed25519 {key} you",
        "lepton-ed25519 {key} \x1b[31mme",
        "lepton-ed25519 {key} a=b",
    ],
)
def test_lines_that_are_no_public_key(text):
    key = base64.b64encode(PrivateKey.generate().public().raw).decode()
    # Two bits of the last letter are not used; a reader that ignores them takes several texts for one key.
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    loose = key[:42] + letters[letters.index(key[42]) + 1] + "="
    zero = base64.b64encode(bytes(32)).decode()
    with pytest.raises(SecurityError) as caught:
        PublicKey.from_text(text.format(key=key, cut=key[:-4], loose=loose, zero=zero))
    assert caught.value.code == ErrorCode.BAD_KEY
    assert str(caught.value).isprintable()


@given(st.text(max_size=80))
def test_any_text_is_a_key_or_refused(text):
    for line in (text, f"lepton-ed25519 {text}"):
        with pytest.raises(LeptonError):
            PublicKey.from_text(line)


@given(st.binary(max_size=50))
def test_base64_is_read_in_one_way(data):
    text = base64.b64encode(data).decode()
    assert parse_base64(text) == data
    assert parse_base64(f" {text}") is None
    assert parse_base64(f"{text}\n") is None


def test_a_private_key_shows_nothing_of_its_secret():
    seed = b"canary-canary-canary-canary-cana"
    key = private_key(seed)
    assert repr(key) == f"PrivateKey({key.key_id})"
    assert repr(key) == str(key)
    assert not hasattr(key, "__dict__")
    with pytest.raises(TypeError, match="Ed25519PrivateKey"):
        pickle.dumps(key)
    assert seed in key.to_pkcs8()  # the one place that tells it
