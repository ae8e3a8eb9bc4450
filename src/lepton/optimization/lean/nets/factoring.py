"""Large matrices as products of two thin ones, nearest for the rows that there are, and taught again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lepton.core import ErrorCode, TrainingError, Work
from lepton.optimization.lean.base import Draft, Subject
from lepton.optimization.lean.nets.module import NetModule
from lepton.optimization.lean.nets.recover import lessons_of, taught, torch_threads
from lepton.optimization.lean.network import Network, Node, read_network

__all__ = ["factor"]

_ROWS = 1_024
_LEAST = 4_096  # numbers of a matrix that is worth two
_WORTH = 0.75  # of its numbers may be left
_RANKS = 8  # a rank is a multiple of
_RIDGE = 1e-6
_PASSES = 6.0


def factor(subject: Subject, draft: Draft, share: float, work: Work) -> bytes:
    """The graph of a draft with its large matrices as products.

    Args:
        subject: what it is to answer.
        draft: with a network.
        share: of the variance of each layer's answers that stays.
        work: the time.

    Raises:
        TrainingError: no matrix becomes smaller so.
    """
    network = read_network(draft.graph, draft.manifest)
    lessons = lessons_of(network, subject, work)
    with torch_threads(work), torch.no_grad():
        values = NetModule(network).eval().values([value[:_ROWS] for value in lessons.inputs])
    smaller = _factored(network, values, share)
    if smaller.num_weights >= network.num_weights:
        raise TrainingError(
            ErrorCode.TRAINING_FAILED,
            f"no matrix of the network becomes smaller as a product that keeps {share:.1%} of what it answers",
        )
    return taught(smaller, lessons, work, passes=_PASSES, name="factor").graph


def _factored(network: Network, values: dict[str, Any], share: float) -> Network:
    constants, nodes = dict(network.constants), []
    for node in network.nodes:
        matrix = _matrix(node, network)
        found = None if matrix is None else _thin(matrix, _inputs(node, values), share)
        if found is None:
            nodes.append(node)
            continue
        name, middle = node.outputs[0], f"{node.outputs[0]}/middle"
        first, second = (part.astype(np.float32) for part in found)
        rest = node.inputs[2:]
        if node.op == "Conv":
            sides = [1] * (constants[node.inputs[1]].ndim - 2)
            constants[f"{name}/first"] = first.T.reshape(*first.T.shape, *sides)
            constants[f"{name}/second"] = second.T.reshape(*second.T.shape, *sides)
            nodes.append(Node("Conv", (node.inputs[0], f"{name}/first"), (middle,), node.attributes))
            nodes.append(Node("Conv", (middle, f"{name}/second", *rest), (name,), {"kernel_shape": sides}))
            continue
        constants[f"{name}/first"], constants[f"{name}/second"] = first, second
        nodes.append(Node("MatMul", (node.inputs[0], f"{name}/first"), (middle,)))
        given = {key: value for key, value in node.attributes.items() if key != "transB"}
        nodes.append(replace(node, inputs=(middle, f"{name}/second", *rest), attributes=given))
    read = {name for node in nodes for name in node.inputs}
    return network.changed(nodes, {name: value for name, value in constants.items() if name in read})


def _matrix(node: Node, network: Network) -> NDArray[Any] | None:
    """The matrix [inputs, outputs] that a node multiplies by, if it is one constant and large."""
    if node.op not in ("Gemm", "MatMul", "Conv") or node.inputs[0] in network.constants:
        return None
    weight = network.constants.get(node.inputs[1])
    if weight is None or weight.size < _LEAST or weight.dtype != np.float32 or node.attributes.get("transA", 0):
        return None
    if node.op == "Conv":
        is_product = node.attributes.get("group", 1) == 1 and weight.size == weight.shape[0] * weight.shape[1]
        is_product = is_product and not any(node.attributes.get("pads", [0]))
        return weight.reshape(weight.shape[:2]).T if is_product else None
    if weight.ndim != 2:
        return None
    return weight.T if node.attributes.get("transB", 0) else weight


def _inputs(node: Node, values: dict[str, Any]) -> NDArray[np.float64]:
    """What a node is given, [rows, inputs]."""
    x = values[node.inputs[0]]
    x = x.movedim(1, -1) if node.op == "Conv" else x
    found: NDArray[np.float64] = x.reshape(-1, x.shape[-1]).double().numpy()
    return found[:: max(1, len(found) // (16 * _ROWS))]


def _thin(
    matrix: NDArray[Any], rows: NDArray[np.float64], share: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Two factors whose product answers these rows nearly as the matrix does; None where they are no smaller.

    The best ones of a rank are those of the matrix behind the root of the second moments of its inputs.
    """
    moments = rows.T @ rows / len(rows)
    scale = float(np.trace(moments)) / len(moments) or 1.0
    sizes, turns = np.linalg.eigh(moments + _RIDGE * scale * np.eye(len(moments)))
    roots = np.sqrt(np.maximum(sizes, _RIDGE * scale))
    left, strengths, right = np.linalg.svd((turns * roots).T @ matrix.astype(np.float64), full_matrices=False)
    kept = np.cumsum(strengths**2) / max(float(np.sum(strengths**2)), 1e-300)
    rank = int(np.searchsorted(kept, share)) + 1
    rank = min(len(strengths), -(-rank // _RANKS) * _RANKS)
    if rank * sum(matrix.shape) > _WORTH * matrix.size:
        return None
    middle = np.sqrt(strengths[:rank])
    return (turns / roots) @ left[:, :rank] * middle, middle[:, None] * right[:rank]
