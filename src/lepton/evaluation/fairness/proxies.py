"""Which inputs of a model tell a protected column: leaving that column out does not take away what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from lepton.core import ColumnRecord, Kind, Role
from lepton.data.describe.associations import associations

__all__ = ["LEAST_ASSOCIATION", "MEASURED", "Proxy", "proxies_of"]

LEAST_ASSOCIATION = 0.3
"""Association from which an input is named."""
MEASURED = frozenset({Kind.NUMBER, Kind.DATETIME, Kind.BOOLEAN, Kind.CATEGORY})
"""Kinds of columns that have an association."""
_TOGETHER = 19  # inputs measured at once beside the protected column: `associations` keeps 20 columns


@dataclass(frozen=True, slots=True)
class Proxy:
    """An input that goes together with a protected column.

    Attributes:
        protected: the protected column.
        column: the input.
        association: Spearman's correlation of two numbers, −1 to 1; correlation ratio or Cramér's V else, 0 to 1.
        num_rows: rows that it was measured on.
    """

    protected: str
    column: str
    association: float
    num_rows: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "protected": self.protected,
            "column": self.column,
            "association": self.association,
            "num_rows": self.num_rows,
        }


def proxies_of(
    rows: pl.DataFrame,
    protected: Sequence[ColumnRecord],
    inputs: Sequence[ColumnRecord],
    *,
    least: float = LEAST_ASSOCIATION,
) -> tuple[Proxy, ...]:
    """Inputs that tell a protected column, the closest first.

    Each input is measured by itself: several that say little alone may still tell the column together.

    Args:
        rows: drawn at random, with all of these columns.
        protected: columns that say who belongs to which group.
        inputs: columns that the model takes.
        least: association, without its sign, from which an input is named.
    """
    found = []
    for own in protected:
        others = [each for each in inputs if each.name != own.name]
        for start in range(0, len(others), _TOGETHER):
            chosen = [own, *others[start : start + _TOGETHER]]
            # Under names of ours: those of the data may be any.
            records = [replace(each, name=f"c{place}", role=Role.FEATURE) for place, each in enumerate(chosen)]
            told = associations(
                rows.select(pl.col(each.name).alias(f"c{place}") for place, each in enumerate(chosen)), records
            )
            if told is None or "c0" not in told.names:
                continue
            values = told.values[told.names.index("c0")]
            found += [
                Proxy(own.name, chosen[int(name[1:])].name, float(value), told.num_rows)
                for name, value in zip(told.names, values, strict=True)
                if name != "c0" and abs(value) >= least
            ]
    return tuple(sorted(found, key=lambda each: -abs(each.association)))
