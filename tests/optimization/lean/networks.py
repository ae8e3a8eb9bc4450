"""Small networks with drawn weights, as bundles and as subjects of compression."""

import numpy as np
import polars as pl

from lepton.bundle import open_model, read_bundle
from lepton.bundle.tensor_records import TensorRecord
from lepton.core import Resources, Work
from lepton.evaluation import metric
from lepton.evaluation.answers import Answers
from lepton.optimization.lean.base import Draft, Subject
from lepton.optimization.lean.rows import Rows
from lepton.training.nets.writing import write_net

WORK = Work(seed=0, resources=Resources(cpus=1))
SIDE, CLASSES = 8, 3


class Layers:
    """Writes layers with drawn weights behind each other."""

    def __init__(self, builder, seed=0):
        self.builder = builder
        self.generator = np.random.default_rng(seed)

    def drawn(self, *shape, scale=None):
        size = scale or 1.4 / np.sqrt(max(1, np.prod(shape[1:])))
        return self.builder.constant((self.generator.normal(size=shape) * size).astype(np.float32))

    def node(self, op, *inputs, **given):
        return self.builder.node(op, list(inputs), **given)

    def conv(self, x, before, after, kernel=3, *, group=1, strides=1, bias=True):
        weights = [self.drawn(after, before // group, kernel, kernel)] + (
            [self.drawn(after, scale=0.1)] if bias else []
        )
        return self.node(
            "Conv", x, *weights, group=group, kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, strides=[strides] * 2
        )

    def dense(self, x, before, after, *, turned=True):
        weight = self.drawn(after, before) if turned else self.drawn(before, after, scale=1.4 / np.sqrt(before))
        return self.node("Gemm", x, weight, self.drawn(after, scale=0.1), transB=int(turned))

    def mixed(self, x, before, after):
        return self.node("MatMul", x, self.drawn(before, after, scale=1.4 / np.sqrt(before)))

    def pooled(self, x):
        return self.node("Flatten", self.node("GlobalAveragePool", x), axis=1)

    def ints(self, *values):
        return self.builder.constant(np.array(values, dtype=np.int64))

    def image(self, value):
        """Pictures [N, 8, 8, 1] uint8 → [N, 1, 8, 8]."""
        x = self.node("Transpose", self.node("Cast", value, to=1), perm=[0, 3, 1, 2])
        return self.node("Div", x, self.builder.constant(np.float32(64.0)))


def mlp(net, x):
    x = net.node("Flatten", x, axis=1)
    x = net.node("Relu", net.dense(x, 64, 24))
    x = net.node("Relu", net.dense(x, 24, 16, turned=False))
    return net.dense(x, 16, CLASSES)


def convolutional(net, x):
    x = net.node("Relu", net.conv(x, 1, 6))
    x = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.node("Clip", net.conv(x, 6, 10), net.builder.constant(np.float32(0)), net.builder.constant(np.float32(6)))
    x = net.node("AveragePool", x, kernel_shape=[3, 3], pads=[0, 0, 1, 1], strides=[2, 2])
    return net.dense(net.node("Flatten", x, axis=1), 40, CLASSES)


def residual(net, x):
    x = net.node("Relu", net.conv(x, 1, 6))
    for before, after, strides in ((6, 6, 1), (6, 10, 2)):
        y = net.conv(net.node("Relu", net.conv(x, before, 7, strides=strides, bias=False)), 7, after)
        way = x if before == after else net.conv(x, before, after, 1, strides=strides)
        x = net.node("Relu", net.node("Add", y, way))
    return net.dense(net.node("Flatten", net.node("ReduceMean", x, net.ints(2, 3)), axis=1), 10, CLASSES)


def depthwise(net, x):
    x = net.node("HardSwish", net.conv(x, 1, 8))
    y = net.node("HardSwish", net.conv(x, 8, 8, group=8))
    gate = net.node("Relu", net.conv(net.node("GlobalAveragePool", y), 8, 4, 1))
    y = net.node("Mul", y, net.node("Sigmoid", net.conv(gate, 4, 8, 1)))
    x = net.node("Add", x, net.conv(y, 8, 8, 1))
    return net.dense(net.pooled(x), 8, CLASSES)


def normalised(net, x):
    """A convolution with its normalisation apart, and one whose channels are split, cut and put together again."""
    x = net.conv(x, 1, 8, bias=False)
    norm = [net.drawn(8, scale=0.3) for _ in range(3)]
    spread = net.builder.constant(net.generator.uniform(0.5, 1.5, 8).astype(np.float32))
    x = net.node("Relu", net.node("BatchNormalization", x, *norm, spread))
    left, right = net.node("Split", x, net.ints(5, 3), axis=1, outputs=2)
    part = net.node("Slice", x, net.ints(2), net.ints(6), net.ints(1))
    x = net.node("Concat", net.node("Tanh", right), left, part, axis=1)
    return net.dense(net.pooled(net.node("Relu", net.conv(x, 12, 6))), 6, CLASSES)


def channels_last(net, x):
    """As Keras writes it: convolutions between transpositions, and sizes in constants."""
    x = net.node("Transpose", net.conv(x, 1, 6), perm=[0, 2, 3, 1])
    x = net.node("Relu", net.node("Add", x, net.drawn(6, scale=0.1)))
    x = net.conv(net.node("Transpose", x, perm=[0, 3, 1, 2]), 6, 5, strides=2)
    x = net.node("Reshape", net.node("Transpose", x, perm=[0, 2, 3, 1]), net.ints(-1, 80))
    x = net.node("Relu", net.node("Add", net.mixed(x, 80, 12), net.drawn(12, scale=0.1)))
    return net.node("Add", net.mixed(x, 12, CLASSES), net.drawn(CLASSES, scale=0.1))


def attention(net, x):
    """Two heads over the rows of a picture."""
    x = net.mixed(net.node("Reshape", x, net.ints(0, 8, 8)), 8, 12)

    def heads(value, turned):
        return net.node("Transpose", net.node("Reshape", value, net.ints(0, 8, 4, 3)), perm=turned)

    query, key, value = (net.mixed(x, 12, 12) for _ in range(3))
    scores = net.node("MatMul", heads(query, [0, 2, 1, 3]), heads(key, [0, 2, 3, 1]))
    scores = net.node("Softmax", net.node("Mul", scores, net.builder.constant(np.float32(0.58))), axis=-1)
    y = net.node("MatMul", scores, heads(value, [0, 2, 1, 3]))
    y = net.node("Reshape", net.node("Transpose", y, perm=[0, 2, 1, 3]), net.ints(0, 8, 12))
    x = net.node("Add", x, net.mixed(y, 12, 12))
    x = net.node("LayerNormalization", x, net.drawn(12, scale=1.0), net.drawn(12, scale=0.1), axis=-1)
    x = net.node("Add", x, net.mixed(net.node("Gelu", net.mixed(x, 12, 20)), 20, 12))
    return net.dense(net.node("ReduceMean", x, net.ints(1), keepdims=0), 12, CLASSES)


NETS = {each.__name__: each for each in (mlp, convolutional, residual, depthwise, normalised, channels_last, attention)}


def written(folder, name, *, task="multiclass", seed=0):
    """The file of a network."""
    path = folder / f"{name}-{task}-{seed}.lepton"

    def net(builder, values):
        layers = Layers(builder, seed)
        scores = NETS[name](layers, layers.image(values["image"]))
        return layers.node("Gather", scores, layers.ints(0), axis=1) if task == "regression" else scores

    write_net(
        path, name=name, net=net, task=task, tensors=[TensorRecord("image", "uint8", (None, SIDE, SIDE, 1))],
        labels=None if task == "regression" else ("a", "b", "c"),
    )  # fmt: skip
    return path


def pictures(count, seed=0):
    """Pictures 8 x 8: the class is the corner that is bright."""
    generator = np.random.default_rng(seed)
    y = generator.integers(0, CLASSES, count)
    x = generator.integers(0, 60, (count, SIDE, SIDE, 1))
    for row, label in enumerate(y):
        x[row, (label // 2) * 4 : (label // 2) * 4 + 4, (label % 2) * 4 : (label % 2) * 4 + 4] += 120
    return x.astype(np.uint8), y


def rows_of(path, x, y, labelled=True):
    """Rows with what the model of a file answers to them; with labels, as if it had learned them."""
    model = open_model(path)
    given = model.run({model.manifest.tensors[0].name: x})
    labels = tuple(model.labels or ())
    if labels:
        predicted = np.array([labels.index(each) for each in given["prediction"]])
        truth, shares = np.asarray(y if labelled else predicted, dtype=np.int64), given["probabilities"]
        if labelled:
            predicted, shares = truth, 0.05 + 0.85 * np.eye(len(labels))[truth]
    else:
        predicted = np.asarray(given["prediction"], dtype=np.float64)
        truth, shares = np.asarray(y if labelled else predicted, dtype=np.float64), None
    answers = Answers(model.task.name, "prediction", labels, truth, predicted, shares, None, None, pl.DataFrame())
    return Rows({model.manifest.tensors[0].name: x}, answers, labelled)


def subject_of(path, *, learn=120, choose=40, labelled=True, measure="accuracy"):
    """A subject of made pictures."""
    draft = Draft.of(read_bundle(path))
    some, others = (rows_of(path, x, y, labelled) for x, y in (pictures(learn, 1), pictures(choose, 2)))
    return Subject(draft, some, others, metric(measure, draft.manifest.task))


def answers_of(draft, x):
    """Probabilities of a draft."""
    with draft.opened(WORK.resources) as predictor:
        return predictor.run({draft.manifest.tensors[0].name: x})
