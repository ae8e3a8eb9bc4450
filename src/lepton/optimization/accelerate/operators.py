"""Arithmetic and memory of one run of an operator, from the shapes that onnxruntime's profiler tells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["bytes_of", "flops_of", "shapes_of"]

Shape = tuple[int, ...]

_PRODUCTS = {"MatMul", "Gemm", "FusedMatMul", "FusedGemm", "MatMulInteger", "DynamicQuantizeMatMul", "QLinearMatMul"}
_CONVOLUTIONS = {"Conv", "FusedConv", "ConvInteger", "QLinearConv", "NhwcFusedConv"}
_BY_ELEMENT = {
    "Softmax": 4,
    "LayerNormalization": 6,
    "SkipLayerNormalization": 7,
    "Gelu": 8,
    "BiasGelu": 9,
    "Sigmoid": 4,
}
_MOVES = {"Gather", "Reshape", "Transpose", "Concat", "Slice", "Squeeze", "Unsqueeze", "Flatten", "Shape", "Identity",
          "Expand", "Split", "ReorderInput", "ReorderOutput", "ArrayFeatureExtractor"}  # fmt: skip
_COUNTED_ELSEWHERE = {"TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "LSTM", "GRU", "Attention"}


def shapes_of(told: object) -> list[tuple[str, Shape]]:
    """Type and shape of each input or output, as an event of the profiler holds them."""
    found: list[tuple[str, Shape]] = []
    for each in told if isinstance(told, list) else ():
        if isinstance(each, Mapping):
            for dtype, shape in each.items():
                if isinstance(shape, list) and all(isinstance(size, int) for size in shape):
                    found.append((str(dtype), tuple(shape)))
    return found


def flops_of(operator: str, inputs: Sequence[tuple[str, Shape]], outputs: Sequence[tuple[str, Shape]]) -> float | None:
    """Floating point operations, a multiplication and an addition being two; None where shapes do not tell."""
    if not outputs or operator in _COUNTED_ELSEWHERE:
        return None
    size = math.prod(outputs[0][1])
    shapes = [shape for _, shape in inputs]
    if operator in _PRODUCTS:
        return 2.0 * size * shapes[0][-1] if shapes and shapes[0] else None
    if operator in _CONVOLUTIONS:
        kernels = [shape for shape in shapes[1:] if len(shape) >= 3]
        return 2.0 * size * math.prod(kernels[0][1:]) if kernels else None
    if operator in _MOVES:
        return 0.0
    return float(_BY_ELEMENT.get(operator, 1) * size)


def bytes_of(arguments: Mapping[str, Any], *names: str) -> float:
    """Bytes that a node reads and writes, of `activation_size`, `parameter_size` and `output_size`."""
    total = 0.0
    for name in names:
        try:
            total += max(int(arguments.get(name, 0)), 0)
        except (TypeError, ValueError):
            continue
    return total
