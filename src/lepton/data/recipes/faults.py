"""What is likely wrong with the values of a column: told with counts and examples, changed by nobody.

Each function looks at one column, whole or a sample, and gives a `Fault` or None. What a fault says is evidence for a
person and for suggestions of steps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from lepton.bundle.codecs import MARKS, repaired_series
from lepton.data.recipes.spellings import merged_spellings
from lepton.data.recipes.written import Shapes, date_formats_of, number_format_of, units_of

__all__ = [
    "Fault",
    "find_missing_markers",
    "find_mixed_dates",
    "find_mojibake",
    "find_number_texts",
    "find_spellings",
    "find_units",
]


@dataclass(frozen=True)
class Fault:
    """One thing that is likely wrong with a column.

    Attributes:
        kind: what it is: the name of the function without `find_`.
        rows: rows that it concerns.
        evidence: why, in a sentence.
        details: values, factors and formats by name, ready for JSON.
    """

    kind: str
    rows: int
    evidence: str
    details: dict[str, Any] = field(default_factory=dict)


_MARKERS = frozenset({
    "", "?", "??", "???", "-", "--", "---", ".", "..", "*", "na", "n/a", "n.a.", "#n/a", "#na", "#n/an/a", "<na>",
    "nan", "-nan", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "null", "nil", "none", "missing", "(missing)", "nodata",
    "notavailable", "notapplicable", "notknown", "notgiven", "tbd", "k.a.", "keineangabe", "#value!", "#div/0!",
    "#null!", "\\n",
})  # fmt: skip
"""Without spaces and in lower case."""
_MOST_NONE = 0.2  # "none" in more rows than that is a value, as in "other debtors: none"
_NINES = re.compile(r"-?9+(?:\.9+)?|-1|-9+\.25|-?8{3,}|-?7{3,}")


def find_missing_markers(values: pl.Series) -> Fault | None:
    """Texts that say "missing", and numbers such as -999 that lie far outside of all others."""
    counts = values.drop_nulls().rename("value").value_counts(name="rows")
    found = _marker_texts(counts, len(values)) if values.dtype == pl.String else _marker_numbers(counts)
    if not found:
        return None
    shown = ", ".join(f"{value!r} in {rows:,} rows" for value, rows in found.items())
    markers = [value if isinstance(value, str) else f"{value:g}" for value in found]
    return Fault("missing_markers", sum(found.values()), f"{shown}", {"markers": markers})


def _marker_texts(counts: pl.DataFrame, total: int) -> dict[Any, int]:
    plain = pl.col("value").str.replace_all(r"\s", "").str.to_lowercase()
    near = counts.filter(plain.is_in(list(_MARKERS)) | _among_numbers(counts))
    if near.height == counts.height:
        return {}
    return {
        value: rows
        for value, rows in near.sort(["rows", "value"], descending=[True, False]).iter_rows()
        if value.strip().lower() != "none" or rows <= _MOST_NONE * total
    }


def _among_numbers(counts: pl.DataFrame) -> pl.Series:
    """Which values are one of at most three words among numbers: "gone" twice and more, where all else is a number."""
    is_number = counts["value"].str.strip_chars().cast(pl.Float64, strict=False).is_not_null()
    words = ~is_number & ~counts["value"].str.contains("[0-9]") & (counts["rows"] >= 2)
    only = is_number.sum() >= 10 and int(words.sum()) <= 3 and bool((is_number | words).all())
    return words if only else pl.repeat(False, counts.height, eager=True)


def _marker_numbers(counts: pl.DataFrame) -> dict[Any, int]:
    values = counts["value"].cast(pl.Float64).to_numpy()
    rows = counts["rows"].to_numpy()
    coded = np.array([_NINES.fullmatch(f"{value:.12g}") is not None for value in values], dtype=bool)
    usual = values[~coded & np.isfinite(values)]
    if not coded.any() or len(usual) < 2:
        return {}
    low, high = usual.min(), usual.max()
    found = {}
    for value, count in sorted(zip(values[coded].tolist(), rows[coded].tolist(), strict=True)):
        away = low - value if value < low else value - high
        far = away > 0.5 * (high - low) or (value < 0 <= low and away > 0)
        if count >= 2 and far and not (value == -1 and low < 0):
            found[value] = count
    return found


def find_mixed_dates(values: pl.Series) -> Fault | None:
    """Dates in several formats, or among them texts that are none."""
    shapes = Shapes.of_dates()
    if values.dtype != pl.String or not _some(values, r"[0-9].*[0-9]"):
        return None
    shapes.update(values)
    found = date_formats_of(shapes, day_first=True)
    read = shapes.rows - found["unread"]
    if read < 0.8 * shapes.rows or not read or (len(found["formats"]) == 1 and not found["unread"]):
        return None
    rows = shapes.rows - found["rows"][0]
    listed = ", ".join(f"{f} in {n:,} rows" for f, n in zip(found["formats"], found["rows"], strict=True))
    return Fault("mixed_dates", rows, f"{listed}; {found['unread']:,} rows are in none", found)


def find_number_texts(values: pl.Series) -> Fault | None:
    """Numbers in text with separators, signs of currency or percent, or units."""
    found = _numbers(values)
    if found is None:
        return None
    return Fault(
        "number_texts",
        found["read"],
        f"{found['read']:,} of {found['read'] + found['unread']:,} rows are numbers written as {found['format']}"
        + (f" with {', '.join(u for u in found['unit_rows'] if u)}" if any(found["unit_rows"]) else ""),
        found,
    )


def find_units(values: pl.Series) -> Fault | None:
    """Numbers in text with several units of one quantity."""
    found = _numbers(values)
    sizes = {unit: rows for unit, rows in found["unit_rows"].items() if unit in found["units"]} if found else {}
    if found is None or len({found["units"][unit] for unit in sizes}) < 2:
        return None
    minor = sum(rows for unit, rows in sizes.items() if unit != found["unit"])
    listed = ", ".join(f"{unit or 'no unit'} in {rows:,} rows" for unit, rows in sizes.items())
    return Fault("units", minor, listed, {"units": found["units"], "unit": found["unit"]})


def _numbers(values: pl.Series) -> dict[str, Any] | None:
    if values.dtype != pl.String or not _some(values, "[0-9]"):
        return None
    texts = values.drop_nulls().str.strip_chars()
    if not texts.str.contains("[^0-9.+-]").any() and texts.cast(pl.Float64, strict=False).null_count() == 0:
        return None
    shapes = Shapes.of_numbers()
    shapes.update(texts)
    units = units_of(shapes, "", None)
    found = {**number_format_of(shapes, units["units"], None), **units}
    # Codes such as "A11" begin with a letter; amounts have their unit behind, or a sign of currency in front.
    letters_first = texts.str.contains(r"^\s*[\p{L}_]").mean()
    if found["read"] < 0.9 * shapes.rows or (isinstance(letters_first, float) and letters_first > 0.5):
        return None
    return found


def find_spellings(values: pl.Series) -> Fault | None:
    """Values of a category in several spellings."""
    if values.dtype != pl.String:
        return None
    counts = (
        values.drop_nulls().rename("value").value_counts(name="rows").sort(["rows", "value"], descending=[True, False])
    )
    if counts.height > 0.5 * max(int(counts["rows"].sum()), 1):
        return None
    found = merged_spellings([(value, rows) for value, rows in counts.head(20_000).iter_rows()])
    if not found:
        return None
    shown = ", ".join(f"{value!r} for {each['to']!r}" for value, each in list(found.items())[:5])
    return Fault("spellings", sum(int(each["rows"]) for each in found.values()), shown, {"spellings": found})


def find_mojibake(values: pl.Series) -> Fault | None:
    """Texts in UTF-8 that were read as Windows-1252."""
    if values.dtype != pl.String or not _some(values, MARKS):
        return None
    better = repaired_series(values)
    changed = (better != values).fill_null(value=False)
    if not changed.any():
        return None
    before, after = values.filter(changed)[0], better.filter(changed)[0]
    return Fault("mojibake", int(changed.sum()), f"{before!r} was {after!r}", {"example": [before, after]})


def _some(values: pl.Series, pattern: str) -> bool:
    return bool(values.str.contains(pattern).any())
