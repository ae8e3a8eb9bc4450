"""A search that is limited by trials: the same seed gives the same trials and the same model, whatever ends first."""

import pytest

from lepton.bundle import read_bundle
from lepton.compute import LocalEngine
from lepton.training.automl import EFFORTS, Effort
from tests.training.automl.engines import PlainEngine


def trials(result):
    report = read_bundle(result.path).reports["search"]
    return [(trial["learner"], trial["configuration"], trial["score"], trial["note"]) for trial in report["trials"]]


def named(folder, number):
    """Where a model goes whose name, which is a part of it, does not depend on the number."""
    (folder / str(number)).mkdir()
    return folder / str(number) / "m.lepton"


@pytest.fixture(scope="module")
def first(searches, tmp_path_factory):
    path = tmp_path_factory.mktemp("first") / "m.lepton"
    return searches(path, PlainEngine(1), effort="best", max_trials=10)


@pytest.mark.parametrize(
    "engine",
    [lambda: PlainEngine(3, seed=1), lambda: PlainEngine(7, seed=2), lambda: LocalEngine(2)],
    ids=["three-threads", "seven-threads", "two-processes"],
)
def test_how_many_run_at_a_time_and_what_ends_first_changes_nothing(searches, first, tmp_path, engine):
    again = searches(tmp_path / "m.lepton", engine(), effort="best", max_trials=10)
    assert trials(again) == trials(first)
    assert again.model_id == first.model_id


def test_another_seed_gives_other_trials(searches, first, tmp_path):
    other = searches(tmp_path / "m.lepton", seed=1, effort="best", max_trials=10)
    assert trials(other) != trials(first)


def test_patience_ends_it_at_the_same_trial(searches, tmp_path, monkeypatch):
    monkeypatch.setitem(EFFORTS, "good", Effort(max_members=3, patience=5))
    ends = [searches(named(tmp_path, threads), PlainEngine(threads, threads), max_trials=60) for threads in (1, 4)]
    assert trials(ends[0]) == trials(ends[1])
    assert ends[0].model_id == ends[1].model_id
    assert "nothing better came" in read_bundle(ends[0].path).reports["search"]["ended"]
