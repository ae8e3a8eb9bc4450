"""Rows as they are given to be explained, in any container."""

from __future__ import annotations

from typing import Any

import polars as pl

from lepton.bundle import Predictor, TableInputs
from lepton.bundle.containers import read_rows
from lepton.core import DataError, ErrorCode, Kind
from lepton.data import Dataset

__all__ = ["frame_of", "takes_files"]


def takes_files(predictor: Predictor) -> bool:
    """Whether what a model takes is explained by its parts (regions, words), not by columns."""
    inputs = predictor.inputs
    if not isinstance(inputs, TableInputs):
        return True
    return len(inputs.columns) == 1 and inputs.columns[0].kind is Kind.TEXT


def frame_of(predictor: Predictor, rows: Any) -> pl.DataFrame:
    """The model's columns of `rows`, with the values as they came.

    Args:
        predictor: of a table model.
        rows: as `Predictor.predict` takes them, or a `Dataset`. Other columns are passed over.

    Raises:
        DataError: there is no row.
        SchemaError: columns are missing.
        UsageError: no container of rows.
    """
    if isinstance(rows, Dataset):
        known = set(rows.schema.names)
        rows = rows.frame([column.name for column in predictor.manifest.inputs if column.name in known])
    names = [column.name for column in predictor.manifest.inputs]
    read = read_rows(rows, names)
    if not read.num_rows:
        raise DataError(ErrorCode.EMPTY_DATA, "there are no rows to explain", wanted="at least one")
    return pl.DataFrame([pl.Series(name, read.columns[name], strict=False) for name in names])
