"""Where connections come from: an address that is listened on, or another process that hands them over."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Door", "HandedOver", "Listening", "hand_over", "take_waiting"]

Connect = Callable[[], asyncio.Protocol]

_BACKLOG = 2048
_AT_ONCE = 64
_HANDSHAKE_SECONDS = 10.0


class Door(Protocol):
    """Lets connections in.

    Attributes:
        port: that peers connect to; 0 where another process knows it.
    """

    port: int

    async def open(self, connect: Connect, tls: ssl.SSLContext | None = None) -> None:
        """Let them in from now on.

        Args:
            connect: makes the protocol of each.
            tls: how they speak TLS; None speaks plainly.
        """

    async def close(self) -> None:
        """Let those in that wait already, and no more."""


class Listening:
    """An address of this process.

    Args:
        address: bound.
    """

    def __init__(self, address: socket.socket) -> None:
        self._address = address
        name = address.getsockname()
        self.port = int(name[1]) if isinstance(name, tuple) else 0
        self._server: asyncio.Server | None = None
        self._connect: Connect | None = None
        self._secured: dict[str, Any] = {}

    async def open(self, connect: Connect, tls: ssl.SSLContext | None = None) -> None:
        """See `Door`."""
        loop = asyncio.get_running_loop()
        self._connect, self._secured = connect, _secured(tls)
        create = loop.create_unix_server if self._address.family is socket.AF_UNIX else loop.create_server
        self._server = await create(connect, sock=self._address, backlog=_BACKLOG, **self._secured)

    async def close(self) -> None:
        """See `Door`: closing the address would reset the connections that the kernel has made already."""
        if self._server is None or self._connect is None:
            return
        waiting = take_waiting(self._address)
        await asyncio.gather(*(_admit(self._connect, connection, self._secured) for connection in waiting))
        self._server.close()


class HandedOver:
    """Connections that another process takes up and hands over.

    Args:
        source: a datagram socket; each datagram brings one connection.

    Attributes:
        num_admitted: how many connections came so far, but for those that are still being set up.
    """

    def __init__(self, source: socket.socket) -> None:
        source.setblocking(False)
        self.port = self.num_admitted = 0
        self._source = source
        self._tasks: set[asyncio.Task[None]] = set()
        self._connect: Connect | None = None
        self._secured: dict[str, Any] = {}

    async def open(self, connect: Connect, tls: ssl.SSLContext | None = None) -> None:
        """See `Door`."""
        self._connect, self._secured = connect, _secured(tls)
        asyncio.get_running_loop().add_reader(self._source, self._take, connect)

    async def close(self) -> None:
        """See `Door`."""
        if self._connect is None:
            return
        self._take(self._connect)
        asyncio.get_running_loop().remove_reader(self._source)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._source.close()

    def _take(self, connect: Connect) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while True:
                data, files, _, _ = socket.recv_fds(self._source, 1, _AT_ONCE)
                if not data:
                    return
                for file in files:
                    connection = socket.socket(fileno=file)
                    connection.setblocking(False)
                    task = loop.create_task(_admit(connect, connection, self._secured))
                    self._tasks.add(task)
                    task.add_done_callback(self._admitted)

    def _admitted(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.num_admitted += 1


def _secured(tls: ssl.SSLContext | None) -> dict[str, Any]:
    return {} if tls is None else {"ssl": tls, "ssl_handshake_timeout": _HANDSHAKE_SECONDS}


async def _admit(connect: Connect, connection: socket.socket, secured: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the peer is gone already, or does not speak TLS
        await asyncio.get_running_loop().connect_accepted_socket(connect, connection, **secured)


def hand_over(destination: socket.socket, connection: socket.socket) -> bool:
    """Hand a connection to the process that holds the other end of `destination`; whether it could be."""
    try:
        socket.send_fds(destination, [b"c"], [connection.fileno()], socket.MSG_DONTWAIT)
    except OSError:  # it is gone, or has more than it takes up
        return False
    return True


def take_waiting(address: socket.socket) -> list[socket.socket]:
    """Connections to an address that wait to be taken up."""
    taken: list[socket.socket] = []
    with contextlib.suppress(OSError):  # none waits any more, or the peer has gone already
        while len(taken) < _BACKLOG:
            taken.append(address.accept()[0])
    return taken
