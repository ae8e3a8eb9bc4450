"""What a person asks of training, whatever the task: held against the task, then done by what learns it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton.core import ErrorCode, Kind, Role, UsageError, Work
from lepton.core.lazy import LazyModule
from lepton.data import Dataset
from lepton.training.automl import SearchOptions
from lepton.training.forecast import is_forecast, train_forecast
from lepton.training.further import spelt_out
from lepton.training.limits import Limits, check_verdicts
from lepton.training.options import Options
from lepton.training.selection import select_features
from lepton.training.tables import train
from lepton.training.unlabelled import UNLABELLED, refuse_options, train_unlabelled

if TYPE_CHECKING:
    from lepton.training.deep import cells, run as media
else:  # networks are for those who have pictures, sounds or texts
    cells, media = map(LazyModule, ("lepton.training.deep.cells", "lepton.training.deep.run"))

__all__ = ["Request"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """The arguments of `lepton.train` that say what to learn; most are called as there.

    Attributes:
        target: column to predict; several for several labels a row; None without a target.
        task: None for what the target means.
        metric: what to choose by.
        effort: `fast`, `good` or `best`.
        max_size: of the file.
        max_latency: of one row.
        options: weights, costs, directions, learners, coverage, quantiles.
        search: how a search is kept, goes on and ends.
        select_features: whether to leave out columns that are not needed.
        weight: column of weights.
        group: column of groups.
        time: column of time.
        series: for forecasts.
        horizon: for forecasts.
        files: column of pictures or sounds to learn from.
        text: column of texts to learn from, and from nothing else.
        backbone: pre-trained network to begin with, for pictures and texts.
        tuning: what of it learns.

    Raises:
        UsageError: one cannot be meant, or the task has no use for it.
    """

    target: str | Sequence[str] | None
    task: str | None = None
    metric: str | Callable[..., float] | None = None
    effort: str = "fast"
    max_size: str | int | None = None
    max_latency: str | float | None = None
    options: Options
    search: SearchOptions
    select_features: bool = False
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    series: str | None = None
    horizon: int | None = None
    files: str | None = None
    text: str | None = None
    backbone: str | None = None
    tuning: str | None = None

    def __post_init__(self) -> None:
        if self.tuning is not None and self.backbone is None:
            raise UsageError(ErrorCode.USAGE, f"got tuning={self.tuning!r} without a backbone", wanted="backbone= too")
        Limits(self.max_size, self.max_latency)  # what is no size or no time is refused before all else
        search = {"workdir": None if self.search.workdir is None else str(self.search.workdir)}
        of_tables: dict[str, Any] = {"max_size": self.max_size, "max_latency": self.max_latency, **search}
        of_tables |= {"resume": self.search.resume or None, "max_trials": self.search.max_trials}
        of_tables |= {**asdict(self.options), "select_features": self.select_features or None}
        if self.kind in UNLABELLED:
            refuse_options(self.kind, metric=self.metric, series=self.series, horizon=self.horizon, **of_tables)
        elif is_forecast(self.kind, self.series, self.horizon):
            refuse_options(self.kind, **of_tables)
        elif self.files is not None or self.text is not None:
            if self.files is not None and self.text is not None:
                came = f"got text={self.text!r} beside {self.files!r}"
                raise UsageError(ErrorCode.USAGE, came, wanted="one column to learn from")
            of_tables |= {"series": self.series, "horizon": self.horizon, "time": self.time}
            of_tables |= {"group": self.group} if self.text is not None else {}
            del of_tables["class_weight"]
            refuse_options("files" if self.text is None else "texts", **of_tables)

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets where several were given."""
        return tuple(self.target) if isinstance(self.target, list | tuple) else ()

    @property
    def kind(self) -> str | None:
        """The task, as far as the arguments tell it."""
        return "multilabel" if self.targets and self.task is None else self.task

    def learn(self, table: Dataset, *, output: Path, is_kept: bool, work: Work) -> Dataset:
        """Learn `table` and write the model file.

        Args:
            table: with the columns that the arguments name.
            output: model file to write.
            is_kept: whether a person said where: a file beyond the limits is then there to be looked at.
            work: time, threads, seed, stop signal.

        Returns:
            The table as it was learned.

        Raises:
            DataError: the table or the target cannot be learned from.
            UsageError: no target, or several where one is wanted.
            BudgetError: no model keeps the limits.
        """
        if (of_files := self._of_files(table)) is not None:
            return of_files.learn(table, output=output, is_kept=is_kept, work=work)
        if self.backbone is not None and self.files is None and self.text is None:
            came = f"got backbone={self.backbone!r} for a table"
            fix = "text= (--text) or image= (--image) names the column to learn from"
            raise UsageError(ErrorCode.USAGE, came, wanted="texts or pictures", fix=fix)
        if self.targets and self.kind != "multilabel":
            came = f"got {len(self.targets)} targets with task={self.task!r}"
            raise UsageError(ErrorCode.USAGE, came, wanted="one, or task='multilabel'")
        target = self.targets[0] if self.targets else None if self.target is None else str(self.target)
        if (self.files is not None or self.text is not None) and target is not None and self.kind not in UNLABELLED:
            self._learn_cells(table, target, output, work)
        elif self.kind in UNLABELLED:
            train_unlabelled(table, task=self.kind, target=target, output=output, work=work)
        elif target is None:
            raise UsageError(ErrorCode.USAGE, "got no target", wanted="target= (--target): the column to predict")
        elif is_forecast(self.kind, self.series, self.horizon):
            self._forecast(table, target, output, work)
        else:
            return self._learn_rows(table, target, output, is_kept, work)
        return table

    def _of_files(self, table: Dataset) -> Request | None:
        """The same request of pictures or sounds, where nobody said so and the table holds nothing else."""
        if self.files is not None or self.text is not None or self.kind in UNLABELLED:
            return None
        if not any(column.kind in (Kind.IMAGE, Kind.AUDIO) for column in table.schema):
            return None
        labels = table.schema.of_role(Role.TARGET)
        target = self.target or (labels[0].name if labels else None)
        found = media.media_column(table, (target,) if isinstance(target, str) else tuple(target or ()))
        return None if found is None or target is None else replace(self, files=found, target=target)

    def _learn_cells(self, table: Dataset, target: str, output: Path, work: Work) -> None:
        """Pictures, sounds or texts of one column."""
        cells.train_cells(
            table,
            files=self.files,
            text=self.text,
            group=self.group,
            backbone=self.backbone,
            tuning=self.tuning,
            target=self.targets or target,
            task=self.kind,
            metric=self.metric,
            weight=self.weight,
            class_weight=self.options.class_weight,
            work=work,
            output=output,
        )

    def _forecast(self, table: Dataset, target: str, output: Path, work: Work) -> None:
        if callable(self.metric):
            raise UsageError(ErrorCode.USAGE, "got a function as metric", wanted="for forecasts, a name")
        train_forecast(
            table,
            target=target,
            time=self.time,
            series=self.series,
            horizon=self.horizon,
            metric=self.metric,
            output=output,
            work=work,
        )

    def _learn_rows(self, table: Dataset, target: str, output: Path, is_kept: bool, work: Work) -> Dataset:
        """Every task whose rows stand for themselves."""
        targets = self.targets
        if self.kind == "multilabel" and not targets:
            table, targets = spelt_out(table, target)
            target = targets[0]
        labels = ((name, "target") for name in targets)
        roles = ((self.weight, "weight"), (self.group, "group"), (self.time, "time"), *labels)
        table = table.with_roles({name: role for name, role in roles if name is not None})
        notes: tuple[str, ...] = ()
        if self.select_features:
            needed = select_features(
                table, target=target, task=self.kind, metric=self.metric, options=self.options, work=work
            )
            table, notes = needed.table, needed.notes
        result = train(
            table,
            target=target,
            task=self.kind,
            metric=self.metric,
            effort=self.effort,
            limits=Limits(self.max_size, self.max_latency),
            options=self.options,
            search=self.search,
            notes=notes,
            output=output,
            work=work,
        )
        check_verdicts(result.verdicts, output if is_kept else None)
        return table
