"""How rules fared: how many rows break them, the worst of these, and what a search beyond the data found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lepton.core import printable
from lepton.evaluation.bootstrap import Estimate
from lepton.evaluation.robustness.rules import MetamorphicRule
from lepton.report import Block, Page, Table, Text, bars, plain_table, show_number, show_share

__all__ = ["Example", "Metamorphic", "RuleResult", "share_of"]

_Z = 1.959963984540054
_SHOWN_CELLS = 8


@dataclass(frozen=True)
class Example:
    """A row that breaks a rule.

    Attributes:
        row: its place among the rows that were checked, from 0; None for one that a search made.
        before: its cells: those that are changed first, then others, 12 at most.
        after: the cells that were changed, as they became.
        answers: what the model answered before and after.
        excess: by how much the rule is broken.
    """

    row: int | None
    before: dict[str, Any]
    after: dict[str, Any]
    answers: tuple[str | float, str | float]
    excess: float

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "row": self.row,
            "before": self.before,
            "after": self.after,
            "answers": list(self.answers),
            "excess": self.excess,
        }


@dataclass(frozen=True)
class RuleResult:
    """How one rule fared.

    Attributes:
        rule: as it was written.
        num_rows: rows that it is about and that its change changes.
        num_broken: of these, how many break it, in any of the ways that were tried.
        share: of them, with a 95 % interval (Wilson's).
        examples: the worst, those of the data first.
        searched: rows that were made and asked beyond the data.
        num_found: of these, how many break the rule.
        num_refused: changed rows that the model refused to answer.
        note: what limits this, or "".
    """

    rule: MetamorphicRule
    num_rows: int
    num_broken: int
    share: Estimate
    examples: tuple[Example, ...] = ()
    searched: int = 0
    num_found: int = 0
    num_refused: int = 0
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether nothing was found that breaks it; None where nothing could be checked."""
        if self.num_broken or self.num_found:
            return False
        return True if self.num_rows else None

    @property
    def verdict(self) -> str:
        """In words."""
        if self.num_broken:
            return "broken"
        if self.num_found:
            return "broken by rows that were made"
        return "no row breaks it" if self.num_rows else "not checked"

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "rule": self.rule.to_dict(),
            "says": str(self.rule),
            "passed": self.passed,
            "num_rows": self.num_rows,
            "num_broken": self.num_broken,
            "share": self.share.to_dict(),
            "examples": [each.to_dict() for each in self.examples],
            "searched": self.searched,
            "num_found": self.num_found,
            "num_refused": self.num_refused,
            "note": self.note,
        }


@dataclass(frozen=True)
class Metamorphic:
    """How the rules fared that must hold between answers; made by `metamorphic`.

    Attributes:
        model: its name.
        results: one for each rule, in their order.
        num_rows: rows of the data that were taken.
        notes: limits of all this.
    """

    model: str
    results: tuple[RuleResult, ...]
    num_rows: int
    notes: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether every rule was checked, and nothing was found that breaks one."""
        return all(each.passed for each in self.results)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "model": self.model,
            "passed": self.passed,
            "results": [each.to_dict() for each in self.results],
            "num_rows": self.num_rows,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """For people."""
        parts = [f"{printable(self.model)}: rules over {self.num_rows:,} rows"]
        for number, each in enumerate(self.results, 1):
            lines = [f"{number}. {each.rule}: {each.verdict}", f"  {_counts(each)}"]
            if each.examples:
                lines.append(plain_table(_HEAD, _example_rows(each.examples), indent="    "))
            parts.append("\n".join(lines))
        return "\n\n".join([*parts, *(f"Note: {each}" for each in self.notes)])

    def page(self) -> Page:
        """A page with the shares drawn and the worst rows."""
        broken = sum(each.passed is False for each in self.results)
        page = Page(f"What must hold of {self.model}", subtitle=f"{broken} of {len(self.results)} rules are broken")
        told = [(number, each) for number, each in enumerate(self.results, 1) if each.share.value is not None]
        if told:
            figure = bars(
                [f"rule {number}" for number, _ in told],
                [each.share.value or 0.0 for _, each in told],
                title="Share of rows that break each rule",
                lower=[each.share.lower or 0.0 for _, each in told],
                upper=[each.share.upper or 0.0 for _, each in told],
            )
            page.section("Shares", figure)
        for number, each in enumerate(self.results, 1):
            blocks: list[Block] = [Text(f"{each.rule}: {each.verdict}.", "lead"), Text(_counts(each))]
            if each.examples:
                blocks.append(Table(_HEAD, _example_rows(each.examples), caption="The worst rows"))
            page.section(f"Rule {number}", *blocks)
        for note in self.notes:
            page.section("Note", Text(note, "note"))
        return page

    def _repr_html_(self) -> str:
        return self.page().html()


_HEAD = ("row", "before", "after", "answer before", "answer after")


def _counts(each: RuleResult) -> str:
    if each.share.value is None:
        return f"{each.share.reason}."
    ends = (each.share.lower or 0.0, each.share.upper or 0.0)
    interval = f"95 % interval {show_share(ends[0])} to {show_share(ends[1])}"
    parts = [f"{each.num_broken:,} of {each.num_rows:,} rows break it ({show_share(each.share.value)}, {interval})"]
    if each.searched:
        parts.append(f"of {each.searched:,} rows made around the nearest, {each.num_found:,} do")
    if each.num_refused:
        parts.append(f"the model refused {each.num_refused:,} changed rows")
    return "; ".join(parts) + "." + (f" {each.note}" if each.note else "")


def _example_rows(examples: Sequence[Example]) -> list[tuple[object, ...]]:
    return [
        (
            "made" if each.row is None else str(each.row),
            _cells(each.before),
            _cells(each.after),
            *(show_number(answer) if isinstance(answer, float) else answer for answer in each.answers),
        )
        for each in examples
    ]


def _cells(cells: dict[str, Any]) -> str:
    shown = [
        f"{name}={show_number(value) if isinstance(value, float) else value}"
        for name, value in list(cells.items())[:_SHOWN_CELLS]
    ]
    return ", ".join([*shown, *(["…"] if len(cells) > _SHOWN_CELLS else [])])


def share_of(num_broken: int, num_rows: int) -> Estimate:
    """A share with Wilson's interval, which is no point where the share is 0.

    >>> print(share_of(0, 100))
    0 (0 to 0.03699)
    """
    if not num_rows:
        return Estimate(None, reason="no row fits the rule")
    share = num_broken / num_rows
    middle = share + _Z**2 / (2 * num_rows)
    half = _Z * math.sqrt(share * (1 - share) / num_rows + _Z**2 / (4 * num_rows**2))
    whole = 1 + _Z**2 / num_rows
    lower, upper = (middle - half) / whole, (middle + half) / whole
    return Estimate(share, max(min(lower, share), 0.0), min(max(upper, share), 1.0))
