"""The engine contract: work that is named by an entry point runs elsewhere, and is watched through a handle.

What holds for every engine is proved by `tests/compute/engine_contract.py`; a new engine runs the same suite.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import TracebackType
from typing import Any, Protocol, Self

from lepton.core import ProgressRecord, Resources
from lepton.core.work import Reporter

__all__ = ["Engine", "Handle", "State"]


class State(StrEnum):
    """Where a piece of work is: `queued`, `running`, then one of the other four, which is final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    KILLED = "killed"

    @property
    def final(self) -> bool:
        """Whether nothing will change any more."""
        return self not in (State.QUEUED, State.RUNNING)


class Handle(Protocol):
    """One piece of work that was submitted. Every method may be called from any thread."""

    @property
    def state(self) -> State:
        """Where the work is now."""

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the work and return what it gave, or raise what it raised.

        Args:
            timeout: seconds to wait at most, or None.

        Raises:
            TimeoutError: it is not finished after `timeout`; it goes on, and may be asked again.
            Interrupted: it stopped because it was cancelled or its time was over, and had nothing to give.
            LeptonError: as the work raised it.
            WorkerError: it raised anything else (`INTERNAL`, with the type in `details`), its process died
                (`WORKER_DIED`) or took too much memory (`OUT_OF_MEMORY`).
        """

    def progress(self) -> ProgressRecord | None:
        """The latest report of the work, or None before the first."""

    def cancel(self) -> None:
        """Ask the work to stop: `work.check()` raises there, and what it has so far becomes its result."""

    def kill(self) -> None:
        """End the work at once; it has no result. Nothing happens to work that is finished."""


class Engine(Protocol):
    """Runs work somewhere else. Close it, or use it in a `with`; what still runs then is killed."""

    def submit(
        self,
        entry_point: str,
        args: Mapping[str, Any],
        resources: Resources,
        *,
        seed: int = 0,
        within: float | None = None,
        reporter: Reporter | None = None,
    ) -> Handle:
        """Queue `function(**args, work=Work)` and return at once.

        Args:
            entry_point: `"package.module:function"`, importable where the work runs.
            args: arguments by name; they and the result are pickled.
            resources: threads, memory and scratch folder of the work.
            seed: becomes `work.seed`.
            within: seconds from now. Past them `work.check()` raises; work that does not stop then is killed at
                what `core.budgets.time_allowed` grants.
            reporter: called with each progress report that arrives, in a thread of the engine.

        Raises:
            UsageError: the entry point is not of that form, an argument cannot be pickled, the engine is closed.
        """

    def close(self) -> None:
        """Kill what runs, drop what is queued, end every process. May be called twice."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
