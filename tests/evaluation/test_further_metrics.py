"""Metrics of quantiles, rankings and several labels: those of scikit-learn, and what weights and ties mean."""

import numpy as np
import polars as pl
import pytest

from lepton.core import SchemaError
from lepton.evaluation import METRICS, Estimate
from lepton.evaluation.answers import Answers
from lepton.evaluation.coverage import Coverage, coverage_of

SHARES = (0.1, 0.5, 0.9)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_pinball_is_that_of_scikit_learn(rng):
    sklearn = pytest.importorskip("sklearn.metrics")
    y, given, weight = rng.normal(size=50), np.sort(rng.normal(size=(50, 3)), axis=1), rng.random(50)
    wanted = [
        sklearn.mean_pinball_loss(y, given[:, place], alpha=share, sample_weight=weight)
        for place, share in enumerate(SHARES)
    ]
    assert METRICS["pinball"](y, given, weight, SHARES) == pytest.approx(np.mean(wanted), rel=1e-12)


@pytest.mark.parametrize(("name", "most"), [("ndcg_5", 5), ("ndcg_10", 10), ("ndcg", None)])
def test_ndcg_is_that_of_scikit_learn(rng, name, most):
    sklearn = pytest.importorskip("sklearn.metrics")
    grades, scores = rng.integers(0, 5, (20, 12)), rng.integers(0, 8, (20, 12)) / 2.0  # with ties
    grades[:, 0] = 1
    wanted = sklearn.ndcg_score(2.0**grades - 1.0, scores, k=most)
    query = np.repeat(np.arange(20), 12)
    order = rng.permutation(240)
    given = METRICS[name](grades.ravel()[order], scores.ravel()[order], None, query[order].tolist())
    assert given == pytest.approx(wanted, rel=1e-12)


def test_queries_weigh_alike_and_those_without_a_relevant_row_not_at_all():
    grades = np.array([1, 0, 0, 0, 0, 1, 0, 0])
    scores = np.array([2.0, 1.0, 2.0, 1.0, 5.0, 4.0, 3.0, 2.0])
    query = [7, 7, 8, 8, 9, 9, 9, 9]
    second = 1.0 / np.log2(3.0)
    ndcg = METRICS["ndcg"]
    assert ndcg(grades, scores, None, query) == pytest.approx((1.0 + second) / 2.0)
    weight = np.array([3.0, 3.0, 9.0, 9.0, 1.0, 1.0, 1.0, 1.0])
    assert ndcg(grades, scores, weight, query) == pytest.approx((3.0 + second) / 4.0)
    assert np.isnan(ndcg(np.zeros(8), scores, None, query))
    assert np.isnan(ndcg(grades, np.where(scores == 5.0, np.nan, scores), None, query))


def test_labels_are_those_of_scikit_learn(rng):
    sklearn = pytest.importorskip("sklearn.metrics")
    truth, given = rng.integers(0, 2, (2, 60, 4))
    chance, weight, labels = rng.random((60, 4)), rng.random(60), range(4)
    for name, average in (("f1_micro", "micro"), ("f1_macro", "macro")):
        wanted = sklearn.f1_score(truth, given, average=average, sample_weight=weight)
        assert METRICS[name](truth, given, weight, labels) == pytest.approx(wanted, rel=1e-12)
    wanted = sklearn.accuracy_score(truth, given, sample_weight=weight)
    assert METRICS["accuracy"](truth, given, weight, labels) == pytest.approx(wanted, rel=1e-12)
    each = [sklearn.log_loss(truth[:, i], chance[:, i], sample_weight=weight) for i in labels]
    assert METRICS["log_loss"](truth, chance, weight, labels) == pytest.approx(np.mean(each), rel=1e-12)


def test_answers_of_another_shape():
    with pytest.raises(SchemaError):
        METRICS["pinball"](np.zeros(3), np.zeros((3, 2)), None, SHARES)
    with pytest.raises(SchemaError):
        METRICS["ndcg"](np.zeros(3), np.zeros(3), None, [1, 2])
    with pytest.raises(SchemaError):
        METRICS["f1_micro"](np.zeros((3, 2)), np.zeros((3, 2)), None, range(3))


def answers(beside, y):
    return Answers("regression", "y", (), y, y, None, np.array([1.0, 1.0, 2.0, 0.0]), None, pl.DataFrame(), beside)


def test_coverage_counts_weights_and_ends():
    y = np.array([0.0, 1.0, 2.0, 9.0])
    lower, upper = np.array([0.0, 0.0, 3.0, 9.0]), np.array([1.0, 1.0, 4.0, 10.0])
    found = coverage_of(answers({"lower": lower, "upper": upper}, y), 0.9)
    assert found is not None
    assert found.found.value == pytest.approx(0.5)  # the third row, which counts twice, lies below its interval
    assert found.size.value == pytest.approx(1.0)
    assert coverage_of(answers({}, y), 0.9) is None


def test_short_is_beyond_chance():
    size = Estimate(1.0, 1.0, 1.0)
    assert Coverage(0.9, Estimate(0.8, 0.7, 0.89), size, "set").short
    assert not Coverage(0.9, Estimate(0.8, 0.7, 0.91), size, "set").short
    assert not Coverage(0.9, Estimate(0.8, 0.7, 0.89), size, "set", rows_behind=50).short
    assert not Coverage(None, Estimate(0.1, 0.0, 0.2), size, "set").short
