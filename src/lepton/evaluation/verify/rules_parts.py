"""Rules about parts of the rows: calibration, slices that are found, groups of people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lepton.evaluation.fairness import Fairness, fairness
from lepton.evaluation.metrics import metric as metric_of
from lepton.evaluation.segments import MIN_ROWS
from lepton.evaluation.verify.base import Bounded, Claim, Finding, Rule, Unknown, keeps
from lepton.evaluation.verify.examined import Examined
from lepton.evaluation.verify.rules_quality import enough
from lepton.evaluation.weak.calibration import calibration_error
from lepton.evaluation.weak.outliers import LIMIT, outlier_scores
from lepton.evaluation.weak.slices import Slices, find_slices
from lepton.report import plural, show_number, show_share

__all__ = ["CalibrationRule", "FairnessRule", "GroupSizes", "Outliers", "WeakSlices"]


@dataclass(frozen=True, kw_only=True)
class CalibrationRule(Rule):
    """Probabilities come true: the expected calibration error stays small, by the upper end of its interval.

    Attributes:
        most: the largest error, such as 0.05.
        by: `interval`, by default, or `value`.
    """

    name: ClassVar[str] = "calibration"
    most: float
    by: str = "interval"

    def validate(self) -> None:
        """An error is a share."""
        if not 0 < self.most <= 1 or self.by not in ("interval", "value"):
            raise self.refused(f"got most={self.most}, by={self.by!r}", wanted="a share; interval or value")

    def claims(self, task: str) -> Mapping[str, Claim]:
        """The bound."""
        return {"the calibration error": (0.0, self.most)}

    def judge(self, examined: Examined) -> Finding:
        """The error with its interval."""
        if examined.rows.probabilities is None:
            raise Unknown("the model gives no probabilities")
        answers = examined.answers
        enough(answers.num_rows)
        found = examined.once(
            "calibration", lambda: examined.asked(lambda: calibration_error(answers, seed=examined.seed))
        )
        examined.told("calibration", found.to_dict())
        passed = keeps(found, None, self.most, self.by)
        return Finding(passed, found, f"at most {show_number(self.most)}", f"expected calibration error {found}")


@dataclass(frozen=True, kw_only=True)
class WeakSlices(Rule):
    """No part of the rows that can be found by up to three conditions is worse by more than a loss.

    Attributes:
        most_loss: how much higher the mean loss of a row may be in a part than in the rest, where that is shown to be
            no chance. Of log loss some parts are always worse: those whose answer is hard to know.
        among: columns whose values make the parts; by default all inputs.
        metric: name of the metric; by default that of the task.
        max_conditions: conditions of a part.
        min_rows: rows of the smallest part.
        allowed: parts that may be worse than that.
    """

    name: ClassVar[str] = "weak_slices"
    most_loss: float
    among: tuple[str, ...] = ()
    metric: str | None = None
    max_conditions: int = 2
    min_rows: int = MIN_ROWS
    allowed: int = 0

    def validate(self) -> None:
        """Numbers must be such."""
        if not self.most_loss >= 0 or self.max_conditions not in (1, 2, 3) or self.min_rows < 2 or self.allowed < 0:
            raise self.refused(
                f"got most_loss={self.most_loss:g}, max_conditions={self.max_conditions}, min_rows={self.min_rows}, "
                f"allowed={self.allowed}",
                wanted="a loss of at least 0, 1 to 3 conditions, 2 rows or more",
            )

    def columns(self) -> tuple[str, ...]:
        """Where parts are looked for."""
        return self.among

    @property
    def wants_inputs(self) -> bool:
        """By default they all are."""
        return not self.among

    def check(self, examined: Examined) -> None:
        """The metric must fit the task."""
        if self.metric is not None:
            metric_of(self.metric, examined.task)

    def judge(self, examined: Examined) -> Finding:
        """The parts that are worse."""
        enough(examined.answers.num_rows)
        key = ("slices", self.among, self.metric, self.max_conditions, self.min_rows)
        found = examined.once(key, lambda: examined.asked(lambda: self._slices(examined)))
        examined.told("slices", found.to_dict())
        if not found.found and not found.num_tested and any("nothing can be concluded" in note for note in found.notes):
            raise Unknown(" ".join(found.notes))
        worse = [each for each in found.found if each.loss.value is not None and each.loss.value > self.most_loss]
        wanted = f"none worse by more than {show_number(self.most_loss)}" + (
            f" but {self.allowed}" if self.allowed else ""
        )
        if not worse:
            evidence = f"no part of {found.num_rows:,} rows by {found.num_columns} columns is shown to be worse by more"
            return Finding(True, 0, wanted, evidence)
        first = worse[0]
        where = f"{plural(len(worse), 'part')}; where {first.text} ({first.num_rows:,} rows)"
        evidence = f"{where}: {found.metric} {first.value}, {found.loss} worse by {first.loss}"
        return Finding(len(worse) <= self.allowed, len(worse), wanted, evidence)

    def _slices(self, examined: Examined) -> Slices:
        names = [examined.dataset.schema[name].name for name in self.among]
        return find_slices(
            examined.answers,
            columns=names or [column.name for column in examined.inputs],
            metric=self.metric,
            max_conditions=self.max_conditions,
            min_rows=self.min_rows,
            seed=examined.seed,
            work=examined.work,
        )


@dataclass(frozen=True, kw_only=True)
class FairnessRule(Bounded):
    """A measure of how differently groups of a protected column fare keeps a bound.

    Attributes:
        column: the protected column; it need not be an input of the model.
        measure: such as `selection_rate_difference`, `selection_rate_ratio`, `equal_opportunity_difference`,
            `equalised_odds_difference`, `calibration_difference`; for numbers `mean_error_difference`.
        least: the lower bound.
        most: the upper bound.
        by: `value`, or `interval`, by default.
        favourable: the label that people want; by default the positive one of two.
        min_rows: rows below which nothing is concluded about a group.
    """

    name: ClassVar[str] = "fairness"
    column: str
    measure: str
    favourable: str | int | None = None
    min_rows: int = MIN_ROWS

    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def claims(self, task: str) -> Mapping[str, Claim]:
        """The bounds."""
        return {f"{self.measure} of {self.column!r}": self.claim}

    def judge(self, examined: Examined) -> Finding:
        """The measure with its interval."""
        answers = examined.answers
        column = examined.dataset.schema[self.column].name
        key = ("fairness", column, self.favourable, self.min_rows)
        found = examined.once(key, lambda: examined.asked(lambda: self._fairness(examined, column)))
        told: dict[str, Any] = found.to_dict()
        earlier = examined.parts.get("fairness")
        if isinstance(earlier, dict) and isinstance(earlier.get("columns"), dict):
            told = {**told, "columns": {**earlier["columns"], **told.get("columns", {})}}
        examined.told("fairness", told)
        group = found.columns[column]
        if self.measure not in group.measures:
            raise Unknown(f"of {answers.task} there are the measures {', '.join(group.measures)}")
        if not group.conclusive:
            sizes = ", ".join(f"{each.name}: {each.num_rows}" for each in group.groups[:5])
            raise Unknown(f"fewer than two groups of {column!r} have {self.min_rows} rows ({sizes})")
        value = group.measures[self.measure]
        sizes = ", ".join(f"{each.name}: {each.num_rows:,}" for each in group.groups[:8])
        evidence = f"{self.measure} {value} between the groups of {column} ({sizes})"
        return Finding(self.holds(value), value, f"{self.wanted()} by {self.by}", evidence)

    def _fairness(self, examined: Examined, column: str) -> Fairness:
        return fairness(
            examined.answers,
            (column,),
            favourable=self.favourable,
            within=self.min_rows,
            seed=examined.seed,
            work=examined.work,
        )


@dataclass(frozen=True, kw_only=True)
class GroupSizes(Rule):
    """Every group of a column has enough rows to conclude anything about it.

    Attributes:
        column: whose values are the groups.
        least: rows of the smallest.
    """

    name: ClassVar[str] = "group_sizes"
    column: str
    least: int = MIN_ROWS

    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def judge(self, examined: Examined) -> Finding:
        """The smallest group."""
        column = examined.dataset.schema[self.column].name
        values = examined.rows.columns[column]
        counts = values.drop_nulls().alias("value").value_counts(sort=True, name="rows")
        if counts.is_empty():
            raise Unknown(f"every row of {column!r} is missing")
        smallest = counts.row(counts.height - 1)
        evidence = f"{counts.height} groups; the smallest is {smallest[0]!r} with {smallest[1]:,} rows"
        return Finding(smallest[1] >= self.least, int(smallest[1]), f"at least {self.least:,} rows", evidence)


@dataclass(frozen=True, kw_only=True)
class Outliers(Rule):
    """Few rows are unlike those that the model was trained on, whose statistics the file holds.

    Attributes:
        most: largest share of rows that pass the limit, which at most 1 in 100 rows like the training's do.
    """

    name: ClassVar[str] = "outliers"
    most: float = 0.02

    def validate(self) -> None:
        """A share must be one."""
        if not 0 <= self.most <= 1:
            raise self.refused(f"got most={self.most:g}", wanted="a share, 0 to 1")

    @property
    def wants_inputs(self) -> bool:
        """All of them."""
        return True

    def judge(self, examined: Examined) -> Finding:
        """The share of such rows."""
        frame = examined.frame
        scores = examined.once("outliers", lambda: examined.asked(lambda: outlier_scores(examined.predictor, frame)))
        outside = int((scores > LIMIT).sum())
        share = outside / max(len(scores), 1)
        examined.told("outliers", {"num_rows": len(scores), "num_outside": outside, "share": share, "limit": LIMIT})
        evidence = f"{outside:,} of {len(scores):,} rows are unlike those of the training, {show_share(share)}"
        return Finding(share <= self.most, share, f"at most {show_number(self.most)}", evidence)
