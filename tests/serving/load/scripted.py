"""A server that does with each request what a test says."""

from __future__ import annotations

import contextlib
import re
import socketserver
import threading
from collections.abc import Callable, Iterator

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.contextmanager
def scripted(answer: Callable[[int, bytes], bytes | None]) -> Iterator[int]:
    """A server on a free port, which it yields.

    Args:
        answer: number of the request, from 0, and its body → what is sent back; None closes the connection.
    """
    lock = threading.Lock()
    counter = iter(range(10**9))

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while True:
                    top = b""
                    while not top.endswith(b"\r\n\r\n"):
                        line = self.rfile.readline()
                        if not line:
                            return
                        top += line
                    length = re.search(rb"content-length: (\d+)", top)
                    body = self.rfile.read(int(length[1])) if length else b""
                    with lock:
                        number = next(counter)
                    told = answer(number, body)
                    if told is None:
                        return
                    self.wfile.write(told)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
