"""All weak places of a model on one data set, gathered in one pass over the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from lepton.bundle import Predictor
from lepton.core import Kind, Role, Work
from lepton.data import Dataset
from lepton.evaluation.answers import Answers, gather
from lepton.evaluation.metrics import Metric, metric as metric_of
from lepton.evaluation.weak.calibration import Calibrations, calibrations
from lepton.evaluation.weak.confident import (
    Confidence,
    Confident,
    Confusion,
    confidence_of,
    confident_mistakes,
    confusions,
)
from lepton.evaluation.weak.outliers import Outliers, outliers
from lepton.evaluation.weak.page import page_of, text_of
from lepton.evaluation.weak.parts import MIN_ROWS, Segment, part_metrics
from lepton.evaluation.weak.slices import Slices, find_slices
from lepton.report import Page

__all__ = ["WeakPlaces", "weak_places"]

MAX_ROWS = 200_000
_MAX_CELLS = 60_000_000
_SHOWN_COLUMNS = 6
_SEGMENT_COLUMNS = 3
_MOST_SEGMENTS = 20
_TELLING = (Kind.NUMBER, Kind.BOOLEAN, Kind.DATETIME, Kind.CATEGORY, Kind.TEXT)
_NOT_TELLING = (Role.TARGET, Role.WEIGHT, Role.GROUP, Role.IGNORED)
UNLABELLED = (
    "The rows have no truth: which answers are wrong, where the model is weak and whether its probabilities hold "
    "cannot be said. What it says of itself, and how unlike the training the rows are, can."
)


@dataclass(frozen=True)
class WeakPlaces:
    """Where a model is weak on one data set; `weak_places` and `Model.segments` give it, a notebook shows it.

    Attributes:
        model: name of the model.
        model_id: its identity.
        num_rows: rows that were looked at.
        slices: parts of the rows where it is weaker than in the rest; None without truth.
        segments: column → the metric for each of its values or quartiles.
        calibration: how far its probabilities or intervals can be believed; None without truth.
        confident: mistakes that it was sure of; None without truth.
        confused: which labels it takes for which; empty for numbers.
        outliers: rows unlike those of its training.
        confidence: how sure it says it is; None for numbers.
        notes: what limits all of this, in words.
    """

    model: str
    model_id: str
    num_rows: int
    slices: Slices | None
    segments: dict[str, tuple[Segment, ...]]
    calibration: Calibrations | None
    confident: Confident | None
    confused: tuple[Confusion, ...]
    outliers: Outliers
    confidence: Confidence | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        slices, calibration, confident = self.slices, self.calibration, self.confident
        return {
            "model": self.model,
            "model_id": self.model_id,
            "num_rows": self.num_rows,
            "slices": None if slices is None else slices.to_dict(),
            "segments": {name: [each.to_dict() for each in parts] for name, parts in self.segments.items()},
            "calibration": None if calibration is None else calibration.to_dict(),
            "confident": None if confident is None else confident.to_dict(),
            "confused": [each.to_dict() for each in self.confused],
            "outliers": self.outliers.to_dict(),
            "confidence": None if self.confidence is None else self.confidence.to_dict(),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people."""
        return text_of(self)

    def page(self) -> Page:
        """A page with the losses of the parts and the columns outside drawn."""
        return page_of(self)

    def _repr_html_(self) -> str:
        return self.page().html()


def weak_places(
    predictor: Predictor,
    dataset: Dataset,
    *,
    target: str | None = None,
    columns: Sequence[str] | None = None,
    metric: str | Metric | None = None,
    max_conditions: int = 3,
    min_rows: int = MIN_ROWS,
    level: float = 0.05,
    max_rows: int = MAX_ROWS,
    seed: int = 0,
    work: Work | None = None,
) -> WeakPlaces:
    """Where a model is weak: parts of the rows, doubtful probabilities, sure mistakes, rows unlike the training's.

    Args:
        predictor: an opened model.
        dataset: rows; where they have no target, what can be said without it is said.
        target: column of the truth; by default the one the model was trained on.
        columns: what may tell parts apart, the model's inputs or others, such as those beside files; by default all
            that hold numbers, moments, truth values, categories or texts.
        metric: what is told of each part; by default that of the task.
        max_conditions: how many conditions a part has at most, 1 to 3.
        min_rows: rows that a part has at least.
        level: chance of telling any part where none is weak.
        max_rows: of more rows, so many are drawn; fewer where there are very many columns.
        seed: of everything that is drawn.
        work: cancel and progress.

    Raises:
        DataError: an unknown column, or no row to judge by.
        UsageError: a model whose answers cannot be judged row by row; a metric that does not fit.
    """
    work = Work.of(work)
    labelled = _labelled(predictor, dataset, target)
    if labelled and predictor.task.supervised and predictor.task.name != "forecast":
        metric_of(metric, predictor.task.name)
    truths = set(predictor.label_names) if predictor.task.several and target is None else {_truth(predictor, target)}
    telling = _telling(dataset, columns, truths)
    inputs = [each.name for each in predictor.manifest.inputs if each.name in dataset.schema]
    kept = list(dict.fromkeys((*inputs, *telling)))
    notes: list[str] = []
    most = max(1, min(max_rows, max(10_000, _MAX_CELLS // max(1, len(kept)))))
    if dataset.num_rows > most:
        notes.append(f"Of {dataset.num_rows:,} rows {most:,} were drawn; rows are numbered among these.")
        _, dataset = dataset.split(test=most / dataset.num_rows, method="random", seed=seed)
    if not predictor.task.supervised and predictor.task.name != "forecast":
        found = outliers(predictor, dataset.frame(inputs))
        return _places(predictor, found, None, (f"The model is one for {predictor.task.name}.", UNLABELLED))
    answers = gather(predictor, dataset, target=target, columns=kept, labelled=labelled, work=work)
    found = outliers(predictor, answers.columns.select(inputs) if inputs else pl.DataFrame())
    if not labelled:
        return _places(predictor, found, answers, (*notes, UNLABELLED))
    asked: dict[str, Any] = {"max_conditions": max_conditions, "min_rows": min_rows, "level": level}
    slices = find_slices(answers, columns=telling, metric=metric, seed=seed, work=work, **asked)
    looked = _looked_at(slices, telling, columns is not None)
    return _judged(predictor, answers, slices, looked, (inputs, telling), found, metric, notes, seed, work)


def _judged(
    predictor: Predictor,
    answers: Answers,
    slices: Slices,
    looked: Sequence[str],
    shown: tuple[Sequence[str], Sequence[str]],
    found: Outliers,
    metric: str | Metric | None,
    notes: list[str],
    seed: int,
    work: Work,
) -> WeakPlaces:
    """What can be said with truth."""
    if left := answers.num_missing + sum(answers.unseen.values()):
        notes.append(
            f"{left:,} rows were left out, because their truth is missing or unknown to the model; rows are numbered "
            "among those that were judged."
        )
    columns = list(dict.fromkeys((*_conditioned(slices), *shown[0], *shown[1])))[:_SHOWN_COLUMNS]
    measured = metric_of(metric, answers.task)
    return WeakPlaces(
        model=predictor.manifest.name,
        model_id=predictor.model_id,
        num_rows=answers.num_rows,
        slices=slices,
        segments={name: part_metrics(answers, name, measured, seed=seed, work=work) for name in looked},
        calibration=calibrations(predictor, answers, slices.found, looked, seed=seed, work=work),
        confident=confident_mistakes(answers, columns=columns, seed=seed),
        confused=confusions(answers, columns=columns),
        outliers=found,
        confidence=confidence_of(answers),
        notes=tuple(notes),
    )


def _places(predictor: Predictor, found: Outliers, answers: Answers | None, notes: tuple[str, ...]) -> WeakPlaces:
    """What can be said without truth."""
    return WeakPlaces(
        model=predictor.manifest.name,
        model_id=predictor.model_id,
        num_rows=found.num_rows if answers is None else answers.num_rows,
        slices=None,
        segments={},
        calibration=None,
        confident=None,
        confused=(),
        outliers=found,
        confidence=None if answers is None else confidence_of(answers),
        notes=notes,
    )


def _truth(predictor: Predictor, target: str | None) -> str:
    recorded = predictor.manifest.target
    return target or ("" if recorded is None else recorded.name)


def _labelled(predictor: Predictor, dataset: Dataset, target: str | None) -> bool:
    """Whether the rows have a truth; a target that was named, and is not there, is for `gather` to refuse."""
    if target is not None or not predictor.task.supervised or predictor.task.name == "forecast":
        return True
    if predictor.task.several:
        return any(name in dataset.schema for name in predictor.label_names)
    name = _truth(predictor, None)
    return name in dataset.schema if name else len(dataset.schema.of_role(Role.TARGET)) == 1


def _telling(dataset: Dataset, columns: Sequence[str] | None, truths: set[str]) -> list[str]:
    """Columns whose values may tell parts apart."""
    if columns is not None and not isinstance(columns, str):
        return [dataset.schema[name].name for name in dict.fromkeys(columns)]
    if isinstance(columns, str):
        return [dataset.schema[columns].name]
    return [
        each.name
        for each in dataset.schema
        if each.kind in _TELLING and each.role not in _NOT_TELLING and each.name not in truths
    ]


def _conditioned(slices: Slices) -> list[str]:
    """Columns that the slices found name."""
    return list(dict.fromkeys(each.column for found in slices.found for each in found.conditions))


def _looked_at(slices: Slices, telling: Sequence[str], asked: bool) -> list[str]:
    """Columns whose parts are told one by one: those of slices first; up to twenty that were asked for."""
    first = dict.fromkeys((*_conditioned(slices), *telling))
    return list(first)[: _MOST_SEGMENTS if asked else _SEGMENT_COLUMNS]
