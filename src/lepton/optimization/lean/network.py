"""The part of a graph that learns: from its first layer with weights to the scores behind its last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Manifest
from lepton.core import ErrorCode, TrainingError
from lepton.optimization.lean.base import Draft, Subject
from lepton.optimization.lean.graphs import parse

__all__ = [
    "ELEMENTWISE",
    "OPERATORS",
    "Network",
    "Node",
    "find_network",
    "network_to_teach",
    "read_network",
    "refusal_to_teach",
]

_ELEMENTWISE = """
Abs Cast Ceil Celu Clip Cos Dropout Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity IsNaN LeakyRelu Log Mish Neg
Not Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign Sqrt Tanh ThresholdedRelu
"""
_OTHERS = """
Add And AveragePool BatchNormalization Concat Conv ConvTranspose Div Equal Expand Flatten Gather Gemm GlobalAveragePool
GlobalMaxPool Greater GreaterOrEqual InstanceNormalization LayerNormalization Less LessOrEqual LogSoftmax MatMul Max
MaxPool Min Mul Or PRelu Pad Pow ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum Reshape Resize Shape Slice Softmax
Split Squeeze Sub Sum Tile Transpose Unsqueeze Where
"""

ELEMENTWISE = frozenset(_ELEMENTWISE.split())
"""Operators of one tensor whose every number depends on one number."""

OPERATORS = ELEMENTWISE | frozenset(_OTHERS.split())
"""Operators that can be learned through: those that `nets.operators.RUN` has a function for."""

_ANSWERS = {"binary", "multiclass", "multilabel", "regression"}
_LEAST_ROWS = 20
_WRAPPING = frozenset({"Identity", "Cast"})


@dataclass(frozen=True)
class Node:
    """One operator.

    Attributes:
        op: its type.
        inputs: names of values; empty where an optional one is left out.
        outputs: as `inputs`.
        attributes: numbers, texts, lists of them, arrays.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """What learns in a graph.

    Attributes:
        graph: the whole graph, serialized.
        nodes: those that learn and those behind them up to the scores, in order.
        constants: every constant that they read.
        inputs: values that come from before, made by the rest of the graph; the first size of each is N.
        output: value with the scores.
        answer: what becomes of the scores: `softmax`, `sigmoid` or `numbers`.
    """

    graph: bytes
    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[Any]]
    inputs: tuple[str, ...]
    output: str
    answer: str

    @property
    def weights(self) -> tuple[str, ...]:
        """Constants that learn: single precision, more than one number; means and variances do not."""
        measured = {name for node in self.nodes if node.op == "BatchNormalization" for name in node.inputs[3:5]}
        shapes = {name for node in self.nodes if node.op == "Resize" for name in node.inputs[1:]}
        return tuple(
            name
            for name, value in self.constants.items()
            if value.dtype == np.float32
            and value.size > 1
            and name not in measured | shapes
            and np.isfinite(value).all()
        )

    @property
    def num_weights(self) -> int:
        """How many numbers learn."""
        return sum(self.constants[name].size for name in self.weights)

    def refusal(self) -> str | None:
        """The operator that cannot be learned through, told to a person; None where there is none."""
        unknown = sorted({node.op for node in self.nodes if node.op not in OPERATORS})
        if unknown:
            return f"the network uses {', '.join(unknown)}, which cannot be taken over into PyTorch"
        return None

    def changed(self, nodes: Iterable[Node], constants: Mapping[str, NDArray[Any]]) -> Network:
        """The network with other nodes and constants in the same place of the same graph."""
        made = replace(self, nodes=tuple(nodes), constants=dict(constants))
        return replace(made, graph=_write(self, made))


def find_network(graph: bytes, manifest: Manifest) -> Network | str:
    """What learns in a graph, or why there is nothing that can be told as a network.

    Args:
        graph: serialized.
        manifest: of its bundle.

    Returns:
        The network; or the reason, for a person to read.
    """
    model = parse(graph)
    if manifest.task not in _ANSWERS:
        return f"the task {manifest.task} has no scores that a network could be taught by"
    constants = _constants(model)
    nodes = [node for node in map(_node, model.graph.node) if node.op != "Constant"]
    makers = {name: node for node in nodes for name in node.outputs}
    found = _scores(manifest, makers, constants)
    if found is None:
        return "the scores behind its probabilities are not to be told from the graph"
    output, answer = found
    behind = _apart(_learning(nodes, output, makers, constants), constants)
    if not any(_learns(node, constants) for node in behind):
        return "it has no layer of weights, as networks have"
    made = {name for node in behind for name in node.outputs}
    read = dict.fromkeys(name for node in behind for name in node.inputs if name)
    inputs = tuple(name for name in read if name not in made and name not in constants)
    return Network(
        graph, tuple(behind), {name: constants[name] for name in read if name in constants}, inputs, output, answer
    )


def read_network(graph: bytes, manifest: Manifest) -> Network:
    """What learns in a graph; see `find_network`.

    Raises:
        TrainingError: there is nothing that can be told as a network.
    """
    found = find_network(graph, manifest)
    if isinstance(found, str):
        raise TrainingError(ErrorCode.TRAINING_FAILED, found, wanted="a network of layers")
    return found


def refusal_to_teach(subject: Subject) -> str | None:
    """Why no network can be taught here, for a person to read; None where one can."""
    rows = subject.learn
    if find_spec("torch") is None:
        return "PyTorch is not installed, which networks are taught with: pip install 'lepton-ai[deep]'"
    if len(rows) < _LEAST_ROWS:
        return f"there are {len(rows)} rows to learn from, fewer than the {_LEAST_ROWS} that teaching a network takes"
    if any(tensor.dtype == object for tensor in rows.tensors.values()):
        return "its rows are of unequal shapes or texts, which networks are not taught with"
    return None


def network_to_teach(subject: Subject, draft: Draft) -> Network | str:
    """The network of a draft if it can be taught with the rows there are; else why not, for a person to read."""
    if (reason := refusal_to_teach(subject)) is not None:
        return reason
    network = find_network(draft.graph, draft.manifest)
    return network if isinstance(network, str) else network.refusal() or network


def _node(proto: Any) -> Node:
    from onnx import helper, numpy_helper

    attributes = {}
    for each in proto.attribute:
        value = helper.get_attribute_value(each)
        if hasattr(value, "dims"):
            value = numpy_helper.to_array(value)
        attributes[each.name] = value.decode() if isinstance(value, bytes) else value
    domain = "" if proto.domain in ("", "ai.onnx") else f"{proto.domain}."
    return Node(domain + proto.op_type, tuple(proto.input), tuple(proto.output), attributes)


def _constants(model: Any) -> dict[str, NDArray[Any]]:
    """Every value that depends on no input: initializers, `Constant`s, and what is made of them alone."""
    from onnx import TensorProto, numpy_helper
    from onnx.reference import ReferenceEvaluator

    found = {
        each.name: numpy_helper.to_array(each)
        for each in model.graph.initializer
        if each.data_type != TensorProto.STRING
    }
    texts = {each.name for each in model.graph.initializer} - set(found)
    for proto in model.graph.node:
        fixed = all(name in found for name in proto.input if name) and not any(a.type == 5 for a in proto.attribute)
        if proto.op_type.startswith("Random") or not fixed or (not any(proto.input) and proto.op_type != "Constant"):
            continue
        if proto.op_type in ("DequantizeLinear", "QuantizeLinear") or texts & set(proto.output):
            continue
        try:
            values = ReferenceEvaluator(proto).run(None, {name: found[name] for name in proto.input if name})
        except Exception:  # noqa: BLE001, S112 - of any operator; it is then a node like others
            continue
        made = zip(proto.output, map(np.asarray, values), strict=True)
        found |= {name: value for name, value in made if value.dtype.kind in "biuf"}
    return found


def _scores(
    manifest: Manifest, makers: Mapping[str, Node], constants: Mapping[str, NDArray[Any]]
) -> tuple[str, str] | None:
    """The value that the answers are made of, and how."""
    if manifest.task == "regression":
        return "prediction", "numbers"
    value = "probabilities"
    while (node := makers.get(value)) is not None:
        if node.op == "Softmax":
            return node.inputs[0], "softmax"
        if node.op == "Sigmoid":
            return node.inputs[0], "sigmoid"
        is_pair = node.op == "Concat" and len(node.inputs) == 2  # 1 - p beside p
        if not is_pair and node.op not in _WRAPPING and not (node.op == "Reshape" and node.inputs[1] in constants):
            break
        value = node.inputs[-1] if is_pair else node.inputs[0]
    if (raw := manifest.inner.get("raw")) is not None:
        return raw, "sigmoid" if manifest.task == "multilabel" else "softmax"
    return None


def _learns(node: Node, constants: Mapping[str, NDArray[Any]]) -> bool:
    """Whether a node is a layer of weights."""
    if node.op in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return any(name in constants and constants[name].dtype == np.float32 for name in node.inputs[:2])
    if node.op == "Gather":  # an embedding
        table = constants.get(node.inputs[0])
        return table is not None and table.dtype == np.float32 and table.ndim == 2
    return False


def _learning(
    nodes: Sequence[Node], output: str, makers: Mapping[str, Node], constants: Mapping[str, NDArray[Any]]
) -> list[Node]:
    """Nodes that the scores need and that are layers, stand behind one, or tell the sizes of something."""
    needed, wanted = set(), [output]
    while wanted:
        name = wanted.pop()
        if name in makers and name not in needed and name not in constants:
            needed.add(name)
            wanted.extend(makers[name].inputs)
    behind: set[str] = set()
    found = []
    for node in nodes:
        if not needed.intersection(node.outputs):
            continue
        if _learns(node, constants) or node.op == "Shape" or behind.intersection(node.inputs):
            behind.update(node.outputs)
            found.append(node)
    return found


def _apart(nodes: Sequence[Node], constants: dict[str, NDArray[Any]]) -> list[Node]:
    """The nodes, each with biases and scales of its own: writers keep equal constants once."""
    taken: set[str] = set()
    made = []
    for node in nodes:
        names = list(node.inputs)
        for place, name in enumerate(names):
            value = constants.get(name)
            if value is None or value.dtype != np.float32 or value.size == 1 or value.size != max(value.shape):
                continue
            if name in taken:
                names[place] = f"{node.outputs[0]}/input_{place}"
                constants[names[place]] = value
            taken.add(names[place])
        made.append(replace(node, inputs=tuple(names)))
    return made


def _write(before: Network, after: Network) -> bytes:
    """The graph with the nodes of a network in the place of those that were there; what nobody reads is left out."""
    from onnx import helper, numpy_helper

    model = parse(before.graph)
    graph = model.graph
    replaced = {node.outputs[0] for node in before.nodes}
    behind = {name for node in before.nodes for name in node.outputs}
    front, rest = [], []
    for proto in graph.node:
        if proto.output and proto.output[0] in replaced:
            continue
        if behind.intersection(proto.input):
            behind.update(proto.output)
            rest.append(proto)
        else:
            front.append(proto)
    made = [
        helper.make_node(
            node.op, node.inputs, node.outputs, name=node.outputs[0],
            **{k: numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v for k, v in node.attributes.items()},
        )
        for node in after.nodes
    ]  # fmt: skip
    kept, read = [], {output.name for output in graph.output}
    for proto in reversed([*front, *made, *rest]):
        if read.intersection(proto.output):
            kept.append(type(proto).FromString(proto.SerializeToString()))
            read.update(proto.input)
            read.update(name for each in proto.attribute for node in each.g.node for name in node.input)
    theirs = {name for proto in kept for name in proto.output if name not in after.constants}
    constants = {name: value for name, value in after.constants.items() if name in read}
    initializers = [
        each
        for each in graph.initializer
        if each.name in read and each.name not in constants and each.name not in theirs
    ]
    initializers = [type(each).FromString(each.SerializeToString()) for each in initializers]
    initializers += [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(
        proto
        for proto in reversed(kept)
        if not set(proto.output) <= set(constants)  # what was a node is a constant now
    )
    graph.initializer.extend(initializers)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
