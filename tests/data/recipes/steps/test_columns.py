"""Steps on whole columns keep the contract of steps and refuse what cannot be."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.bundle.encoding import numeric_encoder
from lepton.core import DataError, Kind, UsageError
from lepton.data.recipes import Recipe
from lepton.data.recipes.steps.columns import Cast, Drop, Rename, Select
from tests.data.recipes.step_contract import bound_on, check_step, table_of

TEXTS = ["1", " 2.5 ", "-3e2", "+.5", "5.", "1,5", "1_000", "yes", "No", "TRUE", "t", "0", "nan", "inf", "-Infinity"]
TABLE = {"n": [1.0, None, 2.5, -3.0], "i": [1, 2, None, 0], "b": [True, None, False, True], "s": ["x", None, "1", "é"]}


def test_select_keeps_the_contract():
    bound = check_step(Select(("s", "n")), TABLE)
    assert bound.schema.names == ("s", "n")


def test_drop_keeps_the_contract():
    bound = check_step(Drop("i"), TABLE)
    assert bound.schema.names == ("n", "b", "s")


def test_rename_keeps_the_contract():
    bound = check_step(Rename({"n": "i", "i": "n", "s": "word"}), TABLE)
    assert bound.schema.names == ("i", "n", "b", "word")


@pytest.mark.parametrize("to", ["number", "whole", "boolean", "category", "text"])
def test_cast_keeps_the_contract(to):
    check_step(Cast(("n", "i", "b", "s"), to, "flag"), TABLE, graph=False)


@pytest.mark.parametrize(
    ("to", "values", "expected", "bad"),
    [
        ("number", ["1", " 2.5 ", "x", None, "nan"], [1.0, 2.5, None, None, None], [False, False, True, False, True]),
        ("whole", ["1", "2.5", "-3", None, "1e30"], [1, None, -3, None, None], [False, True, False, False, True]),
        ("boolean", ["yes", "No", "1", "maybe"], [True, False, True, None], [False, False, False, True]),
        ("boolean", [0.0, 1.0, 2.0, None], [False, True, None, None], [False, False, True, False]),
        ("category", [1, 20, None], ["1", "20", None], [False, False, False]),
    ],
)
def test_cast_reads_values_and_marks_what_it_cannot(to, values, expected, bad):
    applied = bound_on(Cast("c", to), table_of({"c": values})).apply(table_of({"c": values}).frame())
    assert applied.frame["c"].to_list() == expected
    assert applied.bad["c"].to_list() == bad


@pytest.mark.parametrize("to", ["number", "whole", "boolean"])
def test_numbers_are_cast_alike_in_a_graph(to):
    numbers = {"n": [1.0, None, 0.0, 2.5, -3.0, np.inf, -np.inf, 1e300, 2.0**63], "i": [*range(8), None]}
    check_step(Cast(("n", "i"), to, "flag"), {**numbers, "b": [True, None, False] * 3})
    check_step(Cast("b", to, "flag"), {"b": [True, None, False]})


@settings(max_examples=60)
@given(st.lists(st.one_of(st.none(), st.sampled_from(TEXTS), st.text(max_size=4), st.floats().map(str)), min_size=1))
def test_texts_are_read_alike_by_a_codec(texts):
    table = table_of(pl.DataFrame({"c": ["x", *texts]}), {"c": "category"})
    frame = table.frame()
    for to in ("number", "boolean"):
        bound = bound_on(Cast("c", to, "missing"), table)
        found = numeric_encoder(bound.raw(table.schema["c"])).series(frame["c"]).fill_nan(None)
        assert found.equals(bound.apply(frame).frame["c"].cast(pl.Float64), null_equal=True)


def test_what_is_told_of_a_raw_column():
    table = table_of({"c": ["1", "2"], "n": [1.0, 2.0]})
    assert bound_on(Cast(("c", "n"), "number", "drop"), table).raw(table.schema["c"]).unreadable_is_missing is False
    assert bound_on(Cast(("c", "n"), "number", "flag"), table).raw(table.schema["c"]).unreadable_is_missing is True
    assert bound_on(Cast(("c", "n"), "number"), table).raw(table.schema["n"]) == table.schema["n"]
    assert bound_on(Cast("c", "whole"), table).raw(table.schema["c"]) is None
    assert bound_on(Cast("c", "number"), table).raw(table.schema["n"]) is None


def test_cast_changes_the_kind():
    made = Recipe().cast("c", to="category").fit_transform(table_of({"c": [1, 2]}))
    assert made.schema["c"].kind is Kind.CATEGORY
    assert made.frame()["c"].dtype == pl.String


@pytest.mark.parametrize(
    ("step", "match"),
    [
        (Cast("n", "date"), "to='date'.*number"),
        (Rename({"n": "i"}), "two columns would be called 'i'"),
        (Rename({"n": ""}), "column name"),
        (Select("nn"), "no column 'nn'"),
        (Drop("N"), "no column 'N'.*'n'"),
    ],
)
def test_what_cannot_be_is_refused(step, match):
    with pytest.raises((DataError, UsageError), match=match):
        bound_on(step, table_of(TABLE))


def test_dates_are_not_cast():
    table = table_of({"d": pl.Series([0, 1]).cast(pl.Datetime("us"))})
    with pytest.raises(DataError, match="'d' is of kind datetime"):
        bound_on(Cast("d", "number"), table)
