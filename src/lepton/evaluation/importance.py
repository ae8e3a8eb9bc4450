"""What a model leans on: how much worse it gets when the values of a column are shuffled among the rows.

Source: Breiman, "Random forests" (2001), section 10; of any model Fisher, Rudin & Dominici, "All models are wrong, but
many are useful" (2019). Shuffling breaks what ties a column to the others: columns that go together are shuffled
together as well, because each alone looks dispensable while its twin is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from lepton.bundle import Predictor
from lepton.core import ErrorCode, UsageError, Work
from lepton.data import Dataset
from lepton.data.describe.associations import associations
from lepton.evaluation.answers import Answers, gather
from lepton.evaluation.bootstrap import Estimate, intervals
from lepton.evaluation.classification import Floats, Positions, Score, label_positions
from lepton.evaluation.metrics import Metric, metric as metric_of
from lepton.report import Page, Table, Text, bars, plain_table, show_number

__all__ = ["FeatureImportance", "Importance", "importance"]

MAX_ROWS = 5_000
RESAMPLES = 200
_TOGETHER = 0.8
"""Association from which columns are shuffled together too: Spearman, Cramér or the correlation ratio."""
_SHOWN = 30


@dataclass(frozen=True)
class FeatureImportance:
    """What shuffling one column, or some together, costs.

    Attributes:
        columns: what was shuffled.
        loss: how much worse the metric gets, with its 95 % interval; around 0 where the model does not lean on it.
    """

    columns: tuple[str, ...]
    loss: Estimate

    @property
    def matters(self) -> bool:
        """Whether the interval lies above 0."""
        return self.loss.lower is not None and self.loss.lower > 0

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"columns": list(self.columns), "matters": self.matters, **self.loss.to_dict()}


@dataclass(frozen=True)
class Importance:
    """What a model leans on, the most important column first; made by `Model.importance`.

    Attributes:
        model: its name.
        metric: title of what gets worse.
        value: of the model on these rows, nothing shuffled.
        features: each column by itself.
        groups: columns that go together, shuffled together.
        num_rows: rows that were used.
        repeats: how often each column was shuffled; losses are means over that.
        left_out: columns that there was no time for.
    """

    model: str
    metric: str
    value: Estimate
    features: tuple[FeatureImportance, ...]
    groups: tuple[FeatureImportance, ...]
    num_rows: int
    repeats: int
    left_out: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "model": self.model,
            "metric": self.metric,
            "value": self.value.to_dict(),
            "features": [each.to_dict() for each in self.features],
            "groups": [each.to_dict() for each in self.groups],
            "num_rows": self.num_rows,
            "repeats": self.repeats,
            "left_out": list(self.left_out),
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people."""
        head = f"{self.metric} {self.value} on {self.num_rows:,} rows; what it loses when a column is shuffled:"
        lines = [head, "", plain_table(("column", "loss", "95 % interval", ""), self._rows(self.features))]
        if self.groups:
            lines += ["", "Columns that go together, shuffled together:", ""]
            lines.append(plain_table(("columns", "loss", "95 % interval", ""), self._rows(self.groups)))
        return "\n".join([*lines, *self._notes()])

    def page(self) -> Page:
        """A page with the losses drawn."""
        page = Page(f"What {self.model} leans on", subtitle=f"{self.metric} {self.value} on {self.num_rows:,} rows")
        told = [each for each in self.features if each.loss.value is not None][:_SHOWN]
        losses = np.array([each.loss.value for each in told], dtype=np.float64)
        lower, upper = (
            np.array([loss if end is None else end for loss, end in zip(losses, ends, strict=True)], dtype=np.float64)
            for ends in ([e.loss.lower for e in told], [e.loss.upper for e in told])
        )
        names = [each.columns[0] for each in told]
        figure = bars(names, losses, title="Loss when a column is shuffled", lower=lower, upper=upper)
        columns = ("column", "loss", "95 % interval", "")
        page.section("Each column by itself", figure, Table(columns, self._rows(self.features)))
        if self.groups:
            page.section("Columns that go together", Table(("columns", *columns[1:]), self._rows(self.groups)))
        for note in self._notes():
            page.section("Note", Text(note, tone="note"))
        return page

    def _repr_html_(self) -> str:
        return self.page().html()

    def _rows(self, entries: Sequence[FeatureImportance]) -> list[tuple[str, str, str, str]]:
        return [
            (", ".join(e.columns), show_number(e.loss.value), e.loss.interval, "" if e.matters else "none shown")
            for e in entries
        ]

    def _notes(self) -> list[str]:
        if not self.left_out:
            return []
        return [f"There was no time for {len(self.left_out):,} columns, such as {', '.join(self.left_out[:5])}."]


def importance(
    predictor: Predictor,
    dataset: Dataset,
    *,
    target: str | None = None,
    metric: str | None = None,
    repeats: int = 5,
    max_rows: int = MAX_ROWS,
    seed: int = 0,
    work: Work | None = None,
) -> Importance:
    """How much worse a model gets on rows that it was not trained on when a column says nothing any more.

    Args:
        predictor: an opened model.
        dataset: rows with the target.
        target: column of the truth; by default the one the model was trained on.
        metric: what is to be lost; by default that of the task.
        repeats: how often each column is shuffled.
        max_rows: of more rows, so many are drawn.
        seed: of the draws and shuffles.
        work: cancel and progress; when its time is over, the columns that are left are left out.

    Raises:
        DataError: no target column, or no row to judge by.
        UsageError: a metric that does not fit the task; fewer than one shuffle or two rows.
    """
    work = Work.of(work)
    if repeats < 1 or max_rows < 2:
        came = f"got repeats={repeats}, max_rows={max_rows}"
        raise UsageError(ErrorCode.USAGE, came, wanted="at least one shuffle of two rows")
    measured = metric_of(metric or predictor.task.metric, predictor.task.name)
    if dataset.num_rows > max_rows:
        _, dataset = dataset.split(max_rows / dataset.num_rows, method="random", seed=seed)
    inputs = [column.name for column in predictor.manifest.inputs if column.name in dataset.schema]
    answers = gather(predictor, dataset, target=target, columns=inputs, work=work)
    rows = answers.columns.select(inputs)
    groups = _going_together(rows, dataset, inputs)
    shuffles = [np.random.default_rng([seed, turn]).permutation(rows.height) for turn in range(repeats)]
    before = answers.score(measured)
    losses: dict[tuple[str, ...], Score] = {}
    wanted = [*((name,) for name in inputs), *groups]
    for columns in wanted:
        if losses and work.stopped:
            break
        after = [_shuffled(predictor, answers, rows, columns, order).score(measured) for order in shuffles]
        losses[columns] = _loss(before, after, shuffles, measured)
        work.report(len(losses), len(wanted), "columns", note="shuffling")
    found = intervals(
        {(): before, **losses},
        answers.num_rows,
        undefined=dict.fromkeys([(), *losses], measured.undefined),
        weight=answers.weight,
        groups=answers.groups,
        resamples=RESAMPLES,
        seed=seed,
    )
    entries = [FeatureImportance(columns, found[columns]) for columns in losses]
    entries.sort(key=lambda each: -np.inf if each.loss.value is None else each.loss.value, reverse=True)
    return Importance(
        predictor.manifest.name,
        measured.title,
        found[()],
        tuple(each for each in entries if len(each.columns) == 1),
        tuple(each for each in entries if len(each.columns) > 1),
        answers.num_rows,
        repeats,
        tuple(name for name in inputs if (name,) not in losses),
    )


def _shuffled(
    predictor: Predictor, answers: Answers, rows: pl.DataFrame, columns: tuple[str, ...], order: Positions
) -> Answers:
    """The answers to the same rows with some columns from other rows."""
    given = predictor.outputs(rows.with_columns(rows.select(columns)[order]))
    beside = {name: given[name] for name in answers.beside}
    if not answers.labels:
        numbers = np.asarray(given[predictor.task.answer], dtype=np.float64).reshape(rows.height)
        return replace(answers, predicted=numbers, beside=beside)
    if predictor.task.several:
        probabilities = np.asarray(given["probabilities"], dtype=np.float64)
        return replace(answers, predicted=given["prediction"], probabilities=probabilities)
    predicted = label_positions(given["prediction"], answers.labels, "the prediction")
    return replace(answers, predicted=predicted, probabilities=np.asarray(given["probabilities"], dtype=np.float64))


def _loss(before: Score, after: Sequence[Score], shuffles: Sequence[Positions], measured: Metric) -> Score:
    """The mean loss over the shuffles, on the same resample.

    A shuffled row is one of a pair: the row, and the one whose value it got. Both are drawn, so a resample counts the
    pair as often as it has the one times as often as it has the other. Counting the rows alone gives intervals that
    hold the truth in three of four cases where they say nineteen of twenty.
    """
    sign = 1.0 if measured.greater_is_better else -1.0

    def loss(weights: Floats) -> Floats:
        total = np.zeros(len(weights))
        for order, shuffled in zip(shuffles, after, strict=True):
            pairs = weights * weights[:, order]
            total += before(pairs) - shuffled(pairs)
        return sign * total / len(after)

    return loss


def _going_together(rows: pl.DataFrame, dataset: Dataset, inputs: Sequence[str]) -> list[tuple[str, ...]]:
    """Columns that are closely associated, directly or by way of others."""
    found = associations(rows, [dataset.schema[name] for name in inputs])
    if found is None:
        return []
    group = {name: {name} for name in inputs}
    for first, second, _ in found.strongest(len(found.names) ** 2, _TOGETHER):
        both = group[first] | group[second]
        for name in both:
            group[name] = both
    return list(dict.fromkeys(tuple(n for n in inputs if n in each) for each in group.values() if len(each) > 1))
