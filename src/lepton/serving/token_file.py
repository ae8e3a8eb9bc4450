"""A token from a file: what deployments hand to a server, since a file is in no list of processes and no log."""

from __future__ import annotations

from pathlib import Path

from lepton.core import ErrorCode, UsageError
from lepton.store.files import open_read

__all__ = ["read_token"]

_SHORTEST, _LONGEST = 16, 4096


def read_token(path: Path) -> str:
    """The token in a file, without the line's end.

    Raises:
        UsageError: it is not one line of 16 to 4,096 visible ASCII characters; what stands there is not repeated.
        DataError: there is no such file.
    """
    with open_read(path) as file:
        data = file.read(_LONGEST + 2)
    token = data.decode("ascii", "replace").strip()
    if not _SHORTEST <= len(token) <= _LONGEST or not all("!" <= letter <= "~" for letter in token):
        raise UsageError(
            ErrorCode.BAD_SETTING,
            f"the token file {path.name} holds no token",
            wanted=f"one line of {_SHORTEST} to {_LONGEST} visible ASCII characters without spaces",
            fix="head -c 32 /dev/urandom | base64 > FILE makes one",
        )
    return token
