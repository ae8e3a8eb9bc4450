"""Matrices of little rank become products, and stay what they were for the rows there are."""

import numpy as np
import pytest

pytest.importorskip("torch")

from lepton.bundle.tensor_records import TensorRecord
from lepton.core import TrainingError
from lepton.optimization.lean.steps.factors import Factors
from lepton.training.nets.writing import write_net
from tests.optimization.lean.networks import WORK, Layers, answers_of, subject_of, written


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A pass is enough here."""
    monkeypatch.setattr("lepton.optimization.lean.nets.factoring._PASSES", 1.0)


def wide(folder, rank):
    """A network whose large layers are of a low rank."""

    def net(builder, values):
        layers = Layers(builder)
        x = layers.node("Relu", layers.conv(layers.image(values["image"]), 1, 64))
        product = layers.generator.normal(size=(64, rank)) @ layers.generator.normal(size=(rank, 64)) / 20
        kernel = builder.constant(product.astype(np.float32).reshape(64, 64, 1, 1))
        x = layers.pooled(layers.node("Relu", layers.node("Conv", x, kernel, kernel_shape=[1, 1])))
        product = layers.generator.normal(size=(96, rank)) @ layers.generator.normal(size=(rank, 64)) / 20
        x = layers.node("Gemm", x, builder.constant(product.astype(np.float32)), layers.drawn(96, scale=0.1), transB=1)
        return layers.dense(layers.node("Relu", x), 96, 3)

    path = folder / f"wide-{rank}.lepton"
    tensors = [TensorRecord("image", "uint8", (None, 8, 8, 1))]
    write_net(path, name="wide", net=net, task="multiclass", tensors=tensors, labels=("a", "b", "c"))
    return path


def test_layers_of_low_rank_become_two(tmp_path):
    subject = subject_of(wide(tmp_path, 4), labelled=False)
    step, draft = Factors(), subject.original
    assert step.refuses(subject, draft) is None
    small = step.apply(subject, draft, step.settings(subject, draft)[0], WORK)
    assert len(small.graph) < 0.5 * len(draft.graph)
    x = subject.choose.tensors["image"]
    before, after = (answers_of(each, x)["probabilities"] for each in (draft, small))
    np.testing.assert_allclose(after, before, atol=0.1)
    assert "already" in str(step.refuses(subject, small))


def test_layers_of_full_rank_stay(tmp_path):
    subject = subject_of(wide(tmp_path, 64))
    step = Factors()
    with pytest.raises(TrainingError, match="no matrix"):
        step.apply(
            subject, subject.original, type(step.settings(subject, subject.original)[0])("all", {"share": 1.0}), WORK
        )


def test_small_networks_are_told(tmp_path):
    subject = subject_of(written(tmp_path, "mlp"))
    assert "4,096" in str(Factors().refuses(subject, subject.original))
