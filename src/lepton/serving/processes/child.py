"""One worker as its supervisor sees it: a process, what was heard of it last, and how it ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from lepton.core import LeptonError, Resources
from lepton.core.work import environment_for
from lepton.serving.processes.channel import Channel, as_error
from lepton.serving.processes.door import hand_over
from lepton.serving.strict_json import dump

__all__ = ["Child"]

# As in `lepton.compute.worker`: neither multiprocessing, which imports the caller's script again, nor fork.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop());"
    " from lepton.serving.processes.worker import main; main()"
)


class Child:
    """A worker process.

    Args:
        told: what it is to serve, in JSON.
        resources: what it may use.
        handle: answers what it asks: kind and value to an answer.
    """

    def __init__(
        self, told: dict[str, Any], resources: Resources, handle: Callable[[Child, str, Any], Awaitable[Any]]
    ) -> None:
        self.ready = asyncio.Event()
        self.opened = False
        self.models: Any = None
        self.services: list[list[str]] = []
        self.failure: LeptonError | None = None
        self.cause = ""
        self.started = self._heard = time.monotonic()
        self._connections = 0
        self._handed = 0  # connections in all; of these
        self._admitted = 0  # are in what it last said
        self._handle = handle
        self._socket, theirs = socket.socketpair()
        self._door, their_door = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        files = (theirs.fileno(), their_door.fileno())
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-c", _START, *map(str, files), json.dumps(sys.path)],
                stdin=subprocess.DEVNULL,
                pass_fds=files,
                env=environment_for(resources),
                start_new_session=True,
            )
        finally:
            theirs.close()
            their_door.close()
        self._socket.sendall(dump(told) + b"\n")
        self.channel = Channel(self._take)

    def open(self) -> None:
        """Let connections come."""
        self.opened = True
        self.ready.set()

    @property
    def process_id(self) -> int:
        """As the system numbers it."""
        return self._process.pid

    @property
    def connections(self) -> int:
        """Open connections, as far as is known."""
        return self._connections + self._handed - self._admitted

    def hand_over(self, connection: socket.socket) -> bool:
        """Give it a connection; whether it could be."""
        if not self.ready.is_set() or not hand_over(self._door, connection):
            return False
        self._handed += 1
        return True

    def silent(self, now: float) -> float:
        """Seconds since it was heard of."""
        return now - self._heard

    def kill(self, cause: str) -> None:
        """End it and all that it started, at once."""
        self.cause = self.cause or cause
        self._kill_group()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS says the second of a group of zombies
            os.killpg(self._process.pid, signal.SIGKILL)

    async def run(self) -> str:
        """Listen to it until it has ended; why it did."""
        try:
            await self.channel.serve(self._socket)
        finally:
            self.ready.clear()
            self._door.close()
            if self._process.poll() is None:
                self.channel.close()
        code = await asyncio.get_running_loop().run_in_executor(None, self._ended)
        if self.cause:
            return self.cause
        if self.failure is not None:
            return str(self.failure)
        if code >= 0:
            return f"it ended with exit code {code}"
        name = signal.Signals(-code).name
        return f"it was ended by {name}" + ("; see whether memory ran out" if name == "SIGKILL" else "")

    def _ended(self) -> int:
        try:
            code = self._process.wait(30.0)
        except subprocess.TimeoutExpired:
            self.kill("it did not end")
            code = self._process.wait()
        self._kill_group()  # what it had started
        return code

    async def _take(self, kind: str, value: Any) -> Any:
        self._heard = time.monotonic()
        if kind == "beat":
            self._connections, self._admitted = value["connections"], value["admitted"]
            if value["stuck"]:
                self.kill("a run of a model did not end")
        elif kind == "failed":
            self.failure = as_error(value)
            return None
        return await self._handle(self, kind, value)
