"""Students answer nearly as those that taught them."""

import numpy as np
import pytest

pytest.importorskip("torch")

from lepton.bundle import read_bundle
from lepton.bundle.tensor_records import TensorRecord
from lepton.evaluation import metric
from lepton.optimization.lean.base import Draft, Setting, Subject
from lepton.optimization.lean.steps.student import Student
from lepton.training.nets.writing import write_net
from tests.optimization.lean.networks import WORK, Layers, pictures, rows_of, subject_of, written
from tests.optimization.lean.tables import made_subject


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A few passes are enough here."""
    monkeypatch.setattr("lepton.optimization.lean.nets.students._PASSES", 2.5)


def test_a_lepton_net_learns_from_a_model_of_pictures(tmp_path):
    subject = subject_of(written(tmp_path, "residual"), learn=160)
    made = Student().apply(subject, subject.original, Setting("small", {"width": 0.25}), WORK)
    assert made.training["kind"] == b"lepton-net"
    with made.opened(WORK.resources) as predictor:
        answers = subject.choose.judged(predictor)
    assert np.mean(answers.predicted == answers.y) > 0.85


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_hidden_layers_learn_from_a_model_of_vectors(tmp_path, task, monkeypatch):
    monkeypatch.setattr("lepton.optimization.lean.nets.students._PASSES", 12.0)

    def net(builder, values):
        layers = Layers(builder)
        x = layers.node("Cast", values["signal"], to=1)
        x = layers.node("Atan", layers.dense(x, 6, 400))  # which nothing else here is taught through
        return layers.dense(x, 400, 3 if task == "multiclass" else 1)

    path = tmp_path / "vectors.lepton"
    labels = ("a", "b", "c") if task == "multiclass" else None
    write_net(path, name="v", net=net, task=task, tensors=[TensorRecord("signal", "double", (None, 6))], labels=labels)
    rows = [np.random.default_rng(seed).normal(0.2, 0.5, size=(400, 6)) for seed in (0, 1)]
    learn, choose = (rows_of(path, x, np.zeros(len(x)), labelled=False) for x in rows)
    draft = Draft.of(read_bundle(path))
    subject = Subject(draft, learn, choose, metric("accuracy" if labels else "r2", task))
    step = Student()
    assert step.refuses(subject, draft) is None
    assert [setting.values["hidden"] for setting in step.settings(subject, draft)] == [32]
    made = step.apply(subject, draft, step.settings(subject, draft)[0], WORK)
    assert len(made.graph) < len(draft.graph)
    with made.opened(WORK.resources) as predictor:
        answers = choose.judged(predictor)
    if labels:
        assert np.mean(answers.predicted == answers.y) > 0.8
    else:
        assert np.corrcoef(answers.predicted, answers.y)[0, 1] > 0.8


def test_channels_that_come_first_are_turned(tmp_path):
    path = tmp_path / "first.lepton"

    def net(builder, values):
        layers = Layers(builder)
        x = layers.node("Relu", layers.dense(layers.node("Flatten", values["image"], axis=1), 64, 200))
        return layers.dense(x, 200, 3)

    tensors = [TensorRecord("image", "float", (None, 1, 8, 8))]
    write_net(path, name="first", net=net, task="multiclass", tensors=tensors, labels=("a", "b", "c"))
    x, y = pictures(160)
    rows = rows_of(path, np.moveaxis(x, 3, 1).astype(np.float32), y)
    subject = Subject(Draft.of(read_bundle(path)), rows, rows, metric("accuracy", "multiclass"))
    made = Student().apply(subject, subject.original, Student().settings(subject, subject.original)[-1], WORK)
    assert made.training["kind"] == b"none"
    with made.opened(WORK.resources) as predictor:
        answers = rows.judged(predictor)
    assert np.mean(answers.predicted == answers.y) > 0.85


def test_what_has_no_student_is_told(tmp_path):
    network = subject_of(written(tmp_path, "residual"))
    assert "can be cut" in str(Student().refuses(network, network.original))
    trees = made_subject("binary")
    assert "pictures" in str(Student().refuses(trees, trees.original))
