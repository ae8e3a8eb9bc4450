"""Raw columns to the types of the schema; a value that breaks what was decided is named, never turned into null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from lepton.bundle.codecs import nfc
from lepton.bundle.encoding import BOOLEAN_TEXTS
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, printable
from lepton.data.formats import Chunk

__all__ = ["ColumnPlan", "NumberFormat", "convert", "polars_type"]

_TYPES: Mapping[str, pl.DataType] = {
    "float64": pl.Float64(),
    "int64": pl.Int64(),
    "bool": pl.Boolean(),
    "string": pl.String(),
}


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How numbers are written in a text column.

    Attributes:
        group: separator of thousands, or "".
        decimal: decimal mark.
    """

    group: str = ""
    decimal: str = "."

    def normal(self, text: pl.Expr) -> pl.Expr:
        """The text without group separators and with a point as decimal mark."""
        if self.group:
            text = text.str.replace_all(self.group, "", literal=True)
        return text if self.decimal == "." else text.str.replace(self.decimal, ".", literal=True)


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """How one raw column becomes a column of the schema.

    Attributes:
        record: the column of the schema.
        number_format: for numbers in text.
        datetime_format: for datetimes in text, as Polars reads it.
    """

    record: ColumnRecord
    number_format: NumberFormat = NumberFormat()
    datetime_format: str | None = None

    @property
    def dtype(self) -> pl.DataType:
        """Polars type of the typed column."""
        return polars_type(self.record)

    def parsed_by_reader(self, common: frozenset[str]) -> bool:
        """Whether a textual reader that drops the `common` markers may parse this column itself."""
        return (
            self.record.kind is Kind.NUMBER
            and self.number_format == NumberFormat()
            and all(marker in common or _number(marker) is not None for marker in self.record.missing_markers)
        )

    def cleaned(self, raw: pl.DataType) -> pl.Expr:
        """Missing texts as null; for all but texts, without the spaces around."""
        column = pl.col(self.record.name)
        if isinstance(raw, pl.Categorical | pl.Enum):
            column = column.cast(pl.String)
        elif not isinstance(raw, pl.String):
            return column
        stripped = column.str.strip_chars()
        kept = column if self.record.dtype == "string" else stripped
        return pl.when(~stripped.is_in(["", *self.record.missing_markers])).then(kept)

    def parsed(self, raw: pl.DataType) -> pl.Expr:
        """The typed column; null where the value cannot be of the type."""
        column = pl.col(self.record.name)
        is_text = isinstance(raw, pl.String | pl.Categorical | pl.Enum)
        match self.record.kind:
            case Kind.NUMBER:
                if isinstance(raw, pl.Duration):
                    return column.dt.total_microseconds() / 1e6
                number = (self.number_format.normal(column) if is_text else column).cast(self.dtype, strict=False)
                truncates = raw.is_float() and self.record.dtype == "int64"
                return pl.when(number == column).then(number) if truncates else number
            case Kind.BOOLEAN:
                if isinstance(raw, pl.Boolean):
                    return column
                texts = column.str.to_lowercase() if is_text else column.cast(pl.Float64, strict=False)
                codes = BOOLEAN_TEXTS if is_text else {0.0: 0.0, 1.0: 1.0}
                return texts.replace_strict(codes, default=None, return_dtype=pl.Float64).cast(pl.Boolean)
            case Kind.DATETIME:
                return self._moment(column, raw, is_text)
            case _:
                return column.cast(pl.String)

    @property
    def codes(self) -> list[float]:
        """Numbers that mean missing."""
        numbers = map(_number, self.record.missing_markers) if self.record.kind is Kind.NUMBER else ()
        return [number for number in numbers if number is not None]

    def needs_finish(self, typed: pl.Series) -> bool:
        """Whether the typed column holds NaN or may hold numbers that mean missing."""
        return bool(self.codes) or (typed.dtype.is_float() and bool(typed.is_nan().any()))

    def finished(self) -> pl.Expr:
        """The typed column with null for NaN and for numbers that mean missing."""
        column = pl.col(self.record.name)
        number = column.fill_nan(None) if self.record.dtype == "float64" else column
        return pl.when(~number.cast(pl.Float64).is_in(self.codes)).then(number) if self.codes else number

    def _moment(self, column: pl.Expr, raw: pl.DataType, is_text: bool) -> pl.Expr:
        zone = self.record.time_zone
        if isinstance(raw, pl.Date | pl.Datetime):
            moment = column.cast(pl.Datetime("us", raw.time_zone if isinstance(raw, pl.Datetime) else None))
            return (
                moment
                if not zone or (isinstance(raw, pl.Datetime) and raw.time_zone)
                else moment.dt.replace_time_zone(zone)
            )
        text = column if is_text else column.cast(pl.String)
        moment = text.str.to_datetime(self.datetime_format, time_unit="us", strict=False)
        # %Y of Polars takes two digits for a year of the first century, which nobody means.
        return pl.when(moment.dt.year() >= 1000).then(moment)


def polars_type(record: ColumnRecord) -> pl.DataType:
    """The Polars type in which `Dataset.frame` gives a column."""
    return pl.Datetime("us", record.time_zone) if record.dtype == "datetime" else _TYPES[record.dtype]


def convert(chunk: Chunk, plans: Sequence[ColumnPlan]) -> pl.DataFrame:
    """The typed columns of `plans`, in their order, from raw ones.

    Raises:
        DataError: `BAD_VALUE`, naming file, row, column, value and the argument to change.
    """
    raw = chunk.frame.schema
    ready = {
        plan.record.name for plan in plans if raw[plan.record.name] == plan.dtype and not plan.dtype.is_(pl.String)
    }
    work = [plan for plan in plans if plan.record.name not in ready]
    cleaned = chunk.frame.with_columns([plan.cleaned(raw[plan.record.name]) for plan in work])
    parsed = cleaned.with_columns([plan.parsed(raw[plan.record.name]) for plan in work])
    for plan in work:
        name = plan.record.name
        if parsed[name].null_count() > cleaned[name].null_count():
            broken = (parsed[name].is_null() & cleaned[name].is_not_null()).arg_max() or 0
            raise _broken(plan.record, cleaned[name][broken], chunk.place(broken))
    typed = parsed.with_columns([plan.finished() for plan in plans if plan.needs_finish(parsed[plan.record.name])])
    texts = [nfc(typed[plan.record.name]) for plan in plans if plan.record.dtype == "string"]
    return typed.with_columns(texts).select([plan.record.name for plan in plans])


def _broken(record: ColumnRecord, value: object, place: str) -> DataError:
    name, found = printable(record.name, 60), printable(str(value), 60)
    whole = " (whole so far)" if record.dtype == "int64" else ""
    again = "number" if record.dtype == "int64" and _number(str(value)) is not None else "category"
    return DataError(
        ErrorCode.BAD_VALUE,
        f"{place}, column '{name}': got '{found}'",
        wanted=f"a {record.kind}{whole}, as in the rows before",
        fix=f"read(..., kinds={{'{name}': '{again}'}}), or missing={{'{name}': ['{found}']}} if it means missing",
        details={"column": record.name, "place": place, "value": found},
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value == value else None
