"""Where a table holds personal data, as part of a page or a page of its own."""

from __future__ import annotations

from collections.abc import Sequence

from lepton.core import printable
from lepton.data.quality.personal.records import PersonalFinding
from lepton.report import Block, Page, Points, Table, Text, bars, plural, show_share

__all__ = ["personal_blocks", "personal_lead", "personal_page"]

_MAX_FINDINGS = 300
_MAX_BARS = 30
_NOTE = (
    "Every letter and digit of the examples is masked. Not everything personal has a form that can be found: a person "
    "looks at the rest."
)


def personal_page(findings: Sequence[PersonalFinding], rows_seen: int, *, complete: bool) -> Page:
    """A page of its own: the findings, the rows that were looked at, and whether those were all."""
    page = Page("Personal data in a table", _seen(rows_seen, complete))
    return page.section("At a glance", *personal_blocks(findings, rows_seen, complete=complete))


def personal_lead(findings: Sequence[PersonalFinding]) -> str:
    """One sentence."""
    columns = list(dict.fromkeys(each.column for each in findings))
    if not columns:
        return "No personal data was found."
    more = f" and {len(columns) - 5:,} more" if len(columns) > 5 else ""
    named = ", ".join(printable(column, 60) for column in columns[:5])
    return f"Personal data is in {plural(len(columns), 'column')}: {named}{more}."


def personal_blocks(findings: Sequence[PersonalFinding], rows_seen: int, *, complete: bool) -> list[Block]:
    """The findings in sentences, in a picture and in a table."""
    lead = Text(f"{personal_lead(findings)} {_seen(rows_seen, complete)}.", tone="lead")
    if not findings:
        return [lead, Text(_NOTE, tone="note")]
    shown = findings[:_MAX_FINDINGS]
    labels = [f"{each.column}: {each.kind}" for each in shown[:_MAX_BARS]]
    picture = bars(
        labels, [round(100 * each.share, 1) for each in shown[:_MAX_BARS]], title="How much of each column", x_label="%"
    )
    where = {True: "inside texts", False: "the whole cell"}
    rows = [
        (e.column, e.kind, where[e.in_text], e.count, show_share(e.share), _sure(e), ", ".join(e.examples))
        for e in shown
    ]
    heads = ("column", "what", "where", "cells", "share", "how sure", "examples, masked")
    count = len(findings)
    caption = f"The first {len(shown)} of {count:,} findings" if count > len(shown) else f"All {count:,} findings"
    table = Table(heads, rows, caption=caption, align="lllrrll")
    return [lead, Points([_sentence(each) for each in shown], most=12), picture, table, Text(_NOTE, tone="note")]


def _seen(rows_seen: int, complete: bool) -> str:
    rows = plural(rows_seen, "row")
    return f"All {rows} were looked at" if complete else f"The first {rows} were looked at"


def _sentence(each: PersonalFinding) -> str:
    what = f"{each.kind}{' inside its texts' if each.in_text else ''}"
    return f"{printable(each.column, 60)} {_sure(each)} holds {what}, in {show_share(each.share)} of its cells."


def _sure(each: PersonalFinding) -> str:
    if each.confidence >= 0.85:
        return "surely"
    return "likely" if each.confidence >= 0.6 else "perhaps"
