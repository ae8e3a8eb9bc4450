"""Where a data set came from: the recipe that made it, and the columns of the rows that went in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lepton.core import Schema

__all__ = ["Lineage"]


@dataclass(frozen=True)
class Lineage:
    """What made a data set.

    Attributes:
        recipe: the fitted `Recipe`.
        raw: columns of the rows that it takes.
        table: those rows, a `Dataset`.
    """

    recipe: Any
    raw: Schema
    table: Any
