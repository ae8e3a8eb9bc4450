from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.evaluation.weak import Condition
from lepton.evaluation.weak.conditions import coded_column
from tests.evaluation.weak.made import columns


@pytest.mark.parametrize("name", ["age", "income", "town", "new", "since"])
def test_a_condition_holds_where_its_bins_are(name: str) -> None:
    frame = columns(700)
    coded = coded_column(frame[name], min_rows=30)
    assert coded is not None
    for first, last in coded.candidates(fine=True)[::37].tolist():
        told = coded.condition((first, last))
        assert (told.rows(frame) == ((coded.codes >= first) & (coded.codes <= last))).all(), told
        assert told.text.startswith(name)
        json.dumps(told.to_dict(), allow_nan=False)


@given(st.lists(st.none() | st.floats(allow_nan=True) | st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=200))
def test_any_numbers_can_be_coded(values: list[float | None]) -> None:
    frame = pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)})
    coded = coded_column(frame["x"], min_rows=1)
    distinct = {None if value is None or value != value else value for value in values}
    if coded is None:
        assert len(distinct) == 1
        return
    assert len(coded.codes) == len(values)
    assert int(coded.codes.max()) < coded.num_bins
    for first, last in coded.candidates(fine=True)[:50].tolist():
        told = coded.condition((first, last))
        assert (told.rows(frame) == ((coded.codes >= first) & (coded.codes <= last))).all()


def test_wide_bins_hold_whole_narrow_ones() -> None:
    coded = coded_column(columns(2_000)["age"], min_rows=30)
    assert coded is not None
    assert coded.has_missing
    assert coded.num_coarse == 17
    assert coded.num_bins == 65
    spans = [coded.fine((each, each)) for each in range(coded.num_coarse)]
    assert [first for first, _ in spans[1:]] == [last + 1 for _, last in spans[:-1]]
    assert coded.condition((64, 64)) == Condition("age", "missing")
    assert coded.condition((0, 63)).text == "age is there"


def test_words() -> None:
    assert Condition("age", "range", 30.0, None).text == "age at least 30"
    assert Condition("age", "range", None, 2.5).text == "age at most 2.5"
    assert Condition("age", "range", 3.0, 3.0).text == "age is 3"
    assert Condition("since", "range", 0.0, 86_400e6, moments=True).text == "since from 1970-01-01 to 1970-01-02"
    assert Condition("new", "value", value=True).text == "new is yes"
    assert Condition("a\u202eb", "value", value="x\ny").text == "a\\u202eb is x\\ny"


def test_values_of_few_rows_are_not_tried() -> None:
    texts = ["a"] * 50 + ["b"] * 40 + [f"r{i}" for i in range(20)]
    coded = coded_column(pl.Series("c", texts), min_rows=30)
    assert coded is not None
    assert coded.values == ("a", "b")
    assert [coded.condition((f, last)).value for f, last in coded.candidates().tolist()] == ["a", "b"]


def test_texts_that_differ_are_told_by_their_length() -> None:
    frame = pl.DataFrame({"review": [f"{i} " + "x" * (i % 90) for i in range(500)]})
    coded = coded_column(frame["review"], min_rows=30)
    assert coded is not None
    assert coded.kind == "length"
    told = coded.condition((0, 5))
    assert told.text.startswith("length of review at most")
    assert (told.rows(frame) == (coded.codes <= 5)).all()


@pytest.mark.parametrize(
    "values",
    [[1.0] * 50, [None] * 50, ["a"] * 50, [[1, 2]] * 50, [True] * 50, [b"x"] * 50],
)
def test_columns_that_tell_nothing_apart(values: list[Any]) -> None:
    assert coded_column(pl.Series("c", values), min_rows=30) is None


def test_categories_in_thousands() -> None:
    texts = pl.Series("c", [f"v{i % 10_000}" for i in range(30_000)])
    coded = coded_column(texts, min_rows=30)
    assert coded is None or not coded.values
    assert np.asarray([]).size == 0
