"""Long work: one object carries the deadline, the stop signal, progress, resources and the seed (contract 6)."""

from __future__ import annotations

import operator
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from lepton.core.budgets import parse_duration
from lepton.core.errors import ErrorCode, Interrupted, UsageError

__all__ = ["ProgressRecord", "Reporter", "Resources", "Work", "environment_for", "thread_environment"]

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)


def _available_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Resources:
    """What work may use; the only source of thread counts.

    Attributes:
        cpus: threads; default: the cores this process may run on.
        memory: bytes of resident memory, or None for no limit.
        device: `cpu`, `cuda`, `cuda:1`, `mps`.
        scratch: folder for temporary files, or None for the system's.
    """

    cpus: int = field(default_factory=_available_cpus)
    memory: int | None = None
    device: str = "cpu"
    scratch: Path | None = None

    def __post_init__(self) -> None:
        if self.cpus < 1:
            raise UsageError(ErrorCode.USAGE, f"got cpus={self.cpus}", wanted="at least 1")


def thread_environment(resources: Resources) -> dict[str, str]:
    """Environment variables that hold native libraries of a child process to `resources.cpus` threads.

    They are read when a library is imported, so they are set before a child starts.
    """
    return dict.fromkeys(_THREAD_VARIABLES, str(resources.cpus))


@dataclass(frozen=True, slots=True)
class ProgressRecord:
    """One report of progress.

    Attributes:
        done: units done so far.
        total: units in all, or None when unknown.
        unit: what is counted (`"rows"`, `"folds"`).
        best: best value so far, ready to show, or "".
        note: what is being done, or "".
        elapsed: seconds since the work began.
        remaining: seconds left until the deadline, or None.
    """

    done: float
    total: float | None
    unit: str
    best: str
    note: str
    elapsed: float
    remaining: float | None

    @property
    def rate(self) -> float:
        """Units a second since the work began."""
        return self.done / self.elapsed if self.elapsed > 0 else 0.0


Reporter = Callable[[ProgressRecord], None]


class Work:
    """The last argument of every long function.

    >>> work = Work(within="60s", seed=7)
    >>> work.report(1, 10, "folds", note="linear")
    >>> work.check()
    >>> work.seed_for("split") == Work(seed=7).seed_for("split")
    True

    Args:
        within: time allowed from now, or None.
        cancel: an event that another thread sets to stop the work.
        reporter: called with each `ProgressRecord`.
        resources: what may be used.
        seed: reaches everything random.
    """

    def __init__(
        self,
        within: str | float | None = None,
        *,
        cancel: threading.Event | None = None,
        reporter: Reporter | None = None,
        resources: Resources | None = None,
        seed: int = 0,
    ) -> None:
        self.started = time.monotonic()
        self.within = None if within is None else parse_duration(within)
        self.deadline = None if self.within is None else self.started + self.within
        self.cancel = cancel or threading.Event()
        self.reporter = reporter
        self.resources = resources or Resources()
        try:
            self.seed = operator.index(seed)
        except TypeError:
            raise UsageError(ErrorCode.USAGE, f"got seed={seed!r}", wanted="a whole number") from None

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return time.monotonic() - self.started

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline (below 0 past it), or None without one."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    @property
    def stopped(self) -> bool:
        """Whether the work was asked to stop or its time is over."""
        return self.cancel.is_set() or (self.deadline is not None and time.monotonic() >= self.deadline)

    def check(self) -> None:
        """Raise `Interrupted` if the work should stop; its handler returns the best so far."""
        if self.cancel.is_set():
            raise Interrupted(ErrorCode.INTERRUPTED, "the work was asked to stop")
        if self.stopped:
            raise Interrupted(ErrorCode.INTERRUPTED, f"the time of {self.within:g} s is over")

    def report(
        self, done: float, total: float | None = None, unit: str = "", *, best: str = "", note: str = ""
    ) -> None:
        """Tell whoever watches how far the work is."""
        if self.reporter is not None:
            self.reporter(ProgressRecord(done, total, unit, best, note, self.elapsed, self.remaining))

    def seed_for(self, *names: str | int) -> int:
        """A seed of 32 bits for one named part of the work, the same for the same `seed` and names."""
        text = "/".join(map(str, (self.seed, *names)))
        return int.from_bytes(sha256(text.encode()).digest()[:4], "big")

    def part(self, seconds: float | None = None, *, resources: Resources | None = None) -> Work:
        """A part of this work: same stop signal, reporter and seed, its own clock, at most `seconds` long."""
        limits = [t for t in (seconds, self.remaining) if t is not None]
        part = Work(cancel=self.cancel, reporter=self.reporter, resources=resources or self.resources, seed=self.seed)
        if limits:
            part.within = max(min(limits), 0.0)
            part.deadline = part.started + part.within
        return part

    @classmethod
    def of(cls, work: Work | None) -> Work:
        """`work`, or work without limits."""
        return cls() if work is None else work


def environment_for(resources: Resources, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with the thread limits of `resources` and `extra` laid over it."""
    return {**os.environ, **thread_environment(resources), **(extra or {})}
