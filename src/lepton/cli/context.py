"""What a command may lean on beside its own arguments: the console, the settings, and work that Ctrl-C stops."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from lepton.cli.output import Console
from lepton.core import Resources, Settings, Work
from lepton.core.lazy import LazyModule

if TYPE_CHECKING:
    from lepton import report
else:
    report = LazyModule("lepton.report")  # who asks for help does not wait for its figures

__all__ = ["Context"]


@dataclass(frozen=True, slots=True)
class Context:
    """Given to every command as `context`.

    Attributes:
        console: where to print.
        settings: file, environment and flags, laid over one another.
    """

    console: Console
    settings: Settings

    def resources(self, workers: int | None = None) -> Resources:
        """What the work may use; `workers` beats the settings."""
        cpus = workers or self.settings.workers
        memory = self.settings.memory or None
        return Resources(cpus=cpus, memory=memory) if cpus else Resources(memory=memory)

    @contextlib.contextmanager
    def work(
        self, within: str | float | None = None, *, seed: int | None = None, workers: int | None = None
    ) -> Iterator[Work]:
        """Work with progress on standard error; the first Ctrl-C asks it to stop, the second one ends it."""
        cancel = threading.Event()
        show = not self.console.quiet and self.console.format == "text"

        def stop(_number: int, _frame: FrameType | None) -> None:
            if cancel.is_set():
                raise KeyboardInterrupt
            cancel.set()
            if show:
                sys.stderr.write("\nstopping: what was found so far is kept (Ctrl-C again: stop at once)\n")

        main_thread = threading.current_thread() is threading.main_thread()
        earlier = signal.signal(signal.SIGINT, stop) if main_thread else None
        try:
            with report.TerminalProgress(quiet=not show) as progress:
                yield Work(
                    within,
                    cancel=cancel,
                    reporter=progress,
                    resources=self.resources(workers),
                    seed=self.settings.seed if seed is None else seed,
                )
        finally:
            if main_thread:
                signal.signal(signal.SIGINT, earlier)
