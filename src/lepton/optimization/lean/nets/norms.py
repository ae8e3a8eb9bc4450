"""Normalisation for as long as a network learns: exporters fold it away, and deep networks are slow to learn without.

Every convolution gets a batch normalisation behind it that changes nothing at first, as its scale and shift are the
deviation and the mean that the rows have there; afterwards it is folded into the weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lepton.optimization.lean.nets.module import NetModule
from lepton.optimization.lean.network import Network, Node

__all__ = ["with_norms", "without_norms"]

_EPSILON = 1e-5
_ROWS = 512


def with_norms(network: Network, inputs: Sequence[Any]) -> Network:
    """The same answers, with a normalisation behind each convolution that has none.

    Args:
        network: as it came.
        inputs: rows as it takes them, as tensors.
    """
    followed = {node.inputs[0] for node in network.nodes if node.op == "BatchNormalization"}
    wanted = [node.outputs[0] for node in network.nodes if node.op == "Conv" and node.outputs[0] not in followed]
    found: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    with torch.no_grad():
        values = NetModule(network).eval().values([value[:_ROWS] for value in inputs])
    for name in wanted:
        axes = tuple(axis for axis in range(values[name].ndim) if axis != 1)
        found[name] = values[name].mean(axes).numpy(), values[name].var(axes, unbiased=False).numpy()
    constants, nodes = dict(network.constants), []
    for node in network.nodes:
        name = node.outputs[0]
        if name not in found:
            nodes.append(node)
            continue
        mean, variance = found[name]
        parts = {"scale": np.sqrt(variance + _EPSILON), "shift": mean, "mean": mean, "variance": variance}
        constants |= {f"{name}/{part}": value.astype(np.float32) for part, value in parts.items()}
        nodes.append(replace(node, outputs=(f"{name}/raw",)))
        names = (f"{name}/raw", *(f"{name}/{part}" for part in parts))
        nodes.append(Node("BatchNormalization", names, (name,), {"epsilon": _EPSILON}))
    return network.changed(nodes, constants)


def without_norms(network: Network) -> Network:
    """The same answers, with every normalisation of a convolution that nothing else reads in its weights."""
    constants, nodes = dict(network.constants), list(network.nodes)
    reads = Counter(name for node in nodes for name in node.inputs)
    makers = {node.outputs[0]: node for node in nodes if node.op == "Conv"}
    for norm in network.nodes:
        conv = makers.get(norm.inputs[0]) if norm.op == "BatchNormalization" else None
        if conv is None or reads[norm.inputs[0]] > 1 or reads[conv.inputs[1]] > 1:
            continue
        scale, shift, mean, variance = (constants[name].astype(np.float64) for name in norm.inputs[1:])
        factor = scale / np.sqrt(variance + norm.attributes.get("epsilon", _EPSILON))
        weight = constants[conv.inputs[1]].astype(np.float64)
        bias = constants[conv.inputs[2]].astype(np.float64) if len(conv.inputs) > 2 and conv.inputs[2] else 0.0
        bias_name = f"{norm.outputs[0]}/bias"
        constants[conv.inputs[1]] = (weight * factor.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.float32)
        constants[bias_name] = ((bias - mean) * factor + shift).astype(np.float32)
        nodes[nodes.index(conv)] = replace(conv, inputs=(*conv.inputs[:2], bias_name), outputs=norm.outputs)
        nodes.remove(norm)
    return network.changed(nodes, constants)
