"""What a person asks of a search for a network: held against what came, before torch is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton.core import BudgetVerdict, ErrorCode, MissingExtraError, Role, UsageError, Work
from lepton.core.lazy import LazyModule
from lepton.data import Dataset
from lepton.training.deep.run import media_column
from lepton.training.limits import Limits

if TYPE_CHECKING:
    from lepton.training.deep.architectures import run, subject
else:
    run, subject = (LazyModule(f"lepton.training.deep.architectures.{name}") for name in ("run", "subject"))

__all__ = ["ArchitectureRequest"]

_PAIR = 2


@dataclass(frozen=True, kw_only=True)
class ArchitectureRequest:
    """The arguments of `lepton.search`; they are called as there.

    Attributes:
        target: column or columns of a table.
        image: column of pictures.
        audio: column of sounds.
        weight: column of weights.
        kind: of arrays.
        task: None for what the target means.
        metric: what to choose by.
        max_latency: of one row.
        max_size: of the file.
        workdir: folder of the search.
        resume: whether to go on with it.
        max_trials: trainings at most.

    Raises:
        UsageError: one of them cannot be meant.
        MissingExtraError: torch is not installed.
    """

    target: str | Sequence[str] | None = None
    image: str | None = None
    audio: str | None = None
    weight: str | None = None
    kind: str | None = None
    task: str | None = None
    metric: str | Callable[..., float] | None = None
    max_latency: str | float | None = None
    max_size: str | int | None = None
    workdir: Path | None = None
    resume: bool = False
    max_trials: int | None = None

    def __post_init__(self) -> None:
        self.limits()  # what is no size or no time is refused before all else
        if self.resume and self.workdir is None:
            came = "got resume=True and no workdir"
            raise UsageError(ErrorCode.USAGE, came, wanted="the folder of the search that is to go on")
        if self.max_trials is not None and self.max_trials < 1:
            raise UsageError(ErrorCode.USAGE, f"got max_trials={self.max_trials!r}", wanted="1 or more, or None")
        if find_spec("torch") is None:
            raise MissingExtraError("torch", "deep", "A search for a network")

    def limits(self) -> Limits:
        """Of the finished file."""
        return Limits(self.max_size, self.max_latency)

    def search(self, source: Any, *, output: Path, work: Work) -> tuple[BudgetVerdict, ...]:
        """Search, and write the model file.

        Args:
            source: a table, or (x, y) of arrays.
            output: model file to write.
            work: time, threads, seed, stop signal.

        Returns:
            A verdict for each limit, on the file.

        Raises:
            LeptonError: see `search_architectures`.
        """
        arrays = isinstance(source, tuple)
        return run.search_architectures(
            self._of_arrays(source) if arrays else self._of_files(source),
            metric=self.metric,
            limits=self.limits(),
            kept=run.Kept(self.workdir, self.resume, self.max_trials),
            output=output,
            work=work,
        )

    def _of_arrays(self, source: Sequence[Any]) -> Callable[[Work], Any]:
        told = {"target": self.target, "image": self.image, "audio": self.audio, "weight": self.weight}
        if len(source) != _PAIR or (given := [name for name, value in told.items() if value is not None]):
            came = f"got {len(source)} arrays" if len(source) != _PAIR else f"got {given[0]}= beside arrays"
            raise UsageError(ErrorCode.USAGE, came, wanted="(x, y): rows and their targets, and no names of columns")
        return lambda _work: subject.subject_of_arrays(*source, kind=self.kind, task=self.task)

    def _of_files(self, table: Dataset) -> Callable[[Work], Any]:
        if self.kind is not None:
            raise UsageError(ErrorCode.USAGE, f"got kind={self.kind!r} beside a table", wanted="kind= with arrays only")
        labels = table.schema.of_role(Role.TARGET)
        target = self.target or (labels[0].name if labels else None)
        if target is None:
            raise UsageError(ErrorCode.USAGE, "got no target", wanted="target= (--target): the column to predict")
        names = (target,) if isinstance(target, str) else tuple(target)
        column = self.image or self.audio or media_column(table, names)
        if column is None:
            raise UsageError(
                ErrorCode.USAGE,
                "the table holds no one column of pictures or sounds beside its target",
                wanted="image= or audio= (--image, --audio): the column to learn from",
                fix="models of plain tables are searched by lepton.train(…, within=…)",
            )
        return lambda work: subject.subject_of_files(
            table, column=column, target=target, task=self.task, weight=self.weight, work=work
        )
