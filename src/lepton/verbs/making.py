"""What every verb that makes a model file does around its room: a place for the file, work to do it in, the model."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from lepton import store
from lepton.core import Work
from lepton.report import TerminalProgress

__all__ = ["Making", "making"]


class Opened(Protocol):
    """A model that was opened from the file."""

    @property
    def predictor(self) -> object:
        """What copies of the model share."""


M = TypeVar("M", bound=Opened)


@dataclass(frozen=True, slots=True)
class Making:
    """A model file in the making.

    Attributes:
        path: where to write it.
        work: time, cancel, progress, resources and seed.
    """

    path: Path
    work: Work
    _scratch: contextlib.ExitStack = field(repr=False)

    def keep(self, model: M) -> M:
        """The model that was opened from the file; a temporary file lasts as long as it, and as its copies."""
        weakref.finalize(model.predictor, self._scratch.pop_all().close)
        return model


@contextlib.contextmanager
def making(
    output: str | Path | None, work: Work | None, *, within: str | float | None = None, seed: int = 0
) -> Iterator[Making]:
    """A place for a model file and work to make it in.

    Args:
        output: where the user wants it; None for a temporary file.
        work: as the user gave it; None for one with a progress line in a terminal.
        within: the time of work that is made here.
        seed: of such work.
    """
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as scratch:
        if work is None:
            progress = stack.enter_context(TerminalProgress(quiet=not sys.stderr.isatty()))
            work = Work(within, seed=seed, reporter=progress)
        path = Path(output) if output else scratch.enter_context(store.scratch_folder()) / "model.lepton"
        yield Making(path, work, scratch)
