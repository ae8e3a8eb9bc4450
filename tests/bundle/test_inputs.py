"""Packing: every container gives the same tensors, and every refusal names the column, the row and the value."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.bundle.inputs import Packed, TableInputs
from lepton.core import ColumnRecord, ErrorCode, Kind, SchemaError, UsageError

COLUMNS = (
    ColumnRecord("rooms", Kind.NUMBER),
    ColumnRecord("town", Kind.CATEGORY, "string"),
    ColumnRecord("sold", Kind.DATETIME, "datetime"),
    ColumnRecord("garden", Kind.BOOLEAN, "bool"),
    ColumnRecord("note", Kind.TEXT, "string"),
)
INPUTS = TableInputs(COLUMNS)
NUMBERS_ONLY = TableInputs((ColumnRecord("a", Kind.NUMBER), ColumnRecord("b", Kind.NUMBER)))


def column(kind: Kind, **fields: object) -> TableInputs:
    return TableInputs((ColumnRecord("x", kind, **fields),))  # type: ignore[arg-type]


moment = dt.datetime.fromisoformat


def doubles(inputs: TableInputs, values: object) -> Any:
    return inputs.pack({"x": values}).numbers[:, 0].tolist()


def texts(inputs: TableInputs, values: object) -> list[str]:
    return inputs.pack({"x": values}).strings["x"].to_list()


def same(left: Packed, right: Packed) -> bool:
    return np.array_equal(left.numbers, right.numbers, equal_nan=True) and left.strings.equals(right.strings)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "rooms": st.none() | st.floats(allow_nan=False),
            "town": st.none() | st.text(st.characters(codec="utf-8"), max_size=5),
            "sold": st.none() | st.datetimes(moment("1700-01-01"), moment("2200-01-01")),
            "garden": st.none() | st.booleans(),
            "note": st.sampled_from(["", "a", "e\u0301", "\u00e9", "東京"]),
        }
    ),
    max_size=6,
)


@given(ROWS)
def test_every_container_gives_the_same_tensors(rows: list[dict[str, object]]) -> None:
    schema: dict[str, Any] = {
        "rooms": pl.Float64, "town": pl.String, "sold": pl.Datetime("us"), "garden": pl.Boolean, "note": pl.String,
    }  # fmt: skip
    frame = pl.DataFrame(rows, schema=schema)
    expected = INPUTS.pack(frame)
    assert expected.numbers.dtype == np.float64
    assert expected.numbers.flags.c_contiguous
    columns = frame.to_dict(as_series=False)
    matrix = np.empty((len(rows), len(COLUMNS)), dtype=object)
    for position, values in enumerate(columns.values()):
        matrix[:, position] = values
    structured = np.array(
        [tuple(row[name] for name in schema) for row in rows], dtype=[(name, object) for name in schema]
    )
    same_rows = {
        "reordered": frame.select(reversed(frame.columns)),
        "list of dicts": rows,
        "dict of columns": columns,
        "dict of series": {name: frame[name] for name in columns},
        "dict of arrays": {name: np.array(values, dtype=object) for name, values in columns.items()},
        "arrow table": frame.to_arrow(),
        "arrow columns": {name: pa.chunked_array([frame[name].to_arrow()]) for name in columns},
        "pandas": frame.to_pandas(),
        "pandas on arrow": frame.to_pandas(use_pyarrow_extension_array=True),
        "pandas of objects": pd.DataFrame(columns, dtype=object),
        "pandas columns": dict(frame.to_pandas().items()),
        "matrix of objects": matrix,
        "structured": structured,
        "categorical": frame.with_columns(pl.col("town", "note").cast(pl.Categorical)),
        "nanoseconds": frame.with_columns(pl.col("sold").cast(pl.Datetime("ns"))),
        "zone": frame.with_columns(pl.col("sold").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")),
        "small types": frame.with_columns(pl.col("garden").cast(pl.UInt8)),
    }
    for name, container in same_rows.items():
        if rows or name not in {"list of dicts", "matrix of objects"}:
            assert same(INPUTS.pack(container), expected), name
    tensors = INPUTS.tensors(frame)
    assert np.array_equal(tensors["numbers"], expected.numbers, equal_nan=True)
    assert tensors["strings"].tolist() == [list(row) for row in expected.strings.rows()]
    assert all(type(text) is str for text in tensors["strings"].ravel())


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
        assert texts(inputs, values) == ["\u00e9", "", "", " "]


def test_casefolded_columns() -> None:
    inputs = TableInputs((ColumnRecord("x", Kind.CATEGORY, "string"),), {"x": "nfc-casefold/1"})
    for values in (["STRASSE", "straße", None], pl.Series(["STRASSE", "straße", None])):
        assert texts(inputs, values) == ["strasse", "strasse", ""]


def test_a_float_matrix_is_taken_as_it_is() -> None:
    matrix = np.array([[1.0, np.nan], [np.inf, 2.0]])
    assert NUMBERS_ONLY.pack(matrix).numbers is matrix
    assert NUMBERS_ONLY.tensors(matrix)["numbers"] is matrix
    for other in (matrix.astype(np.float32), np.asfortranarray(matrix), matrix.astype(object), matrix.astype(">f8")):
        packed = NUMBERS_ONLY.pack(other).numbers
        assert packed.flags.c_contiguous
        assert np.array_equal(packed, matrix, equal_nan=True)
    strings = column(Kind.CATEGORY).tensors(np.array([["a"], ["b"]]))
    assert list(strings) == ["strings"]
    assert strings["strings"].tolist() == [["a"], ["b"]]


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


def test_metadata_names_every_input() -> None:
    inputs = TableInputs((*COLUMNS, ColumnRecord("area", Kind.NUMBER, unit="m²")))
    described = json.loads(inputs.metadata())
    assert [c["name"] for c in described["numbers"]] == ["rooms", "sold", "garden", "area"]
    assert described["numbers"][3] == {"name": "area", "kind": "number", "unit": "m²", "time_zone": None}
    assert described["strings"] == [{"name": "town", "kind": "category"}, {"name": "note", "kind": "text"}]


def test_missing_columns_are_all_named_with_the_closest() -> None:
    with pytest.raises(SchemaError) as caught:
        INPUTS.pack(pl.DataFrame({"Rooms": [1], "town": ["a"], "garden": [True]}))
    assert caught.value.code is ErrorCode.MISSING_COLUMNS
    assert caught.value.details["missing"] == ["rooms", "sold", "note"]
    assert "rename 'Rooms' to 'rooms'" in str(caught.value)


def test_a_row_without_a_column_is_named() -> None:
    with pytest.raises(SchemaError, match=r"missing columns in row 1 \(counted from 0\): 'b'"):
        NUMBERS_ONLY.pack([{"a": 1, "b": 2}, {"a": 1}])


def test_extra_columns_are_refused_unless_ignored() -> None:
    frame = pl.DataFrame({"a": [1], "b": [2], "price": [3], "c": [4]})
    with pytest.raises(SchemaError, match="'price', 'c'") as caught:
        NUMBERS_ONLY.pack(frame)
    assert caught.value.details["extra"] == ["price", "c"]
    with pytest.raises(SchemaError, match="'c'"):
        NUMBERS_ONLY.pack(frame, ignored={"price"})
    assert NUMBERS_ONLY.pack(frame, "ignore").numbers.tolist() == [[1, 2]]
    for rows in (frame.to_dicts(), frame.to_pandas(), frame.to_arrow(), {"a": 1, "b": 2, "price": 3}):
        with pytest.raises(SchemaError, match="price"):
            NUMBERS_ONLY.pack(rows)


@pytest.mark.parametrize("as_column", [list, pl.Series, np.array], ids=["list", "polars", "numpy"])
def test_a_wrong_value_is_named(as_column: type) -> None:
    rows = {"a": as_column(["1", "2", "many"]), "b": as_column([1, 2, 3])}
    with pytest.raises(
        SchemaError, match=r"column 'a', row 2 \(counted from 0\): got 'many'\. Wanted: a number"
    ) as caught:
        NUMBERS_ONLY.pack(rows)
    assert caught.value.details == {"column": "a", "row": 2, "value": "'many'"}


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


def test_kinds_that_tables_do_not_hold() -> None:
    with pytest.raises(UsageError, match="of kind image"):
        column(Kind.IMAGE)
