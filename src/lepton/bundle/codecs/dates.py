"""Codec `parse-datetime/1`: a text that names a moment → microseconds since 1970-01-01 UTC.

One reader serves single texts and whole columns; no locale, no guessing. Specified in `docs/reference/codecs.md`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence

import polars as pl

from lepton.core import ErrorCode, UsageError, printable

__all__ = ["DatetimeParser", "microseconds"]

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTH_NUMBERS = {name: number for number, month in enumerate(_MONTHS, 1) for name in (month, month[:3])}
_SPACE = " \t\r\n"
_NAIVE_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - compared with naive moments only
_EPOCH = _NAIVE_EPOCH.replace(tzinfo=dt.UTC)
_DAY = 86_400_000_000
_MICROSECOND = dt.timedelta(microseconds=1)

_ZONE = r"(?P<zone>[Zz]|[+-][0-9]{2}:?[0-9]{2})"
_ISO = (
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?:[Tt ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?"
    rf"(?: ?{_ZONE})?)?"
)
_SHORTHANDS = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "R": "%H:%M", "D": "%m/%d/%y"}
_DIGITS = {"m": "month", "d": "day", "H": "hour", "I": "hour12", "M": "minute", "S": "second"}


def _one_of(words: tuple[str, ...]) -> str:
    return "(?i:" + "|".join(words) + ")"


_DIRECTIVES = {
    "Y": r"(?P<year>[0-9]{4})",
    "y": r"(?P<year2>[0-9]{2})",
    "f": r"(?P<fraction>[0-9]{1,9})",
    ".f": r"(?:\.(?P<fraction>[0-9]{1,9}))?",
    "p": r"(?P<half>(?i:am|pm))",
    "B": f"(?P<name>{_one_of(_MONTHS)})",
    "b": f"(?P<name>{_one_of(tuple(month[:3] for month in _MONTHS))})",
    "A": _one_of(_DAYS),
    "a": _one_of(tuple(day[:3] for day in _DAYS)),
    "z": _ZONE,
    "%": "%",
}
_DIRECTIVE = re.compile(r"%(\.f|.?)", re.DOTALL)


class DatetimeParser:
    """Reads moments from text, for one column.

    >>> parser = DatetimeParser()
    >>> parser.parse("1970-01-02T00:00:00.5Z")
    86400500000
    >>> DatetimeParser("%d/%m/%Y").parse("02/01/1970")
    86400000000
    >>> parser.parse("1970-02-30") is None
    True

    Args:
        format: strptime format; None reads the ISO 8601 forms of the specification.
        time_zone: IANA zone of texts that name no offset; None means UTC.
        further: formats for texts that are not of `format`, tried in their order.

    Raises:
        UsageError: for a format or zone that the specification does not know.
    """

    def __init__(
        self,
        format: str | None = None,  # noqa: A002
        time_zone: str | None = None,
        further: Sequence[str] = (),
    ) -> None:
        self.format = format
        self._further = tuple(DatetimeParser(each, time_zone) for each in further)
        self.time_zone = time_zone
        self._expression = re.compile(_ISO if format is None else _compiled(format))
        if time_zone is not None and not _is_zone(time_zone):
            raise UsageError(
                ErrorCode.USAGE,
                f"got the time zone '{printable(time_zone)}'",
                wanted='an IANA name such as "Europe/Berlin"',
            )

    def parse(self, text: str) -> int | None:
        """Microseconds since 1970 UTC, or None if `text` does not name a moment."""
        read = self._read(text)
        if read is None:
            return None
        moment, is_utc = read
        return moment if is_utc else int(self.to_utc(pl.Series([moment]))[0])

    def parse_series(self, texts: pl.Series) -> pl.Series:
        """`texts` (String) → Int64 microseconds since 1970 UTC; null where a text is null or names no moment."""
        distinct = texts.drop_nulls().unique()
        moments: list[int | None] = [None] * len(distinct)
        local: list[int] = []
        for position, text in enumerate(distinct):
            read = self._read(text)
            if read is not None:
                moments[position] = read[0]
                if not read[1]:
                    local.append(position)
        answers = pl.Series(moments, dtype=pl.Int64)
        if local:
            answers[local] = self.to_utc(answers[local])
        return texts.replace_strict(distinct, answers, default=None, return_dtype=pl.Int64)

    def to_utc(self, local: pl.Series) -> pl.Series:
        """Microseconds on the clock of `time_zone` (Int64, nulls stay) → microseconds since 1970 UTC.

        A time that the clock showed twice is the first of the two; one that it skipped is read with the offset
        that held before.
        """
        if self.time_zone is None:
            return local
        clock = local.cast(pl.Datetime("us"))
        utc = self._zoned(clock)
        if utc.null_count() > clock.null_count():
            utc = utc.fill_null(self._zoned(clock - dt.timedelta(days=1)) + _DAY)
        return utc

    def _zoned(self, clock: pl.Series) -> pl.Series:
        zoned = clock.dt.replace_time_zone(self.time_zone, ambiguous="earliest", non_existent="null")
        return zoned.to_physical()

    def _read(self, text: str) -> tuple[int, bool] | None:
        """Microseconds since 1970 and whether they are UTC already; None if `text` does not name a moment."""
        read = self._read_first(text)
        for parser in self._further if read is None else ():
            if (read := parser._read_first(text)) is not None:
                break
        return read

    def _read_first(self, text: str) -> tuple[int, bool] | None:
        match = self._expression.fullmatch(text.strip(_SPACE))
        if match is None:
            return None
        groups = {name: group for name, group in match.groupdict().items() if group is not None}
        offset = _offset(groups.get("zone", "Z"))
        try:
            moment = dt.datetime(  # noqa: DTZ001 - the zone is applied afterwards, to whole columns at once
                int(groups["year"]) if "year" in groups else _century(int(groups["year2"])),
                _MONTH_NUMBERS[groups["name"].lower()] if "name" in groups else int(groups.get("month", 1)),
                int(groups.get("day", 1)),
                _hour(groups),
                int(groups.get("minute", 0)),
                int(groups.get("second", 0)),
                int(groups.get("fraction", "0").ljust(6, "0")[:6]),
            )
        except ValueError:
            return None
        if offset is None:
            return None
        return microseconds(moment) - offset, "zone" in groups or self.time_zone is None


def microseconds(moment: dt.datetime) -> int:
    """Microseconds since 1970 on the clock of a naive `moment`, in UTC of an aware one."""
    return (moment - (_NAIVE_EPOCH if moment.tzinfo is None else _EPOCH)) // _MICROSECOND


def _is_zone(name: str) -> bool:
    try:
        pl.Series([0]).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(name)
    except pl.exceptions.PolarsError:
        return False
    return name != ""


def _hour(groups: Mapping[str, str]) -> int:
    if "hour12" not in groups:
        return int(groups.get("hour", 0))
    hour = int(groups["hour12"])
    if not 1 <= hour <= 12:
        raise ValueError(hour)
    return hour % 12 + 12 * (groups.get("half", "am").lower() == "pm")


def _century(year: int) -> int:
    # POSIX: 69-99 are of the 20th century, 00-68 of the 21st.
    return year + (1900 if year >= 69 else 2000)


def _offset(zone: str) -> int | None:
    """Microseconds east of Greenwich of `Z`, `+05:30` or `-0800`; None if there is no such offset."""
    if zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        return None
    return (hours * 60 + minutes) * 60_000_000 * (-1 if zone[0] == "-" else 1)


def _compiled(datetime_format: str) -> str:
    """The regular expression of a strptime format."""
    format_ = _DIRECTIVE.sub(lambda directive: _SHORTHANDS.get(directive[1], directive[0]), datetime_format)
    pattern, end = [], 0
    for directive in _DIRECTIVE.finditer(format_):
        pattern.append(re.escape(format_[end : directive.start()]))
        last, end, letter = end or None, directive.end(), directive[1]
        if letter in _DIGITS:
            # Where directives touch, only a fixed width tells where one ends.
            touches = directive.start() == last or format_[end : end + 1] == "%"
            width = "{2}" if touches else "{1,2}"
            pattern.append(f"(?P<{_DIGITS[letter]}>[0-9]{width})")
        elif letter in _DIRECTIVES:
            pattern.append(_DIRECTIVES[letter])
        else:
            raise _unknown_format(datetime_format, f"which holds '%{printable(letter)}'")
    pattern.append(re.escape(format_[end:]))
    whole = "".join(pattern)
    if "(?P<year" not in whole:
        raise _unknown_format(datetime_format, "which names no year")
    try:
        re.compile(whole)
    except re.error:
        raise _unknown_format(datetime_format, "which names a field twice") from None
    return whole


def _unknown_format(datetime_format: str, why: str) -> UsageError:
    return UsageError(
        ErrorCode.USAGE,
        f"got the datetime format '{printable(datetime_format)}', {why}",
        wanted="a year and any of %Y %y %m %d %H %I %M %S %f %.f %p %b %B %a %A %z %% %F %T %R %D, each once",
    )
