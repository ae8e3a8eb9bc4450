# ruff: noqa: DTZ001
"""Python values, and what other libraries call missing."""

import datetime as dt
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from lepton.core import DataError, UsageError
from lepton.data import read
from lepton.data.formats import memory
from lepton.data.formats.memory import series_of


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, None, 2], pl.Int64, [1, None, 2]),
        ([1, 2.5], pl.Float64, [1.0, 2.5]),
        ([True, None], pl.Boolean, [True, None]),
        (["x", np.str_("y")], pl.String, ["x", "y"]),
        ([1, "x", None], pl.String, ["1", "x", None]),
        ([2**70, 1], pl.String, [str(2**70), "1"]),
        ([Decimal("1.5"), 2], pl.Float64, [1.5, 2.0]),
        ([dt.date(2020, 1, 1), None], pl.Date, [dt.date(2020, 1, 1), None]),
        ([np.int32(3), np.int32(4)], pl.Int64, [3, 4]),
        ([None, None], pl.Null, [None, None]),
        (np.array(["a", "b"]), pl.String, ["a", "b"]),
        (np.array([1, 2], dtype=np.uint8), pl.UInt8, [1, 2]),
        (np.array([1, None, "x"], dtype=object), pl.String, ["1", None, "x"]),
        (range(2), pl.Int64, [0, 1]),
    ],
)
def test_columns(values, dtype, expected):
    series = series_of("x", values)
    assert series.dtype == dtype
    assert series.to_list() == expected


def test_pandas_missing():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "i": pandas.array([1, None], dtype="Int64"),
            "s": pandas.array(["x", None], dtype="string"),
            "o": pandas.Series(["y", pandas.NA], dtype=object),
            "t": pandas.to_datetime(["2020-01-01", None]),
            "c": pandas.Categorical(["u", None]),
            "m": pandas.Series([pandas.Timestamp("2020-01-01"), pandas.NaT], dtype=object),
        }
    )
    moment = dt.datetime(2020, 1, 1)
    assert read(frame).frame().rows() == [(1, "x", "y", moment, "u", moment), (None,) * 6]


def test_a_lazy_query_is_read_in_slices(monkeypatch):
    monkeypatch.setattr(memory, "_CHUNK_CELLS", 1)
    query = pl.LazyFrame({"a": range(25_000)}).filter(pl.col("a") % 2 == 0)
    table = read(query)
    assert table.frame()["a"].to_list() == list(range(0, 25_000, 2))
    assert table.num_rows == 12_500
    with pytest.raises(DataError, match="the query failed"):
        read(pl.LazyFrame({"a": [1]}).select("b"))
    with pytest.raises(DataError, match="the query failed"):
        read(pl.LazyFrame({"a": ["x"]}).select(pl.col("a").cast(pl.Int64)))


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ([], DataError),
        ([{"a": 1}, 5], UsageError),
        ({"a": "text"}, UsageError),
        ({"a": 5}, UsageError),
        ({"a": [1], "A\n": [2]}, DataError),
        ({"a": np.zeros((2, 2))}, DataError),
        ({"a": [1, 2], "b": [1]}, DataError),
        ({}, DataError),
        (np.array([[1]]).view([("a", "i8")]), DataError),
        (pl.DataFrame({"a": [[1]]}), DataError),
    ],
)
def test_what_is_no_table(source, error):
    with pytest.raises(error):
        read(source)


def test_equal_names_after_text():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DataError, match="columns 1 and 2 of the table have the same name '1'"):
        read(pandas.DataFrame([[1, 2]], columns=[1, "1"]))
    assert read(pandas.DataFrame([[1, 2]])).schema.names == ("0", "1")


def test_nothing_of_the_caller_is_changed():
    frame = pl.DataFrame({"a": [1.0, float("nan")]})
    read(frame).frame()
    assert frame["a"].null_count() == 0
