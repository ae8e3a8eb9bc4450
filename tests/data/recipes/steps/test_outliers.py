"""Steps on far numbers keep the contract of steps."""

import numpy as np
import pytest

from lepton.core import DataError, UsageError
from lepton.data.recipes.steps.outliers import Clip, Outliers
from tests.data.recipes.step_contract import bound_on, check_step, table_of

RNG = np.random.default_rng(0)
TABLE = {
    "n": [*RNG.normal(size=50).round(2).tolist(), 1e6, None],
    "i": [*RNG.integers(0, 100, 51).tolist(), -90_000],
    "s": ["a", "b"] * 26,
    "flat": [1.0] * 51 + [5.0],
}


@pytest.mark.parametrize(
    "step",
    [
        Clip("n", q=(0.05, 0.95)),
        Clip(q=(0, 1)),
        Clip(["n", "i"], lower=0),
        Clip("i", upper=50),
        Clip("i", upper=50.5),
        Outliers(),
        Outliers("n", 3, "missing"),
        Outliers(["i", "flat"], action="missing"),
    ],
)
def test_the_contract_is_kept(step):
    check_step(step, TABLE)


def test_quantiles_are_exact_where_they_fit_and_told_where_not():
    values = {"n": np.arange(100_000.0)}
    table = table_of(values)
    exact = Clip("n", q=(0.01, 0.99)).learner(table.schema, 10_000_000)
    sketch = Clip("n", q=(0.01, 0.99)).learner(table.schema, 1_000)
    for learner in (exact, sketch):
        for part in table.frame().iter_slices(7_000):
            learner.update(part)
    found, near = exact.finish(), sketch.finish()
    assert found == {"values": {"n": [999.99, 98999.01]}, "rank_error": 0.0}
    assert 0 < near["rank_error"] < 0.01
    np.testing.assert_allclose(near["values"]["n"], found["values"]["n"], atol=near["rank_error"] * 100_000)


def test_far_values_are_held_or_missing_and_others_stay():
    frame = table_of(TABLE).frame()
    held = bound_on(Outliers("n"), table_of(TABLE)).apply(frame).frame["n"]
    gone = bound_on(Outliers("n", action="missing"), table_of(TABLE)).apply(frame).frame["n"]
    assert held[:50].to_list() == gone[:50].to_list() == frame["n"][:50].to_list()
    assert 3 < held[50] < 20
    assert gone[50] is None


def test_a_column_that_hardly_varies_stays():
    bound = bound_on(Outliers("flat"), table_of(TABLE))
    assert bound.apply(table_of(TABLE).frame()).frame["flat"].to_list() == TABLE["flat"]


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        (lambda: Clip("n"), UsageError, "neither q nor bounds"),
        (lambda: Clip("n", q=(0.1, 0.9), lower=1), UsageError, "got q and bounds"),
        (lambda: Clip("n", q=(0.9, 0.1)), UsageError, "two shares"),
        (lambda: Clip("n", q=(0.1, 0.5, 0.9)), UsageError, "q="),
        (lambda: Clip("n", lower=3, upper=1), UsageError, "above upper"),
        (lambda: Clip("s", q=(0, 1)), DataError, "of kind category"),
        (lambda: Outliers("n", 0), UsageError, "z=0"),
        (lambda: Outliers("n", float("nan")), UsageError, "z"),
        (lambda: Outliers("n", action="drop"), UsageError, "action"),
    ],
)
def test_what_cannot_be_is_refused(step, error, words):
    with pytest.raises(error, match=words):
        bound_on(step(), table_of(TABLE))
