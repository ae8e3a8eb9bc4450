"""Whether a model may go live: every rule is judged on one pass of answers, and what was found stands beside it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lepton.bundle import Predictor, machine
from lepton.core import CATALOGUE, ErrorCode, LeptonError, UsageError, Work
from lepton.data import Dataset
from lepton.evaluation.verify.base import Claim, Result, Rule, Unknown, Verdict, bounds_text
from lepton.evaluation.verify.examined import Examined
from lepton.evaluation.verify.page import verification_page, verification_text
from lepton.evaluation.verify.plain import plain
from lepton.evaluation.verify.reading import ReleaseRules, rules_of
from lepton.report import Page

__all__ = ["Verification", "verify"]


@dataclass(frozen=True)
class Verification:
    """What became of every rule; made by `Model.verify`.

    Attributes:
        model: its name.
        model_id: its identity.
        time: when it was verified, ISO 8601.
        machine: where; latencies are true of that machine.
        results: one for each rule, in their order.
        data: name, fingerprint and number of the rows; None where none were given.
        measured: what was measured on the way, by part: metrics, slices, fairness, robustness, and so on.
        valid_until: when it ceases to be good, ISO 8601; None for never.
        seed: of what was drawn.
    """

    model: str
    model_id: str
    time: str
    machine: Mapping[str, Any]
    results: tuple[Result, ...]
    data: Mapping[str, Any] | None
    measured: Mapping[str, Any]
    valid_until: str | None = None
    seed: int = 0

    @property
    def passed(self) -> bool:
        """Whether every rule holds, or is unknown and says that this is enough."""
        return bool(self.results) and all(each.accepted for each in self.results)

    @property
    def failed(self) -> tuple[Result, ...]:
        """Rules that are broken."""
        return tuple(each for each in self.results if each.verdict is Verdict.FAILED)

    @property
    def unknown(self) -> tuple[Result, ...]:
        """Rules that could not be judged, and whose `if_unknown` does not let them pass."""
        return tuple(each for each in self.results if each.verdict is Verdict.UNKNOWN and not each.accepted)

    def to_dict(self) -> dict[str, Any]:
        """JSON form: the report that the model file keeps, but for its signature."""
        found: dict[str, Any] = plain(
            {
                "model": self.model,
                "model_id": self.model_id,
                "time": self.time,
                "machine": dict(self.machine),
                "passed": self.passed,
                "valid_until": self.valid_until,
                "seed": self.seed,
                "data": None if self.data is None else dict(self.data),
                "rules": [each.to_dict() for each in self.results],
                "measured": dict(self.measured),
            }
        )
        return found

    def text(self) -> str:
        """A table for a terminal."""
        return verification_text(self.headline, self.results, self.valid_until)

    def page(self) -> Page:
        """One page with the rules, their evidence, and what was measured."""
        return verification_page(self.model, self.headline, self.results, self.to_dict())

    @property
    def headline(self) -> str:
        """The outcome in a sentence."""
        number = len(self.results)
        if self.passed:
            accepted = sum(each.verdict is Verdict.UNKNOWN for each in self.results)
            rest = f", {accepted} of them unknown and accepted so" if accepted else ""
            return f"{self.model} passed: {number} rules hold{rest}"
        return f"{self.model} did not pass: of {number} rules {len(self.failed)} failed, {len(self.unknown)} unknown"

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.page().html()


def verify(
    predictor: Predictor,
    dataset: Dataset | None,
    rules: ReleaseRules | Sequence[Any],
    *,
    target: str | None = None,
    training: Dataset | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> Verification:
    """Judge a model by rules. The model answers the rows once; every rule looks at the same answers.

    A rule that cannot be judged (no truth, a group of three people, a file that does not say) is unknown, with the
    reason, and does not pass unless it says `if_unknown: pass`.

    Args:
        predictor: an opened model.
        dataset: rows that it was not trained on; None for rules that ask of the file alone.
        rules: as of `rules_of`.
        target: column of the truth; by default the one of training.
        training: rows that it was trained on, for rules about leakage and privacy.
        seed: of all that is drawn.
        work: cancel and progress.

    Raises:
        UsageError: BAD_RULE: rules that contradict each other or do not fit the model, before anything is run.
        DataError: a rule names a column that is not there; or no row can be judged.
    """
    work = Work.of(work)
    asked = rules_of(rules if isinstance(rules, ReleaseRules | Mapping) else list(rules))
    examined = Examined(predictor, dataset, asked.rules, target=target, training=training, seed=seed, work=work)
    _refuse(asked.rules, examined)
    results = []
    for number, rule in enumerate(asked.rules, 1):
        work.check()
        work.report(number - 1, len(asked), "rules", note=rule.name)
        results.append(_judged(number, rule, examined))
    work.report(len(asked), len(asked), "rules")
    now = datetime.now(UTC)
    until = None if asked.valid_for is None else now + timedelta(seconds=asked.valid_for)
    return Verification(
        predictor.manifest.name,
        predictor.model_id,
        now.isoformat(timespec="seconds"),
        machine(),
        tuple(results),
        examined.described_data,
        examined.parts,
        None if until is None else until.isoformat(timespec="seconds"),
        seed,
    )


def _judged(number: int, rule: Rule, examined: Examined) -> Result:
    began = time.perf_counter()
    try:
        found = rule.judge(examined)
    except Unknown as error:
        verdict, measured, wanted, evidence = Verdict.UNKNOWN, None, rule.asks(), str(error)
    else:
        verdict = Verdict.PASSED if found.passed else Verdict.FAILED
        measured, wanted, evidence = found.measured, found.wanted, found.evidence
    accepted = verdict is Verdict.PASSED or (verdict is Verdict.UNKNOWN and rule.if_unknown == "pass")
    spent = time.perf_counter() - began
    return Result(number, rule.name, rule.params(), verdict, measured, wanted, evidence, accepted, spent)


def _refuse(rules: Sequence[Rule], examined: Examined) -> None:
    """Rules that cannot be meant of this model and these rows."""
    claims: dict[str, list[tuple[int, Rule, Claim]]] = {}
    for number, rule in enumerate(rules, 1):
        try:
            rule.check(examined)
            if examined.data is not None:
                for name in rule.columns():
                    _ = examined.data.schema[name]  # the message names the closest
            for quantity, claim in rule.claims(examined.task).items():
                claims.setdefault(quantity, []).append((number, rule, claim))
        except LeptonError as error:
            came = f"rule {number}, {rule.name}: {error.came}"
            family = CATALOGUE[error.code].family
            raise family(error.code, came, wanted=error.wanted, fix=error.fix, details=error.details) from None
    for quantity, made in claims.items():
        highest = max(made, key=lambda each: each[2][0])
        lowest = min(made, key=lambda each: each[2][1])
        if highest[2][0] > lowest[2][1]:
            raise UsageError(
                ErrorCode.BAD_RULE,
                f"the rules {highest[0]} and {lowest[0]} contradict each other: one wants {quantity} to be "
                f"{bounds_text(highest[2][0], None)}, the other {bounds_text(None, lowest[2][1])}",
                wanted="rules that can both hold",
                fix=f"look at {highest[1]} and {lowest[1]}",
            )
