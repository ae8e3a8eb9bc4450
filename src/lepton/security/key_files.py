"""Key files: made once and never replaced; a private one only its owner can read, or it is not used."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from lepton.core import ErrorCode, LeptonError, SecurityError, printable
from lepton.security.keys import PUBLIC_FORM, PrivateKey, PublicKey
from lepton.security.pkcs8 import encrypt_pkcs8, to_pem
from lepton.store import open_read, write_new

__all__ = ["PUBLIC_SUFFIX", "read_private_key", "read_public_key", "read_text", "write_key_pair"]

PUBLIC_SUFFIX = ".pub"
"""What the public key's file is called, behind the name of the private one's."""

_MAX_KEY_FILE = 16_384
_MAX_PASSPHRASE = 1_000  # bytes; OpenSSL reads no longer ones
_OTHERS_READ = stat.S_IRWXG | stat.S_IRWXO
_UNREADABLE = (ValueError, UnsupportedAlgorithm, InternalError)  # the last: a key of 32 bytes that says it is X448
_PRIVATE_PEM = b"PRIVATE KEY-----"

PathLike = str | os.PathLike[str]
Passphrase = str | Callable[[], str]


def write_key_pair(key: PrivateKey, path: PathLike, name: str, *, passphrase: str | None = None) -> PublicKey:
    """Write `key` to `path`, readable by this user alone, and its public half to `path` + `.pub`.

    Args:
        key: a new key.
        path: file of the private key (PEM, PKCS #8); neither file may be there yet.
        name: by which others shall know the key.
        passphrase: to encrypt the private key with; None for no encryption.

    Raises:
        UsageError: a file is there already, or the name cannot be used.
        SecurityError: `BAD_KEY`, for a passphrase that is empty or too long.
        StoreError: the disk refuses; neither file is left.
    """
    public = key.public(name)
    secret = key.to_pkcs8()
    if passphrase is None:
        pem = to_pem(secret, "PRIVATE KEY")
    else:
        pem = to_pem(encrypt_pkcs8(secret, _passphrase_bytes(passphrase)), "ENCRYPTED PRIVATE KEY")
    public_path = Path(f"{os.fspath(path)}{PUBLIC_SUFFIX}")
    write_new(public_path, f"{public.to_text()}\n".encode())
    try:
        write_new(path, pem, private=True)
    except BaseException:
        public_path.unlink()
        raise
    return public


def read_private_key(path: PathLike, *, passphrase: Passphrase | None = None) -> PrivateKey:
    """Read an Ed25519 private key in PEM (PKCS #8), from a file that nobody else may read.

    Args:
        path: the file. A link is followed; what counts are the permissions of the file that is opened.
        passphrase: a text, or a function that gives it; used only if the key is encrypted.

    Raises:
        SecurityError: `BAD_KEY`: others can read the file, or it holds no such key, or the passphrase is wrong.
        DataError: there is no such file, or it is not a regular file.
    """
    data, mode = _read(path, _MAX_KEY_FILE)
    if os.name == "posix" and mode & _OTHERS_READ:
        raise SecurityError(
            ErrorCode.BAD_KEY,
            f"the private key {_shown(path)} can be read or changed by others: its mode is {stat.S_IMODE(mode):04o}",
            wanted="0600",
            fix=f"chmod 600 {shlex.quote(_plain(path))}, and make a new key if others may have read it",
        )
    try:
        key = _load_private(data, passphrase, path)
    except _UNREADABLE:
        raise _not_a_key(path, "an Ed25519 private key in PEM, as lepton bundle key writes it") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _other_algorithm(path, key)
    return PrivateKey(key)


def read_public_key(path: PathLike) -> PublicKey:
    """Read an Ed25519 public key: the one line of a `.pub` file, or PEM as other tools write it.

    Raises:
        SecurityError: `BAD_KEY`: the file holds something else, or everybody can change it.
        DataError: there is no such file, or it is not a regular file.
    """
    text = read_text(path, _MAX_KEY_FILE)
    if not text.startswith("-----BEGIN"):
        try:
            return PublicKey.from_text(text.removesuffix("\n").removesuffix("\r"))
        except SecurityError as error:
            raise SecurityError(
                ErrorCode.BAD_KEY, f"{_shown(path)}: {error.came}", wanted=error.wanted, fix=error.fix
            ) from None
    data = text.encode()
    if _PRIVATE_PEM in data:
        raise SecurityError(
            ErrorCode.BAD_KEY,
            f"{_shown(path)} is a private key, which nobody should hand around",
            wanted=f"the public one: the file whose name ends with {PUBLIC_SUFFIX}",
        )
    try:
        key = load_pem_public_key(data)
    except _UNREADABLE:
        raise _not_a_key(path, f"an Ed25519 public key: {PUBLIC_FORM}, or PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise _other_algorithm(path, key)
    return PublicKey(key.public_bytes_raw())


def read_text(path: PathLike, limit: int) -> str:
    """A text of at most `limit` bytes that trust hangs on, from a file that not everybody may change.

    Raises:
        SecurityError: `BAD_KEY`: too large, not UTF-8, or everybody can change it.
        DataError: there is no such file, or it is not a regular file.
    """
    data, mode = _read(path, limit)
    if os.name == "posix" and mode & stat.S_IWOTH:
        raise SecurityError(
            ErrorCode.BAD_KEY,
            f"everybody can change {_shown(path)}: its mode is {stat.S_IMODE(mode):04o}",
            fix=f"read what it says, then chmod o-w {shlex.quote(_plain(path))}",
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise _not_a_key(path, f"text in UTF-8: {PUBLIC_FORM}") from None


def _read(path: PathLike, limit: int) -> tuple[bytes, int]:
    """The data and the mode of one and the same file, whatever happens to its name meanwhile."""
    with open_read(path) as file:
        mode = os.fstat(file.fileno()).st_mode
        data = file.read(limit + 1)
    if len(data) > limit:
        raise SecurityError(
            ErrorCode.BAD_KEY, f"{_shown(path)} has more than {limit} bytes", wanted="a file of keys, which is small"
        )
    return data, mode


def _load_private(data: bytes, passphrase: Passphrase | None, path: PathLike) -> object:
    try:
        return load_pem_private_key(data, None)
    except TypeError:  # what the library says of an encrypted key
        if passphrase is None:
            raise SecurityError(
                ErrorCode.BAD_KEY, f"the private key {_shown(path)} is encrypted", wanted="its passphrase"
            ) from None
    given = _passphrase_bytes(passphrase if isinstance(passphrase, str) else passphrase())
    try:
        return load_pem_private_key(data, given)
    except ValueError:
        raise SecurityError(
            ErrorCode.BAD_KEY, f"the private key {_shown(path)} does not open with this passphrase"
        ) from None


def _passphrase_bytes(passphrase: str) -> bytes:
    data = passphrase.encode("utf-8", "surrogateescape")  # bytes of the environment that are no text, as they are
    if not 1 <= len(data) <= _MAX_PASSPHRASE:
        raise SecurityError(
            ErrorCode.BAD_KEY, f"the passphrase has {len(data)} bytes", wanted=f"1 to {_MAX_PASSPHRASE}"
        )
    return data


def _not_a_key(path: PathLike, wanted: str) -> LeptonError:
    return SecurityError(ErrorCode.BAD_KEY, f"{_shown(path)} holds no key that can be read", wanted=wanted)


def _other_algorithm(path: PathLike, key: object) -> LeptonError:
    kind = type(key).__name__.removesuffix("PrivateKey").removesuffix("PublicKey")
    return SecurityError(
        ErrorCode.BAD_KEY,
        f"{_shown(path)} holds a key for {kind}",
        wanted="one for Ed25519",
        fix="lepton bundle key -o NEW.key",
    )


def _plain(path: PathLike) -> str:
    return Path(path).name if Path(path).is_absolute() else os.fspath(path)


def _shown(path: PathLike) -> str:
    return f"'{printable(_plain(path))}'"
