"""Exact duplicates: the first of equal rows stays, whatever the memory and the cuts."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError
from lepton.data import read
from lepton.data.recipes import Recipe
from lepton.data.recipes.steps.duplicates import DropDuplicates
from tests.data.recipes.step_contract import bound_on, check_step, table_of

ROWS = {
    "n": [1.0, 0.0, -0.0, None, None, 1.0, 1.0],
    "s": ["a", None, None, "", None, "a", "b"],
    "k": [1, 2, 2, 3, 3, 1, 1],
    "b": [True, None, None, False, False, True, True],
}


@pytest.mark.parametrize("columns", [(), ("k",), ("n", "s")])
def test_drop_duplicates_keeps_the_contract(columns, tmp_path):
    check_step(DropDuplicates(columns), ROWS, scratch=tmp_path)


def test_missing_is_equal_to_missing_and_zero_to_minus_zero():
    made = Recipe().drop_duplicates().fit_transform(table_of(ROWS)).frame()
    assert made["k"].to_list() == [1, 2, 3, 1]


def test_the_first_of_equal_keys_stays():
    made = Recipe().drop_duplicates("k").fit_transform(table_of(ROWS)).frame()
    assert made["s"].to_list() == ["a", None, None]


def test_neighbouring_texts_do_not_run_together():
    table = table_of({"a": ["ab", "a"], "b": ["c", "bc"]})
    assert Recipe().drop_duplicates().fit_transform(table).num_rows == 2


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["", "a", "ä", None])), max_size=40))
def test_as_polars_does_it(rows):
    frame = pl.DataFrame(rows, schema={"n": pl.Int64, "s": pl.String}, orient="row")
    table = read(frame, kinds={"s": "text", "n": "number"})
    made = Recipe().drop_duplicates().fit_transform(table).frame()
    assert made.equals(table.frame().unique(maintain_order=True, keep="first"))


def test_many_rows_of_few_values():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"a": rng.integers(0, 300, 100_000), "b": rng.integers(0, 300, 100_000)})
    made = Recipe().drop_duplicates().fit_transform(read(frame)).frame()
    assert made.equals(frame.unique(maintain_order=True, keep="first"))


def test_a_column_that_is_not_there_is_refused():
    with pytest.raises(DataError, match="no column 'kk'"):
        bound_on(DropDuplicates("kk"), table_of(ROWS))
