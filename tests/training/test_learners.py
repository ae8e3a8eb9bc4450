"""Every learner, on every task: what the graph answers is what the trainer answers."""

import json
import os

import lightgbm
import numpy as np
import onnxruntime
import pytest

from lepton.bundle import TableInputs
from lepton.core import Interrupted, Kind, Resources, Work
from lepton.data.steps import apply_steps
from lepton.training.base import LEARNERS, Problem, Rows
from lepton.training.learners.lightgbm import LightGBM
from lepton.training.table_model import TableModel, block_of
from lepton.training.tasks import Scale, prepare_target
from tests.training.conftest import TARGETS, make_frame, make_schema

TASKS = tuple(TARGETS)
ONE_THREAD = Work(resources=Resources(cpus=1))
FEATURES = ("size", "rooms", "town", "when", "new")


def prepared(task, num_rows=240, weight=None):
    frame, schema = make_frame(num_rows), make_schema()
    target = prepare_target(frame, schema, TARGETS[task])
    inputs = TableInputs(schema.select(FEATURES).columns)
    block = block_of(inputs, frame.select(FEATURES))
    problem = Problem(task, len(target.labels or ()), num_rows, ("when",), ("town",))
    return problem, inputs, Rows(block, target.values, weight), target.labels


ABLE = [
    (name, task)
    for name in LEARNERS.names()
    for task in TASKS
    if LEARNERS.load(name).configurations(Problem(task, {"regression": 0, "binary": 2, "multiclass": 3}[task], 240))
]
"""Each learner with each task that it can do."""


def configured(name, problem):
    learner = LEARNERS.load(name)
    if learner.where_present:
        pytest.importorskip(learner.library)
    quick = {"max_rounds": 20} if name == "catboost" else {}
    return [learner(problem, {**each, **quick}, seed=1) for each in learner.configurations(problem)]


def session(graph):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def graph_answers(model, rows):
    graph, outputs, inner = model.graph()
    opened = session(graph)
    assert [o.name for o in opened.get_outputs()] == [o.name for o in outputs]
    assert inner == {"features": "features", "raw": "raw"}
    assert json.loads(opened.get_modelmeta().custom_metadata_map["lepton.inputs"])["strings"][0]["name"] == "town"
    return dict(zip([o.name for o in outputs], opened.run(None, model.inputs.tensors(rows)), strict=True))


def strange_rows():
    """Rows that training never saw: missing, infinite, unseen, far away in time."""
    frame = make_frame(60, seed=9).select(FEATURES)
    rows = frame.to_dicts()
    rows[0] |= {"size": None, "town": None, "when": None, "new": None, "rooms": None}
    rows[1] |= {"size": float("inf"), "town": "Atlantis", "rooms": -(10**9)}
    rows[2] |= {"size": float("-inf"), "town": "0:Oslo", "rooms": 10**12}
    rows[3] |= {"size": 1e-320, "town": "", "rooms": 0}
    return rows


SINGLE = {"network"}
"""Learners that count in single precision, in which sums depend on their order."""


@pytest.mark.parametrize(("name", "task"), ABLE)
def test_the_graph_answers_as_the_trainer(name, task):
    problem, inputs, rows, labels = prepared(task)
    for learner in configured(name, problem):
        if name == "lightgbm":
            learner.configuration |= {"max_rounds": 20, "patience": None}
        learner.fit(rows, valid=None, work=ONE_THREAD)
        model = TableModel(problem, inputs, learner, labels, Scale())
        strange = strange_rows()
        given = graph_answers(model, strange)
        ours = model.answers(block_of(inputs, strange))
        if task == "regression":
            np.testing.assert_allclose(given["prediction"], ours, rtol=1e-4 if name in SINGLE else 1e-12)
            assert given["prediction"].shape == (60,)
            continue
        tolerance = (1e-4, 1e-6) if name in SINGLE else (1e-9, 1e-14)
        np.testing.assert_allclose(given["probabilities"], ours, *tolerance)
        np.testing.assert_allclose(given["probabilities"].sum(axis=1), 1.0, rtol=1e-12)
        assert given["prediction"].tolist() == [labels[i] for i in ours.argmax(axis=1)]


@pytest.mark.parametrize("task", TASKS)
def test_trees_are_equal_to_the_last_bit(task):
    problem, inputs, rows, labels = prepared(task)
    for learner in configured("lightgbm", problem):
        learner.configuration |= {"max_rounds": 20, "patience": None}
        learner.fit(rows, valid=None, work=ONE_THREAD)
        graph, _, _ = TableModel(problem, inputs, learner, labels, Scale()).graph()
        builder_graph = _with_raw(graph)
        raw = session(builder_graph).run(["raw", "features"], inputs.tensors(strange_rows()))
        block = block_of(inputs, strange_rows())
        assert np.array_equal(raw[0], learner.raw(block))
        assert np.array_equal(raw[1], apply_steps(learner.steps, block).numbers, equal_nan=True)


def _with_raw(graph):
    """The graph with its inner points as outputs, as compressing and explaining use it."""
    import onnx

    model = onnx.load_from_string(graph)
    for point in ("raw", "features"):
        model.graph.output.append(onnx.helper.make_tensor_value_info(point, onnx.TensorProto.DOUBLE, None))
    return model.SerializeToString()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["linear", "lightgbm", "network"])
def test_learning_beats_the_baseline(name, task):
    problem, _, rows, _ = prepared(task)
    train, valid = rows.take(np.arange(180)), rows.take(np.arange(180, 240))
    baseline = configured("baseline", problem)[0].fit(train, valid=None, work=ONE_THREAD)
    learner = configured(name, problem)[0].fit(train, valid=valid, work=ONE_THREAD)

    def loss(raw):
        if task == "regression":
            return float(np.mean((raw[:, 0] - valid.target) ** 2))
        scores = np.hstack([np.zeros_like(raw), raw]) if task == "binary" else raw
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return float(-logs[np.arange(60), valid.target.astype(int)].mean())

    assert loss(learner.raw(valid.block)) < 0.9 * loss(baseline.raw(valid.block))


@pytest.mark.parametrize(("name", "task"), ABLE)
def test_weights_count_as_repeated_rows(name, task):
    problem, _, rows, _ = prepared(task)
    weight = np.array([0.0, 1.0, 3.0] * 80)
    weighted = Rows(rows.block, rows.target, weight)
    learner = configured(name, problem)[0].fit(weighted, valid=None, work=ONE_THREAD)
    plain = configured(name, problem)[0].fit(rows, valid=None, work=ONE_THREAD)
    assert not np.allclose(learner.raw(rows.block), plain.raw(rows.block))


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("name", LEARNERS.names())
def test_a_fold_without_some_classes(name, task):
    problem, _, rows, _ = prepared(task)
    for classes in ([0.0], [0.0, 1.0]):
        some = rows.take(np.flatnonzero(np.isin(rows.target, classes)))
        learner = configured(name, problem)[0]
        if name == "lightgbm":
            learner.configuration["max_rounds"] = 5
        raw = learner.fit(some, valid=None, work=ONE_THREAD).raw(rows.block)
        assert raw.shape == (240, problem.num_scores)
        assert np.isfinite(raw).all()
        if task == "multiclass":
            assert np.isin(raw.argmax(axis=1), classes).mean() > 0.9


@pytest.mark.parametrize("name", ["linear", "lightgbm"])
def test_a_stopped_learner_stops(name):
    problem, _, rows, _ = prepared("multiclass")
    work = Work()
    work.cancel.set()
    with pytest.raises(Interrupted):
        configured(name, problem)[0].fit(rows, valid=None, work=work)


def test_boosting_keeps_what_it_has_when_the_time_ends():
    problem, _, rows, _ = prepared("regression")
    learner = LightGBM(problem, {"label": "", "native": True, "max_rounds": 100_000, "patience": None}, seed=1)
    learner.fit(rows, valid=None, work=Work("1s"))
    assert learner.cut_short
    assert np.isfinite(learner.raw(rows.block)).all()


def test_early_stopping_settles_on_the_median_fold():
    problem, _, rows, _ = prepared("regression")
    configuration = {"label": "", "native": True, "max_rounds": 300, "patience": 10, "learning_rate": 0.3}
    fitted = []
    for part in (np.arange(160), np.arange(40, 240), np.arange(20, 200)):
        rest = np.setdiff1d(np.arange(240), part)
        learner = LightGBM(problem, configuration, seed=1)
        fitted.append(learner.fit(rows.take(part), valid=rows.take(rest), work=ONE_THREAD))
    settled = LightGBM.settled(configuration, fitted)
    assert settled["patience"] is None
    rounds = sorted(learner._rounds for learner in fitted)
    assert settled["max_rounds"] == rounds[1] < 300
    assert fitted[0].limited({"max_rounds": 3}).training_state()["lightgbm.txt"].count(b"Tree=") == 3


@pytest.mark.parametrize("task", TASKS)
def test_lightgbm_reads_the_state_again(task):
    problem, _, rows, _ = prepared(task)
    learner = configured("lightgbm", problem)[0].fit(rows, valid=None, work=ONE_THREAD)
    text = learner.training_state()["lightgbm.txt"].decode()
    features = apply_steps(learner.steps, rows.block).numbers
    again = lightgbm.Booster(model_str=text).predict(features, raw_score=True)
    assert np.array_equal(again.reshape(240, -1), learner.raw(rows.block))
    assert "num_threads" not in text


def test_linear_state_holds_steps_and_coefficients():
    problem, _, rows, _ = prepared("multiclass")
    learner = configured("linear", problem)[0].fit(rows, valid=None, work=ONE_THREAD)
    state = json.loads(learner.training_state()["linear.json"])
    assert [len(state["coefficients"][0]), len(state["intercepts"])] == [3, 3]
    assert state["steps"][0]["step"] == "calendar"


def test_problem_of_the_tests_has_every_kind():
    kinds = {make_schema()[name].kind for name in FEATURES}
    assert kinds == {Kind.NUMBER, Kind.CATEGORY, Kind.DATETIME, Kind.BOOLEAN}


@pytest.mark.parametrize("task", TASKS)
def test_linear_coefficients_are_those_of_scikit_learn(task):
    from sklearn.linear_model import LogisticRegression, Ridge

    weight = np.random.default_rng(0).random(240)
    problem, _, rows, _ = prepared(task, weight=weight)
    learner = configured("linear", problem)[0].fit(rows, valid=None, work=ONE_THREAD)
    features = apply_steps(learner.steps, rows.block).numbers
    theirs = Ridge(alpha=1.0) if task == "regression" else LogisticRegression(C=1.0, tol=1e-8, max_iter=10_000)
    theirs.fit(features, rows.target, sample_weight=weight)
    state = json.loads(learner.training_state()["linear.json"])
    np.testing.assert_allclose(np.array(state["coefficients"]).T, np.atleast_2d(theirs.coef_), rtol=1e-3, atol=1e-3)


def test_wide_regression_is_the_same_by_iterating(monkeypatch):
    problem, _, rows, _ = prepared("regression")
    exact = configured("linear", problem)[0].fit(rows, valid=None, work=ONE_THREAD).raw(rows.block)
    monkeypatch.setattr("lepton.training.learners.linear._MAX_NORMAL", 1)
    iterated = configured("linear", problem)[0].fit(rows, valid=None, work=ONE_THREAD).raw(rows.block)
    np.testing.assert_allclose(iterated, exact, rtol=1e-3)


def test_large_tables_give_the_linear_model_some_rows(monkeypatch):
    problem, _, rows, _ = prepared("regression")
    monkeypatch.setattr("lepton.training.learners.linear._MAX_CELLS", 2_000)
    learner = configured("linear", problem)[0].fit(rows, valid=None, work=ONE_THREAD)
    assert np.isfinite(learner.raw(rows.block)).all()


def test_threads_of_lightgbm_sleep_while_they_wait(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    LightGBM.load()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    LightGBM.load()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
