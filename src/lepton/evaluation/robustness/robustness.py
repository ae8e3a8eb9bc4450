"""How much worse a model gets when its rows are spoilt: a curve of the metric against strength for each perturbation.

The same rows are answered spoilt and unspoilt, so the interval of a loss is that of a paired difference. Where there is
no truth, the answers to the unspoilt rows stand for it, and what is measured is how far answers stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lepton.bundle import Predictor
from lepton.core import Work
from lepton.data import Dataset
from lepton.evaluation.answers import Answers, gather
from lepton.evaluation.metrics import Metric
from lepton.evaluation.robustness.asking import bounded, has_truth, inputs_of, refuse_series
from lepton.evaluation.robustness.columns import reweighted, worst_columns
from lepton.evaluation.robustness.measuring import NO_TRUTH, compared, constant, measure_of
from lepton.evaluation.robustness.naming import REWEIGHTED, chosen, kind_of, said, strengths_of, tests_of, title_of
from lepton.evaluation.robustness.result import ColumnLoss, Curve, Robustness
from lepton.evaluation.robustness.tables import TABLES, facts_of
from lepton.evaluation.robustness.trials import Trial, spoilt_files, spoilt_table, without

__all__ = ["MAX_ROWS", "robustness"]

MAX_ROWS = 2_000
_FEW_ROWS = 100


def robustness(
    predictor: Predictor,
    dataset: Dataset,
    *,
    target: str | None = None,
    tests: Sequence[str] | None = None,
    strengths: Sequence[int] = (1, 2, 3, 4, 5),
    metric: str | Metric | None = None,
    max_rows: int = MAX_ROWS,
    gradients: Any = None,
    seed: int = 0,
    work: Work | None = None,
) -> Robustness:
    """How a model bears rows that are spoilt: by noise, gaps, wrong units, slips, blur, and so on.

    Args:
        predictor: an opened model of tables, texts, pictures or sounds.
        dataset: rows that it was not trained on; with the target, where there is one.
        target: column of the truth; by default the one the model was trained on.
        tests: names of perturbations; by default all that there are for the model's kind.
        strengths: which of the five.
        metric: what gets worse; by default that of the task.
        max_rows: of more rows, so many are drawn; of tables of more than 2,000,000 cells fewer.
        gradients: `(batch [N, …], labels [N]) -> array [N, …]`, the derivative of each row's loss by what the graph
            takes: pixels 0 to 255, samples -1 to 1, or the numbers of a table. With it FGSM and PGD are run.
        seed: of every draw.
        work: cancel and progress; when its time is over, what was measured so far stands.

    Raises:
        UsageError: an unknown test, one for another kind of model, strengths that there are not, a metric that does not
            fit, or a model whose rows cannot be spoilt.
        DataError: no rows, or no row to judge by.
        SchemaError: columns that the model needs are missing; gradients of another shape.
    """
    work = Work.of(work)
    refuse_series(predictor)
    kind = kind_of(predictor)
    wanted = chosen(kind, tests, attacked=gradients is not None)
    levels = strengths_of(strengths)
    labelled = has_truth(predictor, dataset, target)
    measured = measure_of(predictor, metric, labelled=labelled)
    inputs = inputs_of(predictor, dataset)
    sample = bounded(dataset, max_rows, len(inputs), seed)
    in_cells = kind in ("table", "text")
    answers = gather(predictor, sample, target=target, columns=inputs if in_cells else (), labelled=labelled, work=work)
    notes = [] if labelled else [NO_TRUTH]
    if sample.num_rows < min(max_rows, dataset.num_rows) - 1:
        notes.append(f"Of so many columns {sample.num_rows:,} rows were taken.")
    if in_cells:
        found = _of_cells(predictor, answers, inputs, kind, wanted, levels, measured, gradients, seed, work)
    else:
        names, attacks = without(wanted)
        options: dict[str, Any] = {"target": target, "labelled": labelled, "seed": seed, "work": work}
        perturbations: Any = [tests_of(kind)[name] for name in names]
        trials, num_rows = spoilt_files(
            predictor, sample, answers, kind, perturbations, levels, attacks=attacks, gradients=gradients, **options
        )
        if num_rows < answers.num_rows:
            notes.append(f"There was time for {num_rows:,} of {answers.num_rows:,} files.")
            answers = answers.only(np.arange(answers.num_rows) < num_rows)
        found = _Found(_curves(kind, answers, wanted, trials, measured, seed))
    return _result(predictor, kind, answers, wanted, levels, measured, found, notes, labelled, seed)


class _Found:
    """What was measured."""

    def __init__(self, curves: Iterable[Curve]) -> None:
        self.curves = list(curves)
        self.columns: tuple[ColumnLoss, ...] = ()
        self.left_out: dict[str, str] = {}
        self.notes: list[str] = []


def _of_cells(
    predictor: Predictor,
    answers: Answers,
    inputs: list[str],
    kind: str,
    wanted: Sequence[str],
    levels: tuple[int, ...],
    measured: Metric,
    gradients: Any,
    seed: int,
    work: Work,
) -> _Found:
    """A table, or texts as a table of one column."""
    rows = answers.columns.select(inputs)
    facts = facts_of(predictor, rows)
    names, attacks = without([name for name in wanted if name != REWEIGHTED])
    left_out = {name: f"the model has no {TABLES[name].needs}" for name in names if not TABLES[name].columns(facts)}
    left_out |= dict.fromkeys(attacks if not facts.spread_out else (), "the model has no numbers that differ")
    left_out |= dict.fromkeys([REWEIGHTED] if REWEIGHTED in wanted and measured.name in _STAYING else (), _WEIGHED)
    done = [TABLES[name] for name in names if name not in left_out]
    trials = list(
        spoilt_table(
            predictor,
            answers,
            rows,
            facts,
            done,
            levels,
            attacks=[name for name in attacks if name not in left_out],
            gradients=gradients,
            seed=seed,
            work=work,
        )
    )
    found = _Found(_curves(kind, answers, wanted, trials, measured, seed))
    found.left_out = left_out
    if REWEIGHTED in wanted and REWEIGHTED not in left_out and not work.stopped:
        weighed = list(reweighted(answers, rows, facts, levels, measured, seed=seed))
        found.curves += _reweighted_curve(kind, weighed, answers)
        found.left_out |= {} if weighed else {REWEIGHTED: "no column differs"}
    if kind == "table" and len(inputs) > 1 and not work.stopped:
        tests = [each.name for each in done]
        found.columns, note = worst_columns(predictor, answers, rows, facts, tests, measured, seed=seed, work=work)
        found.notes += [note] if note else []
    return found


_STAYING = ("agreement", "change")
_WEIGHED = "rows that count more change no answer, and there is no truth"


def _curves(
    kind: str, answers: Answers, wanted: Sequence[str], trials: Sequence[Trial], measured: Metric, seed: int
) -> list[Curve]:
    out = []
    for name in wanted:
        own = sorted((trial for trial in trials if trial.name == name), key=lambda trial: trial.strength)
        if not own:
            continue
        pairs = [compared(answers, trial.replies, measured, seed=seed) for trial in own]
        out.append(
            Curve(
                name,
                title_of(kind, name),
                tuple(trial.strength for trial in own),
                tuple(value for value, _ in pairs),
                tuple(loss for _, loss in pairs),
                tuple(said(kind, name, trial.strength) for trial in own),
                tuple(trial.changed for trial in own),
                tuple(int((~trial.replies.answered).sum()) for trial in own),
                next((trial.replies.reason for trial in own if trial.replies.reason), ""),
            )
        )
    return out


def _reweighted_curve(kind: str, found: Sequence[tuple[int, dict[str, Any]]], answers: Answers) -> list[Curve]:
    if not found:
        return []
    levels = tuple(strength for strength, _ in found)
    return [
        Curve(
            REWEIGHTED,
            title_of(kind, REWEIGHTED),
            levels,
            tuple(each["value"] for _, each in found),
            tuple(each["loss"] for _, each in found),
            tuple(said(kind, REWEIGHTED, strength) for strength in levels),
            (answers.num_rows,) * len(levels),
            (0,) * len(levels),
        )
    ]


def _result(
    predictor: Predictor,
    kind: str,
    answers: Answers,
    wanted: Sequence[str],
    levels: tuple[int, ...],
    measured: Metric,
    found: _Found,
    notes: list[str],
    labelled: bool,
    seed: int,
) -> Robustness:
    """The whole, with what limits it."""
    measured_names = {curve.name for curve in found.curves}
    left_out = dict(found.left_out)
    left_out |= {name: "there was no time" for name in wanted if name not in measured_names and name not in left_out}
    short = [curve.title for curve in found.curves if len(curve.strengths) < len(levels)]
    notes += [f"There was no time for every strength of {', '.join(short)}."] if short else []
    notes += found.notes
    if answers.num_rows < _FEW_ROWS:
        notes.append(f"{answers.num_rows:,} rows are few: intervals are a little too narrow below {_FEW_ROWS}.")
    if constant(answers):
        notes.append("The model answers the same to every row: that nothing shakes it says nothing good about it.")
    return Robustness(
        predictor.manifest.name,
        kind,
        measured.title,
        measured.greater_is_better,
        labelled,
        answers.estimates([measured], seed=seed)[measured.name],
        tuple(found.curves),
        found.columns,
        answers.num_rows,
        left_out,
        tuple(notes),
    )
