"""The search asks an engine for little: any engine that keeps the contract will do."""

import inspect
import re

from lepton.bundle import open_model, read_bundle
from lepton.training.automl import closer, finish, run, search
from lepton.training.automl.trials import EVALUATE, FIT, WARM_UP
from tests.training.automl.engines import PlainHandle
from tests.training.conftest import make_frame

ASKED = {"state", "result", "cancel", "kill"}


def test_a_search_runs_in_any_engine(kept):
    _, result, engine = kept
    entry_points = [entry_point for entry_point, _ in engine.submitted]
    assert entry_points.count(EVALUATE) == 8
    assert FIT in entry_points
    assert set(entry_points) == {EVALUATE, FIT, WARM_UP, "closed"}
    assert read_bundle(result.path).reports["search"]["ended"] == "8 trials were allowed"
    assert len(open_model(result.path).predict(make_frame(5).drop("dear", "level"))) == 5


def test_handles_are_asked_for_nothing_else():
    """What the engine of these tests gives is all that is used: a second engine needs no more."""
    used = set()
    for module in (closer, finish, run, search):
        used |= set(re.findall(r"\bhandle\.(\w+)", inspect.getsource(module)))
    assert used == ASKED
    handle = PlainHandle()
    assert all(hasattr(handle, name) for name in ASKED)
    assert not hasattr(handle, "progress")
