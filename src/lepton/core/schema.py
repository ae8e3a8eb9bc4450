"""Kinds, roles and schema: what a column is, and what it is for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field as own_field, replace
from enum import StrEnum
from typing import Any, TypeVar

from lepton.core.errors import DataError, ErrorCode, UsageError

__all__ = ["ColumnRecord", "Kind", "Role", "Schema"]

E = TypeVar("E", bound=StrEnum)


class Kind(StrEnum):
    """What the values of a column are."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    CATEGORY = "category"
    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    SERIES = "series"
    IDENTIFIER = "identifier"


class Role(StrEnum):
    """What a column is for."""

    FEATURE = "feature"
    TARGET = "target"
    WEIGHT = "weight"
    GROUP = "group"
    TIME = "time"
    PROTECTED = "protected"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class ColumnRecord:
    """One column.

    Attributes:
        name: the label, as in the source.
        kind: what its values are.
        dtype: storage type, one of `float64 int64 bool datetime string`.
        unit: unit of a number or duration (`"km"`), if known.
        time_zone: IANA name for datetimes with a zone; None means naive, read as UTC.
        missing_markers: texts that mean "missing" in this column beside the empty cell.
        role: what the column is for.
        datetime_format: strptime format of a datetime that is read from text, if known.
        further_formats: strptime formats for texts that are not of `datetime_format`, in the order they are tried.
        number_format: how numbers in text are written: the number 1234.5 as an example (`"1.234,5"`).
        units: texts that may stand with a number and what it is then multiplied with (`("km", 1000.0)`); the text ""
            stands for a number alone.
        true_texts: texts of a boolean that mean true, beside the usual ones.
        false_texts: texts of a boolean that mean false.
        tidying: what is done to texts before they are read: changes of the codec `tidy-text/1`, in their order.
        unreadable_is_missing: whether a text that is no value of the column is a missing one; else it is refused.
    """

    name: str
    kind: Kind
    dtype: str = "float64"
    unit: str | None = None
    time_zone: str | None = None
    missing_markers: tuple[str, ...] = ()
    role: Role = Role.FEATURE
    datetime_format: str | None = None
    further_formats: tuple[str, ...] = ()
    number_format: str | None = None
    units: tuple[tuple[str, float], ...] = ()
    true_texts: tuple[str, ...] = ()
    false_texts: tuple[str, ...] = ()
    tidying: tuple[str, ...] = ()
    unreadable_is_missing: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON form; fields at their default are left out."""
        out: dict[str, Any] = {"name": self.name, "kind": str(self.kind), "dtype": self.dtype}
        if self.unit is not None:
            out["unit"] = self.unit
        if self.time_zone is not None:
            out["time_zone"] = self.time_zone
        if self.missing_markers:
            out["missing_markers"] = list(self.missing_markers)
        if self.role is not Role.FEATURE:
            out["role"] = str(self.role)
        if self.datetime_format is not None:
            out["datetime_format"] = self.datetime_format
        if self.number_format is not None:
            out["number_format"] = self.number_format
        if self.units:
            out["units"] = dict(self.units)
        for name in ("further_formats", "true_texts", "false_texts", "tidying"):
            if texts := getattr(self, name):
                out[name] = list(texts)
        if self.unreadable_is_missing:
            out["unreadable_is_missing"] = True
        return out

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ColumnRecord:
        """Read the JSON form; `ValueError` or `KeyError` on anything else."""
        if unknown := raw.keys() - cls.__dataclass_fields__.keys():
            raise ValueError(f"unknown column fields {sorted(unknown)}")
        for field, value in raw.items():
            if field in _TEXT_FIELDS and value is not None and not isinstance(value, str):
                raise ValueError(f"column field {field!r} must be text, got {value!r}")
        if not isinstance(lenient := raw.get("unreadable_is_missing", False), bool):
            raise ValueError(f"unreadable_is_missing must be true or false, got {lenient!r}")
        return cls(
            name=raw["name"],
            kind=Kind(raw["kind"]),
            dtype=raw.get("dtype", "float64"),
            unit=raw.get("unit"),
            time_zone=raw.get("time_zone"),
            missing_markers=_texts(raw, "missing_markers"),
            role=Role(raw.get("role", "feature")),
            datetime_format=raw.get("datetime_format"),
            further_formats=_texts(raw, "further_formats"),
            number_format=raw.get("number_format"),
            units=_factors(raw["units"]) if "units" in raw else (),
            true_texts=_texts(raw, "true_texts"),
            false_texts=_texts(raw, "false_texts"),
            tidying=_texts(raw, "tidying"),
            unreadable_is_missing=lenient,
        )


_TEXT_FIELDS = frozenset({"name", "kind", "dtype", "unit", "time_zone", "role", "datetime_format", "number_format"})


def _texts(raw: Mapping[str, Any], field: str) -> tuple[str, ...]:
    if field not in raw:
        return ()
    texts = raw[field]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{field} must be a list of texts, got {texts!r}")
    return tuple(texts)


def _factors(units: Any) -> tuple[tuple[str, float], ...]:
    if not isinstance(units, Mapping) or not all(
        isinstance(unit, str) and isinstance(factor, int | float) and not isinstance(factor, bool)
        for unit, factor in units.items()
    ):
        raise ValueError(f"units must map texts to numbers, got {units!r}")
    return tuple((unit, float(factor)) for unit, factor in units.items())


@dataclass(frozen=True, slots=True)
class Schema:
    """The ordered columns of a data set."""

    columns: tuple[ColumnRecord, ...]
    _by_name: dict[str, ColumnRecord] = own_field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {column.name: column for column in reversed(self.columns)})

    def __iter__(self) -> Iterator[ColumnRecord]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._by_name

    def __getitem__(self, name: str) -> ColumnRecord:
        if name in self:
            return self._by_name[name]
        alike = [other for other in self.names if other.casefold() == str(name).casefold()]
        close = alike or difflib.get_close_matches(str(name), self.names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "columns are " + ", ".join(map(repr, self.names[:20]))
        raise DataError(ErrorCode.UNKNOWN_COLUMN, f"there is no column {name!r}", fix=hint)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(c.name for c in self.columns)

    def of_role(self, role: Role) -> tuple[ColumnRecord, ...]:
        """Columns that have `role`, in order."""
        return tuple(c for c in self.columns if c.role is role)

    def select(self, names: Iterable[str]) -> Schema:
        """The named columns, in the order given."""
        return Schema(tuple(self[name] for name in names))

    def with_roles(self, roles: Mapping[str, Role | str]) -> Schema:
        """The same columns with other roles; `roles` maps names to roles."""
        return self._changed({name: {"role": _member(Role, role)} for name, role in roles.items()})

    def with_kinds(self, kinds: Mapping[str, Kind | str]) -> Schema:
        """The same columns declared to be of other kinds; the reader casts."""
        return self._changed({name: {"kind": _member(Kind, kind)} for name, kind in kinds.items()})

    def _changed(self, changes: Mapping[str, Mapping[str, Any]]) -> Schema:
        for name in changes:
            self[name]
        return Schema(tuple(replace(c, **changes.get(c.name, {})) for c in self.columns))

    def to_dict(self) -> list[dict[str, Any]]:
        """JSON form: a list of columns."""
        return [c.to_dict() for c in self.columns]

    @classmethod
    def from_dict(cls, raw: Iterable[Mapping[str, Any]]) -> Schema:
        """Read the JSON form."""
        return cls(tuple(ColumnRecord.from_dict(c) for c in raw))


def _member(enum: type[E], value: E | str) -> E:
    try:
        return enum(value)
    except ValueError:
        raise UsageError(
            ErrorCode.USAGE, f"got the {enum.__name__.lower()} {value!r}", wanted="one of " + ", ".join(enum)
        ) from None
