"""The process of a service: loads the class, answers the server's frames, and ends when the server is gone."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from lepton.core import (
    DataError,
    ErrorCode,
    Interrupted,
    LeptonError,
    ProgressRecord,
    ServingError,
    UsageError,
    Work,
    printable,
)
from lepton.serving.protocols.base import error_response
from lepton.serving.services.annotations import ResultError
from lepton.serving.services.base import Service
from lepton.serving.services.description import Handler, describe, handlers_of
from lepton.serving.services.flow import Flow, items_of
from lepton.serving.services.frames import MAX_PART, BadFrame, Frames, frame
from lepton.serving.strict_json import dump, parse

__all__ = ["load_service", "main"]

_logger = logging.getLogger("lepton.services")
_READ = 2**18
_PROGRESS_EVERY = 0.1  # seconds between two reports of a task that are passed on
_CHECKED_STATUS = 422

Answer = tuple[int, bytes]
"""Status and body of one call's answer."""


def main(handle: int, path: str, class_name: str) -> None:
    """Serve a class over the socket `handle` until the server closes it."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    connection = socket.socket(fileno=handle)
    connection.set_inheritable(False)
    link = Link(connection)
    try:
        service, handlers = _started(path, class_name)
    except BaseException as error:  # noqa: BLE001 - whatever its code raises, SystemExit too
        link.send({"kind": "failed", "reason": _reason_of(error)})
        _end()
    runner = Runner(service, handlers, link)
    link.send({"kind": "ready", "service": describe(type(service), handlers), "health": runner.health()})
    with contextlib.suppress(OSError, BadFrame):
        for head, parts in link.frames():
            runner.take(head, parts)
    _end()


def _end() -> NoReturn:
    """End this process and what it has started, whatever still runs in them."""
    sys.stderr.flush()
    os.killpg(0, signal.SIGKILL)
    os._exit(1)


class Link:
    """The socket to the server; any thread may send."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, head: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
        """Send a frame; when the server is gone, nobody waits for it."""
        with self._sending, contextlib.suppress(OSError):
            self._connection.sendall(frame(head, parts))

    def frames(self) -> Any:
        """Frames of the server, until it is gone."""
        frames = Frames()
        while data := self._connection.recv(_READ):
            yield from frames.feed(data)


def _started(path: str, class_name: str) -> tuple[Service, dict[str, Handler]]:
    cls = load_service(Path(path), class_name)
    handlers = handlers_of(cls)
    service = cls()
    service.start()
    return service, handlers


def load_service(path: Path, class_name: str) -> type[Service]:
    """The class of a file that the operator named.

    Raises:
        UsageError: no such class in it, or one that is no service.
        Exception: whatever the file raises.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(ErrorCode.BAD_SERVICE, f"{printable(path.name)} is no Python file")
    sys.path.insert(0, str(path.parent.absolute()))
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    found = getattr(module, class_name, None)
    if not isinstance(found, type) or not issubclass(found, Service):
        names = [name for name, value in vars(module).items() if _is_service(value)]
        raise UsageError(
            ErrorCode.BAD_SERVICE,
            f"{printable(path.name)} has no service '{printable(class_name)}'",
            wanted="a class made of lepton.Service" + (f", as {', '.join(names)}" if names else ""),
        )
    threads = found.threads
    if type(threads) is not int or not 1 <= threads <= 256:
        raise UsageError(ErrorCode.BAD_SERVICE, f"{class_name}.threads is {threads!r}", wanted="1 to 256")
    return found


def _is_service(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Service) and value is not Service


def _reason_of(error: BaseException) -> str:
    """Why a service cannot start, for anybody to read; what its code raised is for the log alone."""
    if isinstance(error, LeptonError):
        _logger.error("the service cannot start: %s", error)
        return str(error)
    _logger.error("the service cannot start", exc_info=error)
    return f"its code raised {type(error).__name__} when it was started; the server's log has the rest"


class Runner:
    """Runs what frames ask for: calls in as many threads as the service bears, tasks and checks beside them."""

    def __init__(self, service: Service, handlers: dict[str, Handler], link: Link) -> None:
        self._service, self._handlers, self._link = service, handlers, link
        self._calls = ThreadPoolExecutor(service.threads, "call")
        self._tasks = ThreadPoolExecutor(1, "task")
        self._checks = ThreadPoolExecutor(1, "check")
        self._cancels: dict[int, threading.Event] = {}
        self._flows: dict[int, Flow] = {}

    def take(self, head: dict[str, Any], parts: list[bytes]) -> None:
        """Begin what one frame asks for."""
        kind, number = head["kind"], head.get("id", 0)
        if kind == "call" and self._handlers[head["method"]].stream:
            flow = self._flows[number] = Flow(head["over"])
            self._calls.submit(
                self._stream, number, self._handlers[head["method"]], head["requests"][0], parts[0], flow
            )
        elif kind == "call":
            self._calls.submit(self._call, number, self._handlers[head["method"]], head["requests"], parts)
        elif kind == "task":
            cancel = self._cancels[number] = threading.Event()
            handler = self._handlers[head["method"]]
            self._tasks.submit(self._task, number, handler, head["requests"][0], parts[0], cancel)
        elif kind == "verify":
            handler = self._handlers[head["method"]]
            answer = _safely(handler, head["requests"][0], partial(_read, handler, parts[0], {}, 0))
            self._answer(number, handler, head["requests"], [answer])
        elif kind == "cancel" and number in self._cancels:
            self._cancels[number].set()
        elif kind in {"cancel", "more"} and (reading := self._flows.get(number)) is not None:
            reading.cancel() if kind == "cancel" else reading.add(head["size"])
        elif kind == "check":
            self._checks.submit(lambda: self._link.send({"kind": "health", "health": self.health()}))

    def health(self) -> str:
        """What is wrong with the service, by its own check; empty if nothing is."""
        try:
            found = self._service.check()
        except BaseException as error:
            if isinstance(error, LeptonError):
                return str(error)
            _logger.error("the check of the service failed", exc_info=error)
            return f"its check raised {type(error).__name__}; the server's log has the rest"
        if found is False:
            return "its check says no"
        return printable(found, 500) if isinstance(found, str) else ""

    def _call(self, number: int, handler: Handler, requests: list[str], bodies: list[bytes]) -> None:
        if handler.options.batch is None:
            answers = [_safely(handler, requests[0], partial(self._one, handler, bodies[0], {}))]
        else:
            answers = self._together(handler, requests, bodies)
        self._answer(number, handler, requests, answers)

    def _task(self, number: int, handler: Handler, request: str, body: bytes, cancel: threading.Event) -> None:
        extra: dict[str, Any] = {}
        if handler.work is not None:
            extra[handler.work] = Work(cancel=cancel, reporter=Reporter(self._link, number))
        answer = _safely(handler, request, partial(self._one, handler, body, extra))
        del self._cancels[number]
        self._answer(number, handler, [request], [answer])

    def _stream(self, number: int, handler: Handler, request: str, body: bytes, flow: Flow) -> None:
        """Send the items of a method as they come; its answer says how they ended."""
        answer = _safely(handler, request, partial(self._items, number, handler, body, flow))
        del self._flows[number]
        self._answer(number, handler, [request], [answer])

    def _items(self, number: int, handler: Handler, body: bytes, flow: Flow) -> bytes:
        arguments = handler.read(parse(body) if body else {})
        if handler.work is not None:
            arguments[handler.work] = Work(cancel=flow.cancelled)
        with contextlib.closing(items_of(getattr(self._service, handler.name)(**arguments))) as items:
            for item in items:
                data = _result(handler, item)
                if len(data) > MAX_PART:
                    raise ResultError(f"an item of {handler.name} has {len(data)} bytes")
                if not flow.spend(len(data)):
                    break
                self._link.send({"kind": "item", "id": number}, [data])
        return b""

    def _answer(self, number: int, handler: Handler, requests: list[str], answers: list[Answer]) -> None:
        if sum(len(body) for _, body in answers) > MAX_PART:
            _logger.error("requests %s: the answers of %s are too large", ", ".join(requests), handler.name)
            answers = [_failed(request) for request in requests]
        head = {"kind": "answer", "id": number, "statuses": [status for status, _ in answers]}
        self._link.send(head, [body for _, body in answers])

    def _one(self, handler: Handler, body: bytes, extra: dict[str, Any]) -> bytes:
        arguments = handler.read(parse(body) if body else {})
        if handler.work is not None and not extra:
            extra = {handler.work: Work()}
        result = getattr(self._service, handler.name)(**arguments, **extra)
        return _result(handler, result)

    def _together(self, handler: Handler, requests: list[str], bodies: list[bytes]) -> list[Answer]:
        """Answers to calls of one method, run as one; where that fails, each alone, so that one spoils no other."""
        answers: dict[int, Answer] = {}
        calls: dict[int, dict[str, Any]] = {}
        for position, body in enumerate(bodies):
            read = partial(_read, handler, body, calls, position)
            if refusal := _refusal(handler, requests[position], read):
                answers[position] = refusal
        if len(calls) > 1:
            try:
                results = self._many(handler, list(calls.values()))
                answers |= {
                    position: (200, _result(handler, result)) for position, result in zip(calls, results, strict=True)
                }
            except BaseException as error:  # noqa: BLE001 - each call alone says what is wrong with it
                _logger.warning("a batch of %s failed, and is run call by call: %s", handler.name, type(error).__name__)
        for position, arguments in calls.items():
            if position not in answers:
                run = partial(self._alone, handler, arguments)
                answers[position] = _safely(handler, requests[position], run)
        return [answers[position] for position in range(len(bodies))]

    def _alone(self, handler: Handler, arguments: dict[str, Any]) -> bytes:
        return _result(handler, self._many(handler, [arguments])[0])

    def _many(self, handler: Handler, calls: list[dict[str, Any]]) -> list[Any]:
        columns = {name: [call[name] for call in calls] for name in handler.parameters}
        extra = {} if handler.work is None else {handler.work: Work()}
        results = getattr(self._service, handler.name)(**columns, **extra)
        given = results.tolist() if hasattr(results, "tolist") else results
        if not isinstance(given, list | tuple) or len(given) != len(calls):
            came = f"{len(given)} results" if isinstance(given, list | tuple) else f"a {type(given).__name__}"
            raise TypeError(f"{handler.name} is called in batches, and gave {came} for {len(calls)} calls")
        return list(given)


def _read(handler: Handler, body: bytes, calls: dict[int, dict[str, Any]], position: int) -> bytes:
    calls[position] = handler.read(parse(body) if body else {})
    return b""


def _refusal(handler: Handler, request: str, read: Any) -> Answer | None:
    status, body = _safely(handler, request, read)
    return None if status == 200 else (status, body)


def _result(handler: Handler, result: Any) -> bytes:
    return dump({"result": handler.result.write(result, "the result")})


def _safely(handler: Handler, request: str, run: Any) -> Answer:
    """What `run` gives, or the answer to what it raises; what is the service's own fault is told to the log alone."""
    try:
        return 200, run()
    except ServingError as error:
        if error.code in {ErrorCode.BAD_PARAMETER, ErrorCode.BAD_REQUEST}:
            return _refused(error)
        failure: BaseException = error
    except DataError as error:
        if error.http_status == _CHECKED_STATUS:  # a model of the service has refused the caller's values
            return _refused(error)
        failure = error
    except Interrupted as error:
        return _refused(error)
    except BaseException as error:  # noqa: BLE001 - SystemExit too ends the call alone
        failure = error
    _logger.error("request %s: %s failed", request, handler.name, exc_info=failure)
    return _failed(request)


def _refused(error: LeptonError) -> Answer:
    response = error_response(error)
    return response.status, response.body


def _failed(request: str) -> Answer:
    return _refused(
        ServingError(
            ErrorCode.SERVICE_FAILED,
            "the service failed in this call",
            fix="the server's log has more under the request id",
            details={"request_id": request},
        )
    )


class Reporter:
    """Passes the progress of a task on, not more often than somebody reads it."""

    def __init__(self, link: Link, number: int) -> None:
        self._link, self._number = link, number
        self._next = 0.0

    def __call__(self, record: ProgressRecord) -> None:
        if record.elapsed < self._next and record.done != record.total:
            return
        self._next = record.elapsed + _PROGRESS_EVERY
        progress = {
            "done": record.done,
            "total": record.total,
            "unit": str(record.unit),
            "best": str(record.best),
            "note": str(record.note),
        }
        self._link.send({"kind": "progress", "id": self._number, "progress": progress})
