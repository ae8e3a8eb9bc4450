"""Missing values filled by what the group of the row has; the learning stands in `group_values`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from lepton.bundle import GraphBuilder
from lepton.bundle.build import ML_DOMAIN
from lepton.core import DataError, ErrorCode, Kind, Schema, UsageError
from lepton.data.convert import polars_type
from lepton.data.recipes.base import Applied, Learner, chosen_columns
from lepton.data.recipes.bound import SameColumns, where_missing
from lepton.data.recipes.expression_forms import Graph
from lepton.data.recipes.group_values import GroupMeans, GroupMedians, GroupModes, group_keys, group_types
from lepton.data.steps import Tensors

__all__ = ["FilledByGroup", "group_columns", "group_learner", "group_tables"]

_GROUPING = (Kind.CATEGORY, Kind.TEXT, Kind.IDENTIFIER, Kind.BOOLEAN, Kind.NUMBER)
_MOST = 3  # columns that name a group: in a graph their codes are one double together
_VALUE = "\0value"


def group_columns(schema: Schema, by: Sequence[str], filled: Sequence[str], step: str) -> tuple[str, ...]:
    """The columns that name a group.

    Raises:
        UsageError: they are too many, or one of them is to be filled.
        DataError: one is not there, or of a kind that names no group.
    """
    columns = chosen_columns(schema, by, _GROUPING, step)
    if len(columns) > _MOST or len(set(columns)) < len(columns):
        raise UsageError(
            ErrorCode.BAD_RECIPE, f"{step}: got by={list(by)}", wanted=f"at most {_MOST} different columns"
        )
    if both := [name for name in columns if name in filled]:
        raise UsageError(ErrorCode.BAD_RECIPE, f"{step}: column {both[0]!r} is to be filled and names the group")
    return columns


def group_learner(
    schema: Schema, by: Sequence[str], columns: Sequence[str], value: str, overall: Learner, memory: int
) -> Learner:
    """What learns the median, mean or mode of each group beside that of all rows."""
    types = group_types(schema, by)
    if value == "median":
        return GroupMedians(overall, types, columns, memory)
    return (GroupMeans if value == "mean" else GroupModes)(overall, types, columns)


def group_tables(
    schema: Schema, by: Sequence[str], columns: Sequence[str], learned: Mapping[str, Any]
) -> tuple[pl.DataFrame, ...]:
    """For each column the keys of the groups and their value.

    Raises:
        DataError: a group stands there twice: somebody changed the file.
    """
    tables = []
    for name in columns:
        dtype = pl.Float64() if schema[name].kind is Kind.NUMBER else polars_type(schema[name])
        table = pl.DataFrame(learned["groups"][name], schema={**group_types(schema, by), _VALUE: dtype}, orient="row")
        if table.select(by).is_duplicated().any() or table.null_count().sum_horizontal().sum():
            raise DataError(ErrorCode.BAD_VALUE, f"the groups of column {name!r} are not all different and known")
        tables.append(table)
    return tuple(tables)


@dataclass(frozen=True)
class FilledByGroup(SameColumns):
    """A fill by group on columns.

    Attributes:
        by: columns that name the group.
        fills: of each column, where the group is unknown; None leaves the value missing.
        tables: of each column, the keys of the groups and their value.
    """

    by: tuple[str, ...] = ()
    fills: tuple[Any, ...] = ()
    tables: tuple[pl.DataFrame, ...] = field(default=(), compare=False)

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns and those that name the group."""
        return (*self.by, *self.columns)

    def needs(self, wanted: set[str]) -> set[str]:
        """Each column is made of itself and the group."""
        return wanted | set(self.by) if wanted & set(self.columns) else wanted

    def apply(self, frame: pl.DataFrame) -> Applied:
        """Fill."""
        keys: pl.DataFrame | None = None
        made = []
        for name, fill, table in zip(self.columns, self.fills, self.tables, strict=True):
            column = frame[name].cast(polars_type(self.schema[name]))
            if column.null_count():
                keys = frame.select(group_keys(group_types(self.before, self.by))) if keys is None else keys
                found = keys.join(table, on=list(self.by), how="left", maintain_order="left")[_VALUE]
                found = found if fill is None else found.fill_null(fill)
                column = column.zip_with(column.is_not_null(), found.cast(column.dtype))
            made.append(column.alias(name))
        return Applied(frame.with_columns(made))

    def emit(self, builder: GraphBuilder, tensors: Tensors) -> Tensors:
        """A number for the values of each column of the group, one for all columns, and what belongs to it."""
        there = {*tensors.number_names, *tensors.string_names}
        filled = tensors
        for name, fill, table in zip(self.columns, self.fills, self.tables, strict=True):
            if name not in there:
                continue
            is_number = name in tensors.number_names
            if not table.height:
                other = Graph(builder, tensors).literal(_other(fill, is_number), None if is_number else Kind.TEXT)
                filled = where_missing(builder, filled, name, other)
                continue
            groups, numbers = _numbered(builder, tensors, table.select(self.by))
            values = table[_VALUE].cast(pl.Float64 if is_number else pl.String).to_list()
            value = _looked_up(builder, groups, numbers, values, _other(fill, is_number))
            filled = where_missing(builder, filled, name, value)
        return filled


def _other(fill: Any, is_number: bool) -> float | str:
    if is_number:
        return np.nan if fill is None else float(fill)
    return "" if fill is None else str(fill)


def _numbered(builder: GraphBuilder, tensors: Tensors, keys: pl.DataFrame) -> tuple[str, list[float]]:
    """The number of the group of each row [N, 1], below 0 where it is unknown; and those of the groups in `keys`."""
    graph = Graph(builder, tensors)
    whole: str | None = None
    unknown: str | None = None
    numbers = np.zeros(keys.height)
    for column in keys:
        known = column.unique().sort()
        codes = [float(code) for code in range(len(known))]
        texts = column.dtype == pl.String
        values = known.to_list() if texts else known.cast(pl.Float64).to_list()
        code = _looked_up(builder, graph.column(column.name), values, codes, -1.0)
        numbers = numbers * len(known) + column.replace_strict(known, codes, return_dtype=pl.Float64).to_numpy()
        missed = builder.node("Less", [code, graph.number(0.0)])
        unknown = missed if unknown is None else builder.node("Or", [unknown, missed])
        if whole is not None:
            whole = builder.node("Mul", [whole, graph.number(float(len(known)))])
        whole = code if whole is None else builder.node("Add", [whole, code])
    return builder.node("Where", [str(unknown), graph.number(-1.0), str(whole)]), numbers.tolist()


def _looked_up(
    builder: GraphBuilder, column: str, keys: Sequence[Any], values: Sequence[Any], other: float | str
) -> str:
    """The value that belongs to each key in a column [N, 1]; `other` where it is none of them."""
    found: str = builder.node(
        "LabelEncoder",
        [column],
        domain=ML_DOMAIN,
        keys_tensor=_array(keys),
        values_tensor=_array(values),
        default_tensor=_array([other]),
    )
    return found


def _array(values: Sequence[Any]) -> Any:
    texts = bool(values) and isinstance(values[0], str)
    return np.array(values, dtype=object if texts else np.float64)
