"""How the texts of a column are written: date formats, separators of numbers, units; told from the shapes of texts.

A shape is a text whose digits are put in classes, so that a column of a million numbers has a few shapes. Shapes are
counted, keep one text as an example, and merge.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lepton.bundle.codecs import NUMBER_FORMATS, DatetimeParser, NumberParser
from lepton.core import ErrorCode, UsageError
from lepton.data.dates import DateFormat, date_formats

__all__ = ["UNITS", "Shapes", "date_formats_of", "number_format_of", "units_of"]

UNITS: dict[str, dict[str, float]] = {
    "length": {
        "nm": 1e-9, "µm": 1e-6, "mm": 0.001, "cm": 0.01, "dm": 0.1, "m": 1.0, "km": 1000.0, "in": 0.0254,
        "inch": 0.0254,
        "inches": 0.0254, '"': 0.0254, "ft": 0.3048, "feet": 0.3048, "foot": 0.3048, "yd": 0.9144, "mi": 1609.344,
        "mile": 1609.344, "miles": 1609.344,
    },
    "mass": {
        "µg": 1e-9, "mg": 1e-6, "g": 0.001, "kg": 1.0, "t": 1000.0, "lb": 0.45359237, "lbs": 0.45359237,
        "oz": 0.028349523125,
    },
    "time": {
        "ms": 0.001, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "hr": 3600.0, "hrs": 3600.0, "hour": 3600.0,
        "hours": 3600.0, "d": 86400.0, "day": 86400.0, "days": 86400.0, "week": 604800.0, "weeks": 604800.0,
    },
    "volume": {"µl": 1e-6, "ml": 0.001, "mL": 0.001, "cl": 0.01, "dl": 0.1, "l": 1.0, "L": 1.0, "m3": 1e3, "m³": 1e3},
    "area": {"cm2": 1e-4, "cm²": 1e-4, "m2": 1.0, "m²": 1.0, "sqm": 1.0, "ha": 1e4, "km2": 1e6, "km²": 1e6},
    "speed": {"m/s": 1.0, "km/h": 1 / 3.6, "kmh": 1 / 3.6, "kph": 1 / 3.6, "mph": 0.44704, "kn": 0.514444},
    "pressure": {"Pa": 1.0, "hPa": 100.0, "mbar": 100.0, "kPa": 1000.0, "bar": 1e5, "MPa": 1e6, "psi": 6894.757},
    "power": {"mW": 0.001, "W": 1.0, "kW": 1000.0, "MW": 1e6, "GW": 1e9, "hp": 745.69987, "PS": 735.49875},
    "energy": {
        "J": 1.0, "kJ": 1000.0, "MJ": 1e6, "Wh": 3600.0, "kWh": 3.6e6, "MWh": 3.6e9, "cal": 4.184, "kcal": 4184.0,
    },
    "data": {
        "B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2.0**10, "MiB": 2.0**20,
        "GiB": 2.0**30,
    },
    "voltage": {"mV": 0.001, "V": 1.0, "kV": 1000.0},
    "current": {"mA": 0.001, "A": 1.0},
}  # fmt: skip
"""Quantity → unit → size in the first unit of size 1. A text that could be of two quantities is of the column's."""

_SHARES = {"%": 0.01, "‰": 0.001}
_COUNTS = {"k": 1e3, "K": 1e3, "M": 1e6, "mn": 1e6, "bn": 1e9, "B": 1e9}
_MOST_SHAPES = 10_000
_NUMBER = re.compile(r"[0-9][0-9.,' \u00a0\u2009\u202f’]*[0-9.,]|[0-9]|[.,][0-9]+")


@dataclass
class Shapes:
    """Shapes of the texts of a column.

    Attributes:
        classes: regular expressions of digits and the letter that stands for each in a shape.
        counts: shape → rows and an example, the smallest text.
        other: rows of shapes beyond the first 10,000.
    """

    classes: tuple[tuple[str, str], ...]
    counts: dict[str, tuple[int, str]] = field(default_factory=dict)
    other: int = 0

    @classmethod
    def of_dates(cls) -> Shapes:
        """Shapes that tell numbers that can be a month, a day only, or neither."""
        return cls((
            (r"[0-9]{5,}", "\x05"), (r"[0-9]{4}", "\x04"), (r"[0-9]{3}", "\x03"), (r"3[2-9]|[4-9][0-9]", "\x02"),
            (r"1[3-9]|2[0-9]|3[01]", "\x01"), (r"0[1-9]|1[0-2]", "\x06"), (r"[1-9]", "\x07"), ("[0-9]+", "\x08"),
        ))  # fmt: skip

    @classmethod
    def of_numbers(cls) -> Shapes:
        """Shapes that tell how many digits there are: one to three, or more; and zeros in front."""
        return cls((
            (r"\b0+\b", "\x00"), (r"[0-9]{4,}", "\x04"), (r"[0-9]{3}", "\x03"), (r"[0-9]{1,2}", "\x01"),
        ))  # fmt: skip

    def update(self, texts: pl.Series) -> None:
        """See some more texts."""
        counted = texts.drop_nulls().rename("text").str.strip_chars().value_counts(name="rows")
        counted = counted.filter(pl.col("text") != "")
        shape = pl.col("text")
        for pattern, letter in self.classes:
            shape = shape.str.replace_all(pattern, letter)
        grouped = counted.group_by(shape.alias("shape")).agg(pl.col("rows").sum(), pl.col("text").min())
        for each, rows, text in grouped.sort("shape").iter_rows():
            self._add(each, rows, text)

    def _add(self, shape: str, rows: int, text: str) -> None:
        before = self.counts.get(shape)
        if before is None and len(self.counts) >= _MOST_SHAPES:
            self.other += rows
        else:
            self.counts[shape] = (rows, text) if before is None else (before[0] + rows, min(before[1], text))

    def merge(self, other: Shapes) -> None:
        """Take in what others are."""
        for shape, (rows, text) in other.counts.items():
            self._add(shape, rows, text)
        self.other += other.other

    @property
    def examples(self) -> list[tuple[str, int]]:
        """An example of each shape with its rows, the most frequent first."""
        return [(text, rows) for _, (rows, text) in sorted(self.counts.items(), key=lambda e: (-e[1][0], e[0]))]

    @property
    def rows(self) -> int:
        """Texts that were seen."""
        return sum(rows for rows, _ in self.counts.values()) + self.other


def date_formats_of(shapes: Shapes, day_first: bool) -> dict[str, Any]:
    """The formats that explain the shapes, the most frequent first, and how sure that is.

    Returns:
        `formats` as strptime spells them, `rows` that each reads, `ambiguous` rows in which day and month could change
        places with no other value of that form to tell, and `unread` rows.
    """
    readable: dict[str, list[str]] = {}
    for text, _ in shapes.examples[:1000]:
        readable[text] = [each.strptime for each, _ in date_formats(pl.Series([text])) if _known(each)]
    votes: dict[str, int] = {}
    for text, rows in shapes.examples[:1000]:
        if len({_order(each) for each in readable[text]}) == 1:
            for each in readable[text]:
                votes[_twin(each)] = votes.get(_twin(each), 0) + (rows if _order(each) == "d" else -rows)
    reach: dict[str, int] = {}  # "May 5, 2020" is of the format that reads the other months too
    for text, rows in shapes.examples[:1000]:
        for each in readable[text]:
            reach[each] = reach.get(each, 0) + rows
    taken: dict[str, int] = {}
    ambiguous = unread = 0
    for text, rows in shapes.examples:
        options = readable.get(text, [])
        if not options:
            unread += rows
            continue
        sure = len({_order(each) for each in options}) == 1
        vote = votes.get(_twin(options[0]), 0)
        wanted = "d" if vote > 0 or (vote == 0 and day_first) else "m"
        options = [each for each in options if _order(each) == wanted] or options
        chosen = max(options, key=lambda each: reach[each])
        ambiguous += 0 if sure or vote else rows
        taken[chosen] = taken.get(chosen, 0) + rows
    ordered = sorted(taken, key=lambda each: (-taken[each], each))
    # A form whose order was voted for is tried before its twin, whatever the rows, so that 05/06 is read by the vote.
    ordered.sort(key=lambda each: _order(each) != ("d" if votes.get(_twin(each), 1 if day_first else -1) > 0 else "m"))
    return {
        "formats": ordered,
        "rows": [taken[each] for each in ordered],
        "ambiguous": ambiguous,
        "unread": unread + shapes.other,
    }


def _known(date_format: DateFormat) -> bool:
    try:
        DatetimeParser(date_format.strptime)
    except UsageError:
        return False
    return True


def _order(date_format: str) -> str:
    """Which of day and month comes first where both are numbers."""
    return "m" if re.match(r"%m\W%d", date_format) else "d"


def _twin(date_format: str) -> str:
    """The form whatever the order of day and month, and without the time of day."""
    return re.sub(r"^%[dm](\W)%[dm]", r"%?\1%?", date_format).split("%H")[0].split("%I")[0].strip()


def number_format_of(shapes: Shapes, units: Mapping[str, float], decimal: str | None) -> dict[str, Any]:
    """How the numbers are written.

    Returns:
        `format`, the rows that are `read` in it, `unread`, and `ambiguous`: rows that another format, which reads as
        many, reads as other numbers.
    """
    formats = [each for each in NUMBER_FORMATS if decimal is None or each[-2] == decimal]
    parsers = {each: NumberParser(each, units) for each in formats}
    found = [(rows, [parsers[each].parse(text) for each in formats]) for text, rows in shapes.examples]
    counts = [sum(rows for rows, numbers in found if numbers[k] is not None) for k in range(len(formats))]
    best = max(range(len(formats)), key=lambda k: (counts[k], -k))
    rivals = [k for k in range(len(formats)) if counts[k] == counts[best]]
    ambiguous = sum(
        rows
        for rows, numbers in found
        if numbers[best] is not None and any(numbers[k] not in (None, numbers[best]) for k in rivals)
    )
    read = counts[best]
    return {"format": formats[best], "read": read, "unread": shapes.rows - read, "ambiguous": ambiguous}


def units_of(shapes: Shapes, wanted: str, given: Mapping[str, float] | None) -> dict[str, Any]:
    """The units of the numbers and what each is multiplied with.

    Returns:
        `units` (text → factor; "" for a number alone), `unit` of the result or None, and `unit_rows` by text.
    """
    rows: dict[str, int] = {}
    for text, count in shapes.examples:
        unit = _unit_text(text)
        if unit is not None:
            rows[unit] = rows.get(unit, 0) + count
    named = sorted((unit for unit in rows if unit), key=lambda unit: (-rows[unit], unit))
    sizes = given if given is not None else _sizes(named, wanted)
    if wanted and given is None and sizes and wanted not in sizes:
        raise UsageError(
            ErrorCode.BAD_RECIPE, f"parse_numbers: got unit={wanted!r}", wanted="one of " + ", ".join(sizes)
        )
    present = [unit for unit in named if unit in sizes]
    target = wanted or min(present, key=lambda unit: (-rows[unit], abs(math.log(sizes[unit])), unit), default="")
    if given is not None or not present:
        units = dict(sizes) if given is not None else {"": 1.0}
    else:
        base = 1.0 if sizes is _SHARES or sizes is _COUNTS else sizes[target]
        units = {unit: _factor(sizes[unit], base) for unit in present}
        if len({units[unit] for unit in present}) == 1 and not set(present) & set(_SHARES):
            units[""] = units[present[0]]
        elif set(present) <= set(_COUNTS):
            units[""] = 1.0
    plain = target in {*_SHARES, *_COUNTS} or given is not None
    shown = {unit: rows[unit] for unit in sorted(rows, key=lambda unit: (-rows[unit], unit))[:20]}
    return {"units": units, "unit": wanted or (None if plain else target or None), "unit_rows": shown}


def _factor(size: float, base: float) -> float:
    """The size by that of the base; exact where it is a whole number or one over a whole number."""
    factor = size / base
    near = round(factor)
    if near and abs(factor - near) < 1e-9 * near:
        return float(near)
    inverse = round(base / size)
    return 1.0 / inverse if inverse and abs(base / size - inverse) < 1e-9 * inverse else factor


def _unit_text(text: str) -> str | None:
    """What stands beside the number of a text; None where there is no number, or several."""
    body = text.strip().lstrip("+-\u2212").strip()
    numbers = list(itertools.islice(_NUMBER.finditer(body), 3))
    if body[-1:] in "23" and len(numbers) == 2 and len(numbers[1][0]) == 1:
        numbers.pop()  # m2, km3
    if len(numbers) != 1:
        return None
    before, after = body[: numbers[0].start()].strip(" +-\u2212"), body[numbers[0].end() :].strip()
    unit = before or after
    return None if (before and after) or re.match(r"[-+\u2212.,'0-9]|[eE][0-9]", unit) else unit


def _sizes(named: list[str], wanted: str) -> dict[str, float]:
    """The units of the quantity that explains the column, the most frequent unit first."""
    if not named:
        return {}
    families = [_SHARES, *UNITS.values(), _COUNTS]
    families = [family for family in families if wanted in family] or families
    best = max(families, key=lambda family: sum(unit in family for unit in named))
    if named[0] in best:
        return best
    return {named[0]: 1.0} if len(named[0]) <= 32 and not re.search(r"[0-9]", named[0]) else {}
