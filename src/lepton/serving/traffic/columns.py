"""The tensors of one model from those of another, column by column."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from lepton.bundle import SeriesInputs, TableInputs, TensorInputs
from lepton.core import ColumnRecord, ErrorCode, Kind, Role, SchemaError, printable

__all__ = ["Picker", "same_columns"]

Tensors = Mapping[str, NDArray[Any]]
Inputs = TableInputs | SeriesInputs | TensorInputs


class Picker:
    """Takes the columns that a model wants out of tensors that hold them, perhaps among others.

    Args:
        given: what the tensors were packed for.
        wanted: what the model takes; columns in `passed_over` are somebody else's matter.
        passed_over: names.

    Raises:
        SchemaError: a column is missing, or is read in another way.
    """

    def __init__(self, given: Inputs, wanted: Inputs, passed_over: Collection[str] = ()) -> None:
        self._whole = same_columns(given, wanted) and not passed_over
        self._places: dict[str, list[int]] = {}
        if self._whole:
            return
        if not (isinstance(given, TableInputs) and isinstance(wanted, TableInputs)):
            raise SchemaError(ErrorCode.WRONG_SHAPE, "the models take different series or tensors", wanted="the same")
        for tensor in ("numbers", "strings"):
            places = {column.name: place for place, column in enumerate(getattr(given, tensor))}
            known = {column.name: column for column in getattr(given, tensor)}
            columns = [column for column in getattr(wanted, tensor) if column.name not in passed_over]
            for column in columns:
                if column.name not in known:
                    raise SchemaError(ErrorCode.MISSING_COLUMNS, f"there is no column '{printable(column.name)}'")
                if _reading(given, known[column.name]) != _reading(wanted, column):
                    raise SchemaError(
                        ErrorCode.WRONG_KIND,
                        f"the column '{printable(column.name)}' is read in two ways",
                        wanted="the same kind, unit, time zone, format and markers",
                    )
            self._places[tensor] = [places[column.name] for column in columns]

    def pick(self, tensors: Tensors) -> dict[str, NDArray[Any]]:
        """The tensors of the wanted columns; those without columns are absent."""
        if self._whole:
            return dict(tensors)
        return {name: tensors[name][:, places] for name, places in self._places.items() if places}


def same_columns(first: Inputs, second: Inputs) -> bool:
    """Whether two models take the same columns, in the same order, read in the same way."""
    if type(first) is not type(second) or len(first.columns) != len(second.columns):
        return False
    if isinstance(first, SeriesInputs) and isinstance(second, SeriesInputs) and first.length != second.length:
        return False
    if isinstance(first, TensorInputs) and isinstance(second, TensorInputs) and first.records != second.records:
        return False
    return all(
        _reading(first, one) == _reading(second, other)
        for one, other in zip(first.columns, second.columns, strict=True)
    )


def _reading(inputs: Inputs, column: ColumnRecord) -> tuple[ColumnRecord, str | None]:
    """All that decides how a column's values become tensors."""
    role = Role.FEATURE if isinstance(inputs, TableInputs) else column.role
    dtype = "float64" if column.kind is Kind.NUMBER else column.dtype
    return replace(column, role=role, dtype=dtype), inputs.codecs.get(column.name)
