"""Layers computed in whole numbers: what goes into them, their weights and what comes out of convolutions in 8 bits.

The graph says so by pairs of `QuantizeLinear` and `DequantizeLinear` around float operators, all of the standard;
onnxruntime makes one integer operator of each such group at opening.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.ranges import Observed
from lepton.optimization.lean.unpacking import Palette, unpacked
from lepton.optimization.lean.weights import (
    FLOAT,
    Names,
    Weight,
    constants_of,
    finish,
    lift_constants,
    put_before,
    scales_of,
    uses_of,
    weights_of,
)

__all__ = ["LEVELS", "Layer", "Plan", "layers_of", "mean_shift", "quantised", "values_of"]

LEVELS = 64
"""Steps of a weight to each side. Of more, processors without integer dot products add up to other sums than those
with them: two products of 255 and 64 are the most that their 16 bits hold (decision 0228)."""

_STEPS = 255
_MOVERS = frozenset({"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "MaxPool", "Slice", "GatherND"})
_LARGEST_BIAS = 2.0**30


@dataclass(frozen=True, slots=True)
class Layer:
    """A node that can be computed in whole numbers.

    Attributes:
        output: its value, by which it is known.
        operator: `Conv`, `Gemm` or `MatMul`.
        given: the value it takes.
        weight: its weight.
        bias: name of its constant bias, or "".
        result: the value to keep in 8 bits behind it, the rectifier included; "" where it stays float.
    """

    output: str
    operator: str
    given: str
    weight: Weight
    bias: str
    result: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How layers are quantised.

    Attributes:
        layers: those that are.
        ranges: value → least and largest.
        shifts: output of a layer → what is added to its bias [channels], where something is.
        palettes: output of a layer → its weight in a few whole numbers, where it is stored so.
    """

    layers: Sequence[Layer]
    ranges: Mapping[str, tuple[float, float]]
    shifts: Mapping[str, NDArray[np.float64]]
    palettes: Mapping[str, Palette] = field(default_factory=dict)


def layers_of(model: Any) -> list[Layer]:
    """The layers of a graph whose constants are lifted, in order: float, with constant weight and bias."""
    constants, uses = constants_of(model), uses_of(model)
    weights = {weight.name: weight for weight in weights_of(model, least=1) if weight.stored == FLOAT}
    outputs = {each.name for each in model.graph.output}
    found = []
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul") or node.input[1] not in weights:
            continue
        weight = weights[node.input[1]]
        if len(uses[weight.name]) > 1 or not _is_plain(node, weight) or node.input[0] in constants:
            continue
        bias = node.input[2] if len(node.input) > 2 else ""
        channels = weight.values.shape[weight.axis]
        if bias and (bias not in constants or int(np.prod(constants[bias].dims)) != channels):
            continue
        output = node.output[0]
        behind = uses.get(output, [])
        rectified = len(behind) == 1 and behind[0][0].op_type == "Relu" and output not in outputs
        result = output if node.op_type == "Conv" else ""
        if rectified and node.op_type != "MatMul":  # else onnxruntime makes one float operator of both
            result = behind[0][0].output[0]
        found.append(Layer(output, node.op_type, node.input[0], weight, bias, result))
    return found


def _is_plain(node: Any, weight: Weight) -> bool:
    """Whether the node multiplies and adds, and no more."""
    told = {each.name: each for each in node.attribute}
    if node.op_type == "Conv":
        return weight.values.ndim >= 3
    if node.op_type == "MatMul":
        return weight.values.ndim == 2
    factors = [told[name].f for name in ("alpha", "beta") if name in told]
    return all(factor == 1.0 for factor in factors) and not ("transA" in told and told["transA"].i)


def values_of(model: Any, layers: Sequence[Layer]) -> list[str]:
    """The values whose ranges must be known to quantise the layers, in order."""
    kept, _ = _kept(model, layers)
    return kept


def _kept(model: Any, layers: Sequence[Layer]) -> tuple[list[str], dict[str, str]]:
    """The values in 8 bits, and for those that nodes only move, the value whose range they share."""
    made = {name: node for node in model.graph.node for name in node.output}
    kept = dict.fromkeys(name for layer in layers for name in (layer.given, layer.result) if name)
    for node in model.graph.node:  # sums of two layers, rectified, as they stand behind shortcuts
        summed = made.get(node.input[0]) if node.op_type == "Relu" else None
        if summed is not None and summed.op_type == "Add" and all(name in kept for name in summed.input):
            kept[node.output[0]] = None
    shared: dict[str, str] = {}
    for name in list(kept):
        chain = [name]
        while chain[-1] in made and made[chain[-1]].op_type in _MOVERS and len(made[chain[-1]].output) == 1:
            chain.append(made[chain[-1]].input[0])
        origin = made.get(chain[-1])
        pooled = origin is not None and origin.op_type == "GlobalAveragePool" and origin.input[0] in kept
        if chain[-1] in kept or pooled:  # moved from one layer to another: whole numbers all the way
            for moved in chain:
                kept[moved] = None
            shared |= dict.fromkeys(chain[:-1], chain[-1])
    return list(kept), shared


def quantised(graph: bytes, plan: Plan) -> bytes:
    """The graph with the layers of a plan in whole numbers; layers whose ranges are not known stay float.

    Raises:
        TrainingError: the graph that results is refused.
    """
    model = parse(graph)
    lift_constants(model)
    known = plan.ranges
    layers = [each for each in plan.layers if each.given in known and (not each.result or each.result in known)]
    return _Writer(model, plan).written(layers)


class _Writer:
    """One graph on its way into whole numbers."""

    def __init__(self, model: Any, plan: Plan) -> None:
        self._model = model
        self._plan = plan
        self._names = Names(model)
        self._tensors: list[Any] = []
        self._known: dict[Any, str] = {}
        self._front: list[Any] = []  # nodes of constants
        self._scales: dict[str, float] = {}  # of the values in 8 bits
        self._backs: dict[str, str] = {}  # value → the same, from 8 bits
        self._pairs: dict[str, list[Any]] = {}  # value → the nodes that make it so

    def written(self, layers: Sequence[Layer]) -> bytes:
        from onnx import numpy_helper

        kept, shared = _kept(self._model, layers)
        for name in kept:
            self._pair(name, *self._plan.ranges[shared.get(name, name)])
        old = constants_of(self._model)
        changed = {}
        for layer in layers:
            bias = numpy_helper.to_array(old[layer.bias]).astype(np.float64).ravel() if layer.bias else None
            changed[layer.output] = self._layer(layer, bias)
        _rewire(self._model, changed, self._backs, self._pairs)
        used = {name for node in self._model.graph.node for name in node.input}
        put_before(self._model, [name for name in old if name not in used], self._front, self._tensors)
        return finish(self._model)

    def _constant(self, value: Any) -> str:
        from onnx import numpy_helper

        array = np.asarray(value)
        key = str(array.dtype), array.shape, array.tobytes()
        if key not in self._known:
            self._known[key] = self._names.fresh("k")
            self._tensors.append(numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def _pair(self, name: str, low: float, high: float) -> None:
        """A value in 8 bits, 0 among the numbers that it holds exactly."""
        from onnx import helper

        scale = np.float32(max((high - low) / _STEPS, 1e-12))
        zero = np.uint8(np.clip(np.rint(-low / float(scale)), 0, _STEPS))
        told = [self._constant(scale), self._constant(zero)]
        whole, back = self._names.fresh("q"), self._names.fresh("d")
        self._pairs[name] = [
            helper.make_node("QuantizeLinear", [name, *told], [whole]),
            helper.make_node("DequantizeLinear", [whole, *told], [back]),
        ]
        self._scales[name], self._backs[name] = float(scale), back

    def _looked_up(self, palette: Palette) -> str:
        """The value of a weight of a few whole numbers."""
        name = self._names.fresh("w")
        values = palette.values.astype(np.int8)
        nodes, tensors = unpacked(palette.places, values, palette.bits, name, self._names)
        self._front += nodes
        self._tensors += tensors
        return name

    def _layer(self, layer: Layer, bias: NDArray[np.float64] | None) -> list[str]:
        """The values of its weight and, where it has one, of its bias."""
        from onnx import helper

        given = self._scales[layer.given]
        whole, scale, steps = _whole(layer, given, bias, self._plan)
        # Zeros are not left out: onnxruntime would not see the group of a Gemm.
        zeros = self._constant(np.zeros(scale.shape, dtype=np.int8))
        taken = [self._names.fresh("w")]
        palette = self._plan.palettes.get(layer.output)
        told = [self._constant(whole) if palette is None else self._looked_up(palette), self._constant(scale), zeros]
        self._front.append(helper.make_node("DequantizeLinear", told, taken, axis=layer.weight.axis))
        if steps is not None:
            both = self._constant((scale.astype(np.float64) * given).astype(np.float32))
            taken.append(self._names.fresh("a"))
            self._front.append(helper.make_node("DequantizeLinear", [self._constant(steps), both], taken[1:], axis=0))
        return taken


def _whole(
    layer: Layer, given: float, bias: NDArray[np.float64] | None, plan: Plan
) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.int32] | None]:
    """Weight, scale of each channel, and bias, which counts in steps of the products."""
    shift, palette = plan.shifts.get(layer.output), plan.palettes.get(layer.output)
    scale = scales_of(layer.weight, LEVELS) if palette is None else palette.scales
    if shift is not None and layer.operator != "MatMul":
        bias = shift if bias is None else bias + shift
    if bias is not None:
        # Where a channel's weights are next to nothing its bias would not fit into 32 bits.
        scale = np.maximum(scale, np.abs(bias) / (given * _LARGEST_BIAS)).astype(np.float32)
    if palette is None:
        values = np.rint(layer.weight.values / layer.weight.along(scale))
        whole = np.clip(values, -LEVELS, LEVELS).astype(np.int8)
    else:
        whole = palette.places  # of whole numbers that fit already
    if bias is None:
        return whole, scale, None
    return whole, scale, np.rint(bias / (scale.astype(np.float64) * given)).astype(np.int32)


def mean_shift(layer: Layer, observed: Observed, palette: Palette | None = None) -> NDArray[np.float64]:
    """What rounding the weight takes from the mean of each channel (Nagel et al., 2019), edges not counted."""
    if palette is None:
        scale = layer.weight.along(scales_of(layer.weight, LEVELS))
        near = np.clip(np.rint(layer.weight.values / scale), -LEVELS, LEVELS) * scale
    else:
        near = palette.restored(layer.weight)
    rest = (layer.weight.values - near).astype(np.float64)
    shift: NDArray[np.float64]
    if layer.operator == "Conv":
        rest = rest.reshape(*rest.shape[:2], -1).sum(axis=2)
        if rest.shape[1] == len(observed.means):
            shift = rest @ observed.means
            return shift
        groups = len(observed.means) // rest.shape[1]
        inputs = observed.means.reshape(groups, rest.shape[1])
        shift = np.einsum("gok,gk->go", rest.reshape(groups, -1, rest.shape[1]), inputs).ravel()
        return shift
    shift = observed.last @ (rest if layer.weight.axis == 1 else rest.T)
    return shift


def _rewire(
    model: Any, changed: Mapping[str, Sequence[str]], backs: Mapping[str, str], pairs: Mapping[str, Sequence[Any]]
) -> None:
    """Layers take their new weights, all nodes the values in 8 bits; the pairs follow what they take."""
    nodes: list[Any] = []
    for each in model.graph.input:
        nodes += pairs.get(each.name, ())
    for node in model.graph.node:
        node.input[:] = [backs.get(name, name) for name in node.input]
        if node.output[0] in changed:
            node.input[:] = [node.input[0], *changed[node.output[0]]]
        nodes.append(node)
        for name in node.output:
            nodes += pairs.get(name, ())
    copies = [type(each).FromString(each.SerializeToString()) for each in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
