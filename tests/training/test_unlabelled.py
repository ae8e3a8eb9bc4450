"""Learning without a target: what is planted is found, and the graph answers alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
import pytest

import lepton
from lepton.bundle import open_model
from lepton.core import DataError, UsageError


def blobs() -> pl.DataFrame:
    """Three groups of rows in two columns, then one row that is far from all."""
    generator = np.random.default_rng(0)
    parts = [generator.normal(centre, 1.0, (100, 2)) for centre in ((0.0, 0.0), (10.0, 0.0), (0.0, 10.0))]
    return pl.DataFrame(np.vstack([*parts, [[60.0, 60.0]]]), schema=["x", "y"])


def with_everything() -> pl.DataFrame:
    """Numbers with missing and infinite values, a boolean, dates and categories."""
    frame = blobs()
    rows = pl.int_range(frame.height)
    return frame.with_columns(
        x=pl.when(rows % 11 == 3).then(None).when(rows == 5).then(np.inf).otherwise("x"),
        flag=rows % 3 == 0,
        when=pl.datetime(2024, 1, 1) + pl.duration(days=rows),
        town=pl.when(rows == 300).then(pl.lit("nowhere")).when(rows % 2 == 0).then(pl.lit("Oslo")).otherwise(None),
    )


@pytest.fixture(scope="module", params=["anomaly", "clustering"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("unlabelled") / f"{request.param}.lepton"
    lepton.train(with_everything(), task=request.param, output=output)
    return output


def test_the_odd_row_scores_highest(tmp_path):
    model = lepton.train(blobs(), task="anomaly", output=tmp_path / "m.lepton")
    scores = model.predict(blobs())
    assert scores.arg_max() == 300
    assert scores[300] > 0.7
    assert scores.is_between(0.0, 1.0).all()
    assert scores.head(300).median() < 0.5
    board = model.leaderboard()
    assert board.rows[0].chosen
    assert board.rows[0].metric is not None
    assert 0.8 < board.rows[0].metric <= 1.0


def test_groups_are_found(tmp_path):
    model = lepton.train(blobs().head(300), task="clustering", output=tmp_path / "m.lepton")
    found = model.predict(blobs().head(300)).to_numpy().reshape(3, 100)
    assert len({tuple(np.unique(part)) for part in found}) == 3
    assert model.leaderboard().rows[0].configuration == "3 clusters"
    assert len(model.leaderboard().rows) == 9


def test_plain_onnxruntime_gives_the_same(trained):
    predictor = open_model(trained)
    tensors = predictor.tensors(with_everything())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # with several, sums are in another order
    session = onnxruntime.InferenceSession(predictor.bundle.graph, options, providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, tensors)
    assert answers.tolist() == lepton.load(trained).predict(with_everything()).to_list()


def test_rows_with_missing_infinite_and_unknown_values_are_answered(trained):
    rows: list[dict[str, object]] = [{"x": None, "y": None, "flag": None, "when": None, "town": "new"}]
    rows.append({"x": np.inf, "y": -np.inf, "flag": True, "when": None, "town": None})
    answers = lepton.load(trained).predict(rows)
    assert np.isfinite(answers).all()


def test_the_same_seed_gives_the_same_model(tmp_path):
    for task in ("anomaly", "clustering"):
        models = [lepton.train(blobs(), task=task, seed=4, output=tmp_path / f"{task}.lepton") for _ in range(2)]
        assert models[0].model_id == models[1].model_id


def test_a_cleaned_table_gives_a_model_of_raw_rows(tmp_path):
    raw = blobs().with_columns(x=pl.when(pl.int_range(301) != 7).then("x"))
    table = lepton.Recipe().fill("x", "median").fit_transform(lepton.read(raw))
    model = lepton.train(table, task="anomaly", output=tmp_path / "m.lepton")
    assert model.predict(raw).is_finite().all()
    assert model.predictor.manifest.lineage["recipe"]["lepton"] == "recipe/1"


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (blobs(), {"task": "anomaly", "target": "x"}, "target='x'"),
        (blobs(), {"task": "regression"}, "no target"),
        (blobs(), {}, "no target"),
        (blobs().head(3), {"task": "clustering"}, "3 rows"),
        (pl.DataFrame({"a": [1.0] * 20}), {"task": "anomaly"}, "never changes"),
        (pl.DataFrame({"a": [1.0, 2.0] * 20}), {"task": "clustering"}, "2 different rows"),
        (pl.DataFrame({"a": [None] * 20}, schema={"a": pl.Float64}), {"task": "anomaly"}, "missing"),
    ],
)
def test_what_is_refused(tmp_path, frame, options, message):
    with pytest.raises((DataError, UsageError), match=message):
        lepton.train(frame, output=tmp_path / "m.lepton", **options)
    assert not list(tmp_path.iterdir())


def test_evaluating_without_a_truth_is_refused(trained):
    with pytest.raises(UsageError, match="model for"):
        lepton.load(trained).evaluate(with_everything())
    with pytest.raises(UsageError, match="model for"):
        lepton.compare(trained, trained, with_everything())


def test_the_manifest_says_what_was_learned(trained):
    manifest = json.loads(open_model(trained).bundle.member("manifest.json"))
    assert manifest["target"] is None
    assert manifest["task"] == trained.stem


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("anomaly", {"max_size": "10KB"}),
        ("clustering", {"max_latency": "1ms"}),
        ("anomaly", {"metric": "rmse"}),
        ("clustering", {"horizon": 3}),
        ("anomaly", {"costs": {"false_positive": 2}}),
        ("forecast", {"target": "y", "horizon": 3, "max_size": "10KB"}),
    ],
)
def test_options_that_a_task_has_no_use_for(task, options, tmp_path):
    with pytest.raises(UsageError, match=f"{list(options)[-1]}=.*{task}"):
        lepton.train(blobs(), task=task, output=tmp_path / "m.lepton", **options)
    assert not list(tmp_path.iterdir())
