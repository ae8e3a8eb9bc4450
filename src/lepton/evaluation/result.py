"""What `evaluate` gives: the record, and its three faces (dict, text, page)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lepton.core import printable
from lepton.evaluation.answers import Answers
from lepton.evaluation.bootstrap import CONFIDENCE, Estimate
from lepton.evaluation.coverage import Coverage
from lepton.evaluation.curves import Calibration, RankingCurves
from lepton.evaluation.metrics import METRICS
from lepton.evaluation.render import title_of
from lepton.evaluation.segments import Segment
from lepton.evaluation.threshold import NOTE, Decision
from lepton.report import (
    Block,
    Facts,
    Figure,
    Page,
    Table,
    Text,
    bars,
    heatmap,
    histogram,
    lines,
    plain_table,
    scatter,
    show_number,
    show_share,
)

__all__ = ["Evaluation", "LabelRecord", "Residuals"]

_SHOWN_LABELS = 12
"""Labels whose confusion fits a terminal; more are listed by their most frequent mistakes."""
_SHOWN_MISTAKES = 10
_LABEL_HEAD = ("label", "rows", "predicted", "precision", "recall")
_HEAD = ("metric", "value", "95 % interval", "baseline")


@dataclass(frozen=True, slots=True)
class LabelRecord:
    """How one label fares.

    Attributes:
        label: the label.
        num_rows: rows where it is true.
        num_predicted: rows where it was predicted.
        precision: share of the rows predicted so that are (weighted); None where none was.
        recall: share of the rows that are so that were found (weighted); None where none is.
    """

    label: str | int
    num_rows: int
    num_predicted: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class Residuals:
    """Target minus prediction, in the target's unit.

    Attributes:
        quantiles: share of the rows → residual that so many rows do not exceed.
        mean: weighted mean: above 0 where the model predicts too low.
        edges: n + 1 edges of a histogram from the 1st to the 99th percentile; rows beyond are in the end bins.
        counts: rows in each of the n bins.
    """

    quantiles: dict[str, float]
    mean: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one model is worth on one data set; `evaluate` gives it, a notebook shows it.

    Attributes:
        model: name of the model.
        model_id: its identity.
        answers: truth and predictions of the rows that were judged.
        metrics: name → value with its 95 % interval, the task's default metric first.
        baseline: name → value of the answer that ignores the inputs; None where it is undefined.
        baseline_of: what that answer is, in words.
        resamples: resamples behind the intervals.
        confusion: weighted counts [C][C], first the truth; None for regression and beyond 50 labels.
        labels: how each label fares; empty for regression.
        residuals: for regression, where every prediction is finite.
        calibration: for classifiers.
        curves: label → its curves against the rest: of two labels the second, of many the most frequent; where the
            label and another one occur.
        segments: column → its parts.
        decision: the threshold that costs least, where costs were given.
        coverage: how often intervals or sets hold the truth, of a model that gives them.
        warnings: what limits all of this, in words.
    """

    model: str
    model_id: str
    answers: Answers
    metrics: dict[str, Estimate]
    baseline: dict[str, float | None]
    baseline_of: str
    resamples: int
    confusion: tuple[tuple[float, ...], ...] | None
    labels: tuple[LabelRecord, ...]
    residuals: Residuals | None
    calibration: Calibration | None
    curves: dict[str, RankingCurves]
    segments: dict[str, tuple[Segment, ...]]
    decision: Decision | None
    coverage: Coverage | None
    warnings: tuple[str, ...]

    @property
    def num_rows(self) -> int:
        """Rows that were judged."""
        return self.answers.num_rows

    def to_dict(self) -> dict[str, Any]:
        """JSON form without NaN: what is undefined is None beside its reason."""
        return {
            "model": self.model,
            "model_id": self.model_id,
            "task": self.answers.task,
            "target": self.answers.target,
            "num_rows": self.num_rows,
            "num_missing_target": self.answers.num_missing,
            "unseen_labels": self.answers.unseen,
            "weighted": self.answers.weight is not None,
            "confidence": CONFIDENCE,
            "resamples": self.resamples,
            "metrics": {name: each.to_dict() for name, each in self.metrics.items()},
            "baseline": {"of": self.baseline_of, "metrics": self.baseline},
            "confusion": None if self.confusion is None else [list(row) for row in self.confusion],
            "labels": [asdict(each) for each in self.labels],
            "residuals": None if self.residuals is None else asdict(self.residuals),
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
            "curves": {label: each.to_dict() for label, each in self.curves.items()},
            "segments": {name: [each.to_dict() for each in parts] for name, parts in self.segments.items()},
            "decision": None if self.decision is None else self.decision.to_dict(),
            "coverage": None if self.coverage is None else self.coverage.to_dict(),
            "warnings": list(self.warnings),
        }

    def text(self) -> str:
        """Tables for a terminal."""
        parts = [f"{printable(self.model)}: {title_of(self.answers.task, self.answers.target)}, {self.num_rows:,} rows"]
        parts.append(plain_table(_HEAD, self._metric_rows(list(self.metrics))))
        parts.append(f"  Baseline: {printable(self.baseline_of)}. Intervals from {self.resamples:,} resamples.")
        if self.coverage is not None:
            parts.append(self.coverage.text())
        if self.labels:
            parts.append(self._confusion_text())
        if self.residuals is not None:
            quantiles = self.residuals.quantiles
            header = [f"{100 * float(share):g} %" for share in quantiles]
            parts.append("Residuals (target minus prediction) by share of rows\n" + plain_table(
                ("", *header), [("residual", *quantiles.values())]
            ))  # fmt: skip
        if self.calibration is not None:
            error = show_number(self.calibration.error, 3)
            parts.append(f"Calibration: {self.calibration.of} is off by {error} on average.")
        for column, segments in self.segments.items():
            names, rows = _segment_rows(segments)
            parts.append(f"By {printable(column)}\n" + plain_table((printable(column), "rows", *names), rows))
        if self.decision is not None:
            parts.append(f"Threshold\n{_decision_text(self.decision)}")
        parts.extend(f"Note: {printable(each, 500)}" for each in self.warnings)
        return "\n\n".join(parts)

    def page(self) -> Page:
        """One HTML page with pictures, in light and dark."""
        facts = {"rows": self.num_rows, **{METRICS[name].title: each.value for name, each in self._first(4)}}
        page = Page(f"Evaluation of {self.model}", title_of(self.answers.task, self.answers.target))
        page.section("Result", Facts(facts), *(Text(each, "warning") for each in self.warnings))
        note = f"Baseline: {self.baseline_of}. Intervals are 95 % percentiles of {self.resamples:,} resamples of rows."
        table = Table(_HEAD, self._metric_rows([METRICS[name].title for name in self.metrics]))
        inside = () if self.coverage is None else (Text(self.coverage.text()),)
        page.section("Metrics", table, Text(note, "note"), *inside)
        for heading, blocks in (
            ("Labels", self._label_blocks()),
            ("Residuals", self._residual_blocks()),
            ("Curves", self._curve_blocks()),
            ("Calibration", self._calibration_blocks()),
            ("Threshold", self._decision_blocks()),
        ):
            if blocks:
                page.section(heading, *blocks)
        for column, segments in self.segments.items():
            page.section(f"By {column}", *_segment_blocks(column, segments))
        return page

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()

    def _first(self, number: int) -> list[tuple[str, Estimate]]:
        return list(self.metrics.items())[:number]

    def _metric_rows(self, titles: list[str]) -> list[tuple[object, ...]]:
        return [
            (title, each.value, each.interval, self.baseline[name])
            for title, (name, each) in zip(titles, self.metrics.items(), strict=True)
        ]

    def _mistakes(self) -> list[tuple[str, str, int]]:
        """The most frequent confusions: truth, prediction, rows."""
        width = len(self.labels)
        wrong = self.answers.y != self.answers.predicted
        cells, counts = np.unique(self.answers.y[wrong] * width + self.answers.predicted[wrong], return_counts=True)
        largest = np.argsort(-counts, kind="stable")[:_SHOWN_MISTAKES]
        names = [str(each.label) for each in self.labels]
        pairs = zip(cells[largest].tolist(), counts[largest].tolist(), strict=True)
        return [(names[cell // width], names[cell % width], count) for cell, count in pairs]

    def _confusion_text(self) -> str:
        if self.answers.y.ndim == 2:
            return "Each label\n" + plain_table(_LABEL_HEAD, self._label_rows())
        if self.confusion is None or len(self.labels) > _SHOWN_LABELS:
            mistakes = self._mistakes()
            table = plain_table(("truth", "answer", "rows"), mistakes) if mistakes else "  none"
            return f"Most frequent mistakes\n{table}"
        names = [printable(str(each.label), 20) for each in self.labels]
        rows = [
            (name, *row, record.recall) for name, row, record in zip(names, self.confusion, self.labels, strict=True)
        ]
        precision = ("precision", *(each.precision for each in self.labels), None)
        return "Confusion: rows are the truth, columns the answers\n" + plain_table(
            ("", *names, "recall"), [*rows, precision]
        )

    def _label_rows(self) -> list[tuple[object, ...]]:
        return [(printable(str(e.label)), e.num_rows, e.num_predicted, e.precision, e.recall) for e in self.labels]

    def _label_blocks(self) -> list[Block]:
        if not self.labels:
            return []
        blocks: list[Block] = []
        names = [str(each.label) for each in self.labels]
        if self.confusion is not None:
            blocks.append(heatmap(self.confusion, names, names, title="Confusion", x_label="answer", y_label="truth"))
        blocks.append(Table(_LABEL_HEAD, self._label_rows()))
        if len(self.labels) > _SHOWN_LABELS and self.answers.y.ndim == 1:
            blocks.append(Table(("truth", "answer", "rows"), self._mistakes(), caption="Most frequent mistakes"))
        return blocks

    def _residual_blocks(self) -> list[Block]:
        if self.residuals is None:
            return []
        target = self.answers.target
        shares = [(f"{100 * float(share):g} %", value) for share, value in self.residuals.quantiles.items()]
        return [
            scatter(
                self.answers.predicted,
                self.answers.y,
                title="Target against prediction",
                x_label=f"predicted {target}",
                y_label=f"true {target}",
                diagonal=True,
            ),
            histogram(
                self.residuals.edges,
                self.residuals.counts,
                title="Residuals",
                x_label="target minus prediction",
                caption="Rows beyond the 1st and 99th percentiles are in the end bins.",
            ),
            Table(("share of rows", "residual at most"), shares),
        ]

    def _curve_blocks(self) -> list[Block]:
        if not self.curves:
            return []
        rest = "" if len(self.labels) == 2 else ", each label against the rest"
        return [
            lines(
                {
                    label: ((0.0, *each.false_positive_rate), (0.0, *each.true_positive_rate))
                    for label, each in self.curves.items()
                },
                title=f"ROC curve{rest}",
                x_label="false positive rate",
                y_label="true positive rate",
                diagonal=True,
            ),
            lines(
                {label: (each.true_positive_rate, each.precision) for label, each in self.curves.items()},
                title=f"Precision against recall{rest}",
                x_label="recall",
                y_label="precision",
            ),
        ]

    def _calibration_blocks(self) -> list[Block]:
        if self.calibration is None:
            return []
        bins = self.calibration.bins
        points = ([each.predicted for each in bins], [each.observed for each in bins])
        sentence = (
            f"Over bins of rows, {self.calibration.of} is off by {show_share(self.calibration.error)} on average."
        )
        rows = [
            (f"{show_number(e.lower)} to {show_number(e.upper)}", e.num_rows, e.predicted, e.observed) for e in bins
        ]
        return [
            Text(sentence),
            lines({"model": points}, title="Reliability", x_label="predicted", y_label="observed", diagonal=True),
            Table(("probability", "rows", "predicted", "observed"), rows),
        ]

    def _decision_blocks(self) -> list[Block]:
        if self.decision is None:
            return []
        facts = {"threshold": self.decision.threshold, "cost a row": self.decision.cost.value}
        table = Table(("instead", "cost a row", "the threshold saves"), _decision_rows(self.decision))
        return [Facts(facts), table, Text(NOTE, "note")]


def _decision_rows(decision: Decision) -> list[tuple[str, str, str]]:
    return [(name, str(each), str(decision.savings[name])) for name, each in decision.alternatives.items()]


def _decision_text(decision: Decision) -> str:
    (tn, fp), (fn, tp) = decision.matrix
    given = ", ".join(
        f"{name} {show_number(cost)}"
        for name, cost in (("false positive", fp), ("false negative", fn), ("true positive", tp), ("true negative", tn))
        if cost
    )
    return (
        f"  Costs: {given}. Call a row positive from {show_number(decision.threshold)}: "
        f"{decision.cost} a row.\n"
        + plain_table(("instead", "cost a row", "the threshold saves"), _decision_rows(decision))
        + f"\n  {NOTE}"
    )


def _segment_rows(segments: tuple[Segment, ...]) -> tuple[list[str], list[tuple[object, ...]]]:
    names = next((list(each.metrics) for each in segments if each.metrics), [])
    rows: list[tuple[object, ...]] = []
    for each in segments:
        found = [str(each.metrics[name]) for name in names] if each.metrics else [each.note] * len(names[:1])
        rows.append((each.value, each.num_rows, *found, *[""] * (len(names) - len(found))))
    return names, rows


def _ends(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    return estimate.value, estimate.lower, estimate.upper


def _segment_blocks(column: str, segments: tuple[Segment, ...]) -> list[Block]:
    names, rows = _segment_rows(segments)
    figures: list[Figure] = []
    for name in names[:1]:
        known = [each for each in segments if each.metrics]
        values, lower, upper = (
            [math.nan if end is None else end for end in ends]
            for ends in zip(*(_ends(each.metrics[name]) for each in known), strict=True)
        )
        title = f"{METRICS[name].title} by {column}, with 95 % intervals"
        figures.append(bars([e.value for e in known], values, title=title, lower=lower, upper=upper, x_label=name))
    return [*figures, Table((column, "rows", *names), rows)]
