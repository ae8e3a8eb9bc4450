"""Rows for an estimator, from a data set of any size: numbers and targets, block by block, as often as needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, Kind, Role, UsageError
from lepton.data import Dataset, read

__all__ = ["StreamedRows", "is_stream"]

Doubles = NDArray[np.float64]
Blocks = Iterator[tuple[NDArray[Any], NDArray[Any], Doubles | None]]

_NUMERIC = (Kind.NUMBER, Kind.BOOLEAN)


def is_stream(source: Any) -> bool:
    """Whether `source` is read block by block: a `Dataset` or a path."""
    return isinstance(source, Dataset | str | Path)


class StreamedRows:
    """The numeric features of a data set, with its target and weights.

    Args:
        source: a data set or a path.
        target: name of the target, or None for estimators without one.

    Raises:
        DataError: a feature is no number, or there is none.
        UsageError: the estimator needs a target and none is named.
    """

    def __init__(self, source: Dataset | str | Path, target: str | None, *, needs_target: bool = True) -> None:
        self.dataset = source if isinstance(source, Dataset) else read(source)
        schema = self.dataset.schema
        if target is None and needs_target:
            named = schema.of_role(Role.TARGET)
            if len(named) != 1:
                raise UsageError(ErrorCode.USAGE, "the target is not named", fix='fit(table, target="column")')
            target = named[0].name
        self.target = None if target is None else schema[target].name
        features = [c for c in schema if c.role is Role.FEATURE and c.name != self.target]
        if others := [c for c in features if c.kind not in _NUMERIC]:
            listed = ", ".join(f"{c.name!r} ({c.kind})" for c in others[:10])
            raise DataError(
                ErrorCode.WRONG_KIND,
                f"{len(others)} of the columns hold no numbers: {listed}",
                wanted="numbers or booleans",
                fix='leave them out with table.with_roles({"name": "ignored"}), or use lepton.train, which encodes them',
            )
        if not features:
            raise DataError(ErrorCode.BAD_COLUMN_NAMES, "the table has no feature columns", wanted="at least one")
        self.features = tuple(features)
        self.names = tuple(c.name for c in features)
        weights = schema.of_role(Role.WEIGHT)
        self.weight = weights[0].name if weights else None

    def blocks(self) -> Blocks:
        """Features [n, K], targets [n] and weights [n] or None, in order.

        Raises:
            DataError: a value is missing or not finite; the message names the column and the way out.
        """
        wanted = [*self.names, *filter(None, (self.target, self.weight))]
        seen = 0
        for frame in self.dataset.batches(columns=wanted):
            x = _numbers(frame.select(self.names), seen)
            y = np.empty(0) if self.target is None else self._targets(frame[self.target], seen)
            weight = None if self.weight is None else _numbers(frame.select(self.weight), seen)[:, 0]
            if weight is not None and (weight < 0).any():
                row = seen + int(np.flatnonzero(weight < 0)[0])
                came = f"the weight in column {self.weight!r}, row {row}, is below 0"
                raise DataError(ErrorCode.BAD_VALUE, came, wanted="at least 0")
            seen += frame.height
            yield x, y, weight
        if seen == 0:
            raise DataError(ErrorCode.EMPTY_DATA, "the table has no rows", wanted="at least one row")

    def _targets(self, column: pl.Series, seen: int) -> NDArray[Any]:
        if column.dtype.is_numeric() or column.dtype == pl.Boolean:
            return _numbers(column.to_frame(), seen)[:, 0]
        if column.null_count():
            raise _missing(column.name, seen + int(column.is_null().arg_max() or 0))
        return column.to_numpy()


def _numbers(frame: pl.DataFrame, seen: int) -> Doubles:
    """`frame` as doubles [n, K] in C order, or an error that names the first cell that is no finite number."""
    x = np.empty(frame.shape)
    for position, column in enumerate(frame):
        if column.null_count():
            raise _missing(column.name, seen + int(column.is_null().arg_max() or 0))
        x[:, position] = column.to_numpy()
    # A sum is finite unless a cell is not (or it overflows): one pass without a mask.
    if not np.isfinite(x.sum()) and not (finite := np.isfinite(x)).all():
        row, position = (int(i) for i in np.argwhere(~finite)[0])
        came = f"column {frame.columns[position]!r} holds {x[row, position]} in row {seen + row}"
        raise DataError(ErrorCode.BAD_VALUE, came, wanted="finite numbers", fix="drop or clip such rows first")
    return x


def _missing(column: str, row: int) -> DataError:
    return DataError(
        ErrorCode.BAD_VALUE,
        f"column {column!r} has no value in row {row}",
        wanted="every cell filled: the textbook estimators do not guess",
        fix="drop the rows, fill the column, or use lepton.train, which handles missing values",
    )
