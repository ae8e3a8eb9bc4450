"""What a server knows of its own work, and the addresses that tell it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from lepton.core import ErrorCode, LeptonError, ServingError, UsageError
from lepton.serving.dispatch import answer_safely
from lepton.serving.model_store import ModelStore, ServedModel
from lepton.serving.protocols.base import Request, Response, json_response
from lepton.serving.protocols.call import Call
from lepton.serving.strict_json import parse
from lepton.serving.watching.drift import drift_page
from lepton.serving.watching.feedback import JUDGED_ROWS, live_metrics, read_truths, take_truths
from lepton.serving.watching.metrics import Metrics, kind_of, merged, metrics_answer
from lepton.serving.watching.recorder import ModelWatch, Recorder, WatchOptions
from lepton.serving.watching.state import StateStore
from lepton.serving.watching.triggers import Triggers

__all__ = ["Watching"]

Done = Callable[[Response], None]
_TOPIC = "metrics"
_HTML = "text/html; charset=utf-8"
_PAGE_HEADERS = (("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),)


class Supervised(Protocol):
    """What ties a process to others of the same server."""

    topics: dict[str, Callable[[], Any]]

    def gather(self, topic: str) -> list[Any]:
        """What every process tells under a topic; in any thread but the loop's."""


class Offering(Protocol):
    """What offers methods beside the models."""

    def offers(self, service: str, method: str) -> bool:
        """Whether there is such a method."""

    def counted(self) -> list[Any]:
        """Of each service what `Metrics.snapshot` takes of it; on the loop."""


class Later:
    """An answer that a thread makes."""

    def __init__(self) -> None:
        self.gone = False

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self.gone = True


class Watching:
    """Counts what a server does, and answers the addresses that tell of it.

    Args:
        store: the models of the server.
        state: folder that outlives the server; without one neither drift nor feedback is known.
        options: how much is kept there.

    Raises:
        StoreError: the folder cannot be written.
        UsageError: what is to be done at an alarm cannot be meant.
    """

    def __init__(self, store: ModelStore, state: Path | None = None, options: WatchOptions | None = None) -> None:
        self._store = store
        self._state = None if state is None else StateStore(state)
        self._recorder = None
        if self._state is not None:
            options = options or WatchOptions()
            self._recorder = Recorder(store, self._state, options)
            self._triggers = Triggers(
                self._state,
                options.window_time,
                webhook=options.webhook,
                command=options.command,
                volume=options.volume,
            )
            self._recorder.listeners.append(self._triggers.judged)
            self._recorder.fed_listeners.append(self._triggers.fed)
        elif options is not None and (options.webhook or options.command or options.volume):
            raise UsageError(
                ErrorCode.BAD_SETTING,
                "got what is to be done at an alarm, and no state, without which there is none",
                fix="give --state DIR too",
            )
        self.metrics = Metrics()
        self.services: Offering | None = None
        self._waiting: Callable[[], Mapping[tuple[str, str], int]] = dict
        self._link: Supervised | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = ThreadPoolExecutor(2, "lepton-watching")
        self._kind = lru_cache(256)(kind_of)
        self.handlers: Mapping[str, Callable[..., Any]] = {
            "/metrics": self._show_metrics,
            "/v2/models/{model}/drift": self._show_drift,
            "/v2/models/{model}/drift/page": self._show_drift_page,
            "/v2/models/{model}/feedback": self._feedback,
            "/v2/models/{model}/feedback/{column}": self._feedback,
        }

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        waiting: Callable[[], Mapping[tuple[str, str], int]],
        link: Supervised | None = None,
    ) -> None:
        """Begin; on the loop.

        Args:
            loop: of the server.
            waiting: requests in the queue of each version of a model.
            link: to the other processes of the server, where there are several.
        """
        self._loop, self._waiting, self._link = loop, waiting, link
        if link is not None:
            link.topics[_TOPIC] = self.told
        if self._recorder is not None:
            self._recorder.start()

    def on_alarm(self, call: Callable[[str, str, str], None]) -> None:
        """Have a function called with the name and version of a model that has drifted, and how; in another thread."""

        def judged(watch: ModelWatch) -> None:
            if watch.report is not None and watch.report.alarms:
                call(watch.name, watch.version, "columns have shifted: " + ", ".join(watch.report.alarms[:10]))

        if self._recorder is not None:
            self._recorder.listeners.append(judged)

    def close(self) -> None:
        """Answer nothing more."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        if self._recorder is not None and self._state is not None:
            self._recorder.close()
            self._triggers.close()
            self._state.close()

    def record(self, request: Request, response: Response, seconds: float, pattern: str, variables: Any) -> None:
        """Count an answer that no model was run for, on the loop.

        Args:
            request: that was answered.
            response: what was sent.
            seconds: that it took.
            pattern: of the route, "" where there is none.
            variables: parts of the address that vary, by name.
        """
        served = None
        services = self.services
        if services is not None and "method" in variables and services.offers(**variables):
            self.metrics.record_call(**variables, response=response, seconds=seconds)
        if "model" in variables:
            with contextlib.suppress(LeptonError):  # names of no model are no labels
                served = self._store[variables["model"]]
        self.metrics.record(request, response, seconds, served, self._kind(pattern))

    def observe(self, call: Call, request: Request) -> None:
        """A call that was read and is about to run."""
        watch = call.model.watch
        if watch:
            watch.observe(call, request)

    def snapshot(self) -> dict[str, Any]:
        """What this process has counted; on the loop."""
        models: list[ServedModel] = [each for model in self._store for each in self._store.versions(model.name)]
        scores = [] if self._recorder is None else self._recorder.scores()
        services = [] if self.services is None else self.services.counted()
        return self.metrics.snapshot(models, self._waiting(), scores, services)

    def told(self) -> dict[str, Any]:
        """What this process has counted, in any thread but the loop's."""

        async def on_loop() -> dict[str, Any]:
            return self.snapshot()

        if self._loop is None:
            return self.snapshot()
        return asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result()

    def _show_metrics(self, request: Request, done: Done) -> Response | Later:
        link = self._link
        if link is None:
            return metrics_answer(self.snapshot())
        return self._in_thread(request, done, lambda: metrics_answer(merged(filter(None, link.gather(_TOPIC)))))

    def _watched(self, model: str) -> tuple[Recorder, StateStore, ModelWatch]:
        served = self._store[model]
        if self._recorder is None or self._state is None:
            raise ServingError(
                ErrorCode.WATCHING_OFF,
                "the server keeps no state, without which neither drift nor feedback is known",
                fix="start it with --state DIR",
            )
        watch = self._recorder.watch_of(served)
        if watch is None:
            raise ServingError(
                ErrorCode.NOT_READY,
                f"the model '{served.name}' is not watched: {served.reason or 'it has no statistics of its training'}",
            )
        return self._recorder, self._state, watch

    def _show_drift(self, request: Request, done: Done, *, model: str) -> Response | Later:
        recorder, _, watch = self._watched(model)

        def make() -> Response:
            told = {"model_name": watch.name, "model_version": watch.version, "model_id": watch.model_id}
            return json_response(told | recorder.judge(watch).to_dict() | {"unwatched": watch.columns.unwatched})

        return self._in_thread(request, done, make)

    def _show_drift_page(self, request: Request, done: Done, *, model: str) -> Response | Later:
        recorder, _, watch = self._watched(model)

        def make() -> Response:
            page = drift_page(watch.name, watch.version, watch.columns.baseline, recorder.judge(watch))
            return Response(200, page.html().encode(), _HTML, _PAGE_HEADERS)

        return self._in_thread(request, done, make)

    def _feedback(self, request: Request, done: Done, *, model: str, column: str | None = None) -> Response | Later:
        recorder, state, watch = self._watched(model)
        if not watch.keeps_answers:
            raise ServingError(
                ErrorCode.BAD_REQUEST,
                f"'{watch.name}' is a model for {watch.task.name}, whose answers are no one label or number a row",
                wanted="feedback of a model for binary, multiclass or regression",
                fix="judge it on rows whose truth is known: lepton evaluate",
                details={"task": watch.task.name},
            )

        def make() -> Response:
            truths = None if request.method != "POST" else read_truths(parse(request.body))
            recorder.flush()
            if truths is None:
                judged = state.judged(watch.name, JUDGED_ROWS)
                return json_response(live_metrics(watch, judged, column))
            new = take_truths(watch, truths, state)
            watch.fed = watch.fed or new > 0
            return json_response({"model_name": watch.name, "taken": new, "known": len(truths) - new})

        return self._in_thread(request, done, make)

    def _in_thread(self, request: Request, done: Done, make: Callable[[], Response]) -> Later:
        later = Later()

        def run() -> None:
            response = answer_safely(request, make)
            if self._loop is not None and not later.gone:
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self._loop.call_soon_threadsafe(done, response)

        self._threads.submit(run)
        return later
