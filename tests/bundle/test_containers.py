"""Containers: what is missing, misshapen or unknown is named."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lepton.bundle.containers import read_rows
from lepton.bundle.inputs import TableInputs
from lepton.core import ColumnRecord, ErrorCode, Kind, SchemaError, UsageError

NUMBERS_ONLY = TableInputs((ColumnRecord("a", Kind.NUMBER), ColumnRecord("b", Kind.NUMBER)))


def test_missing_columns_are_all_named_with_the_closest() -> None:
    with pytest.raises(SchemaError) as caught:
        read_rows(pl.DataFrame({"Rooms": [1], "town": ["a"], "garden": [True]}), ["rooms", "town", "sold", "note"])
    assert caught.value.code is ErrorCode.MISSING_COLUMNS
    assert caught.value.details["missing"] == ["rooms", "sold", "note"]
    assert "rename 'Rooms' to 'rooms'" in str(caught.value)


def test_a_row_without_a_column_is_named() -> None:
    with pytest.raises(SchemaError, match=r"missing columns in row 1 \(counted from 0\): 'b'"):
        NUMBERS_ONLY.pack([{"a": 1, "b": 2}, {"a": 1}])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros(2), r"shape \(2,\).*reshape\(1, -1\)"),
        (np.zeros((3, 1)), r"shape \(3, 1\).*\[rows, 2\].*'a', 'b'"),
        (np.zeros((3, 2, 1)), r"shape \(3, 2, 1\)"),
        ({"a": [1, 2], "b": [1]}, "'a' 2, 'b' 1"),
        ({"a": [1, 2], "b": 1}, "single values: 'b'"),
        ({"a": np.zeros((2, 2)), "b": [1, 2]}, r"column of shape \(2, 2\)"),
        ([{"a": 1, "b": 1}, [1, 2]], "row 1 .* is of type list"),
        (pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), "same name: 'a'"),
        (pa.table([[1], [2], [3]], names=["a", "b", "a"]), "same name: 'a'"),
    ],
)
def test_shapes_that_do_not_fit(rows: object, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        NUMBERS_ONLY.pack(rows)


@pytest.mark.parametrize("rows", [None, 3, "a,b", pd.Series([1]), pl.Series([1])])
def test_other_containers_are_refused(rows: object) -> None:
    with pytest.raises(UsageError, match="got rows of type"):
        NUMBERS_ONLY.pack(rows)


def test_one_row_as_a_dict() -> None:
    assert NUMBERS_ONLY.pack({"a": 1, "b": None}).numbers.shape == (1, 2)
    assert NUMBERS_ONLY.pack({"b": np.float64(2), "a": Decimal(1)}).numbers.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "empty",
    [{"a": [], "b": []}, pl.DataFrame({"a": [], "b": []}), np.empty((0, 2)), pd.DataFrame({"a": [], "b": []}), []],
    ids=["dict", "polars", "numpy", "pandas", "list"],
)
def test_no_rows(empty: object) -> None:
    assert NUMBERS_ONLY.pack(empty).numbers.shape == (0, 2)
