"""Rewritten graphs answer to the bit as before."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lepton.bundle.graph import summarize_graph
from lepton.optimization.accelerate.rewrite import rewrite


def graph_of(nodes: list[Any], constants: dict[str, Any], inside: str = "y") -> bytes:
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info(inside, TensorProto.FLOAT, ["N", None])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 5)]
    return bytes(helper.make_model(made, opset_imports=opsets, ir_version=10).SerializeToString())


def answered(graph: bytes, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    answer: NDArray[np.float32] = session.run(None, {"x": rows})[0]
    return answer


def polynomial(columns: list[list[int]], *, axis: int = 1, value: float = 1.0, unit: bool = True) -> bytes:
    """Products of columns as scikit-learn's polynomial features are exported."""
    nodes, constants, names = [], {"axis": np.array([axis])}, []
    for number, places in enumerate(columns):
        constants[f"p{number}"] = np.array(places)
        nodes.append(
            helper.make_node("ArrayFeatureExtractor", ["x", f"p{number}"], [f"c{number}"], domain="ai.onnx.ml")
        )
        nodes.append(helper.make_node("ReduceProd", [f"c{number}", "axis"], [f"m{number}"]))
        names.append(f"m{number}")
    if unit:
        ones = numpy_helper.from_array(np.array([value], np.float32))
        nodes += [
            helper.make_node("Shape", ["m0"], ["s"]),
            helper.make_node("ConstantOfShape", ["s"], ["u"], value=ones),
        ]
        names.insert(0, "u")
    return graph_of([*nodes, helper.make_node("Concat", names, ["y"], axis=1)], constants)


ROWS = np.array([[1, 2, 3], [0.1, -7, 1e30], [np.nan, 5, np.inf], [-0.0, np.inf, 2]], np.float32)


@pytest.mark.parametrize(
    "graph",
    [
        polynomial([[0], [1], [2], [0, 0], [0, 1], [2, 1]]),
        polynomial([[0], [1], [0, 1], [2, 2, 1], [0, 1, 2]]),
        polynomial([[0, 1], [1, 2], [0, 2], [2, 2]], unit=False),
    ],
)
def test_products_of_columns_are_one_product(graph: bytes) -> None:
    made, told = rewrite(graph)
    assert summarize_graph(made).num_nodes < summarize_graph(graph).num_nodes / 1.5
    assert "products of columns are one" in told[0]
    onnx.checker.check_model(onnx.load_from_string(made))
    for rows in (ROWS, ROWS[:1]):
        assert np.array_equal(answered(made, rows), answered(graph, rows), equal_nan=True)


@pytest.mark.parametrize(
    "graph",
    [
        polynomial([[0], [1]], unit=False),  # too few to be worth it
        polynomial([[0], [1], [0, 1], [2]], value=2.0),  # the unit is no one
        polynomial([[0], [1], [0, 1], [2]], unit=False),  # what is no factor needs the type of a one
        graph_of([helper.make_node("Concat", ["x", "x", "x", "x"], ["y"], axis=1)], {}),
    ],
)
def test_other_graphs_stay_as_they_are(graph: bytes) -> None:
    assert rewrite(graph) == (graph, ())


def test_what_nobody_needs_is_gone_and_what_is_kept_stays() -> None:
    nodes = [
        helper.make_node("Gather", ["x", "i"], ["unused"], axis=1),
        helper.make_node("Exp", ["unused"], ["unused_too"]),
        helper.make_node("Abs", ["x"], ["inside"]),
        helper.make_node("Relu", ["x"], ["y"]),
    ]
    graph = graph_of(nodes, {"i": np.array([0])})
    made, told = rewrite(graph, ["inside"])
    assert told == ("2 nodes whose answers nobody needs are gone",)
    model = onnx.load_from_string(made)
    assert [node.op_type for node in model.graph.node] == ["Abs", "Relu"]
    assert not model.graph.initializer
    assert answered(made, ROWS).tobytes() == answered(graph, ROWS).tobytes()
    assert len(onnx.load_from_string(rewrite(graph)[0]).graph.node) == 1


def test_what_graphs_inside_read_is_needed() -> None:
    def branch(name: str) -> Any:
        out = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)]
        return helper.make_graph([helper.make_node("Identity", ["outer"], [name])], name, [], out)

    nodes = [
        helper.make_node("Abs", ["x"], ["outer"]),
        helper.make_node("If", ["yes"], ["y"], then_branch=branch("a"), else_branch=branch("b")),
    ]
    graph = graph_of(nodes, {"yes": np.array(True)})
    assert rewrite(graph) == (graph, ())
