"""Answers come from learners that did not see the rows; planted wrong labels stand out."""

from __future__ import annotations

import numpy as np
import pytest

from lepton.core import DataError, Work
from lepton.data import read
from lepton.training import out_of_fold
from lepton.verbs import find_label_errors


def _table(num_rows=200, regression=False):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(num_rows, 2))
    wrong = generator.choice(num_rows, 10, replace=False)
    if regression:
        y = 3 * x[:, 0] + x[:, 1]
        y[wrong] += 100
        return {"a": x[:, 0], "b": x[:, 1], "y": y}, wrong
    labels = x[:, 0] > 0
    labels[wrong] = ~labels[wrong]
    return {"a": x[:, 0], "b": x[:, 1], "y": np.where(labels, "yes", "no")}, wrong


def test_answers_stand_by_the_rows_that_have_a_target():
    columns, _ = _table()
    targets = [None, *columns["y"][1:].tolist()]
    found = out_of_fold(read({**columns, "y": targets}), target="y", learner="linear", work=Work(seed=1))
    assert found.rows.tolist() == list(range(1, 200))
    assert found.labels == ("no", "yes")
    assert found.answers.shape == (199, 2)
    assert found.answers.sum(axis=1) == pytest.approx(np.ones(199))


def test_rows_have_no_say_in_their_own_answers():
    labels = ["a", "b"] * 30
    found = out_of_fold(read({"x": [i % 7 for i in range(60)], "y": labels}), target="y", learner="baseline")
    assert np.ptp(found.answers[:, 0]) < 0.05


@pytest.mark.parametrize("regression", [False, True])
def test_planted_errors_are_found(regression):
    columns, wrong = _table(regression=regression)
    found = find_label_errors(read(columns), target="y", learner="linear")
    assert len({*found.rows} & {*wrong.tolist()}) >= 9
    assert len(found) <= 14
    assert found.given[0] == columns["y"][found.rows[0]]


def test_unknown_targets_are_named():
    with pytest.raises(DataError, match="'gone'"):
        find_label_errors({"a": [1, 2, 3]}, target="gone")
