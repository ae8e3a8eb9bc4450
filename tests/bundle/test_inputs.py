"""Packing: every container gives the same tensors, and what does not fit is refused."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from lepton.bundle.inputs import Packed, TableInputs
from lepton.core import ColumnRecord, Kind, SchemaError, UsageError

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


def test_metadata_names_every_input() -> None:
    inputs = TableInputs((*COLUMNS, ColumnRecord("area", Kind.NUMBER, unit="m²")))
    described = json.loads(inputs.metadata())
    assert [c["name"] for c in described["numbers"]] == ["rooms", "sold", "garden", "area"]
    assert described["numbers"][3] == {"name": "area", "kind": "number", "unit": "m²", "time_zone": None}
    assert described["strings"] == [{"name": "town", "kind": "category"}, {"name": "note", "kind": "text"}]


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


def test_kinds_that_tables_do_not_hold() -> None:
    with pytest.raises(UsageError, match="of kind image"):
        column(Kind.IMAGE)


CELLS = st.floats() | st.integers(-(10**20), 10**400) | st.none() | st.booleans() | st.sampled_from(["1", [1.0], "x"])


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), CELLS, min_size=2), min_size=1, max_size=3))
def test_rows_of_plain_numbers_are_what_any_rows_would_be(rows):
    inputs = TableInputs((ColumnRecord("a", Kind.NUMBER), ColumnRecord("b", Kind.NUMBER)))
    found = inputs.plain_numbers(rows)
    if found is not None:
        assert np.array_equal(found, inputs.tensors(rows)["numbers"], equal_nan=True)


def test_what_is_no_plain_row_is_looked_at():
    inputs = TableInputs((ColumnRecord("a", Kind.NUMBER), ColumnRecord("b", Kind.NUMBER)))
    found = inputs.plain_numbers([{"a": 1, "b": None}])
    assert found is not None
    assert np.array_equal(found, [[1.0, np.nan]], equal_nan=True)
    for rows in ([], [{"a": 1}], [{"a": 1, "b": True}], [{"a": 1, "c": 2}], [{"a": 1, "b": 10**400}], {"a": [1]}, [1]):
        assert inputs.plain_numbers(rows) is None
