"""Runs that take too long are ended, so that a model that never comes back does not keep its thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from onnxruntime import RunOptions

__all__ = ["Watchdog"]

_STUCK = 10.0


class Watchdog:
    """Looks after runs of onnxruntime, in one thread for all of them.

    A run is ended between two nodes of its graph; one whose single node never ends is `stuck`.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards all that follows
        self._ends: dict[RunOptions, float] = {}
        self._awaited = float("inf")
        self._closed = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, ends: float) -> Iterator[RunOptions]:
        """Options for a run, which is ended at `ends` on the clock of `time.monotonic`."""
        options = RunOptions()
        with self._changed:
            self._ends[options] = ends
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._watch, name="lepton-watchdog", daemon=True)
                self._thread.start()
            elif ends < self._awaited:
                self._changed.notify()
        try:
            yield options
        finally:
            with self._changed:
                del self._ends[options]

    @property
    def stuck(self) -> bool:
        """Whether a run goes on long after it was to be ended."""
        with self._changed:
            return any(time.monotonic() > ends + _STUCK for ends in self._ends.values())

    def close(self) -> None:
        """End every run that goes on."""
        with self._changed:
            self._closed = True
            for options in self._ends:
                options.terminate = True
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for options, ends in self._ends.items():
                    if ends <= now:
                        options.terminate = True
                # Runs mostly end long before: to wake for the next of them, not for each, costs nothing.
                self._awaited = min((ends for ends in self._ends.values() if ends > now), default=float("inf"))
                self._changed.wait(None if self._awaited == float("inf") else self._awaited - now)
