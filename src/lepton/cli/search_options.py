"""Options of `lepton train` that say how its search is kept, goes on and ends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

__all__ = ["SearchArguments"]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class SearchArguments:
    """How a search is kept, goes on and ends."""

    workdir: Path | None = None
    "Folder in which the search is kept, for --continue and lepton choose; by default one in Lepton's cache."
    resume: Annotated[bool, Parameter(name="--continue", negative="")] = False
    "Go on with the search in --workdir, of the same table: what was tried is not tried again."
    max_trials: int | None = None
    "End the search after so many trials; without --within the same seed then gives the same model."

    @property
    def given(self) -> bool:
        """Whether any of them was."""
        return self != SearchArguments()

    def arguments(self) -> dict[str, Any]:
        """The arguments of `lepton.train` that they mean."""
        return {"workdir": self.workdir, "resume": self.resume, "max_trials": self.max_trials}
