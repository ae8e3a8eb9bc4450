"""One run of a service's process: started, spoken with over a socket, and ended with all that it has started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lepton.core import ErrorCode, Resources, UsageError, check_name, printable
from lepton.core.work import environment_for
from lepton.serving.services.frames import BadFrame, Frames, frame

__all__ = ["ServiceProcess", "ServiceSource", "is_service", "source_of"]

_PROGRAM = (
    "import sys; from lepton.serving.services.child import main; main(int(sys.argv[1]), sys.argv[2], sys.argv[3])"
)
_STANDARD_ERROR = 2
_FAREWELL = 0.5  # seconds between the end of the connection and that of the process


@dataclass(frozen=True, slots=True)
class ServiceSource:
    """Where the code of a service is.

    Attributes:
        name: that callers know it by.
        path: the Python file.
        class_name: the class in it.
        python: the interpreter that runs it.
    """

    name: str
    path: Path
    class_name: str
    python: str = sys.executable


def is_service(given: str) -> bool:
    """Whether a word of the operator names a service: `[name=]FILE.py:CLASS`."""
    path, colon, class_name = given.rpartition(":")
    return bool(colon) and path.endswith(".py") and "/" not in class_name


def source_of(given: str, python: str | None = None) -> ServiceSource:
    """The service that `[name=]FILE.py:CLASS` means; without a name it is the class's, in small letters.

    Raises:
        UsageError: words of another form, no such file or interpreter, or a name that cannot be used.
    """
    if os.name == "nt":  # pragma: no cover
        raise UsageError(ErrorCode.BAD_SERVICE, "services need a system with process groups", wanted="Linux or macOS")
    head, _, class_name = given.rpartition(":")
    name, equals, path = head.partition("=")
    if not equals:
        name, path = "", head
    if not is_service(given) or not class_name.isidentifier():
        raise UsageError(ErrorCode.BAD_SERVICE, f"got '{printable(given)}'", wanted="a service as service.py:Shop")
    if not Path(path).is_file():
        raise UsageError(ErrorCode.BAD_SERVICE, f"there is no file '{printable(path)}'", wanted="service.py:Shop")
    found = sys.executable if python is None else shutil.which(python)
    if found is None:
        raise UsageError(
            ErrorCode.BAD_SETTING, f"there is no interpreter '{printable(python or '')}'", wanted="a program"
        )
    return ServiceSource(check_name(name or class_name.lower(), "service name"), Path(path), class_name, found)


class ServiceProcess(asyncio.Protocol):
    """The process and this side of its socket; lives on the server's loop.

    Args:
        take: called with each frame of the process, its head and its parts.

    Attributes:
        ended: done when the process is gone or no longer speaks as agreed; its result says why.
    """

    def __init__(self, take: Callable[[dict[str, Any], list[bytes]], None], loop: asyncio.AbstractEventLoop) -> None:
        self.ended: asyncio.Future[str] = loop.create_future()
        self._take = take
        self._loop = loop
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._closed = asyncio.Event()

    async def start(self, source: ServiceSource, resources: Resources) -> None:
        """Start the process; it says by itself when it is ready.

        Raises:
            OSError: the system starts no more processes.
        """
        ours, theirs = socket.socketpair()
        try:
            self._process = await self._loop.run_in_executor(None, _spawned, source, resources, theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        await self._loop.create_unix_connection(lambda: self, sock=ours)
        threading.Thread(target=self._wait, name="lepton-service", daemon=True).start()

    def send(self, head: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
        """Send a frame; one that no longer can be received is dropped, and `ended` tells why."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(head, parts))

    def end(self, why: str) -> None:
        """End the process and what it has started, at once."""
        if not self.ended.done():
            self.ended.set_result(why)
        if self._transport is not None:
            self._transport.abort()
        if self._process is not None and not self._killed:
            self._killed = True  # once: later the number may be another's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def close(self, why: str) -> None:
        """`end`, and wait until the connection is closed."""
        self.end(why)
        if self._transport is not None:
            await self._closed.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours."""
        self._transport = transport  # type: ignore[assignment] # of a stream

    def data_received(self, data: bytes) -> None:
        """Bytes of the process came."""
        try:
            for head, parts in self._frames.feed(data):
                if not self.ended.done():
                    self._take(head, parts)
        except (BadFrame, LookupError, TypeError, ValueError) as error:
            self.end(f"it no longer speaks as agreed ({type(error).__name__})")

    def connection_lost(self, exc: Exception | None) -> None:
        """The process closed its side: it has ended, as the thread that waits for it will say, or it is about to."""
        self._closed.set()
        self._loop.call_later(_FAREWELL, self.end, "it closed its side")

    def _wait(self) -> None:
        """Wait for the process in a thread: its socket may live on in what it has started."""
        assert self._process is not None  # noqa: S101 - set before the thread starts
        code = self._process.wait()
        why = f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with the code {code}"
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self.end, why)


def _spawned(source: ServiceSource, resources: Resources, theirs: socket.socket) -> subprocess.Popen[bytes]:
    """The process, in a group of its own; what it prints goes to the server's standard error."""
    handle = theirs.fileno()
    return subprocess.Popen(  # noqa: S603 - the interpreter and the file that the operator names
        [source.python, "-P", "-c", _PROGRAM, str(handle), str(source.path), source.class_name],
        stdin=subprocess.DEVNULL,
        stdout=_STANDARD_ERROR,
        pass_fds=(handle,),
        start_new_session=True,
        env=environment_for(resources, {"PYTHONUNBUFFERED": "1"}),
    )
