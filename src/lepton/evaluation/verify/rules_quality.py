"""Rules about how good the answers are: metrics, intervals, calibration, parts of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lepton.bundle import stated_coverage
from lepton.evaluation.coverage import Coverage, coverage_of
from lepton.evaluation.metrics import Metric, metric as metric_of
from lepton.evaluation.segments import Segment, segments_of
from lepton.evaluation.verify.base import Bounded, Claim, Finding, Rule, Unknown, bounds_text, keeps
from lepton.evaluation.verify.examined import Examined
from lepton.report import show_number, show_share

__all__ = [
    "BetterThanBaseline",
    "CoverageRule",
    "FiniteAnswers",
    "MetricRule",
    "SegmentsRule",
    "VariedAnswers",
]

_FEWEST = 30
"""Rows below which an interval is not believed."""


@dataclass(frozen=True, kw_only=True)
class MetricRule(Bounded):
    """A metric keeps a bound, by the unfavourable end of its interval.

    Attributes:
        metric: name of the metric; by default that of the task.
        least: the lower bound.
        most: the upper bound.
        by: `interval`, by default, or `value`.
    """

    name: ClassVar[str] = "metric"
    metric: str | None = None

    def metrics(self, task: str) -> tuple[str, ...]:
        """The metric."""
        return (metric_of(self.metric, task).name,)

    def claims(self, task: str) -> Mapping[str, Claim]:
        """The bounds on it."""
        return {f"the metric {metric_of(self.metric, task).name}": self.claim}

    def check(self, examined: Examined) -> None:
        """The metric must fit the task, and be able to be so good."""
        found = metric_of(self.metric, examined.task)
        _refuse_percent(self, found, self.least)

    def judge(self, examined: Examined) -> Finding:
        """The metric with its interval."""
        found = metric_of(self.metric, examined.task)
        enough(examined.answers.num_rows)
        value = examined.estimate(found.name)
        evidence = f"{found.title} {value} on {examined.answers.num_rows:,} rows"
        return Finding(self.holds(value), value, f"{self.wanted()} by {self.by}", evidence)


@dataclass(frozen=True, kw_only=True)
class BetterThanBaseline(Rule):
    """The model is better than the best answer that ignores the inputs, on the same rows, beyond chance.

    Attributes:
        metric: name of the metric; by default that of the task.
        margin: by how much at least.
        by: `interval`, by default: of the paired difference; or `value`.
    """

    name: ClassVar[str] = "better_than_baseline"
    metric: str | None = None
    margin: float = 0.0
    by: str = "interval"

    def validate(self) -> None:
        """The margin must be one."""
        if not (np.isfinite(self.margin) and self.margin >= 0) or self.by not in ("interval", "value"):
            raise self.refused(
                f"got margin={self.margin}, by={self.by!r}", wanted="a margin of at least 0; interval or value"
            )

    def metrics(self, task: str) -> tuple[str, ...]:
        """The metric."""
        return (metric_of(self.metric, task).name,)

    def gains(self, task: str) -> tuple[str, ...]:
        """The same."""
        return self.metrics(task)

    def check(self, examined: Examined) -> None:
        """The metric must fit the task."""
        metric_of(self.metric, examined.task)

    def judge(self, examined: Examined) -> Finding:
        """The paired difference with its interval."""
        found = metric_of(self.metric, examined.task)
        enough(examined.answers.num_rows)
        estimate = examined.gain(found.name)
        low = estimate.value if self.by == "value" else estimate.lower
        if low is None:
            raise Unknown(estimate.reason)
        evidence = f"{found.title} is better by {estimate} than always the same answer"
        wanted = f"better by {show_number(self.margin)}" if self.margin else "better"
        return Finding(low > self.margin or (low == self.margin > 0), estimate, f"{wanted}, by {self.by}", evidence)


@dataclass(frozen=True, kw_only=True)
class CoverageRule(Rule):
    """The model's intervals or sets hold the truth as often as it says.

    Attributes:
        least: share of the rows; by default what the model states, beyond what chance explains.
        most_size: largest mean width of the intervals, or mean number of labels of the sets.
    """

    name: ClassVar[str] = "coverage"
    least: float | None = None
    most_size: float | None = None

    def validate(self) -> None:
        """A share must be one."""
        if self.least is not None and not 0 < self.least <= 1:
            raise self.refused(f"got least={self.least:g}", wanted="a share, above 0 and at most 1")

    def judge(self, examined: Examined) -> Finding:
        """The share of rows inside."""
        found = examined.once("coverage", lambda: _coverage(examined))
        if found is None:
            raise Unknown("the model gives neither intervals nor sets")
        examined.told("coverage", found.to_dict())
        if self.least is None and found.stated is None:
            raise Unknown("the model does not say how often its intervals hold the truth")
        passed = not found.short if self.least is None else keeps(found.found, self.least, None, "interval")
        if self.most_size is not None:
            passed = passed and keeps(found.size, None, self.most_size, "value")
        least = found.stated if self.least is None else self.least
        wanted = f"at least {show_number(least)}" + ("" if self.least is not None else ", as stated")
        if self.most_size is not None:
            wanted += f"; size at most {show_number(self.most_size)}"
        return Finding(passed, found.found, wanted, found.text())


def _coverage(examined: Examined) -> Coverage | None:
    stated = stated_coverage(examined.predictor.manifest)
    behind = examined.learned_rows
    return coverage_of(examined.answers, stated, rows_behind=behind, seed=examined.seed, work=examined.work)


@dataclass(frozen=True, kw_only=True)
class SegmentsRule(Bounded):
    """A metric keeps a bound in every part of the rows that a column makes; small parts are told, not judged.

    Attributes:
        column: whose values, or quartiles, make the parts.
        metric: name of the metric; by default that of the task.
        least: the lower bound.
        most: the upper bound.
        by: `value`, or `interval`, by default.
        all_known: whether parts that are too small to say make the verdict unknown.
    """

    name: ClassVar[str] = "segments"
    column: str
    metric: str | None = None
    all_known: bool = False

    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def claims(self, task: str) -> Mapping[str, Claim]:
        """What holds in every part holds for all of them together, where parts are averaged: nothing is claimed."""
        return {f"the metric {metric_of(self.metric, task).name} by {self.column!r}": self.claim}

    def check(self, examined: Examined) -> None:
        """The metric must fit the task."""
        _refuse_percent(self, metric_of(self.metric, examined.task), self.least)

    def judge(self, examined: Examined) -> Finding:
        """The worst part."""
        answers, found = examined.answers, metric_of(self.metric, examined.task)
        column = examined.dataset.schema[self.column].name
        parts = examined.once(
            ("segments", column, found.name),
            lambda: segments_of(answers, column, (found,), seed=examined.seed, work=examined.work),
        )
        examined.told("segments", {column: [each.to_dict() for each in parts]})
        known = [each for each in parts if each.metrics and each.metrics[found.name].value is not None]
        small = [each for each in parts if each not in known]
        if not known:
            raise Unknown(f"no part by {column!r} has enough rows to say")
        broken, unsure = [], []
        for each in known:
            try:
                if not self.holds(each.metrics[found.name]):
                    broken.append(each)
            except Unknown:
                unsure.append(each)
        if not broken and (unsure or (small and self.all_known)):
            names = ", ".join(repr(each.value) for each in [*unsure, *small][:5])
            raise Unknown(f"nothing can be said of the parts {names}")
        worst = min(broken or known, key=lambda each: _goodness(each, found))
        evidence = f"worst where {column} is {worst.value} ({worst.num_rows:,} rows): {worst.metrics[found.name]}"
        if broken:
            evidence = f"{len(broken)} of {len(known)} parts break it; " + evidence
        if small:
            evidence += f"; too few rows to say: {', '.join(each.value for each in small[:5])}"
        return Finding(not broken, worst.metrics[found.name], f"{self.wanted()} by {self.by}", evidence)


def _goodness(part: Segment, found: Metric) -> float:
    value = part.metrics[found.name].value
    assert value is not None  # noqa: S101 - parts without a value were left out
    return value if found.greater_is_better else -value


@dataclass(frozen=True, kw_only=True)
class FiniteAnswers(Rule):
    """Every answer is a finite number."""

    name: ClassVar[str] = "finite_answers"

    def judge(self, examined: Examined) -> Finding:
        """Rows whose answer is not."""
        rows = examined.rows
        told = rows.predicted if rows.probabilities is None else rows.probabilities
        bad = int((~np.isfinite(told)).reshape(rows.num_rows, -1).any(axis=1).sum())
        return Finding(not bad, bad, "none", f"{bad:,} of {rows.num_rows:,} answers are not finite")


@dataclass(frozen=True, kw_only=True)
class VariedAnswers(Rule):
    """The model does not give every row the same answer.

    Attributes:
        most: largest share of the rows that may get the most frequent answer.
    """

    name: ClassVar[str] = "varied_answers"
    most: float = 0.99

    def validate(self) -> None:
        """A share must be one."""
        if not 0 < self.most < 1:
            raise self.refused(f"got most={self.most:g}", wanted="a share between 0 and 1")

    def judge(self, examined: Examined) -> Finding:
        """The share of the most frequent answer."""
        rows = examined.rows
        if rows.num_rows < 2:
            raise Unknown("one row cannot show it")
        told = rows.predicted if rows.probabilities is None else rows.probabilities
        flat = np.ascontiguousarray(told.reshape(rows.num_rows, -1), dtype=np.float64).round(12)
        _, counts = np.unique(flat, axis=0, return_counts=True)
        share = float(counts.max() / rows.num_rows)
        evidence = f"the most frequent answer is that of {show_share(share)} of {rows.num_rows:,} rows"
        return Finding(share <= self.most, share, bounds_text(None, self.most), evidence)


def enough(num_rows: int) -> None:
    """`Unknown` with fewer rows than an interval can be believed of."""
    if num_rows < _FEWEST:
        raise Unknown(f"there are {num_rows} rows to judge by only; at least {_FEWEST} are needed to conclude anything")


def _refuse_percent(rule: Rule, found: Metric, least: float | None) -> None:
    """Metrics of at most 1 that are asked to be more: percents, most likely."""
    if least is not None and least > 1 and found.bounded and found.greater_is_better:
        fix = f"did you mean {least / 100:g}?" if least <= 100 else ""
        raise rule.refused(f"{found.name} is never more than 1, got least={least:g}", fix=fix)
