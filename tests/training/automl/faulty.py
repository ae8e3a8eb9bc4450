"""Learners that go wrong in every way that a trial can: imported by the workers of the tests."""

import os
import time

import numpy as np

from lepton.training.base import TableLearner
from lepton.training.learners.baseline import Baseline
from lepton.training.spaces import Real


class Good(Baseline):
    """The mean, moved by a setting: the best is 0."""

    name = "good"
    searched_only = True

    @classmethod
    def configurations(cls, problem):
        return ({"label": "start", "shift": 0.5},)

    @classmethod
    def space(cls, problem):
        return {"shift": Real(-1.0, 1.0, 0.0)}

    def raw(self, block):
        return super().raw(block) + self.configuration["shift"]


class Faulty(TableLearner):
    """Does nothing well; each subclass in its own way."""

    searched_only = True

    @classmethod
    def configurations(cls, problem):
        return ({"label": "only"},)

    def raw(self, block):
        return np.zeros((block.num_rows, self.problem.num_scores))

    def emit(self, builder, tensors):
        raise NotImplementedError

    def fit(self, rows, *, valid, work):
        return self


class Crashes(Faulty):
    name = "crashes"

    def fit(self, rows, *, valid, work):
        os._exit(7)


class Raises(Faulty):
    name = "raises"

    def fit(self, rows, *, valid, work):
        raise ZeroDivisionError("what a pity")


class Hangs(Faulty):
    name = "hangs"

    def fit(self, rows, *, valid, work):
        time.sleep(1000)


class Hoards(Faulty):
    name = "hoards"

    def fit(self, rows, *, valid, work):
        hoard = []
        while True:
            hoard.append(np.ones(2_000_000))


class NotANumber(Faulty):
    name = "not-a-number"

    def raw(self, block):
        return np.full((block.num_rows, self.problem.num_scores), np.nan)
