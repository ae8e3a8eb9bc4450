"""Least squares: as accurate as the references ask, exact over parts, bad input refused; descents as taught."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st
from sklearn import linear_model

from lepton.core import DataError, TrainingError, UsageError, Work
from lepton.data import read
from lepton.training.estimators import LinearRegression, Ridge
from tests.training.estimators.strd import references

RNG = np.random.default_rng(1)
X = RNG.normal(size=(600, 4)) * [1, 10, 0.1, 1] + [0, 100, 0, 0]
Y = X @ [1.0, -2.0, 30.0, 0.0] + 5 + RNG.normal(size=600)
WEIGHT = RNG.integers(0, 3, 600).astype(float)


def digits(values, certified) -> float:
    with np.errstate(divide="ignore"):
        return float(np.minimum(-np.log10(np.abs(values - certified) / np.abs(certified)), 15).min())


def all_of(model) -> np.ndarray:
    return np.append(model.coef_, model.intercept_)


# --- accuracy ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", references(), ids=lambda r: r.name)
def test_certified_values(reference):
    model = LinearRegression().fit(reference.x, reference.y)
    theirs = linear_model.LinearRegression().fit(reference.x, reference.y)
    ours = digits(np.append(model.intercept_, model.coef_), reference.certified)
    assert ours >= digits(np.append(theirs.intercept_, theirs.coef_), reference.certified)
    assert ours >= {"Wampler5": 5, "Wampler4": 7, "Filip": 6}.get(reference.name, 9)
    if reference.errors is not None:
        assert digits(np.array([row[2] for row in model.summary().rows]), reference.errors) >= 6.5


@pytest.mark.parametrize("solver", ["auto", "moments", "qr"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_least_squares_are_scikit_learns(solver, intercept, weight):
    ours = LinearRegression(solver=solver, fit_intercept=intercept).fit(X, Y, weight)
    theirs = linear_model.LinearRegression(fit_intercept=intercept).fit(X, Y, weight)
    np.testing.assert_allclose(all_of(ours), all_of(theirs), rtol=1e-8, atol=1e-9)
    assert ours.score(X, Y, weight) == pytest.approx(theirs.score(X, Y, weight))
    assert ours.rank_ == 4


@pytest.mark.parametrize("solver", ["auto", "moments", "qr"])
@pytest.mark.parametrize("alpha", [0.0, 1e-6, 1.0, 1e6])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_ridge_is_scikit_learns(solver, alpha, weight):
    ours = Ridge(alpha, solver=solver).fit(X, Y, weight)
    theirs = linear_model.Ridge(alpha, solver="svd").fit(X, Y, weight)
    np.testing.assert_allclose(all_of(ours), all_of(theirs), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("penalty", "share"), [("l1", 1.0), ("elasticnet", 0.3)])
def test_elastic_net_is_scikit_learns(penalty, share):
    ours = LinearRegression(penalty=penalty, alpha=0.5, l1_ratio=share, tol=1e-12).fit(X, Y)
    theirs = linear_model.ElasticNet(0.5, l1_ratio=share, tol=1e-12, max_iter=100_000).fit(X, Y)
    np.testing.assert_allclose(all_of(ours), all_of(theirs), rtol=1e-6, atol=1e-7)
    assert np.array_equal(ours.coef_ == 0, theirs.coef_ == 0)
    assert ours.n_iter_ > 1


def test_several_targets():
    targets = np.column_stack([Y, 2 * Y + X[:, 0]])
    ours, theirs = LinearRegression().fit(X, targets), linear_model.LinearRegression().fit(X, targets)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-8)
    with pytest.raises(UsageError, match="got a fit of several targets"):
        ours.summary()


# --- what the columns may be -------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["auto", "moments", "qr"])
def test_collinear_and_constant_columns_share_the_shortest_solution(solver):
    x = np.column_stack([X, X[:, 0] + X[:, 1], np.full(600, 7.0), np.full(600, 0.1)])
    ours, theirs = LinearRegression(solver=solver).fit(x, Y), linear_model.LinearRegression().fit(x, Y)
    np.testing.assert_allclose(all_of(ours), all_of(theirs), rtol=1e-6, atol=1e-8)
    assert ours.rank_ == theirs.rank_ == 4
    assert "-" in str(ours.summary())


@pytest.mark.parametrize("solver", ["auto", "moments", "qr"])
def test_more_columns_than_rows(solver):
    x, y = RNG.normal(size=(8, 20)), RNG.normal(size=8)
    ours, theirs = LinearRegression(solver=solver).fit(x, y), linear_model.LinearRegression().fit(x, y)
    np.testing.assert_allclose(all_of(ours), all_of(theirs), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ours.predict(x), y, rtol=1e-8)
    assert ours.rank_ == 7


def test_nearly_collinear_columns_of_many_rows_are_factored():
    x = RNG.normal(size=(300_000, 4))
    x[:, 3] = x[:, 0] + 1e-7 * x[:, 3]
    y = x @ [1.0, 2.0, 3.0, 4.0]
    np.testing.assert_allclose(LinearRegression().fit(x, y).coef_, [1, 2, 3, 4], rtol=1e-6)
    assert np.abs(LinearRegression(solver="moments").fit(x, y).coef_ - [1, 2, 3, 4]).max() > 1e-6


def test_units_do_not_matter():
    scale = np.array([1e-120, 1e60, 1.0, 1e-9])
    model = LinearRegression().fit(X * scale, Y)
    np.testing.assert_allclose(model.coef_ * scale, LinearRegression().fit(X, Y).coef_, rtol=1e-7)


def test_one_row():
    model = LinearRegression().fit([[3.0, 4.0]], [7.0])
    assert (model.coef_.tolist(), model.intercept_, model.rank_) == ([0.0, 0.0], 7.0, 0)


# --- parts -------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 599), max_size=5), st.sampled_from([LinearRegression(), Ridge(3.0)]), st.booleans())
def test_merging_parts_is_the_joint_fit(cuts, estimator, weighted):
    weight = WEIGHT + 0.5 if weighted else np.ones(600)
    edges = [0, *sorted(set(cuts)), 600]
    parts = [type(estimator)(**estimator.get_params()).fit(X[a:b], Y[a:b], weight[a:b]) for a, b in pairwise(edges)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    grown = type(estimator)(**estimator.get_params())
    for a, b in pairwise(edges):
        grown.partial_fit(X[a:b], Y[a:b], weight[a:b])
    whole = estimator.fit(X, Y, weight)
    np.testing.assert_allclose(all_of(merged), all_of(whole), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(all_of(grown), all_of(whole), rtol=1e-9, atol=1e-9)


def test_merged_collinear_parts_are_the_shortest_solution_too():
    x = np.column_stack([X, X[:, 0] + X[:, 1]])
    merged = LinearRegression().fit(x[:200], Y[:200]).merge(LinearRegression().fit(x[200:], Y[200:]))
    np.testing.assert_allclose(all_of(merged), all_of(LinearRegression().fit(x, Y)), rtol=1e-6, atol=1e-8)
    assert merged.rank_ == 4


def test_parts_of_other_columns_are_refused():
    model = LinearRegression().fit(pl.DataFrame(X, schema=["a", "b", "c", "d"]), Y)
    other = LinearRegression().fit(pl.DataFrame(X, schema=["a", "b", "d", "c"]), Y)
    with pytest.raises(DataError, match=r"a part has the columns 'a', 'b', 'd', 'c'.*'a', 'b', 'c', 'd'"):
        model.merge(other)
    before = all_of(model)
    with pytest.raises(ValueError, match="feature"):
        model.partial_fit(pl.DataFrame(X[:, :3], schema=["a", "b", "c"]), Y)
    with pytest.raises(DataError, match="variables"):
        model.partial_fit(pl.DataFrame(X, schema=["a", "b", "c", "d"]), np.column_stack([Y, Y]))
    assert np.array_equal(all_of(model), before)


# --- streams -----------------------------------------------------------------------------------------------------

NAMES = ["a", "b", "c", "d"]


def table(**more):
    return pl.DataFrame(X, schema=NAMES).with_columns(**{"y": Y, **more})


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_stream_is_fitted_as_arrays_are(tmp_path, ending):
    path = tmp_path / f"table.{ending}"
    table().write_csv(path) if ending == "csv" else table().write_parquet(path)
    for estimator in (LinearRegression(), Ridge(2.0), LinearRegression(solver="gradient_descent", tol=1e-12)):
        streamed = type(estimator)(**estimator.get_params()).fit(str(path), target="y")
        np.testing.assert_allclose(all_of(streamed), all_of(estimator.fit(X, Y)), rtol=1e-9)
        assert streamed.feature_names_in_.tolist() == NAMES
        np.testing.assert_allclose(streamed.predict(table().select(NAMES)), estimator.predict(X), rtol=1e-9)


def test_roles_name_target_weight_and_what_is_left_out():
    made = read(table(w=WEIGHT, town=pl.lit("Ulm")))
    made = made.with_roles({"y": "target", "w": "weight", "town": "ignored"})
    np.testing.assert_allclose(
        all_of(LinearRegression().fit(made)), all_of(LinearRegression().fit(X, Y, WEIGHT)), rtol=1e-9
    )


def test_parts_of_a_stream():
    whole = LinearRegression().fit(X, Y)
    grown = LinearRegression()
    for start in range(0, 600, 200):
        grown.partial_fit(read(table()[start : start + 200]), target="y")
    np.testing.assert_allclose(all_of(grown), all_of(whole), rtol=1e-9)
    with pytest.raises(DataError, match=r"a part has the columns 'a', 'b', 'c'. Wanted: those of the fit"):
        grown.partial_fit(read(table().drop("d")), target="y")


def test_stochastic_descent_reads_a_stream_again_and_again():
    model = LinearRegression(solver="sgd", random_state=0, max_iter=30).fit(read(table()), target="y")
    assert model.score(table().select(NAMES), Y) > 0.99
    assert len(model.loss_curve_) == model.n_iter_


# --- descents ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["gradient_descent", "sgd"])
def test_descents_arrive_and_keep_the_curve(solver):
    model = LinearRegression(solver=solver, random_state=3).fit(X, Y)
    exact = LinearRegression().fit(X, Y)
    np.testing.assert_allclose(model.predict(X), exact.predict(X), atol=1e-3 if solver == "gradient_descent" else 0.3)
    curve = np.array(model.loss_curve_)
    assert curve[-1] < curve[0] / 100
    if solver == "gradient_descent":
        assert np.all(np.diff(curve) <= 1e-12 * curve[0])
    again = LinearRegression(solver=solver, random_state=3).fit(X, Y)
    assert np.array_equal(again.coef_, model.coef_)


def test_a_descent_that_runs_away_says_so():
    with pytest.raises(TrainingError, match=r"the loss grows without end.*learning_rate=100"):
        LinearRegression(solver="sgd", learning_rate=1000).fit(X, Y)


def test_a_stopped_descent_keeps_what_it_has():
    event = threading.Event()
    event.set()
    model = LinearRegression(solver="gradient_descent").fit(X, Y, work=Work(cancel=event))
    assert model.coef_.tolist() == [0, 0, 0, 0]


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (np.zeros(600), "(?i)weight"),
        (np.where(np.arange(600) == 7, -1.0, 1.0), "sample_weight is -1 in row 7"),
        (np.full(600, np.nan), "NaN"),
        (np.ones(599), "599"),
    ],
)
def test_bad_weights(weight, said):
    model = LinearRegression()
    with pytest.raises(ValueError, match=said):
        model.fit(X, Y, weight)
    assert not hasattr(model, "n_features_in_")


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (table(b=pl.Series([None, *X[1:, 1]])), "column 'b' has no value in row 0.*lepton.train"),
        (table(y=pl.Series([*Y[:-1], None])), "column 'y' has no value in row 599"),
        (table(c=pl.Series([*X[:5, 2], np.inf, *X[6:, 2]])), "column 'c' holds inf in row 5"),
        (table(town=pl.Series(["Ulm", "Bonn"] * 300)), r"'town' \(category\).*ignored"),
        (table(y=pl.Series(["yes", "no"] * 300)), "the target 'y' is of kind category.*LogisticRegression"),
        (table().select("y"), "no feature columns"),
        (table(a=X[:, 0] * 1e200), "overflow.*divide them"),
    ],
)
def test_bad_streams(frame, said):
    model = LinearRegression().fit(X, Y)
    before = all_of(model)
    with pytest.raises(DataError, match=f"(?s){said}"):
        model.fit(read(frame), target="y")
    assert np.array_equal(all_of(model), before)
    assert not hasattr(model, "feature_names_in_")


@pytest.mark.parametrize(
    ("weight", "said"), [(-WEIGHT, "the weight in column 'w' is -"), (0 * WEIGHT, "every weight is 0")]
)
def test_bad_weights_of_a_stream(weight, said):
    made = read(table(w=weight)).with_roles({"w": "weight"})
    with pytest.raises(DataError, match=said):
        LinearRegression().fit(made, target="y")


def test_a_target_is_needed():
    with pytest.raises(UsageError, match=r'the target is not named.*target="column"'):
        LinearRegression().fit(read(table()))
    with pytest.raises(UsageError, match="requires y to be passed"):
        LinearRegression().fit(X)


def test_a_stream_that_ends_early(tmp_path):
    path = tmp_path / "table.parquet"
    table().write_parquet(path)
    made = read(path)
    path.write_bytes(path.read_bytes()[:-1000])
    model = LinearRegression()
    with pytest.raises(DataError, match="changed"):
        model.fit(made, target="y")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        model.fit(path, target="y")
    assert not hasattr(model, "coef_")


def test_a_file_that_changes_between_two_passes(tmp_path):
    path = tmp_path / "table.csv"
    table().write_csv(path)
    made = read(path)
    table()[:300].write_csv(path)
    with pytest.raises(DataError, match="changed"):
        LinearRegression().fit(made, target="y")


def test_parts_of_another_schema(tmp_path):
    table().write_parquet(tmp_path / "part-0.parquet")
    table().with_columns(a=pl.lit("x")).write_parquet(tmp_path / "part-1.parquet")
    with pytest.raises(DataError, match=r"column 'a' is String in part-1.parquet"):
        LinearRegression().fit(str(tmp_path / "part-*.parquet"), target="y")


# --- summary -----------------------------------------------------------------------------------------------------


def test_the_summary_is_the_classical_one():
    model = LinearRegression().fit(X, Y)
    design = np.column_stack([np.ones(600), X])
    rest = Y - design @ np.append(model.intercept_, model.coef_)
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * (rest @ rest) / 595)
    found = model.summary().to_dict()
    np.testing.assert_allclose([c["standard_error"] for c in found["coefficients"]], errors, rtol=1e-7)
    assert found["residual standard error"] == pytest.approx(np.sqrt(rest @ rest / 595))
    assert found["R2"] == pytest.approx(model.score(X, Y))
    by_moments = LinearRegression(solver="moments").fit(X, Y).summary().to_dict()
    assert by_moments["residual standard error"] == pytest.approx(found["residual standard error"])
    text = str(model.summary(0.9))
    assert "lower 90%" in text
    assert "(intercept)" in text
    assert "degrees of freedom: 595" in text


def test_intervals_hold_the_truth_as_often_as_they_say():
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(30, 2))
        row = LinearRegression().fit(x, x @ [1.0, 2.0] + rng.normal(size=30)).summary(0.8).rows[1]
        held += row[5] <= 1.0 <= row[6]
    assert 140 <= held <= 178  # 160 ± 3 standard deviations
