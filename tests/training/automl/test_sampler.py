"""What a sampler proposes: inside the space, the same for the same seed, near what was good."""

import sys

import numpy as np
import pytest

from lepton.core import MissingExtraError
from lepton.training.automl.sampler import Sampler
from lepton.training.spaces import Choice, Dimension, Real, Whole

SPACE: dict[str, Dimension] = {
    "rate": Real(0.01, 1.0, 0.1, log=True),
    "leaves": Whole(2, 64, 31, log=True),
    "kind": Choice((True, False), True),
}


def proposals(seed, num_points=30):
    sampler = Sampler(SPACE, seed)
    sampler.start({"label": "defaults", "leaves": 16}, 1.0)
    points = []
    for _ in range(num_points):
        number, point = sampler.ask()
        sampler.tell(number, abs(np.log(point["rate"] / 0.3)))
        points.append(point)
    return points


def test_points_are_in_the_space_and_repeatable():
    points = proposals(seed=3)
    assert points == proposals(seed=3)
    assert points != proposals(seed=4)
    for point in points:
        assert 0.01 <= point["rate"] <= 1.0
        assert point["leaves"] in range(2, 65)
        assert point["kind"] in (True, False)


def test_it_learns_where_losses_are_small():
    points = proposals(seed=0, num_points=60)
    distance = [abs(np.log(point["rate"] / 0.3)) for point in points]
    assert np.median(distance[-20:]) < 0.5 * np.median(distance[:8])


def test_failures_and_trials_given_up_are_taken():
    sampler = Sampler(SPACE, 0)
    for loss, folds in ((None, None), (2.0, 1), (1.0, None)):
        number, _ = sampler.ask()
        sampler.tell(number, loss, folds)
    assert sampler.ask()[0] == 3


def test_a_start_outside_of_the_space_is_left_out():
    sampler = Sampler(SPACE, 0)
    sampler.start({"leaves": 1000}, 0.0)
    assert sampler.ask()[0] == 0
    sampler.start({"kind": "neither"}, 0.0)
    assert sampler.ask()[0] == 1
    sampler.start({"leaves": 4}, 0.0)
    assert sampler.ask()[0] == 3


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match="train"):
        Sampler(SPACE, 0)
