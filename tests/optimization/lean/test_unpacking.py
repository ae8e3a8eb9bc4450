from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from lepton.optimization.lean.damage import session_of
from lepton.optimization.lean.unpacking import ALIGNED, Palette, unpacked
from lepton.optimization.lean.weights import Names, Weight


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.int8])
@pytest.mark.parametrize("shape", [(3, 8), (5, 2, 4, 3)])
def test_the_nodes_make_what_was_packed_from_few_bytes(bits, dtype, shape):
    random = np.random.default_rng(bits)
    places = random.integers(0, 2**bits, shape).astype(np.uint8)
    values = np.sort(random.integers(-64, 64, 2**bits)).astype(dtype)
    output = helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))
    model = helper.make_model(
        helper.make_graph([], "g", [], [output]), ir_version=10, opset_imports=[helper.make_opsetid("", 20)]
    )
    nodes, tensors = unpacked(places, values, bits, "y", Names(model))
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(tensors)
    made = session_of(model.SerializeToString(), 1).run(["y"], {})[0]
    assert made.dtype == dtype
    assert np.array_equal(made, values[places])
    packed = sum(len(each.raw_data) for each in tensors if each.name.startswith("p"))
    assert packed == places.size * bits // 8
    assert places.size % ALIGNED == 0


def test_a_palette_restores_by_channel():
    places = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    palette = Palette(np.array([-2, 0, 1, 3], np.float32), np.array([10, 100], np.float32), places)
    weight = Weight("w", np.zeros((2, 2), np.float32), 1, 1, ())
    assert palette.bits == 2
    assert palette.restored(weight).tolist() == [[-20, 0], [10, 300]]
