"""Ports of this machine, bound, or refused in words that help."""

from __future__ import annotations

import errno
import socket

from lepton.core import ErrorCode, ServingError, UsageError, printable

__all__ = ["authority", "bind_port", "check_port"]


def authority(host: str, port: int) -> str:
    """`host:port`, as addresses write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_port(port: int) -> None:
    """Raise `UsageError` for a number that is no port: the system would take it modulo 65,536."""
    if not 0 <= port <= 65_535:
        raise UsageError(ErrorCode.BAD_SETTING, f"got the port {port}", wanted="0 to 65535")


def bind_port(host: str, port: int, *, option: str = "--port", shared: bool = False) -> socket.socket:
    """A socket that is bound to a port and does not block; port 0 takes a free one.

    Args:
        host: name or address of this machine.
        port: to bind.
        option: that sets the port, for what is said where it is taken.
        shared: whether other processes of this user bind the same port, among which the kernel divides connections.

    Raises:
        UsageError: an address that is none of this machine.
        ServingError: ADDRESS_IN_USE.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _unusable(host, port, error) from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise ServingError(
                ErrorCode.ADDRESS_IN_USE,
                f"something else listens on {host}:{port}",
                fix=f"stop it, or choose another {option}; port 0 takes a free one",
            ) from None
        raise _unusable(host, port, error) from None
    return bound


def _unusable(host: str, port: int, error: OSError) -> UsageError:
    return UsageError(
        ErrorCode.BAD_SETTING,
        f"the address {printable(host)}:{port} cannot be bound: {error.strerror or error}",
        wanted="an address of this machine, and a port from 1024 on where you are not root",
    )
