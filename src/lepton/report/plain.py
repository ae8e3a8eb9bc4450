"""Tables for a terminal, as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from lepton.core import printable
from lepton.report.numbers import show_number

__all__ = ["plain_table"]

_MAX_CELL = 60


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, indent: str = "  ") -> str:
    """Aligned columns: the first to the left, numbers to the right, `None` as a dash."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(columns), *cells]) for i in range(len(columns))]
    right = [i > 0 and all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(columns))]

    def line(texts: Sequence[str]) -> str:
        padded = [t.rjust(w) if r else t.ljust(w) for t, w, r in zip(texts, widths, right, strict=True)]
        return (indent + "  ".join(padded)).rstrip()

    return "\n".join([line(columns), *map(line, cells)])


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, int | float):
        return show_number(value)
    return printable(str(value), _MAX_CELL)
