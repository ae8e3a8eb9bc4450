"""A whole search: good trials count, bad ones are passed over, the time is kept, the model is one graph."""

import sys
import threading
import time
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest

from lepton.bundle import TableInputs, open_model, read_bundle
from lepton.core import Kind, Registry, Resources, UsageError, Work
from lepton.data import read
from lepton.training import automl, base, train
from lepton.training.automl import Effort, finish, run as run_module, search as search_module
from lepton.training.base import LEARNERS
from lepton.training.table_model import block_of
from tests.training.automl import faulty
from tests.training.conftest import KINDS, make_frame

TRIALS = Effort(max_members=3, patience=None)


def table(num_rows=240):
    return read(make_frame(num_rows).select(pl.exclude("dear", "level")), kinds={"town": "category"})


def learners(monkeypatch, *names):
    """The learners that a search knows, beside the openers."""
    known = {name: LEARNERS.address(name) for name in ("baseline", "linear")}
    for name in names:
        known[name] = LEARNERS.address(name) if name in LEARNERS.names() else f"{faulty.__name__}:{_classes()[name]}"
    registry = Registry("fakes", known)
    monkeypatch.setattr(base, "LEARNERS", registry)
    monkeypatch.setattr(run_module, "OPENERS", ("baseline",))


def _classes():
    return {
        each.name: each.__name__ for each in vars(faulty).values() if isinstance(each, type) and hasattr(each, "name")
    }


def limited(monkeypatch, num_trials):
    """Searches end after so many trials."""

    def run(portfolio, outside, effort, accept, max_trials, keep):
        return automl.run_search(portfolio, outside, effort, accept, num_trials, keep)

    monkeypatch.setattr("lepton.training.tables.run_search", run)


def searched(tmp_path, within=None, effort="best", cpus=2, memory=None, cancel=None, seed=0):
    path = tmp_path / "m.lepton"
    work = Work(within, resources=Resources(cpus=cpus, memory=memory), cancel=cancel, seed=seed)
    result = train(table(), target="price", effort=effort, work=work, output=path)
    return result, path


def test_bad_trials_are_recorded_and_passed_over(tmp_path, monkeypatch):
    bad = ("crashes", "raises", "hangs", "hoards", "not-a-number")
    learners(monkeypatch, "good", *bad)
    limited(monkeypatch, 20)
    monkeypatch.setattr(search_module, "_longest", lambda left: min(left, 7.0))
    result, path = searched(tmp_path, within=300, memory=1_200_000_000)
    rows = {row.learner: row for row in result.leaderboard if row.learner in bad}
    assert rows.keys() == set(bad)
    assert all(row.metric is None and not row.chosen for row in rows.values())
    assert "exit code 7" in rows["crashes"].note
    assert "ZeroDivisionError: what a pity" in rows["raises"].note
    assert "not finite" in rows["not-a-number"].note
    assert "of memory" in rows["hoards"].note
    assert "killed" in rows["hangs"].note
    assert sum(row.metric is not None for row in result.leaderboard) > 5
    assert open_model(path).manifest.task == "regression"


def test_the_time_is_kept_although_a_trial_hangs(tmp_path, monkeypatch):
    learners(monkeypatch, "good", "hangs")
    start = time.monotonic()
    result, _ = searched(tmp_path, within=10)
    assert time.monotonic() - start < 12.0
    assert next(row for row in result.leaderboard if row.learner == "hangs").note


def test_a_search_limited_by_trials(tmp_path, monkeypatch):
    learners(monkeypatch, "lightgbm", "xgboost", "forest")
    limited(monkeypatch, 9)
    result, path = searched(tmp_path, within=300)
    chosen = next(row for row in result.leaderboard if row.chosen)
    assert chosen.metric < 0.6 * next(row for row in result.leaderboard if row.learner == "baseline").metric
    assert chosen.lower < chosen.metric < chosen.upper
    assert any("no say" in note for note in result.notes)
    report = read_bundle(path).reports["search"]
    assert report["ended"] == "9 trials were allowed"
    assert len(report["trials"]) == len(result.leaderboard)


def test_the_graph_of_a_mean_answers_as_its_members_do(tmp_path, monkeypatch):
    learners(monkeypatch, "lightgbm", "xgboost", "forest")
    limited(monkeypatch, 8)
    monkeypatch.setattr("lepton.training.automl.finish._LEAST_GAIN", -np.inf)  # several models in any case
    fitted: list[Any] = []
    made = finish.fit_mix

    def noted(*args):
        fitted.append(made(*args))
        return fitted[-1]

    monkeypatch.setattr(run_module, "fit_mix", noted)
    result, path = searched(tmp_path, within=300)
    assert next(row for row in result.leaderboard if row.chosen).learner == "blend"
    bundle = read_bundle(path)
    assert bundle.manifest.inner == {"raw": "raw"}
    session = onnxruntime.InferenceSession(bundle.graph, providers=["CPUExecutionProvider"])
    inputs = TableInputs(bundle.manifest.inputs)
    frame = make_frame(60, seed=9)
    block = block_of(inputs, frame)
    (given,) = session.run(["prediction"], inputs.tensors(frame, "ignore"))
    np.testing.assert_allclose(given, fitted[0].raw(block)[:, 0], rtol=1e-12)


def test_stopped_it_gives_the_best_so_far(tmp_path, monkeypatch):
    learners(monkeypatch, "good", "hangs")
    cancel = threading.Event()
    threading.Timer(6.0, cancel.set).start()
    start = time.monotonic()
    result, path = searched(tmp_path, within=120, cancel=cancel)
    assert time.monotonic() - start < 10.0
    assert path.exists()
    assert any("it was stopped" in note for note in result.notes)


def test_without_time_for_a_search_the_portfolio_is_the_answer(tmp_path):
    result, path = searched(tmp_path, within=6)
    assert "search" not in read_bundle(path).reports
    assert not any(note.startswith("searched") for note in result.notes)


def test_without_optuna_the_known_configurations_are_tried(tmp_path, monkeypatch):
    learners(monkeypatch, "good")
    monkeypatch.setitem(sys.modules, "optuna", None)
    result, _ = searched(tmp_path, within=60)
    assert sum(note.startswith("nothing was searched beyond") for note in result.notes) == 1
    assert any("there was nothing left to try" in note for note in result.notes)
    assert [row.configuration for row in result.leaderboard if row.learner == "good"] == ["start"]


def test_an_effort_that_is_none(tmp_path):
    with pytest.raises(UsageError, match=r"'heroic'.*fast, good, best"):
        searched(tmp_path, effort="heroic")


@pytest.mark.parametrize("target", ["dear", "level"])
def test_classes(target, tmp_path, monkeypatch):
    learners(monkeypatch, "lightgbm", "forest")
    limited(monkeypatch, 6)
    frame = make_frame(240).select(pl.exclude("price", "dear" if target == "level" else "level"))
    result = train(
        read(frame, kinds={"town": Kind.CATEGORY, target: KINDS[target]}),
        target=target,
        effort="good",
        work=Work(300, resources=Resources(cpus=2)),
        output=tmp_path / "m.lepton",
    )
    probabilities = np.asarray(open_model(result.path).predict_proba(frame.head(20)))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
