"""Keras, TensorFlow and JAX, where they are installed; elsewhere the tests are skipped, visibly."""

import os

import numpy as np
import pytest

from lepton.compute.confine import why_not
from lepton.core import LeptonError


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of tensors, as Keras reads them
def test_keras(bring, tmp_path):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    image = keras.Input((6, 6, 1), name="image")
    hidden = keras.layers.BatchNormalization()(keras.layers.Conv2D(2, 3)(image))
    shares = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(hidden))
    model = keras.Model(image, shares)
    result, mine = bring(model, labels=("a", "b", "c"))
    assert result.report["largest"] <= 1e-5
    assert mine.manifest.inputs[0].kind == "image"
    if why_not():
        pytest.skip(why_not())
    model.save(tmp_path / "net.keras")
    result, _ = bring(tmp_path / "net.keras", trust=True)
    assert result.report["largest"] <= 1e-5
    sequence = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)])
    sequence.save(tmp_path / "sequence.keras")
    result, mine = bring(tmp_path / "sequence.keras", trust=True)
    rows = np.ones((2, 5), np.float32)
    assert mine.predict(rows) == pytest.approx(keras.ops.convert_to_numpy(sequence(rows))[:, 0], abs=1e-5)
    entry = keras.Input((3,))
    keras.Model(entry, keras.layers.Lambda(lambda x: x * 2)(entry)).save(tmp_path / "code.keras")
    with pytest.raises(LeptonError, match="Lambda layer"):
        bring(tmp_path / "code.keras", trust=True)


def test_tensorflow(bring, tmp_path):
    tensorflow = pytest.importorskip("tensorflow")
    pytest.importorskip("tf2onnx")
    if why_not():
        pytest.skip(why_not())
    module = tensorflow.Module()
    weights = tensorflow.Variable(np.ones((3, 2), np.float32))
    module.weights = weights
    spec = tensorflow.TensorSpec((None, 3), tensorflow.float32, name="x")
    module.call = tensorflow.function(lambda x: {"scores": x @ weights}, input_signature=[spec])
    tensorflow.saved_model.save(module, str(tmp_path / "saved"), signatures={"serving_default": module.call})
    result, mine = bring(tmp_path / "saved", trust=True)
    assert (result.framework, mine.task.name) == ("tensorflow", "tensor")
    assert mine.run({"x": np.ones((2, 3), np.float32)})["scores"].tolist() == [[3.0, 3.0]] * 2


def test_jax(bring):
    jax = pytest.importorskip("jax")
    pytest.importorskip("jax2onnx")
    weights = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)

    @jax.jit
    def scores(x):
        return jax.numpy.tanh(x @ weights)

    rows = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    result, mine = bring(scores, sample=rows)
    assert result.report["largest"] <= 1e-5
    assert mine.run({"x": rows})["output"] == pytest.approx(np.tanh(rows @ weights), abs=1e-6)
