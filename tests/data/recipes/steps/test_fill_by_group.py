"""Filling by group keeps the contract of steps, in rows and in a graph."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import DataError, UsageError
from lepton.data.recipes import Recipe
from lepton.data.recipes.group_values import MAX_GROUPS
from lepton.data.recipes.steps.missing import Fill
from tests.data.recipes.step_contract import bound_on, check_step, table_of

TABLE = {
    "town": ["a", "a", "a", "b", "b", None, "a", "c", "c"],
    "new": [True, True, False, False, None, True, True, False, False],
    "rooms": [1.0, 1.0, 2.0, 2.0, 2.0, 0.0, -0.0, None, 1.0],
    "n": [1.0, 3.0, 8.0, 10.0, None, None, None, None, None],
    "i": [1, None, 3, 4, 6, None, None, None, None],
    "s": ["x", "x", "y", None, "z", None, None, None, None],
    "b": [True, None, True, False, False, None, None, None, None],
}
UNSEEN = {
    "town": ["a", "d", None, "b"],
    "new": [None, True, True, False],
    "rooms": [1.0, 9.0, None, 2.0],
    "n": [None, None, None, 1.0],
    "i": [None, None, 7, None],
    "s": [None, None, "é", None],
    "b": [None, None, None, True],
}


@pytest.mark.parametrize(
    ("step", "column", "expected"),
    [
        (Fill("n", by="town"), "n", [1, 3, 8, 10, 10, 5.5, 3, 5.5, 5.5]),
        (Fill("n", "mean", by="town"), "n", [1, 3, 8, 10, 10, 5.5, 4, 5.5, 5.5]),
        (Fill("n", "mean", by=["town", "new"]), "n", [1, 3, 8, 10, 5.5, 5.5, 2, 5.5, 5.5]),
        (Fill(["n", "i"], by="rooms"), "n", [1, 3, 8, 10, 9, 5.5, 5.5, 5.5, 2]),
        (Fill("i", by=["new", "rooms", "town"]), "i", [1, 1, 3, 4, 6, 3.5, 3.5, 3.5, 3.5]),
        (Fill("i", "mode", by="town"), "i", [1, 1, 3, 4, 6, 1, 1, 1, 1]),
        (Fill("s", "mode", by="town"), "s", ["x", "x", "y", "z", "z", "x", "x", "x", "x"]),
        (Fill("b", "mode", by="town"), "b", [True, True, True, False, False, False, True, False, False]),
        (Fill((), "mode", by="town"), "new", [True, True, False, False, False, True, True, False, False]),
    ],
)
def test_a_group_is_filled_with_its_own(step, column, expected):
    bound = check_step(step, TABLE, unseen=UNSEEN)
    assert bound.apply(table_of(TABLE).frame()).frame[column].to_list() == expected


def test_whole_numbers_stay_whole_where_all_fills_are():
    whole = {"g": ["a", "a", "b", "b"], "i": [1, 3, 5, None]}
    assert bound_on(Fill("i", "mode", by="g"), table_of(whole)).schema["i"].dtype == "int64"
    assert bound_on(Fill("i", by="g"), table_of(whole)).schema["i"].dtype == "int64"
    assert bound_on(Fill("i", by="g"), table_of({**whole, "i": [1, 2, 5, None]})).schema["i"].dtype == "float64"


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", None]), st.one_of(st.none(), st.floats(-1e6, 1e6))),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(["median", "mean"]),
)
def test_it_is_what_numpy_says_of_each_group(rows, value):
    function = np.median if value == "median" else np.mean
    frame = pl.DataFrame(rows, schema={"g": pl.String, "n": pl.Float64}, orient="row")
    table = table_of(frame, {"g": "category", "n": "number"})
    made = Recipe((Fill("n", value, by="g"),)).fit_transform(table).frame()["n"]
    every = [n for _, n in rows if n is not None]
    for (group, n), found in zip(rows, made, strict=True):
        members = [other for g, other in rows if g == group and other is not None] if group else []
        if n is None and every:
            n = float(function(members or every))
        assert found == (n if n is None else pytest.approx(n, rel=1e-9, abs=1e-6))


def test_medians_of_more_values_than_fit_come_from_sketches_that_tell_their_error():
    rows = 60_000
    frame = pl.DataFrame({"g": [f"{i % 3}" for i in range(rows)], "n": [float(i) for i in range(rows)]})
    table = table_of(frame)
    step = Fill("n", by="g")
    exact, sketch, parts = (step.learner(table.schema, memory) for memory in (10_000_000, 20_000, 20_000))
    other = step.learner(table.schema, 20_000)
    for number, part in enumerate(frame.iter_slices(5_000)):
        for learner in (exact, sketch, parts if number < 5 else other):
            learner.update(part)
    parts.merge(other)
    known = exact.finish()
    assert known["group_rank_error"] == 0
    for learner in (sketch, parts):
        found = learner.finish()
        assert 0 < found["group_rank_error"] < 0.2
        for (group, near), (same, middle) in zip(found["groups"]["n"], known["groups"]["n"], strict=True):
            assert group == same
            assert near == pytest.approx(middle, abs=found["group_rank_error"] * rows)


def test_too_many_groups_are_refused():
    frame = pl.DataFrame({"g": [f"{i}" for i in range(MAX_GROUPS + 1)], "n": [1.0] * (MAX_GROUPS + 1)})
    table = table_of(frame)
    for value in ("median", "mean", "mode"):
        with pytest.raises(DataError, match=r"step 1 \(fill\): by g there are more than 10,000 groups"):
            Recipe((Fill("n", value, by="g"),)).fit(table)


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        (lambda: Fill("n", 3, by="town"), UsageError, "a value for all rows"),
        (lambda: Fill("s", literal="mean", by="town"), UsageError, "a value for all rows"),
        (lambda: Fill("n", by="n"), UsageError, "'n' is to be filled and names the group"),
        (lambda: Fill("n", by=["town", "new", "rooms", "s"]), UsageError, "at most 3"),
        (lambda: Fill("n", by="gone"), DataError, "gone"),
    ],
)
def test_what_cannot_be_is_refused(step, error, words):
    with pytest.raises(error, match=words):
        bound_on(step(), table_of(TABLE))


@pytest.mark.parametrize("groups", [[["a", 1.0], ["a", 2.0]], [["a", None]], [["a", "x"]], [["a", 1.0, 2.0]], "a"])
def test_groups_that_somebody_has_changed_are_refused(groups):
    fitted = Recipe((Fill("n", by="town"),)).fit(table_of(TABLE)).to_dict()
    fitted["learned"][0]["groups"] = {"n": groups}
    with pytest.raises((UsageError, DataError), match=r"step 1 \(fill\)"):
        Recipe.from_dict(fitted).transform(table_of(TABLE)).frame()
