"""What the columns of a raw table are, decided on a bounded sample, with the evidence and the way to override it.

Later rows are held against these decisions while they are read (`lepton.data.convert`).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np
import polars as pl

from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, Schema, UsageError, printable
from lepton.data.convert import SPACE, ColumnPlan, NumberFormat
from lepton.data.dates import DateFormat, date_formats, like_date, parse_dates
from lepton.data.decisions import DecisionRecord
from lepton.data.formats import Source

T = TypeVar("T")

__all__ = ["MISSING_TEXTS", "NUMBER_MISSING_TEXTS", "Wanted", "detect"]

MISSING_TEXTS = ("NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "?")
"""Cells that mean "missing" in every column of a text file, beside the empty one."""

NUMBER_MISSING_TEXTS = ("-", "--", ".", "None", "none", "missing")
"""Cells that mean "missing" only where all others are numbers, booleans or datetimes: elsewhere they are categories."""

_TABLE_KINDS = tuple(kind for kind in Kind if kind is not Kind.SERIES)
_SUSPICIOUS_CODES = (-99.0, -999.0, -9999.0, -99999.0, 999.0, 9999.0, 99999.0, 999999.0)
_ID_NAME = re.compile(r"(?i:(^|[_\s.-])(id|uuid|guid|key|index|idx|no|nr|row_?number)$)|[a-z](Id|ID|Key|No)$")
_LOOKED_THROUGH = 64 * 2**20
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$")
_DIGIT = re.compile(r"[0-9]")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]{4}")
_MOST_BOOLEAN_TEXTS = 6
_BOOLEAN_PAIRS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"}, {"true"}, {"false"})
_PLAIN_NUMBER = re.compile(r"(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?i:inf|infinity))$", re.ASCII)
_NUMBER_FORMATS = tuple(
    (number_format, re.compile(rf"[+-]?(?:{pattern})$", re.ASCII))
    for number_format, pattern in (
        (NumberFormat(",", "."), r"\d{1,3}(?:,\d{3})+(?:\.\d+)?"),
        (NumberFormat(" ", "."), r"\d{1,3}(?: \d{3})+(?:\.\d+)?"),
        (NumberFormat("'", "."), r"\d{1,3}(?:'\d{3})+(?:\.\d+)?"),
        (NumberFormat("", ","), r"\d+,\d+"),
        (NumberFormat(".", ","), r"\d{1,3}(?:\.\d{3})+(?:,\d+)?|\d+,\d+"),
        (NumberFormat(" ", ","), r"\d{1,3}(?: \d{3})+(?:,\d+)?|\d+,\d+"),
    )
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller of `read` says about columns.

    Attributes:
        kinds: column → kind; `"datetime:%d/%m/%Y"` gives the format too.
        roles: column → role.
        missing: texts (and numbers, as texts) that mean "missing", for all columns or by column; None: decide.
    """

    kinds: Mapping[str, Kind]
    formats: Mapping[str, str]
    roles: Mapping[str, Role | str]
    missing: tuple[str, ...] | Mapping[str, tuple[str, ...]] | None

    @classmethod
    def of(
        cls,
        kinds: Mapping[str, Kind | str] | None,
        roles: Mapping[str, Role | str] | None,
        missing: Sequence[str | float] | Mapping[str, Sequence[str | float]] | str | float | None,
    ) -> Wanted:
        """From the arguments of `read`; `UsageError` for a kind that is none."""
        formats = {}
        checked = {}
        for name, kind in _normal(kinds).items():
            word, _, date_format = str(kind).partition(":")
            if word not in _TABLE_KINDS or (date_format and word != Kind.DATETIME):
                raise UsageError(
                    ErrorCode.USAGE,
                    f"got the kind {str(kind)!r} for column {name!r}",
                    wanted="one of " + ", ".join(_TABLE_KINDS) + ", or 'datetime:%d/%m/%Y'",
                )
            checked[name] = Kind(word)
            if date_format:
                formats[name] = date_format
        by_column = {name: _texts(v) for name, v in _normal(missing).items()} if isinstance(missing, Mapping) else None
        everywhere = None if missing is None or isinstance(missing, Mapping) else _texts(missing)
        return cls(checked, formats, _normal(roles), everywhere if by_column is None else by_column)

    def markers(self, name: str) -> tuple[str, ...] | None:
        """Missing markers that the caller gave for a column; None where detection decides."""
        return self.missing.get(name) if isinstance(self.missing, Mapping) else self.missing


def _normal(by_column: Mapping[str, T] | None) -> dict[str, T]:
    """The same by column names in NFC, as columns are called."""
    return {unicodedata.normalize("NFC", name): value for name, value in (by_column or {}).items()}


def _texts(value: Sequence[str | float] | str | float) -> tuple[str, ...]:
    values = [value] if isinstance(value, str | int | float) else list(value)
    return tuple(text for text in map(str, values) if text)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The sample of one text column: how often each text stands, missing ones left out."""

    name: str
    counts: Mapping[str, int]
    num_rows: int
    markers: tuple[str, ...]
    textual: bool

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def share(self, fits: Callable[[str], object]) -> float:
        """Share of values that fit."""
        return sum(count for text, count in self.counts.items() if fits(text)) / max(self.total, 1)

    def without(self, texts: Collection[str]) -> _Seen:
        """The same column if `texts` mean missing; they become markers only if some are there."""
        if not any(text in self.counts for text in texts):
            return self
        left = {text: count for text, count in self.counts.items() if text not in texts}
        return replace(self, counts=left, markers=(*self.markers, *texts))


def detect(source: Source, wanted: Wanted) -> tuple[tuple[ColumnPlan, ...], tuple[DecisionRecord, ...]]:
    """The plan of every column of `source`, in order, and what was decided.

    Raises:
        DataError: `UNKNOWN_COLUMN` for a name that is not there.
        UsageError: a kind or role that is none.
    """
    schema = Schema(tuple(ColumnRecord(name, Kind.TEXT, "string") for name in source.columns))
    known = set(source.columns)
    by_column = wanted.missing if isinstance(wanted.missing, Mapping) else {}
    for name in (*wanted.kinds, *wanted.roles, *by_column):
        if name not in known:
            schema[name]  # raises, naming the closest
    schema.select(wanted.roles).with_roles(wanted.roles)  # refuses what is no role
    sample = source.sample()
    plain = _plain_numbers(sample, wanted) if source.textual else {}
    plans, decisions = [], []
    for name in source.columns:
        plan, about = plain[name] if name in plain else _decide(sample[name], source.textual, wanted)
        record = plan.record
        if name in wanted.roles:
            record = replace(record, role=Role(wanted.roles[name]))
        elif record.kind is Kind.IDENTIFIER:
            record = replace(record, role=Role.IGNORED)
            about = [*about, _role_of_identifier(name)]
        plans.append(replace(plan, record=record))
        decisions += about
    if source.num_bytes is not None and source.num_rows is None:  # there are rows that the sample lacks
        plans, decisions = _widen(source, plans, decisions)
    return tuple(plans), tuple(decisions)


def _widen(
    source: Source, plans: list[ColumnPlan], decisions: list[DecisionRecord]
) -> tuple[list[ColumnPlan], list[DecisionRecord]]:
    """Columns that are whole numbers in the sample, as float64 where later rows have decimals.

    Files of up to 64 MB are looked through; in larger ones every such column may have decimals, unless its numbers
    are too large for a double to hold.
    """
    whole = {p.record.name: p for p in plans if p.record.kind is Kind.NUMBER and p.record.dtype == "int64"}
    if not whole:
        return plans, decisions
    if (source.num_bytes or 0) <= _LOOKED_THROUGH:
        widened = _with_decimals(source, tuple(whole))
        why = "; a later row has decimals"
    else:
        sample = source.sample().select(pl.col(list(whole)).cast(pl.Int64, strict=False).abs().max())
        widened = {name for name in whole if (sample[name][0] or 0) < 2**53}
        why = " so far; later rows may have decimals"
    new_plans = [
        replace(p, record=replace(p.record, dtype="float64")) if p.record.name in widened else p for p in plans
    ]
    new_decisions = [
        replace(d, evidence=d.evidence + why) if d.what == "kind" and d.column in widened else d for d in decisions
    ]
    return new_plans, new_decisions


def _with_decimals(source: Source, names: Sequence[str]) -> set[str]:
    """Which of the columns, whole in the sample, hold other numbers in some later row."""
    found = set()
    for chunk in source.chunks(names, dict.fromkeys(names, pl.Int64()), MISSING_TEXTS):
        for series in chunk.frame:
            if isinstance(series.dtype, pl.String):
                texts = series.str.strip_chars(SPACE).drop_nulls()
                broken = texts.filter(texts.cast(pl.Int64, strict=False).is_null())
                if broken.cast(pl.Float64, strict=False).is_not_null().any():
                    found.add(series.name)
    return found


def _role_of_identifier(name: str) -> DecisionRecord:
    return DecisionRecord(
        name, "role", "ignored", "an identifier says nothing about other rows", f"roles={{{name!r}: 'feature'}}"
    )


# --- numbers in text, all columns at once ------------------------------------------------------------------------


def _plain_numbers(sample: pl.DataFrame, wanted: Wanted) -> dict[str, tuple[ColumnPlan, list[DecisionRecord]]]:
    """Columns of which every text is a plain number; quick for thousands of columns."""
    free = [name for name in sample.columns if name not in wanted.kinds and wanted.markers(name) is None]
    if not free or not sample.height:
        return {}
    # All cells in one column: to look at fifty thousand short columns one by one takes minutes.
    text = pl.concat([sample[name].alias("text") for name in free], rechunk=True).str.strip_chars(SPACE)
    column = np.repeat(np.arange(len(free), dtype=np.uint32), sample.height)
    missing = ["", *MISSING_TEXTS, *NUMBER_MISSING_TEXTS]
    told = pl.when(~pl.col("text").is_in(missing)).then(pl.col("text"))
    cells = pl.DataFrame({"column": column, "text": text}).with_columns(told=told)
    cells = cells.with_columns(
        number=pl.col("told").cast(pl.Float64, strict=False), whole=pl.col("told").cast(pl.Int64, strict=False)
    )
    seen = cells.group_by("column", maintain_order=True).agg(
        pl.col("told", "number", "whole").null_count(),
        coded=pl.col("told").str.contains(r"^[+-]?0\d").any(),
        extra=pl.col("text").is_in(NUMBER_MISSING_TEXTS).any(),
        distinct=pl.col("number").drop_nulls().n_unique(),
    )
    found = {}
    for place, absent, odd, broken, coded, extra, distinct in seen.iter_rows():
        if coded or not odd == absent < sample.height:
            continue
        name, first = free[place], place * sample.height
        markers = MISSING_TEXTS + (NUMBER_MISSING_TEXTS if extra else ())
        values = cells["whole" if broken == absent else "number"].slice(first, sample.height)
        values = values.drop_nulls() if absent else values  # an expression by column takes 0.1 ms
        numbers = _Numbers(name, values, distinct, broken == absent, sample.height, markers)
        plan, about = _decide_numbers(numbers, NumberFormat())
        if absent:
            about += _missing_report(name, Counter(text.slice(first, sample.height)), markers)
        found[name] = plan, about
    return found


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The sample of one column of numbers, missing ones left out."""

    name: str
    values: pl.Series
    distinct: int
    whole: bool
    num_rows: int
    markers: tuple[str, ...]


def _decide_numbers(
    seen: _Numbers, number_format: NumberFormat, asked: bool = False
) -> tuple[ColumnPlan, list[DecisionRecord]]:
    """Identifier or number, for values that all are numbers; a number where that was `asked` for."""
    name, count = seen.name, len(seen.values)
    if not asked and seen.whole and seen.distinct == count == seen.num_rows >= 5:
        named = _ID_NAME.search(name) is not None
        counting = count >= 20 and seen.values[0] in (0, 1) and bool((seen.values.diff().drop_nulls() == 1).all())
        if named or counting:
            why = "all different, and the name says so" if named else f"counts up from {seen.values[0]}"
            return _as_text(name, Kind.IDENTIFIER, f"{count:,} whole numbers, {why}", seen.markers)
    record = ColumnRecord(name, Kind.NUMBER, "int64" if seen.whole else "float64", missing_markers=seen.markers)
    evidence = f"all {count:,} values are {'whole numbers' if seen.whole else 'numbers'}"
    if number_format != NumberFormat():
        evidence += f", written with {number_format.group!r} for thousands and {number_format.decimal!r} for decimals"
    about = [DecisionRecord(name, "kind", "number", evidence, f"kinds={{{name!r}: 'category'}}")]
    return ColumnPlan(record, number_format), about + _number_reports(name, seen.values, seen.distinct)


def _number_reports(name: str, values: pl.Series, distinct: int) -> list[DecisionRecord]:
    reports = _constant_report(name, distinct, len(values))
    low, high = values.min(), values.max()
    if values.dtype.is_float() and (low == -math.inf or high == math.inf):
        infinite = int(values.is_infinite().sum())
        reports.append(DecisionRecord(name, "infinities", "kept as numbers", f"{infinite:,} values", ""))
    for code in (low, high):
        if code in _SUSPICIOUS_CODES and distinct > 2:
            rest = values.filter(values != code)
            count = len(values) - len(rest)
            nearest = rest.min() if code == low else rest.max()
            spread = float(rest.max()) - float(rest.min())  # type: ignore[arg-type]
            if count > 1 and abs(float(code) - float(nearest)) > spread:  # type: ignore[arg-type]
                shown = f"{float(code):g}"  # type: ignore[arg-type]
                reports.append(
                    DecisionRecord(
                        name,
                        "missing?",
                        "kept as a number",
                        f"{shown} stands {count:,} times, far from the rest: perhaps it means missing",
                        f"missing={{{name!r}: [{shown!r}]}}",
                    )
                )
    return reports


# --- one column --------------------------------------------------------------------------------------------------


def _decide(raw: pl.Series, textual: bool, wanted: Wanted) -> tuple[ColumnPlan, list[DecisionRecord]]:
    name = raw.name
    kind = wanted.kinds.get(name)
    given = wanted.markers(name)
    if isinstance(raw.dtype, pl.Categorical | pl.Enum | pl.Null | pl.Time):
        raw = raw.cast(pl.String)
    if not isinstance(raw.dtype, pl.String):
        return _decide_typed(raw, kind, given or ())
    default: tuple[str, ...] = MISSING_TEXTS if textual else ()
    if kind in (Kind.NUMBER, Kind.BOOLEAN, Kind.DATETIME):
        default = MISSING_TEXTS + NUMBER_MISSING_TEXTS
    markers = default if given is None else given
    counts = Counter(text.strip(SPACE) for text in raw if text is not None)
    missing = {"", *markers}
    seen = _Seen(name, {text: n for text, n in counts.items() if text not in missing}, len(raw), markers, textual)
    if kind is not None:
        plan, about = _as_asked(seen, kind, wanted.formats.get(name))
    else:
        plan, about = _decide_text(seen)
        if given is None and textual and plan.record.dtype == "string":
            about += _marker_suspicions(seen)
    return plan, about + _missing_report(name, counts, plan.record.missing_markers)


def _decide_typed(
    raw: pl.Series, kind: Kind | None, markers: tuple[str, ...]
) -> tuple[ColumnPlan, list[DecisionRecord]]:
    """A column that comes with a type: it keeps it, unless the caller says otherwise."""
    name, dtype = raw.name, raw.dtype
    values = raw.drop_nulls()
    if dtype.is_float():
        values = values.filter(values.is_not_nan())
    distinct = values.n_unique()
    own = (
        Kind.BOOLEAN
        if isinstance(dtype, pl.Boolean)
        else Kind.DATETIME
        if isinstance(dtype, pl.Date | pl.Datetime)
        else Kind.NUMBER
    )
    asked, kind = kind is not None, kind or own
    evidence = f"stored as {dtype}"
    about = [DecisionRecord(name, "kind", str(kind), evidence, f"kinds={{{name!r}: 'category'}}")]
    if own is Kind.NUMBER and kind is Kind.NUMBER:
        whole = dtype.is_integer() and not isinstance(dtype, pl.UInt64 | pl.Int128)
        if dtype.is_integer():
            numbers = _Numbers(name, values, distinct, whole, len(raw), markers)
            plan, about = _decide_numbers(numbers, NumberFormat(), asked)
            about[0] = replace(about[0], evidence=f"{evidence}; {about[0].evidence}")
            return plan, about
        unit = "s" if isinstance(dtype, pl.Duration) else None
        floats = values.dt.total_microseconds() / 1e6 if isinstance(dtype, pl.Duration) else values.cast(pl.Float64)
        record = ColumnRecord(name, Kind.NUMBER, "float64", unit=unit, missing_markers=markers)
        return ColumnPlan(record), about + _number_reports(name, floats, distinct)
    zone = dtype.time_zone if isinstance(dtype, pl.Datetime) else None
    storage = {Kind.NUMBER: "float64", Kind.BOOLEAN: "bool", Kind.DATETIME: "datetime"}.get(kind, "string")
    record = ColumnRecord(name, kind, storage, time_zone=zone, missing_markers=markers)
    return ColumnPlan(record), about + _constant_report(name, distinct, len(values))


def _decide_text(seen: _Seen) -> tuple[ColumnPlan, list[DecisionRecord]]:
    """A text column: numbers or booleans written as text (in textual sources), datetimes, or words."""
    if not seen.counts:
        return _as_text(seen.name, Kind.CATEGORY, "every value is missing", seen.markers)
    strict = seen.without(NUMBER_MISSING_TEXTS)
    if seen.textual and strict.counts:
        if number_format := _number_format(strict.counts):
            values = _read_numbers(strict.counts, number_format)
            numbers = _Numbers(seen.name, values, values.n_unique(), False, seen.num_rows, strict.markers)
            plan, about = _decide_numbers(numbers, number_format)
            return plan, [replace(about[0], evidence=f"{strict.total:,} values: {about[0].evidence}"), *about[1:]]
        lower = {text.lower() for text in strict.counts} if len(strict.counts) <= _MOST_BOOLEAN_TEXTS else set()
        if lower in _BOOLEAN_PAIRS:
            return _as_boolean(strict, "the values are " + " and ".join(sorted(lower)))
    dates = _decide_dates(strict if seen.textual else seen)
    if isinstance(dates, tuple):
        return dates
    plan, about = _decide_words(seen)
    return plan, about + ([dates] if dates else []) + _number_suspicion(seen)


def _read_numbers(texts: Collection[str], number_format: NumberFormat) -> pl.Series:
    frame = pl.DataFrame({"text": list(texts)})
    return frame.select(number_format.normal(pl.col("text")).cast(pl.Float64, strict=False)).to_series()


def _number_format(texts: Collection[str]) -> NumberFormat | None:
    """The format in which every text is a number, grouped or not; None if there is none.

    Columns of plain numbers alone were found before, all at once: those that come here have leading zeros, as codes.
    """
    odd = [text for text in texts if not _PLAIN_NUMBER.match(text)]
    points = len(odd) < len(texts) and any("." in text for text in texts if _PLAIN_NUMBER.match(text))
    for number_format, pattern in _NUMBER_FORMATS:
        if odd and all(map(pattern.match, odd)) and not (number_format.decimal == "," and points):
            return number_format
    return None


def _decide_dates(seen: _Seen) -> tuple[ColumnPlan, list[DecisionRecord]] | DecisionRecord | None:
    """A datetime column; or a report where dates are mixed with other things; or None."""
    if not any(map(like_date, islice(seen.counts, 20))):
        return None
    texts = pl.Series(list(seen.counts))
    found = date_formats(texts)
    if found and found[0][1] == len(texts):
        return _as_moments(seen, [date_format for date_format, count in found if count == len(texts)])
    shown = "; ".join(f"{date_format.strptime} in {count:,}" for date_format, count in found[:3])
    likely = found[0][0].strptime if found else "%Y-%m-%d"
    return DecisionRecord(
        seen.name,
        "dates",
        "not read as datetimes",
        f"mixed formats: {shown or 'none fits'} of {len(texts):,} different values",
        f"kinds={{{seen.name!r}: 'datetime:{likely}'}}",
    )


def _as_moments(seen: _Seen, formats: list[DateFormat]) -> tuple[ColumnPlan, list[DecisionRecord]]:
    name, chosen = seen.name, formats[0]
    evidence, override = f"all {seen.total:,} values are dates as {chosen.strptime}", f"kinds={{{name!r}: 'category'}}"
    if other := next((f for f in formats[1:] if f.day_first != chosen.day_first), None):
        chosen, other, why = _day_or_month(list(seen.counts), chosen, other)
        evidence = f"AMBIGUOUS: all values are dates as {chosen.strptime} and as {other.strptime}; {why}"
        override = f"kinds={{{name!r}: 'datetime:{other.strptime}'}}"
    record = ColumnRecord(
        name,
        Kind.DATETIME,
        "datetime",
        time_zone="UTC" if chosen.zoned else None,
        missing_markers=seen.markers,
        datetime_format=None if chosen.iso else chosen.strptime,
    )
    about = [DecisionRecord(name, "kind", "datetime", evidence, override)]
    return ColumnPlan(record, datetime_format=chosen.format), about + _constant_report(
        name, len(seen.counts), seen.total
    )


def _day_or_month(texts: list[str], first: DateFormat, second: DateFormat) -> tuple[DateFormat, DateFormat, str]:
    """Choose between day-first and month-first where both fit: the one in which the rows are sorted, else day first."""
    from_day, from_month = (first, second) if first.day_first else (second, first)
    # Different texts stand in the order in which they first came.
    in_order = {
        each: len(texts) > 2 and parse_dates(pl.Series(texts), each).is_sorted() for each in (from_day, from_month)
    }
    if in_order[from_month] and not in_order[from_day]:
        return from_month, from_day, "as the first, the rows are in order of time"
    if in_order[from_day] and not in_order[from_month]:
        return from_day, from_month, "as the first, the rows are in order of time"
    return from_day, from_month, "the day is taken to stand first"


def _decide_words(seen: _Seen) -> tuple[ColumnPlan, list[DecisionRecord]]:
    """Identifier, free text or category."""
    name, count, distinct = seen.name, seen.total, len(seen.counts)
    mean_length = sum(len(text) * n for text, n in seen.counts.items()) / count
    spaced = seen.share(lambda text: " " in text)
    if distinct == count == seen.num_rows >= 2:
        if all(map(_UUID.match, seen.counts)):
            return _as_text(name, Kind.IDENTIFIER, f"{count:,} different UUIDs", seen.markers)
        if count >= 5 and _ID_NAME.search(name) and spaced < 0.1:
            evidence = f"{count:,} values, all different, and the name says so"
            return _as_text(name, Kind.IDENTIFIER, evidence, seen.markers)
        if (
            count >= 100
            and spaced == 0
            and len(set(map(len, seen.counts))) == 1
            and all(map(_DIGIT.search, seen.counts))
        ):
            return _as_text(name, Kind.IDENTIFIER, f"{count:,} codes of one length, all different", seen.markers)
    wordy = mean_length > 50 or (spaced > 0.5 and mean_length > 20)
    # Chinese and Japanese put no spaces between words, and say more in fewer characters.
    wordy = wordy or (mean_length > 10 and seen.share(_UNSPACED.search) > 0.5)
    if wordy and distinct > 0.5 * count and count >= 2:
        evidence = f"{mean_length:.0f} characters on average, {distinct:,} different"
        return _as_text(name, Kind.TEXT, evidence, seen.markers)
    plan, about = _as_text(name, Kind.CATEGORY, f"{distinct:,} different in {count:,} values", seen.markers)
    return plan, about + _constant_report(name, distinct, count)


def _as_text(name: str, kind: Kind, evidence: str, markers: tuple[str, ...]) -> tuple[ColumnPlan, list[DecisionRecord]]:
    other = "text" if kind is Kind.CATEGORY else "category"
    record = ColumnRecord(name, kind, "string", missing_markers=markers)
    return ColumnPlan(record), [DecisionRecord(name, "kind", str(kind), evidence, f"kinds={{{name!r}: '{other}'}}")]


def _as_boolean(seen: _Seen, evidence: str) -> tuple[ColumnPlan, list[DecisionRecord]]:
    record = ColumnRecord(seen.name, Kind.BOOLEAN, "bool", missing_markers=seen.markers)
    about = [DecisionRecord(seen.name, "kind", "boolean", evidence, f"kinds={{{seen.name!r}: 'category'}}")]
    return ColumnPlan(record), about + _constant_report(seen.name, len(seen.counts), seen.total)


def _as_asked(seen: _Seen, kind: Kind, date_format: str | None) -> tuple[ColumnPlan, list[DecisionRecord]]:
    """A text column of the kind that the caller says; what does not fit is refused while it is read."""
    name = seen.name
    override = f"kinds={{{name!r}: '{kind}'}}"
    about = [DecisionRecord(name, "kind", str(kind), "as asked", override)]
    if kind is Kind.NUMBER:
        found = _number_format(seen.counts)
        return ColumnPlan(
            ColumnRecord(name, kind, "float64", missing_markers=seen.markers), found or NumberFormat()
        ), about
    if kind is Kind.BOOLEAN:
        return ColumnPlan(ColumnRecord(name, kind, "bool", missing_markers=seen.markers)), about
    if kind is not Kind.DATETIME:
        return ColumnPlan(ColumnRecord(name, kind, "string", missing_markers=seen.markers)), about
    if date_format is not None:
        asked = DateFormat(re.sub(r"%z", "%#z", date_format), "")
        record = ColumnRecord(
            name,
            kind,
            "datetime",
            time_zone="UTC" if asked.zoned else None,
            missing_markers=seen.markers,
            datetime_format=date_format,
        )
        return ColumnPlan(record, datetime_format=asked.format), about
    formats = date_formats(pl.Series(list(seen.counts))) if seen.counts else [(DateFormat("%Y-%m-%d", ""), 0)]
    if not formats:
        first = printable(next(iter(seen.counts)), 60)
        raise DataError(
            ErrorCode.BAD_VALUE,
            f"column '{printable(name)}' holds '{first}', which is no date that is known",
            fix=f"say how it is written: kinds={{'{printable(name)}': 'datetime:%d.%m.%Y'}}",
        )
    plan, reports = _as_moments(seen, [f for f, count in formats if count == formats[0][1]])
    return plan, [*about, *reports[1:]]


# --- reports -----------------------------------------------------------------------------------------------------


def _constant_report(name: str, distinct: int, count: int) -> list[DecisionRecord]:
    if distinct > 1 or count < 2:
        return []
    return [
        DecisionRecord(name, "constant", "kept", "every value is the same so far", f"roles={{{name!r}: 'ignored'}}")
    ]


def _missing_report(name: str, counts: Mapping[str, int], markers: Sequence[str]) -> list[DecisionRecord]:
    """Which texts were taken for missing, if any."""
    shown = ", ".join(f"{text!r} {counts[text]:,} times" for text in markers if text in counts)
    return [DecisionRecord(name, "missing", "null", shown, f"missing={{{name!r}: []}}")] if shown else []


def _marker_suspicions(seen: _Seen) -> list[DecisionRecord]:
    """Texts that may mean missing but stand among categories."""
    return [
        DecisionRecord(
            seen.name,
            "missing?",
            "kept as a category",
            f"{text!r} stands {seen.counts[text]:,} times: perhaps it means missing",
            f"missing={{{seen.name!r}: [{text!r}]}}",
        )
        for text in NUMBER_MISSING_TEXTS
        if text in seen.counts
    ]


def _number_suspicion(seen: _Seen) -> list[DecisionRecord]:
    """A report where many, not all, texts are numbers, or where texts of a typed source all are."""
    other = [text for text in seen.counts if not _PLAIN_NUMBER.match(text)]
    share = 1 - sum(seen.counts[text] for text in other) / max(seen.total, 1)
    if share < 0.5 or (not other and seen.textual):
        return []
    evidence = "stored as text, though every value is a number"
    if other:
        evidence = f"{share:.1%} of the values are numbers, but not '{printable(other[0], 40)}'"
    return [DecisionRecord(seen.name, "mixed", "not read as numbers", evidence, f"kinds={{{seen.name!r}: 'number'}}")]
