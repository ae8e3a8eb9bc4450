"""A worker's side of its supervisor: what it asks, what it is asked, and that it is still alive."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lepton.core import ErrorCode, LeptonError, WorkerError
from lepton.serving.dispatch import answer_safely
from lepton.serving.http import HttpService
from lepton.serving.model_store import ModelStore
from lepton.serving.processes.channel import Channel, as_record
from lepton.serving.processes.door import Door, HandedOver
from lepton.serving.protocols.base import Request, Response, error_response
from lepton.serving.protocols.oip import InferenceProtocol
from lepton.serving.strict_json import dump
from lepton.serving.watchdog import Watchdog

__all__ = ["BEAT", "Link", "Worked"]

BEAT = 0.25
"""Seconds between two signs of life."""


@dataclass(frozen=True)
class Worked:
    """What a worker is made of.

    Attributes:
        models: that answer.
        refresh: takes up new files.
        protocol: answers requests that change them.
        service: the connections.
        watchdog: of runs.
        stop_soon: begins to finish the requests in flight, and to end.
        services: name, state and reason of each service.
    """

    models: ModelStore
    refresh: Callable[[], None]
    protocol: InferenceProtocol
    service: HttpService
    watchdog: Watchdog
    stop_soon: Callable[[], None]
    services: Callable[[], list[list[str]]] = list


class Link:
    """Ties a server to its supervisor.

    Args:
        channel: for questions and answers.
        door: for connections.
        share: of what the server is to allow that this worker allows.
        tasks: folder in which all workers keep the tasks of services, where the server has none for its state.
    """

    def __init__(
        self, channel: socket.socket, door: socket.socket, share: float = 1.0, tasks: Path | None = None
    ) -> None:
        self.door: Door
        self.door = self._handed = HandedOver(door)
        self.share = share
        self.tasks = tasks
        self.topics: dict[str, Callable[[], Any]] = {"process": os.getpid}
        """What this worker can tell of itself for a sum over all: topic to what gives it in JSON, in any thread."""
        self.follow: Callable[[Any], None] = lambda _: None
        """Does what another worker has told by `tell_others`; called in any thread."""
        self._socket = channel
        self._last_words = channel.dup()
        self._channel = Channel(self._handle)
        self._server: Worked | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self, server: Worked) -> None:
        """Begin to listen, and to say that this process lives."""
        self._server, self._loop = server, asyncio.get_running_loop()
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._beat())]
        await asyncio.sleep(0)

    async def end(self) -> None:
        """Say nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def opened(self) -> None:
        """Say that connections can come; on the loop."""
        self._tell_beat()
        self._channel.tell("opened")

    def failed(self, error: LeptonError) -> None:
        """Say why this worker ends, when its loop has ended."""
        with contextlib.suppress(OSError):
            self._last_words.setblocking(True)
            self._last_words.sendall(dump({"kind": "failed", "value": as_record(error)}) + b"\n")

    def number(self, name: str, model_id: str) -> int:
        """The number of a version, the same in every worker; in any thread but the loop's."""
        return int(self._ask("number", {"name": name, "model_id": model_id}))

    def trial(self, path: Path) -> str:
        """See `try_bundle`: the supervisor tries each file once for all workers; in any thread but the loop's."""
        return str(self._ask("trial", str(path)))

    def control(self, request: Request) -> Response:
        """Have a request that changes the models answered by every worker; in any thread but the loop's."""
        asked = {
            "method": request.method,
            "path": request.path,
            "id": request.id,
            "body": request.body.decode("latin-1"),
        }
        try:
            found = self._ask("control", asked)
        except LeptonError as error:
            return error_response(error)
        return response_of(found)

    def gather(self, topic: str) -> list[Any]:
        """What every worker tells under a topic, in any thread but the loop's."""
        return list(self._ask("gather", topic))

    def tell_others(self, value: Any) -> None:
        """Have every other worker `follow`; from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it ends
                self._loop.call_soon_threadsafe(self._channel.tell, "decided", value)

    def _ask(self, kind: str, value: Any) -> Any:
        if self._loop is None:
            raise WorkerError(ErrorCode.WORKER_DIED, "the supervisor does not listen yet")
        return asyncio.run_coroutine_threadsafe(self._channel.ask(kind, value), self._loop).result()

    async def _listen(self) -> None:
        await self._channel.serve(self._socket)
        if self._server is not None:
            self._server.stop_soon()  # the supervisor is gone

    async def _beat(self) -> None:
        while True:
            self._tell_beat()
            await asyncio.sleep(BEAT)

    def _tell_beat(self) -> None:
        if self._server is None:
            return
        models = [
            [each.name, each.version, str(each.state), each.reason or each.described.model_id]
            for model in self._server.models
            for each in self._server.models.versions(model.name)
        ]
        beat = {
            "admitted": self._handed.num_admitted,
            "connections": len(self._server.service.connections),
            "stuck": self._server.watchdog.stuck,
        }
        self._channel.tell("beat", {**beat, "models": models, "services": self._server.services()})

    async def _handle(self, kind: str, value: Any) -> Any:
        if self._server is None:
            raise WorkerError(ErrorCode.WORKER_DIED, "the worker does not listen yet")
        if kind == "stop":
            self._server.stop_soon()
            return None
        if kind == "news":
            self._server.protocol.workers = value
            return None
        work: Callable[[], Any]
        if kind == "gather":
            work = self.topics.get(value, _nothing)
        elif kind == "decided":
            work = partial(self.follow, value)
        elif kind == "refresh":
            work = self._server.refresh
        else:
            request = Request(value["method"], value["path"], {}, value["body"].encode("latin-1"), value["id"])
            work = partial(_record, self._server.protocol, request)
        found = await asyncio.get_running_loop().run_in_executor(None, work)
        self._tell_beat()
        return found


def response_of(record: dict[str, Any]) -> Response:
    """A response that came over a channel."""
    headers = tuple((name, value) for name, value in record["headers"])
    return Response(record["status"], record["body"].encode("latin-1"), record["type"], headers)


def _record(protocol: InferenceProtocol, request: Request) -> dict[str, Any]:
    response = answer_safely(request, protocol.answer, request)
    return {
        "status": response.status,
        "body": response.body.decode("latin-1"),
        "type": response.content_type,
        "headers": [list(header) for header in response.headers],
    }


def _nothing() -> None:
    """What a worker without a topic tells of it."""
