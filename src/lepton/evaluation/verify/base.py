"""What a rule of release is, and what becomes of one: passed, failed, or unknown with the reason."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from lepton.core import ErrorCode, Registry, UsageError
from lepton.data.parameters import adapt_fields, given_fields
from lepton.evaluation.bootstrap import Estimate
from lepton.report import show_number

if TYPE_CHECKING:
    from lepton.evaluation.verify.examined import Examined

__all__ = ["RULES", "Bounded", "Claim", "Finding", "Measured", "Result", "Rule", "Unknown", "Verdict"]

_HERE = "lepton.evaluation.verify."
RULES = Registry(
    "release_rules",
    {
        "metric": _HERE + "rules_quality:MetricRule",
        "better_than_baseline": _HERE + "rules_quality:BetterThanBaseline",
        "coverage": _HERE + "rules_quality:CoverageRule",
        "calibration": _HERE + "rules_parts:CalibrationRule",
        "segments": _HERE + "rules_quality:SegmentsRule",
        "weak_slices": _HERE + "rules_parts:WeakSlices",
        "fairness": _HERE + "rules_parts:FairnessRule",
        "group_sizes": _HERE + "rules_parts:GroupSizes",
        "robustness": _HERE + "rules_stress:RobustnessRule",
        "metamorphic": _HERE + "rules_promises:MetamorphicRule",
        "membership": _HERE + "rules_privacy:MembershipRule",
        "finite_answers": _HERE + "rules_quality:FiniteAnswers",
        "varied_answers": _HERE + "rules_quality:VariedAnswers",
        "latency": _HERE + "rules_file:Latency",
        "size": _HERE + "rules_file:Size",
        "runtime": _HERE + "rules_file:Runtime",
        "signed": _HERE + "rules_file:Signed",
        "reproducible": _HERE + "rules_file:Reproducible",
        "lineage": _HERE + "rules_file:LineageRule",
        "licence": _HERE + "rules_file:Licence",
        "doubts": _HERE + "rules_file:Doubts",
        "age": _HERE + "rules_data:Age",
        "rows": _HERE + "rules_data:Rows",
        "rows_per_label": _HERE + "rules_data:RowsPerLabel",
        "missing": _HERE + "rules_data:Missing",
        "unseen": _HERE + "rules_data:Unseen",
        "drift": _HERE + "rules_data:Drift",
        "outliers": _HERE + "rules_parts:Outliers",
        "personal": _HERE + "rules_data:Personal",
        "shared_rows": _HERE + "rules_data:SharedRowsRule",
        "giveaways": _HERE + "rules_data:Giveaways",
    },
)
"""Every rule by name; third parties add theirs through the entry-point group `lepton.release_rules`."""

Measured = Estimate | float | int | str | None
Claim = tuple[float, float]
"""The least and the most that a rule lets a quantity be."""


class Verdict(StrEnum):
    """What became of a rule."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Unknown(Exception):
    """A rule cannot be judged; the message says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found.

    Attributes:
        passed: whether it holds.
        measured: a value with its interval, a number or a text.
        wanted: what the rule asks, in words.
        evidence: what the verdict rests on, in a sentence.
    """

    passed: bool
    measured: Measured
    wanted: str
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Rule(ABC):
    """One rule of release. Its parameters are the fields: plain values, the same in Python and in YAML.

    Attributes:
        if_unknown: `fail`, or `pass` where the model may go live although the rule cannot be judged.
        why: what the rule is for, in words that stand in the report.
    """

    name: ClassVar[str]
    if_unknown: Literal["fail", "pass"] = "fail"
    why: str = ""

    def __post_init__(self) -> None:
        """Parameters are brought into their form, and refused where they cannot be meant."""
        adapt_fields(self, self.name, ErrorCode.BAD_RULE)
        self.validate()

    def validate(self) -> None:  # noqa: B027 - most rules have nothing to refuse
        """Refuse what the types of the parameters let through.

        Raises:
            UsageError: BAD_RULE.
        """

    def columns(self) -> tuple[str, ...]:
        """Columns of the data that it speaks of beside the model's inputs; unknown ones are refused before all."""
        return ()

    def metrics(self, task: str) -> tuple[str, ...]:
        """Metrics whose values it asks for, so that all of them are taken over the same resamples."""
        return ()

    def gains(self, task: str) -> tuple[str, ...]:
        """Metrics, of those of `metrics`, whose gain over an answer that ignores the inputs it asks for."""
        return ()

    def claims(self, task: str) -> Mapping[str, Claim]:
        """Quantity → what it may be, by which rules that cannot both hold are found."""
        return {}

    def check(self, examined: Examined) -> None:  # noqa: B027 - most rules fit every model
        """Refuse what does not fit this model before anything is run.

        Raises:
            UsageError: such as a metric of another task.
            DataError: such as a column that is not there.
        """

    @property
    def wants_inputs(self) -> bool:
        """Whether it looks at the values of the model's inputs."""
        return False

    @abstractmethod
    def judge(self, examined: Examined) -> Finding:
        """What is found.

        Raises:
            Unknown: it cannot be judged, and why.
        """

    def asks(self) -> str:
        """What it asks, in words, where it cannot be judged."""
        return ", ".join(f"{key} {_shown(value)}" for key, value in self._told().items())

    def params(self) -> dict[str, Any]:
        """The parameters that are not at their default."""
        return given_fields(self)

    def _told(self) -> dict[str, Any]:
        return {key: value for key, value in self.params().items() if key not in ("if_unknown", "why")}

    def refused(self, came: str, *, wanted: str = "", fix: str = "") -> UsageError:
        """The error that says what is wrong with this rule."""
        return UsageError(ErrorCode.BAD_RULE, f"{self.name}: {came}", wanted=wanted, fix=fix)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={_shown(value)}' for key, value in self._told().items())})"


@dataclass(frozen=True, kw_only=True)
class Bounded(Rule):
    """A rule that keeps something between two bounds, which belong to it.

    Attributes:
        least: the lower bound.
        most: the upper bound.
        by: `interval`, by default: the unfavourable end of the 95 % interval must keep the bound; or `value`.
    """

    least: float | None = None
    most: float | None = None
    by: Literal["interval", "value"] = "interval"

    def validate(self) -> None:
        """A bound there must be, and they must leave something between them."""
        if self.least is None and self.most is None:
            raise self.refused("neither least nor most is given", wanted="a bound")
        for end in (self.least, self.most):
            if end is not None and not math.isfinite(end):
                raise self.refused(f"got the bound {end}", wanted="a finite number")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise self.refused(f"least={self.least:g} is more than most={self.most:g}", wanted="nothing could keep it")

    @property
    def claim(self) -> Claim:
        """The bounds as a claim."""
        return (-math.inf if self.least is None else self.least, math.inf if self.most is None else self.most)

    def wanted(self) -> str:
        """The bounds in words."""
        return bounds_text(self.least, self.most)

    def holds(self, found: Estimate) -> bool:
        """Whether an estimate keeps the bounds, by its value or its interval.

        Raises:
            Unknown: it has no value, or no interval where that is asked for.
        """
        return keeps(found, self.least, self.most, self.by)


def keeps(found: Estimate, least: float | None, most: float | None, by: str) -> bool:
    """Whether an estimate lies between two bounds, as a whole or by its value alone; `Unknown` where it has none."""
    if found.value is None:
        raise Unknown(found.reason or "it has no value")
    low: float | None = found.value
    high: float | None = found.value
    if by == "interval":
        low, high = found.lower, found.upper
        if low is None or high is None:
            raise Unknown(found.reason or "it has no interval")
        low, high = min(low, found.value), max(high, found.value)
    return (least is None or low >= least) and (most is None or high <= most)  # type: ignore[operator]


def bounds_text(least: float | None, most: float | None) -> str:
    """Two bounds in words."""
    if least is not None and most is not None:
        return f"{show_number(least)} to {show_number(most)}"
    return f"at least {show_number(least)}" if least is not None else f"at most {show_number(most)}"


@dataclass(frozen=True)
class Result:
    """What became of one rule.

    Attributes:
        number: of the rule, from 1.
        rule: its name.
        options: its parameters that are not at their default.
        verdict: passed, failed or unknown.
        measured: a value with its interval, a number or a text; None where nothing was found.
        wanted: what the rule asks, in words.
        evidence: what the verdict rests on, or why there is none.
        accepted: whether the model may go live for all that this rule says.
        seconds: time that it took.
    """

    number: int
    rule: str
    options: Mapping[str, Any]
    verdict: Verdict
    measured: Measured
    wanted: str
    evidence: str
    accepted: bool
    seconds: float = field(default=0.0, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON form, without the time."""
        measured = self.measured.to_dict() if isinstance(self.measured, Estimate) else self.measured
        if isinstance(measured, float) and not math.isfinite(measured):
            measured = None
        return {
            "rule": self.rule,
            "options": dict(self.options),
            "verdict": str(self.verdict),
            "accepted": self.accepted,
            "measured": measured,
            "wanted": self.wanted,
            "evidence": self.evidence,
        }

    @property
    def shown(self) -> str:
        """What was measured, for a table."""
        if self.measured is None:
            return "–"
        return show_number(self.measured) if isinstance(self.measured, float | int) else str(self.measured)

    @property
    def title(self) -> str:
        """The rule with its parameters."""
        told = {key: value for key, value in self.options.items() if key not in ("if_unknown", "why")}
        return self.rule + (f"({', '.join(f'{key}={_shown(value)}' for key, value in told.items())})" if told else "")


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)
