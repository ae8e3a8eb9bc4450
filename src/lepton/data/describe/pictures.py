"""Pictures of the table as a whole: what is missing where, what goes together, and some of its rows."""

from __future__ import annotations

import numpy as np

from lepton.core import Kind, printable
from lepton.data.describe.associations import Associations, associations
from lepton.data.describe.missing import MissingMap, block_of, missing_groups, missing_patterns
from lepton.data.describe.records import TableDescription
from lepton.report import Block, Points, Table, Text, bars, heatmap, place_map, show_number, show_value

__all__ = ["association_blocks", "missing_blocks", "sample_blocks"]

_MAX_LINES = 40
_MAX_SAID = 12
_SAMPLE_COLUMNS = 30
_CHARACTERS = 60


def missing_blocks(description: TableDescription) -> list[Block]:
    """Which columns lack values, in which rows, and which of them together; nothing where none does."""
    gappy = [c for c in description.columns if c.statistics.missing]
    if not gappy or not description.missing.rows:
        return []
    kept = sorted(gappy, key=lambda c: -c.statistics.missing)[:_MAX_LINES]
    names = [c.record.name for c in description.columns if c in kept]
    said = [*_block_sentences(description.missing, names), *_group_sentences(description)]
    shares = np.array([description.missing.shares(name) for name in names])
    whole = len(description.columns) - len(gappy)
    note = f"Each line is a column, from the first row to the last: the stronger, the more is missing. {whole:,} whole "
    note += f"columns are not drawn{_cut(len(gappy), len(names))}."
    blocks: list[Block] = [Points(said, most=_MAX_SAID)] if said else []
    blocks.append(place_map(names, shares, description.missing.edges(), title="Where values are missing", caption=note))
    patterns = missing_patterns(description.sample)
    if any(len(pattern.columns) > 1 for pattern in patterns):
        labels = [pattern.text(2) for pattern in patterns]
        shown = [round(100 * pattern.share, 2) for pattern in patterns]
        blocks.append(
            bars(labels, shown, title="What is missing together", x_label="% of the rows that lack just these")
        )
    return blocks


def _cut(found: int, drawn: int) -> str:
    return f", nor {found - drawn:,} of which less is missing" if found > drawn else ""


def _block_sentences(found: MissingMap, names: list[str]) -> list[str]:
    """Columns that are missing in one stretch of the table, told together where it is the same one."""
    blocks: dict[tuple[int, int], list[str]] = {}
    for name in names:
        if (block := block_of(found, name)) is not None:
            blocks.setdefault(block, []).append(name)
    return [
        f"{_listed(columns)} {_are(columns)} missing from about row {first:,} to {last:,}, and hardly anywhere else."
        for (first, last), columns in blocks.items()
    ]


def _group_sentences(description: TableDescription) -> list[str]:
    return [
        f"{_listed(group)} are missing in the same rows." for group in map(list, missing_groups(description.sample))
    ]


def _listed(names: list[str]) -> str:
    shown = [printable(name, _CHARACTERS) for name in names[:4]]
    if len(names) > 4:
        return f"{', '.join(shown)} and {len(names) - 4:,} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _are(names: list[str]) -> str:
    return "are" if len(names) > 1 else "is"


def association_blocks(description: TableDescription) -> list[Block]:
    """How closely pairs of columns go together; nothing where fewer than two can be measured."""
    names_of_rows = {f.column for f in description.findings if f.what == "identifier"}
    measured = [c.record for c in description.columns if c.record.name not in names_of_rows]
    found = associations(description.sample, measured)
    if found is None:
        return []
    said = [_pair_text(found, *pair) for pair in found.strongest()]
    names = list(found.names)
    more = f" {found.left_out:,} columns that go less with any other are left out." if found.left_out else ""
    picture = heatmap(
        np.abs(found.values).round(2), names, names, title="How closely columns go together, 0: not at all, 1: entirely"
    )
    note = (
        f"Measured on {found.num_rows:,} rows drawn at random: Spearman's rank correlation without its sign for two "
        "numbers, the correlation ratio for a category and a number, Cramér's V for two categories. What goes "
        f"together need not cause one another.{more}"
    )
    return [Points(said or ["No two columns go together closely."]), picture, Text(note, tone="note")]


def _pair_text(found: Associations, one: str, other: str, value: float) -> str:
    how = "nearly entirely" if abs(value) >= 0.9 else "closely" if abs(value) >= 0.6 else "somewhat"
    first, second = printable(one, _CHARACTERS), printable(other, _CHARACTERS)
    if {one, other} <= found.signed:
        way = "rise and fall together" if value > 0 else "move against each other"
        return f"{first} and {second} {way}, {how} ({abs(value):.2f})."
    return f"{first} and {second} go together {how} ({abs(value):.2f})."


def sample_blocks(description: TableDescription, rows: int) -> list[Block]:
    """Rows drawn at random; long values are cut, and of wide tables the first columns are shown."""
    names = list(description.sample.columns)
    shown = names[:_SAMPLE_COLUMNS]
    table = description.sample.head(rows).select(shown)
    if rows < 1 or not table.height:
        return []
    cells = [[number, *map(_cell, row)] for number, row in enumerate(table.iter_rows(), 1)]
    first = f", the first {len(shown)} of {len(names):,} columns" if len(names) > len(shown) else ""
    numeric = {c.record.name for c in description.columns if c.record.kind is Kind.NUMBER}
    align = "r" + "".join("r" if name in numeric else "l" for name in shown)
    caption = f"{show_number(table.height)} rows drawn at random{first}"
    note = "These are rows of the table as they are: mind whom you give this page to."
    return [Table(["", *shown], cells, caption=caption, align=align), Text(note, tone="note")]


def _cell(value: object) -> str:
    text = show_value(value)
    return text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…"
