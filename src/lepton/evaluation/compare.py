"""Two models on the same rows: is the second better than the first, by how much, and at what speed and size?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from lepton.bundle import Predictor, bundle_size, measure_latency, stated_quantiles
from lepton.core import ErrorCode, UsageError, Work, printable, show_duration, show_size
from lepton.data import Dataset
from lepton.evaluation.answers import Answers, gather
from lepton.evaluation.bootstrap import CONFIDENCE, Estimate, difference, intervals, once
from lepton.evaluation.metrics import Metric, MetricFunction, metric as find_metric, metrics_of
from lepton.evaluation.render import title_of
from lepton.report import Facts, Page, Table, Text, plain_table, show_number, show_share

__all__ = ["Comparison", "Contender", "compare"]

Verdict = Literal["better", "worse", "no difference shown"]


_SAMPLE_ROWS = 256
_WORDS: dict[Verdict, str] = {
    "better": "the second model is better",
    "worse": "the second model is worse",
    "no difference shown": "these rows show no difference",
}


@dataclass(frozen=True, slots=True)
class Contender:
    """One of the two models.

    Attributes:
        name: of the model.
        model_id: its identity.
        metrics: name → value with interval on the common rows.
        latency: seconds for one row, its preparation included: median over blocks of the 99th percentile.
        size: bytes of the model file, without what only training needs and without reports.
    """

    name: str
    model_id: str
    metrics: dict[str, Estimate]
    latency: float
    size: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "model": self.name,
            "model_id": self.model_id,
            "metrics": {name: each.to_dict() for name, each in self.metrics.items()},
            "latency": self.latency,
            "size": self.size,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """What sets two models apart on the same rows; `compare` gives it.

    Attributes:
        task: name of the task.
        target: column of the truth.
        num_rows: rows that both were judged by.
        metric: the metric that the verdict is about.
        first: one model, such as the one in use.
        second: the other, such as the one that would replace it.
        differences: name → second minus first, with the interval of the paired difference; `metric` is the first.
        verdict: of the second: `better` or `worse` where the interval excludes 0, else `no difference shown`.
        disagreement: share of the rows to which they answer differently (labels), or None for regression.
        resamples: resamples behind the intervals.
    """

    task: str
    target: str
    num_rows: int
    metric: Metric
    first: Contender
    second: Contender
    differences: dict[str, Estimate]
    verdict: Verdict
    disagreement: float | None
    resamples: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form without NaN."""
        return {
            "task": self.task,
            "target": self.target,
            "num_rows": self.num_rows,
            "metric": self.metric.name,
            "greater_is_better": self.metric.greater_is_better,
            "verdict": self.verdict,
            "confidence": CONFIDENCE,
            "resamples": self.resamples,
            "first": self.first.to_dict(),
            "second": self.second.to_dict(),
            "differences": {name: each.to_dict() for name, each in self.differences.items()},
            "disagreement": self.disagreement,
        }

    def text(self) -> str:
        """Tables for a terminal."""
        title = f"{title_of(self.task, self.target)}, {self.num_rows:,} rows"
        costs = plain_table(("", "first", "second"), [("model", self.first.name, self.second.name), *self._cost_rows()])
        parts = [title, plain_table(("metric", "first", "second", "difference", "95 % interval"), self._rows()), costs]
        if self.disagreement is not None:
            parts.append(f"They answer {show_share(self.disagreement)} of the rows differently.")
        parts.append(f"{self._sentence()}")
        return "\n\n".join(parts)

    def page(self) -> Page:
        """One HTML page with a picture."""
        page = Page(f"{self.first.name} and {self.second.name}", title_of(self.task, self.target))
        facts = {"rows": self.num_rows, "verdict on the second": self.verdict}
        page.section("Result", Facts(facts), Text(self._sentence()))
        page.section("Metrics", Table(("metric", "first", "second", "difference", "95 % interval"), self._rows()))
        page.section("Speed and size", Table(("", self.first.name, self.second.name), self._cost_rows()))
        return page

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()

    def _rows(self) -> list[tuple[object, ...]]:
        return [
            (name, self.first.metrics[name].value, self.second.metrics[name].value, each.value, each.interval)
            for name, each in self.differences.items()
        ]

    def _cost_rows(self) -> list[tuple[object, ...]]:
        both = (self.first, self.second)
        return [
            ("one row, p99", *(show_duration(each.latency) for each in both)),
            ("size", *(show_size(each.size) for each in both)),
        ]

    def _sentence(self) -> str:
        way = "higher" if self.metric.greater_is_better else "lower"
        difference = self.differences[self.metric.name]
        told = f"{show_number(difference.value)}, 95 % interval {difference.interval}"
        return f"By {self.metric.name} ({way} is better), {_WORDS[self.verdict]}: second minus first is {told}."


def compare(
    first: Predictor,
    second: Predictor,
    dataset: Dataset,
    *,
    target: str | None = None,
    metric: str | Metric | MetricFunction | None = None,
    weight: str | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> Comparison:
    """Judge two models by the same rows, resampled together, so that what is hard for both cancels out.

    Args:
        first: an opened model, such as the one in use.
        second: an opened model, such as the one that would replace it.
        dataset: rows with the target and the columns of both models.
        target: column of the truth; by default the one both were trained on.
        metric: what the verdict is about; by default the task's own.
        weight: column of sample weights; by default the one whose role is weight, if there is one.
        seed: of the bootstrap.
        work: cancel and progress.

    Raises:
        UsageError: models of different tasks, targets or labels; a metric that does not fit the task.
        DataError: no target column, no row to judge by.
    """
    work = Work.of(work)
    _check_comparable(first, second, target)
    chosen = find_metric(metric, first.task.name)
    metrics = (chosen, *(each for each in metrics_of(first.task.name) if each.name != chosen.name))
    one = gather(first, dataset, target=target, weight=weight, work=work)
    two = _relabelled(gather(second, dataset, target=target, weight=weight, work=work), one.labels)
    differences, of_one, of_two = _differences(one, two, metrics, seed, work)
    latencies = _latencies(first, second, dataset, work)
    return Comparison(
        task=one.task,
        target=one.target,
        num_rows=one.num_rows,
        metric=chosen,
        first=_contender(first, of_one, latencies[0]),
        second=_contender(second, of_two, latencies[1]),
        differences=differences,
        verdict=_verdict(differences[chosen.name], chosen),
        disagreement=float(np.mean(one.predicted != two.predicted)) if one.labels else None,
        resamples=one.resamples,
    )


def _check_comparable(first: Predictor, second: Predictor, target: str | None) -> None:
    one, two = first.manifest, second.manifest
    facts: list[tuple[str, object, object]] = [("task", one.task, two.task)]
    if target is None:
        facts.append(("target", one.target and one.target.name, two.target and two.target.name))
    facts.append(("quantiles", stated_quantiles(one), stated_quantiles(two)))
    facts.append(("labels", sorted(one.labels or (), key=str), sorted(two.labels or (), key=str)))
    for what, of_first, of_second in facts:
        if of_first != of_second:
            raise UsageError(
                ErrorCode.USAGE,
                f"the models differ in their {what}: {_short(of_first)} and {_short(of_second)}",
                wanted=f"two models of the same {what}",
            )


def _short(value: object) -> str:
    return printable(repr(value), 120)


def _relabelled(answers: Answers, labels: tuple[str | int, ...]) -> Answers:
    """The same answers with the labels, and the columns of probabilities, in another order."""
    if answers.labels == labels or answers.probabilities is None:
        return answers
    order = np.array([answers.labels.index(label) for label in labels])
    if answers.y.ndim == 2:
        columns = (answers.y, answers.predicted, answers.probabilities)
        y, predicted, probabilities = (each[:, order] for each in columns)
        return replace(answers, labels=labels, y=y, predicted=predicted, probabilities=probabilities)
    place = np.argsort(order)
    return replace(
        answers,
        labels=labels,
        y=place[answers.y],
        predicted=place[answers.predicted],
        probabilities=answers.probabilities[:, order],
    )


def _differences(
    one: Answers, two: Answers, metrics: Sequence[Metric], seed: int, work: Work
) -> tuple[dict[str, Estimate], dict[str, Estimate], dict[str, Estimate]]:
    """Second minus first, first and second, by name of the metric, all over the same resamples."""
    scores = {}
    for each in metrics:
        of_one, of_two = once(one.score(each)), once(two.score(each))
        scores["first", each.name], scores["second", each.name] = of_one, of_two
        scores["difference", each.name] = difference(of_two, of_one)
    found = intervals(
        scores,
        one.num_rows,
        undefined={(what, each.name): each.undefined for each in metrics for what in ("first", "second", "difference")},
        weight=one.weight,
        groups=one.groups,
        resamples=one.resamples,
        seed=seed,
        work=work,
    )
    sides = [{each.name: found[what, each.name] for each in metrics} for what in ("difference", "first", "second")]
    return sides[0], sides[1], sides[2]


def _verdict(difference: Estimate, metric: Metric) -> Verdict:
    if difference.lower is None or difference.upper is None or difference.lower <= 0 <= difference.upper:
        return "no difference shown"
    return "better" if (difference.lower > 0) == metric.greater_is_better else "worse"


def _contender(predictor: Predictor, metrics: dict[str, Estimate], latency: float) -> Contender:
    size = bundle_size(predictor.bundle.path)
    return Contender(predictor.manifest.name, predictor.model_id, metrics, latency, size)


def _latencies(first: Predictor, second: Predictor, dataset: Dataset, work: Work) -> tuple[float, float]:
    """Seconds for one row (p99), measured in turns where both take the same columns."""
    sample = dataset.head(_SAMPLE_ROWS)
    names = [[each.name for each in model.manifest.inputs] for model in (first, second)]
    if set(names[0]) == set(names[1]):
        measured = measure_latency(first, sample.select(names[0]), second, work=work)
        if measured.reference is not None:
            return measured.p99, measured.reference.p99
    one, two = (
        measure_latency(model, sample.select(inputs), work=work)
        for model, inputs in zip((first, second), names, strict=True)
    )
    return one.p99, two.p99
