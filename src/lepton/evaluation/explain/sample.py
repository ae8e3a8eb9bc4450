"""Rows that a model is asked about again and again with some of their values changed, in the tensors of its graph."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle import Predictor, TableInputs, TensorInputs
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, UsageError, Work, printable
from lepton.data import Dataset
from lepton.data.describe.associations import associations
from lepton.evaluation.classification import Floats, Positions
from lepton.evaluation.explain.base import Question, question_of

__all__ = ["FEW_ROWS", "TOGETHER", "Sample", "kind_of_curve", "needs_rows", "partners", "sample_of"]

FEW_ROWS = 100
"""Rows below which intervals of resampled rows are too narrow."""
TOGETHER = 0.8
"""Association from which columns are said to go together: Spearman, Cramér or the correlation ratio."""
_MAX_LABELS = 5
_BATCH_CELLS = 2_000_000
_MAX_PARTNERS = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """N rows, packed as the graph takes them.

    Attributes:
        question: the numbers that are asked for, K for each row.
        inputs: packs rows for the model.
        rows: the model's columns as the data has them.
        places: which rows of the data these are [N].
        tensors: the graph's inputs.
        positions: column → its tensor, and where it stands in it.
        answers: the model's numbers for the rows as they are [N, K].
        weight: sample weights [N], or None for equal ones.
        groups: group of each row [N] as numbers from 0, or None.
        total: rows of the data that these were drawn from.
        labels_left_out: labels of the model that are not looked at.
        unanswered: rows that were left out because the model answers no finite number to them.
        work: cancel and progress.
    """

    question: Question
    inputs: TableInputs
    rows: pl.DataFrame
    places: Positions
    tensors: dict[str, NDArray[Any]]
    positions: dict[str, tuple[str, int]]
    answers: Floats
    weight: Floats | None
    groups: Positions | None
    total: int
    labels_left_out: int
    unanswered: int
    work: Work

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self.places)

    @property
    def columns(self) -> tuple[ColumnRecord, ...]:
        """The model's columns, in order."""
        return self.inputs.columns

    @property
    def labels(self) -> tuple[str, ...]:
        """What the K numbers are called; "" where there is one."""
        return tuple(str(label) for label in self.question.labels) or ("",)

    @property
    def mass(self) -> Floats:
        """The weight of each row [N]."""
        return np.ones(self.num_rows) if self.weight is None else self.weight

    def record(self, name: str) -> ColumnRecord:
        """The model's column called `name`.

        Raises:
            DataError: the model takes no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        close = difflib.get_close_matches(str(name), self.inputs.names, n=1, cutoff=0.5)
        known = ", ".join(f"'{printable(each)}'" for each in self.inputs.names[:20])
        raise DataError(
            ErrorCode.UNKNOWN_COLUMN,
            f"'{printable(str(name))}' is not among the columns that the model takes",
            wanted="one of its inputs: what it does not take cannot move its answer",
            fix=f"did you mean '{printable(close[0])}'?" if close else f"it takes {known}",
        )

    def cells(self, name: str) -> NDArray[Any]:
        """What the graph gets of a column [N]: float64, missing NaN; or texts, missing "". Not a copy."""
        tensor, position = self.positions[name]
        return np.asarray(self.tensors[tensor][:, position])

    def ask(self, rows: Positions, given: Mapping[str, NDArray[Any]]) -> Floats:
        """The numbers [M, K] for some of the rows, with other values in some columns.

        Args:
            rows: M positions of rows, any of them as often as wanted.
            given: column → M values as the graph gets them.
        """
        width = max(sum(tensor.shape[1] for tensor in self.tensors.values()), 1)
        step = max(_BATCH_CELLS // width, 128)
        parts = []
        for start in range(0, max(len(rows), 1), step):
            self.work.check()
            chosen = rows[start : start + step]
            changed = {name: tensor[chosen] for name, tensor in self.tensors.items()}
            for name, values in given.items():
                tensor, position = self.positions[name]
                changed[tensor][:, position] = values[start : start + step]
            parts.append(self.question.ask(changed))
        return np.concatenate(parts)

    def only(self, rows: Positions) -> Sample:
        """The sample of some of its rows."""
        return replace(
            self,
            rows=self.rows[rows],
            places=self.places[rows],
            tensors={name: tensor[rows] for name, tensor in self.tensors.items()},
            answers=self.answers[rows],
            weight=None if self.weight is None else self.weight[rows],
            groups=None if self.groups is None else np.unique(self.groups[rows], return_inverse=True)[1],
        )

    def draw(self, num_rows: int, *seed: int) -> Sample:
        """At most so many of the rows, drawn at random, in their order."""
        if self.num_rows <= num_rows:
            return self
        drawn = np.random.default_rng(list(seed)).choice(self.num_rows, num_rows, replace=False)
        return self.only(np.sort(drawn))


def sample_of(
    predictor: Predictor,
    dataset: Dataset,
    *,
    label: Any = None,
    log_odds: bool = False,
    max_rows: int = 2_000,
    seed: int = 0,
    work: Work | None = None,
) -> Sample:
    """Draw rows of `dataset` and pack them for `predictor`; of many labels the most frequent answers are kept.

    Rows whose weight is 0 are left out, and those to which the model answers no finite number.

    Args:
        predictor: an opened model of tables.
        dataset: rows with the model's columns; no target is needed.
        label: the one label whose probability is meant.
        log_odds: tell probabilities as log-odds.
        max_rows: of more rows, so many are drawn, without replacement.
        seed: of the draw.
        work: cancel and progress.

    Raises:
        UsageError: the model takes no table, or answers no number.
        DataError: the data has no rows, or weights below 0; the model answers no finite number to any row.
        SchemaError: columns that the model needs are missing.
    """
    work = Work.of(work)
    inputs = _table_of(predictor)
    if max_rows < 1:
        raise UsageError(ErrorCode.USAGE, f"got max_rows={max_rows}", wanted="at least one row")
    question = question_of(predictor, label, log_odds=log_odds)
    weight = next((each.name for each in dataset.schema.of_role(Role.WEIGHT)), None)
    group = next((each.name for each in dataset.schema.of_role(Role.GROUP)), None)
    rows, places = _drawn(dataset, [*inputs.names, *filter(None, (weight, group))], max_rows, seed, work)
    if weight is not None and len(kept := np.flatnonzero(_weights(rows[weight]))) < len(places):
        rows, places = rows[kept], places[kept]
    there = set(rows.columns)
    taken = rows.select([name for name in inputs.names if name in there])
    tensors = predictor.tensors(taken)
    question, answers, left_out = _most_frequent(question, tensors, len(places))
    sample = Sample(
        question,
        inputs,
        taken,
        places,
        tensors,
        _positions(inputs),
        answers,
        None if weight is None else _weights(rows[weight]),
        None if group is None else _groups(rows[group]),
        dataset.num_rows,
        left_out,
        0,
        work,
    )
    finite = np.isfinite(answers).all(axis=1)
    if finite.all():
        return sample
    if not finite.any():
        raise DataError(
            ErrorCode.BAD_VALUE,
            f"'{printable(predictor.manifest.name)}' answers no finite number to any of {len(places):,} rows",
            wanted="answers that can be compared",
        )
    return replace(sample.only(np.flatnonzero(finite)), unanswered=int((~finite).sum()))


def needs_rows(sample: Sample, least: int, what: str) -> None:
    """Refuse to say `what` of fewer than `least` rows."""
    if sample.num_rows < least:
        raise DataError(
            ErrorCode.TOO_FEW_ROWS, f"got {sample.num_rows:,} rows for {what}", wanted=f"at least {least:,}"
        )


def partners(sample: Sample, names: list[str], least: float = TOGETHER) -> list[tuple[str, str, float]]:
    """Pairs of the named columns that go together at least so closely, the closest first.

    Of many names the first 60 are looked at, and of these the 20 that go together most.
    """
    chosen = names[:_MAX_PARTNERS]
    found = associations(sample.rows.select(chosen), [sample.record(name) for name in chosen])
    return [] if found is None else found.strongest(len(found.names) ** 2, least)


def _table_of(predictor: Predictor) -> TableInputs:
    inputs = predictor.inputs
    if isinstance(inputs, TableInputs):
        return inputs
    if isinstance(inputs, TensorInputs):
        raise UsageError(
            ErrorCode.USAGE,
            f"got '{printable(predictor.manifest.name)}', a model of pictures, sounds, texts or arrays",
            wanted="a model of a table, whose columns have effects",
            fix="explain(rows) says which regions, stretches or words of a single answer count",
        )
    raise UsageError(
        ErrorCode.USAGE,
        f"got '{printable(predictor.manifest.name)}', a model of forecasts",
        wanted="a model that answers row by row",
    )


def _drawn(dataset: Dataset, names: list[str], max_rows: int, seed: int, work: Work) -> tuple[pl.DataFrame, Positions]:
    total = dataset.num_rows
    if not total:
        raise DataError(ErrorCode.EMPTY_DATA, "the data has no rows", wanted="rows that the model can be asked about")
    chosen = np.arange(total)
    if total > max_rows:
        chosen = np.sort(np.random.default_rng([seed, 0]).choice(total, max_rows, replace=False))
    there = set(dataset.schema.names)
    wanted = [name for name in dict.fromkeys(names) if name in there]
    frames, start = [], 0
    for batch in dataset.batches(columns=wanted):
        work.check()
        first, last = np.searchsorted(chosen, (start, start + batch.height))
        frames.append(batch[chosen[first:last] - start])
        start += batch.height
        work.report(start, total, "rows", note="reading")
    return pl.concat(frames), chosen


def _positions(inputs: TableInputs) -> dict[str, tuple[str, int]]:
    return {
        column.name: (tensor, position)
        for tensor, columns in (("numbers", inputs.numbers), ("strings", inputs.strings))
        for position, column in enumerate(columns)
    }


def _most_frequent(
    question: Question, tensors: Mapping[str, NDArray[Any]], num_rows: int
) -> tuple[Question, Floats, int]:
    """At most five labels: those with the highest mean probability; the question, its answers, how many are not."""
    step = max(_BATCH_CELLS // max(sum(tensor.shape[1] for tensor in tensors.values()), 1), 128)
    parts = [
        question.ask({name: tensor[start : start + step] for name, tensor in tensors.items()})
        for start in range(0, num_rows, step)
    ]
    answers = np.concatenate(parts)
    more = answers.shape[1] - _MAX_LABELS
    if more <= 0:
        return question, answers, 0
    kept = np.sort(np.argsort(-answers.mean(axis=0), kind="stable")[:_MAX_LABELS])
    labels, places = (tuple(each[place] for place in kept.tolist()) for each in (question.labels, question.places))
    return replace(question, labels=labels, places=places), answers[:, kept], more


def _weights(column: pl.Series) -> Floats:
    weight = column.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy().astype(np.float64)
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
        raise DataError(
            ErrorCode.BAD_VALUE, f"the weights '{printable(column.name)}' are not all numbers", wanted="0 or more each"
        )
    return weight


def _groups(column: pl.Series) -> Positions:
    ranks = column.cast(pl.String).fill_null("").rank("dense").to_numpy()
    return np.asarray(ranks, dtype=np.int64) - 1


def kind_of_curve(record: ColumnRecord) -> str:
    """How the values of a column stand: `ordered` numbers and moments, or `levels`; texts are refused."""
    if record.kind is Kind.TEXT:
        raise UsageError(
            ErrorCode.USAGE,
            f"column '{printable(record.name)}' holds texts",
            wanted="a number, a moment, a truth value or a category: texts have no order and no common values",
            fix="explain(rows) says which words of an answer count",
        )
    return "ordered" if record.kind in (Kind.NUMBER, Kind.DATETIME) else "levels"
