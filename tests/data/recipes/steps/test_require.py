"""Rules in recipes keep the contract of steps: what breaks one is an error, missing, marked, or the row goes."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import DataError, ErrorCode, UsageError
from lepton.data.quality import check, rules_of
from lepton.data.recipes import Recipe
from lepton.data.recipes.steps.require import Require
from tests.data.recipes.step_contract import bound_on, check_step, graph_of, table_of

TABLE = {
    "age": [40.0, -1.0, None, 120.0, 121.0],
    "rooms": [1, 2, None, 3, 99],
    "new": [True, False, None, True, False],
    "when": [*(dt.datetime(2020, 1, day) for day in (1, 2, 3, 4)), None],  # noqa: DTZ001 - no zone is meant
    "state": ["NY", "n.y.", None, "CA", "CA "],
    "zip": ["12345", "1234", None, "abcde", "١٢٣٤٥"],
}


def step(rule, on_error="missing", **parameters):
    return Require(rule, on_error=on_error, **parameters)


CASES = [
    (step({"in_range": {"columns": "age", "least": 0, "most": 120}}), "age", [1, 4]),
    (step({"in_range": {"columns": ["age", "rooms"], "most": 50}}), "rooms", [4]),
    (step({"in_range": {"columns": "age"}}), "age", []),
    (step({"in_range": {"columns": "when", "least": "2020-01-02", "most": "2020-01-03T12:00"}}), "when", [0, 3]),
    (step({"one_of": {"columns": "state", "values": ["NY", "CA"]}}), "state", [1, 4]),
    (step({"one_of": {"columns": "rooms", "values": [1, 2, 3]}}), "rooms", [4]),
    (step({"one_of": {"columns": "new", "values": [True]}}), "new", [1, 4]),
    (step({"one_of": {"columns": "age", "values": []}}), "age", [0, 1, 3, 4]),
    (step({"not_missing": {"columns": ["state", "age"]}}), "state", [2]),
    (step({"matches": {"columns": "zip", "pattern": "[0-9]{5}"}}), "zip", [1, 3, 4]),
    (step({"matches": {"columns": "zip", "pattern": r"\d{5}|a.*e"}}), "zip", [1]),
    (step({"holds": {"expression": "age >= 0 and state in ('NY', 'CA')"}}, columns="age"), "age", [1, 4]),
    (step({"holds": {"expression": "age < 100"}}), "age", [3, 4]),
    (step({"holds": {"expression": "age > rooms"}}), "rooms", [1]),
]


@pytest.mark.parametrize(("step", "column", "broken"), CASES)
def test_what_breaks_the_rule_is_missing(step, column, broken):
    bound = check_step(step, TABLE)
    before = table_of(TABLE).frame()[column]
    applied = bound.apply(table_of(TABLE).frame())
    assert applied.bad[column].arg_true().to_list() == broken
    assert applied.frame[column].to_list() == [None if row in broken else v for row, v in enumerate(before)]


@pytest.mark.parametrize(
    "rule",
    [
        {"length": {"columns": "state", "most": 2}},
        {"matches": {"columns": "state", "pattern": r"\w+"}},
        {"matches": {"columns": "state", "pattern": "(?i)ny"}},
        {"matches": {"columns": "state", "pattern": "(?:(?:a{99}){99})"}},
        {"matches": {"columns": "state", "pattern": "[a-z&&[^b]]"}},
    ],
)
def test_a_rule_that_graphs_do_not_have_says_so(rule):
    check_step(step(rule), TABLE, graph=False)


_PIECES = ["a", "B", "7", " ", ".", r"\.", r"\d", "[a-c]", "[0-9.-]", "(?:ab)", "(a|b)", "a*", "b+", "7?", "a{2}", "|"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=4), st.lists(st.text("abB7. \n٣", max_size=4)))
def test_patterns_are_read_alike_in_a_graph(pieces, texts):
    table = table_of(pl.DataFrame({"s": ["x", *texts]}), {"s": "category"})
    bound = bound_on(step({"matches": {"columns": "s", "pattern": "".join(pieces)}}), table)
    frame = table.frame()
    found = graph_of(bound, frame)["s"].tolist()
    assert found == bound.apply(frame).frame["s"].fill_null("").to_list()


def test_a_time_with_a_zone_is_compared_by_its_clock_and_has_no_graph_form():
    moments = [dt.datetime(2020, 1, 1, 23, 30, tzinfo=dt.UTC), dt.datetime(2020, 1, 2, tzinfo=dt.UTC)]
    table = pl.DataFrame({"t": pl.Series(moments).dt.convert_time_zone("Asia/Tokyo")})
    rule = {"in_range": {"columns": "t", "least": "2020-01-02T08:30"}}
    bound = check_step(step(rule), table, graph=False)
    assert not bound.apply(table_of(table).frame()).bad["t"].any()


def test_all_that_may_become_of_a_cell():
    table, rule = table_of(TABLE), {"in_range": {"columns": "age", "least": 0, "most": 120}}
    with pytest.raises(DataError, match=r"step 1 \(require\), column 'age', row 2: '-1.0' cannot be treated"):
        Recipe().require(rule).fit_transform(table).frame()
    gone = Recipe().require(rule, on_error="drop").fit_transform(table).frame()
    assert gone["age"].to_list() == [40, None, 120]
    flagged = Recipe().require(rule, on_error="flag").fit_transform(table).frame()
    assert flagged["age is bad"].to_list() == [False, True, False, False, True]
    missing = Recipe().require(rule, on_error="missing").fit_transform(table)
    assert missing.schema.names == table.schema.names
    assert missing.frame()["age"].to_list() == [40, None, None, 120, None]
    told = [(each.column, each.count, each.what) for each in missing.changes().records]
    assert told == [("age", 2, "cells"), ("age", 2, "bad cells")]


@pytest.mark.parametrize(("step", "column", "broken"), CASES)
def test_a_table_that_was_held_to_a_rule_keeps_it(step, column, broken):
    table = table_of(TABLE)
    made = Recipe((Require(step.rule, step.columns, "drop"),)).fit_transform(table)
    assert check(made, rules_of([step.rule])).passed
    assert made.num_rows <= table.num_rows - len(broken)


@pytest.mark.parametrize(
    ("rule", "parameters", "words"),
    [
        ({"unique": {"columns": "age"}}, {}, "require: unique does not look at each row by itself"),
        ({"row_count": {"least": 1}}, {}, "row_count does not look"),
        ({"in_rang": {"columns": "age"}}, {}, "in_rang"),
        ({}, {}, "require"),
        ({"in_range": {"columns": "age"}, "one_of": {}}, {}, "require"),
        ({"in_range": {"column": "age"}}, {}, "no parameter 'column'"),
        ({"in_range": {"columns": "age", "allowed": 0.1}}, {}, "got allowed, which is for checks"),
        ({"holds": {"expression": "age >"}}, {}, "cannot be read"),
        ({"in_range": {"columns": "age"}}, {"columns": "rooms"}, "columns for the rule holds alone"),
        ({"in_range": {"columns": "age"}}, {"on_error": "pass"}, "on_error='pass'"),
        ({"matches": {"columns": "zip", "pattern": "(?=a)"}}, {}, "without look-around"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_where_it_is_written(rule, parameters, words):
    with pytest.raises(UsageError, match=words) as caught:
        Recipe().require(rule, **parameters)
    assert caught.value.code is ErrorCode.BAD_RECIPE


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"in_range": {"columns": "state", "least": 0}}, "column 'state' is of kind category"),
        ({"in_range": {"columns": "gone", "least": 0}}, "gone"),
        ({"in_range": {"columns": "age", "least": "2020-01-01"}}, "for the numbers of 'age'"),
        ({"one_of": {"columns": "age", "values": ["a"]}}, "got texts for the column 'age'"),
        ({"holds": {"expression": "true"}}, "looks at no column"),
        ({"holds": {"expression": "age + 1"}}, "gives a number"),
    ],
)
def test_a_rule_that_does_not_fit_the_columns_is_refused(rule, words):
    with pytest.raises((DataError, UsageError), match=words):
        bound_on(step(rule), table_of(TABLE))
