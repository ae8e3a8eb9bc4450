"""The graph by itself: fed by what is said beside it, and lowered where the converter can."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

from lepton.bundle.build import GraphBuilder
from lepton.core import BundleError, Work
from lepton.optimization.export import Options, export
from lepton.optimization.export.base import run_alone
from lepton.optimization.export.onnx import OnnxExporter, lowered
from tests.bundle.bundles import ROWS


def test_a_stranger_can_feed_it(binary, tmp_path):
    made = export(binary, "onnx", tmp_path / "made", rows=ROWS)  # runs the example in a process of its own
    assert [each["name"] for each in made.report["files"]] == ["example.npz", "example.py", "inputs.json", "model.onnx"]
    told = json.loads((tmp_path / "made" / "inputs.json").read_text("utf-8"))
    assert told["tensors"] == {
        "numbers": {"dtype": "float64", "shape": ["N", 3]},
        "strings": {"dtype": "string", "shape": ["N", 1]},
    }
    assert [column["name"] for column in told["columns"]["numbers"]] == ["rooms", "sold", "garden"]
    assert told["labels"] == ["no", "yes"]
    assert (tmp_path / "made" / "model.onnx").read_bytes() == binary.bundle.graph


def test_an_example_that_answers_otherwise_is_refused(binary, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "lepton.optimization.export.onnx._EXAMPLE", 'print("{\\"prediction\\": [\\"no\\"]}")\nraise SystemExit(3)'
    )
    with pytest.raises(BundleError, match=r"example\.py fails"):
        export(binary, "onnx", tmp_path / "made", rows=ROWS)
    assert not (tmp_path / "made").exists()


def test_an_older_opset(subject_of, odd_rows, tmp_path):
    def build(g: GraphBuilder, x: str, texts: str) -> dict[str, str]:
        return {"double_a_1": g.node("ReduceSum", [x, g.constant(np.array([1]))])}

    subject = subject_of(build, *odd_rows)
    lower = lowered(subject.graph, 16)
    model = onnx.load_from_string(lower)
    assert {each.domain: each.version for each in model.opset_import}[""] == 16
    assert model.ir_version < 10
    (tmp_path / "lower.onnx").write_bytes(lower)
    answers = run_alone(tmp_path / "lower.onnx", subject).answers
    assert answers["double_a_1"].tobytes() == subject.answers["double_a_1"].tobytes()


def test_operators_that_are_newer_than_the_opset_are_named(subject_of, odd_rows, tmp_path):
    def build(g: GraphBuilder, x: str, texts: str) -> dict[str, str]:
        return {"string_a_1": g.node("StringConcat", [texts, texts])}

    with pytest.raises(BundleError, match=r"opset 17 cannot express .*StringConcat"):
        OnnxExporter().export(subject_of(build, *odd_rows), tmp_path, Options(opset=17), Work())
