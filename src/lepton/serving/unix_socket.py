"""Sockets in the file system, which this machine's callers reach, and of these who may."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path

from lepton.core import ErrorCode, ServingError, UsageError, printable

__all__ = ["bind_unix", "release_unix"]

_OWNER_ALONE = 0o600


def bind_unix(path: Path) -> socket.socket:
    """A socket that is bound to a path, which this user alone may connect to; one that is left over is replaced.

    Raises:
        ServingError: ADDRESS_IN_USE, something listens there.
        UsageError: a path that cannot be bound, or that is a file of another kind.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_left_over(path)
        listening.bind(str(path))
        os.chmod(path, _OWNER_ALONE)  # noqa: PTH101 - nobody can connect before `listen`
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise UsageError(
            ErrorCode.BAD_SETTING,
            f"the path {printable(path.name)} cannot be bound: {error.strerror or error}",
            wanted="a path of at most 107 bytes, in a folder that is there",
        ) from None
    except (ServingError, UsageError):
        listening.close()
        raise
    return listening


def release_unix(path: Path) -> None:
    """Remove the path of a socket that is closed."""
    with contextlib.suppress(OSError):
        path.unlink()


def _remove_left_over(path: Path) -> None:
    """Remove a socket on which nothing listens, as a server leaves it that was killed."""
    try:
        mode = path.stat(follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise UsageError(
            ErrorCode.BAD_SETTING, f"the path {printable(path.name)} is no socket", wanted="a path where nothing is"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass  # it is there, and busy
    raise ServingError(
        ErrorCode.ADDRESS_IN_USE,
        f"something else listens on {printable(path.name)}",
        fix="stop it, or choose another path",
    )
