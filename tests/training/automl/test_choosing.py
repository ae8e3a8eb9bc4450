"""Choosing another model from a search, and going on with one."""

import shutil
import threading

import numpy as np
import onnxruntime
import polars as pl
import pytest

from lepton.bundle import TableInputs, bundle_size, open_model, read_bundle
from lepton.core import DataError, Interrupted, Registry, Resources, UsageError, Work
from lepton.data import read
from lepton.training import Limits, base, search_of
from lepton.training.automl import SearchFolder
from lepton.training.automl.sampler import Sampler
from lepton.training.automl.trials import EVALUATE
from lepton.training.choosing import choose
from tests.training.automl.conftest import few_learners, make_table
from tests.training.automl.engines import PlainEngine
from tests.training.conftest import make_frame


def chosen_from(folder, path, table=None, max_size="30KB", **options):
    work = options.pop("work", None) or Work(resources=Resources(cpus=1))
    limits = Limits(max_size, options.pop("max_latency", None))
    source = make_table() if table is None else table
    with few_learners():
        return choose(SearchFolder.open(folder), source, limits=limits, work=work, output=path, **options)


def test_a_smaller_one(kept, tmp_path):
    folder, first, _ = kept
    before = sorted(folder.iterdir())
    chosen = chosen_from(folder, tmp_path / "small.lepton")
    assert bundle_size(chosen.path) <= 30_000
    assert chosen.verdicts[0].kept
    assert sorted(folder.iterdir()) == before
    row = next(row for row in chosen.leaderboard if row.chosen)
    assert row.lower < row.metric < row.upper
    assert {(r.learner, r.configuration) for r in chosen.leaderboard} >= {
        (r.learner, r.configuration) for r in first.leaderboard if r.learner != "blend"
    }
    assert any("no say" in note for note in chosen.notes)
    assert any("searched 0 trials" in note for note in chosen.notes)


def test_the_chosen_one_answers_in_the_graph_as_it_was_fitted(kept, tmp_path):
    chosen = chosen_from(kept[0], tmp_path / "m.lepton", max_size=None, metric="mae")
    bundle = read_bundle(chosen.path)
    session = onnxruntime.InferenceSession(bundle.graph, providers=["CPUExecutionProvider"])
    frame = make_frame(40, seed=5).select(pl.exclude("dear", "level", "price", "constant", "nothing"))
    model = open_model(chosen.path)
    (raw,) = session.run(["prediction"], TableInputs(bundle.manifest.inputs).tensors(frame))
    np.testing.assert_array_equal(raw, model.predict(frame))
    assert bundle.reports["training"]["metric"] == "mae"


def test_the_same_limits_give_the_same_model(kept, tmp_path):
    ids = set()
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        ids.add(chosen_from(kept[0], tmp_path / place / "m.lepton").model_id)
    assert len(ids) == 1
    assert search_of(ids.pop()).path == kept[0]


def test_learners_that_are_not_here_are_left_out_aloud(kept, tmp_path):
    with few_learners():
        known = base.LEARNERS
        without = Registry("fewer", {name: known.address(name) for name in known.names() if name != "good"})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(base, "LEARNERS", without)
            work = Work(resources=Resources(cpus=1))
            folder = SearchFolder.open(kept[0])
            chosen = choose(folder, make_table(), limits=Limits("30KB"), work=work, output=tmp_path / "m.lepton")
    assert "good" not in {row.learner for row in chosen.leaderboard}
    assert any(note.startswith("trials of good are left out") for note in chosen.notes)


def test_limits_that_nothing_keeps(kept, tmp_path):
    chosen = chosen_from(kept[0], tmp_path / "m.lepton", max_size="1KB")
    assert not chosen.verdicts[0].kept
    assert chosen.path.exists()


def test_kinds_and_roles_are_those_of_the_search(kept, tmp_path):
    plain = read(make_frame(240).select(pl.exclude("dear", "level")))
    assert chosen_from(kept[0], tmp_path / "m.lepton", plain).path.exists()


def test_another_table_is_refused(kept, tmp_path):
    with pytest.raises(DataError, match="not the one that was searched"):
        chosen_from(kept[0], tmp_path / "m.lepton", make_table(239))
    assert not (tmp_path / "m.lepton").exists()


def test_stopped_there_is_no_model(kept, tmp_path):
    work = Work(resources=Resources(cpus=1))
    work.cancel.set()
    with pytest.raises(Interrupted, match="before the last fit"):
        chosen_from(kept[0], tmp_path / "m.lepton", work=work)


# --- going on -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def continued(kept, searches, tmp_path_factory):
    folder = tmp_path_factory.mktemp("continued")
    shutil.copytree(kept[0], folder / "search")
    engine = PlainEngine()
    result = searches(folder / "m.lepton", engine, workdir=folder / "search", resume=True, max_trials=6)
    return folder / "search", result, engine


def tried(result):
    trials = read_bundle(result.path).reports["search"]["trials"]
    return [(t["learner"], str({**t["configuration"], "label": ""})) for t in trials if t["learner"] != "blend"]


def test_what_is_known_is_not_tried_again(kept, continued):
    before, after = tried(kept[1]), tried(continued[1])
    assert after[: len(before)] == before
    assert len(after) == len(before) + 6
    assert len(set(after)) == len(after)
    assert sum(name.endswith("evaluate_trial") for name, _ in continued[2].submitted) == 6


def test_the_folder_holds_both_parts(kept, continued):
    assert len(list(continued[0].glob("trial-*.json"))) == len(list(kept[0].glob("trial-*.json"))) + 6
    labels = [row.configuration for row in continued[1].leaderboard]
    assert len(set(labels)) == len(labels)
    best = [min(r.metric for r in result.leaderboard if r.metric is not None) for _, result, _ in (kept, continued)]
    assert best[1] <= best[0]


def test_going_on_repeats(kept, continued, searches, tmp_path):
    shutil.copytree(kept[0], tmp_path / "search")
    engine = PlainEngine(4, seed=3)
    again = searches(tmp_path / "m.lepton", engine, workdir=tmp_path / "search", resume=True, max_trials=6)
    assert tried(again) == tried(continued[1])
    assert again.model_id == continued[1].model_id


def test_going_on_is_stopped_with_a_model(kept, searches, tmp_path):
    shutil.copytree(kept[0], tmp_path / "search")
    cancel = threading.Event()
    engine = PlainEngine()
    submit = engine.submit

    def stopping(entry_point, args, *rest, **more):
        if entry_point == EVALUATE:
            cancel.set()
        return submit(entry_point, args, *rest, **more)

    engine.submit = stopping  # type: ignore[method-assign]
    result = searches(tmp_path / "m.lepton", engine, cancel=cancel, workdir=tmp_path / "search", resume=True)
    assert any("the model is" in note and "of an earlier part" in note for note in result.notes)
    assert next(row for row in result.leaderboard if row.chosen).learner == "linear"
    assert open_model(result.path).manifest.task == "regression"


def test_samplers_are_told(kept, searches, tmp_path, monkeypatch):
    told = []
    start = Sampler.start

    def noted(sampler, *args):
        told.append(args)
        start(sampler, *args)

    monkeypatch.setattr(Sampler, "start", noted)
    shutil.copytree(kept[0], tmp_path / "search")
    searches(tmp_path / "m.lepton", workdir=tmp_path / "search", resume=True, max_trials=0)
    ended = [t for t in read_bundle(kept[1].path).reports["search"]["trials"] if t["learner"] in {"good", "linear"}]
    assert len(told) >= len(ended)


def test_a_search_is_not_begun_over_another(kept, searches, tmp_path):
    with pytest.raises(UsageError, match="holds a search already"):
        searches(tmp_path / "m.lepton", workdir=kept[0], max_trials=1)


@pytest.mark.parametrize(("change", "named"), [({"seed": 5}, "seed 0"), ({"metric": "mae"}, "metric 'rmse'")])
def test_another_question_is_refused(kept, searches, tmp_path, change, named):
    with pytest.raises(UsageError, match=f"asked with {named}"):
        searches(tmp_path / "m.lepton", workdir=kept[0], resume=True, max_trials=1, **change)


def test_going_on_with_another_table_is_refused(kept, searches, tmp_path):
    with pytest.raises(DataError, match="not the one that was searched"):
        searches(tmp_path / "m.lepton", table=make_table(200), workdir=kept[0], resume=True, max_trials=1)
