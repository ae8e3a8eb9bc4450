"""Logistic regression: scikit-learn's minimum, additive over parts, textbook descents, separable classes said so."""

from __future__ import annotations

import threading
import warnings
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from lepton.core import DataError, UsageError, Work
from lepton.data import read
from lepton.training.estimators import LogisticRegression, SeparationWarning, logistic as module
from lepton.training.estimators.logistic_sums import logistic_record, sigmoid, softmax

RNG = np.random.default_rng(2)
X = RNG.normal(size=(500, 4)) * [1, 50, 0.02, 1] + [0, 1000, 0, 0]
SCORES = X @ [1.0, 0.02, 40.0, 0.0] - 20
TWO = np.where(RNG.random(500) < sigmoid(SCORES), "yes", "no")
THREE = np.array(["low", "middle", "high"])[
    (RNG.random(500) < sigmoid(SCORES)).astype(int) + (X[:, 3] + RNG.normal(size=500) > 1)
]
WEIGHT = RNG.integers(0, 3, 500).astype(float)


def all_of(model) -> np.ndarray:
    return np.column_stack([model.coef_, model.intercept_])


def exact(y, weight=None, x=X, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = linear_model.LogisticRegression(tol=1e-13, max_iter=10_000, solver="newton-cholesky", **settings)
        return theirs.fit(x, y, weight)


# --- the minimum -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
@pytest.mark.parametrize("settings", [{}, {"C": 0.01}, {"C": 100.0}, {"fit_intercept": False}], ids=str)
def test_the_minimum_is_scikit_learns(y, weight, settings):
    ours, theirs = LogisticRegression(**settings).fit(X, y, weight), exact(y, weight, **settings)
    np.testing.assert_allclose(all_of(ours)[:, :-1], theirs.coef_, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-7)
    assert (ours.predict(X) == theirs.predict(X)).all()
    assert ours.converged_
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y))


def test_many_rows_start_from_a_sample():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(40_000, 3))
    y = rng.random(40_000) < sigmoid(x @ [1.0, -2.0, 0.5])
    model = LogisticRegression().fit(x, y)
    np.testing.assert_allclose(model.coef_, exact(y, x=x).coef_, atol=1e-6)
    assert model.n_iter_ <= 5  # passes over all rows


def test_a_sample_that_misleads_does_no_harm(monkeypatch):
    # The rows of the sample, every 16th, look wholly different from all the others.
    rng = np.random.default_rng(6)
    x = rng.normal(size=(80_000, 3))
    y = rng.random(80_000) < sigmoid(x @ [1.0, -2.0, 0.5])
    monkeypatch.setattr(module, "_SAMPLE_ROWS", 5_000)
    x[::16] *= [1, 1, 1e-3]
    y[::16] = x[::16, 0] > 0
    np.testing.assert_allclose(LogisticRegression().fit(x, y).coef_, exact(y, x=x).coef_, atol=1e-5)


@pytest.mark.parametrize(("penalty", "share"), [("l1", 1.0), ("elasticnet", 0.4)])
@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
def test_l1_is_scikit_learns(penalty, share, y):
    x = (X - X.mean(axis=0)) / X.std(axis=0)
    ours = LogisticRegression(penalty=penalty, l1_ratio=share, C=0.05, tol=1e-12).fit(x, y)
    theirs = linear_model.LogisticRegression(
        solver="saga", l1_ratio=share, C=0.05, tol=1e-10, max_iter=100_000, random_state=0
    ).fit(x, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=2e-5)
    assert np.array_equal(ours.coef_ == 0, theirs.coef_ == 0)
    assert (ours.coef_ == 0).any()


@pytest.mark.parametrize("solver", ["newton", "lbfgs", "gradient_descent", "sgd"])
def test_every_solver_arrives(solver):
    x = (X - X.mean(axis=0)) / X.std(axis=0)
    best = LogisticRegression().fit(x, THREE)
    model = LogisticRegression(solver=solver, random_state=0).fit(x, THREE)
    far = {"newton": 1e-6, "lbfgs": 1e-3, "gradient_descent": 1e-3, "sgd": 0.1}[solver]
    assert np.abs(model.predict_proba(x) - best.predict_proba(x)).max() < far
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert len(model.loss_curve_) in (model.n_iter_, model.n_iter_ + 1)


@pytest.mark.parametrize("penalty", ["l2", None])
def test_collinear_and_constant_columns(penalty):
    x = np.column_stack([X, X[:, 0] + X[:, 3], np.full(500, 7.0)])
    model = LogisticRegression(penalty=penalty).fit(x, TWO)
    assert np.isfinite(all_of(model)).all()
    assert not model.separable_
    if penalty is None:
        np.testing.assert_allclose(
            model.predict_proba(x), LogisticRegression(penalty=None).fit(X, TWO).predict_proba(X), atol=1e-5
        )


def test_more_columns_than_rows():
    x = RNG.normal(size=(20, 60))
    y = np.arange(20) % 2
    ours = LogisticRegression().fit(x, y)
    np.testing.assert_allclose(ours.coef_, exact(y, x=x).coef_, atol=1e-6)


# --- separable classes -------------------------------------------------------------------------------------------


def test_separable_classes_are_said_so():
    x = np.arange(20.0)[:, None]
    with pytest.warns(SeparationWarning, match=r'perfectly separable.*penalty="l2"'):
        model = LogisticRegression(penalty=None).fit(x, x[:, 0] > 9)
    assert model.separable_
    assert model.score(x, x[:, 0] > 9) == 1
    assert np.isfinite(model.coef_).all()


def test_one_column_that_gives_some_rows_away():
    x = np.column_stack([X[:, :3], (X[:, 3] > 1.2).astype(float)])
    y = np.where(x[:, 3] == 1, "yes", TWO)  # wherever the last column is 1 the answer is yes
    with pytest.warns(SeparationWarning):
        assert LogisticRegression(penalty=None).fit(x, y).separable_


def test_three_classes_of_which_one_is_separable():
    y = np.where(X[:, 3] > 1.2, "third", TWO)
    with pytest.warns(SeparationWarning):
        assert LogisticRegression(penalty=None).fit(X, y).separable_


def test_a_penalty_makes_an_end_of_it():
    x = np.arange(20.0)[:, None]
    assert not LogisticRegression().fit(x, x[:, 0] > 9).separable_
    assert not LogisticRegression(penalty=None).fit(X, THREE).separable_


# --- parts -------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 499), max_size=4), st.sampled_from([TWO, THREE]), st.sampled_from(["l2", "l1"]))
def test_the_loop_over_parts_is_the_joint_fit(cuts, y, penalty):
    x = (X - X.mean(axis=0)) / X.std(axis=0)
    joint = LogisticRegression(penalty=penalty).fit(x, y, WEIGHT + 1)
    edges = [0, *sorted(set(cuts)), 500]
    loop = LogisticRegression(penalty=penalty).begin(4, np.unique(y))
    for _ in range(100):
        parts = [loop.statistics(x[a:b], y[a:b], WEIGHT[a:b] + 1) for a, b in pairwise(edges)]
        record = parts[0]
        for part in parts[1:]:
            record = record + part
        if loop.step(record):
            break
    assert loop.converged_
    np.testing.assert_allclose(all_of(loop), all_of(joint), rtol=1e-9, atol=1e-9)
    assert loop.predict(x).tolist() == joint.predict(x).tolist()


def test_what_is_added_must_fit():
    model = LogisticRegression().fit(X, TWO)
    here = model.statistics(X, TWO)
    with pytest.raises(DataError, match="measured at different parameters"):
        here + model.statistics(X, TWO, at=np.zeros((1, 5)))
    with pytest.raises(DataError, match=r"parameters of shape \[1, 4\]. Wanted: \[1, 5\]"):
        model.statistics(X, TWO, at=np.zeros((1, 4)))
    with pytest.raises(DataError, match=r"row 0 has the class 'perhaps'.*'no', 'yes'"):
        model.statistics(X[:1], ["perhaps"])
    with pytest.raises(NotFittedError):
        LogisticRegression().statistics(X, TWO)


@pytest.mark.parametrize("classes", [2, 3])
def test_gradient_and_curvature_are_the_derivatives(classes):
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(30, 2)), rng.integers(0, classes, 30), rng.random(30)
    at = rng.normal(size=(1 if classes == 2 else classes, 3))
    here = logistic_record(x, y, w, at, True)
    assert here.curvature is not None
    for i in range(at.size):
        step = np.zeros(at.size)
        step[i] = 1e-5
        up, down = (logistic_record(x, y, w, at + s * step.reshape(at.shape), False) for s in (1, -1))
        assert here.gradient.ravel()[i] == pytest.approx((up.loss - down.loss) / 2e-5, rel=1e-6, abs=1e-6)
        np.testing.assert_allclose(
            here.curvature[i], (up.gradient - down.gradient).ravel() / 2e-5, rtol=1e-5, atol=1e-6
        )


def test_probabilities_never_overflow():
    ends = np.array([-1e4, 0.0, 1e4])
    assert sigmoid(ends).tolist() == [0.0, 0.5, 1.0]
    assert softmax(np.array([[1e4, -1e4]])).tolist() == [[1.0, 0.0]]
    model = LogisticRegression().fit(X, TWO)
    assert np.isfinite(model.predict_proba(X * 1e6)).all()
    assert model.predict_log_proba(X[:1]).shape == (1, 2)


def test_partial_fit_learns_pass_by_pass():
    model = LogisticRegression(learning_rate=0.5, random_state=0)
    for _ in range(20):
        for start in range(0, 500, 100):
            model.partial_fit(X[start : start + 100], THREE[start : start + 100], classes=["high", "low", "middle"])
    assert model.score(X, THREE) > LogisticRegression().fit(X, THREE).score(X, THREE) - 0.05
    with pytest.raises(UsageError, match=r"no classes.*partial_fit\(x, y, classes\)"):
        LogisticRegression().partial_fit(X, THREE)


# --- streams -----------------------------------------------------------------------------------------------------

NAMES = ["a", "b", "c", "d"]


def table(y=THREE, **more):
    return pl.DataFrame(X, schema=NAMES).with_columns(**{"y": y, **more})


@pytest.mark.parametrize(
    "y", [TWO, THREE, TWO == "yes", (TWO == "yes").astype(int)], ids=["texts", "three", "bools", "ints"]
)
@pytest.mark.parametrize("solver", ["auto", "lbfgs", "gradient_descent"])
def test_a_stream_is_fitted_as_arrays_are(y, solver, tmp_path):
    x = (X - X.mean(axis=0)) / X.std(axis=0)
    path = tmp_path / "table.parquet"
    pl.DataFrame(x, schema=NAMES).with_columns(y=y).write_parquet(path)
    streamed = LogisticRegression(solver=solver).fit(path, target="y")
    arrays = LogisticRegression(solver=solver).fit(x, y)
    np.testing.assert_allclose(all_of(streamed), all_of(arrays), rtol=1e-9, atol=1e-12)
    assert streamed.classes_.tolist() == arrays.classes_.tolist()
    assert streamed.classes_.dtype.kind == arrays.classes_.dtype.kind


def test_weights_of_a_stream():
    made = read(table(w=WEIGHT)).with_roles({"w": "weight"})
    streamed = LogisticRegression().fit(made, target="y")
    np.testing.assert_allclose(
        all_of(streamed), all_of(LogisticRegression().fit(X, THREE, WEIGHT)), rtol=1e-8, atol=1e-10
    )


def test_parts_of_a_stream():
    joint = LogisticRegression().fit(read(table()), target="y")
    loop = LogisticRegression().begin(NAMES, ["high", "low", "middle"])
    parts = [read(table()[:200]), read(table()[200:])]
    for _ in range(50):
        one, other = (loop.statistics(part, target="y") for part in parts)
        if loop.step(one + other):
            break
    np.testing.assert_allclose(all_of(loop), all_of(joint), rtol=1e-7, atol=1e-7)
    with pytest.raises(DataError, match="a part has the columns 'a', 'b', 'c'"):
        loop.statistics(read(table().drop("d")), target="y")


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (table(y=np.full(500, "same")), "only one class: 'same'"),
        (table(y=np.arange(500) + 0.5), None),
        (table(y=pl.Series([*THREE[:-1], None])), "column 'y' has no value in row 499"),
        (table(a=pl.Series([None, *X[1:, 0]])), "column 'a' has no value in row 0.*lepton.train"),
        (
            table(y=pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 1, 8, 19), "1m", eager=True)),
            "holds dates",
        ),
    ],
)
def test_bad_streams(frame, said):
    model = LogisticRegression(max_iter=3)
    if said is None:
        with pytest.warns(ConvergenceWarning):
            assert len(model.fit(read(frame), target="y").classes_) == 500
        return
    with pytest.raises(DataError, match=f"(?s){said}"):
        model.fit(read(frame), target="y")
    assert not hasattr(model, "classes_")


def test_one_class_and_bad_weights():
    with pytest.raises(DataError, match=r"only one class: 1.0. Wanted: two classes or more"):
        LogisticRegression().fit(X, np.ones(500))
    with pytest.raises(DataError, match="only one class"):
        LogisticRegression().fit(X, TWO, np.where(TWO == "no", 0.0, 1.0))
    with pytest.raises(ValueError, match="sample_weight is -1 in row 0"):
        LogisticRegression().fit(X, TWO, -np.ones(500))


def test_a_failed_fit_leaves_the_earlier_one():
    model = LogisticRegression().fit(X, TWO)
    before = model.predict_proba(X)
    with pytest.raises(DataError):
        model.fit(X, np.ones(500))
    with pytest.raises(DataError):
        model.fit(read(table(y=np.full(500, "same"))), target="y")
    assert np.array_equal(model.predict_proba(X), before)


def test_l1_needs_its_own_solver():
    with pytest.raises(UsageError, match="solver='sgd' with an L1 penalty"):
        LogisticRegression(solver="sgd", penalty="l1").fit(X, TWO)


def test_too_few_steps_are_said_so():
    with pytest.warns(ConvergenceWarning, match="not settled after 2 steps"):
        model = LogisticRegression(max_iter=2).fit(X, TWO)
    assert not model.converged_


def test_a_stopped_fit_keeps_what_it_has():
    event = threading.Event()
    event.set()
    model = LogisticRegression().fit(X, TWO, work=Work(cancel=event))
    assert model.n_iter_ == 0
    assert model.predict_proba(X[:1]).tolist() == [[0.5, 0.5]]


# --- summary -----------------------------------------------------------------------------------------------------


def test_standard_errors_are_those_of_the_information():
    model = LogisticRegression(penalty=None).fit(X, TWO)
    design = np.column_stack([np.ones(500), X])
    p = model.predict_proba(X)[:, 1]
    errors = np.sqrt(np.diag(np.linalg.inv((design * (p * (1 - p))[:, None]).T @ design)))
    rows = model.summary().rows
    assert [row[0] for row in rows] == ["(intercept)", "x0", "x1", "x2", "x3"]
    np.testing.assert_allclose([row[2] for row in rows], errors, rtol=1e-5)
    assert rows[1][5] < rows[1][1] < rows[1][6]
    assert "-" in str(LogisticRegression().fit(X, TWO).summary())
    with pytest.raises(UsageError, match="got a fit of 3 classes"):
        LogisticRegression().fit(X, THREE).summary()
