"""Logarithms, powers and ranks keep the contract of steps, and agree with the textbook."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st
from sklearn.preprocessing import PowerTransformer, QuantileTransformer

from lepton.core import DataError, UsageError
from lepton.data.recipes import Recipe
from lepton.data.recipes.formulas import Arrays, expm1, log1p, normal_quantile, yeo_johnson
from lepton.data.recipes.steps.transforms import Log, QuantileTransform, YeoJohnson
from tests.data.recipes.step_contract import bound_on, check_step, graph_of, table_of

TABLE = {
    "n": [1.0, None, 2.5, 0.0, 1e-9, 700.0],
    "i": [1, 2, 5, 0, None, 5],
    "s": ["a", None, "b", "c", "d", "e"],
    "flat": [4.0, 4.0, None, 4.0, 4.0, 4.0],
}
UNSEEN = {"n": [math.inf, -3.0, None, 1e300], "i": [7, -8, None, 0], "s": [None] * 4, "flat": [0.0, 5.0, None, -1.0]}


@pytest.mark.parametrize(
    "step",
    [
        Log(on_error="flag"),
        Log("n", offset=2.5),
        Log("i", offset=0.0, on_error="drop"),
        YeoJohnson(),
        YeoJohnson("n", standardise=False),
        QuantileTransform(),
        QuantileTransform(["i", "n"], "normal", num_quantiles=3),
    ],
)
def test_the_contract_is_kept(step):
    check_step(step, TABLE, unseen=UNSEEN, tolerance=1e-10)


def made(step, values, learned_from=None):
    table = table_of({"n": values if learned_from is None else learned_from})
    return bound_on(step, table).apply(pl.DataFrame({"n": values}, schema={"n": pl.Float64})).frame["n"].to_numpy()


def test_logarithms():
    assert made(Log("n"), [0.0, math.e - 1, 1e-12]).tolist() == pytest.approx([0.0, 1.0, 1e-12], rel=1e-15)
    assert made(Log("n", offset=0.0), [1.0, math.e]).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(("offset", "value"), [(1.0, -0.5), (0.0, 0.0)])
def test_what_has_no_logarithm_is_told_or_missing(offset, value):
    table = table_of({"n": [1.0, value]})
    with pytest.raises(DataError, match=rf"step 1 \(log\), column 'n', row 2: '{value}' cannot be treated"):
        Recipe().log("n", offset=offset).fit_transform(table).frame()
    marked = Recipe().log("n", offset=offset, on_error="flag").fit_transform(table).frame()
    assert marked["n is bad"].to_list() == [False, True]
    assert graph_of(bound_on(Log("n", offset=offset), table), table.frame())["n"].tolist() == pytest.approx(
        [marked["n"][0], math.nan], nan_ok=True
    )


@pytest.mark.parametrize("shape", ["lognormal", "left", "both", "year", "few"])
def test_powers_are_those_of_scikit_learn(shape):
    random = np.random.default_rng(5)
    values = {
        "lognormal": random.lognormal(0, 0.7, 2_000),
        "left": 5 - random.gamma(2, 1, 2_000),
        "both": random.standard_t(4, 2_000),
        "year": random.normal(60, 15, 2_000),
        "few": np.array([0.1, 4.0, 2.0, 9.5]),
    }[shape]
    theirs = PowerTransformer().fit(values[:, None])
    step = bound_on(YeoJohnson("n"), table_of({"n": values}))
    assert step.powers[0] == pytest.approx(theirs.lambdas_[0], abs=1e-4)
    ours = step.apply(pl.DataFrame({"n": values})).frame["n"].to_numpy()
    np.testing.assert_allclose(ours, theirs.transform(values[:, None])[:, 0], atol=1e-3)


def test_the_power_of_many_values_is_that_of_their_quantiles():
    values = np.random.default_rng(1).lognormal(0, 0.7, 150_000)
    theirs = PowerTransformer().fit(values[:, None]).lambdas_[0]
    step = YeoJohnson("n")
    for memory in (10_000_000, 100_000):  # exact, and from a sketch
        learner = step.learner(table_of({"n": [1.0]}).schema, memory)
        for part in pl.DataFrame({"n": values}).iter_slices(40_000):
            learner.update(part)
        found = learner.finish()
        assert found["powers"]["n"]["power"] == pytest.approx(theirs, abs=2e-3)
        assert (found["rank_error"] > 0) == (memory == 100_000)


@pytest.mark.parametrize("values", [[], [3.0], [3.0, 3.0], [1e308, -1e308, 5.0], [0.1 + 0.2, 0.3, 0.3]])
def test_columns_that_have_no_power_stay_finite(values):
    step = bound_on(YeoJohnson("n"), table_of({"n": pl.Series(values, dtype=pl.Float64)}))
    assert np.isfinite(step.apply(pl.DataFrame({"n": [3.0, -2.0]})).frame["n"].to_numpy()).all()


@pytest.mark.parametrize("to", ["uniform", "normal"])
def test_ranks_are_those_of_scikit_learn(to):
    random = np.random.default_rng(2)
    values = np.concatenate([random.lognormal(0, 1, 3_000), np.full(200, 1.5)])  # some of them tied
    theirs = QuantileTransformer(n_quantiles=1_000, output_distribution=to, subsample=None).fit(values[:, None])
    new = np.concatenate([values, random.lognormal(0, 1.2, 1_000), [-1.0, 1e9]])
    np.testing.assert_allclose(
        made(QuantileTransform("n", to), new, values), theirs.transform(new[:, None])[:, 0], atol=2e-6
    )


def test_ties_have_the_middle_of_their_ranks_at_the_ends_too():
    values = [0.0, 0.0, 0.0, 1.0, 2.0]
    assert made(QuantileTransform("n", num_quantiles=5), [*values, -1.0, 9.0], values).tolist() == [
        0.25, 0.25, 0.25, 0.75, 1.0, 0.0, 1.0,
    ]  # fmt: skip
    assert made(QuantileTransform("n"), [7.0, 8.0], [7.0, 7.0]).tolist() == [0.5, 1.0]


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=30), st.sampled_from(["uniform", "normal"]))
def test_ranks_rise_with_the_values_in_rows_and_graph(values, to):
    table = table_of({"n": values})
    step = bound_on(QuantileTransform("n", to, num_quantiles=7), table)
    frame = pl.DataFrame({"n": sorted(values)})
    ranks = step.apply(frame).frame["n"].to_numpy()
    assert (np.diff(ranks) >= -1e-12).all()
    np.testing.assert_allclose(graph_of(step, frame)["n"], ranks, rtol=1e-12, atol=1e-15)


@given(st.floats(0, 1e300) | st.floats(0, 1e-10))
def test_formulas_keep_their_digits(value):
    one = np.array([[value]])
    assert log1p(Arrays(), one)[0, 0] == pytest.approx(math.log1p(value), rel=4e-15)
    small = min(value, 700.0)
    assert expm1(Arrays(), np.array([[small]]))[0, 0] == pytest.approx(math.expm1(small), rel=4e-15)
    assert expm1(Arrays(), np.array([[-small]]))[0, 0] == pytest.approx(math.expm1(-small), rel=4e-15)


@given(st.floats(1e-9, 1 - 1e-9))
def test_shares_of_the_normal_distribution(share):
    found = normal_quantile(Arrays(), np.array([[share]]))[0, 0]
    assert found == pytest.approx(NormalDist().inv_cdf(share), rel=1e-12, abs=1e-15)


@given(st.floats(-1e6, 1e6))
def test_the_power_1_changes_nothing(value):
    assert yeo_johnson(Arrays(), np.array([[value]]), 1.0)[0, 0] == pytest.approx(value, rel=1e-13)


@pytest.mark.parametrize("step", [Log("n", offset=-1.0), QuantileTransform("n", num_quantiles=1)])
def test_parameters_that_cannot_be(step):
    with pytest.raises(UsageError, match="got"):
        bound_on(step, table_of(TABLE))
