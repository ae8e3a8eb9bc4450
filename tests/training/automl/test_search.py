"""Who gets the next trial, and which trials are given up."""

from functools import partial

import numpy as np
import pytest

from lepton.core import Registry, Resources, Work
from lepton.training import SearchOptions, automl, base, train
from lepton.training.automl import run as run_module
from lepton.training.automl.finish import Picker
from lepton.training.automl.search import _GIVEN_UP, _WINDOW, Family
from lepton.training.base import LEARNERS
from lepton.training.learners.linear import Linear
from lepton.training.portfolio import Candidate
from tests.training.automl import faulty
from tests.training.automl.conftest import make_table
from tests.training.automl.engines import PlainEngine
from tests.training.automl.test_closer import built, linear_table


@pytest.fixture
def board(monkeypatch, tmp_path):
    """Gives `board(num_rows, num_trials)`: what a search among a linear model and shifted means has tried."""
    known = {name: LEARNERS.address(name) for name in ("baseline", "linear")}
    monkeypatch.setattr(base, "LEARNERS", Registry("two", {**known, "good": f"{faulty.__name__}:Good"}))
    monkeypatch.setattr(run_module, "OPENERS", ("baseline",))
    monkeypatch.setattr(run_module, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr("lepton.training.tables.run_search", partial(automl.run_search, engine=PlainEngine(1)))

    def tried(num_rows, num_trials):
        work = Work(resources=Resources(cpus=1), seed=0)
        options = SearchOptions(max_trials=num_trials)
        path = tmp_path / f"{num_rows}.lepton"
        table = make_table(num_rows)
        return train(table, target="price", effort="best", work=work, search=options, output=path).leaderboard

    return tried


def test_a_learner_that_is_far_behind_costs_a_few_folds_of_a_large_table(board):
    notes = [row.note for row in board(6_000, 16) if row.learner == "good"]
    assert set(notes) == {"given up after 1 of 5 folds"}
    assert _GIVEN_UP <= len(notes) < _GIVEN_UP + _WINDOW  # some have begun when the third is given up


def test_on_a_small_table_it_is_scored(board):
    rows = [row for row in board(240, 8) if row.learner == "good"]
    assert any(row.metric is not None for row in rows)


def test_every_learner_has_a_trial_before_any_has_two(board):
    assert {row.learner for row in board(240, 2)} == {"baseline", "linear", "good"}


def test_the_worst_of_the_best_is_the_bar():
    family = Family(Linear, [], None)
    for loss in range(12):
        family.losses.append(float(loss))
        family.fold_losses.append((loss + 0.5, float(loss)))
    assert family.bars(5_000) == (9.5, 9.0)
    assert family.bars(5_001) == (2.5, 2.0)
    assert Family(Linear, [], None, losses=[1.0] * 3, fold_losses=[(1.0,)] * 3).bars(5_000) == ()


def test_several_models_are_chosen_only_where_there_is_time_to_fit_them(portfolio):
    (linear,) = [each for each in portfolio.candidates if each.learner is Linear]
    noise = [np.random.default_rng(0).normal(0.0, 0.3, raw.shape) for raw in linear.raw]
    for sign in (-1.0, 1.0):
        raw = [scores + sign * each for scores, each in zip(linear.raw, noise, strict=True)]
        portfolio.candidates.append(
            Candidate(Linear, {"label": f"with noise {sign}"}, raw=raw, estimate=linear.estimate)
        )
    linear.refused = True  # what is left are two models whose errors cancel
    mix, together = Picker(portfolio, 3).pick()
    assert len(mix.candidates) == 2
    mix, alone = Picker(portfolio, 3, lambda candidates: len(candidates) == 1).pick()
    assert len(mix.candidates) == 1
    assert together.value is not None
    assert alone.value is not None
    assert together.value < alone.value


@pytest.fixture
def portfolio(tmp_path):
    """A portfolio whose baseline and linear model are fitted."""
    return built(tmp_path, linear_table())[0]
