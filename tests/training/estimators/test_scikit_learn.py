"""scikit-learn's own checks of estimators: none fails, on the defaults and on every solver."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from lepton.core import UsageError
from lepton.training.estimators import KMeans, LinearRegression, LogisticRegression, Ridge

DEFAULTS = (LinearRegression(), Ridge(), LogisticRegression(), KMeans())
OTHERS = [
    *(kind(solver=s) for kind in (LinearRegression, Ridge) for s in ("moments", "qr", "gradient_descent", "sgd")),
    *(LinearRegression(penalty=p, alpha=0.01) for p in ("l1", "l2", "elasticnet")),
    *(LogisticRegression(solver=s) for s in ("newton", "lbfgs", "gradient_descent", "sgd")),
    # Without a penalty the few rows of the checks are separable, and there is no minimum to compare.
    *(LogisticRegression(penalty=p) for p in ("l1", "elasticnet")),
    KMeans(solver="minibatch"),
]


@pytest.mark.parametrize("estimator", [*DEFAULTS, *OTHERS], ids=repr)
def test_no_check_fails(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks fit odd data on purpose
        records = check_estimator(estimator, on_fail=None, on_skip=None)
    assert len(records) > 40
    assert [(r["check_name"], str(r["exception"])) for r in records if r["status"] == "failed"] == []


def test_they_work_in_a_pipeline_and_a_search():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    search = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [0.01, 1000.0]}, cv=3)
    assert search.fit(x, x @ [1.0, 2.0, 3.0]).best_params_ == {"ridge__alpha": 0.01}


@pytest.mark.parametrize("estimator", [*DEFAULTS, *OTHERS], ids=repr)
def test_they_are_cloned_pickled_and_shown(estimator):
    again = clone(estimator)
    assert again is not estimator
    assert again.get_params() == estimator.get_params()
    assert repr(eval(repr(estimator))) == repr(estimator)
    assert pickle.loads(pickle.dumps(estimator)).get_params() == estimator.get_params()


@pytest.mark.parametrize(
    ("estimator", "came"),
    [
        (Ridge(alpha=-1), r"Ridge got alpha=-1; wanted: a number of at least 0"),
        (LinearRegression(solver="magic"), "solver='magic'; wanted: one of 'auto', 'moments', 'qr'"),
        (LinearRegression().set_params(fit_intercept="yes"), "fit_intercept='yes'; wanted: one of True, False"),
        (LogisticRegression(C=0), "C=0; wanted: a number above 0"),
        (LogisticRegression().set_params(max_iter=2.5), "max_iter=2.5; wanted: a whole number of at least 1"),
        (KMeans(n_clusters=True), "n_clusters=True; wanted: a whole number of at least 1"),
        (KMeans(random_state=-1), "random_state=-1; wanted: a whole number of at least 0 or None"),
        (LinearRegression(l1_ratio=2), "l1_ratio=2; wanted: a number of at least 0 and at most 1"),
    ],
    ids=repr,
)
def test_parameters_are_checked_when_fitting(estimator, came):
    with pytest.raises(UsageError) as caught:
        estimator.fit([[0.0], [1.0]], [0, 1])
    said = str(caught.value)
    for part in came.split("; wanted: "):
        assert part in said
    assert not hasattr(estimator, "n_features_in_")


def test_an_unknown_parameter():
    with pytest.raises(UsageError, match=r"Ridge has no parameter 'aplha'.*alpha, fit_intercept"):
        Ridge().set_params(aplha=2)
