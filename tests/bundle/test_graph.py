from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
import pytest
from hypothesis import given, strategies as st
from onnx import TensorProto, helper, numpy_helper

from lepton.bundle import graph as room
from lepton.bundle.graph import GraphSummary, ValueRecord, summarize_graph
from lepton.core import BundleError, ErrorCode

OPSETS = (("", 20), ("ai.onnx.ml", 5))
SCALAR = helper.make_tensor_value_info("y", TensorProto.INT64, [])


def make_model(
    nodes: Sequence[Any],
    *,
    constants: Sequence[Any] = (),
    opsets: Sequence[tuple[str, int]] = OPSETS,
    ir_version: int = 10,
    **fields: Any,
) -> Any:
    """A model of one input `x` and one output `y`, numbers of 64 bits."""
    x = helper.make_tensor_value_info("x", TensorProto.INT64, [])
    graph = helper.make_graph(list(nodes), "graph", [x], [SCALAR], list(constants))
    return helper.make_model(
        graph, ir_version=ir_version, opset_imports=[helper.make_opsetid(*o) for o in opsets], **fields
    )


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Any:
    return helper.make_node(operator, list(inputs), list(outputs), **attributes)


def identity(name: str = "x") -> Any:
    return node("Identity", [name], ["y"])


def int64(name: str, *values: int, dims: Sequence[int] = ()) -> Any:
    return helper.make_tensor(name, TensorProto.INT64, list(dims), list(values))


def summary_of(model: Any) -> GraphSummary:
    return summarize_graph(model.SerializeToString())


def refusal_of(model: Any) -> str:
    with pytest.raises(BundleError) as caught:
        summarize_graph(model if isinstance(model, bytes) else model.SerializeToString())
    assert caught.value.code == ErrorCode.GRAPH_REFUSED
    return str(caught.value)


# --- what is accepted --------------------------------------------------------------------------------------------


def test_a_summary_says_what_a_graph_is():
    weights = numpy_helper.from_array(np.zeros((3, 5)), "weights")
    graph = helper.make_graph(
        [
            node("MatMul", ["numbers", "weights"], ["raw"]),
            node("ArgMax", ["raw"], ["prediction"], axis=1, keepdims=0),
            node("Normalizer", ["raw"], ["unused"], domain="ai.onnx.ml", norm="L1"),
        ],
        "graph",
        [helper.make_tensor_value_info("numbers", TensorProto.DOUBLE, ["N", 3])],
        [
            helper.make_tensor_value_info("prediction", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("raw", TensorProto.DOUBLE, None),
        ],
        [weights],
        value_info=[helper.make_tensor_sequence_value_info("list", TensorProto.FLOAT, ["N"])],
    )
    model = helper.make_model(
        graph, ir_version=8, opset_imports=[helper.make_opsetid("ai.onnx", 13), helper.make_opsetid("ai.onnx.ml", 3)]
    )
    helper.set_model_props(model, {"lepton.inputs": "{}", "ß": ""})
    assert summary_of(model) == GraphSummary(
        ir_version=8,
        opsets={"ai.onnx": 13, "ai.onnx.ml": 3},
        inputs=(ValueRecord("numbers", "double", ("N", 3)),),
        outputs=(ValueRecord("prediction", "int64", ("",)), ValueRecord("raw", "double", None)),
        num_nodes=3,
        operators={"MatMul": 1, "ArgMax": 1, "ai.onnx.ml.Normalizer": 1},
        metadata={"lepton.inputs": "{}", "ß": ""},
        tensor_bytes=120,
        values=frozenset({"numbers", "weights", "raw", "prediction", "unused"}),
    )


@pytest.mark.parametrize("element_type", sorted(room._ELEMENTS))
@pytest.mark.parametrize("dims", [[], [0], [3], [2, 3]])
def test_tensors_of_every_type_raw_and_typed(element_type, dims):
    count = int(np.prod(dims))
    values = ["text"] * count if element_type == TensorProto.STRING else [1] * count
    typed = helper.make_tensor("t", element_type, dims, values)
    summary_of(make_model([identity()], constants=[typed]))
    if element_type != TensorProto.STRING:
        raw = TensorProto(name="t", data_type=element_type, dims=dims)
        raw.raw_data = bytes((count * room._ELEMENTS[element_type].bits + 7) // 8)
        assert summary_of(make_model([identity()], constants=[raw])).tensor_bytes == len(raw.raw_data)


def models_that_onnx_ships() -> Iterator[Path]:
    yield from sorted((Path(onnx.backend.test.__file__).parent / "data").rglob("*.onnx"))


def test_models_that_onnx_ships_are_accepted():
    accepted = 0
    for path in models_that_onnx_ships():
        model = onnx.load(path, load_external_data=False)
        domains = {entry.domain for entry in model.opset_import}
        if domains <= {"", "ai.onnx", "ai.onnx.ml"} and model.ir_version <= 10 and not model.functions:
            summary = summarize_graph(path.read_bytes())
            assert summary.num_nodes == count_nodes(model.graph)
            assert [value.name for value in summary.inputs] == [value.name for value in model.graph.input]
            accepted += 1
    assert accepted > 100


def count_nodes(graph: Any) -> int:
    return len(graph.node) + sum(count_nodes(inner) for item in graph.node for inner in subgraphs(item))


def subgraphs(item: Any) -> Iterator[Any]:
    for attribute in item.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


@st.composite
def graphs(draw: st.DrawFn, depth: int = 0, outer: tuple[str, ...] = ("x",)) -> Any:
    """The nodes of a graph over int64 scalars, with branches and loops, and the name that it gives."""
    known = [*outer]
    nodes = []
    prefix = f"{draw(st.integers(0, 10**9))}_{depth}_"
    for number in range(draw(st.integers(1, 5))):
        name = f"v{prefix}{number}"
        taken = st.sampled_from(known)
        match draw(st.sampled_from(["add", "constant", "tensor", "if", "loop"] if depth < 3 else ["add", "constant"])):
            case "add":
                nodes.append(node("Add", [draw(taken), draw(taken)], [name]))
            case "constant":
                nodes.append(node("Constant", [], [name], value_int=draw(st.integers(-5, 2**40))))
            case "tensor":
                nodes.append(node("Constant", [], [name], value=int64("", draw(st.integers(0, 9)))))
            case "if":
                nodes.append(node("Cast", [draw(taken)], [name + "c"], to=TensorProto.BOOL))
                branches = {
                    branch: branch_graph(draw(graphs(depth + 1, tuple(known))))
                    for branch in ("then_branch", "else_branch")
                }
                nodes.append(node("If", [name + "c"], [name], **branches))
            case "loop":
                nodes.append(
                    node(
                        "Constant",
                        [],
                        [name + "m"],
                        value=int64("", draw(st.integers(0, 30)), dims=draw(st.sampled_from([[], [1]]))),
                    )
                )
                body = loop_graph(name, draw(graphs(depth + 1, (*known, name + "i", name + "s"))))
                nodes.append(node("Loop", [name + "m", "", draw(taken)], [name], body=body))
        known.append(name)
    return nodes, known[-1]


def branch_graph(content: tuple[list[Any], str]) -> Any:
    nodes, last = content
    return helper.make_graph(nodes, "branch", [], [helper.make_tensor_value_info(last, TensorProto.INT64, [])])


def loop_graph(name: str, content: tuple[list[Any], str]) -> Any:
    nodes, last = content
    inputs = [
        helper.make_tensor_value_info(name + "i", TensorProto.INT64, []),
        helper.make_tensor_value_info(name + "b", TensorProto.BOOL, []),
        helper.make_tensor_value_info(name + "s", TensorProto.INT64, []),
    ]
    nodes = [*nodes, node("Identity", [name + "b"], [name + "o"])]
    outputs = [
        helper.make_tensor_value_info(name + "o", TensorProto.BOOL, []),
        helper.make_tensor_value_info(last, TensorProto.INT64, []),
    ]
    return helper.make_graph(nodes, "body", inputs, outputs)


def whole_model(content: tuple[list[Any], str]) -> Any:
    nodes, last = content
    return make_model([*nodes, identity(last)])


@given(model=graphs().map(whole_model))
def test_what_onnx_accepts_is_accepted(model):
    onnx.checker.check_model(model)
    summary = summary_of(model)
    assert summary.num_nodes == count_nodes(model.graph)
    assert sum(summary.operators.values()) == summary.num_nodes


@given(model=graphs().map(whole_model), data=st.data())
def test_changed_bytes_are_refused_or_read_as_onnx_reads_them(model, data):
    serialized = bytearray(model.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(serialized) - 1))
        change = data.draw(st.sampled_from(["set", "insert", "remove", "cut"]))
        if change == "cut":
            del serialized[max(position, 1) :]
        else:
            width = 0 if change == "insert" else 1
            new = b"" if change == "remove" else bytes([data.draw(st.integers(0, 255))])
            serialized[position : position + width] = new
        serialized = serialized or bytearray(b"\0")
    try:
        summary = summarize_graph(bytes(serialized))
    except BundleError:
        return
    parsed = onnx.ModelProto.FromString(bytes(serialized))
    assert summary.num_nodes == count_nodes(parsed.graph)
    assert summary.ir_version == parsed.ir_version
    assert [value.name for value in summary.outputs] == [value.name for value in parsed.graph.output]
    assert sum(summary.operators.values()) == sum(Counter(operators(parsed.graph)).values())


def operators(graph: Any) -> Iterator[str]:
    for item in graph.node:
        yield item.op_type
        for inner in subgraphs(item):
            yield from operators(inner)


@given(data=st.binary(max_size=60))
def test_any_bytes_are_refused(data):
    refusal_of(data)


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (b"", "IR version 0"),
        (make_model([identity()], ir_version=11), "the model has IR version 11. Wanted: 3 to 10"),
        (make_model([identity()], ir_version=2), "IR version 2"),
        (make_model([identity()], opsets=[("", 21)]), "opset 21 of ai.onnx. Wanted: 1 to 20"),
        (make_model([identity()], opsets=[("", 0)]), "opset 0 of ai.onnx"),
        (make_model([identity()], opsets=[("", 20), ("ai.onnx.ml", 6)]), "opset 6 of ai.onnx.ml. Wanted: 1 to 5"),
        (make_model([identity()], opsets=[("", 20), ("ai.onnx", 20)]), "imports ai.onnx twice"),
        (make_model([identity()], opsets=[("", 20), ("com.microsoft", 1)]), "imports the domain 'com.microsoft'"),
        (make_model([identity()], opsets=[]), "a node has the operator 'Identity' of the domain 'ai.onnx'"),
        (make_model([node("Gelu", ["x"], ["y"], domain="com.microsoft")]), "'Gelu' of the domain 'com.microsoft'"),
        (make_model([node("\x1b[31m", ["x"], ["y"], domain="d\u202e")]), r"'\x1b[31m' of the domain 'd\u202e'"),
        (make_model([identity()], functions=[helper.make_function("f", "f", [], [], [], [])]), "brings functions"),
        (make_model([node("Identity", ["z"], ["y"])]), "takes 'z', which no earlier one makes"),
        (make_model([node("Identity", ["b"], ["a"]), node("Identity", ["a"], ["b"]), identity("a")]), "takes 'b'"),
        (make_model([identity("a"), node("Identity", ["x"], ["a"])]), "takes 'a'"),
        (make_model([node("Identity", ["y"], ["y"])]), "takes 'y'"),
        (make_model([identity(), identity()]), "the value 'y' is defined twice"),
        (make_model([node("Identity", ["x"], ["x"]), identity()]), "the value 'x' is defined twice"),
        (make_model([identity()], constants=[int64("a", 1)] * 2), "the value 'a' is defined twice"),
        (make_model([identity()], constants=[int64("", 1)]), "has no name"),
        (make_model([node("Identity", ["x"], ["z"])]), "the output 'y' is made by no node"),
        (make_model([identity()], doc_string="x").SerializeToString()[:-1], "ends within"),
    ],
)  # fmt: skip
def test_models_that_are_refused(model, message):
    assert message in refusal_of(model)


def test_a_model_without_a_graph_and_a_model_for_training():
    model = make_model([identity()])
    model.ClearField("graph")
    assert "holds no graph" in refusal_of(model)
    model = make_model([identity()])
    model.training_info.add().algorithm.CopyFrom(model.graph)
    assert "information for training" in refusal_of(model)


def test_a_graph_that_comes_in_two_parts():
    """Protobuf would merge them, so that a reader of the first alone would not see the second."""
    model = make_model([identity()])
    again = onnx.ModelProto(graph=model.graph).SerializeToString()
    assert "the model holds the field 7 twice" in refusal_of(model.SerializeToString() + again)


def test_metadata_that_say_two_things():
    model = make_model([identity()])
    for value in "12":
        entry = model.metadata_props.add()
        entry.key, entry.value = "lepton.inputs", value
    assert "'lepton.inputs' twice" in refusal_of(model)


def tensor(**fields: Any) -> Any:
    return TensorProto(**({"name": "t", "data_type": TensorProto.INT64} | fields))


EXTERNAL = [onnx.StringStringEntryProto(key="location", value="../../etc/passwd")]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (tensor(dims=[2], raw_data=bytes(15)), "holds 15 numbers or bytes in its field 9"),
        (tensor(dims=[2], raw_data=bytes(17)), "holds 17"),
        (tensor(dims=[2], int64_data=[1]), "holds 1 numbers or bytes in its field 7"),
        (tensor(dims=[2], int64_data=[1, 2, 3]), "holds 3"),
        (tensor(dims=[1], double_data=[1.0]), "in its field 10"),
        (tensor(dims=[1], string_data=[b"x"]), "in its field 6"),
        (tensor(dims=[2]), "of sizes [2] holds no data"),
        (tensor(dims=[1], raw_data=bytes(8), int64_data=[1]), "holds its data twice"),
        (tensor(dims=[-1], raw_data=bytes(8)), "has the size -1"),
        (tensor(dims=[2**62, 2**62, 0]), "fewer elements than 64 bits can count"),
        (tensor(dims=[2**32, 2**32], raw_data=b""), "fewer elements than 64 bits can count"),
        (tensor(dims=[2**40], raw_data=b""), "holds 0 numbers"),
        (tensor(dims=[1] * 10_000, raw_data=bytes(8)), "a tensor has 10000 dimensions"),
        (tensor(dims=[1], data_type=0, raw_data=bytes(8)), "has the element type 0"),
        (tensor(dims=[1], data_type=23, raw_data=bytes(8)), "has the element type 23"),
        (tensor(dims=[1], data_type=TensorProto.STRING, raw_data=bytes(8)), "in its field 9"),
        (tensor(dims=[3], data_type=TensorProto.INT4, raw_data=bytes(3)), "holds 3"),
        (tensor(dims=[1], data_type=TensorProto.FLOAT, float_data=[1.0, 2.0]), "holds 2"),
        (tensor(dims=[1], data_location=TensorProto.EXTERNAL), "data lie elsewhere"),
        (tensor(dims=[1], external_data=EXTERNAL), "names external data"),
        (tensor(dims=[1], raw_data=bytes(8), external_data=EXTERNAL), "names external data"),
        (tensor(dims=[0], segment=TensorProto.Segment(begin=0, end=1)), "holds the field 3"),
    ],
)
def test_tensors_that_are_refused_wherever_they_stand(broken, message):
    assert message in refusal_of(make_model([identity()], constants=[broken]))
    constant = node("Constant", [], ["c"], value=broken)
    assert message in refusal_of(make_model([constant, identity()]))
    several = helper.make_node("Constant", [], ["c"])
    several.attribute.add(name="values", type=onnx.AttributeProto.TENSORS).tensors.append(broken)
    assert message in refusal_of(make_model([several, identity()]))
    branch = helper.make_graph([identity()], "branch", [], [SCALAR], [broken])
    assert message in refusal_of(
        make_model([node("If", ["x"], ["z"], then_branch=branch, else_branch=branch), identity("z")])
    )


def test_numbers_that_are_cut():
    for field, number in ((b"\x22", 4), (b"\x52", 8)):
        data = b"\x08\x01\x10\x01" + field + b"\x03abc"
        with pytest.raises(BundleError, match=f"3 bytes of numbers of {number} bytes"):
            room._Walker(data).tensor(0, len(data))


def test_sparse_tensors_are_refused():
    sparse = helper.make_sparse_tensor(int64("v", 1, dims=[1]), int64("i", 0, dims=[1]), [2**31])
    model = make_model([identity()])
    model.graph.sparse_initializer.append(sparse)
    assert "sparse tensor" in refusal_of(model)
    assert "sparse tensor" in refusal_of(make_model([node("Constant", [], ["c"], sparse_value=sparse), identity()]))


def test_nesting_is_bounded():
    def branches(depth: int) -> Any:
        content, last = [node("Identity", ["x"], ["v"])], "v"
        for level in range(depth):
            output = helper.make_tensor_value_info(last, TensorProto.INT64, [])
            inner = helper.make_graph(content, "branch", [], [output])
            last = f"v{level}"
            content = [node("If", ["x"], [last], then_branch=inner)]
        return make_model([*content, identity(last)])

    assert summary_of(branches(8)).num_nodes == 10
    assert "nested more than 8 deep" in refusal_of(branches(9))
    assert "nested more than 8 deep" in refusal_of(branches(20))


def test_types_within_types_are_bounded():
    kind = helper.make_tensor_type_proto(TensorProto.INT64, [])
    for _ in range(8):
        kind = helper.make_optional_type_proto(helper.make_sequence_type_proto(kind))
    model = make_model([identity()])
    model.graph.value_info.append(helper.make_value_info("v", kind))
    assert "a type is nested more than 8 deep" in refusal_of(model)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [])), "is not a tensor"),
        (helper.make_map_type_proto(7, helper.make_tensor_type_proto(1, [])), "is not a tensor"),
        (helper.make_sparse_tensor_type_proto(1, [2]), "is not a tensor"),
        (onnx.TypeProto(), "is not a tensor"),
        (helper.make_tensor_type_proto(0, []), "has the element type 0"),
        (helper.make_tensor_type_proto(1, [-1]), "has the size -1"),
        (helper.make_tensor_type_proto(1, [1] * 65), "65 dimensions"),
    ],
)
def test_outputs_are_tensors(kind, message):
    model = make_model([identity()])
    model.graph.output[0].type.CopyFrom(kind)
    assert message in refusal_of(model)


def test_dimensions_and_types_say_one_thing():
    model = make_model([identity()])
    size = model.graph.output[0].type.tensor_type.shape.dim.add()
    size.dim_param = "N"
    data = model.SerializeToString()
    assert summarize_graph(data).outputs[0].shape == ("N",)
    # The same bytes with the size 1 in place of the name's first bytes cannot be made by onnx; so by hand.
    kind = onnx.TypeProto.FromString(b"\x0a\x02\x08\x01").SerializeToString()
    walker = room._Walker(kind + b"\x42\x02\x08\x01")
    with pytest.raises(BundleError, match="a type says two things"):
        walker.type(0, len(walker.data))
    walker = room._Walker(b"\x08\x01\x12\x01N")
    with pytest.raises(BundleError, match="a dimension says two things"):
        walker.dimension(0, len(walker.data))


# --- attributes and loops ----------------------------------------------------------------------------------------


def test_attributes_hold_what_their_type_says():
    item = node("Constant", [], ["c"], value_int=5)
    item.attribute[0].t.CopyFrom(int64("", 2**40))
    assert "the attribute 'value_int' holds other values than its type 2 says" in refusal_of(
        make_model([item, identity()])
    )
    item = node("Constant", [], ["c"], value_int=5)
    item.attribute[0].type = 0
    assert "than its type 0 says" in refusal_of(make_model([item, identity()]))
    item = node("Constant", [], ["c"], value_int=5)
    item.attribute.append(item.attribute[0])
    assert "the attribute 'value_int' twice" in refusal_of(make_model([item, identity()]))
    item = node("Constant", [], ["c"], value_int=5)
    item.attribute[0].ref_attr_name = "a"
    assert "refers to a function's" in refusal_of(make_model([item, identity()]))
    item = node("Identity", ["x"], ["y"])
    item.overload = "v2"
    assert "overload" in refusal_of(make_model([item]))


def loop(trips: str, inner: Sequence[Any] = (), name: str = "l") -> Any:
    body = loop_graph(name, ([*inner, node("Identity", [name + "s"], [name + "e"])], name + "e"))
    return node("Loop", [trips, "", "x"], [name], body=body)


@pytest.mark.parametrize(
    "constant",
    [
        {"nodes": [node("Constant", [], ["m"], value_int=2**20)]},
        {"nodes": [node("Constant", [], ["m"], value=int64("", 2**20))]},
        {"nodes": [node("Constant", [], ["m"], value=int64("", 2**20, dims=[1]))]},
        {"nodes": [], "constants": [int64("m", 2**20)]},
        {"nodes": [], "constants": [numpy_helper.from_array(np.array(2**20), "m")]},
        {"nodes": [], "constants": [int64("m", 0)]},
        {"nodes": [], "constants": [int64("m", -1)]},
    ],
)
def test_loops_of_a_constant_count(constant):
    model = make_model([*constant["nodes"], loop("m"), identity("l")], constants=constant.get("constants", ()))
    assert summary_of(model).operators["Loop"] == 1


@pytest.mark.parametrize(
    ("nodes", "constants", "message"),
    [
        ([loop("x")], [], "no trip count that is a constant"),
        ([loop("")], [], "no trip count that is a constant"),
        ([node("Identity", ["c"], ["m"]), loop("m")], [int64("c", 5)], "no trip count that is a constant"),
        ([node("Constant", [], ["m"], value_float=5.0), loop("m")], [], "no trip count that is a constant"),
        ([loop("m")], [int64("m", 5, 5, dims=[2])], "no trip count that is a constant"),
        ([loop("m")], [int64("m", 2**20 + 1)], "runs its body 1048577 times"),
        ([loop("m")], [int64("m", 2**62)], "runs its body 4611686018427387904 times"),
        ([loop("m", [loop("m", name="k")])], [int64("m", 1025)], "runs its body 1050625 times"),
        ([loop("z", [loop("m", name="k")])], [int64("m", 2**30), int64("z", 0)], "runs its body 1073741824 times"),
    ],
)
def test_loops_that_are_refused(nodes, constants, message):
    assert message in refusal_of(make_model([*nodes, identity("l")], constants=constants))


def test_a_constant_that_is_an_input_is_none():
    model = make_model([loop("m"), identity("l")], constants=[int64("m", 5)])
    model.graph.input.append(helper.make_tensor_value_info("m", TensorProto.INT64, []))
    assert "no trip count that is a constant" in refusal_of(model)
    model = make_model([identity("a")], constants=[int64("a", 5)])
    model.graph.input.append(helper.make_tensor_value_info("a", TensorProto.INT64, []))
    assert [value.name for value in summary_of(model).inputs] == ["x", "a"]


def test_an_inner_value_hides_an_outer_constant():
    inner = loop("li", name="k")  # the outer loop's counter, an input of its body
    assert "no trip count that is a constant" in refusal_of(
        make_model([loop("m", [inner]), identity("l")], constants=[int64("m", 5)])
    )


def test_values_of_branches_stay_in_them():
    branch = helper.make_graph(
        [node("Identity", ["x"], ["inner"])], "branch", [], [helper.make_tensor_value_info("inner", 7, [])]
    )
    choice = node("If", ["x"], ["z"], then_branch=branch, else_branch=branch)
    assert summary_of(make_model([choice, identity("z")])).values == {"x", "z", "y"}
    assert "takes 'inner'" in refusal_of(make_model([choice, identity("inner")]))
    again = helper.make_graph(
        [node("Identity", ["x"], ["x"])], "branch", [], [helper.make_tensor_value_info("x", 7, [])]
    )
    assert "'x' is defined twice" in refusal_of(
        make_model([node("If", ["x"], ["z"], then_branch=again), identity("z")])
    )


# --- bounds ------------------------------------------------------------------------------------------------------


def graph_of_fields(field: bytes, count: int) -> bytes:
    graph = field * count
    return b"\x08\x0a\x3a" + varint(len(graph)) + graph


def varint(value: int) -> bytes:
    low = bytes([value & 0x7F | 0x80]) if value > 0x7F else bytes([value])
    return low + varint(value >> 7) if value > 0x7F else low


def test_the_number_of_nodes_is_bounded_before_they_are_walked(stopwatch):
    one = node("Identity", ["nothing"], ["x"]).SerializeToString()
    field = b"\x0a" + bytes([len(one)]) + one
    assert "takes 'nothing'" in refusal_of(b"\x42\x02\x10\x14" + graph_of_fields(field, room.MAX_NODES))
    with stopwatch(2.0):
        assert "more than 100000 nodes" in refusal_of(graph_of_fields(field, room.MAX_NODES + 1))


def test_a_flaw_at_the_very_end_is_found_in_time(stopwatch):
    nodes = [node("Add", ["x", "x"], [f"v{i}"], name=f"node {i}") for i in range(room.MAX_NODES - 1)]
    data = make_model([*nodes, identity("nothing")]).SerializeToString()
    with stopwatch(2.0):
        assert "takes 'nothing'" in refusal_of(data)


def test_the_number_of_fields_is_bounded(stopwatch):
    with stopwatch(4.0):
        assert "more than 2000000 fields" in refusal_of(graph_of_fields(b"\x6a\x00", 3_000_000))


def test_big_tensors_cost_nothing(stopwatch):
    model = make_model([identity()], constants=[numpy_helper.from_array(np.zeros(5_000_000), "t")])
    data = model.SerializeToString()
    with stopwatch(0.4):  # at least 100 MB/s
        assert summarize_graph(data).tensor_bytes == 40_000_000


def test_long_names_are_refused():
    assert "a text has 70000 bytes" in refusal_of(make_model([node("Identity", ["x"], ["v" * 70_000]), identity()]))
