"""A learner of somebody else's package: found by its entry point, and taken through the whole training."""

import sys
from pathlib import Path

import numpy as np
import pytest

import lepton
from lepton.compute import LocalEngine
from lepton.core import ErrorCode, Resources, UsageError
from lepton.training.automl.trials import address_of
from lepton.training.base import LEARNERS, Problem, learners_for
from tests.training.conftest import make_frame

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-learner.md"
TABLE = make_frame(150).drop("level", "dear")


def install(folder, entry):
    """A distribution as pip lays it down: a module, and the metadata beside it."""
    code = PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    code += "\n\ndef names(*, work):\n    return Huber.name\n"
    (folder / "lepton_huber.py").write_text(code, encoding="utf-8")
    info = folder / "lepton_huber-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lepton-huber\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[lepton.learners]\n{entry}\n", encoding="utf-8")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    def put(entry="huber = lepton_huber:Huber"):
        install(tmp_path, entry)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(LEARNERS, "_addresses", None)

    yield put
    sys.modules.pop("lepton_huber", None)


def test_it_is_tried_and_its_file_needs_it_no_more(installed, tmp_path, monkeypatch):
    installed()
    assert LEARNERS.names()[-1] == "huber"
    path = tmp_path / "model.lepton"
    model = lepton.train(TABLE, target="price", learners=["huber"], output=path)
    board = model.leaderboard()
    assert [(row.learner, row.chosen) for row in board.rows] == [("huber", True), ("baseline", False)]
    monkeypatch.setitem(sys.modules, "lepton_huber", None)  # importing it fails from now on
    again = lepton.load(path).predict(TABLE.drop("price"))
    np.testing.assert_array_equal(np.asarray(again), np.asarray(model.predict(TABLE.drop("price"))))
    errors = np.abs(np.asarray(again) - TABLE["price"].to_numpy())
    assert np.median(errors) < 20


def test_nobody_has_to_ask_for_it(installed):
    installed()
    assert "huber" in {learner.name for learner in learners_for(Problem("regression", 0, 100))}
    with pytest.raises(UsageError, match="'huber' for the task 'multiclass'"):
        lepton.train({"a": [1.5, 2.5, 3.5] * 9, "b": ["x", "y", "z"] * 9}, target="b", learners=["huber"])


def test_processes_of_trials_find_it(installed):
    installed()
    module, _, name = address_of(LEARNERS.load("huber")).partition(":")
    assert name == "Huber"
    with LocalEngine(1) as engine:
        assert engine.submit(f"{module}:names", {}, Resources(cpus=1)).result(30) == "huber"


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("linear = lepton_huber:Huber", "two plug-ins want the name 'linear' in learners"),
        ("huber = lepton_huber:Hubert", "'huber' of learners .* cannot be loaded"),
        ("huber = lepton_nowhere:Huber", "'huber' of learners .* cannot be loaded"),
    ],
)
def test_what_is_not_well_made_says_whose_it_is(installed, entry, told):
    installed(entry)
    with pytest.raises(UsageError, match=told) as raised:
        lepton.train(TABLE, target="price")
    assert raised.value.code is ErrorCode.UNKNOWN_PLUGIN
