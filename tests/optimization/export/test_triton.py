"""A repository that Triton's own schema reads, and that says what the graph says."""

from __future__ import annotations

import pytest

from lepton.core import BundleError, Work
from lepton.optimization.export import Options, export
from lepton.optimization.export.triton import TritonExporter, config_of, read_config
from tests.bundle.bundles import ROWS


def test_the_schema_of_triton_reads_it(binary, tmp_path):
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    export(binary, "triton", tmp_path / "made", rows=ROWS)
    folder = tmp_path / "made" / "expensive"
    config = text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("expensive", "onnxruntime", 256)
    assert [(each.name, each.data_type, list(each.dims)) for each in config.input] == [
        ("numbers", model_config_pb2.TYPE_FP64, [3]),
        ("strings", model_config_pb2.TYPE_STRING, [1]),
    ]
    prediction, probabilities = config.output
    assert list(prediction.dims) == [1]
    assert prediction.HasField("reshape")
    assert not prediction.reshape.shape
    assert (list(probabilities.dims), probabilities.label_filename) == ([2], "labels.txt")
    assert (folder / "labels.txt").read_text() == "no\nyes\n"
    assert (folder / "1" / "model.onnx").read_bytes() == binary.bundle.graph


def test_a_configuration_that_differs_from_the_graph_is_found(regression, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "lepton.optimization.export.triton.config_of",
        lambda subject, name: config_of(subject, name).replace("dims: [ 3 ]", "dims: [ 4 ]").replace("[3]", "[4]"),
    )
    with pytest.raises(BundleError, match=r"config\.pbtxt says"):
        export(regression, "triton", tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_without_classes_there_are_no_labels(subject_of, odd_rows, tmp_path):
    subject = subject_of(lambda g, x, texts: {"double_a_1": x, "string_b_1": texts}, *odd_rows)
    TritonExporter().export(subject, tmp_path, Options(), Work())
    assert (tmp_path / "graph" / "config.pbtxt").exists()
    assert not (tmp_path / "graph" / "labels.txt").exists()


def test_messages_read_back():
    text = 'a: "x \\" y" b { c: [1, -2] d { e: TYPE_A } } f [ { g: 1 }, { g: 2 } ]'
    assert read_config(text) == {
        "a": 'x \\" y',
        "b": {"c": [1, -2], "d": {"e": "TYPE_A"}},
        "f": [{"g": 1}, {"g": 2}],
    }
    with pytest.raises(BundleError, match="does not read back"):
        read_config("a: 1 }")
