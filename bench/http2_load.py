"""Calls over gRPC from plain sockets: a client library in Python costs several times what a server does.

    python bench/http2_load.py SECONDS PORT MODEL TOKEN VALUES

A few connections with several calls each under way; each call is sent again as soon as it is answered. Headers are sent
once and named by their places in the table afterwards, as clients do. Prints calls a second, median and 99th percentile
in ms, and microseconds of its own processor a call, as JSON; ends at a call that is not answered with data.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from typing import Any

import numpy as np

CONNECTIONS, CALLS = 4, 8
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
WINDOW = 2**31 - 1


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    """One frame of HTTP/2."""
    return struct.pack(">I", len(content))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + content


def sized(text: str) -> bytes:
    """A text of at most 254 octets, as headers hold it."""
    data = text.encode()
    return (bytes((len(data),)) if len(data) < 127 else bytes((127, len(data) - 127))) + data


class Connection:
    """One connection with calls under way."""

    def __init__(self, port: int, token: str, message: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": "/inference.GRPCInferenceService/ModelInfer",
            ":authority": f"127.0.0.1:{port}",
            "te": "trailers",
            "content-type": "application/grpc",
            "user-agent": "bench",
            **({"authorization": f"Bearer {token}"} if token else {}),
        }
        self.first = b"".join(b"\x40" + sized(name) + sized(value) for name, value in headers.items())
        self.later = bytes(0x80 | 62 + place for place in reversed(range(len(headers))))
        self.data = b"\0" + len(message).to_bytes(4, "big") + message
        self.number = 1
        self.rest = b""
        self.began: dict[int, float] = {}
        self.answered: set[int] = set()
        settings = frame(SETTINGS, 0, 0, struct.pack(">HI", 4, WINDOW))
        self.socket.sendall(PREFACE + settings + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - 65_535)))

    def start(self, count: int) -> None:
        """Send calls."""
        sent = []
        for _ in range(count):
            headers = self.first if self.number == 1 else self.later
            sent.append(frame(HEADERS, 4, self.number, headers) + frame(DATA, 1, self.number, self.data))
            self.began[self.number] = time.perf_counter()
            self.number += 2
        self.socket.sendall(b"".join(sent))

    def read(self, took: list[float]) -> int:
        """Take what came; how many calls were answered."""
        came = self.socket.recv(2**18)
        if not came:
            raise SystemExit("the server closed the connection")
        data, at, ended, reply = self.rest + came, 0, 0, b""
        while len(data) - at >= 9:
            end = at + 9 + int.from_bytes(data[at : at + 3], "big")
            if end > len(data):
                break
            kind, flags, stream = data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9], "big")
            if kind == DATA and end > at + 9:
                self.answered.add(stream)
            elif kind == HEADERS and flags & 1:
                if stream not in self.answered:
                    raise SystemExit(f"a call was refused: {data[at + 9 : end]!r}")
                self.answered.remove(stream)
                took.append(time.perf_counter() - self.began.pop(stream))
                ended += 1
            elif kind in {RST_STREAM, GOAWAY}:
                raise SystemExit(f"the server gave up: {data[at:end]!r}")
            elif kind in {SETTINGS, PING} and not flags & 1:
                reply += frame(kind, 1, 0, data[at + 9 : end] if kind == PING else b"")
            at = end
        self.rest = data[at:]
        if reply:
            self.socket.sendall(reply)
        return ended


def request(model: str, token: str, values: list[float]) -> bytes:
    """A request for one row: raw contents for ours, typed ones for MLServer, which takes no others."""
    from tritonclient.grpc import service_pb2

    made: Any = service_pb2.ModelInferRequest(model_name=model)
    tensor = made.inputs.add(name="numbers", datatype="FP64", shape=[1, len(values)])
    if token:
        made.raw_input_contents.append(np.array(values).tobytes())
    else:
        tensor.contents.fp64_contents.extend(values)
    return bytes(made.SerializeToString())


def main() -> None:
    seconds, port, model, token, values = sys.argv[1:]
    message = request(model, token, json.loads(values))
    connections = [Connection(int(port), token, message) for _ in range(CONNECTIONS)]
    poll, took = select.epoll(), []
    by_file = {one.socket.fileno(): one for one in connections}
    for one in connections:
        poll.register(one.socket, select.EPOLLIN)
        one.start(1)
        while not one.read(took):
            pass
        one.start(CALLS)
    took.clear()
    began, worked = time.perf_counter(), time.process_time()
    while (lasted := time.perf_counter() - began) < float(seconds):
        for file, _ in poll.poll(1):
            if answered := by_file[file].read(took):
                by_file[file].start(answered)
    median, p99 = np.percentile(took, [50, 99]) * 1e3
    own = (time.process_time() - worked) / len(took) * 1e6
    print(json.dumps([len(took) / lasted, float(median), float(p99), own]))


if __name__ == "__main__":
    main()
