"""Estimators as model files: what the graph answers is what the estimator answers, in plain onnxruntime too."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest
from sklearn.exceptions import NotFittedError

from lepton.bundle import check_bundle, open_model, read_bundle
from lepton.core import UsageError
from lepton.data import read
from lepton.data.statistics import Baseline
from lepton.evaluation import evaluate
from lepton.serving import ModelStore
from lepton.serving.protocols.base import Request
from lepton.serving.protocols.rows import RowReader
from lepton.training import train
from lepton.training.estimators import KMeans, LinearRegression, LogisticRegression, Ridge
from lepton.verbs import Model

RNG = np.random.default_rng(3)
X = RNG.normal(size=(300, 3)) * [1, 100, 1e-3]
NUMBER = X @ [1.0, 0.1, 2000.0] + 1e6 + RNG.normal(size=300)
THREE = np.array(["a", "b", "ü"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 100)]

FITS: dict[str, tuple[Any, Any, str]] = {
    "linear": (LinearRegression(), NUMBER, "regression"),
    "ridge": (Ridge(2.0), NUMBER, "regression"),
    "three classes": (LogisticRegression(), THREE, "multiclass"),
    "two texts": (LogisticRegression(), THREE == "a", "binary"),
    "two texts, l1": (LogisticRegression(penalty="l1"), np.where(THREE == "a", "yes", "no"), "binary"),
    "numbers": (LogisticRegression(), np.where(THREE == "a", 7, -1), "binary"),
    "whole floats": (LogisticRegression(), np.where(THREE == "a", 7.0, -1.0), "binary"),
    "clusters": (KMeans(4, random_state=0), None, "clustering"),
}


@pytest.mark.parametrize("name", FITS)
def test_the_graph_answers_what_the_estimator_answers(name, tmp_path):
    estimator, y, task = FITS[name]
    model = estimator.fit(X, y)
    path = tmp_path / "model.lepton"
    model_id = model.to_bundle(path)
    assert check_bundle(path).error is None
    predictor = open_model(path)
    assert (predictor.model_id, predictor.task.name, predictor.manifest.name) == (model_id, task, "model")
    assert predictor.inputs.names == ("x0", "x1", "x2")
    same(predictor.predict(X), model.predict(X))
    if predictor.labels:
        np.testing.assert_allclose(predictor.predict_proba(X), model.predict_proba(X), atol=1e-14)
    session = onnxruntime.InferenceSession(predictor.bundle.graph, providers=["CPUExecutionProvider"])
    plain = session.run([predictor.task.answer], {"numbers": X})[0]
    if task == "binary" and predictor.labels == (False, True):
        plain = plain.astype(bool)
    same(plain, model.predict(X))


def same(one, other):
    if other.dtype.kind == "f" and len(set(other)) > 2:
        np.testing.assert_allclose(one, other, rtol=1e-14)
    else:
        assert one.tolist() == other.tolist()


def test_the_same_fit_gives_the_same_model_id(tmp_path):
    ids = {LogisticRegression().fit(X, THREE).to_bundle(tmp_path / f"{i}.lepton", name="m") for i in range(2)}
    assert len(ids) == 1


def test_a_fit_on_a_table_keeps_columns_lineage_and_baseline(tmp_path):
    frame = pl.DataFrame(X, schema=["α", "b", "c"]).with_columns(new=X[:, 0] > 0, town=pl.lit("Ulm"), level=THREE)
    table = read(frame).with_roles({"town": "ignored"})
    model = LogisticRegression().fit(table, target="level")
    model.to_bundle(tmp_path / "m.lepton", name="levels")
    predictor = open_model(tmp_path / "m.lepton")
    manifest = predictor.manifest
    assert predictor.inputs.names == ("α", "b", "c", "new")
    assert manifest.target is not None
    assert manifest.target.name == "level"
    assert manifest.lineage["dataset"] == {"fingerprint": table.fingerprint(), "num_rows": 300}
    assert manifest.lineage["ignored"] == ["town"]
    assert manifest.lineage["configuration"]["C"] == 1.0
    assert manifest.inner == {"features": "features", "raw": "raw"}
    assert predictor.predict(frame).to_list() == model.predict(frame.select(predictor.inputs.names)).tolist()
    bundle = predictor.bundle
    members = {n.removeprefix("baseline/"): bundle.member(n) for n in bundle.names if n.startswith("baseline/")}
    baseline = Baseline.from_members(members)
    assert [c.name for c in baseline.inputs] == ["α", "b", "c", "new"]
    assert baseline.outputs[0].name == "prediction"
    state = json.loads(bundle.member("training/linear.json"))
    np.testing.assert_array_equal(state["coefficients"], model.coef_)
    assert evaluate(predictor, table).metrics["accuracy"].value == pytest.approx(
        model.score(frame.select(predictor.inputs.names), THREE)
    )


def test_a_cluster_model_has_nothing_to_be_judged_by(tmp_path):
    KMeans(2).fit(X).to_bundle(tmp_path / "m.lepton")
    with pytest.raises(UsageError, match="got a model for clustering"):
        evaluate(open_model(tmp_path / "m.lepton"), read(pl.DataFrame(X, schema=["x0", "x1", "x2"])))


def test_a_cluster_model_is_served_and_shown(tmp_path):
    path = tmp_path / "m.lepton"
    model = KMeans(2, random_state=0).fit(X)
    model.to_bundle(path)
    rows = [dict(zip(("x0", "x1", "x2"), row, strict=True)) for row in X[:3].tolist()]
    store = ModelStore({"m": path})
    store.open_all()
    response = RowReader().read(store["m"], Request("POST", "/", body=json.dumps(rows).encode())).run()
    assert json.loads(response.body)["predictions"] == model.predict(X[:3]).tolist()
    answers = open_model(path).predict(pl.DataFrame(X, schema=["x0", "x1", "x2"]))
    assert answers.name == "cluster"
    assert repr(Model(path)).startswith("<Model 'm': clustering, ")
    with pytest.raises(UsageError, match="predict_proba was called on 'm', a model for clustering"):
        open_model(path).predict_proba(X)


def test_train_needs_a_task_with_a_target(tmp_path):
    with pytest.raises(UsageError, match=r"got the task 'clustering'.*KMeans"):
        train(read(pl.DataFrame(X).with_columns(y=NUMBER)), target="y", task="clustering", output=tmp_path / "m.lepton")


def test_what_a_model_file_cannot_hold(tmp_path):
    path = tmp_path / "m.lepton"
    with pytest.raises(UsageError, match="got a fit of 2 targets"):
        LinearRegression().fit(X, np.column_stack([NUMBER, NUMBER])).to_bundle(path)
    with pytest.raises(UsageError, match=r"the classes are 0.5, 1.5"):
        LogisticRegression().fit(read({"a": [1.0, 2.0, 3.0, 4.0], "y": [0.5, 1.5, 0.5, 1.5]}), target="y").to_bundle(
            path
        )
    with pytest.raises(NotFittedError):
        Ridge().to_bundle(path)
    assert not path.exists()


def test_a_column_may_be_called_target(tmp_path):
    frame = pl.DataFrame({"target": X[:, 0], "b": X[:, 1]})
    LinearRegression().fit(frame, NUMBER).to_bundle(tmp_path / "m.lepton")
    manifest = read_bundle(tmp_path / "m.lepton").manifest
    assert manifest.target is not None
    assert manifest.target.name == "target_"
    assert manifest.target.role == "target"
