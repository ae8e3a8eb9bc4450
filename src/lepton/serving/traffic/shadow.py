"""A second model that is asked the same, behind the answer: what it would have said, and how long it took."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import LeptonError, printable
from lepton.serving.model_store import ServedModel
from lepton.serving.protocols.call import Answers
from lepton.serving.traffic.columns import Picker, Tensors
from lepton.serving.traffic.split import percentile_ms

__all__ = ["Shadow", "Shadows"]

_logger = logging.getLogger("lepton.serving")

_WAITING = 32
_MAX_ROWS = 1024
_RECENT = 1024
_NICENESS = 10
_TOLERANCE = 1e-9


class Shadow:
    """What the shadow of one split has answered, beside what callers got. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all that follows
        self._requests = self._dropped = self._failed = self._rows = self._same = 0
        self._reason = ""
        self._differences = 0.0
        self._largest = 0.0
        self._compared = 0
        self._times: tuple[deque[float], deque[float]] = (deque(maxlen=_RECENT), deque(maxlen=_RECENT))

    def drop(self) -> None:
        """Count a request that was not run, since too much waits or it is too large."""
        with self._lock:
            self._dropped += 1

    def fail(self, reason: str) -> None:
        """Count a request to which the shadow had no answer."""
        with self._lock:
            self._failed += 1
            self._reason = reason

    def compare(self, answered: NDArray[Any], shadow: NDArray[Any], seconds: tuple[float, float]) -> None:
        """Take note of one request.

        Args:
            answered: what the caller got, a row for each row.
            shadow: what the shadow says.
            seconds: that each took.
        """
        numbers = answered.dtype.kind == "f" and shadow.dtype.kind == "f"
        if answered.shape != shadow.shape:
            self.fail(f"it answers in the shape {list(shadow.shape)}, not {list(answered.shape)}")
            return
        same = np.isclose(answered, shadow, _TOLERANCE, 0.0, equal_nan=True) if numbers else answered == shadow
        differences = np.abs(answered - shadow).ravel() if numbers else np.empty(0)
        differences = differences[np.isfinite(differences)]
        with self._lock:
            self._requests += 1
            self._rows += len(answered)
            self._same += int(same.reshape(len(same), -1).all(axis=1).sum())
            self._compared += len(differences)
            self._differences += float(differences.sum())
            self._largest = max(self._largest, float(differences.max(initial=0.0)))
            for times, each in zip(self._times, seconds, strict=True):
                times.append(each)

    def report(self) -> dict[str, Any]:
        """Requests, rows and how far the two agree."""
        with self._lock:
            answered, shadow = (sorted(times) for times in self._times)
            out: dict[str, Any] = {
                "requests": self._requests,
                "dropped": self._dropped,
                "failed": self._failed,
                "rows": self._rows,
                "agreement": self._same / self._rows if self._rows else None,
                "p50_ms": {"answered": percentile_ms(answered, 0.5), "shadow": percentile_ms(shadow, 0.5)},
                "p95_ms": {"answered": percentile_ms(answered, 0.95), "shadow": percentile_ms(shadow, 0.95)},
            }
            if self._compared:
                out["mean_absolute_difference"] = self._differences / self._compared
                out["largest_difference"] = self._largest
            if self._reason:
                out["last_failure"] = self._reason
            return out


@dataclass(frozen=True, slots=True)
class _Copy:
    """One request that waits to be run again."""

    shadow: Shadow
    answering: ServedModel
    model: ServedModel
    tensors: Tensors
    answered: NDArray[Any]
    seconds: float


class Shadows:
    """Runs copies of requests, one after the other, in one thread that yields to all others."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[_Copy | None] = queue.Queue(_WAITING)
        self._lock = threading.Lock()  # guards the thread's start
        self._thread: threading.Thread | None = None
        self._pickers: tuple[ServedModel, ServedModel, Picker] | None = None

    def offer(
        self,
        shadow: Shadow,
        answering: ServedModel,
        model: ServedModel,
        tensors: Tensors,
        answers: Answers,
        seconds: float,
    ) -> None:
        """Have a request run on `model` later; returns at once, and drops the copy where too many wait."""
        answered = answers.get(answering.described.answer)
        if answered is None or len(answered) > _MAX_ROWS:
            shadow.drop()
            return
        try:
            self._waiting.put_nowait(_Copy(shadow, answering, model, tensors, answered.copy(), seconds))
        except queue.Full:
            shadow.drop()
            return
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Run nothing more."""
        with self._lock:
            thread = self._thread
        if thread is None:
            return
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()
        self._waiting.put(None)
        thread.join(5.0)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lepton-shadow", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # threads have a priority of their own on Linux alone
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while (copy := self._waiting.get()) is not None:
            try:
                self._run(copy)
            except LeptonError as error:
                copy.shadow.fail(printable(str(error), 500))
            except Exception:
                _logger.exception("the shadow of '%s' failed", copy.answering.name)
                copy.shadow.fail("an error inside the server")

    def _run(self, copy: _Copy) -> None:
        predictor = copy.model.predictor
        known = self._pickers
        if known is None or known[0] is not copy.answering or known[1] is not copy.model:
            picker = Picker(copy.answering.described.inputs, predictor.inputs)
            known = self._pickers = (copy.answering, copy.model, picker)
        tensors = known[2].pick(copy.tensors)
        started = time.perf_counter()
        output = predictor.answer
        found = predictor.run(tensors, [output])[output]
        copy.shadow.compare(copy.answered, found, (copy.seconds, time.perf_counter() - started))
