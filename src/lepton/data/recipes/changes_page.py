"""What a recipe changed as one page: what each step did, the rows, what is missing, the columns before and after."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from lepton.core import Kind, printable
from lepton.data.describe.shapes import beside, moved_text
from lepton.data.recipes.tally import ChangeRecord
from lepton.data.recipes.watched import View
from lepton.data.statistics import ColumnStatistics
from lepton.report import (
    Block,
    Figure,
    Page,
    Points,
    Table,
    Text,
    flow,
    paired_bars,
    plural,
    show_number,
    show_share,
)

__all__ = ["changes_page"]

_MAX_STEPS = 40
_MAX_RECORDS = 300
_MAX_PICTURES = 24
_MAX_MISSING = 20
_NAME = 60
_LISTED = 4
_EXAMPLES = 3
_FRACTION = re.compile(r"-?[0-9]+\.[0-9]+")


def changes_page(
    records: Sequence[ChangeRecord], rows_in: int, rows_out: int, came: View | None, left: View | None
) -> Page:
    """The page.

    Args:
        records: what the steps changed, in their order.
        rows_in: rows that came.
        rows_out: rows that are left.
        came: the rows before the first step, if they were seen.
        left: the rows after the last one.
    """
    page = Page("What the recipe changed", f"{rows_in:,} rows came, {rows_out:,} are left")
    if not records:
        return page.section("At a glance", Text("Nothing was changed.", tone="lead"))
    page.section("At a glance", *_overview(records, rows_in, rows_out, came, left))
    if came is not None and left is not None:
        if missing := _missing(came, left):
            page.section("What is missing, before and after", missing)
        if pictures := list(_distributions(records, came, left)):
            page.section("Columns, before and after", *pictures)
    page.section("Every change", _table(records))
    return page


def _overview(
    records: Sequence[ChangeRecord], rows_in: int, rows_out: int, came: View | None, left: View | None
) -> list[Block]:
    cells = sum(r.count for r in records if r.what == "cells")
    columns = {r.column for r in records if r.what == "cells"}
    parts = [f"{plural(rows_in, 'row')} came and {rows_out:,} are left."]
    if cells:
        parts.append(f"{plural(cells, 'cell')} of {plural(len(columns), 'column')} got another value.")
    if bad := sum(r.count for r in records if r.what == "bad cells"):
        parts.append(f"{plural(bad, 'cell')} could not be treated.")
    if came is not None and left is not None and came.rows and left.rows:
        before, after = (sum(view.missing.values()) for view in (came, left))
        sizes = [view.rows * len(view.schema) for view in (came, left)]
        if before or after:
            shares = show_share(before / sizes[0]), show_share(after / sizes[1])
            parts.append(f"Missing were {shares[0]} of the cells, now {shares[1]} are.")
    steps = [_step_text(list(group)) for _, group in groupby(records, key=lambda r: (r.number, r.step))]
    blocks: list[Block] = [Text(" ".join(parts), tone="lead"), Points(steps, most=_MAX_STEPS)]
    path = list(_path(records, rows_in))
    return [*blocks, flow(path, title="Rows from step to step")] if len(path) > 1 else blocks


def _step_text(records: Sequence[ChangeRecord]) -> str:
    """What one step did, in a sentence."""
    done = []
    if cells := [r for r in records if r.what == "cells"]:
        done.append(f"changed {plural(sum(r.count for r in cells), 'cell')} of {_listed([r.column for r in cells])}")
    if bad := [r for r in records if r.what == "bad cells"]:
        count = plural(sum(r.count for r in bad), "cell")
        done.append(f"could not treat {count} of {_listed([r.column for r in bad])}")
    verbs = {"rows removed": "took away", "rows added": "added"}
    done += [f"{verbs[r.what]} {plural(r.count, 'row')}" for r in records if r.what in verbs]
    verbs = {"columns added": "added", "columns removed": "took away"}
    done += [
        f"{verbs[r.what]} {plural(r.count, 'column')} ({printable(r.column or '', 200)})"
        for r in records
        if r.what in verbs
    ]
    return f"Step {records[0].number}, {records[0].step}, {'; '.join(done)}."


def _listed(names: Sequence[str | None]) -> str:
    shown = [printable(name or "", _NAME) for name in names[:_LISTED]]
    more = len(names) - _LISTED
    return ", ".join(shown) + (f" and {plural(more, 'more column')}" if more > 0 else "")


def _path(records: Sequence[ChangeRecord], rows_in: int) -> Iterator[tuple[str, int]]:
    """Rows after each step that took or added some."""
    rows = rows_in
    yield "came", rows
    for record in records:
        if record.what in ("rows removed", "rows added"):
            rows += record.count if record.what == "rows added" else -record.count
            yield f"{record.number} {record.step}", rows


def _missing(came: View, left: View) -> Figure | None:
    """The columns of which more or less is missing than before."""
    pairs = [(n, came.missing_share(n), left.missing_share(n)) for n in came.schema.names if n in left.schema]
    changed = sorted((each for each in pairs if each[1] != each[2]), key=lambda each: -abs(each[1] - each[2]))
    if not changed:
        return None
    kept = changed[:_MAX_MISSING]
    more = len(changed) - len(kept)
    names, before, after = zip(*kept, strict=True)
    return paired_bars(
        names,
        before,
        after,
        title="Share of the rows that lack a value",
        caption=f"{plural(more, 'more column')} changed less." if more else "",
    )


def _distributions(records: Sequence[ChangeRecord], came: View, left: View) -> Iterator[Block]:
    """Pictures of the columns whose cells changed, those with most changes first."""
    counts: dict[str, int] = {}
    for record in records:
        if record.what == "cells" and record.column is not None:
            counts[record.column] = counts.get(record.column, 0) + record.count
    both = set(came.sample.columns) & set(left.sample.columns)
    names = [name for name in sorted(counts, key=lambda name: -counts[name]) if name in both]
    drawn = 0
    for name in names:
        if drawn == _MAX_PICTURES:
            break
        if (picture := _picture(name, counts[name], came, left)) is not None:
            drawn += 1
            yield picture
    sizes = sorted({view.sample.height for view in (came, left) if view.sample.height < view.rows})
    notes = []
    if sizes:
        notes.append(f"Drawn from {show_number(sizes[-1])} rows before and after that were chosen at random.")
    if hidden := len(counts) - len([name for name in counts if name in both]):
        notes.append(f"{plural(hidden, 'column')} that changed {_are(hidden)} hidden by the recipe, or gone.")
    if len(names) > _MAX_PICTURES:
        notes.append(f"The {_MAX_PICTURES} with most changes of {len(names):,} are drawn.")
    if notes:
        yield Text(" ".join(notes), tone="note")


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _picture(name: str, count: int, came: View, left: View) -> Figure | None:
    kinds = [view.schema[name].kind for view in (came, left)]
    caption = f"{plural(count, 'change')}."
    if came.sample[name].dtype != left.sample[name].dtype:
        after = _statistics(name, left, kinds[1])
        caption += f" It was a {kinds[0]} before, and is a {kinds[1]} now."
        empty = ColumnStatistics(name, kinds[1])
        return beside(empty, after, title=name, names=("before: not of this kind", "after"), caption=caption)
    pair = _statistics(name, came, kinds[1]), _statistics(name, left, kinds[1])
    if moved := moved_text(*pair):
        caption += f" Now {moved}."
    whole = left.schema[name].dtype == "int64"
    return beside(*pair, title=name, names=("before", "after"), whole=whole, caption=caption)


def _statistics(name: str, view: View, kind: Kind) -> ColumnStatistics:
    found = ColumnStatistics(name, kind)
    found.update(view.sample[name])
    return found


def _table(records: Sequence[ChangeRecord]) -> Table:
    rows = [
        (
            f"{each.number} {each.step}",
            each.column or "",
            f"{each.count:,} {each.what}",
            "; ".join(list(dict.fromkeys(_example(*pair) for pair in each.examples))[:_EXAMPLES]),
        )
        for each in records[:_MAX_RECORDS]
    ]
    first = f"The first {_MAX_RECORDS} of {len(records):,} changes" if len(records) > _MAX_RECORDS else "All changes"
    return Table(("step", "column", "changed", "examples"), rows, caption=first)


def _example(before: str, after: str) -> str:
    return f"{_value(before)} → {_value(after)}"


def _value(text: str) -> str:
    """A value as people read it: spaces at its ends are seen, long fractions are cut."""
    if not text:
        return "(missing)"
    if text != text.strip():
        return f"“{text}”"
    if _FRACTION.fullmatch(text):
        return show_number(float(text), 7)
    return text
