"""What waits for one model: a bounded queue that is fair to callers, and calls that are run as one.

A batch forms only of what came while the model was busy: nothing waits for company, so a lone request pays nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

import numpy as np
from onnxruntime import RunOptions

from lepton.core import ErrorCode, LeptonError, ServingError
from lepton.serving.allowances import DEFAULT_PRIORITY
from lepton.serving.protocols.base import Request, Response
from lepton.serving.protocols.call import Call

__all__ = ["Job", "Lane", "late", "overloaded", "run_alone", "run_together"]


Place = tuple[int, str]
"""A priority and a caller."""

_priority = itemgetter(0)


@dataclass(slots=True, eq=False)
class Job:
    """One call that waits for its model.

    Attributes:
        request: that it came in.
        call: what is to be run.
        done: takes the response; called once, on the server's loop.
        deadline: on the clock of `time.monotonic`, after which it is not started; None waits.
        priority: the smaller, the sooner.
    """

    request: Request
    call: Call
    done: Callable[[Response], None]
    deadline: float | None = None
    priority: int = DEFAULT_PRIORITY

    @property
    def place(self) -> Place:
        """Where it waits: among those of its priority, in the row of its caller."""
        return self.priority, self.request.caller


class Lane:
    """The queue of one model. Every method may be called from any thread.

    Args:
        max_waiting: calls that may wait.
        max_rows: of one batch.
        max_runs: that may be in progress at once.
    """

    def __init__(self, max_waiting: int, max_rows: int, max_runs: int = 1) -> None:
        self._max_waiting = max_waiting
        self._max_rows = max_rows
        self._max_runs = max_runs
        self._lock = threading.Lock()  # guards all that follows
        self._rows: dict[Place, deque[Job]] = {}  # those of one priority in the order in which they are served
        self._waiting = 0
        self._running = 0

    def admits(self, caller: str, priority: int = DEFAULT_PRIORITY) -> bool:
        """Whether a job of this caller would find room now."""
        with self._lock:
            return self._waiting < self._max_waiting or self._yields((priority, caller)) is not None

    def put(self, job: Job) -> tuple[bool, Job | None]:
        """Queue a job.

        Where the queue is full, the latest job of the caller with the most gives way: one of a lesser priority to any
        job, one of the same to a caller with at least two fewer, so that one caller alone cannot keep the others out.

        Returns:
            Whether a run is to be started for it, and the job that is refused, if any: this one or another.
        """
        with self._lock:
            refused: Job | None = None
            if self._waiting >= self._max_waiting:
                longest = self._yields(job.place)
                if longest is None:
                    return False, job
                refused = self._rows[longest].pop()
                self._waiting -= 1
                if not self._rows[longest]:
                    del self._rows[longest]
            self._rows.setdefault(job.place, deque()).append(job)
            self._waiting += 1
            if self._running >= self._max_runs:
                return False, refused
            self._running += 1
            return True, refused

    def _yields(self, place: Place) -> Place | None:
        """The row of which a job gives way to one of `place`."""
        longest = max(self._rows, key=lambda row: (row[0], len(self._rows[row])), default=None)
        if longest is None or longest[0] < place[0]:
            return None
        more = len(self._rows[longest]) - len(self._rows.get(place, ()))
        return longest if longest[0] > place[0] or more >= 2 else None

    @property
    def waiting(self) -> int:
        """Jobs that wait."""
        return self._waiting

    def take(self, now: float) -> tuple[list[Job], list[Job]]:
        """The jobs of the next batch, a caller's turn after the other's, and those whose deadline has passed.

        Both are empty when nothing waits: the run that asked has ended then, and the next `put` starts one.
        """
        batch: list[Job] = []
        late: list[Job] = []
        num_rows = 0
        with self._lock:
            while self._rows:
                place = min(self._rows, key=_priority)
                jobs = self._rows[place]
                job = jobs[0]
                if job.deadline is not None and now >= job.deadline:
                    late.append(job)
                elif batch and num_rows + job.call.num_rows > self._max_rows:
                    break  # it is the first of the next batch
                else:
                    batch.append(job)
                    num_rows += job.call.num_rows
                jobs.popleft()
                self._waiting -= 1
                del self._rows[place]
                if jobs:
                    self._rows[place] = jobs  # behind the others
            if not batch and not late:
                self._running -= 1
        return batch, late

    def discard(self, job: Job) -> None:
        """Forget a job whose caller is gone, if it still waits."""
        with self._lock:
            jobs = self._rows.get(job.place)
            if jobs is None or job not in jobs:
                return
            jobs.remove(job)
            self._waiting -= 1
            if not jobs:
                del self._rows[job.place]


def run_alone(call: Call, options: RunOptions) -> Response:
    """The response of one call.

    Raises:
        ServingError: DEADLINE_PASSED, its run was ended.
        LeptonError: what the run raised.
    """
    try:
        return call.run(options)
    except LeptonError:
        if options.terminate:
            raise ended(call.timeout) from None
        raise


def run_together(
    jobs: Sequence[Job], answer: Callable[[Job, Callable[[], Response]], Response], options: RunOptions
) -> list[Response]:
    """Responses of jobs of one model, run as one batch; where that fails, each alone, so that one cannot spoil another.

    Args:
        jobs: at least one.
        answer: makes the response of a job by calling what it is given, whatever that raises.
        options: by which all of it can be ended.
    """
    if len(jobs) == 1:
        return [answer(jobs[0], partial(run_alone, jobs[0].call, options))]
    calls = [job.call for job in jobs]
    model = calls[0].model
    asked = {name for call in calls for name in call.outputs}
    try:
        tensors = {name: np.concatenate([call.tensors[name] for call in calls]) for name in calls[0].tensors}
        names = [output.name for output in model.outputs if output.name in asked]
        predictor = model.predictor
        started = time.perf_counter()
        answers = predictor.run(tensors, names, options=options)
        model.runs.append((sum(call.num_rows for call in calls), time.perf_counter() - started))
    except Exception:  # noqa: BLE001 - what is wrong is said to the one whose call it is
        return [answer(job, partial(run_alone, job.call, options)) for job in jobs]
    responses: list[Response] = []
    start = 0
    for job, call in zip(jobs, calls, strict=True):
        end = start + call.num_rows
        own = {name: answers[name][start:end] for name in call.outputs}
        responses.append(answer(job, partial(call.respond, own)))
        start = end
    return responses


def overloaded(waiting: int) -> ServingError:
    """What a caller hears whose request does not fit into the queue."""
    return ServingError(ErrorCode.OVERLOADED, f"{waiting} requests wait already", fix="try again")


def late(timeout: float | None) -> ServingError:
    """What a caller hears whose request was not started in time."""
    return ServingError(
        ErrorCode.DEADLINE_PASSED,
        f"the request was not started within its timeout of {timeout or 0:g} s",
        fix="send it with more time, or when the server has less to do",
    )


def ended(timeout: float | None) -> ServingError:
    """What a caller hears whose model was at work for it too long."""
    return ServingError(
        ErrorCode.DEADLINE_PASSED,
        "the run took longer than a run may"
        if timeout is None
        else f"the run was not over within the request's timeout of {timeout:g} s",
        fix="send fewer rows at once, or with more time",
    )
