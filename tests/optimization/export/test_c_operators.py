"""Every operator that C has a form for, compiled in one file, beside onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from lepton.bundle.build import GraphBuilder
from lepton.core import BundleError, Work
from lepton.optimization.export import Options
from lepton.optimization.export.c_header import CHeaderExporter
from lepton.optimization.export.c_operators import OPERATORS
from lepton.training.importers.checking import differences_of

ONE = [
    "Abs",
    "Ceil",
    "Cos",
    "Exp",
    "Floor",
    "Neg",
    "Reciprocal",
    "Relu",
    "Round",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sqrt",
    "Tanh",
]
SINGLE = ["Erf", "Gelu", "Softplus", "Tan"]  # onnxruntime has them in single precision only
TWO = ["Add", "Div", "Mul", "Pow", "Sub", "Max", "Min"]
TESTS = ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"]
SUMS = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2", "ReduceSumSquare"]


def arithmetic(g: GraphBuilder, x: str, texts: str) -> dict[str, str]:
    """Numbers from numbers; a name says the type of an output, and ends in its dimensions behind the row."""
    row, column = g.constant(np.array([[1.5, -2.0, 0.5, 3.0]])), g.constant(np.array([[2.0]]))
    one, axes = g.constant(np.array([1])), g.constant(np.array([1, 2]))
    known = g.node("Where", [g.node("IsNaN", [x]), g.constant(0.25), x])
    small = g.node("Clip", [known, g.constant(-2.0), g.constant(2.0)])
    single = g.node("Cast", [small], to=1)
    made = {f"double_{op}_1": g.node(op, [x]) for op in ONE}
    made |= {f"float_{op}_1": g.node(op, [single]) for op in SINGLE}
    made["double_Log_1"] = g.node("Log", [g.node("Abs", [x])])
    made |= {f"double_{op}_1": g.node(op, [x, row]) for op in TWO}
    made |= {f"bool_{op}_1": g.node(op, [x, column]) for op in TESTS}
    made |= {f"bool_{op}_1": g.node(op, [made["bool_Less_1"], made["bool_Greater_1"]]) for op in ("And", "Or", "Xor")}
    made["bool_Not_1"] = g.node("Not", [made["bool_Less_1"]])
    made["bool_Same_1"] = g.node("Equal", [texts, g.constant([["Köln", ""]])])
    cube = g.node("Reshape", [known, g.constant(np.array([-1, 2, 2]))])
    made |= {f"double_{op}_1": g.node(op, [known, one], keepdims=1) for op in SUMS}
    made["double_SumAll_0"] = g.node("ReduceSum", [cube, axes], keepdims=0)
    made |= {f"int64_{op}_0": g.node(op, [small], axis=1, keepdims=0) for op in ("ArgMax", "ArgMin")}
    made |= {f"double_{op}_1": g.node(op, [small], axis=1) for op in ("Softmax", "LogSoftmax")}
    made["double_Softmaxes_2"] = g.node("Softmax", [cube], axis=1)
    made |= {f"float_{op}_1": g.node(op, [single], alpha=0.5) for op in ("Elu", "LeakyRelu")}
    made["double_Clip_1"] = g.node("Clip", [x, g.constant(-1.0), g.constant(1.0)])
    made["int64_Cast_1"] = g.node("Cast", [g.node("Mul", [small, g.constant(7.0)])], to=7)
    made["double_MatMul_1"] = g.node("MatMul", [known, g.constant(np.arange(12.0).reshape(4, 3))])
    weights, bias = g.constant(np.arange(8.0).reshape(2, 4)), g.constant(np.array([1.0, 2.0]))
    made["double_Gemm_1"] = g.node("Gemm", [known, weights, bias], transB=1, alpha=0.5, beta=2.0)
    scales = [g.constant(np.array(each)) for each in ([2.0, 1, 1, 3], [0.0, 1, 2, 3], [1.0, 0, 0, 1], [1.0, 4, 1, 1])]
    made["double_Norm_1"] = g.node("BatchNormalization", [known, *scales])
    return made


def movements(g: GraphBuilder, x: str, texts: str) -> dict[str, str]:
    """Elements from one place to another."""

    def whole(*numbers: int) -> str:
        return g.constant(np.array(numbers))

    cube = g.node("Reshape", [x, whole(-1, 2, 2)])
    places = g.node("Cast", [g.node("IsNaN", [g.node("Gather", [x, whole(0)], axis=1)])], to=7)
    left, right = g.node("Split", [x], outputs=2, axis=1, num_outputs=2)
    joined = g.node("StringConcat", [g.constant([["0:", "1:"]]), texts])
    codes = g.node(
        "LabelEncoder",
        [joined],
        domain="ai.onnx.ml",
        keys_strings=["1:Köln", "0:Ulm", "0:Köln", "1:", '1:a"?\\'],
        values_tensor=np.array([1.5, 2.5, np.nan, -0.0, 9.0]),
        default_tensor=np.array([-1.0]),
    )
    names = g.node(
        "LabelEncoder",
        [g.node("Cast", [g.node("Round", [x])], to=7)],
        domain="ai.onnx.ml",
        keys_int64s=[0, 3, -2],
        values_strings=["nought", 'three "?"', "größer"],
        default_string="",
    )
    table = g.constant(np.arange(6.0).reshape(2, 3))
    return {
        "double_Transpose_2": g.node("Transpose", [cube], perm=[0, 2, 1]),
        "double_Slice_1": g.node("Slice", [x, whole(3), whole(-9), whole(1), whole(-2)]),
        "double_Concat_1": g.node("Concat", [right, x, left], axis=1),
        "double_Gather_1": g.node("Gather", [x, whole(2, -1, 0, 0)], axis=1),
        "double_Chosen_2": g.node("Gather", [table, places], axis=0),
        "double_Expand_2": g.node("Expand", [g.node("Unsqueeze", [x, whole(1)]), whole(1, 3, 4)]),
        "double_Tile_1": g.node("Tile", [x, whole(1, 2)]),
        "double_Flatten_1": g.node("Flatten", [g.node("Squeeze", [g.node("Unsqueeze", [cube, whole(1)]), whole(1)])]),
        "double_Dropout_1": g.node("Dropout", [g.node("Identity", [x])]),
        "double_Codes_1": codes,
        "string_Names_1": names,
        "string_Chosen_1": g.node("Where", [g.node("IsNaN", [left]), texts, g.constant("there")]),
    }


@pytest.mark.parametrize("build", [arithmetic, movements])
def test_c_answers_as_onnxruntime(build, subject_of, odd_rows, tmp_path):
    subject = subject_of(build, *odd_rows)
    folder = tmp_path / "made"
    folder.mkdir()
    exporter, work = CHeaderExporter(), Work()
    exporter.export(subject, folder, Options(), work)
    checked = exporter.check(subject, folder, Options(), work)
    assert checked.answers.keys() == subject.answers.keys()
    told = {each.output: each.relative for each in differences_of(subject.answers, checked.answers, 0.0)}
    far = {name: apart for name, apart in told.items() if not apart <= (1e-6 if "float" in name else 1e-12)}
    assert not far
    assert checked.seconds is not None


def test_every_operator_is_compared():
    covered = {
        *ONE,
        *SINGLE,
        *TWO,
        *TESTS,
        *SUMS,
        "And",
        "Or",
        "Xor",
        "Not",
        "IsNaN",
        "Log",
        "ArgMax",
        "ArgMin",
        "Softmax",
    }
    covered |= {"LogSoftmax", "Elu", "LeakyRelu", "Clip", "Cast", "MatMul", "Gemm", "BatchNormalization"}
    covered |= {"Where", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout", "Transpose", "Slice"}
    covered |= {"Concat", "Split", "Gather", "Expand", "Tile", "StringConcat", "LabelEncoder", "TreeEnsemble"}
    assert covered == OPERATORS.keys()


def test_operators_without_a_form_are_all_named(subject_of, odd_rows, tmp_path):
    def build(g: GraphBuilder, x: str, texts: str) -> dict[str, str]:
        return {"double_a_1": g.node("CumSum", [g.node("Mod", [x, x], fmod=1), g.constant(1)])}

    with pytest.raises(BundleError, match=r"cannot express the operators CumSum, Mod"):
        CHeaderExporter().export(subject_of(build, *odd_rows), tmp_path, Options(), Work())
