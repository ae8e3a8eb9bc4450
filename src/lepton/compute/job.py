"""A job: the handle that engines of one machine give, and what they tell it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from lepton.compute.calls import Call
from lepton.compute.engine import State
from lepton.core import ErrorCode, Interrupted, LeptonError, ProgressRecord, WorkerError, printable
from lepton.core.work import Reporter

__all__ = ["Job"]


class Job:
    """A `Handle` on one call. The first of `finish` and `fail` decides; later ones change nothing.

    Args:
        call: what is to be done.
        reporter: called with each progress report.
        on_cancel: how the engine asks the running call to stop.
        on_kill: how the engine ends the call.
    """

    def __init__(
        self,
        call: Call,
        reporter: Reporter | None,
        on_cancel: Callable[[Job], None],
        on_kill: Callable[[Job], None],
    ) -> None:
        self.call = call
        self._reporter = reporter
        self._on_cancel = on_cancel
        self._on_kill = on_kill
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._state = State.QUEUED
        self._value: Any = None
        self._error: LeptonError | None = None
        self._progress: ProgressRecord | None = None

    @property
    def state(self) -> State:
        """See `Handle.state`."""
        return self._state

    def result(self, timeout: float | None = None) -> Any:
        """See `Handle.result`."""
        if not self._ended.wait(timeout):
            raise TimeoutError(f"{self.call.entry_point} is not finished after {timeout:g} s")
        if self._error is not None:
            raise self._error
        return self._value

    def progress(self) -> ProgressRecord | None:
        """See `Handle.progress`."""
        return self._progress

    def cancel(self) -> None:
        """See `Handle.cancel`."""
        self._on_cancel(self)

    def kill(self) -> None:
        """See `Handle.kill`."""
        self._on_kill(self)

    def start(self) -> bool:
        """Tell that the call begins; False when the job has ended before."""
        with self._lock:
            if self._state.final:
                return False
            self._state = State.RUNNING
            return True

    def note(self, record: ProgressRecord) -> None:
        """Take a progress report and pass it on; a reporter that raises ends the job."""
        self._progress = record
        if self._reporter is None:
            return
        try:
            self._reporter(record)
        except Exception as error:  # noqa: BLE001 - the caller's code, in a thread of ours
            shown = f"{type(error).__name__}: {printable(str(error))}"
            self.fail(WorkerError(ErrorCode.INTERNAL, f"the reporter of {self.call.entry_point} raised {shown}"))
            self.kill()

    def finish(self, value: Any) -> None:
        """Tell what the call gave."""
        self._end(State.DONE, value, None)

    def fail(self, error: LeptonError, *, killed: bool = False) -> None:
        """Tell why the call gave nothing."""
        stopped = State.CANCELLED if isinstance(error, Interrupted) else State.FAILED
        self._end(State.KILLED if killed else stopped, None, error)

    def _end(self, state: State, value: Any, error: LeptonError | None) -> None:
        with self._lock:
            if not self._state.final:
                self._value, self._error, self._state = value, error, state
                self._ended.set()
