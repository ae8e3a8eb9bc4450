"""Intervals of the greatest difference hold the truth about as often as they say, however many groups there are."""

from __future__ import annotations

import numpy as np
import pytest

from lepton.evaluation.fairness.rates import Family, Rates, difference_of, ratio_of, resampled_rates


def rates_of(rates: list[float], size: int, seed: int) -> Rates:
    group = np.repeat(np.arange(len(rates)), size)
    drawn = np.random.default_rng([3, seed]).random(len(group)) < np.array(rates)[group]
    family = Family("rate", drawn.astype(np.float64), np.ones(len(group), dtype=bool))
    return resampled_rates([family], group, len(rates), seed=seed)["rate"]


@pytest.mark.parametrize("rates", [[0.4] * 2, [0.4] * 6])
def test_the_true_difference_is_within_about_as_often_as_stated(rates):
    truth, held = np.ptp(rates), 0
    for seed in range(40):
        found = difference_of([rates_of(rates, 60, seed)])
        assert found.lower is not None
        assert found.upper is not None
        held += found.lower - 1e-12 <= truth <= found.upper
    assert held >= 33  # of 40; below that 95 % has a probability of 2 in 1,000


def test_a_ratio_is_the_other_way_round():
    found = ratio_of([rates_of([0.2, 0.4], 2_000, 0)])
    assert found.value == pytest.approx(0.5, abs=0.06)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < 0.5 < found.upper < 1


def test_of_two_families_the_greater_difference_counts():
    near, far = rates_of([0.4, 0.45], 500, 0), rates_of([0.2, 0.6], 500, 0)
    both = difference_of([near, far])
    assert both.value == difference_of([far]).value
    assert both.value is not None
    assert both.value > (difference_of([near]).value or 0)


def test_no_ratio_of_rates_of_0():
    nothing = rates_of([0.0, 0.0], 50, 0)
    assert ratio_of([nothing]).value is None
    assert difference_of([nothing]).value == 0
    assert (difference_of([nothing]).upper or 0) > 0.02  # none of 50 is not never
    half = ratio_of([rates_of([0.0, 0.5], 50, 0)])
    assert (half.value, half.lower) == (0.0, None)


def test_rows_of_no_group_do_not_count():
    values = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    family = Family("rate", values, np.ones(6, dtype=bool))
    found = resampled_rates([family], np.array([0, 0, 1, -1, -1, 1]), 2)["rate"]
    assert found.values.tolist() == [0.5, 0.5]


def test_weights_of_0_leave_nothing():
    family = Family("rate", np.ones(4), np.ones(4, dtype=bool), undefined="nobody")
    found = resampled_rates([family], np.array([0, 0, 1, 1]), 2, weight=np.array([1.0, 1.0, 0.0, 0.0]))["rate"]
    assert found.estimates[1].value is None
    assert difference_of([found]).value is None
