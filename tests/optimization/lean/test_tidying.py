from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from lepton.optimization.lean.damage import session_of
from lepton.optimization.lean.tidying import tidy, widen


def _model(nodes, constants, outputs=("y",), shape=("N", 4)):
    model = helper.make_model(
        helper.make_graph(
            nodes, "long name", [helper.make_tensor_value_info("x", 1, list(shape))],
            [helper.make_tensor_value_info(name, 1, [name + "0", *"abc"[1 : len(shape)]]) for name in outputs],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        ),
        ir_version=10, opset_imports=[helper.make_opsetid("", 20)],
    )  # fmt: skip
    onnx.checker.check_model(model)
    return model


def _tidied(model, kept=()):
    x = np.random.default_rng(0).normal(size=[3 if each.dim_param else each.dim_value
                                              for each in model.graph.input[0].type.tensor_type.shape.dim])  # fmt: skip
    names = [each.name for each in model.graph.output]
    before = session_of(model.SerializeToString(), 1).run(names, {"x": x.astype(np.float32)})
    tidy(model, kept)
    onnx.checker.check_model(model)
    after = session_of(model.SerializeToString(), 1).run(names, {"x": x.astype(np.float32)})
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one, other)
    return [node.op_type for node in model.graph.node]


def _node(op, inputs, output, **given):
    return helper.make_node(op, inputs.split(), [output], **given)


def test_what_nobody_takes_goes_and_what_repeats_is_done_once():
    four = np.arange(4, dtype=np.float32)
    nodes = [
        _node("Add", "x one", "a"), _node("Add", "x two", "b"), _node("Mul", "a b", "c"), _node("Sqrt", "a", "dead"),
        _node("Identity", "c", "d"), _node("Dropout", "d", "e"), _node("Neg", "e", "y"),
    ]  # fmt: skip
    model = _model(nodes, {"one": four, "two": four, "never": four})
    assert _tidied(model) == ["Add", "Mul", "Neg"]
    assert len(model.graph.initializer) == 1


def test_inner_points_and_outputs_keep_their_names():
    nodes = [_node("Add", "x one", "long_a"), _node("Identity", "long_a", "inner"), _node("Neg", "inner", "long_b"),
             _node("Identity", "long_b", "y"), _node("Identity", "x", "z")]  # fmt: skip
    model = _model(nodes, {"one": np.ones(4, np.float32)}, outputs=("y", "z", "inner"))
    assert _tidied(model, ["inner"]) == ["Add", "Neg", "Identity"]
    assert [node.output[0] for node in model.graph.node] == ["inner", "y", "z"]


def test_nodes_of_constants_are_folded_unless_that_is_larger():
    nodes = [
        _node("Add", "one one", "two"), _node("Reshape", "two sizes", "flat"), _node("Expand", "small wide", "large"),
        _node("ReduceMax", "large", "most", keepdims=0), _node("Expand", "small wide", "kept"),
        _node("Mul", "x flat", "a"), _node("Gather", "kept place", "row"), _node("Add", "a most", "b"),
        _node("MatMul", "b kept", "c"),
        _node("Add", "c row", "y"),
    ]  # fmt: skip
    constants = {
        "one": np.ones((2, 2), np.float32), "sizes": np.array([4]), "small": np.float32(3),
        "wide": np.array([4, 9000]), "place": np.array(0),
    }  # fmt: skip
    model = _model(nodes, constants)
    operators = _tidied(model)
    assert operators.count("Expand") == 1
    assert "Reshape" not in operators
    assert "ReduceMax" not in operators
    assert model.ByteSize() < 40_000


def test_normalisations_go_into_convolutions():
    random = np.random.default_rng(1)
    constants = {
        "w": random.normal(size=(5, 2, 3)).astype(np.float32), "v": random.normal(size=(4, 5, 1)).astype(np.float32),
        "c": random.normal(size=4).astype(np.float32),
        **{f"{name}{size}": random.uniform(0.5, 2, size).astype(np.float32) for name in "sbmv" for size in (5, 4)},
    }  # fmt: skip
    nodes = [
        _node("Conv", "x w", "a"), _node("BatchNormalization", "a s5 b5 m5 v5", "b", epsilon=1e-3),
        _node("Conv", "b v c", "d"), _node("BatchNormalization", "d s4 b4 m4 v4", "y"),
    ]  # fmt: skip
    model = _model(nodes, constants, shape=("N", 2, 8))
    assert _tidied(model) == ["Conv", "Conv"]
    assert model.graph.node[-1].output[0] == "y"


def test_a_convolution_that_others_take_keeps_its_normalisation_apart():
    nodes = [_node("Conv", "x w", "a"), _node("BatchNormalization", "a s s s s", "b"), _node("Add", "a b", "y")]
    model = _model(nodes, {"w": np.ones((2, 2, 3), np.float32), "s": np.ones(2, np.float32)}, shape=("N", 2, 8))
    assert _tidied(model) == ["Conv", "BatchNormalization", "Add"]


def test_what_exporters_tell_goes():
    nodes = [_node("Neg", "x", "a", name="/net/layer", doc_string="line 7"), _node("Neg", "a", "y")]
    model = _model(nodes, {})
    model.graph.node[0].metadata_props.add(key="stack", value="trace")
    model.graph.value_info.append(helper.make_tensor_value_info("a", 1, ["N", 4]))
    model.metadata_props.add(key="lepton.inputs", value="{}")
    _tidied(model)
    text = model.SerializeToString()
    assert b"lepton.inputs" in text
    assert all(part not in text for part in (b"/net/layer", b"line 7", b"stack", b"trace"))


def test_graphs_within_nodes_find_what_they_name():
    inner = helper.make_graph([_node("Add", "long_value one", "inner_out")], "then", [],
                              [helper.make_tensor_value_info("inner_out", 1, ["N", 4])])  # fmt: skip
    other = helper.make_graph([_node("Identity", "x", "other_out")], "else", [],
                              [helper.make_tensor_value_info("other_out", 1, ["N", 4])])  # fmt: skip
    nodes = [_node("Neg", "x", "long_value"), _node("Identity", "yes", "answer"),
             helper.make_node("If", ["answer"], ["y"], then_branch=inner, else_branch=other)]  # fmt: skip
    model = _model(nodes, {"one": np.ones(4, np.float32), "yes": np.array(True)})
    assert _tidied(model) == ["Neg", "If"]


def test_texts_stay_texts():
    nodes = [_node("Cast", "x", "text", to=8), _node("Equal", "text word", "same"), _node("Cast", "same", "y", to=1),
             _node("Concat", "first first", "word", axis=0)]  # fmt: skip
    model = _model([nodes[3], *nodes[:3]], {"first": np.array(["1", "ä"], dtype=object)})
    operators = _tidied(model)
    assert operators == ["Cast", "Equal", "Cast"]


def test_tables_of_whole_numbers_take_as_few_bytes_as_hold_them():
    table = np.arange(600, dtype=np.int64) % 200
    nodes = [_node("Gather", "table place", "a"), _node("Gather", "far place", "b"), _node("Add", "a b", "c"),
             _node("Cast", "c", "d", to=1), _node("Mul", "x d", "y")]  # fmt: skip
    nodes[0].input[1] = nodes[1].input[1] = "places"
    model = _model(
        [_node("Cast", "x", "places", to=6), *nodes], {"table": table, "far": table * -(10**6)}, shape=(1, 4)
    )
    model.graph.node[0].CopyFrom(_node("Cast", "ones", "places", to=6))
    model.graph.node.insert(0, _node("Abs", "x", "absolute"))
    model.graph.node.insert(1, _node("Sign", "absolute", "ones"))
    before = model.ByteSize()
    assert _tidied(model)[:2] == ["Cast", "Cast"]
    assert model.ByteSize() < before - 600 * (4 + 7) + 100
    widen(model)
    assert sorted(each.data_type for each in model.graph.initializer) == [7, 7]
