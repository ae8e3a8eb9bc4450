"""Judging a model on rows that have the target: everything a person needs to know how far to believe it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor, stated_coverage
from lepton.core import ErrorCode, UsageError, Work, task_record
from lepton.data import Dataset
from lepton.evaluation.answers import Answers, gather
from lepton.evaluation.bootstrap import Estimate
from lepton.evaluation.classification import Floats, confusion
from lepton.evaluation.coverage import Coverage, coverage_of
from lepton.evaluation.curves import MAX_CURVES, Calibration, RankingCurves, calibration, ranking_curves
from lepton.evaluation.metrics import METRICS, Metric, metrics_of
from lepton.evaluation.result import Evaluation, LabelRecord, Residuals
from lepton.evaluation.segments import segments_of
from lepton.evaluation.threshold import Costs, cost_matrix, decide

__all__ = ["evaluate"]

FEW_ROWS = 100
MAX_CONFUSION = 50
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_SEGMENT_METRICS = {
    "regression": ("rmse", "mae"),
    "binary": ("log_loss", "accuracy"),
    "multiclass": ("log_loss", "accuracy"),
    "quantile": ("pinball",),
    "multilabel": ("log_loss", "f1_macro"),
    "ranking": ("ndcg_10",),
}


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    *,
    target: str | None = None,
    segments: Sequence[str] = (),
    costs: Costs | None = None,
    weight: str | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> Evaluation:
    """Judge a model on rows that have the target.

    Args:
        predictor: an opened model.
        dataset: rows with the target; they are read in batches and may be larger than memory.
        target: column of the truth; by default the one the model was trained on.
        segments: columns whose values, or quartiles, are judged apart.
        costs: what mistakes of a binary model cost, as of `Costs`; the cheapest threshold is looked for.
        weight: column of sample weights; by default the one whose role is weight, if there is one.
        seed: of the bootstrap.
        work: cancel and progress.

    Raises:
        DataError: no target column, no row to judge by, weights that cannot be used.
        SchemaError: columns of another kind than the model's, or missing ones.
        UsageError: costs that cannot be meant, or for a task that has no threshold.
    """
    if isinstance(segments, str):
        raise UsageError(ErrorCode.USAGE, f"got segments={segments!r}", wanted=f"a list, such as [{segments!r}]")
    work = Work.of(work)
    if costs is not None:
        if predictor.task.name != "binary":
            raise UsageError(
                ErrorCode.USAGE, f"costs were given for the task {predictor.task.name!r}", wanted="a binary model"
            )
        cost_matrix(costs)
    answers = gather(predictor, dataset, target=target, weight=weight, columns=segments, work=work)
    classifies = task_record(answers.task).classifies
    metrics = metrics_of(answers.task)
    narrow = tuple(METRICS[name] for name in _SEGMENT_METRICS[answers.task])
    several = predictor.task.several
    confused, labels = None, _each_label(answers) if several else ()
    if classifies and not several:
        confused, labels = _labels(answers)
    baseline, baseline_of = _baseline(answers, metrics)
    estimates = answers.estimates(metrics, seed=seed, work=work)
    decision = None
    if costs is not None and answers.probabilities is not None:
        of_positive, drawn = answers.probabilities[:, 1], answers.groups
        decision = decide(answers.y, of_positive, costs, weight=answers.weight, groups=drawn, seed=seed, work=work)
    learned = predictor.manifest.lineage.get("dataset")
    rows = learned.get("num_rows") if isinstance(learned, dict) else None
    behind = rows if isinstance(rows, int) and rows > 0 else None
    stated = stated_coverage(predictor.manifest)
    coverage = coverage_of(answers, stated, rows_behind=behind, seed=seed, work=work)
    return Evaluation(
        model=predictor.manifest.name,
        model_id=predictor.model_id,
        answers=answers,
        metrics=estimates,
        baseline=baseline,
        baseline_of=baseline_of,
        resamples=answers.resamples,
        confusion=confused,
        labels=labels,
        residuals=None if classifies or answers.task == "ranking" else _residuals(answers),
        calibration=_calibration(answers),
        curves=_curves(answers),
        segments={each: segments_of(answers, each, narrow, seed=seed, work=work) for each in dict.fromkeys(segments)},
        decision=decision,
        coverage=coverage,
        warnings=(*_short_coverage(coverage), *_warnings(answers, estimates)),
    )


def _baseline(answers: Answers, metrics: Sequence[Metric]) -> tuple[dict[str, float | None], str]:
    """What the best answer that ignores the inputs would score on these rows."""
    weight = np.ones(answers.num_rows) if answers.weight is None else answers.weight
    predicted: NDArray[Any]
    if answers.y.ndim == 2:
        shares = np.average(answers.y, axis=0, weights=weight)
        words = "the share of each label in these rows as its probability"
        probabilities: Floats | None = np.tile(shares, (answers.num_rows, 1))
        predicted = np.tile((shares >= 0.5).astype(np.int64), (answers.num_rows, 1))
    elif answers.task == "ranking":
        words, probabilities, predicted = "all rows of a query alike", None, np.zeros(answers.num_rows)
    elif answers.labels:
        shares = np.bincount(answers.y, weights=weight, minlength=len(answers.labels)) / weight.sum()
        common = int(shares.argmax())
        words = f"always {answers.labels[common]!r}, with the shares of the labels in these rows as probabilities"
        predicted = np.full(answers.num_rows, common)
        probabilities = np.tile(shares, (answers.num_rows, 1))
    else:
        mean = float(np.average(answers.y, weights=weight))
        words = f"the {'quantiles' if answers.shares else 'mean'} of the target in these rows"
        predicted, probabilities = np.full(answers.num_rows, mean), None
    values = {}
    for each in metrics:
        answer = probabilities if each.needs == "probabilities" else predicted
        if each.needs == "quantiles":
            answer = np.tile(np.quantile(answers.y, answers.shares), (answers.num_rows, 1))
        value = each(answers.y, answer, answers.weight, answers.positions)
        values[each.name] = round(value, 12) if np.isfinite(value) else None  # R² of the mean is 0, not -2e-16
    return values, words


def _labels(answers: Answers) -> tuple[tuple[tuple[float, ...], ...] | None, tuple[LabelRecord, ...]]:
    weight = np.ones(answers.num_rows) if answers.weight is None else answers.weight
    counts = confusion(answers.y, answers.predicted, answers.positions)(weight)
    rows = np.bincount(answers.y, minlength=len(answers.labels))
    predicted = np.bincount(answers.predicted, minlength=len(answers.labels))
    records = []
    for position, label in enumerate(answers.labels):
        right, called, true = counts[position, position], counts[:, position].sum(), counts[position].sum()
        precision = float(right / called) if called else None
        recall = float(right / true) if true else None
        records.append(LabelRecord(label, int(rows[position]), int(predicted[position]), precision, recall))
    matrix = tuple(map(tuple, counts.tolist())) if len(answers.labels) <= MAX_CONFUSION else None
    return matrix, tuple(records)


def _each_label(answers: Answers) -> tuple[LabelRecord, ...]:
    """How each of several labels fares by itself."""
    weight = np.ones(answers.num_rows) if answers.weight is None else answers.weight
    records = []
    for place, label in enumerate(answers.labels):
        true, called = answers.y[:, place] > 0, answers.predicted[:, place] > 0
        right = weight[true & called].sum()
        precision = float(right / weight[called].sum()) if weight[called].any() else None
        recall = float(right / weight[true].sum()) if weight[true].any() else None
        records.append(LabelRecord(label, int(true.sum()), int(called.sum()), precision, recall))
    return tuple(records)


def _residuals(answers: Answers) -> Residuals | None:
    residual = answers.y - answers.predicted
    if not np.isfinite(residual).all():
        return None
    places = np.quantile(residual, QUANTILES).tolist()
    lower, upper = np.quantile(residual, [0.01, 0.99])
    counts, edges = np.histogram(np.clip(residual, lower, upper), bins=30)
    return Residuals(
        {f"{share:g}": place for share, place in zip(QUANTILES, places, strict=True)},
        float(np.average(residual, weights=answers.weight)),
        tuple(edges.tolist()),
        tuple(counts.tolist()),
    )


def _calibration(answers: Answers) -> Calibration | None:
    if answers.y.ndim == 2 or answers.probabilities is None or not np.isfinite(answers.probabilities).all():
        return None
    if len(answers.labels) == 2:
        of = f"the probability of {answers.labels[1]!r}"
        return calibration(answers.probabilities[:, 1], answers.y == 1, answers.weight, of)
    sure = answers.probabilities.max(axis=1)
    right = answers.probabilities.argmax(axis=1) == answers.y
    return calibration(sure, right, answers.weight, "the probability of the likeliest label")


def _curves(answers: Answers) -> dict[str, RankingCurves]:
    if answers.y.ndim == 2 or answers.probabilities is None or not np.isfinite(answers.probabilities).all():
        return {}
    rows = np.bincount(answers.y, minlength=len(answers.labels))
    chosen = [1] if len(answers.labels) == 2 else np.sort(np.argsort(-rows, kind="stable")[:MAX_CURVES]).tolist()
    found = {
        str(answers.labels[each]): ranking_curves(answers.y == each, answers.probabilities[:, each], answers.weight)
        for each in chosen
    }
    return {label: curves for label, curves in found.items() if curves is not None}


def _short_coverage(coverage: Coverage | None) -> tuple[str, ...]:
    if coverage is None or not coverage.short:
        return ()
    return (f"The {coverage.of}s hold the truth less often than stated: are these rows like those of the training?",)


def _warnings(answers: Answers, estimates: dict[str, Estimate]) -> list[str]:
    said = []
    if answers.num_missing:
        said.append(f"{answers.num_missing:,} rows were left out: their target is missing or infinite.")
    if answers.unseen:
        names = ", ".join(repr(label) for label in list(answers.unseen)[:5])
        number = sum(answers.unseen.values())
        said.append(f"{number:,} rows were left out: their label is unknown to the model ({names}).")
    if answers.num_rows < FEW_ROWS:
        said.append(
            f"There are {answers.num_rows} rows only: take the intervals as rough, and differences as unproven."
        )
    if answers.labels and answers.y.ndim == 1:
        present = np.unique(answers.y)
        if len(present) == 1:
            said.append(f"Every row is {answers.labels[present[0]]!r}: what needs a second label is undefined.")
        elif len(present) < len(answers.labels):
            said.append(
                f"{len(answers.labels) - len(present)} of the model's {len(answers.labels)} labels do not occur."
            )
        if estimates["accuracy"].value == 1:
            limit = 3 / answers.num_rows
            said.append(
                "Every row is answered right. Resampling cannot show it, but the true error rate may still be as high "
                f"as {limit:.2g} (3 / rows, with 95 % confidence). Is the target among the inputs in another form?"
            )
    answer = answers.predicted if answers.probabilities is None else answers.probabilities
    if bad := int((~np.isfinite(answer)).reshape(answers.num_rows, -1).any(axis=1).sum()):
        said.append(f"In {bad:,} rows the model's answer is not a finite number.")
    if answers.groups is not None:
        said.append(f"Intervals draw whole groups, {int(answers.groups.max()) + 1:,} of them, not single rows.")
    return said
