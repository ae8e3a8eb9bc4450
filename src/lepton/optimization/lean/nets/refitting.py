"""Before units go: the weights that read them learn to do without, in closed form.

What a layer computed from all units is computed as nearly as can be from those that stay: least squares over what
comes to the layer (as in ThiNet, Luo et al., 2017, with one solve for a layer).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from lepton.optimization.lean.nets.module import NetModule
from lepton.optimization.lean.nets.operators import padded
from lepton.optimization.lean.nets.units import Units
from lepton.optimization.lean.network import Node

__all__ = ["without_and_refitted"]

_ROWS = 1_024
_MOST_FEATURES = 5_000
_MOST_NUMBERS = 1 << 25  # of the patches of a layer
_LEAST_PLACES = 4_096
_RIDGE = 1e-3

Floats = NDArray[np.float64]


def without_and_refitted(units: Units, gone: Iterable[int], inputs: Sequence[Any]) -> Any:
    """The network without some units, the readers of what stays fitted to what they gave.

    Args:
        units: of the whole network.
        gone: those that go.
        inputs: rows as the network takes them, as tensors.
    """
    network, lost = units.network, np.array(sorted(gone))
    with torch.no_grad():
        values = NetModule(network).eval().values([value[:_ROWS] for value in inputs])
    constants = dict(network.constants)
    reads = Counter(name for node in network.nodes for name in node.inputs)
    axes = units.read_values()
    for node in network.nodes:
        if node.op not in ("Conv", "Gemm", "MatMul") or node.inputs[0] not in axes or reads[node.inputs[1]] > 1:
            continue
        kept = ~np.isin(axes[node.inputs[0]][1], lost)
        weight = constants.get(node.inputs[1])
        if kept.all() or weight is None or node.attributes.get("group", 1) > 1:
            continue
        rows = _rows_of(node, values[node.inputs[0]], weight)
        if rows is None:
            continue
        bias = node.inputs[2] if len(node.inputs) > 2 and constants.get(node.inputs[2], np.zeros(())).ndim == 1 else ""
        places = np.repeat(kept, rows.shape[1] // len(kept))
        turned = node.op == "Conv" or bool(node.attributes.get("transB", 0))
        flat = weight.reshape(len(weight), -1).T if turned else weight
        found, shift = _fitted(rows, places, flat.astype(np.float64), with_shift=bool(bias))
        constants[node.inputs[1]] = (found.T.reshape(weight.shape) if turned else found).astype(np.float32)
        if bias:
            constants[bias] = (constants[bias] + shift).astype(np.float32)
    return replace(units, network=replace(network, constants=constants)).without(lost.tolist())


def _rows_of(node: Node, x: Any, weight: NDArray[Any]) -> NDArray[np.float32] | None:
    """What a layer multiplies its weights with, [places of some rows, features]; None where that is too much."""
    if node.op != "Conv":
        return np.asarray(x.reshape(-1, x.shape[-1])[: 8 * _ROWS].numpy())
    features = int(np.prod(weight.shape[1:]))
    if weight.ndim != 4 or features > _MOST_FEATURES:
        return None
    x, pads = padded(x, node.attributes, weight.shape[2:])
    count = max(8, _MOST_NUMBERS // (features * int(np.prod(x.shape[2:]))))
    patches = functional.unfold(
        x[:count], weight.shape[2:], node.attributes.get("dilations", 1), pads, node.attributes.get("strides", 1)
    )
    sides = patches.shape[2]
    places = np.linspace(0, len(patches) * sides - 1, max(_LEAST_PLACES, 4 * features)).astype(np.int64)
    return np.asarray(patches[places // sides, :, places % sides].numpy())


def _fitted(
    rows: NDArray[np.float32], kept: NDArray[np.bool_], weight: Floats, *, with_shift: bool
) -> tuple[Floats, Floats]:
    """Weights of which those that are kept give nearly what all gave, and what is added to the bias."""
    mean = rows.mean(axis=0) if with_shift else np.zeros(rows.shape[1], dtype=np.float32)
    centred = rows - mean
    moments = (centred[:, kept].T @ centred).astype(np.float64) / len(rows)
    own = moments[:, kept]
    ridge = _RIDGE * (np.trace(own) / max(1, len(own)) or 1.0)
    # What is left of the answers goes by least squares; with a ridge toward the weights as they are.
    change = np.linalg.solve(own + ridge * np.eye(len(own)), moments[:, ~kept] @ weight[~kept])
    found = weight.copy()
    found[kept] += change
    shift = mean @ weight - mean[kept] @ found[kept]
    return found, shift
