"""A search in one process: what it tries, when it ends, and what its score is of."""

import pytest

import lepton
from lepton.core import MissingExtraError, UsageError
from lepton.training.automl import EFFORTS, Effort, in_turn
from lepton.training.automl.finish import Picker
from lepton.training.automl.in_turn import _Family, _next
from lepton.training.automl.sampler import Sampler
from lepton.training.base import LEARNERS
from lepton.training.learners.linear import Linear
from lepton.training.spaces import Real
from tests.training.test_further import OPTIONS, rows_for, shortened


def train(tmp_path, **options):
    path = tmp_path / "m.lepton"
    asked = {"task": "quantile", **OPTIONS["quantile"], "effort": "good", **options}
    return lepton.train(rows_for("quantile").head(150), **asked, output=path)


@pytest.fixture
def patient(monkeypatch):
    """A search that ends after so many trials without a better one; trials are short."""
    shortened(monkeypatch)
    learner = LEARNERS.load("boosting")
    configured = learner.configured
    monkeypatch.setattr(learner, "configured", lambda *args: {**configured(*args), "max_rounds": 10})

    def set_patience(trials):
        monkeypatch.setitem(EFFORTS, "good", Effort(6, trials))

    return set_patience


def test_it_goes_on_until_nothing_is_left(tmp_path, patient, monkeypatch):
    patient(100)
    monkeypatch.setattr(in_turn, "_PROPOSALS", 1)  # for each setting: two of the linear model, five of the trees
    board = train(tmp_path, within="300s").leaderboard()
    tried = [row for row in board.rows if row.configuration.startswith("trial ")]
    assert sorted(row.learner for row in tried) == ["boosting"] * 5 + ["linear"] * 2
    assert all(row.metric is not None for row in tried)
    assert board.notes.count(
        "7 trials were made beyond the small portfolio, one after the other; nothing is left to try"
    )


def test_its_score_is_of_rows_that_had_no_say(tmp_path, patient, monkeypatch):
    patient(1)
    asked = []
    picked = Picker.pick

    def pick(self):
        asked.append(picked(self))
        return asked[-1]

    monkeypatch.setattr(Picker, "pick", pick)
    board = train(tmp_path, within="300s").leaderboard()
    (chosen,) = [row for row in board.rows if row.chosen]
    assert chosen.metric == asked[0][1].value
    assert any(note.endswith("; the last 1 brought nothing better") for note in board.notes)


def test_without_time_the_portfolio_is_the_answer(tmp_path, patient, monkeypatch):
    patient(100)
    monkeypatch.setattr(in_turn, "_LEAST_SECONDS", 1000.0)
    board = train(tmp_path, within="300s").leaderboard()
    assert len(board.rows) == 4
    assert not any("beyond" in note for note in board.notes)


def test_without_optuna_a_note_says_so(tmp_path, patient, monkeypatch):
    def missing(space, seed):
        raise MissingExtraError("optuna", "train", "Searching")

    monkeypatch.setattr(in_turn, "Sampler", missing)
    notes = train(tmp_path, within="300s").leaderboard().notes
    assert any(note.startswith("nothing was tried beyond the small portfolio: ") for note in notes)


def test_an_effort_that_is_none_is_refused(tmp_path):
    with pytest.raises(UsageError, match="heroic"):
        train(tmp_path, effort="heroic")


def test_the_best_learner_has_three_turns_of_four():
    sampler = Sampler({"penalty": Real(0.0, 1.0, 0.5)}, 0)
    best, other, third = (_Family(Linear, sampler, 1, [loss]) for loss in (0.1, 0.2, 0.3))
    turns = [_next([third, other, best], trial) for trial in range(8)]
    assert [turns.count(family) for family in (best, other, third)] == [6, 1, 1]
