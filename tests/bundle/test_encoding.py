"""One value, one column: the same doubles and texts however they come, and refusals that name the row and the value."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.bundle.inputs import TableInputs
from lepton.core import ColumnRecord, Kind, SchemaError


def column(kind: Kind, **fields: object) -> TableInputs:
    return TableInputs((ColumnRecord("x", kind, **fields),))  # type: ignore[arg-type]


moment = dt.datetime.fromisoformat


def doubles(inputs: TableInputs, values: object) -> Any:
    return inputs.pack({"x": values}).numbers[:, 0].tolist()


def texts(inputs: TableInputs, values: object) -> list[str]:
    return inputs.pack({"x": values}).strings["x"].to_list()


@given(st.lists(st.text(st.characters(codec="ascii"), max_size=8) | st.floats().map(str) | st.integers().map(str)))
def test_numbers_are_read_from_text_the_same_way_by_cell_and_by_column(values: list[str]) -> None:
    for kind in (Kind.NUMBER, Kind.BOOLEAN, Kind.DATETIME):
        inputs = column(kind, missing_markers=("NA",))
        for value in [*values, "NA", " ", "1_0", "٣", "nan", "-Infinity", "+.5e3", "1e999", "2020-01-01"]:
            try:
                by_cell: object = doubles(inputs, [value])
            except SchemaError as error:
                by_cell = str(error)
            try:
                by_column: object = doubles(inputs, pl.Series([value]))
            except SchemaError as error:
                by_column = str(error)
            assert str(by_cell) == str(by_column), value


def test_numbers() -> None:
    inputs = column(Kind.NUMBER, missing_markers=("n/a",))
    values = [
        1,
        2.5,
        None,
        math.nan,
        True,
        "3.5",
        " -4e2 ",
        "",
        "n/a",
        math.inf,
        Decimal("0.1"),
        np.float32(0.5),
        pd.NA,
    ]
    expected = [1, 2.5, math.nan, math.nan, 1, 3.5, -400, math.nan, math.nan, math.inf, 0.1, 0.5, math.nan]
    assert np.array_equal(doubles(inputs, values), expected, equal_nan=True)
    for series in (pl.Series([1, None], dtype=pl.Int8), pl.Series([Decimal(1), None]), pl.Series(["1", "n/a"])):
        assert np.array_equal(doubles(inputs, series), [1, math.nan], equal_nan=True)
    assert np.isnan(doubles(inputs, pl.Series([None, None]))).all()
    assert doubles(inputs, np.array([1, 2], dtype=">i4")) == [1, 2]
    assert doubles(inputs, np.array([1, 2], dtype=np.float16)) == [1, 2]


def test_booleans() -> None:
    inputs = column(Kind.BOOLEAN, dtype="bool")
    values = [True, 0, 1.0, "Yes", "no", "TRUE", "f", None, "", np.bool_(True), math.nan]
    expected = [1, 0, 1, 1, 0, 1, 0, math.nan, math.nan, 1, math.nan]
    assert np.array_equal(doubles(inputs, values), expected, equal_nan=True)
    with pytest.raises(SchemaError, match=r"row 1 .*got 2"):
        doubles(inputs, [1, 2])
    with pytest.raises(SchemaError, match=r"row 1 .*got 0.5"):
        doubles(inputs, pl.Series([1.0, 0.5]))
    with pytest.raises(SchemaError, match="'maybe'"):
        doubles(inputs, pl.Series(["yes", "maybe"]))


def test_datetimes_are_microseconds_since_1970_in_utc() -> None:
    naive = column(Kind.DATETIME)
    zoned = column(Kind.DATETIME, time_zone="Europe/Berlin")
    day = 86_400_000_000
    aware = dt.datetime(1970, 1, 2, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    values = [dt.date(1970, 1, 2), moment("1970-01-02"), aware, np.datetime64("1970-01-02"), "1970-01-02", None]
    assert np.array_equal(doubles(naive, values), [day] * 5 + [math.nan], equal_nan=True)
    assert doubles(naive, np.array(["1970-01-02", "1970-01-03"], dtype="M8[D]")) == [day, 2 * day]
    assert np.isnan(doubles(naive, [np.datetime64("NaT"), pd.NaT])).all()
    hour = day // 24
    for source in (["1970-01-02"], [moment("1970-01-02")], pl.Series([dt.date(1970, 1, 2)]), pl.Series(["1970-01-02"])):
        assert doubles(zoned, source) == [day - hour]
    assert doubles(zoned, [aware]) == doubles(zoned, pl.Series([aware])) == [day]


def test_a_number_is_no_datetime() -> None:
    inputs = column(Kind.DATETIME)
    with pytest.raises(SchemaError, match="got 1700000000"):
        doubles(inputs, [1_700_000_000])
    with pytest.raises(SchemaError, match="Float64"):
        inputs.pack(np.array([[1.7e9]]))


def test_category_codes_become_the_same_text_however_they_come() -> None:
    inputs = column(Kind.CATEGORY)
    expected = ["3", "0.5", "100000000000000000000", ""]
    assert texts(inputs, [3, 0.5, 1e20, None]) == texts(inputs, pl.Series([3.0, 0.5, 1e20, math.nan])) == expected
    assert texts(inputs, pl.Series([3, None])) == texts(inputs, np.array([3.0, np.nan])) == ["3", ""]
    assert texts(inputs, [True, np.bool_(False)]) == texts(inputs, pl.Series([True, False])) == ["true", "false"]
    assert texts(inputs, np.array([0.1], dtype=np.float32)) == texts(inputs, [np.float32(0.1)]) == ["0.1"]


@given(st.lists(st.floats()))
def test_category_codes_by_cell_and_by_column(values: list[float]) -> None:
    inputs = column(Kind.CATEGORY)
    assert texts(inputs, values) == texts(inputs, pl.Series(values, dtype=pl.Float64))


def test_text_is_in_nfc_and_markers_are_missing() -> None:
    inputs = TableInputs((ColumnRecord("x", Kind.TEXT, "string", missing_markers=("?",)),))
    for values in (["e\u0301", "?", None, " "], pl.Series(["e\u0301", "?", None, " "])):
        assert texts(inputs, values) == ["\u00e9", "", "", ""]


def test_casefolded_columns() -> None:
    inputs = TableInputs((ColumnRecord("x", Kind.CATEGORY, "string"),), {"x": "nfc-casefold/1"})
    for values in (["STRASSE", "straße", None], pl.Series(["STRASSE", "straße", None])):
        assert texts(inputs, values) == ["strasse", "strasse", ""]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.NUMBER, [1]),
        (Kind.NUMBER, 1j),
        (Kind.NUMBER, 10**400),
        (Kind.NUMBER, b"1"),
        (Kind.NUMBER, "1,234.5"),
        (Kind.DATETIME, "2024-13-01"),
        (Kind.CATEGORY, {"a": 1}),
        (Kind.CATEGORY, 10**5000),
        (Kind.CATEGORY, "\ud800"),
        (Kind.CATEGORY, dt.date(2024, 1, 1)),
    ],
    ids=range(10),
)
def test_values_that_no_column_holds(kind: Kind, value: object) -> None:
    with pytest.raises(SchemaError, match="column 'x', row 0") as caught:
        column(kind).tensors({"x": [value]})
    str(caught.value).encode()


@pytest.mark.parametrize(
    ("kind", "series"),
    [
        (Kind.NUMBER, pl.Series([[1]])),
        (Kind.NUMBER, pl.Series([dt.date(2024, 1, 1)])),
        (Kind.DATETIME, pl.Series([1])),
        (Kind.CATEGORY, pl.Series([b"a"])),
        (Kind.CATEGORY, pl.Series([{"a": 1}])),
    ],
)
def test_columns_of_a_wrong_type(kind: Kind, series: pl.Series) -> None:
    with pytest.raises(SchemaError, match="column 'x' has values of type"):
        column(kind).pack({"x": series})


@pytest.mark.parametrize(
    ("kind", "fields", "texts", "expected"),
    [
        (Kind.NUMBER, {}, ["1", "many", "", "2"], [1.0, math.nan, math.nan, 2.0]),
        (Kind.NUMBER, {"number_format": "1.234,5"}, ["1,5", "x", None], [1.5, math.nan, math.nan]),
        (Kind.BOOLEAN, {}, ["yes", "perhaps", "no"], [1.0, math.nan, 0.0]),
        (Kind.DATETIME, {"datetime_format": "%d/%m/%Y"}, ["02/01/1970", "31/02/1970"], [86_400e6, math.nan]),
    ],
)
def test_texts_that_cannot_be_read_are_missing_where_the_column_says_so(
    kind: Kind, fields: dict[str, Any], texts: list[str | None], expected: list[float]
) -> None:
    inputs = column(kind, unreadable_is_missing=True, **fields)
    for values in (texts, pl.Series(texts), pl.Series(texts, dtype=pl.Categorical), np.array(texts, dtype=object)):
        np.testing.assert_array_equal(doubles(inputs, values), expected)
    with pytest.raises(SchemaError, match="counted from 0"):  # what is no text at all is no slip of the pen
        doubles(inputs, [["1"]])
