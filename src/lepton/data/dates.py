"""Which format a column of date texts has: one that reads every value, or none."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

import polars as pl

__all__ = ["DateFormat", "date_formats", "fast_moments", "like_date", "parse_dates"]

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_MONTH = f"(?i:{'|'.join(_MONTHS)})"
_SHORT_MONTH = f"(?i:{'|'.join(month[:3] for month in _MONTHS)})"
_DATES = (
    (r"\d{4}-\d{1,2}-\d{1,2}", "%Y-%m-%d"),
    (r"\d{4}/\d{1,2}/\d{1,2}", "%Y/%m/%d"),
    (r"\d{4}\.\d{1,2}\.\d{1,2}", "%Y.%m.%d"),
    *(
        (
            rf"\d{{1,2}}{re.escape(mark)}\d{{1,2}}{re.escape(mark)}\d{{{digits}}}",
            f"%{first}{mark}%{second}{mark}%{year}",
        )
        for mark in "/-."
        for digits, year in ((4, "Y"), (2, "y"))
        for first, second in (("d", "m"), ("m", "d"))
    ),
    *(
        (rf"\d{{1,2}}{mark}{_SHORT_MONTH}{mark}\d{{{digits}}}", f"%d{mark}%b{mark}%{year}")
        for mark in " -"
        for digits, year in ((4, "Y"), (2, "y"))
    ),
    (rf"\d{{1,2}} {_MONTH} \d{{4}}", "%d %B %Y"),
    (rf"{_SHORT_MONTH} \d{{1,2}}, \d{{4}}", "%b %d, %Y"),
    (rf"{_MONTH} \d{{1,2}}, \d{{4}}", "%B %d, %Y"),
)
_ZONE = r"(?:Z|[+-]\d{2}:?\d{2})"
_TIMES = (
    ("", ""),
    *(
        (rf"{mark}{clock}{zone}", f"{mark}{directives}{'%#z' if zone else ''}")
        for mark in " T"
        for clock, directives in ((r"\d{1,2}:\d{2}", "%H:%M"), (r"\d{1,2}:\d{2}:\d{2}(?:\.\d{1,9})?", "%H:%M:%S%.f"))
        for zone in ("", _ZONE)
    ),
    (r" \d{1,2}:\d{2} ?[AaPp][Mm]", " %I:%M %p"),
    (r" \d{1,2}:\d{2}:\d{2} ?[AaPp][Mm]", " %I:%M:%S %p"),
)
_LIKE_DATE = re.compile(r"\d{1,4}[-/. ][\dA-Za-z]{1,9}[-/. ]\d{1,4}|[A-Za-z]{3,9} \d{1,2}, \d{4}")


@dataclass(frozen=True, slots=True)
class DateFormat:
    """One way to write a moment.

    Attributes:
        format: as Polars reads it.
        pattern: a regular expression of its texts.
    """

    format: str
    pattern: str

    @property
    def zoned(self) -> bool:
        """Whether texts name an offset, so that moments are in UTC."""
        return "%#z" in self.format

    @property
    def iso(self) -> bool:
        """Whether it is a form of ISO 8601 as the codec `parse-datetime/1` reads it without a format."""
        return self.format.startswith("%Y-%m-%d")

    @property
    def strptime(self) -> str:
        """The format as strptime and the codec spell it."""
        return self.format.replace("%#z", "%z")

    @property
    def day_first(self) -> bool:
        """Whether a day of two digits stands before a month of two digits."""
        return bool(re.match(r"%d\W%m", self.format))


_FORMATS = tuple(
    DateFormat(date_format + time_format, f"^(?:{date}{time})$")
    for (date, date_format), (time, time_format) in itertools.product(_DATES, _TIMES)
)


def like_date(text: str) -> bool:
    """Whether a text begins as dates do."""
    return _LIKE_DATE.match(text) is not None


def parse_dates(texts: pl.Series, date_format: DateFormat) -> pl.Series:
    """Moments; null where a text is not of the format."""
    shaped = texts.str.contains(date_format.pattern)
    return texts.set(~shaped, None).str.to_datetime(date_format.format, time_unit="us", strict=False)


def date_formats(texts: pl.Series) -> list[tuple[DateFormat, int]]:
    """Formats that read some of `texts` (no nulls), with how many they read, the most first; at ties day first."""
    found: list[tuple[DateFormat, int]] = []
    left = texts.unique(maintain_order=True).head(2000)
    shapes = left.str.replace_all(r"\d+", "0").str.replace_all(r"[A-Za-z]+", "a")
    for text in (
        left.to_frame().with_columns(shapes.alias("shape")).unique("shape", maintain_order=True).head(20).to_series()
    ):
        for candidate in _FORMATS:
            if re.match(candidate.pattern, text) and all(candidate != f for f, _ in found):
                count = len(texts) - parse_dates(texts, candidate).null_count()
                if count:
                    found.append((candidate, count))
    return sorted(found, key=lambda pair: -pair[1])


_FAST = {"Y": "[1-9][0-9]{3}", "m": "[0-9]{2}", "d": "[0-9]{2}", "H": "[0-9]{2}", "M": "[0-9]{2}", "S": "[0-9]{2}"}
_ISO_FAST = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")


def fast_moments(texts: pl.Series, datetime_format: str | None, time_zone: str | None) -> pl.Series:
    """Microseconds (Int64) of the texts that Polars reads as the codec `parse-datetime/1` does; null for the others.

    Args:
        texts: without spaces around.
        datetime_format: of the codec; None for the forms of ISO 8601.
        time_zone: of the column; only clocks without a zone are read here.
    """
    moments = pl.Series(texts.name, [None], dtype=pl.Int64).new_from_index(0, len(texts))
    if time_zone is not None:
        return moments
    # Texts with a fraction of a second are left to the codec, those without one are the same with and without `%.f`.
    for each in (datetime_format.removesuffix("%.f"),) if datetime_format is not None else _ISO_FAST:
        plain = re.sub("%([A-Za-z%]|\\.f)", lambda directive: "" if directive[1] in _FAST else "%", each)
        directives = re.findall("%([A-Za-z])", each)
        if "%" in plain or not {"Y", "m", "d"} <= set(directives) or len(set(directives)) < len(directives):
            continue
        if "S" not in directives and {"H", "M"} & set(directives):
            continue  # Polars wants hours and minutes together and fills in seconds by rules of its own
        pieces = re.split("%([A-Za-z])", each)
        pattern = "".join(_FAST[piece] if place % 2 else re.escape(piece) for place, piece in enumerate(pieces))
        shaped = texts.str.contains(f"^{pattern}$")
        if shaped.any():
            found = texts.set(~shaped, None).str.to_datetime(each, time_unit="us", strict=False).to_physical()
            moments = moments.zip_with(moments.is_not_null(), found)
    return moments
