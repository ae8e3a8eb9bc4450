"""FGSM and PGD on losses whose gradients are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.core import SchemaError
from lepton.evaluation.robustness.gradients import attacked


def generator():
    return np.random.default_rng(0)


def away(batch, labels):
    """Of the loss (x - label)²."""
    return 2 * (batch - labels.reshape(-1, *[1] * (batch.ndim - 1)))


@given(st.sampled_from(["fgsm", "pgd"]), st.floats(0.0, 3.0), st.integers(0, 1_000))
def test_an_attack_stays_in_its_box_and_raises_the_loss(name, epsilon, seed):
    batch = np.random.default_rng(seed).uniform(0, 10, (5, 4))
    labels = np.full(5, 20.0)
    moved = attacked(name, batch, labels, away, epsilon, lower=0, upper=10, generator=generator())
    assert np.abs(moved - batch).max() <= epsilon + 1e-12
    assert moved.min() >= 0
    assert moved.max() <= 10
    assert (np.square(moved - 20).sum(axis=1) >= np.square(batch - 20).sum(axis=1) - 1e-9).all()


def test_the_worst_corner_is_found():
    batch = np.array([[1.0, 5.0]])
    found = attacked("fgsm", batch, np.array([3.0]), away, 0.5, generator=generator())
    assert found.tolist() == [[0.5, 5.5]]
    assert attacked("pgd", batch, np.array([3.0]), away, 0.5, generator=generator()) == pytest.approx(found)


def test_columns_have_boxes_of_their_own_and_gaps_stay():
    batch = np.array([[1.0, np.nan, 2.0]])
    found = attacked("fgsm", batch, np.array([0.0]), away, np.array([0.1, 0.2, 0.0]), generator=generator())
    assert found[0, 0] == pytest.approx(1.1)
    assert np.isnan(found[0, 1])
    assert found[0, 2] == 2.0


@pytest.mark.parametrize("given_", [lambda b, y: b[0], lambda b, y: b.astype(str), lambda b, y: None])
def test_gradients_of_another_shape_are_refused(given_):
    with pytest.raises(SchemaError, match="gradients gave"):
        attacked("fgsm", np.ones((2, 3)), np.zeros(2), given_, 0.1, generator=generator())
