"""Weights stored as half floats: half of the bytes, computed with as floats."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from lepton.optimization.lean.base import Setting
from lepton.optimization.lean.storing import Packed, StoringStep
from lepton.optimization.lean.weights import FLOAT, Names, Weight

__all__ = ["HalfWeights"]

_LARGEST = 65_504.0


class HalfWeights(StoringStep):
    """Weights keep 11 of their 24 significant bits."""

    name: ClassVar[str] = "half-weights"
    what: ClassVar[str] = "half floats"

    def fits(self, weight: Weight) -> bool:
        """Floats that a half float can reach."""
        return weight.stored == FLOAT and float(np.abs(weight.values).max()) <= _LARGEST

    def pack(self, weight: Weight, names: Names, setting: Setting, seen: Any = None) -> Packed:
        """A constant and a `Cast`."""
        from onnx import helper, numpy_helper

        half = weight.values.astype(np.float16)
        stored = names.fresh("h")
        return Packed(
            [helper.make_node("Cast", [stored], [weight.name], to=FLOAT)],
            [numpy_helper.from_array(half, stored)],
            half.astype(np.float32),
        )
