"""What a supervisor and a worker say to each other: questions, answers and news in strict JSON, one line each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from lepton.core import CATALOGUE, ErrorCode, LeptonError, ServingError, WorkerError
from lepton.serving.strict_json import dump, parse

__all__ = ["Channel", "as_error", "as_record"]

_logger = logging.getLogger("lepton.serving")
_LINE = 128 * 2**20


class Channel:
    """One side of a pair of sockets, on one event loop. Both sides may ask and tell at any time.

    Args:
        handle: gives the answer to what the other side asks or tells, from its kind and value, both JSON.
    """

    def __init__(self, handle: Callable[[str, Any], Awaitable[Any]]) -> None:
        self._handle = handle
        self._writer: asyncio.StreamWriter | None = None
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._last = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, connection: socket.socket) -> None:
        """Listen until the other side is gone."""
        reader, self._writer = await asyncio.open_unix_connection(sock=connection, limit=_LINE)
        try:
            while line := await reader.readline():
                self._take(parse(line, "a line of the other process"))
        except (ConnectionError, ValueError):  # it is gone, or says more than any line holds
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Say nothing more; the other side finds that out."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for future in self._asked.values():
            if not future.done():
                future.set_exception(_gone())

    def tell(self, kind: str, value: Any = None) -> None:
        """Say something that wants no answer; nobody may be there to hear it."""
        self._send({"kind": kind, "value": value})

    async def ask(self, kind: str, value: Any = None) -> Any:
        """The other side's answer.

        Raises:
            LeptonError: what it raised.
            WorkerError: WORKER_DIED, it is gone.
        """
        if self._writer is None:
            raise _gone()
        self._last += 1
        number = self._last
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"ask": number, "kind": kind, "value": value})
            return await future
        finally:
            del self._asked[number]

    def _send(self, record: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(dump(record) + b"\n")

    def _take(self, record: dict[str, Any]) -> None:
        if "reply" not in record:
            task = asyncio.create_task(self._answer(record))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        future = self._asked.get(record["reply"])
        if future is None or future.done():
            return
        if "error" in record:
            future.set_exception(as_error(record["error"]))
        else:
            future.set_result(record["value"])

    async def _answer(self, record: dict[str, Any]) -> None:
        out: dict[str, Any] = {"reply": record.get("ask")}
        try:
            out["value"] = await self._handle(record["kind"], record["value"])
        except LeptonError as error:
            out["error"] = as_record(error)
        except Exception:
            _logger.exception("%r of another process could not be answered", record["kind"])
            out["error"] = as_record(ServingError(ErrorCode.INTERNAL, "an error inside the server"))
        if out["reply"] is not None:
            with contextlib.suppress(ConnectionError):
                self._send(out)


def as_record(error: LeptonError) -> dict[str, Any]:
    """An error in JSON, from which `as_error` makes it again."""
    return {
        "code": str(error.code),
        "came": error.came,
        "wanted": error.wanted,
        "fix": error.fix,
        "details": {name: value if _is_plain(value) else ascii(value) for name, value in error.details.items()},
    }


def as_error(record: dict[str, Any]) -> LeptonError:
    """The error of a record."""
    code = ErrorCode(record["code"])
    kind = CATALOGUE[code].family
    return kind(code, record["came"], wanted=record["wanted"], fix=record["fix"], details=record["details"])


def _is_plain(value: object) -> bool:
    try:
        parse(dump(value))
    except (TypeError, ValueError, LeptonError):
        return False
    return True


def _gone() -> WorkerError:
    return WorkerError(ErrorCode.WORKER_DIED, "the other process ended")
