import numpy as np
import pytest

from lepton.core import ErrorCode, LeptonError, UsageError

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

value = helper.make_tensor_value_info
FLOAT = TensorProto.FLOAT


def model_of(nodes, inputs, outputs, *, opset=20, ir=10, constants=(), domains=()):
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, list(constants))
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir)


@pytest.fixture(scope="module")
def classifier():
    """As skl2onnx writes it by default: a label, and a list of maps from class to probability."""
    skl2onnx = pytest.importorskip("skl2onnx")
    from sklearn.linear_model import LogisticRegression

    rows = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    fitted = LogisticRegression().fit(rows, np.where(rows[:, 0] > 0, "up", "down"))
    return skl2onnx.to_onnx(fitted, rows[:1], target_opset={"": 20, "ai.onnx.ml": 3}), fitted, rows


def test_a_classifier_with_a_zipmap_is_a_model_of_a_table(classifier, bring, tmp_path):
    model, fitted, rows = classifier
    path = tmp_path / "updown.bin"  # the suffix says nothing
    path.write_bytes(model.SerializeToString())
    result, mine = bring(path)
    assert (result.framework, mine.manifest.name, mine.labels) == ("onnx", "updown", ("down", "up"))
    assert mine.inputs.names == ("x0", "x1", "x2")
    assert mine.predict(rows.astype(float)).tolist() == fitted.predict(rows).tolist()
    assert mine.predict_proba(rows.astype(float)) == pytest.approx(fitted.predict_proba(rows), abs=1e-6)
    _, named = bring(model, labels=("falls", "rises"), sample={"a": [1.0, -1], "b": [0.5, 2], "c": [0.0, 1]})
    assert named.inputs.names == ("a", "b", "c")
    assert set(named.predict(rows.astype(float)).tolist()) == {"falls", "rises"}


def test_a_graph_of_tensors_keeps_its_names_and_newer_versions_are_lowered(bring):
    shapes = [value(name, FLOAT, ["N", 2]) for name in "ab"]
    model = model_of(
        [helper.make_node("Add", ["a", "b"], ["sum"])], shapes, [value("sum", FLOAT, ["N", 2])], opset=22, ir=12
    )
    result, mine = bring(model)
    assert (mine.task.name, [record.name for record in mine.manifest.tensors]) == ("tensor", ["a", "b"])
    assert mine.bundle.summary.opsets["ai.onnx"] == 20
    assert result.report["largest"] == 0.0
    rows = {"a": np.ones((3, 2), np.float32), "b": np.full((3, 2), 2, np.float32)}
    assert mine.run(rows)["sum"].tolist() == [[3.0, 3.0]] * 3


@pytest.mark.parametrize(("operator", "note"), [("Softmax", "probabilities"), ("Identity", "softmax")])
def test_labels_make_a_classifier(operator, note, bring):
    points = [value("x", FLOAT, ["N", 3])], [value("y", FLOAT, ["N", 3])]
    model = model_of([helper.make_node(operator, ["x"], ["y"])], *points, opset=13)
    result, mine = bring(model, labels=("a", "b", "c"), sample=np.array([[1, 2, 3], [9, -1, 0]], np.float32))
    assert note in result.report["notes"][0]
    assert mine.run({"x": np.array([[1, 2, 3], [9, -1, 0]], np.float32)})["prediction"].tolist() == ["c", "a"]
    assert mine.run({"x": np.array([[1, 2, 3]], np.float32)})["probabilities"].sum() == pytest.approx(1.0)
    with pytest.raises(UsageError, match="got 2 labels"):
        bring(model, labels=("a", "b"))


def refused() -> dict[str, tuple[object, str]]:
    rows, one = [value("x", FLOAT, ["N", 2])], [value("y", FLOAT, ["N", 2])]
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [0])
    mean = [helper.make_node("ReduceMean", ["x", "axis"], ["m"]), helper.make_node("Sub", ["x", "m"], ["y"])]
    outside = helper.make_tensor("w", FLOAT, [2], [1, 2])
    outside.ClearField("float_data")
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="/etc/passwd")
    add = [helper.make_node("Add", ["x", "w"], ["y"])]
    evil = [helper.make_node("Steal", ["x"], ["y"], domain="com.evil")]
    fixed = [value("x", FLOAT, [1, 2])], [value("y", FLOAT, [1, 2])]
    shape = [helper.make_node("Shape", ["x"], ["y"])]
    return {
        "domain": (model_of(evil, rows, one, domains=["com.evil"]), "'com.evil'"),
        "external": (model_of(add, rows, one, constants=[outside]), "another file"),
        "fixed": (model_of([helper.make_node("Relu", ["x"], ["y"])], *fixed), "fixed shape"),
        "neighbours": (model_of(mean, rows, one, constants=[axis]), "neighbours"),
        "no row": (model_of(shape, rows, [value("y", TensorProto.INT64, [2])]), "row for each row"),
        "empty": (model_of([], rows, rows), "empty"),
    }


@pytest.mark.parametrize("case", list(refused()))
def test_what_a_bundle_must_not_hold_is_refused(case, bring, tmp_path):
    model, words = refused()[case]
    with pytest.raises(LeptonError, match=words) as raised:
        bring(model)
    assert raised.value.code in {ErrorCode.NO_GRAPH_FORM, ErrorCode.GRAPH_REFUSED, ErrorCode.UNREADABLE}
    assert not (tmp_path / "mine.lepton").exists()


def test_a_file_cut_short_is_refused(classifier, bring, tmp_path):
    data = classifier[0].SerializeToString()
    for cut in (3, 40, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.onnx").write_bytes(data[:cut])
        with pytest.raises(LeptonError):
            bring(tmp_path / "cut.onnx")
