"""Descriptions in a terminal: aligned, cut to the width, readable without colours."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from unicodedata import combining, east_asian_width

from lepton.core import printable
from lepton.data.describe.records import ColumnDescription, TableDescription
from lepton.report import show_number, show_share

__all__ = ["MAX_COLUMNS", "description_text"]

MAX_COLUMNS = 50
_MAX_FINDINGS = 20
_BLOCKS = " ▁▂▃▄▅▆▇█"
_BARS = 10
_MIN_VALUES = 18
_LEAST_NAME = 12


def description_text(description: TableDescription, width: int | None = None) -> str:
    """Lines of at most `width` characters; by default as wide as the terminal, 100 where there is none."""
    width = max(40, width or shutil.get_terminal_size((100, 24)).columns)
    shown = description.columns[:MAX_COLUMNS]
    lines = [_cut(description.summary_text(), width), ""]
    lines.extend(_table(shown, description.target is not None, width))
    if len(description.columns) > len(shown):
        lines.append(f"The first {len(shown)} of {len(description.columns):,} columns.")
    if description.findings:
        lines.extend(["", "To look at:"])
        for finding in description.findings[:_MAX_FINDINGS]:
            mark = "!" if finding.level == "warning" else "·"
            where = f"{printable(finding.column, 60)}: " if finding.column is not None else ""
            lines.extend(_wrapped(f"{mark} {where}{printable(finding.text)}", width))
        if len(description.findings) > _MAX_FINDINGS:
            lines.append(f"and {len(description.findings) - _MAX_FINDINGS:,} more")
    return "\n".join(lines)


def _table(columns: Sequence[ColumnDescription], has_target: bool, width: int) -> list[str]:
    head = ["column", "kind", "missing", "distinct", "distribution", "values"]
    rows = [
        [
            printable(c.record.name, 60),
            str(c.record.kind),
            show_share(c.missing_share),
            ("" if c.statistics.distinct.is_exact else "~") + show_number(c.statistics.num_distinct, 3),
            small_bars(c),
            printable(c.values_text()),
        ]
        for c in columns
    ]
    if has_target:
        head.insert(5, "target")
        for row, c in zip(rows, columns, strict=True):
            row.insert(5, c.relation_text())
    right = {"missing", "distinct", "target"}
    widths = [max(map(_width, column)) for column in zip(head, *rows, strict=True)]
    _fit(head, widths, width)
    return [
        "  ".join(
            _padded(_cut(cell, size), size, to_the_right=name in right)
            for name, cell, size in zip(head, row, widths, strict=True)
            if size
        ).rstrip()
        for row in (head, *rows)
    ]


def _fit(head: Sequence[str], widths: list[int], width: int) -> None:
    """Make the columns fit: values give way first, then the pictures, then long names."""
    last, first = len(head) - 1, 0

    def over() -> int:
        return sum(w + 2 for w in widths if w) - 2 - width

    widths[last] = min(widths[last], max(_MIN_VALUES, widths[last] - max(over(), 0)))
    for name in ("distribution", "distinct", "missing"):
        if over() > 0:
            widths[head.index(name)] = 0
    widths[first] = max(min(widths[first], _LEAST_NAME), widths[first] - max(over(), 0))
    widths[last] = max(6, widths[last] - max(over(), 0))


def small_bars(column: ColumnDescription) -> str:
    """The distribution in ten characters, or ""."""
    histogram = column.histogram(_BARS)
    if histogram is None or len(histogram.counts) < 2 or histogram.counts.max() <= 0:
        return ""
    tops = histogram.counts / histogram.counts.max()
    # The smallest bar that holds a row at all is drawn, so that nothing looks empty which is not.
    return "".join(_BLOCKS[max(round(t * 8), 1)] if t > 0 else " " for t in tops.tolist())


def _width(text: str) -> int:
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def _cut(text: str, width: int) -> str:
    if _width(text) <= width:
        return text
    while text and _width(text) > width - 1:
        text = text[:-1]
    return text + "…" if width else ""


def _padded(text: str, width: int, *, to_the_right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if to_the_right else text + space


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of words; those after the first are set in."""
    lines, line = [], ""
    for word in text.split():
        word = _cut(word, width - 2)
        if line and _width(line) + 1 + _width(word) > width:
            lines.append(line)
            line = "  " + word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]
