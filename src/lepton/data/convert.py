"""Raw columns to the types of the schema; a value that breaks what was decided is named, never turned into null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
import polars.selectors as cs

from lepton.bundle.codecs import nfc
from lepton.bundle.encoding import BOOLEAN_TEXTS, TextEncoder
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Role, printable
from lepton.data.formats import Chunk

__all__ = ["SPACE", "ColumnPlan", "NumberFormat", "convert", "polars_type"]

SPACE = " \t\r\n"
"""What is dropped around values that are not text, and may be all that a missing cell holds; as in bundles."""

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

    def alike(self) -> ColumnPlan:
        """The plan without what does not matter to conversion: columns of equal ones are converted together."""
        return replace(self, record=replace(self.record, name="", role=Role.FEATURE, unit=None))

    def cleaned(self, columns: pl.Expr, raw: pl.DataType) -> pl.Expr:
        """Missing texts as null; for all but texts, without the spaces around."""
        if isinstance(raw, pl.Categorical | pl.Enum):
            columns = columns.cast(pl.String)
        elif not isinstance(raw, pl.String):
            return columns
        stripped = columns.str.strip_chars(SPACE)
        kept = columns if self.record.dtype == "string" else stripped
        return pl.when(~stripped.is_in(["", *self.record.missing_markers])).then(kept)

    def parsed(self, columns: pl.Expr, raw: pl.DataType) -> pl.Expr:
        """The typed columns; null where the value cannot be of the type."""
        is_text = isinstance(raw, pl.String | pl.Categorical | pl.Enum)
        match self.record.kind:
            case Kind.NUMBER:
                if isinstance(raw, pl.Duration):
                    return columns.dt.total_microseconds() / 1e6
                number = (self.number_format.normal(columns) if is_text else columns).cast(self.dtype, strict=False)
                truncates = raw.is_float() and self.record.dtype == "int64"
                return pl.when(number == columns).then(number) if truncates else number
            case Kind.BOOLEAN:
                if isinstance(raw, pl.Boolean):
                    return columns
                texts = columns.str.to_lowercase() if is_text else columns.cast(pl.Float64, strict=False)
                codes = BOOLEAN_TEXTS if is_text else {0.0: 0.0, 1.0: 1.0}
                return texts.replace_strict(codes, default=None, return_dtype=pl.Float64).cast(pl.Boolean)
            case Kind.DATETIME:
                return self._moment(columns, raw, is_text)
            case _:
                return columns.cast(pl.String)

    @property
    def codes(self) -> list[float]:
        """Numbers that mean missing."""
        numbers = map(_number, self.record.missing_markers) if self.record.kind is Kind.NUMBER else ()
        return [number for number in numbers if number is not None]

    def _moment(self, columns: pl.Expr, raw: pl.DataType, is_text: bool) -> pl.Expr:
        zone = self.record.time_zone
        if isinstance(raw, pl.Date | pl.Datetime):
            own_zone = raw.time_zone if isinstance(raw, pl.Datetime) else None
            moment = columns.cast(pl.Datetime("us", own_zone))
            return moment.dt.replace_time_zone(zone) if zone and not own_zone else moment
        text = columns if is_text else columns.cast(pl.String)
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
    frame = _codes_as_texts(chunk.frame, plans)
    types = frame.schema
    groups: dict[tuple[ColumnPlan, pl.DataType], list[str]] = {}
    for plan in plans:
        raw = types[plan.record.name]
        if raw != plan.dtype or isinstance(raw, pl.String):
            groups.setdefault((plan.alike(), raw), []).append(plan.record.name)
    if groups:
        cleaned = frame.with_columns([plan.cleaned(pl.col(names), raw) for (plan, raw), names in groups.items()])
        frame = cleaned.with_columns([plan.parsed(pl.col(names), raw) for (plan, raw), names in groups.items()])
        for plan in plans:
            before, after = cleaned[plan.record.name], frame[plan.record.name]
            if after.null_count() > before.null_count():
                broken = (after.is_null() & before.is_not_null()).arg_max() or 0
                raise _broken(plan.record, before[broken], chunk.place(broken))
    return _finished(frame, plans).select([plan.record.name for plan in plans])


def _codes_as_texts(frame: pl.DataFrame, plans: Sequence[ColumnPlan]) -> pl.DataFrame:
    """Doubles that are read as texts, in the spelling that bundles give them: `3.0` is `"3"`."""
    types = frame.schema
    texts = [
        TextEncoder(plan.record).series(frame[plan.record.name]).alias(plan.record.name)
        for plan in plans
        if plan.record.dtype == "string" and types[plan.record.name].is_float()
    ]
    return frame.with_columns(texts)


def _finished(frame: pl.DataFrame, plans: Sequence[ColumnPlan]) -> pl.DataFrame:
    """Null for NaN and for numbers that mean missing; texts in NFC."""
    tests = cs.float().is_nan().any(), cs.string().str.contains(r"[^\x00-\x7f]").any()
    odd = frame.select(*tests)
    odd_names = {name for name, found in zip(odd.columns, odd.row(0) if odd.width else (), strict=True) if found}
    types = frame.schema
    numbers = [pl.col(name).fill_nan(None) for name in odd_names if types[name].is_float()]
    texts = [nfc(frame[name]) for name in odd_names if not types[name].is_float()]
    if numbers or texts:
        frame = frame.with_columns(*numbers, *texts)
    coded = [plan for plan in plans if plan.codes]
    return frame.with_columns(
        pl.when(~pl.col(plan.record.name).cast(pl.Float64).is_in(plan.codes)).then(pl.col(plan.record.name))
        for plan in coded
    )


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
