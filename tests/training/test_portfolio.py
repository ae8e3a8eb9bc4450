"""The portfolio under a clock: fewer folds, fits that are cut short, learners that give nonsense."""

import time

import numpy as np
import polars as pl
import pytest

from lepton.core import Interrupted, Registry, Resources, TrainingError, Work
from lepton.data.steps import Block
from lepton.evaluation import metric
from lepton.training import base
from lepton.training.base import Problem, Rows, TableLearner
from lepton.training.folds import make_folds
from lepton.training.portfolio import Portfolio
from lepton.training.tasks import Scale

NUM_ROWS = 40


class Fake(TableLearner):
    """Takes `seconds` for a fit and answers `answer`."""

    seconds = 0.0
    answer = 0.0
    keeps = False

    @classmethod
    def configurations(cls, problem):
        return ({"label": "first"}, {"label": "second"})

    def fit(self, rows, *, valid, work):
        self.seen = rows.block.num_rows
        self._cut = False
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            if work.stopped and self.keeps:
                self._cut = True
                break
            work.check()
            time.sleep(0.01)
        return self

    @property
    def cut_short(self):
        return self._cut

    def raw(self, block):
        return np.full((block.num_rows, 1), self.answer)

    def emit(self, builder, tensors):
        raise NotImplementedError


class Quick(Fake):
    name = "quick"


class Better(Fake):
    name = "better"
    answer = 1.0


class Slow(Fake):
    name = "slow"
    answer = 1.0
    seconds = 0.4


class Endless(Fake):
    name = "endless"
    answer = 1.0
    seconds = 60.0
    keeps = True


class Hopeless(Fake):
    name = "hopeless"
    seconds = 60.0


class Nonsense(Fake):
    name = "nonsense"
    answer = float("nan")


def portfolio(monkeypatch, learners, within=None, cpus=1):
    addresses = {learner.name: f"{__name__}:{learner.__name__}" for learner in learners}
    registry = Registry("fakes", addresses)
    monkeypatch.setattr(registry, "load", lambda name: next(each for each in learners if each.name == name))
    monkeypatch.setattr(base, "LEARNERS", registry)
    target = np.ones(NUM_ROWS)
    return Portfolio(
        problem=Problem("regression", 0, NUM_ROWS),
        rows=Rows(Block(np.zeros((NUM_ROWS, 1)), ("x",), pl.DataFrame()), target),
        folds=make_folds(NUM_ROWS, 4),
        metric=metric("rmse", "regression"),
        truth=target,
        scale=Scale(),
        groups=None,
        saving_seconds=0.0,
        measure=lambda learner: (0, 0.0),
        work=Work(within, resources=Resources(cpus=cpus)),
    )


def run(candidates):
    candidates.run()
    return candidates.choose()


@pytest.mark.parametrize("cpus", [1, 2, 3])
def test_the_best_is_fitted_on_all_rows(monkeypatch, cpus):
    candidates = portfolio(monkeypatch, [Quick, Better], cpus=cpus)
    chosen = run(candidates)
    assert (chosen.candidate.learner, chosen.candidate.configuration["label"]) == (Better, "first")
    assert chosen.learner.seen == NUM_ROWS
    assert sorted(chosen.scored.tolist()) == list(range(NUM_ROWS))
    assert chosen.notes == ()
    assert [row.learner for row in candidates.leaderboard_rows(chosen.candidate)] == ["better"] * 2 + ["quick"] * 2


def test_too_little_time_for_all_folds(monkeypatch):
    candidates = portfolio(monkeypatch, [Quick, Slow], within=1.4)
    chosen = run(candidates)
    assert chosen.candidate.learner is Slow
    assert 1 <= candidates.num_folds < 4
    assert "folds: candidates are compared on those rows" in chosen.notes[0]
    rows = candidates.leaderboard_rows(chosen.candidate)
    assert [row.note for row in rows if row.learner == "slow" and not row.chosen] == ["no time left"]
    assert len(chosen.answers) == len(chosen.scored) < NUM_ROWS


def test_a_fit_that_is_cut_short_is_kept_where_there_is_nothing_else(monkeypatch):
    chosen = run(portfolio(monkeypatch, [Quick, Endless], within=1.0))
    assert chosen.candidate.learner is Endless
    assert chosen.learner.seen < NUM_ROWS
    assert "the time ended the first fit of endless early" in chosen.notes
    assert any("part of the rows" in note for note in chosen.notes)


def test_a_learner_that_never_ends_is_given_up(monkeypatch):
    start = time.monotonic()
    candidates = portfolio(monkeypatch, [Quick, Hopeless], within=1.0)
    chosen = run(candidates)
    assert time.monotonic() - start < 2.0
    assert chosen.candidate.learner is Quick
    notes = {row.note for row in candidates.leaderboard_rows(chosen.candidate) if row.learner == "hopeless"}
    assert notes == {"not finished in the time", "no time left"}


def test_scores_that_are_not_finite_are_passed_over(monkeypatch):
    candidates = portfolio(monkeypatch, [Quick, Nonsense])
    chosen = run(candidates)
    assert chosen.candidate.learner is Quick
    rows = candidates.leaderboard_rows(chosen.candidate)
    assert {row.note for row in rows if row.learner == "nonsense"} == {"gave scores that are not finite"}


def test_when_nothing_can_be_fitted_the_reasons_are_told(monkeypatch):
    with pytest.raises(TrainingError, match="nonsense: gave scores that are not finite"):
        run(portfolio(monkeypatch, [Nonsense]))


def test_stopped_in_the_middle_the_best_so_far_is_given(monkeypatch):
    candidates = portfolio(monkeypatch, [Quick, Hopeless])

    def stop(record):
        if record.note.startswith("quick (second"):
            candidates.work.cancel.set()

    candidates.work.reporter = stop
    chosen = run(candidates)
    assert chosen.candidate.learner is Quick
    assert {c.note for c in candidates.candidates if c.learner is Hopeless} == {"stopped"}


def test_fakes_stop_when_told():
    work = Work()
    work.cancel.set()
    learner = Hopeless(Problem("regression", 0, 1), {"label": ""})
    with pytest.raises(Interrupted):
        learner.fit(Rows(Block(np.zeros((1, 1)), ("x",), pl.DataFrame()), np.ones(1)), valid=None, work=work)
