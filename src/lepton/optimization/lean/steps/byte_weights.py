"""Weights stored in a byte each: a quarter of the bytes, computed with as floats."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from lepton.optimization.lean.base import Setting
from lepton.optimization.lean.storing import Packed, StoringStep
from lepton.optimization.lean.weights import FLOAT, Names, Weight, scales_of

__all__ = ["ByteWeights"]


class ByteWeights(StoringStep):
    """Whole numbers from -127 to 127, times a scale for each channel.

    The nodes are `Cast` and `Mul`, which onnxruntime folds at opening; `DequantizeLinear` it does not (decision 0228).
    """

    name: ClassVar[str] = "byte-weights"
    what: ClassVar[str] = "bytes"
    kept: ClassVar[tuple[float, ...]] = (0.25, 0.0)

    def fits(self, weight: Weight) -> bool:
        """Every weight."""
        return True

    def pack(self, weight: Weight, names: Names, setting: Setting, seen: Any = None) -> Packed:
        """Constants, a `Cast` to float and a `Mul`; another `Cast` where the graph takes half floats."""
        from onnx import helper, numpy_helper

        scales = scales_of(weight, 127)
        whole = np.clip(np.rint(weight.values / weight.along(scales)), -127, 127).astype(np.int8)
        stored, scale, cast = names.fresh("b"), names.fresh("s"), names.fresh("c")
        is_float = weight.stored == FLOAT
        product = weight.name if is_float else names.fresh("p")
        nodes = [
            helper.make_node("Cast", [stored], [cast], to=FLOAT),
            helper.make_node("Mul", [cast, scale], [product]),
        ]
        if not is_float:
            nodes.append(helper.make_node("Cast", [product], [weight.name], to=weight.stored))
        tensors = [numpy_helper.from_array(whole, stored), numpy_helper.from_array(weight.along(scales), scale)]
        return Packed(nodes, tensors, (whole * weight.along(scales)).astype(np.float32))
