"""Ridge regression in closed form does what fitting without each row does."""

from __future__ import annotations

import numpy as np
import pytest

from lepton.data.recipes.ridge import centre_and_scale, fit_ridge

RNG = np.random.default_rng(0)


def test_errors_on_left_out_rows_are_those_of_fitting_without_them():
    features = RNG.normal(size=(30, 4))
    answers = features @ RNG.normal(size=(4, 2)) + 0.5 * RNG.normal(size=(30, 2))
    ridge = fit_ridge(features, answers)
    assert ridge.weights.any()
    # The strength that was chosen, read off the weights of the whole.
    inner, centred = features - features.mean(axis=0), answers - answers.mean(axis=0)
    strengths = [1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]
    fits = [np.linalg.solve(inner.T @ inner + s * 30 * np.eye(4), inner.T @ centred) for s in strengths]
    strength = strengths[int(np.argmin([np.abs(fit - ridge.weights).max() for fit in fits]))]
    for row in (0, 7, 29):
        rest = np.arange(30) != row
        centre, mean = features[rest].mean(axis=0), answers[rest].mean(axis=0)
        inner, centred = features[rest] - centre, answers[rest] - mean
        weights = np.linalg.solve(inner.T @ inner + strength * 30 * np.eye(4), inner.T @ centred)
        np.testing.assert_allclose(ridge.left_out[row], mean + (features[row] - centre) @ weights, rtol=1e-8)


def test_a_linear_rule_is_found_and_noise_gives_the_mean():
    features = RNG.normal(size=(500, 3))
    ridge = fit_ridge(features, (features @ [[1.0], [-2.0], [0.0]]) + 7)
    np.testing.assert_allclose(ridge.weights[:, 0], [1, -2, 0], atol=1e-4)
    np.testing.assert_allclose(ridge.intercepts, 7, atol=1e-4)
    noise = np.array([[1.0], [1.0], [1.0], [1.0]])
    same = fit_ridge(np.array([[1.0], [2.0], [3.0], [9.0]]), noise)
    assert not same.weights.any()
    assert same.left_out.tolist() == noise.tolist()


def test_a_few_rows_and_many_features_do_not_run_away():
    features, answers = RNG.normal(size=(3, 20)), RNG.normal(size=(3, 1))
    ridge = fit_ridge(features, answers)
    assert np.isfinite(ridge.weights).all()
    assert np.abs(ridge.weights).sum() < 10


@pytest.mark.parametrize(("values", "expected"), [([1e200, 3e200], (2e200, 1e200)), ([0, 0], (0, 0)), ([5], (5, 0))])
def test_means_of_large_numbers_do_not_overflow(values, expected):
    assert centre_and_scale(np.array(values, dtype=float)) == pytest.approx(expected)
