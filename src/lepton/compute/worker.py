"""The parent's side of a worker: a spawned process, its pipes, its end."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import cast

from lepton.compute.channel import Channel
from lepton.core import ErrorCode, Resources, WorkerError
from lepton.core.work import environment_for

__all__ = ["Worker"]

# Not multiprocessing: its children import the caller's script again, which then needs a guard; and not fork: it
# breaks under the threads of Polars and torch.
_START = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from lepton.compute.child import main; main()"
_EXIT_SECONDS = 2.0
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Worker:
    """A process that was started with the thread limits of `resources` and makes one call at a time.

    It leads a process group of its own: Ctrl-C in a terminal does not reach it, and its end is that of all that it
    has started.
    """

    def __init__(self, resources: Resources) -> None:
        self.cpus = resources.cpus
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-c", _START, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env=environment_for(resources),
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerError(ErrorCode.WORKER_DIED, f"no worker could be started: {error.strerror}") from error
        self.channel = Channel(cast("io.FileIO", self._process.stdout), cast("io.FileIO", self._process.stdin))

    @property
    def process_id(self) -> int:
        """As the system numbers it."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def resident(self) -> int:
        """Bytes of resident memory; 0 where the system does not tell, or the process has ended."""
        try:
            return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * _PAGE
        except (OSError, IndexError):
            return 0

    def kill(self) -> None:
        """End the process and all that it has started, at once."""
        with suppress(ProcessLookupError, PermissionError):  # macOS says the second of a group of zombies
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def release(self) -> None:
        """Close the pipes: an idle worker ends by itself, a busy one cancels its call first. `reap` it afterwards."""
        self.channel.close()

    def reap(self, what: str) -> WorkerError:
        """Wait for the process, end what is left of its group, and say how `what` died."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_SECONDS)
        self.kill()
        code = self._process.wait()
        self.channel.close()
        if code >= 0:
            return WorkerError(
                ErrorCode.WORKER_DIED,
                f"the process of {what} ended with exit code {code} before it gave a result",
                details={"exit_code": code},
            )
        name = signal.Signals(-code).name
        return WorkerError(
            ErrorCode.WORKER_DIED,
            f"the process of {what} was ended by {name}",
            fix="see whether the system ran out of memory" if name == "SIGKILL" else "",
            details={"signal": name},
        )
