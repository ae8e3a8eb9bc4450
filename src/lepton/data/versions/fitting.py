"""Rows of one table as rows of another one: the same columns, of the same kinds and types, in the same order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl

from lepton.core import DataError, ErrorCode, LeptonError, Schema, SchemaError, printable
from lepton.data.convert import polars_type

if TYPE_CHECKING:
    from lepton.data.dataset import Dataset

__all__ = ["fitting_frames"]


def fitting_frames(table: Dataset, schema: Schema, rows: int) -> Iterator[pl.DataFrame]:
    """The rows of `table` in frames of `schema`.

    Args:
        table: what is to be appended.
        schema: of the saved table.
        rows: most rows of a frame.

    Raises:
        SchemaError: a column is missing, or one is there that the saved table has not.
        DataError: a column cannot be read as the kind it has in the saved table, or holds fractions where that is
            whole; the latter when the rows come.
    """
    if missing := [name for name in schema.names if name not in table.schema]:
        raise SchemaError(
            ErrorCode.MISSING_COLUMNS,
            f"the rows to append have no column {missing[0]!r}" + _more(missing),
            wanted="the columns of the saved table",
            fix="add it, or save the rows as a table of their own",
            details={"columns": missing},
        )
    if extra := [name for name in table.schema.names if name not in schema]:
        raise SchemaError(
            ErrorCode.EXTRA_COLUMNS,
            f"the saved table has no column {extra[0]!r}" + _more(extra),
            wanted="the columns of the saved table",
            fix="leave it out: table.select([...])",
            details={"columns": extra},
        )
    kinds = {c.name: c.kind for c in schema if table.schema[c.name].kind is not c.kind}
    try:
        chosen = table.with_kinds(kinds) if kinds else table
    except LeptonError as error:
        listed = ", ".join(f"{n!r} ({table.schema[n].kind}, not {kind})" for n, kind in list(kinds.items())[:10])
        raise DataError(
            ErrorCode.WRONG_KIND,
            f"columns are of another kind than in the saved table: {listed}: {error.came}",
            wanted="columns of the kinds that the saved table has",
            details={"columns": list(kinds)},
        ) from None
    return (_cast(frame, schema) for frame in chosen.batches(rows, schema.names))


def _cast(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    types = {column.name: polars_type(column) for column in schema}
    for name, dtype in types.items():
        column = frame[name]
        if column.dtype == dtype:
            continue
        if dtype == pl.Int64() and column.dtype == pl.Float64():
            fractions = (column != column.round(0)) | column.is_infinite() | (column.abs() >= 2.0**63)
            if fractions.any():
                value = column.filter(fractions)[0]
                raise DataError(
                    ErrorCode.BAD_VALUE,
                    f"column {printable(name)!r} is whole in the saved table, and the rows to append hold {value!r}",
                    fix="save them all again as one table",
                )
        if isinstance(dtype, pl.Datetime) and isinstance(column.dtype, pl.Datetime):
            raise DataError(
                ErrorCode.WRONG_KIND,
                f"column {printable(name)!r} has the time zone {column.dtype.time_zone}, and {dtype.time_zone} in the "
                "saved table",
                wanted="one time zone",
            )
        frame = frame.with_columns(column.cast(dtype))
    return frame


def _more(names: list[str]) -> str:
    return f" (nor {len(names) - 1} more)" if len(names) > 1 else ""
