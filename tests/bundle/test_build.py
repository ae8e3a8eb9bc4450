"""The graph builder: the contract's versions, stable names, deterministic bytes, clean refusals."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from lepton.bundle.build import ML_DOMAIN, GraphBuilder
from lepton.core import BundleError, MissingExtraError, UsageError


def linear_graph() -> bytes:
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 2])
    features = builder.mark("features", builder.node("Mul", [numbers, builder.constant(2.0)]))
    product = builder.node("MatMul", [features, builder.constant(np.array([[1.0], [10.0]]))])
    raw = builder.mark("raw", builder.node("Squeeze", [product, builder.constant(np.array([1]))]))
    builder.output("prediction", raw, "double", ["N"])
    assert builder.inner == {"features": "features", "raw": "raw"}
    return builder.finish({"lepton.b": "2", "lepton.a": "1"})


def run(graph: bytes, **tensors: np.ndarray) -> list[np.ndarray]:
    return list(onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, tensors))


def test_versions_metadata_and_inner_points() -> None:
    model = onnx.load_from_string(linear_graph())
    assert model.ir_version == 10
    assert {o.domain: o.version for o in model.opset_import} == {"": 20, "ai.onnx.ml": 5}
    assert [(p.key, p.value) for p in model.metadata_props] == [("lepton.a", "1"), ("lepton.b", "2")]
    made = {name for node in model.graph.node for name in node.output}
    assert {"features", "raw", "prediction"} <= made


def test_same_calls_give_the_same_bytes() -> None:
    assert linear_graph() == linear_graph()


def test_the_graph_computes_in_double() -> None:
    [prediction] = run(linear_graph(), numbers=np.array([[1.0, 2.0], [0.1, np.inf]]))
    assert prediction.dtype == np.float64
    assert prediction.tolist() == [42.0, np.inf]


def test_equal_constants_are_stored_once() -> None:
    builder = GraphBuilder()
    assert builder.constant(2.0) == builder.constant(np.float64(2.0))
    assert builder.constant(2.0) != builder.constant(2)
    assert builder.constant(["a", "é"]) == builder.constant(np.array(["a", "é"], dtype=object))
    assert builder.constant(["ab", "c"]) != builder.constant(["a", "bc"])
    assert builder.constant(np.zeros((2, 3))) != builder.constant(np.zeros((3, 2)))


def test_an_input_can_be_an_output_and_a_value_can_have_two_names() -> None:
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 1])
    features = builder.mark("features", numbers)
    builder.output("prediction", features, "double", ["N", 1])
    builder.output("score", numbers, "double", ["N", 1])
    graph = builder.finish()
    first, second = run(graph, numbers=np.array([[3.0]]))
    assert first == second == 3.0


def test_text_flows_through_string_operators() -> None:
    builder = GraphBuilder()
    strings = builder.input("strings", "string", ["N", 1])
    codes = builder.node(
        "LabelEncoder", [strings], domain=ML_DOMAIN, keys_strings=["ä", "東"],
        values_tensor=np.array([1.0, 2.0]), default_tensor=np.array([-1.0]),
    )  # fmt: skip
    builder.output("codes", codes, "double", ["N", 1])
    builder.output("again", builder.node("StringConcat", [strings, builder.constant("!")]), "string", ["N", 1])
    codes_out, again = run(builder.finish(), strings=np.array([["東"], ["ä"], ["x"]], dtype=object))
    assert codes_out.ravel().tolist() == [2.0, 1.0, -1.0]
    assert again.ravel().tolist() == ["東!", "ä!", "x!"]


def test_several_outputs_and_left_out_attributes() -> None:
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 2])
    left, right = builder.node(
        "Split", [numbers, builder.constant(np.array([1, 1]))], outputs=2, axis=1, num_outputs=None
    )
    builder.output("a", right, "double", ["N", 1])
    builder.output("b", left, "double", ["N", 1])
    a, b = run(builder.finish(), numbers=np.array([[1.0, 2.0]]))
    assert (a.item(), b.item()) == (2.0, 1.0)


def test_generated_names_never_meet_given_ones() -> None:
    builder = GraphBuilder()
    numbers = builder.input("add_0", "double", ["N"])
    total = builder.node("Add", [numbers, numbers])
    assert total != "add_0"
    builder.output("prediction", total, "double", ["N"])
    assert run(builder.finish(), add_0=np.array([2.0]))[0].tolist() == [4.0]


def test_wrong_graphs_are_refused() -> None:
    builder = GraphBuilder()
    builder.input("numbers", "double", ["N"])
    builder.output("prediction", builder.node("Add", ["numbers", "nowhere"]), "double", ["N"])
    with pytest.raises(BundleError, match="nowhere"):
        builder.finish()


def test_a_name_is_given_once_and_dtypes_are_known() -> None:
    builder = GraphBuilder()
    builder.input("numbers", "double", ["N"])
    with pytest.raises(UsageError, match="'numbers'"):
        builder.input("numbers", "double", ["N"])
    with pytest.raises(UsageError, match="'float64'"):
        builder.input("others", "float64", ["N"])


def test_without_onnx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"lepton-ai\[train\]"):
        GraphBuilder()
