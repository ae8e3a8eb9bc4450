"""What the columns of a raw table are, decided on a bounded sample, with the evidence and the way to override it.

Later rows are held against these decisions while they are read (`lepton.data.convert`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, Schema, UsageError, printable
from lepton.data.convert import ColumnPlan, NumberFormat
from lepton.data.dates import DateFormat, date_formats, like_date
from lepton.data.decisions import DecisionRecord
from lepton.data.formats import Source

__all__ = ["MISSING_TEXTS", "NUMBER_MISSING_TEXTS", "Wanted", "detect"]

MISSING_TEXTS = ("NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "?")
"""Cells that mean "missing" in every column of a text file, beside the empty one."""

NUMBER_MISSING_TEXTS = ("-", "--", ".", "None", "none", "missing")
"""Cells that mean "missing" only where all others are numbers, booleans or datetimes: elsewhere they are categories."""

_TABLE_KINDS = (Kind.NUMBER, Kind.BOOLEAN, Kind.DATETIME, Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER)
_SUSPICIOUS_CODES = (-99.0, -999.0, -9999.0, -99999.0, 999.0, 9999.0, 99999.0, 999999.0)
_ID_NAME = re.compile(r"(?i:(^|[_\s.-])(id|uuid|guid|key|index|idx|no|nr|row_?number)$)|[a-z](Id|ID|Key|No)$")
_LOOKED_THROUGH = 64 * 2**20
_UUID = r"^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
_NUMBER_FORMATS = (
    (NumberFormat(), r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$"),
    (NumberFormat(",", "."), r"^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$"),
    (NumberFormat(" ", "."), r"^[+-]?\d{1,3}(?: \d{3})+(?:\.\d+)?$"),
    (NumberFormat("'", "."), r"^[+-]?\d{1,3}(?:'\d{3})+(?:\.\d+)?$"),
    (NumberFormat("", ","), r"^[+-]?\d+,\d+$"),
    (NumberFormat(".", ","), r"^[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?$|^[+-]?\d+,\d+$"),
    (NumberFormat(" ", ","), r"^[+-]?\d{1,3}(?: \d{3})+(?:,\d+)?$|^[+-]?\d+,\d+$"),
)
_PLAIN_NUMBER = _NUMBER_FORMATS[0][1]


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
        for name, kind in (kinds or {}).items():
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
        by_column = {name: _texts(v) for name, v in missing.items()} if isinstance(missing, Mapping) else None
        everywhere = None if missing is None or isinstance(missing, Mapping) else _texts(missing)
        return cls(checked, formats, roles or {}, everywhere if by_column is None else by_column)

    def markers(self, name: str) -> tuple[str, ...] | None:
        """Missing markers that the caller gave for a column; None where detection decides."""
        return self.missing.get(name) if isinstance(self.missing, Mapping) else self.missing


def _texts(value: Sequence[str | float] | str | float) -> tuple[str, ...]:
    values = [value] if isinstance(value, str | int | float) else list(value)
    return tuple(text for text in map(str, values) if text)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The sample of one column: texts without missing ones (or typed values), and what was missing."""

    name: str
    values: pl.Series
    num_missing: int
    markers: tuple[str, ...]
    textual: bool

    def of(self, count: int) -> str:
        return f"{count:,} of {len(self.values):,} values"


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
                texts = series.str.strip_chars().drop_nulls()
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
    stripped = sample.select(pl.col(free).str.strip_chars())
    missing = ["", *MISSING_TEXTS, *NUMBER_MISSING_TEXTS]
    column = pl.col(free)
    texts = stripped.select(pl.when(~column.is_in(missing)).then(column))
    floats = texts.select(pl.all().cast(pl.Float64, strict=False))
    whole = texts.select(pl.all().cast(pl.Int64, strict=False))
    coded = texts.select(pl.all().str.contains(r"^[+-]?0\d").any()).row(0)
    extra = stripped.select(pl.all().is_in(NUMBER_MISSING_TEXTS).any()).row(0)
    numeric = [
        name
        for name, has_codes in zip(free, coded, strict=True)
        if not has_codes and floats[name].null_count() == texts[name].null_count() < sample.height
    ]
    if not numeric:
        return {}
    distinct = floats.select(pl.col(numeric).drop_nulls().n_unique()).row(0)
    has_extra = dict(zip(free, extra, strict=True))
    found = {}
    for name, num_distinct in zip(numeric, distinct, strict=True):
        is_whole = whole[name].null_count() == texts[name].null_count()
        markers = MISSING_TEXTS + (NUMBER_MISSING_TEXTS if has_extra[name] else ())
        values = (whole if is_whole else floats)[name].drop_nulls()
        seen = _Seen(name, values, sample.height - len(values), markers, True)
        plan, about = _decide_numbers(seen, is_whole, num_distinct, NumberFormat())
        if len(values) < sample.height:
            about += _missing_report(name, stripped[name], markers)
        found[name] = plan, about
    return found


def _decide_numbers(
    seen: _Seen, whole: bool, distinct: int, number_format: NumberFormat
) -> tuple[ColumnPlan, list[DecisionRecord]]:
    """Identifier or number, for values that all are numbers."""
    name, count = seen.name, len(seen.values)
    if whole and distinct == count and seen.num_missing == 0 and count >= 5 and number_format == NumberFormat():
        named = _ID_NAME.search(name) is not None
        counting = count >= 20 and seen.values[0] in (0, 1) and bool((seen.values.diff().drop_nulls() == 1).all())
        if named or counting:
            why = "all different, and the name says so" if named else f"counts up from {seen.values[0]}"
            return _as_text(seen, Kind.IDENTIFIER, f"{count:,} whole numbers, {why}")
    record = ColumnRecord(name, Kind.NUMBER, "int64" if whole else "float64", missing_markers=seen.markers)
    what = "whole numbers" if whole else "numbers"
    evidence = f"all {count:,} values are {what}"
    if number_format != NumberFormat():
        evidence += f", written with {number_format.group!r} for thousands and {number_format.decimal!r} for decimals"
    about = [DecisionRecord(name, "kind", "number", evidence, f"kinds={{{name!r}: 'category'}}")]
    return ColumnPlan(record, number_format), about + _number_reports(name, seen.values, distinct)


def _number_reports(name: str, values: pl.Series, distinct: int) -> list[DecisionRecord]:
    reports = _constant_report(name, distinct, len(values))
    if values.dtype.is_float() and (infinite := int(values.is_infinite().sum())):
        reports.append(DecisionRecord(name, "infinities", "kept as numbers", f"{infinite:,} values", ""))
    low, high = values.min(), values.max()
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
        plan, about = _decide_typed(raw, kind, given or ())
    else:
        default: tuple[str, ...] = MISSING_TEXTS if textual else ()
        if kind in (Kind.NUMBER, Kind.BOOLEAN, Kind.DATETIME):
            default = MISSING_TEXTS + NUMBER_MISSING_TEXTS
        markers = default if given is None else given
        stripped = raw.str.strip_chars()
        values = stripped.filter(~stripped.is_in(["", *markers]) & stripped.is_not_null())
        seen = _Seen(name, values, len(raw) - len(values), markers, textual)
        if kind is not None:
            plan, about = _as_asked(seen, kind, wanted.formats.get(name))
        else:
            plan, about = _decide_text(seen)
            if given is None and textual and plan.record.dtype == "string":
                about += _marker_suspicions(name, values)
        about += _missing_report(name, stripped, plan.record.missing_markers)
    return plan, about


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
    kind = kind or own
    evidence = f"stored as {dtype}"
    about = [DecisionRecord(name, "kind", str(kind), evidence, f"kinds={{{name!r}: 'category'}}")]
    if own is Kind.NUMBER and kind is Kind.NUMBER:
        whole = dtype.is_integer() and not isinstance(dtype, pl.UInt64 | pl.Int128)
        seen = _Seen(name, values, len(raw) - len(values), markers, False)
        if dtype.is_integer():
            plan, about = _decide_numbers(seen, whole, distinct, NumberFormat())
            about[0] = replace(about[0], evidence=f"{evidence}; {about[0].evidence}")
            return plan, about
        unit = "s" if isinstance(dtype, pl.Duration) else None
        numbers = values.dt.total_microseconds() / 1e6 if isinstance(dtype, pl.Duration) else values.cast(pl.Float64)
        record = ColumnRecord(name, Kind.NUMBER, "float64", unit=unit, missing_markers=markers)
        return ColumnPlan(record), about + _number_reports(name, numbers, distinct)
    zone = dtype.time_zone if isinstance(dtype, pl.Datetime) else None
    storage = {Kind.NUMBER: "float64", Kind.BOOLEAN: "bool", Kind.DATETIME: "datetime"}.get(kind, "string")
    record = ColumnRecord(name, kind, storage, time_zone=zone, missing_markers=markers)
    return ColumnPlan(record), about + _constant_report(name, distinct, len(values))


def _decide_text(seen: _Seen) -> tuple[ColumnPlan, list[DecisionRecord]]:
    values = seen.values
    if not len(values):
        return _as_text(seen, Kind.CATEGORY, "every value is missing")
    if seen.textual:
        strict = _without(values, NUMBER_MISSING_TEXTS)
        markers = seen.markers + (NUMBER_MISSING_TEXTS if len(strict) < len(values) else ())
        left = replace(seen, values=strict, markers=markers, num_missing=seen.num_missing + len(values) - len(strict))
        if len(strict) and (number_format := _number_format(strict)):
            numbers = _read_numbers(strict, number_format)
            return _decide_numbers(replace(left, values=numbers), False, numbers.n_unique(), number_format)
        lower = set(strict.unique().head(6).str.to_lowercase()) if len(strict) else set()
        if lower in ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"}) or lower in ({"true"}, {"false"}):
            return _as_boolean(left, "the values are " + " and ".join(sorted(lower)))
    dates = _decide_dates(seen)
    if isinstance(dates, tuple):
        return dates
    plan, about = _decide_words(seen)
    return plan, about + ([dates] if dates else []) + _number_suspicion(seen)


def _read_numbers(texts: pl.Series, number_format: NumberFormat) -> pl.Series:
    frame = texts.alias("text").to_frame()
    return frame.select(number_format.normal(pl.col("text")).cast(pl.Float64, strict=False)).to_series()


def _number_format(texts: pl.Series) -> NumberFormat | None:
    """The format in which every text is a number, grouped or not; None if there is none."""
    plain = texts.str.contains(_PLAIN_NUMBER)
    if plain.all():
        # Plain numbers come here only where zeros lead, as in codes.
        return None
    odd = texts.filter(~plain)
    for number_format, pattern in _NUMBER_FORMATS[1:]:
        if odd.str.contains(pattern).all():
            mixes = number_format.decimal == "," and texts.filter(plain).str.contains(".", literal=True).any()
            if not mixes:
                return number_format
    return None


def _decide_dates(seen: _Seen) -> tuple[ColumnPlan, list[DecisionRecord]] | DecisionRecord | None:
    """A datetime column; or a report where dates are mixed with other things; or None."""
    values = _without(seen.values, NUMBER_MISSING_TEXTS)
    if not len(values) or not any(like_date(text) for text in values.head(20)):
        return None
    found = date_formats(values)
    whole = [date_format for date_format, count in found if count == len(values)]
    if whole:
        markers = seen.markers
        if seen.textual and len(values) < len(seen.values):
            markers += NUMBER_MISSING_TEXTS
        return _as_moments(replace(seen, values=values, markers=markers), whole)
    shown = "; ".join(f"{date_format.strptime} in {count:,}" for date_format, count in found[:3])
    return DecisionRecord(
        seen.name,
        "dates",
        "not read as datetimes",
        f"mixed formats: {shown or 'none fits'} of {len(values):,} values",
        f"kinds={{{seen.name!r}: 'datetime:{found[0][0].strptime if found else '%Y-%m-%d'}'}}",
    )


def _as_moments(seen: _Seen, formats: list[DateFormat]) -> tuple[ColumnPlan, list[DecisionRecord]]:
    chosen, other = formats[0], next((f for f in formats[1:] if f.day_first != formats[0].day_first), None)
    name = seen.name
    evidence = f"all {len(seen.values):,} values are dates as {chosen.strptime}"
    about = []
    if other is not None:
        chosen, other, why = _day_or_month(seen.values, chosen, other)
        evidence = f"AMBIGUOUS: all values are dates as {chosen.strptime} and as {other.strptime}; {why}"
        about.append(
            DecisionRecord(name, "kind", "datetime", evidence, f"kinds={{{name!r}: 'datetime:{other.strptime}'}}")
        )
    else:
        about.append(DecisionRecord(name, "kind", "datetime", evidence, f"kinds={{{name!r}: 'category'}}"))
    record = ColumnRecord(
        name,
        Kind.DATETIME,
        "datetime",
        time_zone="UTC" if chosen.zoned else None,
        missing_markers=seen.markers,
        datetime_format=None if chosen.iso else chosen.strptime,
    )
    return ColumnPlan(record, datetime_format=chosen.format), about + _constant_report(
        name, seen.values.n_unique(), len(seen.values)
    )


def _day_or_month(values: pl.Series, first: DateFormat, second: DateFormat) -> tuple[DateFormat, DateFormat, str]:
    """Choose between day-first and month-first where both fit: the one in which the rows are sorted, else day first."""
    from_day, from_month = (first, second) if first.day_first else (second, first)
    in_order = {
        each: len(values) > 2 and values.str.to_datetime(each.format, time_unit="us", strict=False).is_sorted()
        for each in (from_day, from_month)
    }
    if in_order[from_month] and not in_order[from_day]:
        return from_month, from_day, "in the first the rows are in order of time"
    if in_order[from_day] and not in_order[from_month]:
        return from_day, from_month, "in the first the rows are in order of time"
    return from_day, from_month, "the day is taken to stand first"


def _decide_words(seen: _Seen) -> tuple[ColumnPlan, list[DecisionRecord]]:
    """Identifier, free text or category."""
    values, count = seen.values, len(seen.values)
    distinct = values.n_unique()
    lengths = values.str.len_chars()
    mean_length = float(lengths.mean() or 0)  # type: ignore[arg-type]
    spaced = float(values.str.contains(" ", literal=True).mean() or 0)  # type: ignore[arg-type]
    if distinct == count and seen.num_missing == 0 and count >= 2:
        if values.str.contains(_UUID).all():
            return _as_text(seen, Kind.IDENTIFIER, f"{count:,} different UUIDs")
        if count >= 5 and _ID_NAME.search(seen.name) and spaced < 0.1:
            return _as_text(seen, Kind.IDENTIFIER, f"{count:,} values, all different, and the name says so")
        uniform = lengths.min() == lengths.max() and bool(values.str.contains(r"\d").all())
        if count >= 100 and uniform and spaced == 0:
            return _as_text(seen, Kind.IDENTIFIER, f"{count:,} codes of one length, all different")
    # Chinese and Japanese put no spaces between words, and say more in fewer characters.
    unspaced = float(values.str.contains(r"[\x{3040}-\x{30ff}\x{4e00}-\x{9fff}]{4}").mean() or 0)  # type: ignore[arg-type]
    wordy = mean_length > 50 or (spaced > 0.5 and mean_length > 20) or (unspaced > 0.5 and mean_length > 10)
    if wordy and distinct > 0.5 * count and count >= 2:
        return _as_text(seen, Kind.TEXT, f"{mean_length:.0f} characters on average, {distinct:,} different")
    return _as_text(seen, Kind.CATEGORY, f"{distinct:,} different in {count:,} values")


def _as_text(seen: _Seen, kind: Kind, evidence: str) -> tuple[ColumnPlan, list[DecisionRecord]]:
    name = seen.name
    other = "text" if kind is Kind.CATEGORY else "category"
    record = ColumnRecord(name, kind, "string", missing_markers=seen.markers)
    about = [DecisionRecord(name, "kind", str(kind), evidence, f"kinds={{{name!r}: '{other}'}}")]
    return ColumnPlan(record), about + _constant_report(name, seen.values.n_unique(), len(seen.values))


def _as_boolean(seen: _Seen, evidence: str) -> tuple[ColumnPlan, list[DecisionRecord]]:
    record = ColumnRecord(seen.name, Kind.BOOLEAN, "bool", missing_markers=seen.markers)
    about = [DecisionRecord(seen.name, "kind", "boolean", evidence, f"kinds={{{seen.name!r}: 'category'}}")]
    return ColumnPlan(record), about + _constant_report(seen.name, seen.values.n_unique(), len(seen.values))


def _as_asked(seen: _Seen, kind: Kind, date_format: str | None) -> tuple[ColumnPlan, list[DecisionRecord]]:
    """A text column of the kind that the caller says; what does not fit is refused while it is read."""
    name, values = seen.name, seen.values
    override = f"kinds={{{name!r}: '{kind}'}}"
    about = [DecisionRecord(name, "kind", str(kind), "as asked", override)]
    if kind is Kind.NUMBER:
        found = _number_format(values) if len(values) else None
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
    formats = date_formats(values) if len(values) else [(DateFormat("%Y-%m-%d", ""), 0)]
    if not formats:
        raise DataError(
            ErrorCode.BAD_VALUE,
            f"column '{printable(name)}' holds '{printable(str(values[0]), 60)}', which is no date that is known",
            fix=f"say how it is written: kinds={{'{printable(name)}': 'datetime:%d.%m.%Y'}}",
        )
    plan, reports = _as_moments(seen, [f for f, count in formats if count == formats[0][1]])
    return plan, [*about, *reports[1:]]


# --- reports -----------------------------------------------------------------------------------------------------


def _without(values: pl.Series, texts: Sequence[str]) -> pl.Series:
    return values.filter(~values.is_in(list(texts)))


def _constant_report(name: str, distinct: int, count: int) -> list[DecisionRecord]:
    if distinct > 1 or count < 2:
        return []
    return [
        DecisionRecord(name, "constant", "kept", "every value is the same so far", f"roles={{{name!r}: 'ignored'}}")
    ]


def _missing_report(name: str, stripped: pl.Series, markers: Sequence[str]) -> list[DecisionRecord]:
    """Which texts were taken for missing, if any."""
    counts = (
        stripped.alias("text").filter(stripped.is_in(list(markers))).value_counts(sort=True, name="times")
        if markers
        else None
    )
    if counts is None or not counts.height:
        return []
    shown = ", ".join(f"{text!r} {count:,} times" for text, count in counts.iter_rows())
    return [DecisionRecord(name, "missing", "null", shown, f"missing={{{name!r}: []}}")]


def _marker_suspicions(name: str, values: pl.Series) -> list[DecisionRecord]:
    """Texts that may mean missing but stand among categories."""
    counts = values.alias("text").filter(values.is_in(list(NUMBER_MISSING_TEXTS))).value_counts(sort=True, name="times")
    return [
        DecisionRecord(
            name,
            "missing?",
            "kept as a category",
            f"{text!r} stands {count:,} times: perhaps it means missing",
            f"missing={{{name!r}: [{text!r}]}}",
        )
        for text, count in counts.iter_rows()
    ]


def _number_suspicion(seen: _Seen) -> list[DecisionRecord]:
    """A report where many, not all, texts are numbers, or where texts of a typed source all are."""
    plain = seen.values.str.contains(_PLAIN_NUMBER)
    count = int(plain.sum())
    if count < 0.5 * len(seen.values) or (count == len(seen.values) and seen.textual):
        return []
    if count == len(seen.values):
        evidence = "stored as text, though every value is a number"
    else:
        other = seen.values.filter(~plain)[0]
        evidence = f"{seen.of(count)} are numbers, but not '{printable(str(other), 40)}'"
    return [DecisionRecord(seen.name, "mixed", "not read as numbers", evidence, f"kinds={{{seen.name!r}: 'number'}}")]
