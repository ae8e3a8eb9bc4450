"""Another model from a search that was made: within other limits or by another metric, without searching again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lepton.core import ErrorCode, UsageError, Work
from lepton.data import Dataset
from lepton.evaluation import METRICS
from lepton.training.automl import SearchFolder, SearchOptions
from lepton.training.limits import Limits
from lepton.training.options import Options
from lepton.training.tables import TrainingResult, train

__all__ = ["choose"]


def choose(
    folder: SearchFolder,
    dataset: Dataset,
    *,
    limits: Limits,
    metric: str | Callable[..., float] | None = None,
    name: str | None = None,
    work: Work | None = None,
    output: Path,
) -> TrainingResult:
    """The best model within limits among those that a search has tried, fitted on all rows.

    Args:
        folder: of the search.
        dataset: the table that was searched, or the same rows read again: kinds and roles of columns are taken from the
            search.
        limits: on size and latency, which are measured on the file.
        metric: what to choose by; None for what the search chose by.
        name: of the model; None for the name of `output`.
        work: time, threads, stop signal.
        output: model file to write.

    Raises:
        DataError: the table is not the one that was searched.
        UsageError: the search chose by a function, which the folder does not hold.
        Interrupted: it was stopped before there was a model.
    """
    asked = folder.asked
    if metric is None and asked.metric not in METRICS:
        raise UsageError(
            ErrorCode.USAGE,
            f"the search chose by the function {asked.metric!r}, which its folder does not hold",
            wanted="metric=: that function, or the name of a metric",
        )
    work = Work.of(work)
    same = Work(work.within, cancel=work.cancel, reporter=work.reporter, resources=work.resources, seed=asked.seed)
    return train(
        as_searched(folder, dataset),
        target=asked.target,
        task=asked.task,
        metric=metric or asked.metric,
        name=name,
        work=same,
        effort=asked.effort,
        limits=limits,
        options=Options(**asked.options),
        search=SearchOptions(folder.path, resume=True, max_trials=0),
        output=output,
    )


def as_searched(folder: SearchFolder, dataset: Dataset) -> Dataset:
    """The table with the kinds and roles of columns that the search knew; columns that it lacks are left for others."""
    columns = {name: told for name, told in folder.asked.columns.items() if name in dataset.schema}
    kinds = {name: kind for name, (kind, _) in columns.items() if str(dataset.schema[name].kind) != kind}
    if kinds:
        dataset = dataset.with_kinds(kinds)
    return dataset.with_roles({name: role for name, (_, role) in columns.items()})
