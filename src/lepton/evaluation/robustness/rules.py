"""Metamorphic rules as they are written: what is changed about a row, and what the answer must then do.

Segura et al., "A survey on metamorphic testing" (2016): where nobody knows the right answer, one may still know how
answers to two rows have to stand to each other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lepton.core import ErrorCode, UsageError, printable
from lepton.evaluation.robustness.base import unknown_name

__all__ = ["ANSWERS", "MetamorphicRule", "rules_of", "said_change"]

ANSWERS: Mapping[str, str] = MappingProxyType(
    {"not_decreasing": "must not fall", "not_increasing": "must not rise", "same": "must stay the same"}
)
"""What an answer must do, by name; `within 0.01` and `within 5%` say how far it may move."""

_WITHIN = re.compile(r"within\s+([0-9.eE+-]+)\s*(%?)")
_KEYS = ("change", "transform", "answer", "label", "where", "name")
_MAX_RULES = 1_000


@dataclass(frozen=True)
class MetamorphicRule:
    """What must hold between the answer to a row and that to the same row changed.

    >>> print(MetamorphicRule(answer="not_increasing", change={"income": "+10%"}, label="default"))
    when 'income' is changed by +10%, the probability of 'default' must not rise

    Attributes:
        answer: `not_decreasing`, `not_increasing`, `same`, `within 0.01` or `within 5%`.
        change: column → what is done to it; see `docs/how-to/state-what-must-hold.md`.
        transform: of pictures, sounds and texts, what is done to them: `rotate 5`.
        label: whose probability is meant; by default that of a binary model's second label.
        where: an expression over the columns of the row; by default every row.
        name: what the rule is called; by default what it says.

    Raises:
        UsageError: an answer that there is not, or neither or both of `change` and `transform`.
    """

    answer: str
    change: Mapping[str, Any] = field(default_factory=dict)
    transform: str = ""
    label: Any = None
    where: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        """Check what can be checked without a model."""
        for key in ("answer", "transform", "where", "name"):
            if not isinstance(value := getattr(self, key), str):
                raise _bad(f"got {key}: {str(value)[:100]!r}", "text")
        change: Any = self.change
        if not isinstance(change, Mapping) or not all(isinstance(column, str) for column in change):
            raise _bad(f"got change: {str(self.change)[:100]!r}", "columns with what is done to them")
        if bool(self.change) == bool(self.transform):
            came = "the rule has both change and transform" if self.change else "the rule changes nothing"
            raise _bad(came, 'change: {income: "+10%"}, or of pictures, sounds and texts transform: rotate 5')
        if self.answer not in ANSWERS:
            self._limit()

    @property
    def form(self) -> str:
        """`not_decreasing`, `not_increasing`, `same` or `within`."""
        return self.answer if self.answer in ANSWERS else "within"

    @property
    def limit(self) -> float:
        """How far the answer may move; of a share, the share. 0 where none is given."""
        return 0.0 if self.answer in ANSWERS else self._limit()[0]

    @property
    def relative(self) -> bool:
        """Whether `limit` is a share of the answer."""
        return self.answer not in ANSWERS and self._limit()[1]

    def _limit(self) -> tuple[float, bool]:
        found = _WITHIN.fullmatch(self.answer.strip())
        try:
            limit = float(found[1]) if found else math.nan
        except ValueError:
            limit = math.nan
        if found is None:
            raise unknown_name("there is no answer", self.answer, (*ANSWERS, "within 0.01"), ErrorCode.BAD_RULE)
        if not math.isfinite(limit) or limit < 0:
            raise _bad(f"got answer: {self.answer!r}", "a distance of at least 0, as in within 0.01 or within 5%")
        return (limit / 100, True) if found[2] else (limit, False)

    @classmethod
    def of(cls, written: Any) -> MetamorphicRule:
        """A rule from plain data.

        Raises:
            UsageError: an unknown key, with the closest one; anything that is no rule.
        """
        if isinstance(written, MetamorphicRule):
            return written
        if not isinstance(written, Mapping):
            raise _bad(f"got the rule {str(written)[:100]!r}", 'change: {income: "+10%"} and answer: not_increasing')
        for key in written:
            if key not in _KEYS:
                raise unknown_name("a rule has no", key, _KEYS, ErrorCode.BAD_RULE)
        if "answer" not in written:
            raise _bad("the rule does not say what the answer must do", "answer: one of " + ", ".join(ANSWERS))
        given = {key: value for key, value in written.items() if value is not None}
        answer = given.get("answer")
        if isinstance(answer, Mapping) and set(answer) == {"within"}:
            given["answer"] = f"within {answer['within']}"
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """JSON form, without what is left at its default."""
        raw = {"change": dict(self.change), "transform": self.transform, "answer": self.answer}
        raw |= {"label": self.label, "where": self.where, "name": self.name}
        return {key: value for key, value in raw.items() if value not in ("", {}, None)}

    def __str__(self) -> str:
        if self.name:
            return printable(self.name)
        if self.transform:
            done = f"when it is changed by {printable(self.transform, 80)}"
        else:
            parts = [f"'{printable(column, 60)}' {said_change(change)}" for column, change in self.change.items()]
            done = f"when {' and '.join(parts)}"
        what = "the answer" if self.label is None else f"the probability of '{printable(str(self.label), 60)}'"
        does = ANSWERS.get(self.answer, f"must stay {self.answer}")
        where = f", where {printable(self.where, 120)}" if self.where else ""
        return f"{done}, {what} {does}{where}"


def said_change(change: Any) -> str:
    """What is done to a column, in words."""
    if isinstance(change, str) and change == "other":
        return "has another value that occurs"
    if isinstance(change, str) and change.startswith("noise"):
        return f"gets {printable(change, 40)}"
    if isinstance(change, str) and change[:1] in "+-*x×" and change[1:2]:
        return f"is changed by {printable(change, 40)}"
    if isinstance(change, Mapping):
        change = change.get("to", change.get("values", change))
    if isinstance(change, Sequence) and not isinstance(change, str):
        return "is one of " + ", ".join(printable(str(each), 40) for each in list(change)[:5])
    return "is missing" if change is None else f"is {printable(str(change), 40)}"


def rules_of(written: Any) -> tuple[MetamorphicRule, ...]:
    """Rules from a list of plain data or of rules.

    Raises:
        UsageError: no list, an empty one, or a rule that is none; the message says which.
    """
    if isinstance(written, Mapping | str | MetamorphicRule) or not isinstance(written, Sequence):
        raise _bad(f"got rules of type {type(written).__name__}", "a list of rules")
    if not 0 < len(written) <= _MAX_RULES:
        raise _bad(f"got {len(written):,} rules", f"1 to {_MAX_RULES:,}")
    out = []
    for number, each in enumerate(written, 1):
        try:
            out.append(MetamorphicRule.of(each))
        except UsageError as error:
            raise UsageError(
                ErrorCode.BAD_RULE, f"rule {number}: {error.came}", wanted=error.wanted, fix=error.fix
            ) from None
    return tuple(out)


def _bad(came: str, wanted: str) -> UsageError:
    return UsageError(ErrorCode.BAD_RULE, came, wanted=wanted)
