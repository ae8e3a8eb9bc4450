"""Where a server is reached: HTTP at a port or at a path, and gRPC at a port of its own, with TLS or plainly."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from urllib.parse import quote

from lepton.core import ErrorCode, UsageError
from lepton.serving.address import authority, bind_port, check_port
from lepton.serving.allowances import Allowances
from lepton.serving.grpc_service import GrpcService
from lepton.serving.guard import Guard, is_loopback
from lepton.serving.http import Handler, HttpService, Limits
from lepton.serving.processes.door import Door, Listening
from lepton.serving.tls import Tls
from lepton.serving.unix_socket import bind_unix, release_unix

__all__ = ["Front", "strangers_reach"]


def strangers_reach(host: str, grpc_port: int | None, unix: Path | None, tls: Tls | None) -> bool:
    """Whether callers of other machines who show no certificate reach a server of these addresses."""
    if tls is not None and tls.client_ca is not None:
        return False
    return not is_loopback(host) and (unix is None or grpc_port is not None)


class Front:
    """The addresses of one server, opened and closed together.

    Args:
        host: address to bind.
        port: port to bind for HTTP; 0 takes a free one.
        grpc_port: port to bind for gRPC; 0 takes a free one, None serves HTTP alone.
        unix: path to bind for HTTP in place of a port, for callers of this user alone.
        tls: certificate of the ports; None speaks plainly.

    Attributes:
        service: the connections of HTTP, once it is open.

    Raises:
        UsageError: a number that is no port, a path with a certificate that nothing would use.
        DataError, SecurityError: as `Tls.context`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        grpc_port: int | None = None,
        unix: Path | None = None,
        tls: Tls | None = None,
    ) -> None:
        check_port(port)
        check_port(grpc_port or 0)
        if unix is not None and tls is not None and grpc_port is None:
            raise UsageError(
                ErrorCode.BAD_SETTING,
                "got a path and a certificate",
                wanted="a certificate with a port: who may connect to a path is said by the file system",
            )
        self.host = "127.0.0.1" if host == "localhost" else host
        self.port = port
        self.grpc_port = grpc_port
        self.service: HttpService | None = None
        self._unix = unix
        self._tls = tls
        self._context = None if tls is None else tls.context()
        self._bound: socket.socket | None = None
        self._door: Door | None = None
        self._called: Listening | None = None
        self._calls: GrpcService | None = None

    @property
    def url(self) -> str:
        """Address of HTTP, with the port that it has."""
        if self._unix is not None:
            return f"http+unix://{quote(str(self._unix), safe='')}"
        return f"{'http' if self._tls is None else 'https'}://{authority(self.host, self.port)}"

    @property
    def grpc_address(self) -> str | None:
        """Address of gRPC, as its clients write it."""
        return None if self.grpc_port is None else authority(self.host, self.grpc_port)

    def guard(self, token: str | None, *, insecure_no_token: bool, allowances: Allowances | None = None) -> Guard:
        """Who may call; see `Guard`."""
        return Guard(
            self.host,
            token,
            insecure_no_token=insecure_no_token,
            allowances=allowances,
            unix=self._unix is not None,
            scheme="http" if self._tls is None else "https",
            strangers=strangers_reach(self.host, self.grpc_port, self._unix, self._tls),
        )

    async def open(self, handler: Handler, limits: Limits, handed: Door | None = None) -> HttpService:
        """Let connections in, on the loop that runs; gives those of HTTP.

        Args:
            handler: answers requests.
            limits: what peers may take.
            handed: where connections of HTTP come from in place of the address, in one of several processes, which
                share the port of gRPC.

        Raises:
            UsageError: an address that cannot be bound.
            ServingError: ADDRESS_IN_USE.
            MissingExtraError: the library of gRPC is not installed.
        """
        loop = asyncio.get_running_loop()
        service = HttpService(handler, limits, loop)
        if self.grpc_port is not None:
            calls = GrpcService(handler, limits, loop, service.pulse)
            called = Listening(bind_port(self.host, self.grpc_port, option="--grpc-port", shared=handed is not None))
            self.grpc_port, self._calls, self._called = called.port, calls, called
            await called.open(calls.connect, None if self._tls is None else self._tls.context("h2"))
        try:
            door = handed or Listening(self.bind())
        except BaseException:
            await self._close_calls()
            raise
        self.service, self._door = service, door
        await door.open(service.connect, self._context if self._unix is None else None)
        return service

    async def close(self) -> None:
        """Take up what waits, finish what is in flight, then close every connection."""
        if self._door is None or self.service is None:
            return
        await self._door.close()
        await asyncio.gather(self.service.drain(), self._close_calls())
        if self._bound is not None:
            self.release()

    async def _close_calls(self) -> None:
        if self._called is not None and self._calls is not None:
            await self._called.close()
            await self._calls.drain()

    def bind(self) -> socket.socket:
        """The address of HTTP, bound.

        Raises:
            UsageError: an address that cannot be bound.
            ServingError: ADDRESS_IN_USE.
        """
        if self._unix is not None:
            self._bound = bind_unix(self._unix)
        else:
            self._bound = bind_port(self.host, self.port)
            self.port = self._bound.getsockname()[1]
        return self._bound

    def release(self) -> None:
        """Leave nothing of an address that was bound."""
        if self._unix is not None:
            release_unix(self._unix)
