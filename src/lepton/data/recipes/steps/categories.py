"""Values of categories brought together: other spellings, rare values, values by a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from lepton.bundle import GraphBuilder
from lepton.bundle.build import ML_DOMAIN
from lepton.core import ErrorCode, Kind, Schema, UsageError
from lepton.data.recipes.base import Applied, BoundStep, Learner, RecipeStep, Scope, chosen_columns
from lepton.data.recipes.bound import SameColumns
from lepton.data.recipes.learning import Counts
from lepton.data.recipes.spellings import merged_spellings
from lepton.data.steps import Tensors

__all__ = ["MapValues", "MergeRare", "MergeSpellings"]

_WORDS = (Kind.CATEGORY, Kind.TEXT)
_MOST_VALUES = 20_000
_NONE = "\x1f"  # what the table of a graph says of texts that it does not hold


@dataclass(frozen=True)
class MergeSpellings(RecipeStep):
    """Make one value of its spellings: those that differ by case, accents or punctuation only, and rare slips.

    A slip is a value one letter (two, from twelve letters on) from one that is `rarer` times as frequent; two frequent
    values are never made one, nor two that differ in a digit. What was learned lists every spelling with its value, its
    rows and why, to be reviewed: values in `keep`, or taken out of the recipe's `learned`, stay.

    Attributes:
        columns: the columns; () for every category.
        rarer: how many times as frequent the right value must be.
        keep: values that are right as they are.
    """

    name: ClassVar[str] = "merge_spellings"
    scope: ClassVar[Scope] = Scope.ROW
    keeps_columns: ClassVar[bool] = True
    columns: tuple[str, ...] = ()
    rarer: float = 10.0
    keep: tuple[str, ...] = ()

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns."""
        return chosen_columns(schema, self.columns, _WORDS, self.name, default=(Kind.CATEGORY,))

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """The spellings."""
        if self.rarer < 2:
            raise UsageError(ErrorCode.BAD_RECIPE, f"merge_spellings: got rarer={self.rarer:g}", wanted="2 or more")
        return _Spellings(self.reads(schema), self)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        columns = self.reads(schema)
        tables = tuple({value: each["to"] for value, each in learned["spellings"][name].items()} for name in columns)
        return _Mapped(schema, columns, tables=tables, others=(None,) * len(columns))


@dataclass(frozen=True)
class MergeRare(RecipeStep):
    """Put rare values of categories, and those that were never seen, together as one.

    Attributes:
        columns: the columns; () for every category.
        count: rows that a value must have to stay.
        share: share of the rows with a value that it must have to stay.
        most: values that stay at most, the most frequent.
        to: what the others become.
    """

    name: ClassVar[str] = "merge_rare"
    scope: ClassVar[Scope] = Scope.ROW
    keeps_columns: ClassVar[bool] = True
    columns: tuple[str, ...] = ()
    count: int = 10
    share: float = 0.0
    most: int = 1_000
    to: str = "other"

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns."""
        return chosen_columns(schema, self.columns, _WORDS, self.name, default=(Kind.CATEGORY,))

    def learner(self, schema: Schema, memory: int) -> Learner | None:
        """The values that stay."""
        if not 0 <= self.share <= 1 or not 1 <= self.most <= _MOST_VALUES or not self.to:
            came = f"merge_rare: got share={self.share:g}, most={self.most}, to={self.to!r}"
            raise UsageError(ErrorCode.BAD_RECIPE, came, wanted=f"a share, 1 to {_MOST_VALUES:,}, and a text")
        return _Frequent(self.reads(schema), self)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        columns = self.reads(schema)
        tables = tuple({value: value for value in learned["kept"][name]} for name in columns)
        return _Mapped(schema, columns, tables=tables, others=(self.to,) * len(columns))


@dataclass(frozen=True)
class MapValues(RecipeStep):
    """Replace values by a table: `map_values("state", {"NY": "New York", "?": None})`.

    Attributes:
        columns: the columns.
        values: value → what it becomes; None makes it missing.
        others: what values that are not in the table become; None to leave them.
    """

    name: ClassVar[str] = "map_values"
    scope: ClassVar[Scope] = Scope.ROW
    keeps_columns: ClassVar[bool] = True
    columns: tuple[str, ...]
    values: Mapping[str, str | None]
    others: str | None = None

    def reads(self, schema: Schema) -> tuple[str, ...]:
        """The columns."""
        return chosen_columns(schema, self.columns, (*_WORDS, Kind.IDENTIFIER), self.name)

    def bind(self, schema: Schema, learned: Mapping[str, Any]) -> BoundStep:
        """The step on these columns."""
        columns = self.reads(schema)
        table = {value: new or None for value, new in self.values.items() if value}
        return _Mapped(schema, columns, tables=(table,) * len(columns), others=(self.others or None,) * len(columns))


@dataclass(frozen=True)
class _Mapped(SameColumns):
    """Texts by one table for each column; other texts stay, or become one text."""

    tables: tuple[Mapping[str, str | None], ...] = ()
    others: tuple[str | None, ...] = ()

    def apply(self, frame: pl.DataFrame) -> Applied:
        made = []
        for name, table, other in zip(self.columns, self.tables, self.others, strict=True):
            values, old = frame[name], pl.Series(list(table), dtype=pl.String)
            new = pl.Series(list(table.values()), dtype=pl.String)
            if other is not None:
                mapped = values.replace_strict(old, new, default=other, return_dtype=pl.String)
                values = mapped.set(values.is_null() | (values == ""), None)
            elif table:
                values = values.replace(old, new)
            made.append(values.alias(name))
        return Applied(frame.with_columns(made))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        tables = dict(zip(self.columns, zip(self.tables, self.others, strict=True), strict=True))
        prefixes = [f"{place}:" for place in range(len(tensors.string_names))]
        keys: list[str] = []
        values: list[str] = []
        fallback, has_fallback = [], []
        for prefix, name in zip(prefixes, tensors.string_names, strict=True):
            table, other = tables.get(name, ({}, None))
            pairs = {"": "", **table} if other is not None else table
            keys += [prefix + value for value in pairs]
            values += [new or "" for new in pairs.values()]
            fallback.append(other or "")
            has_fallback.append(other is not None)
        if not keys or tensors.strings is None:
            return tensors
        marked = builder.node("StringConcat", [builder.constant([prefixes]), tensors.strings])
        found = builder.node(
            "LabelEncoder",
            [marked],
            domain=ML_DOMAIN,
            keys_tensor=np.array(keys, dtype=object),
            values_tensor=np.array(values, dtype=object),
            default_tensor=np.array([_NONE], dtype=object),
        )
        rest = tensors.strings
        if any(has_fallback):
            rest = builder.node(
                "Where", [builder.constant(np.array([has_fallback])), builder.constant([fallback]), tensors.strings]
            )
        unknown = builder.node("Equal", [found, builder.constant([[_NONE]])])
        return replace(tensors, strings=builder.node("Where", [unknown, rest, found]))


class _Spellings(Learner):
    def __init__(self, columns: tuple[str, ...], step: MergeSpellings) -> None:
        self.columns = columns
        self._step = step
        self._counts = Counts(columns, _MOST_VALUES)

    def update(self, frame: pl.DataFrame) -> None:
        self._counts.update(frame)

    def merge(self, other: Self) -> None:
        self._counts.merge(other._counts)

    def finish(self) -> dict[str, Any]:
        found = {}
        for name, counts in self._counts.finish()["counts"].items():
            merged = merged_spellings([(value, rows) for value, rows in counts], rarer=self._step.rarer)
            found[name] = {value: each for value, each in merged.items() if value not in self._step.keep}
        return {"spellings": found}


class _Frequent(Learner):
    def __init__(self, columns: tuple[str, ...], step: MergeRare) -> None:
        self.columns = columns
        self._step = step
        self._counts = Counts(columns, step.most)
        self._rows = dict.fromkeys(columns, 0)

    def update(self, frame: pl.DataFrame) -> None:
        self._counts.update(frame)
        for name in self.columns:
            self._rows[name] += len(frame) - frame[name].null_count()

    def merge(self, other: Self) -> None:
        self._counts.merge(other._counts)
        for name, rows in other._rows.items():
            self._rows[name] += rows

    def finish(self) -> dict[str, Any]:
        kept = {}
        for name, counts in self._counts.finish()["counts"].items():
            least = max(self._step.count, self._step.share * self._rows[name])
            kept[name] = [value for value, rows in counts if rows >= least]
        return {"kept": kept}
