"""Whose errors hurt most: the columns of a table spoilt one by one, and the weights by which other rows count more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from lepton.bundle import Predictor, TableInputs
from lepton.core import LeptonError, Work
from lepton.evaluation.answers import Answers
from lepton.evaluation.bootstrap import intervals
from lepton.evaluation.classification import Floats
from lepton.evaluation.metrics import Metric
from lepton.evaluation.robustness.asking import Replies, ask
from lepton.evaluation.robustness.base import draws
from lepton.evaluation.robustness.measuring import RESAMPLES, compared, point_loss, tilted_scores
from lepton.evaluation.robustness.result import ColumnLoss
from lepton.evaluation.robustness.tables import TABLES, TILTS, Facts, numbers_of

__all__ = ["MOST_COLUMNS", "SHOWN", "deviations", "reweighted", "worst_columns"]

MOST_COLUMNS = 40
"""Columns that are spoilt one by one; of more, so many are drawn."""

SHOWN = 10
_TILTED = 8
_FARTHEST = 3.0  # spreads from the mean beyond which a row counts no more


@dataclass(frozen=True, slots=True)
class _Candidate:
    loss: float
    column: str
    test: str
    says: str
    replies: Replies


def worst_columns(
    predictor: Predictor,
    answers: Answers,
    rows: pl.DataFrame,
    facts: Facts,
    tests: Sequence[str],
    measured: Metric,
    *,
    seed: int = 0,
    work: Work | None = None,
) -> tuple[tuple[ColumnLoss, ...], str]:
    """The columns whose errors cost most, each spoilt alone, and what limits that.

    Args:
        predictor: the model.
        answers: to the unspoilt rows.
        rows: the model's columns, N rows.
        facts: about them.
        tests: names of perturbations; those that can spoil a single column do.
        measured: what is lost.
        seed: of the draws.
        work: when its time is over, what was found so far stands.
    """
    work = Work.of(work)
    sample = list(facts.columns)
    note = ""
    if len(sample) > MOST_COLUMNS:
        order = draws(seed, "columns").permutation(len(sample))[:MOST_COLUMNS]
        sample = [sample[place] for place in sorted(order.tolist())]
        note = f"Single columns were spoilt for a sample of {MOST_COLUMNS} of {len(facts.columns):,} columns."
    kept: list[_Candidate] = []
    single = _Single(predictor, rows, answers)
    for number, (column, test, says, changed) in enumerate(_alone(rows, facts, tests, sample, seed)):
        if number and work.stopped:
            note = f"{note} There was no time to spoil every column alone.".strip()
            break
        replies = single.ask(column, changed)
        loss = point_loss(answers, replies, measured)
        kept.append(_Candidate(np.inf if np.isnan(loss) else loss, column, test, says, replies))
        kept = _worst(kept)
        work.report(number + 1, unit="columns", note="spoiling one by one")
    found = []
    for each in kept:
        if each.loss <= 0:
            continue
        _, loss_of = compared(answers, each.replies, measured, seed=seed)
        refused = int((~each.replies.answered).sum())
        found.append(ColumnLoss(each.column, each.test, each.says, loss_of, refused))
    return tuple(found), note


def _worst(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """The worst few, one of each perturbation of a column: the answers of the others need not be held."""
    out: dict[tuple[str, str], _Candidate] = {}
    for each in sorted(candidates, key=lambda each: -each.loss):
        out.setdefault((each.column, each.test), each)
    return list(out.values())[:SHOWN]


def _alone(
    rows: pl.DataFrame, facts: Facts, tests: Sequence[str], sample: Sequence[str], seed: int
) -> Iterator[tuple[str, str, str, pl.DataFrame]]:
    own = set(sample)
    for name in tests:
        if name not in TABLES:
            continue
        for column in TABLES[name].columns(facts):
            if column not in own:
                continue
            for says, change in TABLES[name].alone:
                yield column, name, says, change(rows.select(column), column, facts, draws(seed, name, column))


class _Single:
    """Asks with one column exchanged: the others are packed once, which counts where there are thousands."""

    def __init__(self, predictor: Predictor, rows: pl.DataFrame, answers: Answers) -> None:
        self.predictor, self.rows, self.answers = predictor, rows, answers
        inputs = predictor.inputs
        self.inputs = inputs if isinstance(inputs, TableInputs) else None
        self.tensors = {} if self.inputs is None else predictor.tensors(rows)
        self.places: dict[str, tuple[str, int]] = {}
        if self.inputs is not None:
            for name, columns in (("numbers", self.inputs.numbers), ("strings", self.inputs.strings)):
                self.places |= {column.name: (name, place) for place, column in enumerate(columns)}
            self.records = {column.name: column for column in self.inputs.columns}

    def ask(self, column: str, changed: pl.DataFrame) -> Replies:
        """The answers where `column` is as in the frame `changed`."""
        if self.inputs is None:
            return ask(self.predictor, self.rows.with_columns(changed), self.answers)
        codecs = {name: codec for name, codec in self.inputs.codecs.items() if name == column}
        name, place = self.places[column]
        try:
            packed = TableInputs((self.records[column],), codecs).tensors(changed)[name]
        except LeptonError:  # which rows are refused tells the slower way
            return ask(self.predictor, self.rows.with_columns(changed), self.answers)
        kept = self.tensors[name][:, place].copy()
        self.tensors[name][:, place] = packed[:, 0]
        try:
            return ask(self.predictor, self.tensors, self.answers)
        finally:
            self.tensors[name][:, place] = kept


def reweighted(
    answers: Answers, rows: pl.DataFrame, facts: Facts, strengths: Sequence[int], measured: Metric, *, seed: int = 0
) -> Iterator[tuple[int, dict[str, object]]]:
    """The metric where the rows that lie far out in a column count more: a shifted population.

    Exponential tilting: a row counts exp(t z) times, z being how far it lies from the column's mean in its spread, up
    and down; the mean over up to eight columns (Sugiyama et al., "Covariate shift adaptation by importance weighted
    cross validation", 2007, weigh rows likewise).
    """
    places = draws(seed, "reweighted").permutation(len(facts.columns))[: _TILTED if measured.prepare else 2]
    away = [deviations(rows, facts, facts.columns[place]) for place in sorted(places.tolist())]
    away = [z for z in away if z.any()]
    for strength in strengths:
        if not away:
            return
        tilts = [np.exp(sign * TILTS[strength - 1] * z) for z in away for sign in (1.0, -1.0)]
        found = intervals(
            tilted_scores(answers, tilts, measured),
            answers.num_rows,
            undefined=dict.fromkeys(("value", "loss"), measured.undefined),
            weight=answers.weight,
            groups=answers.groups,
            resamples=RESAMPLES,
            seed=seed,
        )
        yield strength, dict(found)


def deviations(rows: pl.DataFrame, facts: Facts, column: str) -> Floats:
    """How far out each row lies in a column [N]: in spreads from the mean; of categories, rare ones lie far out."""
    if column in facts.numbers or column in facts.dates:
        values = numbers_of(rows, (column,))[:, 0]
    else:
        counts = rows.select(pl.len().over(column).alias("n"))["n"].to_numpy()
        values = -np.log(np.maximum(counts, 1).astype(np.float64))
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(len(values))
    mean, spread = values[finite].mean(), values[finite].std()
    if not spread > 0:
        return np.zeros(len(values))
    away: Floats = np.where(finite, (values - mean) / spread, 0.0).clip(-_FARTHEST, _FARTHEST)
    return away
