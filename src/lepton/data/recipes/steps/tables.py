"""Rows of several tables: beside each other by key, or below each other.

Other tables come by name: `recipe.fit_transform(table, tables={"prices": prices})`. Their columns are kept with what
the recipe learned, so that a table of other columns is refused by name when the recipe is used again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl

from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Schema, SchemaError, UsageError, printable
from lepton.data.convert import polars_type
from lepton.data.recipes.base import BoundTableStep, Frames, RecipeStep, RunContext, Scope
from lepton.data.recipes.sorting import PIECE, ROW, numbered, sorted_rows
from lepton.data.recipes.spill import read_rows, write_rows

__all__ = ["BoundJoin", "BoundUnion", "Join", "Union"]

_PARTS = 64
_HELD_SHARE = 4  # of the memory for the other table; a larger one is cut by key, on disk
_TEXTS = frozenset({Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER})
_DTYPES = {Kind.NUMBER: ("float64", "int64"), Kind.BOOLEAN: ("bool",), Kind.DATETIME: ("datetime",)}
_OTHER = "\0other"


def _columns_of(step: str, name: str, tables: Mapping[str, Any]) -> dict[str, Any]:
    """What a step keeps of the columns of another table."""
    return {"columns": _given(step, name, tables).schema.to_dict()}


def _given(step: str, name: str, tables: Mapping[str, Any]) -> Any:
    if name not in tables:
        there = ", ".join(f"'{printable(other)}'" for other in tables) or "none"
        raise UsageError(
            ErrorCode.USAGE,
            f"{step}: there is no table '{printable(name)}'; given were: {there}",
            fix=f"recipe.fit_transform(table, tables={{{name!r}: ...}})",
        )
    return tables[name]


def _other_schema(step: str, learned: Mapping[str, Any]) -> Schema:
    try:
        schema = Schema.from_dict(learned["columns"])
        sound = all(c.dtype in _DTYPES.get(c.kind, ("string",)) for c in schema)
        sound = sound and len(set(schema.names)) == len(schema)
    except (KeyError, TypeError, ValueError, AttributeError):
        sound = False
    if not sound:
        raise UsageError(
            ErrorCode.BAD_RECIPE, f"{step}: what was kept of the other table cannot be read", wanted="its columns"
        )
    return schema


def _frames_of(
    step: str, name: str, wanted: Schema, columns: Iterable[str], context: RunContext
) -> Iterator[pl.DataFrame]:
    """The rows of another table, its columns as they were when the recipe was fitted."""
    table = _given(step, name, context.tables)
    names = list(columns)
    missing = [column for column in names if column not in table.schema]
    if missing:
        raise SchemaError(
            ErrorCode.MISSING_COLUMNS,
            f"{step}: table '{printable(name)}' has no column '{printable(missing[0])}'",
            wanted="the columns that it had when the recipe was fitted",
            details={"table": name, "columns": missing},
        )
    types = {column: polars_type(wanted[column]) for column in names}
    for frame in table.batches(columns=names):
        for column, dtype in types.items():
            fits = frame.schema[column] == dtype or (frame.schema[column].is_numeric() and dtype.is_numeric())
            if not fits:
                raise SchemaError(
                    ErrorCode.WRONG_KIND,
                    f"{step}: column '{printable(column)}' of table '{printable(name)}' is now "
                    f"{table.schema[column].kind}",
                    wanted=str(wanted[column].kind),
                )
        yield frame.cast(types)


def _common(step: str, one: ColumnRecord, other: ColumnRecord) -> ColumnRecord:
    """The column that holds the values of both, called and used as the first one."""
    if one.kind is other.kind and one.dtype == other.dtype and one.time_zone == other.time_zone:
        return one
    if one.kind is Kind.NUMBER and other.kind is Kind.NUMBER:
        return replace(one, dtype="float64")
    if {one.kind, other.kind} <= _TEXTS:
        kind = Kind.CATEGORY if {one.kind, other.kind} == {Kind.CATEGORY} else Kind.TEXT
        return replace(one, kind=kind, dtype="string")
    shown = [f"{c.kind}{f' in {c.time_zone}' if c.time_zone else ''}" for c in (one, other)]
    raise DataError(
        ErrorCode.WRONG_KIND,
        f"{step}: column '{printable(one.name)}' is {shown[0]} here and {shown[1]} in the other table",
        wanted="one kind",
        fix="cast the column first",
    )


# --- below each other -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Union(RecipeStep):
    """Puts the rows of another table below: `union("claims_2025")`.

    Columns are matched by name. Whole numbers and others become numbers, categories and texts become texts; other kinds
    that differ are refused. A column that only one table has is missing in the rows of the other.

    Attributes:
        table: name of the other table.
        only_common: whether columns that only one table has are left out.
    """

    name: ClassVar[str] = "union"
    scope: ClassVar[Scope] = Scope.TABLE
    table: str
    only_common: bool = False

    def from_tables(self, tables: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of the other table."""
        return _columns_of(self.name, self.table, tables)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundUnion:
        """Reconcile the columns."""
        other = _other_schema(self.name, learned)
        both = [_common(self.name, c, other[c.name]) if c.name in other else c for c in schema]
        if self.only_common:
            both = [column for column in both if column.name in other]
            if not both:
                raise SchemaError(ErrorCode.MISSING_COLUMNS, "union: the two tables have no column in common")
        else:
            both += [column for column in other if column.name not in schema]
        return BoundUnion(schema, self.table, other, Schema(tuple(both)))


@dataclass(frozen=True)
class BoundUnion(BoundTableStep):
    """`Union` on columns."""

    table: str
    other: Schema
    both: Schema

    @property
    def schema(self) -> Schema:
        """The columns of both."""
        return self.both

    @property
    def reads(self) -> tuple[str, ...]:
        """The own columns that stay."""
        return tuple(name for name in self.both.names if name in self.before)

    @property
    def writes(self) -> tuple[str, ...]:
        """The columns that only the other table has, and those of another kind than before."""
        return tuple(c.name for c in self.both if c.name not in self.before or self.before[c.name].kind is not c.kind)

    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """The own rows, then those of the other table."""
        of_other = [name for name in self.both.names if name in self.other]
        for part in (frames(), _frames_of("union", self.table, self.other, of_other, context)):
            for frame in part:
                context.work.check()
                yield frame.select(
                    pl.col(c.name).cast(polars_type(c))
                    if c.name in frame.columns
                    else pl.lit(None, polars_type(c)).alias(c.name)
                    for c in self.both
                )


# --- beside each other ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Join(RecipeStep):
    """Adds columns of another table by key: `join("prices", "article")`.

    The rows stay in their order. A missing key matches nothing. Where a key stands in the other table more than once, a
    row would become several: that is refused, unless `many` allows it; then they follow the order of the other table.

    Attributes:
        table: name of the other table.
        on: key columns.
        their_keys: what the keys are called there; as here by default.
        columns: which columns to add; all but the keys by default.
        how: `left` keeps rows without a match, with missing values; `inner` leaves them out.
        many: whether a row may match several.
        suffix: put behind names that are taken; " (<table>)" by default.
    """

    name: ClassVar[str] = "join"
    scope: ClassVar[Scope] = Scope.TABLE
    table: str
    on: tuple[str, ...]
    their_keys: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    how: Literal["left", "inner"] = "left"
    many: bool = False
    suffix: str | None = None

    def __post_init__(self) -> None:
        """As many keys on both sides."""
        super().__post_init__()
        if self.suffix == "":
            raise UsageError(ErrorCode.BAD_RECIPE, "join: got suffix=''", wanted="at least one letter")
        if not self.on or (self.their_keys and len(self.their_keys) != len(self.on)):
            raise UsageError(
                ErrorCode.BAD_RECIPE,
                f"join: got {len(self.on)} keys here and {len(self.their_keys)} there",
                wanted="at least one, and as many on both sides",
            )

    def from_tables(self, tables: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of the other table."""
        return _columns_of(self.name, self.table, tables)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundJoin:
        """Match the keys and name the columns that come."""
        other = _other_schema(self.name, learned)
        theirs = tuple(other[name].name for name in self.their_keys or self.on)
        keys = tuple(_common(self.name, schema[a], other[b]) for a, b in zip(self.on, theirs, strict=True))
        added: dict[str, str] = {}
        for name in self.columns or [name for name in other.names if name not in theirs]:
            new = name
            while new in schema or new in added.values():
                new += self.suffix or f" ({self.table})"
            added[other[name].name] = new
        return BoundJoin(schema, self, other, theirs, keys, added)


@dataclass(frozen=True)
class BoundJoin(BoundTableStep):
    """`Join` on columns.

    Attributes:
        other: the columns of the other table.
        theirs: its keys.
        keys: for each key a column that holds the values of both.
        added: its column → the name that it gets.
    """

    step: Join
    other: Schema
    theirs: tuple[str, ...]
    keys: tuple[ColumnRecord, ...]
    added: Mapping[str, str]

    @property
    def schema(self) -> Schema:
        """The columns, and those that are added."""
        return Schema((*self.before, *(replace(self.other[old], name=new) for old, new in self.added.items())))

    @property
    def reads(self) -> tuple[str, ...]:
        """The keys."""
        return tuple(key.name for key in self.keys)

    @property
    def writes(self) -> tuple[str, ...]:
        """The columns that are added."""
        return tuple(self.added.values())

    @property
    def _hidden(self) -> list[str]:
        """Names of the keys while they are compared."""
        return [f"\0key{place}" for place in range(len(self.keys))]

    def run(self, frames: Frames, context: RunContext) -> Iterator[pl.DataFrame]:
        """With the other table in memory where it fits; else both are cut by key, joined part by part and sorted."""
        held: list[pl.DataFrame] = []
        size = 0
        theirs = self._their_rows(context)
        for frame in theirs:
            held.append(frame)
            size += int(frame.estimated_size())
            if size > context.memory // _HELD_SHARE:
                yield from self._in_parts(frames, _chained(held, theirs), context)
                return
        other = pl.concat(held) if held else self._no_rows()
        self._refuse_many(other)
        for frame in frames():
            context.work.check()
            yield from self._joined(self._with_keys(frame), other).select(self.schema.names).iter_slices(PIECE)

    def _in_parts(self, frames: Frames, theirs: Iterable[pl.DataFrame], context: RunContext) -> Iterator[pl.DataFrame]:
        of_other = _cut(theirs, self._hidden, context, "theirs")
        own = _cut((self._with_keys(frame) for frame in numbered(frames())), self._hidden, context, "own")

        def joined() -> Iterator[pl.DataFrame]:
            for ours, those in zip(own, of_other, strict=True):
                other = pl.concat([self._no_rows(), *_read(those)])
                self._refuse_many(other)
                for frame in _read(ours):
                    context.work.check()
                    yield self._joined(frame, other)

        # Rows of one part are in order, and the matches of a row follow the other table's order.
        place = pl.int_range(pl.len()).over(ROW).alias(_OTHER)
        numbered_again = (frame.with_columns(place) for frame in joined())
        for frame in sorted_rows(numbered_again, [ROW, _OTHER], context):
            yield frame.select(self.schema.names)

    def _their_rows(self, context: RunContext) -> Iterator[pl.DataFrame]:
        """The columns that are added, under their new names, with the keys."""
        wanted = [name for name in self.other.names if name in self.added or name in self.theirs]
        keys = [
            _compared(name, key).alias(hidden)
            for name, key, hidden in zip(self.theirs, self.keys, self._hidden, strict=True)
        ]
        columns = [pl.col(old).alias(new) for old, new in self.added.items()]
        for frame in _frames_of("join", self.step.table, self.other, wanted, context):
            yield frame.select(*keys, *columns)

    def _no_rows(self) -> pl.DataFrame:
        keys = {hidden: polars_type(key) for hidden, key in zip(self._hidden, self.keys, strict=True)}
        return pl.DataFrame(schema={**keys, **{new: polars_type(self.other[old]) for old, new in self.added.items()}})

    def _with_keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(
            _compared(key.name, key).alias(hidden) for key, hidden in zip(self.keys, self._hidden, strict=True)
        )

    def _joined(self, frame: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
        return frame.join(other, on=self._hidden, how=self.step.how, maintain_order="left_right")

    def _refuse_many(self, other: pl.DataFrame) -> None:
        """Refuse a key that stands in the other table more than once."""
        if self.step.many:
            return
        keys = other.select(self._hidden).drop_nulls()
        twice = keys.filter(keys.is_duplicated())
        if twice.height:
            shown = ", ".join(
                f"{printable(name)}={printable(str(value), 40)}"
                for name, value in zip(self.theirs, twice.row(0), strict=True)
            )
            raise DataError(
                ErrorCode.BAD_VALUE,
                f"join: table '{printable(self.step.table)}' has several rows for {shown}: rows would be multiplied",
                wanted="each key once",
                fix="drop_duplicates or aggregate that table by its key first, or join(..., many=True)",
                details={"table": self.step.table, "rows": twice.height},
            )


def _compared(name: str, key: ColumnRecord) -> pl.Expr:
    """A key column in the type in which both sides are compared; 0.0 and -0.0 are one key."""
    column = pl.col(name).cast(polars_type(key))
    return column + 0.0 if key.dtype == "float64" else column


def _chained(held: list[pl.DataFrame], rest: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    yield from held
    held.clear()
    yield from rest


def _cut(frames: Iterable[pl.DataFrame], keys: list[str], context: RunContext, name: str) -> list[list[Path]]:
    """The rows in files, cut so that equal keys are together; in each part they keep their order."""
    parts: list[list[Path]] = [[] for _ in range(_PARTS)]
    for number, frame in enumerate(frames):
        context.work.check()
        place = frame.select(keys).hash_rows(seed=0) % _PARTS
        cut = frame.with_columns(place.cast(pl.UInt8).alias("\0part")).partition_by(
            "\0part", as_dict=True, include_key=False, maintain_order=True
        )
        for (part,), rows in cut.items():
            path = context.scratch / f"{name}-{id(parts):x}-{part}-{number}.arrow"
            write_rows(rows, path)
            parts[int(part)].append(path)
    return parts


def _read(paths: list[Path]) -> Iterator[pl.DataFrame]:
    """The rows of files, which are removed."""
    for path in paths:
        yield read_rows(path)
        path.unlink()
