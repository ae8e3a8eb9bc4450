"""What a check found as one page: rules, columns and distributions against the baseline, personal data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lepton.core import printable
from lepton.data.describe.shapes import beside, moved_text
from lepton.data.quality.drift import DriftRecord, SchemaChange, Statistics, elsewhere
from lepton.data.quality.personal import PersonalData
from lepton.data.quality.personal.page import personal_blocks, personal_lead
from lepton.data.quality.results import RuleResult
from lepton.report import Block, Page, Points, Table, Text, bars, plural, show_share

__all__ = ["check_page"]

_MAX_RULES = 200
_MAX_PICTURES = 24
_MAX_BARS = 20
_MAX_COLUMNS = 300
_NAME = 80
_ORDER = {"shifted": 0, "moved": 1, "stable": 2}
_WHAT = {
    "added": "is new",
    "removed": "is gone",
    "another kind": "is of another kind",
    "another unit": "has another unit",
}
_NOTE = (
    "How many rows lie elsewhere: the least share of them that would have to change to look like the baseline. A "
    "column counts as moved from a population stability index (PSI) of 0.1 and as shifted from 0.25, beyond what so "
    "few rows do by chance."
)


def check_page(
    rows: int,
    results: Sequence[RuleResult],
    schema_changes: Sequence[SchemaChange],
    drift: Sequence[DriftRecord],
    statistics: Statistics,
    personal: PersonalData | None,
) -> Page:
    """The page.

    Args:
        rows: rows that were looked at.
        results: one for each rule.
        schema_changes: against the baseline.
        drift: of each column that both tables have.
        statistics: of those columns, in the baseline and in the table.
        personal: what was found of personal data, if it was looked for; what holds some is not shown.
    """
    private = set() if personal is None else {each.column for each in personal.findings}
    order = sorted(drift, key=lambda each: (_ORDER[each.verdict], -(each.psi or 0.0)))
    page = Page("Check of a table", f"{rows:,} rows")
    page.section("At a glance", *_overview(rows, results, schema_changes, order, statistics, personal))
    if results:
        page.section("Rules", *_rules(results, private))
    if schema_changes:
        changes = [(c.column, _WHAT[c.what], c.before, c.after) for c in schema_changes[:_MAX_COLUMNS]]
        caption = _first(len(changes), len(schema_changes), "differences")
        table = Table(("column", "what", "in the baseline", "now"), changes, caption=caption)
        page.section("Columns against the baseline", table)
    if drift:
        page.section("Distributions against the baseline", *_drift(order, statistics, private))
    if personal is not None:
        page.section(
            "Personal data", *personal_blocks(personal.findings, personal.rows_seen, complete=personal.complete)
        )
    return page


def _overview(
    rows: int,
    results: Sequence[RuleResult],
    schema_changes: Sequence[SchemaChange],
    drift: Sequence[DriftRecord],
    statistics: Statistics,
    personal: PersonalData | None,
) -> list[Block]:
    broken = [each for each in results if each.verdict == "BROKEN"]
    warned = [each for each in results if each.verdict == "warning"]
    parts = [f"{plural(rows, 'row')} were looked at."]
    if results:
        kept = len(results) - len(broken) - len(warned)
        parts.append(
            f"{len(broken):,} of {plural(len(results), 'rule')} {_is(len(broken))} broken."
            if broken
            else f"Every rule of severity error is kept ({kept:,} of {len(results):,} kept)."
        )
        if warned:
            parts.append(f"{plural(len(warned), 'rule')} of severity warn {_is(len(warned))} not kept.")
    if drift:
        counts = {word: sum(each.verdict == word for each in drift) for word in ("shifted", "moved")}
        told = [f"{count:,} have {word}" for word, count in counts.items() if count]
        parts.append(
            f"Of {plural(len(drift), 'column')}, {' and '.join(told)}."
            if told
            else f"No distribution of {plural(len(drift), 'column')} has moved."
        )
    if schema_changes:
        parts.append(f"{plural(len(schema_changes), 'column')} came, went or changed.")
    if personal is not None:
        parts.append(personal_lead(personal.findings))
    blocks: list[Block] = [Text(" ".join(parts), tone="lead")]
    if broken:
        blocks.append(Text("\n".join(_broken_text(each) for each in broken[:10]), tone="warning"))
    points = [_broken_text(each) for each in (*broken[10:], *warned)]
    points += [_moved_sentence(each, statistics) for each in drift if each.verdict != "stable"]
    return [*blocks, Points(points, most=20)] if points else blocks


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _broken_text(result: RuleResult) -> str:
    word = "Broken" if result.severity == "error" else "Not kept"
    rows = "" if result.broken is None else f"{plural(result.broken, 'row')}, "
    return f"{word}: {printable(result.rule, 300)}: {rows}{result.observed}"


def _moved_sentence(record: DriftRecord, statistics: Statistics) -> str:
    how = "has shifted" if record.verdict == "shifted" else "has moved a little"
    told = _change_text(record, statistics)
    return f"{printable(record.column, _NAME)} {how}{': ' if told else ''}{told}."


def _change_text(record: DriftRecord, statistics: Statistics) -> str:
    """How much and in what, in words."""
    pair = statistics.get(record.column)
    if pair is None:
        return ""
    parts = []
    share = elsewhere(*pair)
    if share is not None:
        parts.append(f"{show_share(share)} of the rows lie elsewhere")
    if abs(record.missing_after - record.missing_before) >= 0.01:
        parts.append(f"{show_share(record.missing_after)} are missing, before {show_share(record.missing_before)}")
    if moved := moved_text(*pair):
        parts.append(moved)
    return "; ".join(parts)


def _rules(results: Sequence[RuleResult], private: set[str]) -> Iterator[Block]:
    rank = {"BROKEN": 0, "warning": 1, "kept": 2}
    order = sorted(results, key=lambda each: rank[each.verdict])[:_MAX_RULES]
    rows = [(f"{e.number} {e.rule}", e.verdict, e.broken, e.observed) for e in order]
    caption = _first(len(order), len(results), "rules, broken ones first")
    yield Table(("rule", "verdict", "broken rows", "observed"), rows, caption=caption)
    failing = [e for e in order if not e.passed and e.broken and e.rows]
    if len(failing) > 1:
        labels = [f"{e.number} {e.rule.split('(')[0]} {', '.join(e.columns)}" for e in failing[:_MAX_BARS]]
        shares = [round(100 * (e.broken or 0) / e.rows, 2) for e in failing[:_MAX_BARS]]
        yield bars(labels, shares, title="Rows that break each rule", x_label="% of the rows")
    shown = [e for e in order if e.examples and not private & set(e.columns)]
    if examples := [(f"{e.number} {e.rule}", line) for e in shown for line in e.examples]:
        yield Table(("rule", "row"), examples, caption="Some of the rows that break them")
    if hidden := sum(1 for e in order if e.examples) - len(shown):
        yield Text(f"Rows of {plural(hidden, 'rule')} are not shown: they hold personal data.", tone="note")


def _first(shown: int, count: int, noun: str) -> str:
    return f"The first {shown:,} of {count:,} {noun}" if count > shown else f"All {count:,} {noun}"


def _drift(order: Sequence[DriftRecord], statistics: Statistics, private: set[str]) -> Iterator[Block]:
    shares = {e.column: elsewhere(*statistics[e.column]) for e in order if e.column in statistics}
    far = [(name, 100 * share) for name, share in shares.items() if share is not None][:_MAX_BARS]
    if far:
        names, values = zip(*far, strict=True)
        yield bars(names, [round(v, 1) for v in values], title="How far columns have moved", x_label="% of the rows")
    moved = [e for e in order if e.verdict != "stable" and e.column in statistics]
    visible = [e for e in moved if e.column not in private or statistics[e.column][0].numbers is not None]
    for record in visible[:_MAX_PICTURES]:
        pair = statistics[record.column]
        told = _change_text(record, statistics)
        caption = f"{told[:1].upper()}{told[1:]}."
        picture = beside(*pair, title=record.column, names=("baseline", "now"), caption=caption)
        if picture is not None:
            yield picture
    rows = [
        (e.column, e.verdict, _share(shares.get(e.column)), e.psi, e.kolmogorov_smirnov, e.jensen_shannon, e.note)
        for e in order[:_MAX_COLUMNS]
    ]
    heads = ("column", "verdict", "rows elsewhere", "PSI", "KS", "JS", "")
    yield Table(heads, rows, caption=_first(len(rows), len(order), "columns"), align="llrrrrl")
    left = len(moved) - len(visible[:_MAX_PICTURES])
    cut = f" {plural(left, 'column')} that moved {_is(left)} not drawn." if left else ""
    yield Text(_NOTE + cut, tone="note")


def _share(value: float | None) -> str:
    return "–" if value is None else show_share(value)
