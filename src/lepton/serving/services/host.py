"""One service in the server: what waits for it, what it is at, and its process, which is started again when it dies."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from lepton.core import ErrorCode, LeptonError, Resources, ServingError, printable
from lepton.serving.protocols.base import Request, Response, error_response
from lepton.serving.services.process import ServiceProcess, ServiceSource
from lepton.serving.services.streams import ItemStream, size_over

__all__ = ["Host", "HostLimits", "Pending", "ServiceState"]

_logger = logging.getLogger("lepton.serving")

_STABLE = 10.0  # seconds after which a process that ends is one that had started well
_STATUSES = range(200, 600)
_FIRST_ERROR = 400


class ServiceState(StrEnum):
    """Whether a service answers."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class HostLimits:
    """What one service may take; times in seconds.

    Attributes:
        max_waiting: calls that wait for it.
        start_time: until it is ready.
        check_every: between two checks of its health.
        check_time: for one check.
        first_pause: before it is started again; doubled each time.
        longest_pause: the most of that.
    """

    max_waiting: int = 64
    start_time: float = 60.0
    check_every: float = 5.0
    check_time: float = 10.0
    first_pause: float = 0.1
    longest_pause: float = 30.0


@dataclass(slots=True, eq=False)
class Pending:
    """One call, from its request to its answer.

    Attributes:
        request: that it came in.
        method: what the service says of the method.
        done: takes the response, on the loop.
        came: when it did, by the clock of the loop.
        attempts: how often it was run already, in processes that died.
        progress: takes what a task reports.
        stop: ends the run of a stream whose caller is gone.
        stream: that it is answered by, once the first item came.
        gone: whether nobody reads the rest of that.
    """

    request: Request
    method: Mapping[str, Any]
    done: Callable[[Response], None]
    came: float = 0.0
    attempts: int = 0
    progress: Callable[[Mapping[str, Any]], None] | None = None
    waits_in: deque[Pending] | None = None
    stop: Callable[[], None] | None = None
    stream: ItemStream | None = None
    gone: bool = False

    def cancel(self) -> None:
        """The caller is gone: what was not begun need not be, and a stream need not go on."""
        if self.waits_in is not None and self in self.waits_in:
            self.waits_in.remove(self)
        if self.stop is not None:
            self.stop()

    def answer(self, response: Response) -> None:
        """Give the response, or what ends the stream that was begun."""
        if self.gone:
            return
        if self.stream is None:
            self.done(response)
        elif response.status < _FIRST_ERROR:
            self.stream.end()
        else:
            self.stream.fail(response)


@dataclass(slots=True, eq=False)
class _Run:
    """Calls that the process is at."""

    calls: list[Pending]
    kind: str
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Queues:
    """Calls that wait, by method, in the order in which they came."""

    of: dict[str, deque[Pending]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.of.values()))

    def put(self, call: Pending, *, first: bool = False) -> None:
        queue = self.of.setdefault(call.method["name"], deque())
        call.waits_in = queue
        (queue.appendleft if first else queue.append)(call)

    def drain(self) -> list[Pending]:
        calls = [call for queue in self.of.values() for call in queue]
        self.of.clear()
        return calls

    def take(self, now: float) -> tuple[list[Pending], float | None]:
        """The calls to run next; or none, and when to ask again."""
        best: deque[Pending] | None = None
        again: float | None = None
        for queue in self.of.values():
            if not queue:
                continue
            due = queue[0].came + queue[0].method["wait"]
            if due > now and len(queue) < (queue[0].method["batch"] or 1) and not queue[0].attempts:
                again = due if again is None else min(again, due)
            elif best is None or queue[0].came < best[0].came:
                best = queue
        if best is None:
            return [], again
        calls = [best.popleft()]
        while best and len(calls) < (calls[0].method["batch"] or 1) and not calls[0].attempts and not best[0].attempts:
            calls.append(best.popleft())  # what was in a process that died is run alone: it may be what killed it
        return calls, None


class Host:
    """Runs one service. Everything here happens on the server's loop.

    Args:
        source: where its code is.
        resources: what its process may use.
        limits: what it may take.
    """

    def __init__(self, source: ServiceSource, resources: Resources, limits: HostLimits) -> None:
        self.source = source
        self.name = source.name
        self.state = ServiceState.LOADING
        self.reason = "it is being started"
        self.description: Mapping[str, Any] = {"doc": "", "threads": 1, "methods": []}
        self.methods: Mapping[str, Mapping[str, Any]] = {}
        self.restarts = 0
        self.settled = asyncio.Event()
        self.on_ready: Callable[[], None] = lambda: None
        self._resources, self._limits = resources, limits
        self._loop = asyncio.get_running_loop()
        self._queues = _Queues()
        self._runs: dict[int, _Run] = {}
        self._last = 0
        self._timer: asyncio.TimerHandle | None = None
        self._process: ServiceProcess | None = None
        self._ready: asyncio.Future[None] | None = None
        self._health = ""
        self._checked = 0.0
        self._stopping = asyncio.Event()
        self._task = self._loop.create_task(self._supervise())

    @property
    def ready(self) -> bool:
        """Whether it takes calls."""
        return self.state is ServiceState.READY

    @property
    def waiting(self) -> int:
        """Calls that wait."""
        return len(self._queues)

    @property
    def health(self) -> str:
        """Why callers should go elsewhere; empty while all is well."""
        if self.state is not ServiceState.READY:
            return self.reason
        if self._checked and self._loop.time() - self._checked > self._limits.check_time:
            return f"its check takes longer than {self._limits.check_time:g} s"
        return self._health

    def method(self, name: str) -> Mapping[str, Any]:
        """What the service says of a method.

        Raises:
            ServingError: it is not ready, or has no such method.
        """
        if self.state is not ServiceState.READY and not self.methods:
            raise self.not_ready()
        found = self.methods.get(name)
        if found is None:
            raise ServingError(
                ErrorCode.UNKNOWN_SERVICE,
                f"the service '{printable(self.name)}' has no method '{printable(name, 80)}'",
                wanted="one of " + ", ".join(self.methods),
            )
        return found

    def not_ready(self) -> ServingError:
        """What callers hear while the service does not answer."""
        return ServingError(ErrorCode.NOT_READY, f"the service '{printable(self.name)}' is not ready: {self.reason}")

    def call(self, call: Pending) -> Response | Pending:
        """Begin a call; its response where that is known at once, else `call.done` takes it."""
        if self.state is not ServiceState.READY:
            return error_response(self.not_ready())
        if len(self._queues) >= self._limits.max_waiting:
            waiting = f"{len(self._queues)} calls wait for '{printable(self.name)}' already"
            return error_response(ServingError(ErrorCode.OVERLOADED, waiting, fix="try again"))
        call.came = self._loop.time()
        self._queues.put(call)
        self._pump()
        return call

    def verify(self, call: Pending) -> None:
        """Have the process look at the parameters of a call, and run nothing."""
        self._send([call], "verify")

    def run_task(self, call: Pending) -> int:
        """Hand a task to the process, which runs it beside the calls; returns the number to cancel it by."""
        return self._send([call], "task")

    def cancel_task(self, number: int) -> None:
        """Ask a task to stop, if it looks."""
        if self._process is not None:
            self._process.send({"kind": "cancel", "id": number})

    async def stop(self) -> None:
        """End the process; returns when it is gone."""
        self._stopping.set()
        if self._process is not None:
            self._process.end("the server stops")
        await self._task

    # Calls

    def _pump(self) -> None:
        """Send what waits, as far as the service takes it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self.state is ServiceState.READY and self.running < self.description["threads"]:
            calls, again = self._queues.take(self._loop.time())
            if not calls:
                if again is not None:
                    self._timer = self._loop.call_at(again, self._pump)
                return
            self._send(calls)

    @property
    def running(self) -> int:
        """Calls that the process is at; those of a batch count as one."""
        return sum(run.kind == "call" for run in self._runs.values())

    def _send(self, calls: list[Pending], kind: str = "call") -> int:
        self._last += 1
        number, method = self._last, calls[0].method
        run = self._runs[number] = _Run(calls, kind)
        for call in calls:
            call.waits_in = None
        if method["stream"]:
            calls[0].stop = partial(self._stop_stream, number)
        self._set_timer(number, run)
        requests = [call.request.id for call in calls]
        head = {"kind": kind, "id": number, "method": method["name"], "requests": requests}
        if method["stream"]:
            head["over"] = size_over(calls[0].request)
        if self._process is not None:
            self._process.send(head, [call.request.body for call in calls])
        return number

    def _set_timer(self, number: int, run: _Run) -> None:
        """End a run that takes too long; of a stream, one whose next item does."""
        if run.timer is not None:
            run.timer.cancel()
        method, stream = run.calls[0].method, run.calls[0].stream
        waits = method["timeout"] is None or (stream is not None and stream.waits)
        run.timer = None if waits else self._loop.call_later(method["timeout"], self._expire, number)

    def _take_item(self, number: int, run: _Run, item: bytes) -> None:
        """An item of a stream; the first begins the answer."""
        call = run.calls[0]
        if not call.gone:
            self._stream_of(number, call).put(item)
            self._set_timer(number, run)

    def _stream_of(self, number: int, call: Pending) -> ItemStream:
        if call.stream is None:
            stop = partial(self._stop_stream, number)
            call.stream = ItemStream(call.request, partial(self._feed_stream, number), stop)
            call.done(call.stream.response)
        return call.stream

    def _take_answer(self, number: int, call: Pending, status: int, body: bytes) -> None:
        if call.method["stream"] and status < _FIRST_ERROR and not call.gone:
            self._stream_of(number, call)  # of no item, maybe
        call.answer(Response(status, body, code="" if status < _FIRST_ERROR else _code_of(body)))

    def _feed_stream(self, number: int, size: int) -> None:
        """A caller has read so much of a stream."""
        run = self._runs.get(number)
        if run is not None and self._process is not None:
            self._process.send({"kind": "more", "id": number, "size": size})
            self._set_timer(number, run)

    def _stop_stream(self, number: int) -> None:
        """Nobody reads the rest of a stream: it is closed at its next item, and ended if none comes in time."""
        run = self._runs.get(number)
        if run is not None and self._process is not None:
            self._process.send({"kind": "cancel", "id": number})
            run.calls[0].stream, run.calls[0].gone = None, True
            self._set_timer(number, run)

    def _expire(self, number: int) -> None:
        """A run takes too long: nothing but the end of its process ends it."""
        run = self._runs.pop(number)
        method = run.calls[0].method
        error = ServingError(
            ErrorCode.SERVICE_TIMEOUT,
            f"{printable(self.name)}.{method['name']} was ended after its timeout of {method['timeout']:g} s",
        )
        for call in run.calls:
            call.answer(error_response(error))
        if self._process is not None:
            self._process.end(f"{method['name']} took longer than its timeout of {method['timeout']:g} s")

    def _take(self, head: dict[str, Any], parts: list[bytes]) -> None:
        """A frame of the process."""
        kind = head["kind"]
        if kind == "answer":
            run = self._runs.pop(head["id"])
            if run.timer is not None:
                run.timer.cancel()
            for call, status, body in zip(run.calls, head["statuses"], parts, strict=True):
                self._take_answer(head["id"], call, int(status) if status in _STATUSES else 500, body)
            self._pump()
        elif kind == "item":
            if (streaming := self._runs.get(head["id"])) is not None:
                self._take_item(head["id"], streaming, parts[0])
        elif kind == "progress":
            reporting = self._runs.get(head["id"])
            if reporting is not None and reporting.calls[0].progress is not None:
                reporting.calls[0].progress(head["progress"])
        elif kind == "health":
            self._health, self._checked = str(head["health"]), 0.0
        elif self._ready is not None and not self._ready.done():
            if kind == "ready":
                self.description = head["service"]
                self.methods = {method["name"]: method for method in self.description["methods"]}
                self._health = str(head["health"])
                self._ready.set_result(None)
            else:
                self._ready.set_exception(ServingError(ErrorCode.NOT_READY, str(head["reason"])))

    # The process

    async def _supervise(self) -> None:
        pause = self._limits.first_pause
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                was_ready = await self._live()
            finally:
                self.settled.set()
            if self._stopping.is_set():
                break
            if was_ready and time.monotonic() - began > _STABLE:
                pause = self._limits.first_pause
            try:
                await asyncio.wait_for(self._stopping.wait(), pause)
            except TimeoutError:
                pause = min(2 * pause, self._limits.longest_pause)
                self.restarts += 1
        self.state, self.reason = ServiceState.STOPPED, "the server stops"
        self._refuse(self._queues.drain())

    async def _live(self) -> bool:
        """One process, from its start to its end; whether it was ready in between."""
        process = self._process = ServiceProcess(self._take, self._loop)
        self._ready = self._loop.create_future()
        self._health, self._checked = "", 0.0
        ready = False
        try:
            await process.start(self.source, self._resources)
            await self._become_ready(process, self._ready)
            ready = True
            while not process.ended.done():
                await asyncio.wait([process.ended], timeout=self._limits.check_every)
                if not self._checked:
                    self._checked = self._loop.time()
                    process.send({"kind": "check"})
            self.reason = f"its process is started again: {process.ended.result()}"
        except (LeptonError, OSError) as error:
            self.reason = error.came if isinstance(error, LeptonError) else f"no process: {error.strerror}"
        finally:
            await process.close(self.reason)
            self._process = None
        self.state = ServiceState.FAILED
        if not self._stopping.is_set():
            _logger.error("the service %s: %s", printable(self.name), self.reason)
        self._bury(ready)
        return ready

    async def _become_ready(self, process: ServiceProcess, ready: asyncio.Future[None]) -> None:
        waited: set[asyncio.Future[Any]] = {ready, process.ended}
        await asyncio.wait(waited, timeout=self._limits.start_time, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            late = f"it was not ready in {self._limits.start_time:g} s"
            why = f"when it was started, {process.ended.result()}" if process.ended.done() else late
            raise ServingError(ErrorCode.NOT_READY, why)
        ready.result()
        self.state, self.reason = ServiceState.READY, ""
        self.settled.set()
        _logger.info("the service %s is ready", printable(self.name))
        self.on_ready()
        self._pump()

    def _bury(self, was_ready: bool) -> None:
        """Answer the calls that the process was at, but for those that may be run again."""
        runs, self._runs = self._runs, {}
        again: list[Pending] = []
        for run in runs.values():
            if run.timer is not None:
                run.timer.cancel()
            for call in run.calls:
                if (
                    call.method["safe"]
                    and call.stream is None
                    and not call.gone
                    and run.kind == "call"
                    and not call.attempts
                    and not self._stopping.is_set()
                ):
                    call.attempts += 1
                    again.append(call)
                else:
                    name = f"{printable(self.name)}.{call.method['name']}"
                    text = f"the process of the service ended while it ran {name}"
                    call.answer(error_response(ServingError(ErrorCode.SERVICE_DIED, text, fix="try again")))
        for call in reversed(again):
            self._queues.put(call, first=True)
        if not was_ready:
            self._refuse(self._queues.drain())

    def _refuse(self, calls: list[Pending]) -> None:
        for call in calls:
            call.done(error_response(self.not_ready()))


def _code_of(body: bytes) -> str:
    """The code of the catalogue that an error of the process has."""
    try:
        return str(json.loads(body)["code"])
    except (ValueError, LookupError, TypeError):
        return str(ErrorCode.INTERNAL)
