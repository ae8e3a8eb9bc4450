"""Wrong labels are found by hand-made probabilities, by alike rows and by residuals."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError, UsageError
from lepton.data import read
from lepton.data.quality.labels import confident_joint, conflicting_labels, suspect_labels, suspect_numbers

METHODS: tuple[Literal["confident", "noise rate", "class", "both"], ...] = ("confident", "noise rate", "class", "both")


def _planted(seed=0, num_rows=600, num_classes=3, share=0.05):
    """Labels of which some are wrong, and probabilities of a good model."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, num_classes, num_rows)
    scores = generator.normal(size=(num_rows, num_classes))
    scores[np.arange(num_rows), truth] += 4
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    wrong = generator.random(num_rows) < share
    labels = np.where(wrong, (truth + 1) % num_classes, truth)
    return labels, probabilities, wrong, truth


def test_the_joint_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.1, 0.9], [0.1, 0.9]])
    confident, joint = confident_joint(labels, probabilities)
    # Thresholds are 0.6 and 0.8667.
    assert confident.tolist() == [0, 0, 1, -1, 1, 1]
    assert joint == pytest.approx(np.array([[2.0, 1.0], [0.0, 3.0]]))
    for method in METHODS:
        found = suspect_labels(labels, probabilities, names=["no", "yes"], method=method)
        assert (found.rows, found.given, found.suggested) == ((2,), ("no",), ("yes",))
        assert found.scores == pytest.approx((0.8,))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("order", ["margin", "confidence"])
def test_planted_errors_are_found(method, order):
    labels, probabilities, wrong, truth = _planted()
    found = suspect_labels(labels, probabilities, method=method, order=order)
    rows = np.array(found.rows)
    assert wrong[rows].mean() >= 0.8
    assert wrong[rows].sum() >= 0.75 * wrong.sum()
    assert (np.array(found.suggested)[wrong[rows]] == truth[rows][wrong[rows]]).mean() > 0.9
    assert list(found.scores) == sorted(found.scores, reverse=True)
    assert found.frame().columns == ["row", "given", "suggested", "score"]


@given(st.integers(0, 50), st.integers(2, 5))
def test_the_joint_keeps_the_number_of_each_given_class(seed, num_classes):
    labels, probabilities, _, _ = _planted(seed, 80, num_classes, 0.3)
    _, joint = confident_joint(labels, probabilities)
    assert joint.sum(axis=1) == pytest.approx(np.bincount(labels, minlength=num_classes))


@pytest.mark.parametrize("method", METHODS)
def test_labels_that_are_the_likeliest_are_no_errors(method):
    labels = np.array([0, 1, 2, 0])
    assert len(suspect_labels(labels, np.eye(3)[labels] * 0.6 + 0.1, method=method)) == 0


def test_a_class_that_nobody_has_is_no_trouble():
    found = suspect_labels(np.array([0, 1, 1]), np.array([[0.5, 0.3, 0.2], [0.1, 0.7, 0.2], [0.1, 0.2, 0.7]]))
    assert len(found) <= 1


@pytest.mark.parametrize(
    ("labels", "probabilities", "options"),
    [
        ([0, 1], [[0.5, 0.5]], {}),
        ([0, 2], [[0.5, 0.5]] * 2, {}),
        ([0, -1], [[0.5, 0.5]] * 2, {}),
        ([0], [[1.0]], {}),
        ([0], [[np.nan, 1.0]], {}),
        ([0], [[0.5, 0.5]], {"method": "guess"}),
        ([0], [[0.5, 0.5]], {"order": "guess"}),
    ],
)
def test_what_does_not_fit_is_refused(labels, probabilities, options):
    with pytest.raises(UsageError):
        suspect_labels(np.array(labels), np.array(probabilities), **options)


def test_alike_rows_with_other_labels():
    table = read(
        {"a": [1, 1, 1, 2, None, None], "b": ["x", "x", "x", "x", "y", "y"], "t": ["p", "q", "p", "q", "q", "p"]},
        kinds={"b": "category", "t": "category"},
    )
    found = conflicting_labels(table, "t")
    assert found.rows == (1, 5)
    assert found.given == ("q", "p")
    assert found.suggested == ("p", "q")
    assert found.scores == pytest.approx((2 / 3, 0.5))
    with pytest.raises(DataError, match="'gone'"):
        conflicting_labels(table, "gone")


def test_numbers_far_from_what_is_predicted():
    generator = np.random.default_rng(3)
    predicted = generator.normal(size=500)
    truth = predicted + generator.normal(scale=0.1, size=500)
    truth[[7, 70]] += [5, -3]
    found = suspect_numbers(truth, predicted)
    assert found.rows == (7, 70)
    assert len(suspect_numbers(truth, truth)) == 0
    assert len(suspect_numbers(np.array([]), np.array([]))) == 0
    with pytest.raises(UsageError):
        suspect_numbers(truth, predicted[:3])
