"""`train`, from a table to a model file that answers."""

import json
import threading
import time

import numpy as np
import polars as pl
import pytest

from lepton.bundle import open_model, read_bundle
from lepton.core import DataError, ErrorCode, Kind, UsageError, Work
from lepton.core.budgets import time_allowed
from lepton.data import read
from lepton.training import Leaderboard, train
from lepton.training.base import LEARNERS
from lepton.training.options import Options
from tests.training.conftest import KINDS, TARGETS, make_frame


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    """Boosting of a few rounds: what is tested here does not hang on how many there are."""
    learner = LEARNERS.load("lightgbm")
    whole = learner.configurations

    def short(problem):
        tried = [dict(configuration) for configuration in whole(problem)]
        return tuple({**c, "max_rounds": min(c["max_rounds"], 30)} for c in tried[:2])

    monkeypatch.setattr(learner, "configurations", short)


def dataset(frame=None, **roles):
    frame = make_frame() if frame is None else frame
    table = read(frame, kinds={name: kind for name, kind in KINDS.items() if name in frame.columns})
    return table.with_roles(roles)


def others(target):
    return dict.fromkeys((name for name in TARGETS.values() if name != target), "ignored")


@pytest.mark.parametrize("task", TARGETS)
def test_a_table_becomes_a_model_that_answers(task, tmp_path):
    target = TARGETS[task]
    path = tmp_path / "houses.lepton"
    result = train(dataset(**others(target)), target=target, work=Work("60s"), output=path)
    model = open_model(path)
    assert model.task.name == task
    assert [column.name for column in model.manifest.inputs] == ["size", "rooms", "town", "when", "new"]
    frame = make_frame()
    answers = model.predict(frame.drop("constant", "nothing", *TARGETS.values()))
    if task == "regression":
        assert np.corrcoef(np.asarray(answers, dtype=float), frame["price"])[0, 1] > 0.9
    else:
        truth = [str(value).lower() for value in frame[target].to_list()]
        assert np.mean([str(a) == t for a, t in zip(answers, truth, strict=True)]) > 0.75
    assert result.leaderboard[0].chosen
    assert {row.learner for row in result.leaderboard} >= {"baseline", "linear", "lightgbm"}
    assert result.leaderboard[-1].learner == "baseline"


def test_what_the_bundle_holds(tmp_path):
    path = tmp_path / "m.lepton"
    train(dataset(**others("price")), target="price", work=Work("60s", seed=7), output=path)
    bundle = read_bundle(path)
    lineage = bundle.manifest.lineage
    assert lineage["seed"] == 7
    assert lineage["recipe"] is None
    assert lineage["table_steps"] == []
    assert lineage["ignored"] == ["constant", "nothing", "level", "dear"]
    assert {"lepton", "python", "numpy", "polars", "onnx", "onnxruntime", "lightgbm"} <= set(lineage["versions"])
    assert bundle.manifest.inner == {"features": "features", "raw": "raw"}
    assert json.loads(bundle.member("assets/vocabulary.json")) == {"town": ["Køln", "Oslo", "é", "大阪"]}
    assert bundle.member("training/kind") in {b"linear", b"lightgbm"}
    assert {"baseline/inputs.json", "baseline/outputs.json"} <= set(bundle.names)
    board = Leaderboard.from_report(bundle.reports["training"])
    assert board.metric == "rmse"
    assert "not learned from (its value never changes): constant" in board.notes
    assert "not learned from (all values are missing): nothing" in board.notes
    assert board.rows[0].predict_us is not None
    assert "chosen" in board.text()


def test_the_same_seed_gives_the_same_model(tmp_path):
    ids = [
        train(
            dataset(**others("level")), target="level", work=Work(600, seed=seed), output=tmp_path / "m.lepton"
        ).model_id
        for seed in (3, 3)
    ]
    assert ids[0] == ids[1]


@pytest.mark.parametrize("within", [1, 2])
def test_the_time_is_kept(within, tmp_path, monkeypatch):
    monkeypatch.undo()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 20))
    frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(20)}).with_columns(y=pl.Series(x[:, 0] * x[:, 1] + x[:, 2]))
    table = read(frame)
    start = time.monotonic()
    result = train(table, target="y", work=Work(within), output=tmp_path / "m.lepton")
    assert time.monotonic() - start <= time_allowed(within)
    assert open_model(result.path).predict(frame.drop("y").head(2)) is not None


def test_stopped_it_gives_the_best_so_far(tmp_path):
    cancel = threading.Event()
    seen = []

    def reporter(record):
        seen.append(record.note)
        if record.note.startswith("linear (") or len(seen) > 40:
            cancel.set()

    work = Work("600s", cancel=cancel, reporter=reporter)
    result = train(dataset(**others("price")), target="price", work=work, output=tmp_path / "m.lepton")
    chosen = next(row for row in result.leaderboard if row.chosen)
    assert chosen.learner == "linear"
    assert {row.note for row in result.leaderboard if row.learner == "lightgbm"} == {"stopped"}
    assert any("learned from part of the rows" in note for note in result.notes)
    assert open_model(result.path).task.name == "regression"


def test_a_learner_that_fails_does_not_cost_the_others(tmp_path, monkeypatch):
    def fail(self, rows, *, valid, work):
        raise ValueError("boom")

    monkeypatch.setattr(LEARNERS.load("linear"), "fit", fail)
    result = train(dataset(**others("price")), target="price", work=Work("60s"), output=tmp_path / "m.lepton")
    row = next(row for row in result.leaderboard if row.learner == "linear")
    assert row.note == "failed: ValueError: boom"
    assert row.metric is None


def test_a_missing_library_is_said_in_the_leaderboard(tmp_path, monkeypatch):
    monkeypatch.setattr(LEARNERS.load("lightgbm"), "library", "no_such_library")
    result = train(dataset(**others("price")), target="price", work=Work("60s"), output=tmp_path / "m.lepton")
    rows = [row for row in result.leaderboard if row.learner == "lightgbm"]
    assert all("needs the library 'no_such_library'" in row.note for row in rows)


def test_without_a_time_a_minute_is_used_and_said(tmp_path):
    result = train(dataset(**others("price")), target="price", output=tmp_path / "m.lepton")
    assert any("no time was given" in note for note in result.notes)


def test_groups_time_and_weights(tmp_path):
    frame = make_frame().with_columns(
        shop=pl.Series([f"s{i % 7}" for i in range(240)]), importance=pl.Series(np.linspace(0, 2, 240))
    )
    table = dataset(frame, shop="group", importance="weight", **others("price"))
    few = Options(learners=("linear", "lightgbm"))
    result = train(table, target="price", options=few, work=Work("60s"), output=tmp_path / "m.lepton")
    assert "rows are weighted by 'importance'" in result.notes
    assert "groups stay together in 5 folds" in result.notes
    names = [c.name for c in read_bundle(result.path).manifest.inputs]
    assert not {"shop", "importance"} & set(names)
    ordered = dataset(frame, when="time", **others("price"))
    result = train(ordered, target="price", options=few, work=Work("60s"), output=tmp_path / "m.lepton")
    assert "each fold learns from the past of the rows that it scores" in result.notes
    assert "when" in [c.name for c in read_bundle(result.path).manifest.inputs]


def test_another_metric_chooses(tmp_path):
    result = train(
        dataset(**others("level")), target="level", metric="accuracy", work=Work("60s"), output=tmp_path / "m.lepton"
    )
    scores = [row.metric for row in result.leaderboard if row.metric is not None]
    assert scores == sorted(scores, reverse=True)
    with pytest.raises(UsageError, match="rmse"):
        train(dataset(), target="level", metric="rmse", work=Work("60s"), output=tmp_path / "n.lepton")


@pytest.mark.parametrize("values", [[1e100, -1e100, 5e99], [1e9, 1e9 + 1, 1e9 + 2]])
def test_targets_of_unusual_size(values, tmp_path):
    frame = pl.DataFrame({"x": [0.0, 1.0, 2.0] * 40, "y": values * 40})
    result = train(read(frame), target="y", task="regression", work=Work("60s"), output=tmp_path / "m.lepton")
    answers = np.asarray(open_model(result.path).predict(frame.select("x").head(3)), dtype=float)
    np.testing.assert_allclose(answers, values, rtol=0.2, atol=0.3 * np.std(values))


@pytest.mark.parametrize(
    ("frame", "target", "code"),
    [
        (pl.DataFrame({"x": [1.0, 2.0, 3.0], "y": [1.5, 2.5, 3.5]}), "y", ErrorCode.TOO_FEW_ROWS),
        (pl.DataFrame({"x": [1.0] * 9, "y": np.arange(9) / 2}), "y", ErrorCode.EMPTY_DATA),
        (pl.DataFrame({"y": np.arange(9) / 2}), "y", ErrorCode.EMPTY_DATA),
        (pl.DataFrame({"x": np.arange(9), "y": [2.5] * 9}), "y", ErrorCode.BAD_TARGET),
        (pl.DataFrame({"x": np.arange(9), "y": np.arange(9) / 2}), "z", ErrorCode.UNKNOWN_COLUMN),
    ],
)
def test_tables_that_cannot_be_learned(frame, target, code, tmp_path):
    with pytest.raises(DataError) as caught:
        train(
            read(frame, kinds={"x": Kind.NUMBER} if "x" in frame.columns else None),
            target=target,
            output=tmp_path / "m.lepton",
        )
    assert caught.value.code is code
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("num_rows", [5, 9])
def test_a_handful_of_rows(num_rows, tmp_path):
    frame = pl.DataFrame({"x": np.arange(num_rows) * 1.5, "y": np.arange(num_rows) / 2})
    result = train(read(frame), target="y", work=Work("60s"), output=tmp_path / "m.lepton")
    assert open_model(result.path).task.name == "regression"


def test_a_folder_that_is_not_there_is_said_before_the_work(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        train(dataset(), target="price", output=tmp_path / "nowhere" / "m.lepton")
    with pytest.raises(DataError, match="is a folder"):
        train(dataset(), target="price", name="m", output=tmp_path)


def test_a_name_that_cannot_be_used(tmp_path):
    with pytest.raises(UsageError, match="name of the model"):
        train(dataset(), target="price", output=tmp_path / "-m.lepton")


def test_wide_tables(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3_000))
    frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(3_000)}).with_columns(y=pl.Series(x[:, 0]))
    result = train(read(frame), target="y", work=Work("10s"), output=tmp_path / "m.lepton")
    assert len(read_bundle(result.path).manifest.inputs) == 3_000


def test_large_tables_are_sampled_for_short_times(tmp_path, monkeypatch):
    monkeypatch.setattr("lepton.training.prepared._MIN_SAMPLE", 100)
    monkeypatch.setattr("lepton.training.prepared._CELLS_A_SECOND", 10)
    result = train(dataset(**others("price")), target="price", work=Work("60s"), output=tmp_path / "m.lepton")
    assert any(note.startswith("learned from 100 of 240 rows, drawn by the seed") for note in result.notes)


def test_statistics_of_very_wide_tables_are_kept_of_some_columns(tmp_path, monkeypatch):
    for module in ("writing", "prepared"):
        monkeypatch.setattr(f"lepton.training.{module}.STATISTICS_COLUMNS", 2)
    result = train(dataset(**others("price")), target="price", work=Work("60s"), output=tmp_path / "m.lepton")
    kept = json.loads(read_bundle(result.path).member("baseline/inputs.json"))["columns"]
    assert [column["name"] for column in kept] == ["size", "rooms"]
    assert "statistics for watching drift are kept of the first 2 columns" in result.notes
