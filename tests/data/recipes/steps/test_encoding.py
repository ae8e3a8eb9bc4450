"""Categories as numbers keep the contract of steps."""

import pytest

from lepton.core import DataError
from lepton.data.recipes.steps.encoding import OneHot
from tests.data.recipes.step_contract import bound_on, check_step, table_of

TABLE = {"n": [1.0, 2.0, 3.0, None, 5.0], "c": ["a", "b", None, "a", "é"], "d": ["x"] * 5}


@pytest.mark.parametrize("step", [OneHot(), OneHot("c"), OneHot("c", 1), OneHot(["d", "c"])])
def test_the_contract_is_kept(step):
    check_step(step, TABLE)


def test_the_most_frequent_values_get_a_column_and_others_none():
    bound = bound_on(OneHot("c", 2), table_of(TABLE))
    assert bound.schema.names == ("n", "d", "c=a", "c=b")
    unseen = table_of({"n": [1.0, 1.0, 1.0], "c": ["b", "z", None], "d": ["x", "x", "x"]}).frame()
    assert bound.apply(unseen).frame.select("c=a", "c=b").rows() == [(0.0, 1.0), (0.0, 0.0), (0.0, 0.0)]


def test_what_cannot_be_is_refused():
    with pytest.raises(DataError, match="of kind number"):
        bound_on(OneHot("n"), table_of(TABLE))
    with pytest.raises(DataError, match="two columns would be called 'c=a'"):
        bound_on(OneHot("c"), table_of({"c": ["a", "b"], "c=a": [1, 2]}))
