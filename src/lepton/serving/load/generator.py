"""The process that sends the requests of a load and times their answers: a script, on the standard library alone.

It reads one JSON object from standard input (`Plan`), and writes one line of JSON and then the bytes of three arrays to
standard output: when each request was due (double, seconds from the start), how long its answer took from then (double,
seconds), and its code (16 bits): the status, `LOST` or `UNANSWERED`. SIGTERM and SIGINT end the load early.

With a rate, requests are due at the times of a Poisson process and are timed from when they were due, not from when a
connection was free for them: a server that stalls is charged for everyone who came meanwhile. Without one, each
connection asks again as soon as it is answered.
"""

from __future__ import annotations

import base64
import json
import random
import re
import selectors
import signal
import socket
import sys
import time
from array import array
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

LOST, UNANSWERED = -1, 0
"""Codes of requests without an answer: the connection broke, or the time was up."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_CONNECT_SECONDS = 5.0
_SWEEP_SECONDS = 0.5  # between two looks for answers that are overdue
_LATE_SECONDS = 0.001
_SLACK_SECONDS = 0.0001  # the system wakes a sleeper about so much too late
_KEPT_ANSWERS = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """A load.

    Attributes:
        host: whom to ask.
        port: where.
        requests: whole HTTP requests in base64, taken in turns.
        answers: the body that each should be answered with, in base64.
        seconds: how long requests are sent.
        connections: that are open.
        rate: requests a second, or 0 for as many as are answered.
        seed: of the times at which requests are due.
        timeout: seconds after which an answer is not waited for any more.
    """

    host: str
    port: int
    requests: list[str]
    answers: list[str]
    seconds: float
    connections: int
    rate: float = 0.0
    seed: int = 0
    timeout: float = 10.0


@dataclass(slots=True, eq=False)
class _Connection:
    """A socket with one request under way at most."""

    socket: socket.socket
    due: float = -1.0
    question: int = 0
    rest: memoryview = field(default_factory=lambda: memoryview(b""))
    received: bytes = b""


class Load:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._requests = [base64.b64decode(text) for text in plan.requests]
        self._answers = [base64.b64decode(text) for text in plan.answers]
        self._selector = selectors.DefaultSelector()
        self._outer = selectors.SelectSelector()  # counts its time in microseconds, the others in milliseconds
        self._nested = hasattr(self._selector, "fileno")
        if self._nested:
            self._outer.register(self._selector.fileno(), selectors.EVENT_READ)
        self._open: set[_Connection] = set()
        self._idle: list[_Connection] = []
        self._waiting: deque[float] = deque()
        self._sent = 0
        self._answered_as_expected = 0
        self._odd: dict[tuple[int, bytes], int] = {}
        self._odd_dropped = 0
        self._late = 0
        self._lags: list[float] = []
        self.stopping = False
        self.due, self.took, self.codes = array("d"), array("d"), array("h")

    def run(self) -> dict[str, Any]:
        """Send, wait for the last answers, and say how it went."""
        for _ in range(self._plan.connections):
            self._idle.append(self._connect())
        busy = _busy_seconds()
        self._started = time.perf_counter()
        if self._plan.rate:
            self._send_when_due()
        else:
            self._send_when_answered()
        elapsed = time.perf_counter() - self._started
        busy = _busy_seconds() - busy
        unsent = len(self._waiting)
        self._waiting.clear()
        ends = time.perf_counter() + self._plan.timeout
        while len(self._idle) < len(self._open) and time.perf_counter() < ends:
            self._take_answers(0.05, again=False)
        self._give_up(float("-inf"))
        for connection in self._open:
            connection.socket.close()
        return {
            "seconds": elapsed,
            "sent": self._sent,
            "unsent": unsent,
            "answered": len(self.codes),
            "right": self._answered_as_expected,
            "odd": [[index, base64.b64encode(body).decode(), n] for (index, body), n in self._odd.items()],
            "odd_dropped": self._odd_dropped,
            "busy": busy / elapsed,
            "late": self._late,
            "lag_p99": _quantile(self._lags, 0.99),
        }

    def _send_when_due(self) -> None:
        """Open loop."""
        clock, rate, started = time.perf_counter, self._plan.rate, self._started
        wait = random.Random(self._plan.seed).expovariate  # noqa: S311 - times, no secrets
        ends = started + self._plan.seconds
        due = started + wait(rate)
        sweep = started + _SWEEP_SECONDS
        while not self.stopping:
            now = clock()
            while due <= now and due < ends:
                if self._idle:
                    lag = now - due
                    self._lags.append(lag)
                    self._late += lag > _LATE_SECONDS
                    self._send(self._idle.pop(), due)
                else:
                    self._waiting.append(due)
                due += wait(rate)
                now = clock()
            if now >= ends:
                return
            if now >= sweep:
                self._give_up(now - self._plan.timeout)
                sweep = now + _SWEEP_SECONDS
            self._take_answers(min(due, ends, sweep) - now)

    def _send_when_answered(self) -> None:
        """Closed loop."""
        clock = time.perf_counter
        ends = self._started + self._plan.seconds
        sweep = self._started + _SWEEP_SECONDS
        while not self.stopping and (now := clock()) < ends:
            while self._idle:
                self._send(self._idle.pop(), clock())
            if now >= sweep:
                self._give_up(now - self._plan.timeout)
                sweep = now + _SWEEP_SECONDS
            self._take_answers(min(ends, sweep) - now)

    def _connect(self) -> _Connection:
        plan = self._plan
        opened = socket.create_connection((plan.host, plan.port), _CONNECT_SECONDS)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setblocking(False)
        connection = _Connection(opened)
        self._selector.register(opened, selectors.EVENT_READ, connection)
        self._open.add(connection)
        return connection

    def _replace(self, broken: _Connection) -> None:
        """A new connection for one that is gone; what it had under way is lost."""
        self._selector.unregister(broken.socket)
        broken.socket.close()
        self._open.discard(broken)
        if broken.due >= 0:
            self._record(broken, LOST)
        else:
            self._idle.remove(broken)
        self._idle.append(self._connect())

    def _send(self, connection: _Connection, due: float) -> None:
        connection.question = question = self._sent % len(self._requests)
        connection.due, connection.received = due, b""
        self._sent += 1
        data = self._requests[question]
        try:
            done = connection.socket.send(data)
        except BlockingIOError:
            done = 0
        except OSError:
            self._replace(connection)
            return
        if done < len(data):
            connection.rest = memoryview(data)[done:]
            self._selector.modify(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)

    def _send_more(self, connection: _Connection) -> None:
        connection.rest = connection.rest[connection.socket.send(connection.rest) :]
        if not connection.rest:
            self._selector.modify(connection.socket, selectors.EVENT_READ, connection)

    def _take_answers(self, seconds: float, *, again: bool = True) -> None:
        """Wait so long for something to read, and read it."""
        ready = self._selector.select(0)
        if not ready and seconds > _SLACK_SECONDS:
            if self._nested:
                self._outer.select(seconds - _SLACK_SECONDS)
            ready = self._selector.select(0 if self._nested else seconds - _SLACK_SECONDS)
        for key, events in ready:
            connection: _Connection = key.data
            try:
                if events & selectors.EVENT_WRITE:
                    self._send_more(connection)
                if events & selectors.EVENT_READ:
                    self._read(connection, connection.socket.recv(1 << 18), again=again)
            except BlockingIOError:
                continue
            except OSError:
                self._replace(connection)

    def _read(self, connection: _Connection, data: bytes, *, again: bool) -> None:
        if not data or connection.due < 0:  # it was closed, or speaks without having been asked
            self._replace(connection)
            return
        received = connection.received = connection.received + data if connection.received else data
        body = _body(received)
        if body is None:
            return
        code = int(received[9:12])
        if code == 200:
            if body == self._answers[connection.question]:
                self._answered_as_expected += 1
            elif len(self._odd) < _KEPT_ANSWERS or (connection.question, body) in self._odd:
                key = connection.question, body
                self._odd[key] = self._odd.get(key, 0) + 1
            else:
                self._odd_dropped += 1
        self._record(connection, code)
        connection.due = -1.0
        if again and self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _record(self, connection: _Connection, code: int) -> None:
        self.due.append(connection.due - self._started)
        self.took.append(time.perf_counter() - connection.due)
        self.codes.append(code)

    def _give_up(self, before: float) -> None:
        """Wait no longer for what was due before then; at the end, for nothing."""
        final = before == float("-inf")
        for connection in [c for c in self._open if c.due >= 0 and (final or c.due < before)]:
            self._record(connection, UNANSWERED)
            connection.due = -1.0
            self._idle.append(connection)
            if not final:
                self._replace(connection)


def _body(received: bytes) -> bytes | None:
    """The body of an answer, if all of it is here."""
    ends = received.find(b"\r\n\r\n")
    if ends < 0:
        return None
    length = _LENGTH.search(received, 0, ends)
    if length is not None:
        begins = ends + 4
        return received[begins:] if len(received) - begins >= int(length[1]) else None
    if _CHUNKED.search(received, 0, ends):
        return received[ends + 4 :] if received.endswith(b"0\r\n\r\n") else None
    return b""


def _busy_seconds() -> float:
    """Seconds that this process has run, and, where the system tells, waited for a core to run on."""
    try:
        return time.process_time() + int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return time.process_time()


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)] if values else 0.0


def main(source: BinaryIO, sink: BinaryIO) -> None:
    """Run the plan on `source`, write what came of it to `sink`."""
    load = Load(Plan(**json.loads(source.read())))

    def stop(_number: int, _frame: object) -> None:
        load.stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        told = load.run()
    except OSError as error:
        told = {"error": error.strerror or str(error)}
    sink.write(json.dumps(told).encode() + b"\n")
    for values in (load.due, load.took, load.codes):
        sink.write(values.tobytes())
    sink.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
