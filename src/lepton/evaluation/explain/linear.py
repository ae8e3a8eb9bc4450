"""Sums in a graph: values that are trees and products with fixed weights, added up, and nothing else.

Shapley values of a sum are the sums of the Shapley values of its parts, so whatever is found here is explained exactly
where each feature comes from one column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.evaluation.classification import Floats
from lepton.evaluation.explain.forest import LEAF_TABLE, TREES, num_sums
from lepton.evaluation.explain.nodes import Node, Nodes

__all__ = ["Sum", "sums_behind"]

_DEEPEST = 400  # nodes one behind the other
_MOST_TRIED = 4
_FLOATS = (1, 10, 11, 16)  # onnx.TensorProto: float, float16, double, bfloat16
_SAME = ("Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten")


@dataclass(frozen=True, slots=True)
class Sum:
    """A value [N, K] of the graph as a sum of parts, each times fixed weights; constants are left out.

    Attributes:
        trees: nodes of trees, each with the weights [T, K] of its sums.
        products: values [N, F] of the graph, each with weights [F, K].
    """

    trees: tuple[tuple[Node, Floats], ...] = ()
    products: tuple[tuple[str, Floats], ...] = ()

    @property
    def width(self) -> int | None:
        """K; None for a constant."""
        return next((weights.shape[1] for _, weights in (*self.trees, *self.products)), None)

    def times(self, change: Callable[[Floats], Floats]) -> Sum:
        """The same with other weights."""
        return Sum(
            tuple((node, change(weights)) for node, weights in self.trees),
            tuple((value, change(weights)) for value, weights in self.products),
        )

    def plus(self, other: Sum) -> Sum | None:
        """Both; None where their widths differ."""
        if self.width and other.width and self.width != other.width:
            return None
        return Sum(self.trees + other.trees, self.products + other.products)


def sums_behind(nodes: Nodes, value: str) -> list[tuple[str, Sum]]:
    """The sums that `value` is made from, by their names: itself, where it is one, or else the nearest behind it."""
    reader = _Reader(nodes)
    found: list[tuple[str, Sum]] = []
    waiting, seen = [value], {value}
    while waiting and len(found) < _MOST_TRIED:
        name = waiting.pop(0)
        read = reader.read(name, 0)
        if read is not None and read.width:
            found.append((name, read))
            continue
        for behind in nodes.made[name].inputs if name in nodes.made else ():
            if behind and behind not in seen:
                seen.add(behind)
                waiting.append(behind)
    return found


class _Reader:
    """Reads values as sums, each once."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._read: dict[str, Sum | None] = {}

    def read(self, name: str, depth: int) -> Sum | None:
        if name not in self._read:
            self._read[name] = None if depth > _DEEPEST else self._of(name, depth + 1)
        return self._read[name]

    def _of(self, name: str, depth: int) -> Sum | None:
        if name in self._nodes.constants:
            return Sum()
        node = self._nodes.made.get(name)
        if node is None:
            return None
        if node.operator in TREES:  # of a classifier the first output is the label
            return Sum(trees=((node, np.eye(num_sums(node))),)) if name == node.outputs[-1] else None
        if node.operator in ("Gemm", "MatMul"):
            return self._product(node, depth)
        if node.operator in ("Add", "Sub", "Sum"):
            return self._added(node, depth)
        if node.operator in ("Mul", "Div"):
            return self._scaled(node, depth)
        if node.operator == "ReduceSum":
            return self._looked_up(node)
        if node.operator == "Concat" and node.attributes.get("axis") in (1, -1):
            return self._beside(node, depth)
        read = self.read(node.inputs[0], depth) if node.inputs else None
        if node.operator == "Neg" and read is not None:
            return read.times(np.negative)
        if node.operator == "Cast":
            return read if node.attributes.get("to") in _FLOATS else None
        return read if node.operator in _SAME and read is not None and read.width == 1 else None

    def _constant(self, name: str) -> NDArray[Any] | None:
        return self._nodes.constants.get(name)

    def _product(self, node: Node, depth: int) -> Sum | None:
        weights = self._constant(node.inputs[1])
        given = node.attributes
        if weights is None or weights.ndim != 2 or weights.dtype.kind != "f" or given.get("transA", 0):
            return None
        if len(node.inputs) > 2 and self._constant(node.inputs[2]) is None:
            return None
        matrix = np.asarray(weights.T if given.get("transB", 0) else weights, dtype=np.float64)
        matrix = matrix * float(given.get("alpha", 1.0))
        before = self.read(node.inputs[0], depth)
        if before is not None and before.width == len(matrix):
            return before.times(lambda own: own @ matrix)
        return Sum(products=((node.inputs[0], matrix),))

    def _added(self, node: Node, depth: int) -> Sum | None:
        total: Sum | None = Sum()
        for place, name in enumerate(node.inputs):
            read = self.read(name, depth)
            if read is None or total is None:
                return None
            total = total.plus(read.times(np.negative) if node.operator == "Sub" and place else read)
        return total

    def _scaled(self, node: Node, depth: int) -> Sum | None:
        first, second = node.inputs
        if node.operator == "Mul" and self._constant(second) is None:
            first, second = second, first
        scale, read = self._constant(second), self.read(first, depth)
        if scale is None or read is None or not read.width:
            return None
        factors = np.asarray(scale, dtype=np.float64).reshape(-1)
        if scale.ndim > 2 or factors.size not in (1, read.width) or not np.isfinite(factors).all():
            return None
        if node.operator == "Div":
            if not factors.all():
                return None
            return read.times(lambda own: own / factors)
        return read.times(lambda own: own * factors)

    def _looked_up(self, node: Node) -> Sum | None:
        """Trees whose leaves are rows of a table that are added up, as classes of a forest are."""
        made, axes = self._nodes.made, self._constant(node.inputs[1]) if len(node.inputs) > 1 else None
        gather = made.get(node.inputs[0])
        if gather is None or gather.operator != "Gather" or gather.attributes.get("axis", 0) != 0:
            return None
        table, cast = self._constant(gather.inputs[0]), made.get(gather.inputs[1])
        if table is None or table.ndim != 2 or cast is None or cast.operator != "Cast":
            return None
        tree = made.get(cast.inputs[0])
        plain = axes is not None and axes.tolist() == [1] and node.attributes.get("keepdims", 1) == 0
        if tree is None or tree.operator != TREES[0] or not plain:
            return None
        named = Node(tree.operator, tree.inputs, tree.outputs, {**tree.attributes, LEAF_TABLE: table})
        return Sum(trees=((named, np.eye(table.shape[1])),))

    def _beside(self, node: Node, depth: int) -> Sum | None:
        parts = [self.read(name, depth) for name in node.inputs]
        widths = [part.width if part is not None else None for part in parts]
        if not all(widths):
            return None
        total, start, width = Sum(), 0, sum(filter(None, widths))
        for part in parts:
            if part is None or part.width is None:
                return None
            place = np.zeros((part.width, width))
            place[np.arange(part.width), start + np.arange(part.width)] = 1.0
            start += part.width
            total = total.plus(part.times(lambda own, place=place: own @ place)) or total  # type: ignore[misc]
        return total
