"""More models than memory: those asked least recently are let go, and opened again when they are asked.

What a model takes is what opening it really took: growth of the process's resident memory, and its file at least.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lepton.bundle import Predictor, open_model
from lepton.core import ErrorCode, LeptonError, Resources, ServingError, WorkerError
from lepton.core.memory import give_back
from lepton.serving.model_store import ServedModel

__all__ = ["MemoryBound", "resident_bytes", "wait_for"]

_logger = logging.getLogger("lepton.serving")

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_AGAIN = 1.0
"""Seconds in which a model that could not be opened again is not tried anew."""


@dataclass(slots=True)
class _Record:
    """What is known of one model that was opened."""

    size: int
    model_id: str
    failed: tuple[float, LeptonError] | None = None


class MemoryBound:
    """Keeps the models of one process within so many bytes. Safe to use from several threads.

    One model is opened at a time, so that each growth of memory is one model's.

    Args:
        limit: bytes that opened models may take together.
        resources: what they may use.
        measure: bytes that the process takes now.
    """

    def __init__(self, limit: int, resources: Resources, measure: Callable[[], int] | None = None) -> None:
        self.limit = limit
        self._resources = resources
        self._resident = measure or resident_bytes
        self._opening = threading.RLock()  # guards openings and what is let go
        self._lock = threading.Lock()  # guards the futures
        self._known: dict[ServedModel, _Record] = {}
        self._futures: dict[ServedModel, Future[Predictor]] = {}
        self._opener = ThreadPoolExecutor(1, "lepton-open")
        self.evictions = 0

    @property
    def used(self) -> int:
        """Bytes of the models that are open."""
        return sum(record.size for model, record in self._known.copy().items() if model.is_open)

    def size(self, model: ServedModel) -> int | None:
        """Bytes that a model takes when it is open; None if it was not opened here."""
        record = self._known.get(model)
        return None if record is None else record.size

    def opened(self, model: ServedModel, path: Path, measure: Callable[[Predictor], None]) -> Predictor:
        """Open a model for the first time, try it by `measure`, and let others go for it.

        Raises:
            WorkerError: OUT_OF_MEMORY, it does not fit if it is alone.
            LeptonError: as `open_model`.
        """
        with self._opening:
            at_least = _file_size(path)
            if at_least > self.limit:
                raise self._too_large(at_least)
            self._make_room(at_least, model)
            before = self._resident()
            predictor = open_model(path, resources=self._resources)
            measure(predictor)
            size = max(self._resident() - before, at_least)
            if size > self.limit:
                del predictor
                give_back()
                raise self._too_large(size)
            model.residency, model.used = self, time.monotonic()
            self._known[model] = _Record(size, predictor.model_id)
            self._make_room(size, model)
            return predictor

    def reopened(self, model: ServedModel) -> Predictor:
        """Open again what was let go; the same content, or nothing.

        Raises:
            ServingError: NOT_READY, the file is gone, damaged or holds another model.
        """
        with self._opening:
            if model.is_open:
                return model.predictor
            record = self._known[model]
            if record.failed is not None and time.monotonic() - record.failed[0] < _AGAIN:
                raise record.failed[1]
            self._make_room(record.size, model)
            before = self._resident()
            try:
                predictor = self._same(model, record)
            except LeptonError as error:
                record.failed = (time.monotonic(), error)
                raise
            record.size = max(record.size, self._resident() - before)
            record.failed = None
            predictor.unseen = model.described.unseen  # which goes on counting
            model.put(predictor)
            return predictor

    def open_soon(self, model: ServedModel) -> Future[Predictor]:
        """A model that is being opened; those who ask while it is, get the same."""
        with self._lock:
            future = self._futures.get(model)
            if future is not None:
                return future
            future = self._futures[model] = self._opener.submit(self.reopened, model)
        future.add_done_callback(lambda _: self._finished(model))  # at once, and in this thread, where it is done
        return future

    def forget(self, models: Iterable[ServedModel]) -> None:
        """Models that are served no more."""
        for model in models:
            self._known.pop(model, None)

    def close(self) -> None:
        """Open nothing more."""
        self._opener.shutdown(wait=False, cancel_futures=True)

    def _finished(self, model: ServedModel) -> None:
        with self._lock:
            self._futures.pop(model, None)

    def _same(self, model: ServedModel, record: _Record) -> Predictor:
        try:
            predictor = open_model(model.source, resources=self._resources)  # type: ignore[arg-type] # a path
        except LeptonError as error:
            raise _gone(model, f"it cannot be opened again: {error.came}") from None
        if predictor.model_id != record.model_id:
            raise _gone(model, "its file holds another model than when it was opened")
        return predictor

    def _make_room(self, size: int, coming: ServedModel) -> None:
        """Let go of the models asked least recently until `size` bytes are free."""
        resting = sorted((model for model in self._known if model.is_open and model is not coming), key=_last_used)
        left = self.limit - size - sum(self._known[model].size for model in resting)
        let_go = False
        for model in resting:
            if left >= 0:
                break
            left += self._known[model].size
            model.put(None)
            self.evictions += 1
            let_go = True
            _logger.info("the model '%s' is let go: others need its memory", model.name)
        if let_go:
            give_back()

    def _too_large(self, size: int) -> WorkerError:
        return WorkerError(
            ErrorCode.OUT_OF_MEMORY,
            f"the model takes {size / 1e6:,.0f} MB when it is open",
            wanted=f"at most {self.limit / 1e6:,.0f} MB, the memory of all models together",
            fix="start the server with a larger --max-memory",
        )


def wait_for(model: ServedModel, deadline: float | None) -> None:
    """Wait until a model, or every part of it, is open.

    Args:
        model: that was let go, perhaps.
        deadline: on the clock of `time.monotonic`; None waits as long as it takes.

    Raises:
        TimeoutError: it is not open by then; it is being opened all the same.
        LeptonError: it cannot be opened.
    """
    for each in model.parts or (model,):
        if each.parts:
            wait_for(each, deadline)
        elif not each.is_open and each.residency is not None:
            future = each.residency.open_soon(each)
            future.result(None if deadline is None else max(0.0, deadline - time.monotonic()))


def resident_bytes() -> int:
    """Bytes of this process that are in memory; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * _PAGE


def _last_used(model: ServedModel) -> float:
    return model.used


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _gone(model: ServedModel, why: str) -> ServingError:
    return ServingError(
        ErrorCode.NOT_READY,
        f"the model '{model.name}' was let go for want of memory, and {why}",
        fix="serve with --watch, or load it: POST /v2/repository/models/{model}/load",
        details={"model": model.name},
    )
