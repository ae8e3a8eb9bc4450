"""Probabilities that are true are not doubted, and those that are not are; the interval holds the error."""

from typing import Any

import numpy as np
import pytest

from lepton.evaluation.curves import calibration
from lepton.training.honesty import calibration_doubt, calibration_of


def sample(seed, num_rows=3_000, stretch=1.0):
    """Probabilities of two classes; log-odds are stretched beyond the truth."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 1.5, num_rows)
    classes = (rng.random(num_rows) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    given = 1 / (1 + np.exp(-stretch * odds))
    return np.stack([1 - given, given], axis=1), classes


def reliability(answers, classes, labels=("no", "yes"), **options) -> dict[str, Any]:
    """What is found, which is something here."""
    found = calibration_of(answers, classes, labels, **options)
    assert found is not None
    return found


def test_true_probabilities_are_not_doubted():
    found = [reliability(*sample(seed), seed=seed) for seed in range(20)]
    assert sum(bool(calibration_doubt(each)) for each in found) == 0
    above = sum(each["expected_calibration_error"] > each["by_chance"] for each in found)
    assert above <= 2  # one of a hundred is expected


def test_stretched_probabilities_are_doubted():
    found = reliability(*sample(0, stretch=2.5))
    assert found["lower"] > found["by_chance"]
    (doubt,) = calibration_doubt(found)
    assert doubt.what == "calibration"
    assert "the probability of yes" in doubt.evidence


def test_the_interval_holds_the_error_of_many_rows():
    answers, classes = sample(99, num_rows=200_000, stretch=2.0)
    truth = calibration(answers[:, 1], classes == 1, None, "yes").error
    held = 0
    for seed in range(40):
        found = reliability(*sample(seed, num_rows=1_500, stretch=2.0), seed=seed)
        held += found["lower"] <= truth <= found["upper"]
    assert held >= 34


def test_of_many_classes_the_label_that_is_called():
    rng = np.random.default_rng(0)
    answers = rng.dirichlet([1, 1, 1], 2_000)
    classes = np.array([rng.choice(3, p=row) for row in answers])
    weight = rng.random(2_000)
    found = reliability(answers, classes, "abc", weight=weight, groups=np.arange(2_000) // 4)
    assert found["of"] == "the probability of the label that is called"
    assert not calibration_doubt(found)
    assert len(found["bins"]) == 10


@pytest.mark.parametrize("constant", [0.0, 0.3, 1.0])
def test_one_probability_for_all(constant):
    answers = np.tile([1 - constant, constant], (100, 1))
    found = reliability(answers, np.zeros(100, dtype=np.int64))
    assert found["expected_calibration_error"] == pytest.approx(constant)
    assert found["lower"] <= constant <= found["upper"]


def test_few_rows_say_nothing():
    assert calibration_of(np.full((20, 2), 0.5), np.zeros(20, dtype=np.int64), ("a", "b")) is None
    assert calibration_doubt(None) == []
