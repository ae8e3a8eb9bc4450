"""One pass over a table for all rules, against a brute force on its rows."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError, ErrorCode, Resources, UsageError, Work
from lepton.data import read
from lepton.data.quality import check
from lepton.data.quality.rules import rules_of

ROWS = {
    "id": [1, 2, 2, None, 5, 5],
    "age": [30.0, -3.0, None, 200.0, 40.0, 41.0],
    "town": ["Ulm", "Bonn", "Ulm", None, "Paris", "Ulm"],
    "when": [dt.date(2026, 1, day) for day in range(1, 7)],
}
KINDS = {"town": "category", "id": "number"}


@pytest.fixture(scope="module")
def table():
    return read(ROWS, kinds=KINDS)


def result_of(rows, name, tables=None, **parameters):
    (found,) = check(rows, rules_of([{name: parameters}]), tables=tables).results
    return found


@pytest.mark.parametrize(
    ("name", "parameters", "broken"),
    [
        ("not_missing", {"columns": ["age", "town"]}, 2),
        ("in_range", {"columns": "age", "least": 0, "most": 120}, 2),
        ("in_range", {"columns": "when", "least": "2026-01-03"}, 2),
        ("one_of", {"columns": "town", "values": ["Ulm", "Bonn"]}, 1),
        ("one_of", {"columns": "id", "values": [1, 2, 5]}, 0),
        ("matches", {"columns": "town", "pattern": "[A-Z][a-z]{2,3}"}, 1),
        ("length", {"columns": "town", "least": 4}, 3),
        ("holds", {"expression": "age > 0 and town != 'Paris'"}, 2),
        ("unique", {"columns": "id"}, 2),
        ("unique", {"columns": ["id", "town"]}, 0),
        ("exists_in", {"columns": "town", "table": "towns", "key": "name"}, 1),
    ],
)
def test_rows_that_break_a_rule_are_counted(table, name, parameters, broken):
    towns = {"towns": read({"name": ["Ulm", "Bonn"]}, kinds={"name": "category"})}
    found = result_of(table, name, towns, **parameters)
    assert found.broken == broken
    assert found.passed == (broken == 0)
    assert len(found.examples) == min(broken, 5)


@pytest.mark.parametrize(
    ("name", "parameters", "passed", "observed"),
    [
        ("row_count", {"least": 1, "most": 6}, True, "6 rows"),
        ("row_count", {"least": 7}, False, "6 rows"),
        ("row_count", {"most": 5}, False, "6 rows"),
        ("has_kind", {"columns": ["age", "id"], "kind": "number"}, True, "as wanted"),
        ("has_kind", {"columns": ["age", "town"], "kind": "number"}, False, "town is category"),
        ("mean_between", {"column": "age", "least": 61, "most": 62}, True, "mean 61.6"),
        ("mean_between", {"column": "age", "most": 60}, False, "mean 61.6"),
        ("fresh", {"column": "when", "within": "2d", "now": "2026-01-07"}, True, "latest 2026-01-06 00:00:00"),
        ("fresh", {"column": "when", "within": "2d", "now": "2026-01-09"}, False, "latest 2026-01-06 00:00:00"),
    ],
)
def test_rules_about_the_table_as_a_whole(table, name, parameters, passed, observed):
    found = result_of(table, name, **parameters)
    assert (found.passed, found.observed, found.broken) == (passed, observed, None)


def test_a_share_may_be_allowed_and_a_warning_does_not_fail(table):
    assert result_of(table, "not_missing", columns="age", allowed=0.2).passed
    assert not result_of(table, "not_missing", columns="age", allowed=0.1).passed
    warned = check(table, rules_of([{"not_missing": {"columns": "age", "severity": "warn"}}]))
    assert warned.passed
    assert not warned.results[0].passed


def test_rows_that_break_rules_are_kept_aside_with_their_place(tmp_path):
    pl.DataFrame({"age": [1, 2, -3]}).write_csv(tmp_path / "a.csv")
    pl.DataFrame({"age": [-4, 5]}).write_csv(tmp_path / "b.csv")
    found = check(
        read([tmp_path / "a.csv", tmp_path / "b.csv"]), rules_of([{"in_range": {"columns": "age", "least": 0}}])
    )
    assert found.failures.select("file", "row", "age").rows() == [("a.csv", 3, -3), ("b.csv", 1, -4)]
    assert found.results[0].examples == ("row 3 of a.csv: age = -3", "row 1 of b.csv: age = -4")


def test_columns_of_the_table_may_be_called_like_those_of_the_failures():
    table = read({"rule": [1, -1], "row": [7, 8]})
    failures = check(table, rules_of([{"in_range": {"columns": "rule", "least": 0}}])).failures
    assert failures["rule (of the table)"].to_list() == [-1]
    assert failures["row"].to_list() == [2]


@given(
    st.lists(st.tuples(st.integers(0, 6) | st.none(), st.sampled_from(["a", "b", "c", None])), min_size=1, max_size=60),
    st.integers(1, 20),
)
def test_in_pieces_and_with_little_memory_the_counts_are_those_of_a_brute_force(rows, memory):
    frame = pl.DataFrame(rows, schema={"n": pl.Int64, "t": pl.String}, orient="row")
    table = read(frame, kinds={"t": "category"})
    work = Work(resources=Resources(memory=memory))
    rules = rules_of([{"unique": {"columns": ["n", "t"]}}, {"in_range": {"columns": "n", "most": 3}}])
    unique, ranged = check(table, rules, work=work).results
    keyed = [row for row in rows if row != (None, None)]
    assert unique.broken == len(keyed) - len(set(keyed))
    assert ranged.broken == sum(n is not None and n > 3 for n, _ in rows)


@pytest.mark.parametrize(
    ("name", "parameters", "error", "words"),
    [
        ("in_range", {"columns": "agee", "least": 0}, DataError, "did you mean 'age'"),
        ("in_range", {"columns": "town", "least": 0}, DataError, "rule 1: in_range: column 'town' is of kind category"),
        ("in_range", {"columns": "age", "least": "x"}, UsageError, "for the numbers of 'age'"),
        ("one_of", {"columns": "age", "values": ["x"]}, UsageError, "got texts"),
        ("matches", {"columns": "age", "pattern": "x"}, DataError, "is of kind number"),
        ("holds", {"expression": "age + 1"}, UsageError, "true or false"),
        ("fresh", {"column": "age", "within": "1d"}, DataError, "datetime"),
        ("mean_between", {"column": "town"}, DataError, "is of kind category"),
        ("exists_in", {"columns": "town", "table": "towns"}, UsageError, "--table towns=FILE"),
    ],
)
def test_rules_that_do_not_fit_the_table_are_refused(table, name, parameters, error, words):
    with pytest.raises(error, match=words):
        result_of(table, name, **parameters)


def test_keys_of_other_kinds_are_refused(table):
    towns = {"towns": read({"town": [1, 2]})}
    with pytest.raises(UsageError, match="keys of the same kind"):
        result_of(table, "exists_in", towns, columns="town", table="towns")


def test_nothing_to_check_is_refused(table):
    with pytest.raises(UsageError, match="neither rules nor a baseline") as caught:
        check(table)
    assert caught.value.code is ErrorCode.USAGE


def test_a_check_is_shown_without_letting_markup_through():
    table = read({"<script>alert(1)</script>": [1, -1]})
    found = check(table, rules_of([{"in_range": {"columns": "<script>alert(1)</script>", "least": 0}}]))
    assert "<script>alert" not in found.page().html()
    assert "NOT PASSED" in found.text()
    assert found.to_dict()["passed"] is False
