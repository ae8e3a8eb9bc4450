"""Trust lists: a text file of public keys, one a line; a line that cannot be read spoils the whole list."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from lepton.core import ErrorCode, SecurityError, printable
from lepton.security.key_files import read_text
from lepton.security.keys import PUBLIC_FORM, PublicKey

__all__ = ["TrustList", "TrustedKey", "read_trusted"]

_MAX_LIST = 1_000_000
_UNTIL = "until="


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key that is trusted, and until when.

    Attributes:
        key: the key.
        until: last day (UTC) on which it is trusted, whatever date its signatures bear; None for no end.
    """

    key: PublicKey
    until: date | None = None

    def trusted_on(self, day: date) -> bool:
        """Whether the key is trusted on `day`."""
        return self.until is None or day <= self.until


class TrustList:
    """Keys that are trusted, found by their ids.

    >>> TrustList([]).find("0123456789abcdef") is None
    True
    """

    def __init__(self, keys: Iterable[TrustedKey]) -> None:
        """Raise `SecurityError` `BAD_KEY` for a key that stands twice: one line could say less than the other."""
        self._keys: dict[str, TrustedKey] = {}
        for trusted in keys:
            if (earlier := self._keys.get(trusted.key.key_id)) is not None:
                raise SecurityError(
                    ErrorCode.BAD_KEY,
                    f"the key {trusted.key} stands twice, the other time as {earlier.key}",
                    fix="keep one of the two lines",
                )
            self._keys[trusted.key.key_id] = trusted

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key_id: str) -> TrustedKey | None:
        """The key of that id, expired or not; None if it is not in the list."""
        return self._keys.get(key_id)


def read_trusted(path: str | os.PathLike[str]) -> TrustList:
    """Read a trust list: lines `lepton-ed25519 BASE64 [until=YYYY-MM-DD] NAME`, blank ones, and comments after `#`.

    The lines of `.pub` files are such lines: `cat *.pub > trusted.keys` makes a list.

    Raises:
        SecurityError: `BAD_KEY`: a line that cannot be read, no key, a key twice, a file that everybody can change.
        DataError: there is no such file, or it is not a regular file.
    """
    shown = f"'{printable(Path(path).name)}'"
    keys = []
    for number, line in enumerate(read_text(path, _MAX_LIST).split("\n"), 1):
        text = line.strip(" \t\r")
        if not text or text.startswith("#"):
            continue
        try:
            keys.append(_parse(text))
        except SecurityError as error:
            raise SecurityError(
                ErrorCode.BAD_KEY, f"line {number} of {shown}: {error.came}", wanted=error.wanted, fix=error.fix
            ) from None
    if not keys:
        raise SecurityError(ErrorCode.BAD_KEY, f"{shown} names no key", wanted=f"lines of {PUBLIC_FORM}")
    return TrustList(keys)


def _parse(line: str) -> TrustedKey:
    algorithm, encoded, rest = [*line.split(" ", 2), "", ""][:3]
    option, _, name = rest.partition(" ")
    if not option.startswith(_UNTIL):
        return TrustedKey(PublicKey.from_text(line))
    try:
        until = date.fromisoformat(option.removeprefix(_UNTIL))
    except ValueError:
        raise SecurityError(
            ErrorCode.BAD_KEY, f"a key is trusted {printable(option)}", wanted="until=YYYY-MM-DD"
        ) from None
    return TrustedKey(PublicKey.from_text(f"{algorithm} {encoded} {name}"), until)
