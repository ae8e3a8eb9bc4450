"""Spellings and rare values are merged by what was learned, in tables and in graphs alike."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lepton.core import UsageError
from lepton.data.recipes.spellings import distance, merged_spellings
from lepton.data.recipes.steps.categories import MapValues, MergeRare, MergeSpellings
from tests.data.recipes.step_contract import bound_on, check_step, table_of

TOWNS = ["Hamburg"] * 30 + ["Homburg"] * 20 + ["Hambrug", "hamburg", "HAMBURG ", None, "Köln", "Koln"] + ["Berlin"] * 12


def test_they_keep_the_contract():
    table = {"c": TOWNS, "d": ["x"] * len(TOWNS), "n": [1.0] * len(TOWNS)}
    unseen = {"c": ["Hambrug", "Paris", None, ""], "d": [None, "1:x", "x", "y"], "n": [None] * 4}
    check_step(MergeSpellings(), table, unseen=unseen)
    check_step(MergeRare("c", 12), table, unseen=unseen)
    check_step(MergeRare(), table, unseen=unseen)
    check_step(MapValues("c", {"Hamburg": "HH", "Köln": None}), table, unseen=unseen)
    check_step(MapValues(("c", "d"), {"Hamburg": "HH"}, "rest"), table, unseen=unseen)


def test_spellings_become_the_frequent_value_and_frequent_values_stay():
    counts = [("Hamburg", 30), ("Homburg", 20), ("Berlin", 12), ("hamburg", 2), ("Hambrug", 1), ("Bonn", 1)]
    found = merged_spellings(counts)
    assert {value: each["to"] for value, each in found.items()} == {"hamburg": "Hamburg", "Hambrug": "Hamburg"}
    assert found["Hambrug"] == {"to": "Hamburg", "rows": 1, "why": "1 letter"}


@pytest.mark.parametrize("pair", [("A-100", "A-101"), ("cat", "car"), ("2019", "2018"), ("north-east", "north-west")])
def test_values_that_only_look_alike_stay(pair):
    assert merged_spellings([(pair[0], 1000), (pair[1], 1)]) == {}


def test_slips_of_slips_end_at_the_right_value():
    found = merged_spellings([("California", 10_000), ("Californai", 100), ("Califrnai", 1)])
    assert {each["to"] for each in found.values()} == {"California"}


def test_kept_values_and_bad_parameters():
    table = table_of({"c": TOWNS})
    bound = bound_on(MergeSpellings("c", keep="Hambrug"), table)
    assert "Hambrug" not in bound.tables[0]
    for step in (MergeSpellings("c", rarer=1), MergeRare("c", share=2.0), MergeRare("c", to="")):
        with pytest.raises(UsageError):
            step.learner(table.schema, 1000)


def test_rare_and_unseen_values_become_other():
    table = table_of({"c": TOWNS})
    bound = bound_on(MergeRare("c", count=1, share=0.25), table)
    assert set(bound.apply(table.frame()).frame["c"].drop_nulls()) == {"Hamburg", "Homburg", "other"}
    assert bound_on(MergeRare("c", 1, most=1), table).tables[0] == {"Hamburg": "Hamburg"}


_WORDS = st.text("abc", max_size=6)


@given(_WORDS, _WORDS, _WORDS)
def test_distance(one, other, third):
    far = distance(one, other, 10)
    assert far == distance(other, one, 10)
    assert (far == 0) == (one == other)
    assert distance(one, other, 1) == min(far, 2)
    assert abs(len(one) - len(other)) <= far <= max(len(one), len(other))


def test_swapped_neighbours_are_one_edit():
    assert distance("abcd", "abdc", 3) == 1
    assert distance("ca", "abc", 3) == 3
