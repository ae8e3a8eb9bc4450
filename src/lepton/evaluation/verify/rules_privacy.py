"""Rules about what a model tells of the rows that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from lepton.evaluation.privacy import membership
from lepton.evaluation.verify.base import Claim, Finding, Rule, Unknown, keeps
from lepton.evaluation.verify.examined import Examined
from lepton.report import show_number

__all__ = ["MembershipRule"]


@dataclass(frozen=True, kw_only=True)
class MembershipRule(Rule):
    """Whoever has the model can hardly tell which rows it was trained on: the advantage of a membership attack.

    It needs the rows of the training, and rows that are none of them.

    Attributes:
        most: largest advantage, 0 to 1: the share of members found out less that of others taken for members.
        by: `interval`, by default: its upper end; or `value`.
    """

    name: ClassVar[str] = "membership"
    most: float
    by: Literal["interval", "value"] = "interval"

    def validate(self) -> None:
        """An advantage is a share."""
        if not 0 <= self.most <= 1:
            raise self.refused(f"got most={self.most:g}", wanted="a share, 0 to 1")

    def claims(self, task: str) -> Mapping[str, Claim]:
        """The bound."""
        return {"the advantage of a membership attack": (0.0, self.most)}

    def judge(self, examined: Examined) -> Finding:
        """The advantage with its interval."""
        if examined.no_truth:
            raise Unknown(examined.no_truth)
        found = examined.once(
            "membership",
            lambda: examined.asked(
                lambda: membership(
                    examined.predictor,
                    examined.training,
                    examined.dataset,
                    target=examined.given_target,
                    seed=examined.seed,
                    work=examined.work,
                )
            ),
        )
        examined.told("privacy", found.to_dict())
        evidence = f"a membership attack has the advantage {found.advantage}"
        passed = keeps(found.advantage, None, self.most, self.by)
        return Finding(passed, found.advantage, f"at most {show_number(self.most)}", evidence)
