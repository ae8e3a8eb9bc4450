"""Texts that become numbers by a table: the shape that several encodings have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from lepton.bundle import GraphBuilder
from lepton.bundle.build import ML_DOMAIN
from lepton.core import ColumnRecord, DataError, ErrorCode, Kind, Schema
from lepton.data.recipes.base import Applied, BoundRowStep
from lepton.data.steps import DropTexts, Tensors
from lepton.data.steps.base import concatenated, positions

__all__ = ["LookedUp", "Replaced", "with_replaced"]


def with_replaced(step: str, schema: Schema, columns: Sequence[str], made: Sequence[Sequence[str]]) -> Schema:
    """The columns after a step that makes numbers of some; those of the same name keep their place, others come last.

    Args:
        step: its name, for messages.
        schema: before it.
        columns: which it replaces.
        made: the names of the numbers that each becomes.

    Raises:
        DataError: two columns would have one name.
    """
    new = dict(zip(columns, made, strict=True))
    kept, added = [], []
    for column in schema:
        numbers = [ColumnRecord(name, Kind.NUMBER, "float64", role=column.role) for name in new.get(column.name, ())]
        if column.name not in new:
            kept.append(column)
        elif [number.name for number in numbers] == [column.name]:
            kept += numbers
        else:
            added += numbers
    names = [column.name for column in (*kept, *added)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        came = f"{step}: two columns would be called {twice!r}"
        raise DataError(ErrorCode.BAD_COLUMN_NAMES, came, fix="rename a column first")
    return Schema((*kept, *added))


@dataclass(frozen=True)
class Replaced(BoundRowStep):
    """A row step that makes numbers of columns and takes those away.

    Attributes:
        columns: which it replaces.
        made: the names of the numbers that each becomes.
        after: the columns that come out, as `with_replaced` gives them.
    """

    columns: tuple[str, ...]
    made: tuple[tuple[str, ...], ...]
    after: Schema

    @property
    def schema(self) -> Schema:
        """The columns that come out."""
        return self.after

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns."""
        return self.columns

    @property
    def writes(self) -> tuple[str, ...]:
        """The numbers."""
        return tuple(name for names in self.made for name in names)

    def needs(self, wanted: set[str]) -> set[str]:
        """Each number is made of its column alone."""
        source = {new: old for old, names in zip(self.columns, self.made, strict=True) for new in names}
        return {source.get(name, name) for name in wanted}

    def with_numbers(self, frame: pl.DataFrame, numbers: Mapping[str, pl.Series]) -> pl.DataFrame:
        """A frame with the numbers in place of the columns."""
        new = [series.alias(name) for name, series in numbers.items()]
        return frame.drop(self.columns).with_columns(new).select(self.after.names)


@dataclass(frozen=True)
class LookedUp(Replaced):
    """Texts become the numbers that a table has for them.

    Attributes:
        tables: of each column, text → as many numbers as the column becomes; "" stands for missing, NaN makes missing.
        others: the numbers of texts that are in no table.
    """

    tables: tuple[Mapping[str, tuple[float, ...]], ...]
    others: tuple[float, ...]

    def codes(self, texts: pl.Series, place: int) -> pl.Series:
        """The place of each text in the table of column number `place`; its length for texts that are not in it."""
        known = list(self.tables[place])
        return texts.fill_null("").replace_strict(
            known, list(range(len(known))), default=len(known), return_dtype=pl.Int64
        )

    def apply(self, frame: pl.DataFrame) -> Applied:
        """By one table after the other."""
        numbers: dict[str, pl.Series] = {}
        for place, (name, names) in enumerate(zip(self.columns, self.made, strict=True)):
            table = np.array([*self.tables[place].values(), self.others], dtype=np.float64)
            found = table[self.codes(frame[name], place).to_numpy()]
            numbers |= {new: pl.Series(found[:, which], nan_to_null=True) for which, new in enumerate(names)}
        return Applied(self.with_numbers(frame, numbers))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """`LabelEncoder` from the texts of all columns, each with its column's number in front, then `Gather`."""
        there = [place for place, name in enumerate(self.columns) if name in tensors.string_names]
        if not there or tensors.strings is None:
            return tensors
        keys: list[str] = []
        rows: list[tuple[float, ...]] = [self.others]
        for place in there:
            keys += [f"{place}:{text}" for text in self.tables[place]]
            rows += self.tables[place].values()
        at = positions(tensors.string_names)
        chosen = builder.constant(np.array([at[self.columns[place]] for place in there], dtype=np.int64))
        texts = builder.node("Gather", [tensors.strings, chosen], axis=1)
        codes = builder.node(
            "LabelEncoder",
            [builder.node("StringConcat", [builder.constant([[f"{place}:" for place in there]]), texts])],
            domain=ML_DOMAIN,
            keys_tensor=np.array(keys or ["-"], dtype=object),
            values_tensor=np.arange(1, len(keys) + 1) if keys else np.array([0]),
            default_tensor=np.array([0]),
        )
        found = builder.node("Gather", [builder.constant(np.array(rows, dtype=np.float64)), codes], axis=0)
        width = len(there) * len(self.others)
        flat = builder.node("Reshape", [found, builder.constant(np.array([-1, width]))])
        left = DropTexts(self.columns).emit(builder, tensors)
        names = (*tensors.number_names, *(name for place in there for name in self.made[place]))
        return Tensors(concatenated(builder, [tensors.numbers, flat]), names, left.strings, left.string_names)
