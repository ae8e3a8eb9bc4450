"""Trees of both ONNX operators, as onnxruntime follows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from lepton.bundle.build import ML_DOMAIN
from lepton.evaluation.explain.forest import Trees, trees_of
from lepton.evaluation.explain.linear import sums_behind
from lepton.evaluation.explain.nodes import Node, Nodes
from tests.evaluation.explain.table_models import forest, forest_model
from tests.evaluation.explain.test_trees import sums


def read(graph: bytes) -> Trees | None:
    return next(trees_of(node) for node in Nodes.of(graph).made.values() if "Tree" in node.operator)


@pytest.mark.parametrize("sets", [False, True])
def test_the_newer_operator(tmp_path: Path, sets: bool) -> None:
    model = forest_model(tmp_path, forest(1, 3, sets=sets))
    x = np.random.default_rng(0).normal(size=(40, 3))
    x[:, 2] = np.random.default_rng(1).integers(-1, 6, 40)
    x[::7, 0] = x[::5, 2] = np.nan
    trees = read(model.bundle.graph)
    assert trees is not None
    assert sums(trees, x)[:, 0] == pytest.approx(model.predict(x))


def test_the_older_operator() -> None:
    given = {
        "n_targets": 1,
        "nodes_treeids": [0, 0, 0, 0, 0, 1, 1, 1],
        "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2],
        "nodes_featureids": [0, 1, 0, 0, 0, 1, 0, 0],
        "nodes_values": [0.5, -0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        "nodes_modes": ["BRANCH_LEQ", "BRANCH_GT", "LEAF", "LEAF", "LEAF", "BRANCH_LT", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 3, 0, 0, 0, 1, 0, 0],
        "nodes_falsenodeids": [2, 4, 0, 0, 0, 2, 0, 0],
        "nodes_missing_value_tracks_true": [1, 0, 0, 0, 0, 0, 0, 0],
        "target_treeids": [0, 0, 0, 1, 1],
        "target_nodeids": [2, 3, 4, 1, 2],
        "target_ids": [0, 0, 0, 0, 0],
        "target_weights": [1.0, 2.0, 4.0, 8.0, 16.0],
    }
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain=ML_DOMAIN, **given)
    single = onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, single, ["N", size]) for name, size in (("x", 2), ("y", 1))]
    graph = helper.make_graph([node], "older", ends[:1], ends[1:])
    domains = [helper.make_opsetid("", 15), helper.make_opsetid(ML_DOMAIN, 3)]
    data = helper.make_model(graph, opset_imports=domains, ir_version=8).SerializeToString()
    x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    x[0, 0] = np.nan
    trees = read(data)
    assert trees is not None
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert sums(trees, x) == pytest.approx(session.run(None, {"x": x})[0])


def test_trees_of_a_classifier() -> None:
    given = {
        "classlabels_int64s": [0, 1, 2],
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [1, 0, 0],
        "nodes_values": [0.25, 0.0, 0.0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "class_treeids": [0] * 6,
        "class_nodeids": [1, 1, 1, 2, 2, 2],
        "class_ids": [0, 1, 2, 0, 1, 2],
        "class_weights": [0.5, 0.25, 0.25, 0.0, 0.125, 0.875],
        "post_transform": "NONE",
    }
    node = helper.make_node("TreeEnsembleClassifier", ["x"], ["label", "y"], domain=ML_DOMAIN, **given)
    single = onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, single, ["N", size]) for name, size in (("x", 2), ("y", 3))]
    graph = helper.make_graph([node], "older", ends[:1], ends[1:])
    domains = [helper.make_opsetid("", 15), helper.make_opsetid(ML_DOMAIN, 3)]
    data = helper.make_model(graph, opset_imports=domains, ir_version=8).SerializeToString()
    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    trees, nodes = read(data), Nodes.of(data)
    assert trees is not None
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert sums(trees, x) == pytest.approx(session.run(["y"], {"x": x})[0])
    assert [name for name, _ in sums_behind(nodes, "y")] == ["y"]
    assert sums_behind(nodes, "label") == []


def test_trees_that_are_not_added_up(tmp_path: Path) -> None:
    model = forest_model(tmp_path, forest(1, 3))
    node = next(node for node in Nodes.of(model.bundle.graph).made.values() if "Tree" in node.operator)
    for changed in ({"aggregate_function": 3}, {"post_transform": 1}):
        assert trees_of(Node(node.operator, node.inputs, node.outputs, {**node.attributes, **changed})) is None
    older = {"aggregate_function": b"MAX"}
    assert trees_of(Node("ai.onnx.ml.TreeEnsembleRegressor", ("x",), ("y",), older)) is None


def test_sets_of_what_is_no_small_whole_number_are_left_alone(tmp_path: Path) -> None:
    model = forest_model(tmp_path, forest(1, 3, sets=True))
    node = next(node for node in Nodes.of(model.bundle.graph).made.values() if "Tree" in node.operator)
    values = node.attributes["membership_values"]
    for wrong in (0.5, -1.0, 1e9):
        changed = np.where(np.isnan(values), np.nan, wrong)
        given = {**node.attributes, "membership_values": changed}
        assert trees_of(Node(node.operator, node.inputs, node.outputs, given)) is None


def test_a_classifier_that_sums_one_of_two_classes() -> None:
    """The first class then gets what is left of one."""
    given = {
        "classlabels_int64s": np.array([0, 1]),
        "nodes_treeids": np.zeros(3, dtype=np.int64),
        "nodes_nodeids": np.arange(3),
        "nodes_featureids": np.zeros(3, dtype=np.int64),
        "nodes_values": np.zeros(3, dtype=np.float32),
        "nodes_modes": (b"BRANCH_LEQ", b"LEAF", b"LEAF"),
        "nodes_truenodeids": np.array([1, 0, 0]),
        "nodes_falsenodeids": np.array([2, 0, 0]),
        "class_treeids": np.zeros(2, dtype=np.int64),
        "class_nodeids": np.array([1, 2]),
        "class_ids": np.zeros(2, dtype=np.int64),
        "class_weights": np.array([0.25, 0.75], dtype=np.float32),
    }
    trees = trees_of(Node("ai.onnx.ml.TreeEnsembleClassifier", ("x",), ("label", "y"), given))
    assert trees is not None
    assert trees.leaf_values.tolist() == [[-0.25, 0.25], [-0.75, 0.75]]
