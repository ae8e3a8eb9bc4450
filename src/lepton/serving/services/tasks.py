"""Tasks of services on the server's loop: queued, run one by one in the process of their service, kept."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lepton.core import ErrorCode, LeptonError, ServingError
from lepton.serving.protocols.base import Request, Response, error_response, internal_error
from lepton.serving.services.host import Host, Pending
from lepton.serving.services.task_store import Task, TaskStore
from lepton.serving.strict_json import dump

__all__ = ["Tasks"]

_logger = logging.getLogger("lepton.serving")
_INTERRUPTED_STATUS = 499
_NOTED_EVERY = 0.5  # seconds
T = TypeVar("T")


class Tasks:
    """Everything but the database happens on the loop; the database has a thread of its own.

    Args:
        folder: of the server's state; None forgets tasks when the server stops.
    """

    def __init__(self, folder: Path | None) -> None:
        self._store = TaskStore(folder)
        self._loop = asyncio.get_running_loop()
        self._database = ThreadPoolExecutor(1, "lepton-tasks")
        self._running: dict[str, tuple[Host, int]] = {}  # by id, with the number that the process knows it by
        self._busy: set[Host] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        self._closed = False
        self.ended: Counter[tuple[str, str, str]] = Counter()
        """Tasks that ended in this process, by service, method and how."""

    async def recover(self, service: str) -> None:
        """Take up what servers that are gone have left of a service's tasks."""
        await self._in_database(self._store.recover, service)

    def adopt(self, host: Host) -> None:
        """Run the tasks of a service whenever it is ready."""
        host.on_ready = partial(self._feed, host)

    async def close(self) -> None:
        """Run no more; what is running stays in the database as that."""
        self._closed = True
        for task in tuple(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._database.shutdown()
        self._store.close()

    def submit(self, host: Host, method: Mapping[str, Any], request: Request, done: Callable[[Response], None]) -> None:
        """Queue a task once the service has found its parameters right; `done` takes the task or the refusal."""

        def checked(response: Response) -> None:
            if response.status == 200:
                self._later(self._submit(host, method, request), done)
            else:
                done(response)

        host.verify(Pending(request, method, checked))

    def show(self, task: str, done: Callable[[Response], None]) -> None:
        """Give a task to `done`."""
        self._later(self._show(task), done)

    def cancel(self, task: str, done: Callable[[Response], None]) -> None:
        """Cancel a task that waits, ask one that runs to stop, and give it to `done`."""
        self._later(self._cancel(task), done)

    async def _submit(self, host: Host, method: Mapping[str, Any], request: Request) -> Response:
        task = Task(
            secrets.token_hex(16), host.name, method["name"], request.id, request.body, safe=bool(method["safe"])
        )
        task = await self._in_database(self._store.add, task)
        self._feed(host)
        return self._response(task, 202)

    async def _show(self, task: str) -> Response:
        return self._response(await self._in_database(self._store.get, task))

    async def _cancel(self, task: str) -> Response:
        found = await self._in_database(self._store.cancel, task)
        if found.state == "running" and task in self._running:
            host, number = self._running[task]
            host.cancel_task(number)
        return self._response(found)

    def _feed(self, host: Host) -> None:
        """Run the next task of a service, unless it is at one."""
        if host not in self._busy and not self._closed:
            self._busy.add(host)
            self._begin(self._run_next(host))

    async def _run_next(self, host: Host) -> None:
        try:
            while host.ready and (task := await self._in_database(self._store.take, host.name)) is not None:
                await self._run(host, task)
        except LeptonError as error:
            _logger.error("tasks of the service %s cannot be run: %s", host.name, error)
        finally:
            self._busy.discard(host)

    async def _run(self, host: Host, task: Task) -> None:
        method = host.methods.get(task.method)
        if method is None:
            error = ServingError(ErrorCode.UNKNOWN_SERVICE, f"the service has no method {task.method!r} any more")
            await self._finish(task, "failed", error_response(error).body)
            return
        answered: asyncio.Future[Response] = self._loop.create_future()
        told: list[str | None] = [None]  # the last progress, until it is kept
        request = Request("POST", "", body=task.body, id=task.request)
        progress = partial(_tell, told)
        number = host.run_task(Pending(request, method, partial(_settle, answered), progress=progress))
        self._running[task.id] = host, number
        try:
            while not answered.done():
                await asyncio.wait([answered], timeout=_NOTED_EVERY)
                told[0], last = None, told[0]
                if await self._in_database(self._store.note, task.id, last):
                    host.cancel_task(number)  # another process of the server was asked
        finally:
            del self._running[task.id]
        if not self._closed:  # else the next start finds it as it was left
            await self._ended(task, answered.result())

    async def _ended(self, task: Task, response: Response) -> None:
        cancelled = (await self._in_database(self._store.get, task.id)).cancelling
        if response.status == 200:
            await self._finish(task, "done", response.body)
        elif cancelled and response.status == _INTERRUPTED_STATUS:
            await self._finish(task, "cancelled", None)
        elif not _died(response):
            await self._finish(task, "failed", response.body)
        elif task.safe and task.attempts < 2 and not cancelled:
            await self._in_database(self._store.put_back, task.id)
        else:
            await self._finish(task, "interrupted", response.body)

    async def _finish(self, task: Task, state: str, answer: bytes | None) -> None:
        await self._in_database(self._store.finish, task.id, state, answer)
        self.ended[task.service, task.method, state] += 1

    def _response(self, task: Task, status: int = 200) -> Response:
        """A task as callers see it; its answer, which is JSON already, is put in as it is."""
        head = {
            "id": task.id,
            "service": task.service,
            "method": task.method,
            "state": task.state,
            "cancelling": bool(task.cancelling),
            "created": _time(task.created),
            "started": _time(task.started),
            "ended": _time(task.ended),
            "progress": None if task.progress is None else json.loads(task.progress),
        }
        body = dump(head)
        if task.answer is not None:
            answer = task.answer[1:] if task.state == "done" else b'"error":' + task.answer + b"}"
            body = body[:-1] + b"," + answer
        headers = (("location", f"/v2/tasks/{task.id}"),) if status == 202 else ()
        return Response(status, body, headers=headers)

    async def _in_database(self, function: Callable[..., T], *arguments: Any) -> T:
        return await self._loop.run_in_executor(self._database, function, *arguments)

    def _later(self, answer: Any, done: Callable[[Response], None]) -> None:
        """Have `done` take what `answer` gives, or the response to what it raises."""

        async def give() -> None:
            try:
                response = await answer
            except LeptonError as error:
                response = error_response(error)
            except Exception:
                _logger.exception("a task could not be looked at")
                response = error_response(internal_error())
            done(response)

        self._begin(give())

    def _begin(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


def _settle(answered: asyncio.Future[Response], response: Response) -> None:
    if not answered.done():
        answered.set_result(response)


def _tell(told: list[str | None], progress: Mapping[str, Any]) -> None:
    told[0] = dump(progress).decode()


def _died(response: Response) -> bool:
    return f'"{ErrorCode.SERVICE_DIED}"'.encode() in response.body and response.status == 503


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds")
