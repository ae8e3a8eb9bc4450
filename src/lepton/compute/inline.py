"""The inline engine: the same contract in threads of this process, for tests and debuggers."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from lepton.compute.calls import make_call, pack, pack_call, perform, unpack
from lepton.compute.job import Job
from lepton.core import ErrorCode, LeptonError, Resources, UsageError, WorkerError
from lepton.core.work import Reporter

__all__ = ["InlineEngine"]


class InlineEngine:
    """Runs each call at once in a thread of its own; arguments and results are copied as if they had travelled.

    A thread cannot be ended from outside: killing forgets the call and asks it to stop, memory is not limited, and
    thread counts are those of this process. Use it where a breakpoint inside the call must be reached.
    """

    def __init__(self) -> None:
        self._jobs: dict[Job, threading.Event] = {}
        self._closed = False

    def submit(
        self,
        entry_point: str,
        args: Mapping[str, Any],
        resources: Resources,
        *,
        seed: int = 0,
        within: float | None = None,
        reporter: Reporter | None = None,
    ) -> Job:
        """See `Engine.submit`."""
        request = pack_call(0, make_call(entry_point, args, resources, seed, within))
        if self._closed:
            raise UsageError(ErrorCode.USAGE, "the engine is closed")
        _, call = unpack(request, "the call")
        cancel = threading.Event()
        job = Job(call, reporter, on_cancel=lambda _: cancel.set(), on_kill=self._kill)
        self._jobs[job] = cancel
        job.start()
        threading.Thread(target=self._drive, args=(job, cancel), name="lepton-call", daemon=True).start()
        return job

    def close(self) -> None:
        """See `Engine.close`."""
        self._closed = True
        for job in list(self._jobs):
            job.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _drive(self, job: Job, cancel: threading.Event) -> None:
        what = f"the result of {job.call.entry_point}"
        try:
            job.finish(unpack(pack(perform(job.call, cancel, job.note), what), what))
        except LeptonError as error:
            job.fail(error)
        except SystemExit as error:
            job.fail(WorkerError(ErrorCode.WORKER_DIED, f"{job.call.entry_point} ended with exit code {error.code}"))
        self._jobs.pop(job, None)

    def _kill(self, job: Job) -> None:
        job.fail(WorkerError(ErrorCode.WORKER_DIED, f"{job.call.entry_point} was killed on request"), killed=True)
        if cancel := self._jobs.pop(job, None):
            cancel.set()
