"""Curves and calibration against scikit-learn and against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from lepton.evaluation.curves import MAX_POINTS, calibration, ranking_curves


def test_the_curves_equal_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    positive = generator.random(150) < 0.4
    probability = np.round(generator.random(150), 2)
    weight = generator.integers(1, 5, 150).astype(float)
    found = ranking_curves(positive, probability, weight)
    assert found is not None
    false, true, threshold = roc_curve(positive, probability, sample_weight=weight, drop_intermediate=False)
    assert found.threshold == pytest.approx(threshold[1:])
    assert found.false_positive_rate == pytest.approx(false[1:])
    assert found.true_positive_rate == pytest.approx(true[1:])
    precision, _, cuts = precision_recall_curve(positive, probability, sample_weight=weight)
    assert dict(zip(found.threshold, found.precision, strict=True)) == pytest.approx(
        dict(zip(cuts, precision[:-1], strict=True))
    )


def test_many_thresholds_are_thinned_with_both_ends_kept() -> None:
    probability = np.linspace(1, 0, 5_000)
    found = ranking_curves(np.arange(5_000) % 2 == 0, probability, None)
    assert found is not None
    assert len(found.threshold) <= MAX_POINTS
    assert (found.threshold[0], found.threshold[-1]) == (1.0, 0.0)
    assert (found.true_positive_rate[-1], found.false_positive_rate[-1]) == (1.0, 1.0)


def test_there_is_no_curve_of_one_class() -> None:
    level = np.full(3, 0.5)
    assert ranking_curves(np.ones(3, dtype=bool), level, None) is None
    assert ranking_curves(np.zeros(3, dtype=bool), level, None) is None
    assert ranking_curves(np.array([True, False, False]), level, np.array([0.0, 1.0, 1.0])) is None


def test_rows_without_weight_make_no_point() -> None:
    found = ranking_curves(np.array([True, True, False]), np.array([0.9, 0.8, 0.1]), np.array([0.0, 1.0, 1.0]))
    assert found is not None
    assert found.threshold == (0.8, 0.1)
    assert found.precision == (1.0, 0.5)


def test_exact_probabilities_are_calibrated_and_bold_ones_are_not() -> None:
    generator = np.random.default_rng(1)
    probability = generator.random(20_000)
    came_true = generator.random(20_000) < probability
    exact = calibration(probability, came_true, None, "p")
    bold = calibration(np.where(probability > 0.5, 0.95, 0.05), came_true, None, "p")
    assert exact.error < 0.02
    assert len(exact.bins) == 10
    assert sum(each.num_rows for each in exact.bins) == 20_000
    assert bold.error == pytest.approx(0.2, abs=0.01)
    assert len(bold.bins) == 2


def test_the_calibration_error_is_the_weighted_mean_distance() -> None:
    probability = np.array([0.2, 0.2, 0.9, 0.9])
    came_true = np.array([True, False, True, True])
    found = calibration(probability, came_true, None, "p")
    assert [(b.predicted, b.observed, b.num_rows) for b in found.bins] == [(0.2, 0.5, 2), (pytest.approx(0.9), 1.0, 2)]
    assert found.error == pytest.approx((0.3 + 0.1) / 2)
    weighted = calibration(probability, came_true, np.array([0.0, 1.0, 3.0, 0.0]), "p")
    assert weighted.error == pytest.approx((0.2 * 1 + 0.1 * 3) / 4)
    assert found.to_dict()["bins"][0]["observed"] == 0.5
