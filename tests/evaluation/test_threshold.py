"""The threshold by cost: the least cost indeed, told against the simple alternatives."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.core import UsageError
from lepton.evaluation.threshold import best_threshold, cost_matrix, decide

ONE_TO_FIVE = {"false_positive": 1.0, "false_negative": 5.0}


def cost_at(threshold: float, y: np.ndarray, probability: np.ndarray, matrix: np.ndarray, weight: np.ndarray) -> float:
    return float((weight * matrix[y, (probability >= threshold).astype(int)]).sum())


@given(data=st.data())
def test_no_threshold_costs_less(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 25))

    def drawn(values: Any) -> np.ndarray:
        return np.array(data.draw(st.lists(values, min_size=size, max_size=size)))

    y = drawn(st.integers(0, 1))
    probability = drawn(st.sampled_from([0.0, 0.1, 0.3, 0.3 + 1e-16, 0.5, math.nextafter(1, 0), 1.0]))
    weight = drawn(st.integers(0, 4)).astype(float)
    right, wrong = st.integers(-3, 2), st.integers(3, 9)
    matrix = np.array([[data.draw(right), data.draw(wrong)], [data.draw(wrong), data.draw(right)]], dtype=float)
    found = best_threshold(y, probability, matrix, weight)
    candidates = [0.0, *np.unique(probability).tolist(), math.nextafter(1, 2)]
    assert cost_at(found, y, probability, matrix, weight) == min(
        cost_at(each, y, probability, matrix, weight) for each in candidates
    )


def test_a_clear_case_is_cut_between_the_classes() -> None:
    y, probability = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.4, 0.9])
    assert best_threshold(y, probability, cost_matrix(ONE_TO_FIVE)) == pytest.approx(0.3)
    dear_alarm = cost_matrix({"false_positive": 1e9, "false_negative": 1})
    assert best_threshold(1 - y, probability, dear_alarm) > 0.9
    assert best_threshold(1 - y, probability, cost_matrix({"false_positive": 1, "false_negative": 1e9})) == 0.0


def test_exact_probabilities_give_the_threshold_of_theory() -> None:
    generator = np.random.default_rng(2)
    probability = generator.random(50_000)
    y = (generator.random(50_000) < probability).astype(int)
    found = decide(y, probability, ONE_TO_FIVE)
    assert found.calibrated_threshold == pytest.approx(1 / 6)
    assert found.threshold == pytest.approx(1 / 6, abs=0.04)
    assert found.cost.value is not None
    for name in ("at 0.5", "always positive", "never positive"):
        saving = found.savings[name]
        assert saving.lower is not None
        assert saving.lower > 0
        assert found.alternatives[name].value == pytest.approx(found.cost.value + (saving.value or 0))
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["costs"] == [[0, 1], [5, 0]]


def test_costs_are_names_or_a_matrix() -> None:
    assert cost_matrix([[0, 1], [5, 0]]).tolist() == cost_matrix(ONE_TO_FIVE).tolist() == [[0, 1], [5, 0]]
    gains = {"true_positive": -3, "false_positive": 1, "false_negative": 0}
    assert cost_matrix(gains).tolist() == [[0, 1], [0, -3]]


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ({"false_alarm": 1}, "'false_alarm'.*false_positive"),
        ({"false_positive": "dear"}, "'dear'"),
        ({"false_positive": math.nan, "false_negative": 1}, "nan"),
        ([[0, 1, 2], [1, 0, 2]], "matrix"),
        ([[0, 1], [1]], "matrix"),
        ({"false_positive": 1}, "costs no more than the right answer"),
        ({"false_positive": -1, "false_negative": 1}, "costs no more than the right answer"),
        ({}, "costs no more than the right answer"),
    ],
)
def test_costs_that_cannot_be_meant_are_refused(costs: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cost_matrix(costs)
