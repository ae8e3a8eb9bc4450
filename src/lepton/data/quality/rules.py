"""Rules that a table must keep: plain parameters, the same in Python and in YAML."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from lepton.core import DataError, ErrorCode, Kind, LeptonError, Registry, Schema, UsageError, parse_duration
from lepton.data.parameters import adapt_fields, given_fields, made_of
from lepton.data.recipes.expressions import parse
from lepton.store.documents import read_yaml

__all__ = [
    "RULES",
    "Bounds",
    "CellRule",
    "ExistsIn",
    "Fresh",
    "MeanBetween",
    "RowCount",
    "Rule",
    "Severity",
    "Unique",
    "load_rules",
    "rules_of",
]

FORMAT = "rules/1"
_MAX_RULES = 1_000
_MAX_PATTERN = 1_000
_HERE = "lepton.data.quality.rules:"
RULES = Registry(
    "rules",
    {
        "not_missing": _HERE + "NotMissing",
        "in_range": _HERE + "InRange",
        "one_of": _HERE + "OneOf",
        "matches": _HERE + "Matches",
        "length": _HERE + "Length",
        "holds": _HERE + "Holds",
        "unique": _HERE + "Unique",
        "exists_in": _HERE + "ExistsIn",
        "has_kind": _HERE + "HasKind",
        "fresh": _HERE + "Fresh",
        "row_count": _HERE + "RowCount",
        "mean_between": _HERE + "MeanBetween",
    },
)
"""Every rule by name; third parties add theirs through the entry-point group `lepton.rules`."""


class Severity(StrEnum):
    """Whether a broken rule stops what comes next, or is only told."""

    ERROR = "error"
    WARN = "warn"


@dataclass(frozen=True, kw_only=True)
class Rule(ABC):
    """One rule.

    Attributes:
        severity: `error` or `warn`.
        allowed: share of the rows that may break it.
    """

    name: ClassVar[str]
    severity: Severity = Severity.ERROR
    allowed: float = 0.0

    def __post_init__(self) -> None:
        """Parameters are brought into their form, and refused where they cannot be meant."""
        adapt_fields(self, self.name, ErrorCode.BAD_RULE)
        if not 0 <= self.allowed <= 1:
            raise UsageError(ErrorCode.BAD_RULE, f"{self.name}: got allowed={self.allowed}", wanted="a share, 0 to 1")

    @abstractmethod
    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns that it looks at."""

    def params(self) -> dict[str, Any]:
        """The parameters that are not at their default."""
        return given_fields(self)

    def __str__(self) -> str:
        shown = {key: value for key, value in self.params().items() if key not in ("severity", "allowed")}
        return f"{self.name}({', '.join(f'{key}={_shown(value)}' for key, value in shown.items())})"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)


class CellRule(Rule):
    """A rule on each row by itself."""

    @abstractmethod
    def broken(self, schema: Schema) -> pl.Expr:
        """Which rows break it; a missing answer counts as kept.

        Raises:
            DataError: a column is not there or of a kind that the rule cannot look at.
        """

    def cells(self, schema: Schema) -> dict[str, pl.Expr]:
        """Which cells of each column break it; by default those of all columns that it reads, in rows that do.

        Raises:
            DataError: as of `broken`.
        """
        return dict.fromkeys(self.reads(schema), self.broken(schema))


@dataclass(frozen=True)
class _Columns(CellRule):
    columns: tuple[str, ...]

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns."""
        return tuple(schema[name].name for name in self.columns)

    def broken(self, schema: Schema) -> pl.Expr:
        """A row breaks it where one of its columns does."""
        return pl.any_horizontal(list(self.cells(schema).values()))

    def cells(self, schema: Schema) -> dict[str, pl.Expr]:
        """Which cells of each column break it."""
        return {name: self.cell(pl.col(name), schema[name].kind, name) for name in self.reads(schema)}

    @abstractmethod
    def cell(self, column: pl.Expr, kind: Kind, name: str) -> pl.Expr:
        """Which cells of one column break it."""

    def _only(self, kind: Kind, kinds: Sequence[Kind], name: str) -> None:
        if kind not in kinds:
            came = f"{self.name}: column {name!r} is of kind {kind}"
            raise DataError(ErrorCode.WRONG_KIND, came, wanted=" or ".join(kinds))


@dataclass(frozen=True)
class NotMissing(_Columns):
    """Every cell has a value.

    Attributes:
        columns: the columns.
    """

    name: ClassVar[str] = "not_missing"

    def cell(self, column: pl.Expr, kind: Kind, name: str) -> pl.Expr:
        """Missing ones."""
        return column.is_null()


Bounds = tuple[float | None, float | None]


@dataclass(frozen=True)
class InRange(_Columns):
    """Numbers, or times as texts such as `2026-01-31`, lie between two bounds, which belong to the range.

    Attributes:
        columns: the columns.
        least: the lower bound.
        most: the upper bound.
    """

    name: ClassVar[str] = "in_range"
    least: float | str | None = None
    most: float | str | None = None

    def cell(self, column: pl.Expr, kind: Kind, name: str) -> pl.Expr:
        """Those outside."""
        self._only(kind, (Kind.NUMBER, Kind.DATETIME), name)
        low, high = self.ends(kind, name)
        value = column.dt.replace_time_zone(None) if kind is Kind.DATETIME else column
        outside = pl.lit(False)
        outside = outside if low is None else outside | (value < pl.lit(low))
        return outside if high is None else outside | (value > pl.lit(high))

    def ends(self, kind: Kind, name: str) -> tuple[float | dt.datetime | None, ...]:
        """The bounds for a column of numbers or times."""
        end: Callable[[float | str, str], float | dt.datetime] = _time_of if kind is Kind.DATETIME else _number_of
        return tuple(None if bound is None else end(bound, name) for bound in (self.least, self.most))


def _number_of(bound: float | str, name: str) -> float:
    if isinstance(bound, str):
        raise UsageError(ErrorCode.BAD_RULE, f"in_range: got {bound!r} for the numbers of {name!r}", wanted="a number")
    return bound


def _time_of(bound: float | str, name: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(str(bound)).replace(tzinfo=None)
    except ValueError:
        came = f"in_range: got {bound!r} for the times of {name!r}"
        raise UsageError(ErrorCode.BAD_RULE, came, wanted="a time such as 2026-01-31 or 2026-01-31T12:00") from None


@dataclass(frozen=True)
class OneOf(_Columns):
    """Every value is one of a set.

    Attributes:
        columns: the columns.
        values: the set: texts, numbers or booleans.
    """

    name: ClassVar[str] = "one_of"
    values: tuple[str | float | int | bool, ...]

    def cell(self, column: pl.Expr, kind: Kind, name: str) -> pl.Expr:
        """Those that are not in the set."""
        if kind in (Kind.NUMBER, Kind.BOOLEAN):
            if any(isinstance(value, str) for value in self.values):
                raise UsageError(ErrorCode.BAD_RULE, f"one_of: got texts for the column {name!r} of kind {kind}")
            return ~column.cast(pl.Float64).is_in([float(value) for value in self.values])
        self._only(kind, (Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER), name)
        return ~column.is_in([str(value) for value in self.values])


@dataclass(frozen=True)
class Matches(_Columns):
    """Every text matches a pattern as a whole. The pattern is a Rust regular expression, which takes linear time.

    Attributes:
        columns: the columns.
        pattern: such as `[0-9]{5}`.
    """

    name: ClassVar[str] = "matches"
    pattern: str

    def __post_init__(self) -> None:
        """The pattern must be one."""
        super().__post_init__()
        try:
            if len(self.pattern) > _MAX_PATTERN:
                raise ValueError(f"{len(self.pattern):,} characters")
            pl.select(pl.lit("a").str.contains(self._whole))
        except (ValueError, pl.exceptions.PolarsError) as error:
            came = f"matches: got the pattern {self.pattern[:100]!r}: {str(error).splitlines()[0][:100]}"
            raise UsageError(ErrorCode.BAD_RULE, came, wanted="a regular expression without look-around") from None

    @property
    def _whole(self) -> str:
        return f"^(?:{self.pattern})$"

    def cell(self, column: pl.Expr, kind: Kind, name: str) -> pl.Expr:
        """Those that do not."""
        self._only(kind, (Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER), name)
        return ~column.cast(pl.String).str.contains(self._whole)


@dataclass(frozen=True)
class Length(_Columns):
    """Every text has a number of characters between two bounds.

    Attributes:
        columns: the columns.
        least: fewest characters.
        most: most characters.
    """

    name: ClassVar[str] = "length"
    least: int = 0
    most: int | None = None

    def cell(self, column: pl.Expr, kind: Kind, name: str) -> pl.Expr:
        """Those that are too short or too long."""
        self._only(kind, (Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER), name)
        count = column.cast(pl.String).str.len_chars()
        return (count < self.least) | (count > self.most) if self.most is not None else count < self.least


@dataclass(frozen=True)
class Holds(CellRule):
    """An expression is true in every row; where it is missing it counts as true.

    Attributes:
        expression: such as `price > 0 or status == "free"`; see the reference of expressions.
    """

    name: ClassVar[str] = "holds"
    expression: str

    def __post_init__(self) -> None:
        """The expression must be one."""
        super().__post_init__()
        parse(self.expression)

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns of the expression."""
        return tuple(schema[name].name for name in parse(self.expression).columns)

    def broken(self, schema: Schema) -> pl.Expr:
        """Where it is false."""
        expression = parse(self.expression)
        if expression.kind(schema) is not Kind.BOOLEAN:
            came = f"holds: {self.expression!r} gives a {expression.kind(schema)}"
            raise UsageError(ErrorCode.BAD_RULE, came, wanted="an expression that is true or false")
        return ~expression.polars(schema)


@dataclass(frozen=True)
class Unique(Rule):
    """No two rows are equal in the columns together; rows where all of them are missing are passed over.

    Attributes:
        columns: the key.
    """

    name: ClassVar[str] = "unique"
    columns: tuple[str, ...]

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The key."""
        return tuple(schema[name].name for name in self.columns)


@dataclass(frozen=True)
class ExistsIn(Rule):
    """Every key is found in another table; rows where one of its columns is missing are passed over.

    Attributes:
        columns: the key in this table.
        table: name of the other table.
        key: its columns there; by default of the same names.
    """

    name: ClassVar[str] = "exists_in"
    columns: tuple[str, ...]
    table: str
    key: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Both keys must have as many columns."""
        super().__post_init__()
        if self.key and len(self.key) != len(self.columns):
            raise UsageError(
                ErrorCode.BAD_RULE, f"exists_in: {len(self.columns)} columns against {len(self.key)} of key"
            )

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The key."""
        return tuple(schema[name].name for name in self.columns)


@dataclass(frozen=True)
class HasKind(Rule):
    """Columns are of a kind: number, boolean, datetime, category, text or identifier.

    Attributes:
        columns: the columns.
        kind: the kind.
    """

    name: ClassVar[str] = "has_kind"
    columns: tuple[str, ...]
    kind: Kind

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """None of their rows."""
        return ()


@dataclass(frozen=True)
class Fresh(Rule):
    """The latest time is not older than a duration.

    Attributes:
        column: a datetime column.
        within: such as `36h` or `7d`.
        now: the time to compare with, such as `2026-11-21T12:00`; by default that of the check, in UTC.
    """

    name: ClassVar[str] = "fresh"
    column: str
    within: str
    now: str | None = None

    def __post_init__(self) -> None:
        """Duration and time must be such."""
        super().__post_init__()
        _ = self.seconds, self.moment

    @property
    def seconds(self) -> float:
        """The duration."""
        number, unit = self.within[:-1], self.within[-1:]
        try:
            return float(number) * 86_400.0 if unit == "d" else parse_duration(self.within)
        except (LeptonError, ValueError):
            came = f"fresh: got within={self.within!r}"
            raise UsageError(ErrorCode.BAD_RULE, came, wanted="a duration such as 36h or 7d") from None

    @property
    def moment(self) -> dt.datetime | None:
        """The time to compare with, in UTC without zone."""
        return None if self.now is None else _time_of(self.now, "now")

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The column."""
        if schema[self.column].kind is not Kind.DATETIME:
            came = f"fresh: column {self.column!r} is of kind {schema[self.column].kind}"
            raise DataError(ErrorCode.WRONG_KIND, came, wanted="datetime")
        return (schema[self.column].name,)


@dataclass(frozen=True)
class RowCount(Rule):
    """The number of rows lies between two bounds.

    Attributes:
        least: fewest rows.
        most: most rows.
    """

    name: ClassVar[str] = "row_count"
    least: int = 0
    most: int | None = None

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """Nothing but the number of rows."""
        return ()


@dataclass(frozen=True)
class MeanBetween(Rule):
    """The mean of a number column lies between two bounds.

    Attributes:
        column: the column.
        least: the lower bound.
        most: the upper bound.
    """

    name: ClassVar[str] = "mean_between"
    column: str
    least: float | None = None
    most: float | None = None

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The column."""
        if schema[self.column].kind is not Kind.NUMBER:
            came = f"mean_between: column {self.column!r} is of kind {schema[self.column].kind}"
            raise DataError(ErrorCode.WRONG_KIND, came, wanted="number")
        return (schema[self.column].name,)


def rules_of(data: Any) -> tuple[Rule, ...]:
    """Rules from plain data: a document of rules, or the list alone.

    Raises:
        UsageError: anything else; the message names the rule.
    """
    if isinstance(data, Mapping):
        if data.get("lepton") != FORMAT or set(data) - {"lepton", "rules"}:
            came = f"it says lepton: {data.get('lepton')!r} and has the keys {', '.join(map(str, data))}"
            raise UsageError(ErrorCode.BAD_RULE, f"these are no rules: {came}", wanted=f"lepton: {FORMAT}, and rules")
        data = data.get("rules")
    if not isinstance(data, list | tuple) or len(data) > _MAX_RULES:
        raise UsageError(ErrorCode.BAD_RULE, "the rules are no list", wanted=f"a list of at most {_MAX_RULES:,} rules")
    return tuple(each if isinstance(each, Rule) else _rule(number, each) for number, each in enumerate(data, 1))


def _rule(number: int, written: Any) -> Rule:
    if not isinstance(written, Mapping) or len(written) != 1:
        came = f"rule {number} is {str(written)[:100]!r}"
        raise UsageError(ErrorCode.BAD_RULE, came, wanted="a name with its parameters, such as in_range: {...}")
    ((name, parameters),) = written.items()
    try:
        kind = RULES.load(str(name))
        if not isinstance(parameters, Mapping) or not all(isinstance(key, str) for key in parameters):
            raise UsageError(ErrorCode.BAD_RULE, f"the parameters of {name} are no mapping")
        rule: Rule = made_of(kind, str(name), parameters, ErrorCode.BAD_RULE)
        return rule
    except LeptonError as error:
        came = f"rule {number}: {error.came}"
        raise UsageError(ErrorCode.BAD_RULE, came, wanted=error.wanted, fix=error.fix) from None


def load_rules(path: str | Path) -> tuple[Rule, ...]:
    """Read rules from YAML or JSON. Whoever wrote them, they can do nothing but look."""
    return rules_of(read_yaml(path))
