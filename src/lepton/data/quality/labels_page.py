"""Labels that look wrong as one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lepton.core import printable
from lepton.report import Block, Page, Table, Text, bars, plural, scatter

__all__ = ["labels_page"]

_MAX_ROWS = 200
_MAX_PAIRS = 15
_NAME = 40
_NOTE = "A model that did not see these rows says so; it can be wrong, too. Nothing was changed: a person decides."


def labels_page(rows: Sequence[int], given: Sequence[Any], suggested: Sequence[Any], scores: Sequence[float]) -> Page:
    """The page.

    Args:
        rows: positions, the most suspect first.
        given: label of each.
        suggested: what it may be instead.
        scores: how suspect each is.
    """
    count = len(rows)
    page = Page("Labels that look wrong", f"{plural(count, 'label')}")
    if not count:
        return page.section("At a glance", Text("No label looks wrong.", tone="lead"), Text(_NOTE, tone="note"))
    lead, picture = _numbers(given, suggested) if _are_numbers(given) else _classes(given, suggested)
    page.section("At a glance", Text(lead, tone="lead"), Text(_NOTE, tone="note"), picture)
    shown = list(zip(rows, given, suggested, scores, strict=True))[:_MAX_ROWS]
    first = f"The {len(shown)} most suspect of {count:,}" if count > len(shown) else f"All {count:,}"
    table = Table(
        ("row, from 0", "given", "may be", "score"), shown, caption=f"{first}, the most suspect first", align="rllr"
    )
    return page.section("Rows to look at", table)


def _are_numbers(given: Sequence[Any]) -> bool:
    return all(isinstance(each, float) for each in given)


def _numbers(given: Sequence[Any], suggested: Sequence[Any]) -> tuple[str, Block]:
    above = sum(a > b for a, b in zip(given, suggested, strict=True))
    lead = (
        f"{plural(len(given), 'number')} {_lie(len(given))} far from what a model expects: {above:,} above, "
        f"{len(given) - above:,} below."
    )
    title = "What is given and what is expected"
    return lead, scatter(suggested, given, title=title, x_label="expected", y_label="given", diagonal=True)


def _lie(count: int) -> str:
    return "lies" if count == 1 else "lie"


def _classes(given: Sequence[Any], suggested: Sequence[Any]) -> tuple[str, Block]:
    pairs = Counter(zip(given, suggested, strict=True)).most_common()
    (old, new), most = pairs[0]
    lead = (
        f"{plural(len(given), 'label')} {'looks' if len(given) == 1 else 'look'} wrong. "
        f"Most often {_name(old)!r} may be {_name(new)!r}: {plural(most, 'row')}."
    )
    labels = [f"{_name(a)} → {_name(b)}" for (a, b), _ in pairs[:_MAX_PAIRS]]
    more = f", the first {_MAX_PAIRS} of {len(pairs):,}" if len(pairs) > _MAX_PAIRS else ""
    return lead, bars(labels, [n for _, n in pairs[:_MAX_PAIRS]], title=f"Given → what it may be{more}", x_label="rows")


def _name(label: Any) -> str:
    return printable(str(label), _NAME)
