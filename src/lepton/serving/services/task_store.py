"""Tasks of services in SQLite: a file in the server's state folder, which a restart finds again, or memory."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lepton.core import ErrorCode, ServingError, printable
from lepton.store import database_errors, make_folder, open_database

__all__ = ["Task", "TaskStore"]

_TABLE = """
CREATE TABLE IF NOT EXISTS tasks (
    id TEXT PRIMARY KEY, service TEXT NOT NULL, method TEXT NOT NULL, request TEXT NOT NULL, body BLOB NOT NULL,
    safe INTEGER NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, started REAL, ended REAL,
    attempts INTEGER NOT NULL DEFAULT 0, answer BLOB, progress TEXT, cancelling INTEGER NOT NULL DEFAULT 0,
    size INTEGER NOT NULL, owner TEXT
);
CREATE INDEX IF NOT EXISTS tasks_by_state ON tasks (state, service, created);
"""
_GET = (
    "SELECT id, service, method, request, body, safe, state, created, started, ended, attempts, answer, progress,"
    " cancelling FROM tasks WHERE id = ?"
)
_TAKE = (
    "UPDATE tasks SET state = 'running', started = ?, owner = ?, attempts = attempts + 1 WHERE id ="
    " (SELECT id FROM tasks WHERE state = 'queued' AND service = ? ORDER BY created LIMIT 1) RETURNING id"
)
_MAX_QUEUED = 1000
_MAX_BYTES = 256 * 2**20
_KEPT = 7 * 24 * 3600.0
_NAME = "tasks.sqlite"


@dataclass(frozen=True, slots=True)
class Task:
    """One task.

    Attributes:
        id: 128 random bits, which alone give access to it.
        service: whose it is.
        method: what is run.
        request: id of the request that it came in, for the log.
        body: that request's.
        safe: whether it may be run again after it was interrupted.
        state: `queued`, `running`, `done`, `failed`, `cancelled` or `interrupted`.
        created: when, in seconds since 1970; `started` and `ended` likewise, None until then.
        attempts: how often it was begun.
        answer: JSON of the result, or of the error.
        progress: JSON of what it last reported.
        cancelling: whether it was asked to stop while it ran.
    """

    id: str
    service: str
    method: str
    request: str
    body: bytes
    safe: bool
    state: str = "queued"
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    attempts: int = 0
    answer: bytes | None = None
    progress: str | None = None
    cancelling: bool = False


class TaskStore:
    """The tasks of a server; for one thread at a time.

    Args:
        folder: of the server's state; None keeps tasks in memory, and no longer than the server.
        clock: seconds since 1970.

    Raises:
        StoreError: the folder cannot be written, here and in every method.
    """

    def __init__(self, folder: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._connection = open_database(None if folder is None else make_folder(folder) / _NAME, _TABLE)
        self._clock = clock
        self._owner = f"{os.getpid()}/{_started(os.getpid())}/{secrets.token_hex(8)}"
        _open_here.add(self._owner)

    def close(self) -> None:
        """Close the file."""
        _open_here.discard(self._owner)
        self._connection.close()

    def recover(self, service: str) -> None:
        """Take up tasks that ran in servers that are gone.

        Safe ones that were begun once are queued again, others are interrupted.
        """
        rows = self._all("SELECT DISTINCT owner FROM tasks WHERE state = 'running' AND service = ?", (service,))
        for owner in (owner for (owner,) in rows if not _lives(owner)):
            self._all(
                "UPDATE tasks SET state = 'queued', started = NULL"
                " WHERE state = 'running' AND service = ? AND owner = ? AND safe AND attempts < 2 AND NOT cancelling",
                (service, owner),
            )
            self._all(
                "UPDATE tasks SET state = 'interrupted', ended = ?"
                " WHERE state = 'running' AND service = ? AND owner = ?",
                (self._clock(), service, owner),
            )

    def add(self, task: Task) -> Task:
        """Queue a task; drops finished ones that are a week old, or more than there is room for.

        Raises:
            ServingError: OVERLOADED, too many wait.
        """
        now = self._clock()
        ((queued, size),) = self._all("SELECT count(*), coalesce(sum(size), 0) FROM tasks WHERE state = 'queued'")
        if queued >= _MAX_QUEUED or size + len(task.body) > _MAX_BYTES:
            raise ServingError(ErrorCode.OVERLOADED, f"{queued} tasks wait already", fix="try again later")
        self._prune(now)
        self._all(
            "INSERT INTO tasks (id, service, method, request, body, safe, state, created, size)"
            " VALUES (?, ?, ?, ?, ?, ?, 'queued', ?, ?)",
            (task.id, task.service, task.method, task.request, task.body, task.safe, now, len(task.body)),
        )
        return self.get(task.id)

    def get(self, task: str) -> Task:
        """A task.

        Raises:
            ServingError: UNKNOWN_TASK.
        """
        rows = self._all(_GET, (task,))
        if not rows:
            raise ServingError(
                ErrorCode.UNKNOWN_TASK,
                f"there is no task '{printable(task, 40)}'",
                wanted="the id that a method gave, at most a week after it ended",
            )
        return Task(*rows[0])

    def take(self, service: str) -> Task | None:
        """The oldest queued task of a service, which is running from now on."""
        rows = self._all(_TAKE, (self._clock(), self._owner, service))
        return self.get(rows[0][0]) if rows else None

    def note(self, task: str, progress: str | None) -> bool:
        """Keep what a running task reports; whether it has been asked to stop."""
        rows = self._all(
            "UPDATE tasks SET progress = coalesce(?, progress) WHERE id = ? AND state = 'running' RETURNING cancelling",
            (progress, task),
        )
        return bool(rows and rows[0][0])

    def finish(self, task: str, state: str, answer: bytes | None) -> None:
        """A task that was running has ended."""
        self._all(
            "UPDATE tasks SET state = ?, ended = ?, answer = ?, size = size + ? WHERE id = ? AND state = 'running'",
            (state, self._clock(), answer, len(answer or b""), task),
        )

    def put_back(self, task: str) -> None:
        """A task that was running is queued again, at the place that it had."""
        self._all("UPDATE tasks SET state = 'queued', started = NULL WHERE id = ? AND state = 'running'", (task,))

    def cancel(self, task: str) -> Task:
        """Cancel a task that is queued, ask one that runs to stop; one that has ended is given as it is.

        Raises:
            ServingError: UNKNOWN_TASK.
        """
        self._all(
            "UPDATE tasks SET state = 'cancelled', ended = ? WHERE id = ? AND state = 'queued'", (self._clock(), task)
        )
        self._all("UPDATE tasks SET cancelling = 1 WHERE id = ? AND state = 'running'", (task,))
        return self.get(task)

    def _prune(self, now: float) -> None:
        self._all("DELETE FROM tasks WHERE ended < ?", (now - _KEPT,))
        self._all(
            "DELETE FROM tasks WHERE id IN (SELECT id FROM (SELECT id, sum(size + 1024) OVER (ORDER BY ended DESC)"
            " AS total FROM tasks WHERE ended IS NOT NULL) WHERE total > ?)",
            (_MAX_BYTES,),
        )

    def _all(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with database_errors(_NAME):
            return self._connection.execute(statement, values).fetchall()  # all: one that is left open holds a lock


_open_here: set[str] = set()


def _started(process: int) -> str:
    """When a process was started, so that another of the same number is told apart; nothing where that is not known."""
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _lives(owner: str) -> bool:
    """Whether the store that runs a task is still open, in this process or another."""
    number, started, _ = owner.split("/")
    if int(number) == os.getpid():
        return owner in _open_here
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _started(int(number)) == started
