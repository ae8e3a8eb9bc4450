# ruff: noqa: DTZ001
"""Raw values to typed ones; nothing that breaks becomes null."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.core import ColumnRecord, DataError, Kind
from lepton.data.convert import ColumnPlan, NumberFormat, convert, polars_type
from lepton.data.formats import Chunk


def typed(values, record, **plan):
    series = values if isinstance(values, pl.Series) else pl.Series(record.name, values)
    return convert(Chunk(series.alias(record.name).to_frame(), "t.csv", 11), [ColumnPlan(record, **plan)]).to_series()


NUMBER = ColumnRecord("x", Kind.NUMBER, "float64", missing_markers=("NA", "-999"))


def test_numbers_from_text():
    assert typed([" 1.5", "NA", "", "-999", "inf", "-999.0"], NUMBER).to_list() == [
        1.5,
        None,
        None,
        None,
        float("inf"),
        None,
    ]


@pytest.mark.parametrize(
    ("text", "form", "value"),
    [
        ("1,234,567.5", NumberFormat(",", "."), 1234567.5),
        ("1.234,5", NumberFormat(".", ","), 1234.5),
        ("1 234,5", NumberFormat(" ", ","), 1234.5),
        ("1'234", NumberFormat("'", "."), 1234.0),
        ("-0,25", NumberFormat("", ","), -0.25),
    ],
)
def test_separators(text, form, value):
    assert typed([text, "7"], NUMBER, number_format=form).to_list() == [value, 7.0]


@given(st.lists(st.floats(allow_nan=False) | st.none(), max_size=30))
def test_every_double_survives_as_text(values):
    record = ColumnRecord("x", Kind.NUMBER, "float64")
    texts = pl.Series("x", [None if v is None else repr(v) for v in values], dtype=pl.String)
    assert typed(texts, record).to_list() == values


def test_whole_numbers_are_never_cut():
    record = ColumnRecord("x", Kind.NUMBER, "int64")
    assert typed(pl.Series([1.0, None]), record).to_list() == [1, None]
    with pytest.raises(DataError, match=r"row 12 of t.csv, column 'x': got '2.5'"):
        typed(pl.Series([1.0, 2.5]), record)
    with pytest.raises(DataError, match="18446744073709551615"):
        typed(pl.Series([2**64 - 1], dtype=pl.UInt64), record)


def test_booleans():
    record = ColumnRecord("x", Kind.BOOLEAN, "bool")
    assert typed(["Yes", "no", "T", "0", ""], record).to_list() == [True, False, True, False, None]
    assert typed([1, 0, None], record).to_list() == [True, False, None]
    for values in (["maybe"], [2]):
        with pytest.raises(DataError, match="a boolean"):
            typed(values, record)


def test_datetimes():
    naive = ColumnRecord("x", Kind.DATETIME, "datetime")
    assert typed(["25.03.2021", None], naive, datetime_format="%d.%m.%Y").to_list() == [dt.datetime(2021, 3, 25), None]
    assert typed([dt.date(2021, 3, 25)], naive).to_list() == [dt.datetime(2021, 3, 25)]
    assert typed([20210325], naive, datetime_format="%Y%m%d").to_list() == [dt.datetime(2021, 3, 25)]
    with pytest.raises(DataError, match=r"got '25\.03\.21'"):
        typed(["25.03.2021", "25.03.21"], naive, datetime_format="%d.%m.%Y")
    utc = ColumnRecord("x", Kind.DATETIME, "datetime", time_zone="UTC")
    assert polars_type(utc) == pl.Datetime("us", "UTC")
    assert typed(pl.Series([0]).cast(pl.Datetime("ns", "UTC")), utc).dtype == pl.Datetime("us", "UTC")


def test_numbers_as_categories_are_spelled_as_bundles_spell_them():
    record = ColumnRecord("x", Kind.CATEGORY, "string")
    assert typed([3.0, 0.5, float("nan"), None], record).to_list() == ["3", "0.5", None, None]
    assert typed([3, None], record).to_list() == ["3", None]
    assert typed([True, False], record).to_list() == ["true", "false"]


def test_texts_are_in_nfc_and_nan_is_null():
    assert typed(["e\u0301", " kept "], ColumnRecord("x", Kind.CATEGORY, "string")).to_list() == ["\u00e9", " kept "]
    assert typed([float("nan"), 1.0], NUMBER).to_list() == [None, 1.0]
    assert typed(pl.Series([7200], dtype=pl.Duration("ms")), ColumnRecord("x", Kind.NUMBER)).to_list() == [7.2]
    assert typed(
        pl.Series(["a", None], dtype=pl.Categorical), ColumnRecord("x", Kind.CATEGORY, "string")
    ).to_list() == [
        "a",
        None,
    ]
