"""Counts of what a step of a recipe does to the rows, with examples."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from lepton.core import printable

__all__ = ["ChangeRecord", "Tally"]

_EXAMPLES = 5


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
