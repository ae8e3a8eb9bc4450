"""Reading a graph without the onnx package, compared with the onnx package; and values between its nodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from lepton.evaluation.explain.nodes import Nodes, Taps
from tests.evaluation.explain.table_models import forest, forest_model
from tests.evaluation.models import linear_model


@pytest.mark.parametrize("kind", ["linear", "trees"])
def test_as_the_onnx_package_reads_it(tmp_path: Path, kind: str) -> None:
    model = (
        linear_model(tmp_path, {"a": [1.0, -2.0], "b": [0.5, 0.0]}, labels=("no", "yes"))
        if kind == "linear"
        else forest_model(tmp_path, forest(0, 3, sets=True))
    )
    read, graph = Nodes.of(model.bundle.graph), onnx.load_from_string(model.bundle.graph).graph
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.STRING:
            assert tensor.name not in read.constants
        else:
            assert np.array_equal(read.constants[tensor.name], numpy_helper.to_array(tensor))
    for node in graph.node:
        own = read.made[node.output[0]]
        assert own.operator == (f"{node.domain}." if node.domain else "") + node.op_type
        assert own.inputs == tuple(node.input)
        for attribute in node.attribute:
            value = onnx.helper.get_attribute_value(attribute)
            if isinstance(value, onnx.TensorProto):
                np.testing.assert_array_equal(own.attributes[attribute.name], numpy_helper.to_array(value))
            elif isinstance(value, list):
                assert list(own.attributes[attribute.name]) == value
            else:
                assert own.attributes[attribute.name] == value
        assert all(own in read.readers[name] for name in own.inputs)


def test_tensors_of_every_form() -> None:
    arrays = [
        np.array([[1.5, -2.0]], dtype=np.float32),
        np.array([3, -4], dtype=np.int64),
        np.array([True, False]),
        np.array(2.5),
        np.array([7, 8], dtype=np.uint8),
    ]
    made = [numpy_helper.from_array(array, f"raw{place}") for place, array in enumerate(arrays)]
    made += [
        onnx.helper.make_tensor("floats", onnx.TensorProto.FLOAT, [2], [1.0, -1.0]),
        onnx.helper.make_tensor("doubles", onnx.TensorProto.DOUBLE, [1], [0.1]),
        onnx.helper.make_tensor("ints", onnx.TensorProto.INT64, [3], [-1, 0, 300]),
        onnx.helper.make_tensor("small", onnx.TensorProto.INT32, [2], [-5, 5]),
        onnx.helper.make_tensor("texts", onnx.TensorProto.STRING, [1], [b"x"]),
    ]
    graph = onnx.helper.make_graph([], "g", [], [], made)
    read = Nodes.of(onnx.helper.make_model(graph).SerializeToString())
    for tensor in made[:-1]:
        assert np.array_equal(read.constants[tensor.name], numpy_helper.to_array(tensor))
    assert "texts" not in read.constants


def test_values_between_nodes(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"a": 2.0, "b": 1.0}, offset=3.0)
    product = next(name for name, node in Nodes.of(model.bundle.graph).made.items() if node.operator == "MatMul")
    rows = {"numbers": np.array([[1.0, 1.0], [0.0, 2.0]])}
    found = Taps(model.bundle.graph, [product, "prediction", product, "numbers"]).read(rows)
    assert found[product].ravel().tolist() == [3.0, 2.0]
    assert found["prediction"].tolist() == [6.0, 5.0]
    assert np.array_equal(found["numbers"], rows["numbers"])


def test_rows_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = linear_model(tmp_path, {"a": 2.0, "b": 1.0})
    taps, rows = Taps(model.bundle.graph, ["prediction"]), {"numbers": np.random.default_rng(0).normal(size=(11, 2))}
    whole = taps.read(rows)["prediction"]
    monkeypatch.setattr("lepton.evaluation.explain.nodes._ROWS", 3)
    assert np.array_equal(taps.read(rows)["prediction"], whole)
