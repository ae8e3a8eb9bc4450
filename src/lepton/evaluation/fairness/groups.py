"""Groups of people that protected columns make: by values, by ranges, and by two columns at once."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, UsageError, printable
from lepton.evaluation.segments import parts_of
from lepton.report import show_number

__all__ = ["BOTH", "LEAST_ROWS", "Parts", "crossed", "names_of", "parts_by", "unknown_column"]

LEAST_ROWS = 30
"""Below so many rows nothing is concluded about a group."""
BOTH = " × "
MAX_COLUMNS = 50

Parts = list[tuple[str, NDArray[np.bool_]]]
"""Names and masks [N]: none overlaps, all rows are in one."""


def names_of(protected: Sequence[str]) -> tuple[str, ...]:
    """The names of protected columns, each once; `UsageError` unless it is a list of 1 to 50 texts."""
    if isinstance(protected, str):
        protected = (protected,)
    names = tuple(dict.fromkeys(protected))
    if not all(isinstance(name, str) for name in names):
        raise UsageError(ErrorCode.USAGE, f"got protected={protected!r}", wanted="names of columns")
    if not 1 <= len(names) <= MAX_COLUMNS:
        raise UsageError(
            ErrorCode.USAGE,
            f"got {len(names)} protected columns",
            wanted=f"1 to {MAX_COLUMNS} columns that say who belongs to which group",
            fix="name them, as in protected=['sex'], or say data.with_roles({'sex': 'protected'})",
        )
    return names


def unknown_column(name: str, known: Sequence[str], *, taken: bool) -> DataError:
    """What to raise where the data has no column `name`.

    Args:
        name: as it was asked for.
        known: columns of the data.
        taken: whether the model takes it.
    """
    alike = [other for other in known if other.casefold() == name.casefold()]
    close = alike or difflib.get_close_matches(name, known, n=1)
    where = "the data has no column" if taken else "neither the data nor the model has a column"
    return DataError(
        ErrorCode.UNKNOWN_COLUMN,
        f"{where} {printable(name)!r}",
        wanted="a column of the data that says who belongs to which group; the model need not take it",
        fix=f"did you mean {printable(close[0])!r}?" if close else "",
        details={"columns": list(known[:50])},
    )


def parts_by(column: pl.Series, edges: Sequence[float] | None = None) -> Parts:
    """Groups by the values of a column; many numbers are cut at `edges`, or at their quartiles.

    Args:
        column: protected column [N].
        edges: rising places to cut numbers at; a value that is one belongs to the group above it.

    Raises:
        UsageError: edges that do not rise, or for a column that holds no numbers.
    """
    if edges is None:
        return parts_of(column.alias("value"))
    cuts = _checked(edges, column)
    values = column.cast(pl.Float64).fill_null(math.nan).to_numpy()
    missing = ~np.isfinite(values)
    place = np.where(missing, -1, np.searchsorted(cuts, values, side="right"))
    shown = [show_number(float(each)) for each in cuts]
    if len(set(shown)) < len(shown):
        shown = [repr(float(each)) for each in cuts]
    parts: Parts = []
    for each in np.unique(place[~missing]).tolist():
        parts.append((_range_name(shown, each), place == each))
    return [*parts, ("missing", missing)] if missing.any() else parts


def crossed(parts: Mapping[str, Parts]) -> dict[str, Parts]:
    """Groups by two columns at once, for each pair: "sex × age" → "f × under 30" and so on; empty ones are left out."""
    found: dict[str, Parts] = {}
    for one, other in combinations(parts, 2):
        both = [
            (f"{first}{BOTH}{second}", mask & also)
            for first, mask in parts[one]
            for second, also in parts[other]
        ]  # fmt: skip
        found[f"{one}{BOTH}{other}"] = [(name, rows) for name, rows in both if rows.any()]
    return found


def _checked(edges: Any, column: pl.Series) -> NDArray[np.float64]:
    try:
        cuts = np.asarray(list(edges), dtype=np.float64)
    except (TypeError, ValueError):
        cuts = np.empty((0, 0))
    if cuts.ndim != 1 or not len(cuts) or not np.isfinite(cuts).all() or (np.diff(cuts) <= 0).any():
        raise UsageError(ErrorCode.USAGE, f"got the edges {edges!r}", wanted="rising numbers, such as [30, 50, 65]")
    if not column.dtype.is_numeric():
        raise UsageError(
            ErrorCode.USAGE,
            f"got edges for the column {printable(column.name)!r}, which holds no numbers",
            wanted="edges for columns of numbers only",
        )
    return cuts


def _range_name(cuts: Sequence[str], place: int) -> str:
    if place == 0:
        return f"under {cuts[0]}"
    if place == len(cuts):
        return f"{cuts[-1]} and over"
    return f"{cuts[place - 1]} to under {cuts[place]}"
