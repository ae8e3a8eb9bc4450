"""What a recipe changed: for each step and column how many cells, with examples before and after."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from lepton.core import printable
from lepton.report import Page, Table, Text, plain_table

__all__ = ["ChangeRecord", "Changes", "Tally"]

_EXAMPLES = 5
_SHOWN = 40


@dataclass(frozen=True)
class ChangeRecord:
    """What one step changed.

    Attributes:
        number: of the step in the recipe, from 1.
        step: its name.
        column: whose cells; None where rows came or went.
        count: cells that differ, or rows that went (below 0: that came).
        what: `cells`, `rows`, `bad cells`, `added` or `removed` columns.
        examples: up to five pairs (before, after) as texts; a missing value is "".
    """

    number: int
    step: str
    column: str | None
    count: int
    what: str
    examples: tuple[tuple[str, str], ...] = ()


@dataclass
class Tally:
    """Counts of one step over the frames that it has seen."""

    rows_in: int = 0
    rows_out: int = 0
    cells: dict[str, int] = field(default_factory=dict)
    bad: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def compare(self, before: pl.DataFrame, after: pl.DataFrame, columns: tuple[str, ...]) -> None:
        """Count the cells of `columns`, which both frames have, that differ."""
        for name in columns:
            old, new = before[name], after[name]
            if old.dtype != new.dtype:
                old, new = old.cast(pl.String), new.cast(pl.String)
            differs = old.ne_missing(new)
            count = int(differs.sum())
            self.cells[name] = self.cells.get(name, 0) + count
            examples = self.examples.setdefault(name, [])
            if count and len(examples) < _EXAMPLES:
                chosen = differs.arg_true().head(_EXAMPLES - len(examples))
                examples += zip(_shown(before[name].gather(chosen)), _shown(after[name].gather(chosen)), strict=True)


def _shown(values: pl.Series) -> list[str]:
    return ["" if value is None else printable(str(value), 60) for value in values.to_list()]


@dataclass(frozen=True)
class Changes:
    """What a recipe changed in a table.

    Attributes:
        records: in the order of the steps.
        rows_in: rows that came.
        rows_out: rows that are left.
    """

    records: tuple[ChangeRecord, ...]
    rows_in: int
    rows_out: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "changes": [
                {**asdict(each), "examples": [{"before": b, "after": a} for b, a in each.examples]}
                for each in self.records
            ],
        }

    def _rows(self) -> list[tuple[object, ...]]:
        return [
            (
                f"{each.number} {each.step}",
                each.column or "",
                f"{each.count:,} {each.what}",
                "; ".join(f"{before or '(missing)'} → {after or '(missing)'}" for before, after in each.examples[:2]),
            )
            for each in self.records
        ]

    def text(self) -> str:
        """A table for a terminal."""
        head = f"{self.rows_in:,} rows came, {self.rows_out:,} are left."
        shown = self._rows()
        more = f"\n... and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
        return head + "\n" + plain_table(("step", "column", "changed", "examples"), shown[:_SHOWN]) + more

    def page(self) -> Page:
        """One HTML page."""
        page = Page("What the recipe changed", f"{self.rows_in:,} rows came, {self.rows_out:,} are left")
        blocks: list[Any] = [Table(("step", "column", "changed", "examples"), self._rows())]
        if not self.records:
            blocks = [Text("Nothing was changed.")]
        page.section("Changes", *blocks)
        return page

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()
