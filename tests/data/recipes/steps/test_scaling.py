"""Steps that put numbers on one scale keep the contract of steps."""

import numpy as np
import pytest

from lepton.core import DataError
from lepton.data.recipes.steps.scaling import MinMax, RobustScale, Standardise
from tests.data.recipes.step_contract import bound_on, check_step, table_of

TABLE = {"n": [1.0, None, 2.5, -3.0], "i": [1, 2, 5, 0], "s": ["a", None, "b", "c"], "flat": [4.0, 4.0, None, 4.0]}


@pytest.mark.parametrize("step", [Standardise(), MinMax(), RobustScale(), Standardise("i"), MinMax(["i", "flat"])])
def test_the_contract_is_kept(step):
    check_step(step, TABLE)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Standardise("i"), ((np.array([1, 2, 5, 0]) - 2) / np.std([1, 2, 5, 0])).tolist()),
        (MinMax("i"), [0.2, 0.4, 1.0, 0.0]),
        (RobustScale("i"), [-0.25, 0.25, 1.75, -0.75]),
    ],
)
def test_numbers_come_out_scaled(step, expected):
    made = bound_on(step, table_of(TABLE)).apply(table_of(TABLE).frame()).frame["i"]
    np.testing.assert_allclose(made.to_list(), expected)


@pytest.mark.parametrize("step", [Standardise("flat"), MinMax("flat"), RobustScale("flat")])
def test_a_column_that_does_not_vary_becomes_0(step):
    assert bound_on(step, table_of(TABLE)).apply(table_of(TABLE).frame()).frame["flat"].to_list() == [0, 0, None, 0]


def test_texts_are_refused():
    with pytest.raises(DataError, match="standardise: column 's' is of kind category"):
        bound_on(Standardise("s"), table_of(TABLE))
