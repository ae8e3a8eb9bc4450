"""What a recipe changed: for each step and column how many cells, with examples before and after."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from lepton.data.recipes.changes_page import changes_page
from lepton.data.recipes.tally import ChangeRecord
from lepton.data.recipes.watched import View
from lepton.report import Page, plain_table

__all__ = ["Changes"]

_SHOWN = 40


@dataclass(frozen=True)
class Changes:
    """What a recipe changed in a table.

    Attributes:
        records: in the order of the steps.
        rows_in: rows that came.
        rows_out: rows that are left.
        came: the rows before the first step: what is missing, and a sample; None where they were not all seen.
        left: the rows after the last step, likewise.
    """

    records: tuple[ChangeRecord, ...]
    rows_in: int
    rows_out: int
    came: View | None = field(default=None, repr=False, compare=False)
    left: View | None = field(default=None, repr=False, compare=False)

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
        """One HTML page: what each step did, and the columns before and after, from at most 10,000 rows each."""
        return changes_page(self.records, self.rows_in, self.rows_out, self.came, self.left)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()
