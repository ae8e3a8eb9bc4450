from __future__ import annotations

import numpy as np

from lepton.optimization.lean.steps.half import HalfWeights
from lepton.optimization.lean.weights import Weight


def test_numbers_beyond_half_floats_stay():
    values = np.ones((4, 4), dtype=np.float32)
    assert HalfWeights().fits(Weight("w", values, 1, 0, ()))
    assert not HalfWeights().fits(Weight("w", values * 70_000, 1, 0, ()))
    assert not HalfWeights().fits(Weight("w", values, 10, 0, ()))
