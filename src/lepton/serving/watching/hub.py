"""What a server knows of its own work, and the addresses that tell it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Protocol

from lepton.core import LeptonError
from lepton.serving.dispatch import answer_safely
from lepton.serving.model_store import ModelStore, ServedModel
from lepton.serving.protocols.base import Request, Response
from lepton.serving.protocols.call import Call
from lepton.serving.watching.exposition import CONTENT_TYPE
from lepton.serving.watching.metrics import Metrics, kind_of, merged, metrics_text

__all__ = ["Watching"]

Done = Callable[[Response], None]
_TOPIC = "metrics"


class Supervised(Protocol):
    """What ties a process to others of the same server."""

    topics: dict[str, Callable[[], Any]]

    def gather(self, topic: str) -> list[Any]:
        """What every process tells under a topic; in any thread but the loop's."""


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
    """

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self.metrics = Metrics()
        self._waiting: Callable[[], Mapping[tuple[str, str], int]] = dict
        self._link: Supervised | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = ThreadPoolExecutor(2, "lepton-watching")
        self._kind = lru_cache(256)(kind_of)
        self.handlers: Mapping[str, Callable[..., Any]] = {"/metrics": self._show_metrics}

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

    def close(self) -> None:
        """Answer nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def record(self, request: Request, response: Response, seconds: float, pattern: str, variables: Any) -> None:
        """Count an answer, on the loop.

        Args:
            request: that was answered.
            response: what was sent.
            seconds: that it took.
            pattern: of the route, "" where there is none.
            variables: parts of the address that vary, by name.
        """
        served = request.answered
        if served is None and "model" in variables:
            with contextlib.suppress(LeptonError):  # names of no model are no labels
                served = self._store[variables["model"]]
        self.metrics.record(request, response, seconds, served, self._kind(pattern))

    def observe(self, call: Call, request: Request) -> None:
        """A call that was read and is about to run."""

    def snapshot(self) -> dict[str, Any]:
        """What this process has counted; on the loop."""
        models: list[ServedModel] = [each for model in self._store for each in self._store.versions(model.name)]
        return self.metrics.snapshot(models, self._waiting())

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
            return _text(metrics_text(self.snapshot()))
        return self._in_thread(request, done, lambda: _text(metrics_text(merged(filter(None, link.gather(_TOPIC))))))

    def _in_thread(self, request: Request, done: Done, make: Callable[[], Response]) -> Later:
        later = Later()

        def run() -> None:
            response = answer_safely(request, make)
            if self._loop is not None and not later.gone:
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self._loop.call_soon_threadsafe(done, response)

        self._threads.submit(run)
        return later


def _text(body: bytes) -> Response:
    return Response(200, body, CONTENT_TYPE)
