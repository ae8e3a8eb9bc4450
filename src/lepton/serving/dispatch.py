"""Requests that take longer than a change of thread: who reads them, who runs them, and in which order."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from lepton.core import LeptonError, printable
from lepton.serving.allowances import DEFAULT_PRIORITY
from lepton.serving.batching import Job, Lane, late, overloaded, run_alone, run_together
from lepton.serving.model_store import ServedModel
from lepton.serving.protocols.base import Request, Response, error_response, internal_error
from lepton.serving.protocols.call import Call
from lepton.serving.protocols.media import is_form
from lepton.serving.protocols.oip import InferenceProtocol
from lepton.serving.residency import wait_for
from lepton.serving.watchdog import Watchdog

__all__ = ["Dispatcher", "Ticket", "answer_safely"]

_logger = logging.getLogger("lepton.serving")

_READ_ON_LOOP = 32 * 1024
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Ticket:
    """A request under way."""

    request: Request
    done: Callable[[Response], None]
    came: float
    gone: bool = False
    lane: Lane | None = None
    job: Job | None = None

    def cancel(self) -> None:
        """The caller is gone: what has not begun need not."""
        self.gone = True
        if self.lane is not None and self.job is not None:
            self.lane.discard(self.job)


class Dispatcher:
    """Reads requests, and runs the models that they ask for in threads.

    A model that is not cheap has a lane: a queue from which batches are taken. What has more
    rows than a batch, and what is large to read, goes through threads of its own, so that small requests never wait for
    it; and so does what changes the models.

    Args:
        protocol: reads requests.
        deliver: has a function called on the server's loop; may be called from any thread.
        cpus: cores that models may use; one of them is left to the loop where there are more.
        max_waiting: requests that may wait for one model.
        max_batch: rows of one batch.
        max_run: seconds that one run of a model may take.
        control: answers what changes the models, in a thread; default: the protocol.
    """

    def __init__(
        self,
        protocol: InferenceProtocol,
        deliver: Callable[[Callable[[], None]], object],
        *,
        cpus: int,
        max_waiting: int = 64,
        max_batch: int = 32,
        max_run: float = 60.0,
        control: Callable[[Request], Response] | None = None,
    ) -> None:
        self._protocol = protocol
        self._deliver = deliver
        self._max_waiting = max_waiting
        self._max_batch = max_batch
        self._max_run = max_run
        self._control = control or protocol.answer
        self._max_runs = max(1, cpus - 1)
        self.watchdog = Watchdog()
        self._full = error_response(overloaded(max_waiting))  # made once: refusing must be cheap
        self._lanes: WeakKeyDictionary[ServedModel, Lane] = WeakKeyDictionary()
        self._lock = threading.Lock()  # guards the lanes and the number of large requests
        self._large = 0
        self._runners = ThreadPoolExecutor(cpus, "lepton-model")
        self._readers = ThreadPoolExecutor(max(2, cpus), "lepton-large")
        self._changers = ThreadPoolExecutor(1, "lepton-repository")
        self._openers = ThreadPoolExecutor(max_waiting, "lepton-reopen")  # in which requests wait for their models

    def begin(self, request: Request, done: Callable[[Response], None]) -> Response | Ticket:
        """Begin to answer a request; called on the loop.

        Args:
            request: complete.
            done: takes the response, on the loop; not called where the response is given at once.

        Returns:
            The response, if it is known already, as that of a request that is refused; else what may be cancelled.
        """
        try:
            model = self._protocol.model_of(request)
        except LeptonError as error:
            return error_response(error)
        ticket = Ticket(request, done, time.monotonic())
        if model is None:
            self._changers.submit(self._answer_alone, ticket)
            return ticket
        if model.rests:
            return self._to_readers(ticket, partial(self._read_when_open, ticket, model), self._openers) or ticket
        if not model.is_cheap:
            if not self._lane(model).admits(request.caller, _best(request)):  # before a byte of the body is looked at
                return self._full
            if len(request.body) <= _READ_ON_LOOP and not is_form(request.headers) and not model.decodes:
                return self._read(ticket, on_loop=True) or ticket
        return self._to_readers(ticket, partial(self._read, ticket, on_loop=False)) or ticket

    def close(self) -> None:
        """Begin nothing more, and end what runs; it is not waited for."""
        for pool in (self._runners, self._readers, self._changers, self._openers):
            pool.shutdown(wait=False, cancel_futures=True)
        self.watchdog.close()

    def waiting(self) -> dict[tuple[str, str], int]:
        """Requests that wait for each model that has a queue, by its name and version."""
        with self._lock:
            return {(model.name, model.version): lane.waiting for model, lane in self._lanes.items()}

    def _lane(self, model: ServedModel) -> Lane:
        with self._lock:
            lane = self._lanes.get(model)
            if lane is None:
                lane = self._lanes[model] = Lane(self._max_waiting, self._max_batch, self._max_runs)
            return lane

    def _answer_alone(self, ticket: Ticket) -> None:
        self._finish([(ticket.done, answer_safely(ticket.request, self._control, ticket.request))])

    def _read(self, ticket: Ticket, *, on_loop: bool) -> Response | None:
        """Read a request; its response where that is known already, None where `done` will take it."""
        found = answer_safely(ticket.request, self._protocol.read, ticket.request)
        if isinstance(found, Response):
            return found
        if found.num_rows <= self._max_batch and not found.model.is_cheap:
            return self._queue(ticket, found)
        if on_loop:
            return self._to_readers(ticket, lambda: answer_safely(ticket.request, self._run_large, ticket, found))
        return answer_safely(ticket.request, self._run_large, ticket, found)

    def _read_when_open(self, ticket: Ticket, model: ServedModel) -> Response | None:
        """Read a request to a model that was let go, once it is open again; in a thread that may wait."""
        refused = answer_safely(ticket.request, self._wait_for, ticket, model)
        return self._read(ticket, on_loop=False) if refused is None else refused

    def _wait_for(self, ticket: Ticket, model: ServedModel) -> None:
        timeout = self._protocol.timeout_of(ticket.request)
        try:
            wait_for(model, None if timeout is None else ticket.came + timeout)
        except TimeoutError:
            raise late(timeout) from None

    def _run_large(self, ticket: Ticket, call: Call) -> Response:
        now = time.monotonic()
        ends = now + self._max_run
        if call.timeout is not None:
            if now >= ticket.came + call.timeout:
                raise late(call.timeout)
            ends = min(ends, ticket.came + call.timeout)
        with self.watchdog.watching(ends) as options:
            return run_alone(call, options)

    def _to_readers(
        self, ticket: Ticket, answer: Callable[[], Response | None], pool: ThreadPoolExecutor | None = None
    ) -> Response | None:
        """Have `answer` called in a thread for what is large, or one of `pool`, unless too much waits there."""
        with self._lock:
            if self._large >= self._max_waiting:
                return self._full
            self._large += 1
        (pool or self._readers).submit(self._answer_large, ticket, answer)
        return None

    def _answer_large(self, ticket: Ticket, answer: Callable[[], Response | None]) -> None:
        try:
            response = None if ticket.gone else answer()
        finally:
            with self._lock:
                self._large -= 1
        if response is not None:
            self._finish([(ticket.done, response)])

    def _queue(self, ticket: Ticket, call: Call) -> Response | None:
        # The model of the call, not of the address: it may have been replaced since.
        lane = self._lane(call.model)
        job = Job(ticket.request, call, ticket.done, None if call.timeout is None else ticket.came + call.timeout)
        job.priority = max(call.priority, _best(ticket.request))
        ticket.lane, ticket.job = lane, job
        starts, refused = lane.put(job)
        if refused is job:
            return self._full
        if refused is not None:
            self._finish([(refused.done, self._full)])
        if starts:
            self._runners.submit(self._run, lane)
        return None

    def _run(self, lane: Lane) -> None:
        """Run the next batch of a lane, in a thread; after it, other lanes have their turn."""
        now = time.monotonic()
        jobs, expired = lane.take(now)
        if not jobs and not expired:
            return
        finished = [(job.done, error_response(late(job.call.timeout))) for job in expired]
        if jobs:
            # The last of them may still be wanted when the others are not.
            last = max(job.deadline or float("inf") for job in jobs)
            with self.watchdog.watching(min(last, now + self._max_run)) as options:
                responses = run_together(jobs, lambda job, make: answer_safely(job.request, make), options)
            finished += [(job.done, response) for job, response in zip(jobs, responses, strict=True)]
        self._finish(finished)
        with contextlib.suppress(RuntimeError):  # the server is closed
            self._runners.submit(self._run, lane)

    def _finish(self, finished: Sequence[tuple[Callable[[Response], None], Response]]) -> None:
        """Hand responses over on the loop, all in one go."""

        def hand_over() -> None:
            for done, response in finished:
                done(response)

        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._deliver(hand_over)


def _best(request: Request) -> int:
    """The most urgent that a request may be."""
    return DEFAULT_PRIORITY if request.allowance is None else request.allowance.limit.priority


def answer_safely(request: Request, make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Response:
    """What `make` gives, or the response to what it raises; an error of ours is logged, and nothing of it is told."""
    try:
        return make(*args, **kwargs)
    except LeptonError as error:
        return error_response(error)
    except Exception:
        _logger.exception("request %s failed: %s %s", request.id, request.method, printable(request.path))
        return error_response(internal_error())
