"""The local engine: calls run in persistent child processes of this machine, with limits."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from lepton.compute.calls import Call, make_call, pack_call, unpack
from lepton.compute.channel import CANCEL, ERROR, PROGRESS, RUN, Channel
from lepton.compute.job import Job
from lepton.compute.worker import Worker
from lepton.core import (
    ErrorCode,
    Interrupted,
    LeptonError,
    Resources,
    UsageError,
    WorkerError,
    show_duration,
    show_size,
)
from lepton.core.budgets import time_allowed
from lepton.core.work import Reporter

__all__ = ["LocalEngine"]

_WATCH_SECONDS = 0.02  # between looks at memory and clock
_CLOSE_SECONDS = 5.0


class _ChildTraceback(Exception):
    """Where in the child an error was raised, as text: the cause of what `result` raises."""


@dataclass(slots=True, eq=False)
class _Run:
    """A job on its worker; `reason` is why the engine killed the worker, if it did."""

    worker: Worker
    number: int
    thread: threading.Thread | None = None
    reason: LeptonError | None = None
    killed: bool = False

    def stop(self, reason: LeptonError, *, killed: bool) -> None:
        if self.reason is None:
            self.reason, self.killed = reason, killed
            self.worker.kill()


class LocalEngine:
    """Runs calls in up to `workers` child processes, which stay for the next call so that imports are paid once.

    A worker is started with the thread limits of its first call and serves calls with the same `cpus`. It is
    replaced when it has died or was killed, when a call needs other limits, or when it holds more than half of the
    memory that its next call may use.

    Example::

        with LocalEngine(workers=2) as engine:
            handle = engine.submit("package.module:function", {"rows": 10}, Resources(cpus=1), within=60)
            handle.result()

    Args:
        workers: how many processes at most.
    """

    def __init__(self, workers: int = 1) -> None:
        if workers < 1:
            raise UsageError(ErrorCode.USAGE, f"got workers={workers}", wanted="at least 1")
        self._max_workers = workers
        self._changed = threading.Condition()  # guards all that follows, and the state of each run
        self._queue: deque[tuple[Job, int, bytes]] = deque()
        self._busy: dict[Job, _Run] = {}
        self._idle: list[Worker] = []
        self._submitted = 0
        self._watching = False
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
        call = make_call(entry_point, args, resources, seed, within)
        job = Job(call, reporter, on_cancel=self._cancel, on_kill=self._kill)
        with self._changed:
            self._submitted += 1
            number = self._submitted
        request = pack_call(number, call)
        with self._changed:
            if self._closed:
                raise UsageError(ErrorCode.USAGE, "the engine is closed")
            self._queue.append((job, number, request))
            self._dispatch()
        return job

    def close(self) -> None:
        """See `Engine.close`."""
        with self._changed:
            self._closed = True
            while self._queue:
                self._queue.popleft()[0].fail(Interrupted(ErrorCode.INTERRUPTED, "the engine was closed"))
            runs = list(self._busy.items())
            for job, run in runs:
                run.stop(_killed(job.call, "because the engine was closed"), killed=True)
            self._changed.wait_for(lambda: not self._busy, _CLOSE_SECONDS)
            idle, self._idle = self._idle, []
        for _, run in runs:
            if run.thread is not None and run.thread is not threading.current_thread():
                run.thread.join(_CLOSE_SECONDS)
        for worker in idle:
            worker.release()
        for worker in idle:
            worker.reap("nothing")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- with the lock held

    def _dispatch(self) -> None:
        """Give what is queued to workers, as far as there are any."""
        while self._queue and len(self._busy) < self._max_workers:
            job, number, request = self._queue.popleft()
            if not job.start():
                continue
            try:
                run = _Run(self._worker_for(job.call.resources), number)
            except WorkerError as error:
                job.fail(error)
                continue
            self._busy[job] = run
            run.thread = threading.Thread(target=self._drive, args=(job, run, request), name="lepton-call", daemon=True)
            run.thread.start()
        if self._busy and not self._watching:
            self._watching = True
            threading.Thread(target=self._watch, name="lepton-watch", daemon=True).start()

    def _worker_for(self, resources: Resources) -> Worker:
        for worker in [worker for worker in self._idle if not worker.alive]:
            self._idle.remove(worker)
            _discard(worker)
        room = resources.memory / 2 if resources.memory else float("inf")
        for worker in reversed(self._idle):  # the one that worked last is the warmest
            if worker.cpus == resources.cpus and worker.resident() <= room:
                self._idle.remove(worker)
                return worker
        if self._idle and len(self._idle) + len(self._busy) >= self._max_workers:
            _discard(self._idle.pop(0))
        return Worker(resources)

    def _inspect(self, job: Job, run: _Run, now: float) -> None:
        """Kill the worker of a call that takes too much memory or time."""
        call = job.call
        if call.resources.memory and (resident := run.worker.resident()) > call.resources.memory:
            error = WorkerError(
                ErrorCode.OUT_OF_MEMORY,
                f"{call.entry_point} took {show_size(resident)} of memory",
                wanted=f"at most {show_size(call.resources.memory)}",
                details={"resident": resident, "limit": call.resources.memory},
            )
            run.stop(error, killed=False)
        elif call.within and call.deadline and now > call.deadline - call.within + time_allowed(call.within):
            run.stop(_killed(call, f"as it went on after its {show_duration(call.within)}"), killed=True)
        elif not run.worker.alive:
            run.worker.kill()  # what it has started holds the pipe open

    # --- without the lock

    def _drive(self, job: Job, run: _Run, request: bytes) -> None:
        """Have one call made: the thread of a job that runs."""
        error: LeptonError | None = None
        value: Any = None
        died = False
        try:
            value = _converse(job, run.worker.channel, request)
        except LeptonError as raised:
            error = raised
        except MemoryError:
            what = f"the result of {job.call.entry_point} does not fit into this process"
            with self._changed:  # the rest of it is still in the pipe: the worker is of no use any more
                run.stop(WorkerError(ErrorCode.OUT_OF_MEMORY, what), killed=False)
        except (EOFError, OSError):
            died = True
            error = run.worker.reap(job.call.entry_point)
        with self._changed:
            if not died and run.reason is None:
                self._idle.append(run.worker)
            elif not died:
                _discard(run.worker)
            del self._busy[job]
            self._dispatch()
            self._changed.notify_all()
        if run.reason is not None:
            job.fail(run.reason, killed=run.killed)
        elif error is not None:
            job.fail(error)
        else:
            job.finish(value)

    def _watch(self) -> None:
        """Look after calls while there are any."""
        while True:
            with self._changed:
                if not self._busy:
                    self._watching = False
                    return
                now = time.monotonic()
                for job, run in self._busy.items():
                    self._inspect(job, run, now)
                for job, _, _ in self._queue:
                    if job.call.deadline is not None and now > job.call.deadline:
                        job.fail(Interrupted(ErrorCode.INTERRUPTED, "the time was over before a worker was free"))
            time.sleep(_WATCH_SECONDS)

    def _cancel(self, job: Job) -> None:
        with self._changed:
            run = self._busy.get(job)
            if run is None:
                job.fail(Interrupted(ErrorCode.INTERRUPTED, "the work was cancelled before it began"))
                return
        with suppress(OSError, ValueError):  # it has just ended
            run.worker.channel.send(CANCEL, run.number.to_bytes(8, "big"))

    def _kill(self, job: Job) -> None:
        with self._changed:
            error = _killed(job.call, "on request")
            if job in self._busy:
                self._busy[job].stop(error, killed=True)
            else:
                job.fail(error, killed=True)


def _converse(job: Job, channel: Channel, request: bytes) -> Any:
    """Send the call and return what it gave, or raise what it raised; progress goes to the job meanwhile."""
    what = f"the result of {job.call.entry_point}"
    channel.send(RUN, request)
    while True:
        kind, data = channel.receive()
        if kind == PROGRESS:
            job.note(unpack(data, "a progress report"))
        elif kind == ERROR:
            error, trace = unpack(data, what)
            raise error from (_ChildTraceback("\n" + trace) if trace else None)
        else:
            return unpack(data, what)


def _killed(call: Call, why: str) -> WorkerError:
    return WorkerError(ErrorCode.WORKER_DIED, f"{call.entry_point} was killed {why}")


def _discard(worker: Worker) -> None:
    worker.kill()
    worker.reap("nothing")
