"""Numbers of two to four bits, several in a byte, and the nodes that take them apart: opset 20 has no type for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.optimization.lean.weights import Floats, Names, Weight

__all__ = ["ALIGNED", "Palette", "unpacked"]

ALIGNED = 8
"""How many numbers there must be, or a multiple of it."""

_PLANES = {2: (2,), 3: (2, 1), 4: (4,)}  # bits → widths of parts of a number that fill bytes evenly, the lowest first


@dataclass(frozen=True, slots=True)
class Palette:
    """A weight of a few values.

    Attributes:
        values: ascending [2 ** bits], one of them 0.
        scales: of each channel [C].
        places: of each number in `values`, uint8 in the shape of the weight.
    """

    values: Floats
    scales: Floats
    places: NDArray[np.uint8]

    @property
    def bits(self) -> int:
        """Of the place of a number."""
        return len(self.values).bit_length() - 1

    def restored(self, weight: Weight) -> Floats:
        """The numbers that it stands for."""
        made: Floats = self.values[self.places] * weight.along(self.scales)
        return made


def unpacked(
    places: NDArray[np.uint8], values: NDArray[Any], bits: int, output: str, names: Names
) -> tuple[list[Any], list[Any]]:
    """Nodes and constants that make `values[places]`; onnxruntime folds them at opening.

    Args:
        places: of less than `bits` bits, as many as `ALIGNED` goes into.
        values: what they stand for, of any type.
        bits: 2, 3 or 4.
        output: name of what is made.
        names: of the graph.
    """
    from onnx import helper, numpy_helper

    nodes: list[Any] = []
    tensors: list[Any] = []

    def constant(stem: str, value: Any) -> str:
        tensors.append(numpy_helper.from_array(np.asarray(value), names.fresh(stem)))
        return str(tensors[-1].name)

    def node(op: str, *inputs: str, made: str = "", **attributes: Any) -> str:
        nodes.append(helper.make_node(op, list(inputs), [made or names.fresh("n")], **attributes))
        return str(nodes[-1].output[0])

    shape = constant("r", np.array(places.shape, dtype=np.int64))
    whole, below = "", 0
    for width in _PLANES[bits]:
        shifts = np.arange(0, 8, width, dtype=np.uint8)[:, None]
        mask = np.uint8(2**width - 1)
        parts = ((places.ravel() >> np.uint8(below)) & mask).reshape(len(shifts), -1)
        packed = np.bitwise_or.reduce(parts << shifts, axis=0, keepdims=True)
        part = node("BitShift", constant("p", packed), constant("t", shifts), direction="RIGHT")
        part = node("Reshape", node("BitwiseAnd", part, constant("m", mask)), shape)
        if below:
            part = node("BitShift", part, constant("t", np.uint8(below)), direction="LEFT")
            part = node("BitwiseOr", whole, part)
        whole, below = part, below + width
    node("Gather", constant("v", values), node("Cast", whole, to=6), made=output)
    return nodes, tensors
