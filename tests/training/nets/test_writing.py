from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from lepton.bundle import open_model, read_bundle
from lepton.bundle.tensor_records import TensorRecord
from lepton.core import UsageError
from lepton.training.nets.writing import write_net

WEIGHTS = np.array([[1.0, -1.0, 0.5], [0.0, 2.0, -0.5]], dtype=np.float32)
ROWS = np.array([[0.5, 1.0], [2.0, 0.1]], dtype=np.float32)


def _write(path, task, labels, columns=3, **options):
    def net(builder, values):
        product = builder.node("MatMul", [values["x"], builder.constant(WEIGHTS[:, :columns])])
        return (product, values["x"]) if "embedding" in options else product

    tensors = [TensorRecord("x", "float", (None, 2))]
    return write_net(path, name="plain", net=net, task=task, tensors=tensors, labels=labels, **options)


def test_classes_have_labels_and_probabilities(tmp_path):
    path = tmp_path / "classes.lepton"
    _write(path, "multiclass", ["a", "b", "c"], embedding=2)
    model = open_model(path)
    found = model.run({"x": ROWS})
    logits = (ROWS @ WEIGHTS).astype(np.float64)
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found["probabilities"], wanted, rtol=1e-12)
    assert found["prediction"].tolist() == ["b", "a"]
    np.testing.assert_array_equal(found["embedding"], ROWS)
    plain = onnxruntime.InferenceSession(read_bundle(path).graph).run(None, {"x": ROWS})
    for value, name in zip(plain, found, strict=True):
        np.testing.assert_array_equal(value, found[name])


def test_several_labels_may_hold(tmp_path):
    _write(tmp_path / "m.lepton", "multilabel", ["a", "b", "c"])
    found = open_model(tmp_path / "m.lepton").run({"x": ROWS})
    assert found["prediction"].tolist() == (ROWS @ WEIGHTS >= 0).astype(int).tolist()
    np.testing.assert_allclose(found["probabilities"], 1 / (1 + np.exp(-(ROWS @ WEIGHTS).astype(np.float64))))


def test_numbers_are_plain(tmp_path):
    _write(tmp_path / "n.lepton", "regression", None, columns=1)
    found = open_model(tmp_path / "n.lepton").run({"x": ROWS})
    np.testing.assert_allclose(found["prediction"], ROWS @ WEIGHTS[:, 0])


def test_the_same_net_has_the_same_model_id_and_another_task_is_refused(tmp_path):
    first, second = (_write(tmp_path / f"{n}.lepton", "multiclass", [3, 1, 2]) for n in "ab")
    assert first == second
    assert open_model(tmp_path / "a.lepton").run({"x": ROWS})["prediction"].tolist() == [1, 3]
    for task, labels in (("forecast", ["a"]), ("multiclass", None)):
        with pytest.raises(UsageError, match="task"):
            _write(tmp_path / "c.lepton", task, labels)
