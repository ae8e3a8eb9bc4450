"""Texts read as dates, numbers and booleans: how they are written is learned once, and held to."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import polars as pl

from lepton.bundle.codecs import NUMBER_FORMATS, DatetimeParser, NumberParser
from lepton.bundle.encoding import BOOLEAN_TEXTS
from lepton.core import ColumnRecord, ErrorCode, Kind, Schema, UsageError
from lepton.data.convert import polars_type
from lepton.data.dates import fast_moments
from lepton.data.recipes.base import (
    Applied,
    BoundRowStep,
    Learner,
    OnError,
    RecipeStep,
    Scope,
    chosen_columns,
)
from lepton.data.recipes.bound import SameColumns
from lepton.data.recipes.written import Shapes, date_formats_of, number_format_of, units_of

__all__ = ["ParseBooleans", "ParseDates", "ParseNumbers"]

_TEXTS = (Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER)
_WORDS: dict[str, tuple[str, ...]] = {
    "true": ("ja", "wahr", "oui", "vrai", "si", "sí", "sì", "sim", "da", "tak", "on", "да", "是", "はい"),
    "false": ("nein", "falsch", "non", "faux", "não", "nao", "nie", "ne", "off", "нет", "否", "いいえ"),
}


@dataclass(frozen=True)
class ParseDates(RecipeStep):
    """Read texts as datetimes, in one format or in several that stand mixed in a column.

    Without `formats` they are learned. Where day and month could be either, values that can only be read in one way
    decide for the column; without any, `day_first` does, and what was learned counts those values as `ambiguous`.
    A text that is of none of the formats cannot be treated; in front of a model it is missing where `on_error` is
    `flag` or `missing`, else refused.

    Attributes:
        columns: the columns; one that was read as datetimes already stays.
        formats: strptime formats, tried in their order; () to learn them.
        day_first: whether 05/06/2020 is of June where the values do not tell.
        time_zone: IANA zone of texts that name no offset; the result then has that zone.
        on_error: what becomes of other texts.
    """

    name: ClassVar[str] = "parse_dates"
    scope: ClassVar[Scope] = Scope.ROW
    gives: ClassVar[Kind] = Kind.DATETIME
    columns: tuple[str, ...]
    formats: tuple[str, ...] = ()
    day_first: bool = True
    time_zone: str | None = None
    on_error: OnError = OnError.FAIL

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """The formats."""
        columns = _text_columns(schema, self)
        return _Dates(columns, self.day_first) if columns and not self.formats else None

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundRowStep:
        """The step on these columns."""
        records = {}
        for name in _text_columns(schema, self):
            found = learned["formats"][name] if not self.formats else {"formats": list(self.formats)}
            formats = [each or None for each in found["formats"]] or [None]
            first, further = formats[0], tuple(each for each in formats[1:] if each)
            zone = self.time_zone or ("UTC" if any("%z" in (each or "") for each in formats) else None)
            DatetimeParser(first, zone, further)  # refuses what the codec does not know
            records[name] = _record(
                self, schema[name], "datetime", time_zone=zone, datetime_format=first, further_formats=further
            )
        return _Dated(schema, tuple(records), _with(schema, records), tuple(records.values()))


@dataclass(frozen=True)
class ParseNumbers(RecipeStep):
    """Read texts as numbers: with thousands separators, currency and percent signs, and units.

    How numbers are written is decided once from the column. A later text that is written otherwise cannot be treated;
    it is never read as another number. Where no value tells whether "1.234" is 1.234 or 1234 the point (or, in
    "1,234", the comma as separator of thousands) is as in English, what was learned says `ambiguous`, and `decimal`
    decides. Percent become shares. Several units of one quantity ("3 km", "3000 m") become the most frequent one;
    a number without unit among them cannot be treated.

    Attributes:
        columns: the columns; one that was read as numbers already stays.
        decimal: the decimal mark `.` or `,`; None to learn it.
        unit: unit of the result; "" for the most frequent one.
        units: unit as text → size, where the usual ones do not do: `{"crate": 12, "": 1}`; "" is a number alone.
        on_error: what becomes of other texts.
    """

    name: ClassVar[str] = "parse_numbers"
    scope: ClassVar[Scope] = Scope.ROW
    gives: ClassVar[Kind] = Kind.NUMBER
    columns: tuple[str, ...]
    decimal: Literal[".", ","] | None = None
    unit: str = ""
    units: Mapping[str, float | int] | None = None
    on_error: OnError = OnError.FAIL

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """Separators and units."""
        columns = _text_columns(schema, self)
        return _Numbers(columns, self) if columns else None

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundRowStep:
        """The step on these columns."""
        records = {}
        for name in _text_columns(schema, self):
            found = learned["numbers"][name]
            written, units = found["format"], tuple((unit, float(size)) for unit, size in found["units"].items())
            NumberParser(written, dict(units))  # refuses what the codec does not know
            if units == (("", 1.0),):
                units = ()
            records[name] = _record(
                self, schema[name], "float64", unit=found["unit"], number_format=written, units=units
            )
        return _Numbered(schema, tuple(records), _with(schema, records), tuple(records.values()))


@dataclass(frozen=True)
class ParseBooleans(RecipeStep):
    """Read words as true and false: yes/no, on/off and the like in several languages, or the given ones, in any case.

    Attributes:
        columns: the columns.
        true: words that mean true; with `false`, in place of the usual ones.
        false: words that mean false.
        on_error: what becomes of other texts.
    """

    name: ClassVar[str] = "parse_booleans"
    scope: ClassVar[Scope] = Scope.ROW
    gives: ClassVar[Kind] = Kind.BOOLEAN
    columns: tuple[str, ...]
    true: tuple[str, ...] = ()
    false: tuple[str, ...] = ()
    on_error: OnError = OnError.FAIL

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundRowStep:
        """The step on these columns."""
        true, false = (tuple(dict.fromkeys(w.strip().lower() for w in words)) for words in (self.true, self.false))
        if set(true) & set(false) or bool(true) != bool(false):
            came = f"parse_booleans: got true={list(self.true)!r} and false={list(self.false)!r}"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted="words for both, none twice; or neither")
        if not true:
            true = (*(word for word, value in BOOLEAN_TEXTS.items() if value), *_WORDS["true"])
            false = (*(word for word, value in BOOLEAN_TEXTS.items() if not value), *_WORDS["false"])
        records = {
            name: _record(self, schema[name], "bool", true_texts=true, false_texts=false)
            for name in _text_columns(schema, self)
        }
        return _Decided(schema, tuple(records), _with(schema, records), tuple(records.values()))


def _text_columns(schema: Schema, step: ParseDates | ParseNumbers | ParseBooleans) -> tuple[str, ...]:
    """The columns that are texts still; those that were read as what the step gives stay as they are."""
    wanted = tuple(name for name in step.columns if schema[name].kind is not step.gives)
    return chosen_columns(schema, wanted, _TEXTS, step.name) if wanted else ()


def _record(
    step: ParseDates | ParseNumbers | ParseBooleans, column: ColumnRecord, dtype: str, **settings: Any
) -> ColumnRecord:
    """What the raw column must declare so that a codec reads its texts; the markers of missing values stay."""
    settings["missing_markers"] = column.missing_markers
    settings["unreadable_is_missing"] = step.on_error.is_lenient
    return ColumnRecord(column.name, step.gives, dtype, role=column.role, **settings)


def _with(schema: Schema, records: Mapping[str, ColumnRecord]) -> Schema:
    """The columns that come out: typed values, which need no codec any more."""
    plain = {
        name: ColumnRecord(name, r.kind, r.dtype, unit=r.unit, time_zone=r.time_zone, role=r.role)
        for name, r in records.items()
    }
    return Schema(tuple(plain.get(column.name, column) for column in schema))


@dataclass(frozen=True)
class _Parsed(SameColumns):
    records: tuple[ColumnRecord, ...] = ()

    @property
    def fallible(self) -> tuple[str, ...]:
        return self.columns

    def apply(self, frame: pl.DataFrame) -> Applied:
        made, bad = [], {}
        for record in self.records:
            texts = frame[record.name].str.strip_chars(" \t\r\n")
            texts = texts.set(texts == "", None)
            parsed = self.parse(texts, record)
            made.append(parsed.alias(record.name))
            bad[record.name] = parsed.is_null() & texts.is_not_null()
        return Applied(frame.with_columns(made), bad)

    @abstractmethod
    def parse(self, texts: pl.Series, record: ColumnRecord) -> pl.Series:
        """Typed values of texts without spaces around; null where a text cannot be read."""

    def raw(self, column: ColumnRecord) -> ColumnRecord | None:
        record = next((record for record in self.records if record.name == column.name), None)
        return None if record is None else replace(record, role=column.role, tidying=column.tidying)


class _Dated(_Parsed):
    def parse(self, texts: pl.Series, record: ColumnRecord) -> pl.Series:
        parser = DatetimeParser(record.datetime_format, record.time_zone, record.further_formats)
        moments = fast_moments(texts, record.datetime_format, record.time_zone)
        rest = moments.is_null() & texts.is_not_null()
        if rest.any():
            moments = moments.scatter(rest.arg_true(), parser.parse_series(texts.filter(rest)))
        found = moments.cast(pl.Datetime("us"))
        if record.time_zone is not None:
            found = found.dt.replace_time_zone("UTC").dt.convert_time_zone(record.time_zone)
        return found.cast(polars_type(record))


class _Numbered(_Parsed):
    def parse(self, texts: pl.Series, record: ColumnRecord) -> pl.Series:
        return NumberParser(record.number_format or NUMBER_FORMATS[0], dict(record.units)).parse_series(texts)


class _Decided(_Parsed):
    def parse(self, texts: pl.Series, record: ColumnRecord) -> pl.Series:
        words = dict.fromkeys(record.true_texts, True) | dict.fromkeys(record.false_texts, False)
        return texts.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)


class _Dates(Learner):
    def __init__(self, columns: tuple[str, ...], day_first: bool) -> None:
        self.columns = columns
        self._day_first = day_first
        self._shapes = {name: Shapes.of_dates() for name in columns}

    def update(self, frame: pl.DataFrame) -> None:
        for name, shapes in self._shapes.items():
            shapes.update(frame[name])

    def merge(self, other: Self) -> None:
        for name, shapes in self._shapes.items():
            shapes.merge(other._shapes[name])

    def finish(self) -> dict[str, Any]:
        return {"formats": {n: date_formats_of(s, self._day_first) for n, s in self._shapes.items()}}


class _Numbers(Learner):
    def __init__(self, columns: tuple[str, ...], step: ParseNumbers) -> None:
        self.columns = columns
        self._step = step
        self._shapes = {name: Shapes.of_numbers() for name in columns}

    def update(self, frame: pl.DataFrame) -> None:
        for name, shapes in self._shapes.items():
            shapes.update(frame[name])

    def merge(self, other: Self) -> None:
        for name, shapes in self._shapes.items():
            shapes.merge(other._shapes[name])

    def finish(self) -> dict[str, Any]:
        found = {}
        for name, shapes in self._shapes.items():
            units = units_of(shapes, self._step.unit, self._step.units)
            written = number_format_of(shapes, units["units"], self._step.decimal)
            found[name] = {**written, **units}
        return {"numbers": found}
