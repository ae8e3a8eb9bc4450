"""Greedy selection: the mean is never worse than the best model, and bounds are kept."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from lepton.training.automl.greedy import greedy_weights


def loss_to(target):
    return lambda raw: float(np.mean((raw[:, 0] - target) ** 2))


def test_errors_that_cancel_are_averaged():
    target = np.linspace(0.0, 1.0, 50)
    raw = [(target + 1.0)[:, None], (target - 1.0)[:, None], (target + 5.0)[:, None]]
    assert greedy_weights(raw, loss_to(target), max_members=3).tolist() == [0.5, 0.5, 0.0]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), num_models=st.integers(1, 6), max_members=st.integers(1, 4))
def test_the_mean_is_not_worse_than_the_best(seed, num_models, max_members):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=40)
    raw = [(target + rng.normal(size=40) * rng.uniform(0.1, 2))[:, None] for _ in range(num_models)]
    loss = loss_to(target)
    weights = greedy_weights(raw, loss, max_members=max_members)
    assert weights.sum() == pytest.approx(1.0)
    assert 1 <= np.count_nonzero(weights) <= max_members
    mean = sum(w * r for w, r in zip(weights, raw, strict=True))
    assert loss(mean) <= min(map(loss, raw)) + 1e-12


def test_models_that_may_not_stand_together_do_not():
    target = np.linspace(0.0, 1.0, 50)
    raw = [(target + 1.0)[:, None], (target - 1.0)[:, None]]
    weights = greedy_weights(raw, loss_to(target), max_members=2, allowed=lambda members: len(members) == 1)
    assert sorted(weights.tolist()) == [0.0, 1.0]


def test_a_model_without_a_loss_is_not_taken():
    target = np.zeros(5)
    raw = [np.full((5, 1), np.nan), np.ones((5, 1))]
    assert greedy_weights(raw, loss_to(target), max_members=2).tolist() == [0.0, 1.0]


def test_a_model_that_is_worth_little_is_left_out():
    target = np.linspace(0.0, 1.0, 50)
    raw = [(target + 1.0 + 0.3 * np.sin(np.arange(50) + shift))[:, None] for shift in (0.0, 2.0, 4.0)]
    assert np.count_nonzero(greedy_weights(raw, loss_to(target), max_members=3)) > 1
    assert np.count_nonzero(greedy_weights(raw, loss_to(target), max_members=3, least_gain=0.1)) == 1
