"""Trees in graphs are read, followed and written as they are."""

import numpy as np
import pytest
from onnx import helper

from lepton.bundle.graph import summarize_graph
from lepton.optimization.lean.edits import serialized
from lepton.optimization.lean.forests import forests_in, leaves_of, own_leaves, sums_of, trees_of_leaves, write
from lepton.optimization.lean.graphs import parse, values_inside
from tests.optimization.lean.tables import made_subject


@pytest.mark.parametrize(("task", "sets"), [("regression", True), ("multiclass", False)])
def test_trees_are_followed_as_onnxruntime_follows_them(task, sets):
    subject = made_subject(task, sets=sets, rows=100, trees=4)
    numbers = subject.choose.tensors["numbers"].copy()
    numbers[::7, 0], numbers[::5, 3], numbers[1::5, 3] = np.nan, np.nan, -np.inf
    (found,) = forests_in(parse(subject.original.graph))
    raw = values_inside(subject.original.graph, ["raw"], {"numbers": numbers})["raw"]
    np.testing.assert_allclose(sums_of(found.forest, leaves_of(found.forest, numbers)), raw, atol=1e-12)
    assert found.forest.is_set.any() == sets


@pytest.mark.parametrize("named", [True, False])
def test_trees_are_written_in_both_precisions(named):
    subject = made_subject(rows=100, trees=3)
    before = values_inside(subject.original.graph, ["raw"], subject.choose.tensors)["raw"]
    graph = subject.original.graph
    if not named:
        nameless = parse(graph)
        nameless.graph.node.insert(0, helper.make_node("Identity", ["numbers"], ["first"]))
        for node in nameless.graph.node:
            node.ClearField("name")
        graph = serialized(nameless)
    for single in (True, False):
        model = parse(graph)
        (found,) = forests_in(model)
        write(model, found, found.forest, single=single)
        graph = serialized(model)
        summarize_graph(graph)  # each node behind those that it reads
        after = values_inside(graph, ["raw"], subject.choose.tensors)["raw"]
        assert after.dtype == np.float64
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)


def test_each_leaf_has_its_tree():
    (found,) = forests_in(parse(made_subject(rows=100, trees=3).original.graph))
    forest = own_leaves(found.forest)
    reached = leaves_of(forest, np.random.default_rng(0).normal(size=(20, 4)))
    assert (trees_of_leaves(forest)[reached] == np.arange(forest.num_trees)).all()
