"""From one column's values, of any source, to what a graph takes: doubles or texts (contract 2).

Each encoder reads single Python values (`cell`) and whole Polars columns (`series`); both give the same answers.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.bundle.codecs import (
    DatetimeParser,
    NumberParser,
    TextTidier,
    characters,
    hash_digits,
    map_distinct,
    microseconds,
    nfc,
    nfc_casefold,
)
from lepton.core import ColumnRecord, ErrorCode, Kind, SchemaError, printable

__all__ = ["BOOLEAN_TEXTS", "NUMBER_KINDS", "STRING_KINDS", "NumericEncoder", "TextEncoder", "numeric_encoder"]

NUMBER_KINDS = frozenset({Kind.NUMBER, Kind.BOOLEAN, Kind.DATETIME})
"""Kinds that stand in a graph's `numbers`."""

STRING_KINDS = frozenset({Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER})
"""Kinds that stand in a graph's `strings`."""

BOOLEAN_TEXTS = {
    "true": 1.0, "t": 1.0, "yes": 1.0, "y": 1.0, "1": 1.0,
    "false": 0.0, "f": 0.0, "no": 0.0, "n": 0.0, "0": 0.0,
}  # fmt: skip
"""Texts of a boolean, in lower case."""

_SPACE = " \t\r\n"
_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf(?:inity)?|nan))")
_NAN = math.nan
T = TypeVar("T")


class _Unfit(Exception):
    """A value that the column cannot hold."""


def _is_missing(value: object) -> bool:
    # The missing values of pandas are known by the names of their types, so that pandas need not be there.
    return value is None or type(value).__name__ in {"NAType", "NaTType"}


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f"'{printable(value, 80)}'"
    try:
        return printable(repr(value), 80)
    except ValueError:  # Python writes no integer of more than some thousand digits
        return f"a value of type {type(value).__name__}"


class _Encoder:
    """What both kinds of encoder share: the column, its missing markers and the refusal."""

    wanted = ""

    def __init__(self, column: ColumnRecord) -> None:
        self.column = column
        self.markers = frozenset(column.missing_markers) | {""}
        self.tidier = TextTidier(column.tidying) if column.tidying else None

    def refuse(self, row: int, value: object, first_row: int = 0) -> SchemaError:
        name, shown = printable(self.column.name), _shown(value)
        return SchemaError(
            ErrorCode.WRONG_KIND,
            f"column '{name}', row {first_row + row} (counted from 0): got {shown}",
            wanted=self.wanted + ", or a missing value",
            details={"column": self.column.name, "row": first_row + row, "value": shown},
        )

    def refuse_type(self, dtype: pl.DataType) -> SchemaError:
        return SchemaError(
            ErrorCode.WRONG_KIND,
            f"column '{printable(self.column.name)}' has values of type {dtype}",
            wanted=self.wanted,
            details={"column": self.column.name, "dtype": str(dtype)},
        )

    def each(self, cell: Callable[[Any], T], values: Iterable[Any], first_row: int = 0) -> list[T]:
        encoded: list[T] = []
        try:
            for value in values:
                encoded.append(cell(value))
        except _Unfit:
            raise self.refuse(len(encoded), value, first_row) from None
        return encoded


class NumericEncoder(_Encoder):
    """A number: doubles as they are, infinities too; text is read strictly (`"1.5"`, `"-2e3"`, no separators)."""

    wanted = "a number"

    def cell(self, value: Any) -> float:
        """One Python value as a double; NaN if missing."""
        if type(value) is float:
            return value
        if isinstance(value, str):
            text = value.strip(_SPACE)
            if text in self.markers:
                return _NAN
            if self.tidier is not None and not (text := self.tidier.tidy(value).strip(_SPACE)):
                return _NAN
            try:
                return self._from_text(text)
            except _Unfit:
                if self.column.unreadable_is_missing:
                    return _NAN
                raise
        return _NAN if _is_missing(value) else self._from_value(value)

    def cells(self, values: Sequence[Any], first_row: int = 0) -> NDArray[np.float64]:
        """Python values as doubles; `first_row` is the number of the first one in messages."""
        return np.array(self.each(self.cell, values, first_row), dtype=np.float64)

    def series(self, series: pl.Series) -> pl.Series:
        """A Polars column as doubles without nulls."""
        dtype = series.dtype
        if dtype == pl.Float64 and type(self) is NumericEncoder:  # mostly: all doubles are numbers as they are
            return series.fill_null(_NAN) if series.null_count() else series
        if dtype == pl.Object:
            return pl.Series(self.cells(series.to_list()))
        if dtype in (pl.Categorical, pl.Enum):
            series, dtype = series.cast(pl.String), pl.String()
        if dtype == pl.Null:
            encoded = series.cast(pl.Float64)
        elif dtype == pl.String:
            text = self._present(series)
            encoded = self._text_series(text)
            if not self.column.unreadable_is_missing:
                self._refuse_first(series, text.is_not_null() & encoded.is_null())
        else:
            encoded = self._value_series(series)
            if encoded.null_count() > series.null_count():
                self._refuse_first(series, series.is_not_null() & encoded.is_null())
        return encoded.fill_null(_NAN)

    def readable(self, texts: pl.Series) -> pl.Series:
        """A column of texts (String) as doubles; null where a text is missing or cannot be read."""
        return self._text_series(self._present(texts)).fill_nan(None)

    def _present(self, texts: pl.Series) -> pl.Series:
        stripped = texts.str.strip_chars(_SPACE)
        missing = stripped.is_in(list(self.markers))
        if self.tidier is not None:
            stripped = self.tidier.tidy_series(texts).str.strip_chars(_SPACE)
            missing |= stripped == ""
        return stripped.set(missing, None)

    def _refuse_first(self, series: pl.Series, unfit: pl.Series) -> None:
        row = unfit.arg_max() if unfit.any() else None
        if row is not None:
            raise self.refuse(row, series[row])

    def _from_text(self, text: str) -> float:
        if _NUMBER.fullmatch(text) is None:
            raise _Unfit
        return float(text)

    def _from_value(self, value: Any) -> float:
        if not isinstance(value, Real | Decimal | np.bool_):
            raise _Unfit
        try:
            return float(value)
        except (OverflowError, ValueError):
            raise _Unfit from None

    def _text_series(self, text: pl.Series) -> pl.Series:
        return text.cast(pl.Float64, strict=False)

    def _value_series(self, series: pl.Series) -> pl.Series:
        if not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
            raise self.refuse_type(series.dtype)
        return series.cast(pl.Float64)


class _WrittenNumberEncoder(NumericEncoder):
    """A number whose texts are written in the column's own way, with units: codec `parse-number/1`."""

    def __init__(self, column: ColumnRecord) -> None:
        super().__init__(column)
        self.parser = NumberParser(column.number_format or "1234.5", dict(column.units))
        units = ", ".join(repr(unit) for unit in self.parser.units if unit)
        self.wanted = f"a number written as {column.number_format or '1234.5'}" + (f" with {units}" if units else "")

    def _from_text(self, text: str) -> float:
        number = self.parser.parse(text)
        if number is None:
            raise _Unfit
        return number

    def _text_series(self, text: pl.Series) -> pl.Series:
        return self.parser.parse_series(text)


class _BooleanEncoder(NumericEncoder):
    """A boolean: 0 and 1, from booleans, the numbers 0 and 1, and texts in any case.

    The texts are those of `BOOLEAN_TEXTS`, or, by the codec `parse-boolean/1`, those that the column names.
    """

    wanted = "true or false (also 1/0, yes/no)"

    def __init__(self, column: ColumnRecord) -> None:
        super().__init__(column)
        own = dict.fromkeys(column.true_texts, 1.0) | dict.fromkeys(column.false_texts, 0.0)
        self.texts = own or BOOLEAN_TEXTS
        if own:
            self.wanted = "one of " + ", ".join(map(repr, [*column.true_texts[:10], *column.false_texts[:10]]))

    def cell(self, value: Any) -> float:
        return self._from_value(value) if type(value) is float else super().cell(value)

    def _from_text(self, text: str) -> float:
        try:
            return self.texts[text.lower()]
        except KeyError:
            raise _Unfit from None

    def _from_value(self, value: Any) -> float:
        number = super()._from_value(value)
        if not (number in (0.0, 1.0) or number != number):
            raise _Unfit
        return number

    def _text_series(self, text: pl.Series) -> pl.Series:
        return text.str.to_lowercase().replace_strict(self.texts, default=None, return_dtype=pl.Float64)

    def _value_series(self, series: pl.Series) -> pl.Series:
        numbers = super()._value_series(series)
        return numbers.set(~(numbers.is_in([0.0, 1.0]) | numbers.is_nan()), None)


class _DatetimeEncoder(NumericEncoder):
    """A moment: microseconds since 1970 UTC; naive ones are read on the clock of the column's zone."""

    def __init__(self, column: ColumnRecord) -> None:
        super().__init__(column)
        self.parser = DatetimeParser(column.datetime_format, column.time_zone, column.further_formats)
        self.wanted = "a datetime, or text such as " + repr(column.datetime_format or "2024-05-31T13:45:00")

    def cell(self, value: Any) -> float:
        return self._from_value(value) if type(value) is float else super().cell(value)

    def _from_text(self, text: str) -> float:
        moment = self.parser.parse(text)
        if moment is None:
            raise _Unfit
        return float(moment)

    def _from_value(self, value: Any) -> float:
        if isinstance(value, np.datetime64):
            value = value.astype("M8[us]").item()
            if value is None:
                return _NAN
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            value = dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - on the clock of the column's zone
        if isinstance(value, dt.datetime):
            moment = microseconds(value)
            naive = value.tzinfo is None
            return float(self.parser.to_utc(pl.Series([moment]))[0] if naive else moment)
        if isinstance(value, float | np.floating) and value != value:
            return _NAN
        raise _Unfit

    def _text_series(self, text: pl.Series) -> pl.Series:
        return self.parser.parse_series(text).cast(pl.Float64)

    def _value_series(self, series: pl.Series) -> pl.Series:
        dtype = series.dtype
        if dtype == pl.Date:
            return self.parser.to_utc(series.cast(pl.Datetime("us")).to_physical()).cast(pl.Float64)
        if isinstance(dtype, pl.Datetime):
            moments = series.dt.cast_time_unit("us").to_physical()
            return (self.parser.to_utc(moments) if dtype.time_zone is None else moments).cast(pl.Float64)
        raise self.refuse_type(dtype)


def numeric_encoder(column: ColumnRecord) -> NumericEncoder:
    """The encoder of a column whose kind is one of `NUMBER_KINDS`."""
    kinds = {Kind.BOOLEAN: _BooleanEncoder, Kind.DATETIME: _DatetimeEncoder, Kind.NUMBER: NumericEncoder}
    if column.kind is Kind.NUMBER and (column.number_format is not None or column.units):
        return _WrittenNumberEncoder(column)
    return kinds[column.kind](column)


_BLANK = " \t\r\n"
"""What may stand around a missing marker, as in files that `lepton.data` reads; a cell of blanks alone is missing."""


_TEXT_CODECS = {"characters/1": characters, "nfc-casefold/1": nfc_casefold, "stable-hash/1": hash_digits}


class TextEncoder(_Encoder):
    """A category, text or identifier: text in NFC, `""` if missing.

    Codes that come as numbers or booleans become text: `3` and `3.0` give `"3"`, `0.5` gives `"0.5"`, True `"true"`.

    Args:
        column: the column.
        codec: the codec that the column was trained with, None for NFC alone.
    """

    wanted = "text (numbers and booleans are turned into text)"

    def __init__(self, column: ColumnRecord, *, codec: str | None = None) -> None:
        super().__init__(column)
        self._change = _TEXT_CODECS.get(codec or "")

    def cell(self, value: Any) -> str:
        """One Python value as text; `""` if missing."""
        if not isinstance(value, str):
            value = _text_of(value)
        if value.strip(_BLANK) in self.markers:
            return ""
        if self.tidier is not None:
            value = self.tidier.tidy(value)
        if self._change is not None:
            return self._change(value)
        return value if value.isascii() else unicodedata.normalize("NFC", value)

    def cells(self, values: Sequence[Any], first_row: int = 0) -> list[str]:
        """Python values as texts; `first_row` is the number of the first one in messages."""
        texts = self.each(self.cell, values, first_row)
        try:
            "".join(texts).encode()
        except UnicodeEncodeError:  # a lone surrogate, which is no character
            row = next(row for row, text in enumerate(texts) if any("\ud800" <= char <= "\udfff" for char in text))
            raise self.refuse(row, texts[row], first_row) from None
        return texts

    def series(self, series: pl.Series) -> pl.Series:
        """A Polars column as texts (String) without nulls."""
        dtype = series.dtype
        if dtype == pl.Object:
            return pl.Series(self.cells(series.to_list()), dtype=pl.String)
        if dtype.is_float():
            distinct = series.drop_nulls().unique()
            texts = [_text_of(value) for value in distinct.to_numpy()]
            series = series.replace_strict(distinct, texts, default=None, return_dtype=pl.String)
        elif dtype.is_integer() or dtype in (pl.Boolean, pl.Categorical, pl.Enum, pl.Null):
            series = series.cast(pl.String)
        elif dtype != pl.String:
            raise self.refuse_type(dtype)
        series = series.fill_null("")
        series = series.set(series.str.strip_chars(_BLANK).is_in(list(self.markers)), "")
        if self.tidier is not None:
            series = self.tidier.tidy_series(series)
        return nfc(series) if self._change is None else map_distinct(series, self._change)


def _text_of(value: Any) -> str:
    """The text of a code that came as a number or boolean; `""` for a missing value."""
    if _is_missing(value):
        return ""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, Integral):
        if abs(int(value)) >= 2**128:
            raise _Unfit
        return str(int(value))
    if isinstance(value, float | np.floating):
        return "" if value != value else np.format_float_positional(value, trim="-")
    raise _Unfit
