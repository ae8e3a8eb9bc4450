"""The weights of a graph: the constants that are most of its bytes, and other forms to store them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, TrainingError

__all__ = [
    "Names",
    "Weight",
    "constants_of",
    "finish",
    "lift_constants",
    "put_before",
    "scales_of",
    "uses_of",
    "weights_of",
]

FLOAT, FLOAT16 = 1, 10  # of onnx.TensorProto.DataType
_TYPES: dict[int, np.dtype[Any]] = {FLOAT: np.dtype(np.float32), FLOAT16: np.dtype(np.float16)}
_LEAST = 256  # numbers; below, the nodes that restore them take what is saved
_SHRINKS = np.linspace(0.8, 1.0, 9)
_RECURRENT = frozenset({"GRU", "LSTM", "RNN"})

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Weight:
    """One constant of two or more dimensions.

    Attributes:
        name: of the value.
        values: its numbers, whatever precision they are stored in.
        stored: element type in the graph, of onnx.TensorProto.DataType.
        axis: along which the channels lie that it makes; they are scaled each for itself.
        operators: those that take it, sorted.
    """

    name: str
    values: Floats
    stored: int
    axis: int
    operators: tuple[str, ...]

    @property
    def num_bytes(self) -> int:
        """As it is stored."""
        return self.values.size * _TYPES[self.stored].itemsize

    def typed(self, values: Floats) -> NDArray[Any]:
        """Other numbers in the type that the graph takes."""
        return values.astype(_TYPES[self.stored])

    def along(self, scales: NDArray[Any]) -> NDArray[Any]:
        """One number for each channel in a shape that multiplies `values`."""
        return scales.reshape([-1 if axis == self.axis else 1 for axis in range(self.values.ndim)])


class Names:
    """Names of values that a graph does not have yet; the same calls give the same names."""

    def __init__(self, model: Any) -> None:
        self._taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
        self._taken |= {each.name for each in (*model.graph.initializer, *model.graph.input)}
        self._counts: dict[str, int] = {}

    def fresh(self, stem: str) -> str:
        """A name that begins with `stem`."""
        while True:
            count = self._counts.get(stem, 0)
            self._counts[stem] = count + 1
            name = f"{stem}{count}"
            if name not in self._taken:
                self._taken.add(name)
                return name


def lift_constants(model: Any) -> None:
    """Make what `Constant` nodes hold constants of the graph, in place; other forms than tensors stay."""
    kept = []
    for node in model.graph.node:
        held = [attribute for attribute in node.attribute if attribute.name == "value"]
        if node.op_type == "Constant" and held and node.output[0] not in _outputs(model):
            tensor = model.graph.initializer.add()
            tensor.CopyFrom(held[0].t)
            tensor.name = node.output[0]
        else:
            kept.append(node)
    if len(kept) < len(model.graph.node):
        _replace(model.graph.node, kept)


def constants_of(model: Any) -> dict[str, Any]:
    """Name → tensor of what no caller can override and no output gives."""
    told = {each.name for each in model.graph.input} | _outputs(model)
    return {each.name: each for each in model.graph.initializer if each.name not in told}


def uses_of(model: Any) -> dict[str, list[tuple[Any, int]]]:
    """Value → the nodes of the outermost graph that take it, and at which place."""
    uses: dict[str, list[tuple[Any, int]]] = {}
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            uses.setdefault(name, []).append((node, place))
    return uses


def weights_of(model: Any, least: int = _LEAST) -> list[Weight]:
    """The weights of at least `least` numbers, in the order of the graph: float or float16, finite."""
    from onnx import numpy_helper

    uses = uses_of(model)
    found = []
    for name, tensor in constants_of(model).items():
        if tensor.data_type not in _TYPES or len(tensor.dims) < 2 or name not in uses:
            continue
        if int(np.prod(tensor.dims)) < least:
            continue
        values = numpy_helper.to_array(tensor).astype(np.float32)
        if np.isfinite(values).all():
            node, place = uses[name][0]
            operators = tuple(sorted({each.op_type for each, _ in uses[name]}))
            found.append(Weight(name, values, tensor.data_type, _axis(node, place, values.ndim), operators))
    return found


def scales_of(weight: Weight, levels: int) -> Floats:
    """The scale of each channel with which `levels` steps to each side come closest to the numbers, squared.

    What is beyond the last step becomes the last step, so a scale may be smaller than the largest number asks for.
    """
    rows = np.moveaxis(weight.values, weight.axis, 0).reshape(weight.values.shape[weight.axis], -1)
    largest = np.abs(rows).max(axis=1)
    best: NDArray[np.float32] = np.where(largest > 0, largest / levels, 1.0).astype(np.float32)
    full, least = best.copy(), np.full(len(rows), np.inf)
    for shrink in _SHRINKS[::-1]:
        scales = (full * np.float32(shrink)).astype(np.float32)[:, None]
        error = ((np.clip(np.rint(rows / scales), -levels, levels) * scales - rows) ** 2).sum(axis=1)
        better = error < least
        best[better], least[better] = scales[better, 0], error[better]
    return best


def put_before(model: Any, removed: Sequence[str], nodes: Sequence[Any], tensors: Sequence[Any]) -> None:
    """Put nodes in front of all others, in place, with their constants; the constants `removed` go."""
    gone = set(removed)
    kept = [each for each in model.graph.initializer if each.name not in gone]
    _replace(model.graph.initializer, [*kept, *tensors])
    _replace(model.graph.node, [*nodes, *model.graph.node])


def finish(model: Any) -> bytes:
    """The bytes of a graph that was changed; the same graph gives the same bytes.

    Raises:
        TrainingError: onnx's checker refuses it.
    """
    import onnx.checker
    import onnx.shape_inference

    del model.graph.value_info[:]  # of the types before
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise TrainingError(ErrorCode.TRAINING_FAILED, f"the changed graph is not valid ONNX: {error}") from error
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def _axis(node: Any, place: int, rank: int) -> int:
    """Where the channels lie that the node makes of this input."""
    attributes = {each.name: each.i for each in node.attribute}
    if node.op_type == "Gemm":
        return 0 if attributes.get("transB", 0) else 1
    if node.op_type == "MatMul":
        return rank - 1 if place == 1 else rank - 2
    if node.op_type == "ConvTranspose" or node.op_type in _RECURRENT:
        return 1
    return 0


def _outputs(model: Any) -> set[str]:
    return {each.name for each in model.graph.output}


def _replace(repeated: Any, values: Sequence[Any]) -> None:
    """Put other messages into a repeated field."""
    copies = [type(each).FromString(each.SerializeToString()) for each in values]
    del repeated[:]
    repeated.extend(copies)
