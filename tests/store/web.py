"""Web servers for tests: each answers every connection with what a function of the request says."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Script = Callable[[socket.socket, bytes], None]


@dataclass
class Server:
    """A running server: its port, and the head of every request that came."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def allowed(self) -> list[str]:
        return [f"127.0.0.1:{self.port}"]

    def url(self, path: str = "/table.csv", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


@contextmanager
def serving(script: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Server]:
    listener = socket.create_server((host, 0), backlog=32)
    listener.settimeout(0.05)
    server = Server(listener.getsockname()[1])
    stop = threading.Event()
    threads = []

    def answer(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(10)
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            with connection:
                head = b""
                while b"\r\n\r\n" not in head and (data := connection.recv(65536)):
                    head += data
                server.requests.append(head)
                script(connection, head)

    def accept() -> None:
        while not stop.is_set():
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                server.connections += 1
                threads.append(threading.Thread(target=answer, args=[connection], daemon=True))
                threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server
    finally:
        stop.set()
        acceptor.join()
        listener.close()
        for thread in threads:
            thread.join(5)


def says(*parts: bytes) -> Script:
    """Answer with these bytes and close."""
    return lambda connection, _: connection.sendall(b"".join(parts))


def body(data: bytes, *headers: str, status: str = "200 OK") -> Script:
    """A plain answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", *headers, "", ""]
    return says("\r\n".join(lines).encode(), data)


def redirect(location: str, status: int = 302) -> Script:
    return says(f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))
