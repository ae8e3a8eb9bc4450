"""The last fits: what is said where there is none."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from lepton.core import ErrorCode, Resources, TrainingError, Work
from lepton.training.automl.finish import Mix, fit_mix
from lepton.training.learners.baseline import Baseline
from lepton.training.portfolio import Candidate


class Ended:
    """A fit that has ended, well or not, or never does."""

    def __init__(self, result=None, final=True):
        self.state, self._result, self.killed = SimpleNamespace(final=final), result, False

    def result(self):
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    def kill(self):
        self.killed = True


def fitted(handles, seconds=5.0, work=None):
    """What `fit_mix` gives where its fits end as `handles` do, and what it tells."""
    left = list(handles)
    told: list[str] = []
    mix = Mix(
        tuple(Candidate(Baseline, {"label": f"number {i}"}) for i in range(len(handles))),
        (1.0 / len(handles),) * len(handles),
    )
    engine: Any = SimpleNamespace(submit=lambda *args, **options: left.pop(0))
    setting: Any = SimpleNamespace(problem=None)
    return fit_mix(mix, setting, engine, Resources(cpus=1), seconds, work or Work(), told.append), told


def test_a_fit_that_fails_says_why():
    broken = TrainingError(ErrorCode.TRAINING_FAILED, "the child process ran out of memory")
    learner, told = fitted([Ended("fitted"), Ended(broken)])
    assert learner is None
    assert told == ["the last fit, on all rows, of baseline (number 1) failed: the child process ran out of memory"]


def test_a_fit_that_is_too_slow_is_named_and_killed():
    handles = [Ended("fitted"), Ended(final=False)]
    learner, told = fitted(handles, seconds=0.05)
    assert learner is None
    assert handles[1].killed
    assert told == ["the last fit, on all rows, of baseline (number 1) was not done in the 0.1 s left for it"]


@pytest.mark.parametrize("stopped", [True, False])
def test_what_was_stopped_or_not_begun_has_nothing_to_say(stopped):
    cancel = threading.Event()
    cancel.set()
    handles = [Ended(final=False)]
    learner, told = fitted(handles, 5.0 if stopped else 0.0, Work(cancel=cancel) if stopped else None)
    assert learner is None
    assert told == []
    assert handles[0].killed is stopped


def test_one_alone_is_given_as_it_is():
    assert fitted([Ended("fitted")]) == ("fitted", [])
