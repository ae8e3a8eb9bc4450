"""Choosing among models of texts is honest: equal texts stay on one side, and parts count what they are worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

from lepton.evaluation import metric
from lepton.training.base import Problem
from lepton.training.deep.text_choice import held_out, judged, mixed


@given(st.lists(st.integers(0, 8), min_size=2, max_size=60), st.integers(0, 5))
def test_equal_texts_stay_on_one_side(texts: list[int], seed: int) -> None:
    assume(len(set(texts)) > 1)  # one text alone has to stand on both sides
    same = np.array([texts.index(text) for text in texts])
    classes = np.array(texts) % 3
    held = held_out(same, classes, seed)
    for first in np.unique(same):
        assert len(set(held[same == first].tolist())) == 1
    if len(set(texts)) > 1:
        assert held.any()
        assert not held.all()


def test_each_class_keeps_a_text_to_learn_from() -> None:
    classes = np.array([0] * 300 + [1, 1, 2])
    held = held_out(np.arange(303), classes, 0)
    assert set(classes[~held]) == {0, 1, 2}
    assert 30 <= held.sum() <= 60


def test_a_part_that_says_nothing_counts_little() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 500)
    good = 3.0 * np.eye(3)[truth] + random.normal(0, 1, (500, 3))
    bad = random.normal(0, 1, (500, 3))
    first, second, added = mixed(Problem("multiclass", 3, 500), (good, bad), truth)
    assert first > 5 * second
    assert added == 0
    assert mixed(Problem("multiclass", 3, 500), (None, good), truth)[0] == 0


@pytest.mark.parametrize("task", ["binary", "multilabel", "regression"])
def test_scores_of_each_task_are_scaled_and_moved(task: str) -> None:
    random = np.random.default_rng(1)
    truth = random.integers(0, 2, (400, 1))
    part = truth * 2.0 + random.normal(0, 1, (400, 1))
    problem = Problem(task, 2 if task == "binary" else 1, 400)
    first, _, added = mixed(problem, (part, None), truth[:, 0] if task == "binary" else truth)
    raw = first * part + added
    assert first > 0.2
    assert added < 0.3
    if task == "binary":
        score = judged(problem, metric("accuracy", task), truth[:, 0], raw, 0).value
        assert score is not None
        assert score > 0.75


def test_rows_count_by_their_weight() -> None:
    truth = np.array([0, 1] * 50)
    problem = Problem(task="binary", num_classes=2, num_rows=100)
    part = np.zeros((100, 1))
    weight = np.where(truth == 1, 3.0, 1.0)
    assert abs(mixed(problem, (part, None), truth)[2]) < 0.01
    assert abs(mixed(problem, (part, None), truth, weight)[2] - np.log(3)) < 0.1
    nothing = mixed(problem, (part, None), truth, np.zeros(100))  # those held out may all count nothing
    assert abs(nothing[2]) < 0.01
