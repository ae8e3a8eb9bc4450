from __future__ import annotations

import numpy as np
import pytest
from onnx import helper, numpy_helper

from lepton.optimization.lean.base import Setting
from lepton.optimization.lean.damage import session_of
from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.steps.byte_weights import ByteWeights
from lepton.optimization.lean.weights import Names, Weight, put_before


@pytest.mark.parametrize("stored", [1, 10])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_nodes_make_the_numbers_that_are_told(stored, axis):
    dtype = np.float32 if stored == 1 else np.float16
    values = np.random.default_rng(0).normal(size=(20, 30)).astype(dtype)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["y"])], "g", [], [helper.make_tensor_value_info("y", stored, [20, 30])],
        [numpy_helper.from_array(values, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    packed = ByteWeights().pack(Weight("w", values.astype(np.float32), stored, axis, ()), Names(model), Setting(""))
    put_before(model, ["w"], packed.nodes, packed.tensors)
    made = session_of(parse(model.SerializeToString()).SerializeToString(), 1).run(["y"], {})[0]
    assert made.dtype == dtype
    assert np.array_equal(made, packed.values.astype(dtype))
    assert np.abs(made - values).max() < 0.02
    assert packed.num_bytes < 1_100
