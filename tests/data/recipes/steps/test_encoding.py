"""Categories as numbers keep the contract of steps."""

import pytest

from lepton.core import DataError, UsageError
from lepton.data.recipes.steps.encoding import HashEncode, OneHot, Ordinal
from tests.data.recipes.step_contract import bound_on, check_step, table_of

TABLE = {"n": [1.0, 2.0, 3.0, None, 5.0], "c": ["a", "b", None, "a", "é"], "d": ["x"] * 5}


UNSEEN = {"n": [None, 1.0], "c": ["new", None], "d": [None, "x"]}


@pytest.mark.parametrize(
    "step",
    [
        OneHot(),
        OneHot("c"),
        OneHot("c", 1),
        OneHot(["d", "c"]),
        Ordinal(),
        Ordinal("c", order=["b", "a"], unseen=None),
        Ordinal(["c", "d"], by="frequency", max_categories=1),
        HashEncode(),
        HashEncode("c", num_columns=2),
    ],
)
def test_the_contract_is_kept(step):
    check_step(step, TABLE, unseen=UNSEEN)


def test_the_most_frequent_values_get_a_column_and_others_none():
    bound = bound_on(OneHot("c", 2), table_of(TABLE))
    assert bound.schema.names == ("n", "d", "c=a", "c=b")
    unseen = table_of({"n": [1.0, 1.0, 1.0], "c": ["b", "z", None], "d": ["x", "x", "x"]}).frame()
    assert bound.apply(unseen).frame.select("c=a", "c=b").rows() == [(0.0, 1.0), (0.0, 0.0), (0.0, 0.0)]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Ordinal("c"), [0.0, 1.0, None, 2.0, -1.0]),
        (Ordinal("c", by="frequency"), [0.0, 2.0, None, 1.0, -1.0]),
        (Ordinal("c", order=["é", "b"]), [-1.0, 1.0, None, 0.0, -1.0]),
        (Ordinal("c", unseen=None), [0.0, 1.0, None, 2.0, None]),
    ],
)
def test_categories_get_their_place_in_an_order(step, expected):
    table = table_of({"c": ["a", "b", None, "a", "é", "é"], "d": ["x"] * 6})
    made = bound_on(step, table).apply(table_of({"c": ["a", "b", None, "é", "z"], "d": ["x"] * 5}).frame()).frame
    assert made.columns == ["c", "d"]
    assert made["c"].to_list() == expected


def test_a_hash_picks_one_column_and_never_changes():
    table = table_of({"c": ["a", "Köln", None]})
    made = bound_on(HashEncode("c", num_columns=8), table).apply(table.frame()).frame
    assert made.columns == [f"c hash {place}" for place in range(8)]
    assert [row.index(1.0) if any(row) else None for row in made.rows()] == [0, 1, None]


def test_what_cannot_be_is_refused():
    with pytest.raises(DataError, match="of kind number"):
        bound_on(OneHot("n"), table_of(TABLE))
    with pytest.raises(UsageError, match="each value once"):
        bound_on(Ordinal("c", order=["a", "a"]), table_of(TABLE))
    with pytest.raises(UsageError, match="num_columns=1"):
        bound_on(HashEncode("c", num_columns=1), table_of(TABLE))
    with pytest.raises(DataError, match="two columns would be called 'c=a'"):
        bound_on(OneHot("c"), table_of({"c": ["a", "b"], "c=a": [1, 2]}))
