from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from lepton.bundle.build import GraphBuilder
from lepton.core import TrainingError
from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.weights import Names, Weight, finish, lift_constants, scales_of, weights_of


def _graph():
    random = np.random.default_rng(0)
    builder = GraphBuilder()
    x = builder.input("x", "float", ["N", 16])
    first = builder.node("Gemm", [x, builder.constant(random.normal(size=(32, 16)).astype(np.float32))], transB=1)
    second = builder.node("MatMul", [first, builder.constant(random.normal(size=(32, 16)).astype(np.float32))])
    table = builder.constant(random.normal(size=(64, 16)).astype(np.float16))
    chosen = builder.node("Cast", [builder.node("Gather", [table, builder.constant([1])])], to=1)
    builder.output("y", builder.node("Add", [second, chosen]), "float", ["N", 16])
    return builder.finish()


def test_weights_know_their_channels_and_who_takes_them():
    found = weights_of(parse(_graph()))
    told = [(weight.values.shape, weight.axis, weight.operators, weight.num_bytes) for weight in found]
    assert told == [((32, 16), 0, ("Gemm",), 2048), ((32, 16), 1, ("MatMul",), 2048), ((64, 16), 0, ("Gather",), 2048)]
    assert weights_of(parse(_graph()), least=513)[0].values.shape == (64, 16)


def test_what_is_not_finite_is_no_weight():
    model = parse(_graph())
    broken = numpy_helper.to_array(model.graph.initializer[0]).copy()
    broken[0, 0] = np.inf
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(broken, model.graph.initializer[0].name))
    assert len(weights_of(model)) == 2


def test_constants_of_nodes_become_constants_of_the_graph():
    node = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.ones((1, 2), np.float32)))
    told = helper.make_node("Constant", [], ["t"], value=numpy_helper.from_array(np.ones((1, 2), np.float32)))
    values = [helper.make_tensor_value_info(name, 1, [1, 2]) for name in ("x", "y", "t")]
    graph = helper.make_graph([node, told, helper.make_node("Add", ["x", "c"], ["y"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    lift_constants(model)
    assert [each.op_type for each in model.graph.node] == ["Constant", "Add"]
    assert [each.name for each in model.graph.initializer] == ["c"]
    assert finish(model) == finish(model)


def test_names_are_new_and_always_the_same():
    model = parse(_graph())
    model.graph.node[0].output[0] = "b0"
    assert [Names(model).fresh("b") for _ in range(2)] == ["b1", "b1"]
    names = Names(model)
    assert [names.fresh("b"), names.fresh("b"), names.fresh("x")] == ["b1", "b2", "x0"]


def test_a_graph_that_is_not_valid_is_refused():
    model = parse(_graph())
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(TrainingError, match="not valid ONNX"):
        finish(model)


@pytest.mark.parametrize("levels", [7, 64, 127])
def test_scales_are_no_worse_than_the_largest_number_asks_for(levels):
    values = np.random.default_rng(1).standard_t(3, size=(6, 200)).astype(np.float32)
    values[2] = 0
    weight = Weight("w", values, onnx.TensorProto.FLOAT, 0, ())
    plain = np.maximum(np.abs(values).max(axis=1), 1e-9) / levels

    def error(scales):
        scales = weight.along(scales)
        return ((np.clip(np.rint(values / scales), -levels, levels) * scales - values) ** 2).sum()

    found = scales_of(weight, levels)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert error(found) <= error(plain) * 1.0001
    assert found[2] == 1.0
