"""A server: models, a guard and a listening address, started and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from lepton.bundle import Predictor
from lepton.core import ErrorCode, Resources, UsageError
from lepton.serving.allowances import read_allowances
from lepton.serving.application import Application
from lepton.serving.dispatch import Dispatcher
from lepton.serving.front import Front, strangers_reach
from lepton.serving.guard import new_token
from lepton.serving.http import Limits
from lepton.serving.model_store import ModelState, ModelStore
from lepton.serving.processes.link import Link, Worked
from lepton.serving.protocols import InferenceProtocol
from lepton.serving.repository import Repository
from lepton.serving.residency import MemoryBound
from lepton.serving.services.services import HostLimits, Services
from lepton.serving.sources import Sources
from lepton.serving.tls import Tls
from lepton.serving.traffic import Traffic
from lepton.serving.verified import Required, keep_checking
from lepton.serving.watching.hub import Watching
from lepton.serving.watching.recorder import WatchOptions, check_share
from lepton.serving.watching.tracing import Tracing

try:
    import uvloop
except ImportError:  # Windows has none
    uvloop = None

__all__ = ["Server", "serve"]

_logger = logging.getLogger("lepton.serving")
_WATCHER_ENDS = 5.0  # for a model that is being opened while the server stops


class Server:
    """Serves models over HTTP until it is stopped.

    As a context manager it runs in a thread of its own, for notebooks and tests:

        with Server({"houses": "houses.lepton"}, port=0) as server:
            print(server.url)

    Args:
        models: name to file, or to an opened model; or `Sources`, which may hold folders.
        host: address to bind; others than loopback need a token.
        port: port to bind; 0 takes a free one.
        token: what callers must show.
        insecure_no_token: serve others than this machine without a token.
        limits: what callers may take.
        resources: what models may use.
        watch: seconds between two looks at the sources, to take up what is new; None takes up nothing by itself.
        traffic: file of rules: aliases, splits, pipelines, caches; see `docs/how-to/split-traffic.md`.
        max_memory: bytes that opened models may take together; those asked least recently are let go, and opened again
            when they are asked. None keeps all of them open.
        grpc_port: port to bind for gRPC; 0 takes a free one, None serves HTTP alone.
        unix: path to bind for HTTP in place of a port, for callers of this user alone.
        tls: certificate of the ports; None speaks plainly.
        services: Python classes to run beside the models, as `service.py:Shop`; each in a process of its own.
        service_python: interpreter of the environment of the services; None takes this one.
        state: folder that outlives the server: tasks of services, windows of drift and feedback are kept there.
        state_rows: share of the answers kept for feedback whose rows are kept too; 0 keeps no row.
        alarm_webhook: address that is called when a model drifts, once in a window.
        alarm_command: command that is run then, without a shell.
        traces: address of a collector of OpenTelemetry, which spans of requests are sent to; None sends none.
        alarm_truths: new truths of a model's answers after which both are told of these too; 0 never.
        token_limits: file of further tokens, each with what it allows; see `read_allowances`.
        require: `verified` serves no model file but those that passed their rules; see `docs/how-to/verify-a-model.md`.
        trusted: file of the public keys of those whose verifications count.
        insecure_unsigned: take verifications that nobody signed, in place of `trusted`.
        link: to the supervisor, where this server is one of its workers.

    Raises:
        UsageError: no model, names that cannot be used, a host that cannot be bound.
        SecurityError: an address that others reach, without a token.
        ServingError: ADDRESS_IN_USE, from `start`.
    """

    def __init__(
        self,
        models: Mapping[str, Path | Predictor] | Sources,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        token: str | None = None,
        insecure_no_token: bool = False,
        limits: Limits | None = None,
        resources: Resources | None = None,
        watch: float | None = None,
        traffic: str | Path | None = None,
        max_memory: int | None = None,
        grpc_port: int | None = None,
        unix: Path | None = None,
        tls: Tls | None = None,
        services: Sequence[str] = (),
        state: Path | None = None,
        service_python: str | None = None,
        state_rows: float = 0.0,
        alarm_webhook: str | None = None,
        alarm_command: str | None = None,
        alarm_truths: int = 0,
        traces: str | None = None,
        token_limits: Path | str | None = None,
        require: str | None = None,
        trusted: Path | str | None = None,
        insecure_unsigned: bool = False,
        link: Link | None = None,
    ) -> None:
        self._front = Front(host, port, grpc_port=grpc_port, unix=unix, tls=tls)
        self.limits = limits or Limits()
        self.resources = resources or Resources()
        self.models = ModelStore.empty(self.resources)
        if max_memory is not None:
            self.models.residency = MemoryBound(max_memory, self.resources)
        required = Required.of(require, trusted, insecure_unsigned=insecure_unsigned)
        self.models.check = None if required is None else required.check
        self.watch = watch
        if not isinstance(models, Sources):
            models = Sources.of(models) if models or not services else Sources(())
        sources = models
        self._link = link
        if link is None:
            self.repository = Repository(sources, self.models)
        else:
            self.repository = Repository(sources, self.models, link.trial, link.number)
        names = {place.name for place in sources.look()}
        self.state = state = None if state is None else Path(state)
        limited = HostLimits(max_waiting=self.limits.max_waiting)
        tasks = state if state is not None or link is None else link.tasks
        self.services = Services(
            services, taken=names, resources=self.resources, limits=limited, state=tasks, python=service_python
        )
        if watch is None and not any(self.models) and not self.services:
            raise UsageError(ErrorCode.USAGE, "got no model to serve", wanted="at least one .lepton file")
        self.traffic = None if traffic is None else Traffic(self.models, Path(traffic))
        share = check_share(float(state_rows))
        kept = WatchOptions(keep_rows=share, webhook=alarm_webhook, command=alarm_command, volume=int(alarm_truths))
        if link is not None and self.traffic is not None:
            self.traffic.tell, link.follow = link.tell_others, self.traffic.follow
            link.topics["decisions"] = self.traffic.roll_backs
        self._watching = Watching(self.models, state, kept)
        self._watching.services = self.services if self.services else None
        if self.traffic is not None:
            self._watching.on_alarm(self.traffic.alarm)
        self._tracing = None if traces is None else Tracing(traces)
        self._protocol = InferenceProtocol(
            self.models, self.repository, self.traffic, self.services or None, self._watching
        )
        share = 1.0 if link is None else link.share
        allowances = None if token_limits is None else read_allowances(token_limits, share)
        self._guard = self._front.guard(token, insecure_no_token=insecure_no_token, allowances=allowances)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Address of the server, with the port that it has."""
        return self._front.url

    @property
    def host(self) -> str:
        """Address that it binds."""
        return self._front.host

    @property
    def port(self) -> int:
        """Port of HTTP."""
        return self._front.port

    @property
    def grpc_port(self) -> int | None:
        """Port of gRPC; None where it does not speak it."""
        return self._front.grpc_port

    @property
    def grpc_address(self) -> str | None:
        """Address of gRPC, as its clients write it."""
        return self._front.grpc_address

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Server:
        """Serve in a thread; returns this server when the models are open, at once if it was started before.

        Raises:
            LeptonError: the address cannot be bound, or no model could be opened.
        """
        if self._thread is not None:
            return self
        started = threading.Event()
        failure: list[BaseException] = []

        def run() -> None:
            try:
                self._run(started.set, signals=False)
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
                failure.append(error)
            finally:
                started.set()

        self._thread = threading.Thread(target=run, name="lepton-server", daemon=True)
        self._thread.start()
        started.wait()
        if failure:
            self._thread.join()
            self._thread = None
            raise failure[0]
        return self

    def wait(self) -> None:
        """Wait until the server has stopped; Ctrl-C in the main thread ends the waiting, not the server."""
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(0.2)

    def stop(self) -> None:
        """Finish the requests in flight and stop; returns when that is done."""
        if self._loop is not None and self._stopping is not None:
            with contextlib.suppress(RuntimeError):  # it stopped by itself
                self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread is not None:
            self._thread.join()

    def serve_forever(self, announce: Callable[[Server], None] = lambda _: None) -> None:
        """Serve in this thread until SIGTERM or SIGINT, then finish the requests in flight and return.

        Args:
            announce: called with the server when the models are open.

        Raises:
            LeptonError: as `start`.
        """
        self._run(lambda: announce(self), signals=threading.current_thread() is threading.main_thread())

    def _run(self, announce: Callable[[], None], *, signals: bool) -> None:
        factory = asyncio.new_event_loop if uvloop is None else uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(self._main(announce, signals=signals))

    async def _main(self, announce: Callable[[], None], *, signals: bool) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        dispatcher = Dispatcher(
            self._protocol,
            loop.call_soon_threadsafe,
            cpus=self.resources.cpus,
            max_waiting=self.limits.max_waiting,
            max_batch=self.limits.max_batch,
            max_run=self.limits.max_run,
            control=None if self._link is None else self._link.control,
        )
        self._watching.start(loop, dispatcher.waiting, self._link)
        application = Application(self._protocol, self._guard, dispatcher, self._watching)
        application.tracing = self._tracing
        if self._tracing is not None:
            self._tracing.start()
        service = await self._front.open(application, self.limits, None if self._link is None else self._link.door)
        checking = None
        if self.models.check is not None:
            checking = loop.create_task(keep_checking(self.repository.recheck))
        unwatched = threading.Event()
        watcher: threading.Thread | None = None
        try:
            if self._link is not None:
                await self._link.begin(
                    Worked(
                        self.models,
                        self._refresh,
                        self._protocol,
                        service,
                        dispatcher.watchdog,
                        self._stopping.set,
                        self.services.told,
                    )
                )
            if signals and self._link is None:
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.add_signal_handler(number, self._stopping.set)
            await asyncio.gather(loop.run_in_executor(None, self.repository.open_all), self.services.start())
            error = self.models.first_error if any(self.models) else self.services.first_error()
            if error is not None and "ready" not in self.services.states().values():
                raise error
            if self.traffic is not None:
                await loop.run_in_executor(None, self.traffic.start)
            watcher = self._watcher(unwatched)
            announce()
            await self._stopping.wait()
        finally:
            unwatched.set()
            if checking is not None:
                checking.cancel()
            self._protocol.draining = True
            await self._front.close()
            await self.services.stop()
            dispatcher.close()
            self._watching.close()
            if self._tracing is not None:
                self._tracing.close()
            self._protocol.close()
            if self.traffic is not None:
                self.traffic.close()
            if self.models.residency is not None:
                self.models.residency.close()
            if self._link is not None:
                await self._link.end()
            if watcher is not None:
                watcher.join(_WATCHER_ENDS)

    def _refresh(self) -> None:
        self.repository.refresh()
        if self.traffic is not None:
            self.traffic.refresh()

    def _watcher(self, ends: threading.Event) -> threading.Thread | None:
        """The thread that looks for new models, if that is wanted."""
        if self.watch is None:
            return None
        thread = threading.Thread(
            target=self.repository.watch,
            args=(ends, self.watch, None if self.traffic is None else self.traffic.refresh),
            name="lepton-watch-models",
            daemon=True,
        )
        thread.start()
        return thread


def serve(
    models: Mapping[str, Path | Predictor] | Sources,
    *,
    announce: Callable[[str], None] | None = None,
    host: str = "127.0.0.1",
    token: str | None = None,
    insecure_no_token: bool = False,
    require_token: bool = False,
    **options: Any,
) -> None:
    """Serve `models` until SIGTERM or SIGINT.

    Where a token is needed and none is given, one is made and announced.

    Args:
        models: as of `Server`.
        announce: called with each line that the operator should read; None says nothing, and makes no token.
        host: address to bind.
        token: what callers must show.
        insecure_no_token: serve other machines without a token.
        require_token: want a token on a loopback address too, as loading and unloading models does.
        options: `port`, `limits`, `resources`, `watch`, `traffic`, `max_memory`, `grpc_port`, `unix`, `tls`, as of
            `Server`.

    Raises:
        LeptonError: as `Server` and `Server.start`.
    """
    say = announce or _say_nothing
    made = None
    strangers = strangers_reach(host, options.get("grpc_port"), options.get("unix"), options.get("tls"))
    needed = require_token or (strangers and not insecure_no_token and not options.get("token_limits"))
    if token is None and announce is not None and needed:
        made = token = new_token()
    server = Server(models, host=host, token=token, insecure_no_token=insecure_no_token, **options)

    def started(server: Server) -> None:
        for model in server.models:
            if model.state is ModelState.READY:
                say(f"{server.url}/v2/models/{quote(model.name)}")
            else:
                say(f"{model.name} is not ready: {model.reason}")
        for name, state in server.services.states().items():
            ready = f"{server.url}/v2/services/{quote(name)}"
            say(ready if state == "ready" else f"{name} is not ready: {server.services.reasons()[name]}")
        if server.state is None:
            say("Drift and feedback are off: --state DIR keeps what they need")
        if server.services and server.state is None:
            say("Tasks of services are kept in memory: --state DIR keeps them on disk")
        if server.grpc_address is not None:
            say(f"gRPC at {server.grpc_address}")
        if server.watch is not None:
            say(f"Looking for new models every {server.watch:g} s")
        if made is not None:
            say(f"Token, shown this once: {made}")

    server.serve_forever(started)


def _say_nothing(_: str) -> None:
    """What a quiet server says."""
