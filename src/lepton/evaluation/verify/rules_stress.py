"""Rules about rows that are spoilt: what a model may lose by noise, gaps, slips, blur."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from lepton.evaluation.metrics import metric as metric_of
from lepton.evaluation.robustness import Robustness, robustness
from lepton.evaluation.robustness.naming import chosen, kind_of
from lepton.evaluation.verify.base import Claim, Finding, Rule, Unknown, keeps
from lepton.evaluation.verify.examined import Examined
from lepton.evaluation.verify.rules_quality import enough
from lepton.report import show_number

__all__ = ["RobustnessRule"]


@dataclass(frozen=True, kw_only=True)
class RobustnessRule(Rule):
    """Rows that are spoilt cost no more than a loss, by the upper end of the interval of the paired difference.

    Attributes:
        test: such as `noise`, `missing_cells`, `unit_errors`; for pictures `blur`, for texts `typos`, and so on.
        strength: 1 to 5.
        most_loss: how much worse the metric may get.
        metric: name of the metric; by default that of the task.
        by: `interval`, by default, or `value`.
        max_rows: of more rows, so many are drawn.
    """

    name: ClassVar[str] = "robustness"
    test: str
    most_loss: float
    strength: int = 3
    metric: str | None = None
    by: Literal["interval", "value"] = "interval"
    max_rows: int = 2_000

    def validate(self) -> None:
        """Numbers must be such."""
        if self.strength not in range(1, 6) or not self.most_loss >= 0 or self.max_rows < 2:
            raise self.refused(
                f"got strength={self.strength}, most_loss={self.most_loss:g}, max_rows={self.max_rows}",
                wanted="a strength of 1 to 5, a loss of at least 0, 2 rows or more",
            )

    def claims(self, task: str) -> Mapping[str, Claim]:
        """The bound."""
        return {f"the loss by {self.test} of strength {self.strength}": (0.0, self.most_loss)}

    def check(self, examined: Examined) -> None:
        """The test must be one for what the model takes."""
        chosen(kind_of(examined.predictor), [self.test], attacked=False)
        if self.metric is not None:
            metric_of(self.metric, examined.task)

    def judge(self, examined: Examined) -> Finding:
        """The loss with its interval."""
        if examined.no_truth:
            raise Unknown(examined.no_truth)
        key = ("robustness", self.metric, self.max_rows)
        found = examined.once(key, lambda: examined.asked(lambda: self._robustness(examined)))
        enough(found.num_rows)
        if self.test in found.left_out:
            raise Unknown(found.left_out[self.test])
        curve = next((each for each in found.curves if each.name == self.test), None)
        if curve is None or self.strength not in curve.strengths:
            raise Unknown("there was no time to measure it")
        place = curve.strengths.index(self.strength)
        loss, refused = curve.losses[place], curve.refused[place]
        examined.told("robustness", found.to_dict())
        evidence = f"{curve.title}, {curve.says[place]}: {found.metric} is worse by {loss} on {found.num_rows:,} rows"
        if refused:
            evidence += f"; the model refused {refused:,} of them ({curve.reason})"
        passed = keeps(loss, None, self.most_loss, self.by) and not refused
        return Finding(passed, loss, f"at most {show_number(self.most_loss)} worse", evidence)

    def _robustness(self, examined: Examined) -> Robustness:
        """All that rules with this metric ask for, at once."""
        asked = [each for each in examined.rules if isinstance(each, RobustnessRule)]
        alike = [each for each in asked if (each.metric, each.max_rows) == (self.metric, self.max_rows)]
        return robustness(
            examined.predictor,
            examined.dataset,
            target=examined.given_target,
            tests=list(dict.fromkeys(each.test for each in alike)),
            strengths=sorted({each.strength for each in alike}),
            metric=self.metric,
            max_rows=self.max_rows,
            seed=examined.seed,
            work=examined.work,
        )
