"""Rules about what must hold between the answer to a row and that to the row changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lepton.core import LeptonError
from lepton.evaluation.robustness.binding import bind, refuse_contradictions
from lepton.evaluation.robustness.metamorphic import metamorphic
from lepton.evaluation.robustness.metamorphic_result import RuleResult
from lepton.evaluation.robustness.rules import MetamorphicRule as Relation
from lepton.evaluation.verify.base import Finding, Rule, Unknown, keeps
from lepton.evaluation.verify.examined import Examined
from lepton.report import show_share

__all__ = ["MetamorphicRule"]


@dataclass(frozen=True, kw_only=True)
class MetamorphicRule(Rule):
    """When a row is changed, the answer does what it must: over the rows, and where counterexamples are searched.

    Attributes:
        answer: `not_decreasing`, `not_increasing`, `same`, `within 0.01` or `within 5%`.
        change: column and what is done to it, such as `{income: "+10%"}`.
        transform: of pictures, sounds and texts, what is done to them, such as `rotate 5`.
        label: whose probability is meant; by default that of a binary model's second label.
        where: an expression over the columns of the row; by default every row.
        most_share: largest share of the rows that may break it, by the upper end of its interval. By default none may,
            and no row that a search has made.
        max_rows: of more rows, so many are drawn.
    """

    name: ClassVar[str] = "metamorphic"
    answer: str
    change: Any = None
    transform: str = ""
    label: Any = None
    where: str = ""
    most_share: float = 0.0
    max_rows: int = 2_000

    def validate(self) -> None:
        """What is changed, and what the answer must do, must be such."""
        if not 0 <= self.most_share < 1 or self.max_rows < 1:
            raise self.refused(
                f"got most_share={self.most_share:g}, max_rows={self.max_rows}", wanted="a share below 1, and rows"
            )
        try:
            _ = self.relation
        except LeptonError as error:
            raise self.refused(error.came, wanted=error.wanted, fix=error.fix) from None

    @property
    def relation(self) -> Relation:
        """What must hold."""
        written = {"change": self.change or {}, "transform": self.transform, "label": self.label, "where": self.where}
        return Relation.of({"answer": self.answer, **written})

    def columns(self) -> tuple[str, ...]:
        """Those that are changed."""
        return tuple(self.relation.change)

    def check(self, examined: Examined) -> None:
        """It must fit model and rows, and contradict no other."""
        if examined.data is None:
            return
        asked = [(place, each) for place, each in enumerate(examined.rules, 1) if isinstance(each, MetamorphicRule)]
        bound = [bind(each.relation, place, examined.predictor, examined.data) for place, each in asked]
        if self is asked[-1][1]:
            refuse_contradictions(bound)

    def judge(self, examined: Examined) -> Finding:
        """How many rows break it, and whether the search found any."""
        found = examined.asked(
            lambda: metamorphic(
                examined.predictor,
                examined.dataset,
                [self.relation],
                max_rows=self.max_rows,
                seed=examined.seed,
                work=examined.work,
            )
        )
        results = examined.parts.get("metamorphic", {}).get("results", [])
        told = _without_rows(found.to_dict())
        examined.told("metamorphic", {**told, "results": [*results, *told["results"]]})
        return self.finding(found.results[0])

    def finding(self, result: RuleResult) -> Finding:
        """The verdict on what was found."""
        if not result.num_rows:
            raise Unknown(result.note or "no row can be changed so")
        evidence = f"{result.num_broken:,} of {result.num_rows:,} rows break it"
        if result.searched:
            evidence += f"; {result.num_found:,} of {result.searched:,} rows that were made and asked do"
        if result.num_refused:
            evidence += f"; the model refused {result.num_refused:,} changed rows"
        wanted = str(result.rule)
        if self.most_share:
            passed = keeps(result.share, None, self.most_share, "interval")
            wanted += f", but in at most {show_share(self.most_share)}"
        else:
            passed = not result.num_broken and not result.num_found
        return Finding(passed and not result.num_refused, result.share, wanted, evidence)


def _without_rows(told: dict[str, Any]) -> dict[str, Any]:
    """What was found without the rows that show it: a model file is handed around, and rows may be of persons."""
    results = [
        {key: value for key, value in each.items() if key not in ("examples", "counterexamples")}
        for each in told.get("results", [])
    ]
    return {**told, "results": results}
