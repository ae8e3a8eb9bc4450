"""Raw sockets for the tests: what a stranger can send, and what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import uvloop

from lepton.core import ErrorCode, LeptonError, ServingError
from lepton.serving.http import HttpService, Limits
from lepton.serving.protocols.base import Request, Response, error_response, json_response

Address = tuple[str, int]
QUEUE = 2
"""Requests to `/slow` that `Echo` takes at once."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def connect(address: Address, timeout: float = 5.0) -> socket.socket:
    return socket.create_connection(address, timeout)


def read_all(connection: socket.socket) -> bytes:
    """Everything until the peer closes; a reset counts as closing."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def read_answer(stream: Any) -> Answer:
    """The next answer of a buffered stream."""
    status_line = stream.readline()
    if not status_line:
        raise ConnectionError("closed without an answer")
    version, status, _ = status_line.split(b" ", 2)
    assert version == b"HTTP/1.1"
    headers = {}
    while (line := stream.readline()) not in {b"\r\n", b""}:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return Answer(int(status), headers, stream.read(int(headers.get("content-length", "0"))))


def answers(data: bytes) -> list[Answer]:
    """Every answer in `data`."""
    import io

    stream, out = io.BytesIO(data), []
    while stream.tell() < len(data):
        out.append(read_answer(stream))
    return out


def exchange(address: Address, data: bytes, timeout: float = 5.0) -> list[Answer]:
    """Send `data`, say that no more comes, and return every answer until the server closes."""
    with connect(address, timeout) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        return answers(read_all(connection))


def request(
    address: Address, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Answer:
    """One request on a connection of its own."""
    lines = {"Host": f"{address[0]}:{address[1]}", "Connection": "close"}
    if body is not None:
        lines |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines |= headers or {}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with connect(address, 10.0) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b""))
        stream = connection.makefile("rb")
        answer = read_answer(stream) if method != "HEAD" else _head_answer(stream)
        assert stream.read() == b""
        return answer


def _head_answer(stream: Any) -> Answer:
    status_line = stream.readline()
    headers = {}
    while (line := stream.readline()) not in {b"\r\n", b""}:
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return Answer(int(status_line.split()[1]), headers, b"")


def post(address: Address, path: str, value: Any) -> Answer:
    return request(address, "POST", path, json.dumps(value).encode())


class Echo:
    """A handler that says what it got; `/slow` answers from a thread when `release` is set, `/large` with 8 MiB."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.seen: list[Request] = []
        self.log: list[tuple[Request, Response, float]] = []
        self.refusal: LeptonError | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.threads = ThreadPoolExecutor(4)
        self.pending: list[Pending] = []
        self.cancelled: list[Request] = []

    def admit(self, head: Request) -> None:
        if self.refusal is not None:
            raise self.refusal

    def admit_again(self, head: Request) -> None:
        if self.refusal is not None and self.refusal.code is ErrorCode.RATE_LIMITED:
            raise self.refusal

    def shortcut(self, request: Request) -> None:
        return None

    def runs_inline(self, request: Request) -> bool:
        return request.path != "/slow"

    def handle(self, request: Request) -> Response:
        self.seen.append(request)
        if request.path == "/slow":
            self.release.wait(20)
        if request.path == "/large":
            return Response(200, b"x" * 8 * 2**20)
        return json_response({"method": request.method, "path": request.path, "body": request.body.decode("latin-1")})

    def refuses(self, request: Request) -> Response | None:
        return error_response(ServingError(ErrorCode.OVERLOADED, "late")) if request.path == "/model" else None

    def begin(self, request: Request, done: Callable[[Response], None]) -> Response | Pending:
        if len(self.pending) >= QUEUE:
            return error_response(ServingError(ErrorCode.OVERLOADED, "full"))
        pending = Pending(self, request, done)
        self.pending.append(pending)
        self.threads.submit(pending.answer)
        return pending

    def finished(self, request: Request, response: Response, seconds: float) -> None:
        self.log.append((request, response, seconds))


class Pending:
    """A request that a thread of `Echo` answers."""

    def __init__(self, echo: Echo, request: Request, done: Callable[[Response], None]) -> None:
        self.echo, self.request, self.done = echo, request, done

    def answer(self) -> None:
        response = self.echo.handle(self.request)
        assert self.echo.loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.echo.loop.call_soon_threadsafe(self.give, response)

    def give(self, response: Response) -> None:
        self.echo.pending.remove(self)
        self.done(response)

    def cancel(self) -> None:
        self.echo.cancelled.append(self.request)


class Wire:
    """An `HttpService` in a thread."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.handler = Echo()
        self.address: Address = ("127.0.0.1", 0)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Wire:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.handler.release.set()
        self.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self.handler.loop = self._loop
        self.service = HttpService(self.handler, self.limits, self._loop)
        server = await self._loop.create_server(self.service.connect, "127.0.0.1", 0)
        self.address = server.sockets[0].getsockname()
        self._ready.set()
        await self._stopping.wait()
        server.close()
        await self.service.drain()
        self.handler.threads.shutdown(wait=False)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started <= seconds
