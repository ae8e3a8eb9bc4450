"""Several servers behind one address: a process that owns the address and keeps the others alive and alike."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lepton.core import ErrorCode, LeptonError, Resources, ServingError, UsageError, WorkerError, printable
from lepton.serving.allowances import read_allowances
from lepton.serving.front import Front
from lepton.serving.http import Limits
from lepton.serving.processes.child import Child
from lepton.serving.processes.door import take_waiting
from lepton.serving.processes.worker import sources_record
from lepton.serving.sources import Sources, Stamp, stamp_of
from lepton.serving.tls import Tls
from lepton.serving.trial import try_bundle
from lepton.serving.watching.logs import log_form
from lepton.store import scratch_folder

__all__ = ["Supervisor"]

_logger = logging.getLogger("lepton.serving")
_BACKLOG = 2048
_LOOK, _HELD_UP = 0.25, 1.0
_AGAIN = 0.02
_FIRST_PAUSE, _LONGEST_PAUSE, _STABLE = 0.1, 10.0, 30.0
_START_TIME = 300.0
_FAREWELL = 5.0
_WATCHED = ("state", "state_rows", "alarm_webhook", "alarm_command", "alarm_truths", "traces")
_SERVICES = ("services", "service_python")
_REQUIRED = ("require", "trusted", "insecure_unsigned")
_SHARED = frozenset(
    {"token", "insecure_no_token", "traffic", "max_memory", "token_limits", *_SERVICES, *_WATCHED, *_REQUIRED}
)
_READS = "/v2/repository/index"


class Supervisor:
    """Serves models from several processes until it is stopped.

    It binds the address, takes up connections and hands each to the worker with the fewest. It decides what concerns
    all workers: the numbers of versions, the trial of a new file, when the files are looked at, and each request that
    changes the models, which every worker then follows. It runs no model.

    Args:
        models: as of `Server`; files only.
        processes: how many workers.
        host: as of `Server`.
        port: as of `Server`.
        grpc_port: as of `Server`, but that 0 is none, since all processes share one.
        unix: as of `Server`.
        tls: as of `Server`.
        limits: as of `Server`, of each worker.
        resources: as of `Server`, shared by the workers.
        watch: as of `Server`.
        hang_time: seconds without a sign of life after which a worker is ended.
        options: `token`, `insecure_no_token`, `token_limits`, `traffic`, `max_memory`, `services`, what is watched and
            what is required, as of `Server`; limits of tokens and the memory are shared by the workers, each has its
            own services.

    Raises:
        LeptonError: as `Server`.
    """

    def __init__(
        self,
        models: Any,
        *,
        processes: int,
        host: str = "127.0.0.1",
        port: int = 8080,
        grpc_port: int | None = None,
        unix: Path | None = None,
        tls: Tls | None = None,
        limits: Limits | None = None,
        resources: Resources | None = None,
        watch: float | None = None,
        hang_time: float = 10.0,
        **options: Any,
    ) -> None:
        if processes < 1:
            raise UsageError(ErrorCode.BAD_SETTING, f"got {processes} processes", wanted="at least 1")
        if grpc_port == 0:
            raise UsageError(ErrorCode.BAD_SETTING, "got the gRPC port 0 for several processes", wanted="one for all")
        for name, value in options.items():
            if value and name not in _SHARED:
                raise UsageError(
                    ErrorCode.USAGE,
                    f"got {name.replace('_', '-')} for {processes} processes",
                    wanted="one process",
                    fix="leave out --processes, or serve that by a command of its own",
                )
        shared = {
            name: value if isinstance(value, int | list) else str(value) for name, value in options.items() if value
        }
        if "max_memory" in shared:
            shared["max_memory"] = options["max_memory"] // processes
        sources = models if isinstance(models, Sources) else Sources.of(models) if models else Sources(())
        if not all(isinstance(source, Path) for source in sources.files.values()):
            raise UsageError(ErrorCode.USAGE, "got an opened model for several processes", wanted="its file")
        self._front = Front(host, port, grpc_port=grpc_port, unix=unix, tls=tls)
        limits_file = options.get("token_limits")
        self._front.guard(
            options.get("token"),
            insecure_no_token=options.get("insecure_no_token", False),
            allowances=None if limits_file is None else read_allowances(limits_file),
        )
        self.limits = limits or Limits()
        whole = resources or Resources()
        self._resources = dataclasses.replace(whole, cpus=max(1, whole.cpus // processes))
        self.watch = watch
        self.hang_time = hang_time
        self._told = {
            "sources": sources_record(sources),
            "share": 1 / processes,
            "limits": dataclasses.asdict(self.limits),
            "resources": dataclasses.asdict(self._resources)
            | {"scratch": None if whole.scratch is None else str(whole.scratch)},
            "log": log_form(),
            "options": {"host": host, "grpc_port": grpc_port, **shared},
            "unix": None if unix is None else str(unix),
            "tls": None if tls is None else tls.to_dict(),
            "tasks": None,
        }
        self._forgets_tasks = bool(options.get("services")) and not options.get("state")
        self.children: list[Child | None] = [None] * processes
        self._numbers: dict[str, dict[str, int]] = {}
        self._trials: dict[str, tuple[Stamp | None, asyncio.Future[str]]] = {}
        self._journal: dict[tuple[str, str], Any] = {}
        self._changing = asyncio.Lock()
        self._news: dict[str, Any] = {}
        self._restarts = 0
        self._last_cause = ""
        self._failure: LeptonError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def url(self) -> str:
        """Address of the server, with the port that it has."""
        return self._front.url

    @property
    def port(self) -> int:
        """Port of HTTP."""
        return self._front.port

    @property
    def grpc_address(self) -> str | None:
        """Address of gRPC, as its clients write it."""
        return self._front.grpc_address

    @property
    def states(self) -> list[tuple[str, str, str]]:
        """Name, state and reason of every model, as the first worker that answers has them."""
        found: list[list[str]] = next((child.models for child in self._living() if child.models is not None), [])
        return [(name, state, said) for name, _, state, said in found]

    @property
    def services(self) -> list[list[str]]:
        """Name, state and reason of every service, as the first worker that answers has them."""
        return next((child.services for child in self._living() if child.services), [])

    def serve_forever(self, announce: Callable[[Supervisor], None] = lambda _: None) -> None:
        """Serve in this thread until SIGTERM or SIGINT, then finish the requests in flight and return.

        Args:
            announce: called when every worker is there.

        Raises:
            LeptonError: the address cannot be bound, or a worker cannot start.
        """
        with contextlib.ExitStack() as stack:
            if self._forgets_tasks:  # a task is asked for by a connection to any worker
                self._told["tasks"] = str(stack.enter_context(scratch_folder()))
            asyncio.run(self._main(announce))

    def stop(self) -> None:
        """Begin to stop; from any thread."""
        if self._loop is not None and self._stopping is not None:
            with contextlib.suppress(RuntimeError):  # it stopped by itself
                self._loop.call_soon_threadsafe(self._stopping.set)

    def gather(self, topic: str) -> list[Any]:
        """What every worker tells under a topic of its `Link`; in any thread but this server's."""
        if self._loop is None:
            return []
        return asyncio.run_coroutine_threadsafe(self._gathered(topic), self._loop).result()

    async def _gathered(self, topic: str) -> list[Any]:
        return [found for found in await self._ask_all("gather", topic) if found is not None]

    async def _main(self, announce: Callable[[Supervisor], None]) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._stopping = stopping = asyncio.Event()
        address = self._front.bind()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stopping.set)
        keepers = [asyncio.create_task(self._keep(index, stopping)) for index in range(len(self.children))]
        others: list[asyncio.Task[None]] = []
        try:
            while not stopping.is_set() and not self._all_ready:
                await asyncio.sleep(0.01)
            if self._failure is not None:
                raise self._failure
            if stopping.is_set():
                return
            address.listen(_BACKLOG)
            loop.add_reader(address, self._let_in, address)
            others.append(asyncio.create_task(self._look_after()))
            if self.watch is not None:
                others.append(asyncio.create_task(self._refresh(self.watch)))
            announce(self)
            await stopping.wait()
            loop.remove_reader(address)
            for connection in take_waiting(address):
                self._hand_over(connection)
        finally:
            stopping.set()
            address.close()
            self._front.release()
            for task in others:
                task.cancel()
            await self._end(keepers)

    @property
    def _all_ready(self) -> bool:
        return all(child is not None and child.ready.is_set() for child in self.children)

    # Workers

    async def _keep(self, index: int, stopping: asyncio.Event) -> None:
        """Keep one worker alive."""
        pause = _FIRST_PAUSE
        ever = False
        while not stopping.is_set():
            child = Child(self._told, self._resources, self._answer)
            self.children[index] = child
            cause = await child.run()
            self.children[index] = None
            ever = ever or child.opened
            if stopping.is_set():
                return
            if not ever:  # who starts a server sees what is wrong with it
                self._failure = child.failure or WorkerError(ErrorCode.WORKER_DIED, f"a worker did not start: {cause}")
                stopping.set()
                return
            self._restarts += 1
            self._last_cause = printable(cause, 500)
            _logger.error("worker %d (process %d) is started again: %s", index, child.process_id, self._last_cause)
            self._tell_news()
            pause = _FIRST_PAUSE if time.monotonic() - child.started > _STABLE else min(2 * pause, _LONGEST_PAUSE)
            try:
                await asyncio.wait_for(stopping.wait(), pause)
            except TimeoutError:
                continue

    async def _end(self, keepers: list[asyncio.Task[None]]) -> None:
        for child in self._living():
            child.channel.tell("stop")
        await asyncio.wait(keepers, timeout=self.limits.drain_time + _FAREWELL)
        for child in self._living():
            child.kill("it did not stop")
        await asyncio.gather(*keepers)

    def _living(self) -> list[Child]:
        return [child for child in self.children if child is not None]

    async def _look_after(self) -> None:
        """End workers of which nothing is heard."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK)
            now = time.monotonic()
            held_up, looked = now - looked > _HELD_UP, now
            for child in self._living():
                limit = self.hang_time if child.ready.is_set() else _START_TIME
                # A supervisor that was held up itself has yet to read what they said meanwhile.
                if child.silent(now) > limit and not held_up:
                    child.kill(f"nothing was heard of it for {limit:g} s")

    # Connections

    def _let_in(self, address: Any) -> None:
        if not any(child.ready.is_set() for child in self._living()):
            # They wait in the kernel until a worker is there; the loop is not to ask for them again and again.
            loop = asyncio.get_running_loop()
            loop.remove_reader(address)
            loop.call_later(_AGAIN, self._listen_again, address)
            return
        try:
            connection, _ = address.accept()
        except OSError:  # the peer has gone already
            return
        self._hand_over(connection)

    def _listen_again(self, address: Any) -> None:
        if self._stopping is not None and not self._stopping.is_set():
            asyncio.get_running_loop().add_reader(address, self._let_in, address)

    def _hand_over(self, connection: Any) -> None:
        """Give a connection to the worker with the fewest; where none takes it, it is closed."""
        with connection:
            for child in sorted(self._living(), key=lambda each: each.connections):
                if child.hand_over(connection):
                    return

    # What workers ask and tell

    async def _answer(self, child: Child, kind: str, value: Any) -> Any:
        match kind:
            case "beat":
                child.models, child.services = value["models"], value["services"]
                self._tell_news()
            case "opened":
                for asked in tuple(self._journal.values()):
                    await child.channel.ask("control", asked)
                for told in await self._gathered("decisions"):
                    for decided in told:
                        await child.channel.ask("decided", decided)
                child.open()
                self._tell_news(child)
            case "number":
                numbers = self._numbers.setdefault(value["name"], {})
                return numbers.setdefault(value["model_id"], len(numbers) + 1)
            case "trial":
                return await self._tried(value)
            case "control":
                return await self._change(value)
            case "decided":
                for other in self._living():
                    if other is not child and other.ready.is_set():
                        other.channel.tell("decided", value)
            case "gather":
                return await self._gathered(value)
        return None

    async def _tried(self, path: str) -> str:
        """The `model_id` of a file, found out once for all workers."""
        stamp = stamp_of(Path(path))
        known = self._trials.get(path)
        if known is None or known[0] != stamp:
            tried = asyncio.get_running_loop().run_in_executor(None, partial(try_bundle, Path(path)))
            self._trials[path] = known = (stamp, tried)
        return await asyncio.shield(known[1])

    async def _change(self, asked: Any) -> Any:
        """Have a request followed by every worker, one request at a time; the answer of the first that refuses it."""
        if asked["path"] == _READS:
            return await self._first(asked)
        async with self._changing:
            found = await self._ask_all("control", asked)
            if not found:
                raise ServingError(ErrorCode.NOT_READY, "no worker is ready")
            refused = [each for each in found if each["status"] >= 400]
            if not refused:
                key = (asked["method"], asked["path"])
                self._journal.pop(key, None)
                self._journal[key] = asked  # what was asked last is followed last
            return (refused or found)[0]

    async def _first(self, asked: Any) -> Any:
        for child in self._living():
            if child.ready.is_set():
                return await child.channel.ask("control", asked)
        raise ServingError(ErrorCode.NOT_READY, "no worker is ready")

    async def _ask_all(self, kind: str, value: Any) -> list[Any]:
        """Answers of the workers that are ready and give one."""
        ready = [child for child in self._living() if child.ready.is_set()]
        found = await asyncio.gather(*(child.channel.ask(kind, value) for child in ready), return_exceptions=True)
        return [each for each in found if not isinstance(each, BaseException)]

    async def _refresh(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            async with self._changing:
                await self._ask_all("refresh", None)

    def _tell_news(self, child: Child | None = None) -> None:
        """Tell every worker how all of them are, if that has changed."""
        ready = [each for each in self._living() if each.ready.is_set()]
        news = {
            "settled": all(each.models == ready[0].models for each in ready),
            "processes": len(self.children),
            "ready": len(ready),
            "restarts": self._restarts,
            "last_cause": self._last_cause,
        }
        if news != self._news:
            self._news = news
            for each in ready:
                each.channel.tell("news", news)
        elif child is not None:
            child.channel.tell("news", news)
