"""OpenVINO, by a stand-in that runs the same calls with onnxruntime: what is said between the processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lepton.core import BundleError, MissingExtraError
from lepton.optimization.export import Options, export
from lepton.optimization.export.tflite import _told
from tests.bundle.bundles import ROWS

STAND_IN = """
import shutil
import numpy as np, onnxruntime
__version__ = "2026.0.0-1-stand-in"
def convert_model(path):
    if FAILS: raise RuntimeError("does not support: ai.onnx.ml.LabelEncoder, and ai.onnx.Other")
    return path
def save_model(model, path, compress_to_fp16):
    shutil.copy(model, path)
    open(path.replace("xml", "bin"), "w").close()
class Core:
    def compile_model(self, path, device, settings): return Compiled(path)
class Named:
    def __init__(self, name): self.names = {name}
class Compiled:
    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(path)
        self.outputs = [Named(each.name) for each in self.session.get_outputs()]
    def __call__(self, rows):
        given = {k: v.astype(object) if v.dtype.kind == "U" else v for k, v in rows.items()}
        return self.session.run(None, given)
"""


@pytest.fixture
def python(tmp_path: Path):
    """Makes an interpreter that has the stand-in."""

    def made(fails: bool = False) -> Path:
        (tmp_path / "openvino.py").write_text(f"FAILS = {fails}\n{STAND_IN}")
        interpreter = tmp_path / "python"
        interpreter.write_text(f'#!/bin/sh\nshift\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
        interpreter.chmod(0o755)
        return interpreter

    return made


def test_it_is_made_and_asked_in_the_other_environment(regression, python, tmp_path):
    made = export(regression, "openvino", tmp_path / "made", rows=ROWS, options=Options(python=python()))
    assert [each["name"] for each in made.report["files"]] == ["model.bin", "model.xml"]
    assert made.report["runtime"] == "openvino 2026.0.0"
    assert made.report["seconds_of_a_row"]["exported"] > 0


def test_operators_that_it_does_not_know_are_named(regression, python, tmp_path):
    with pytest.raises(BundleError, match="OpenVINO cannot express the operators LabelEncoder"):
        export(regression, "openvino", tmp_path / "made", rows=ROWS, options=Options(python=python(fails=True)))
    assert not (tmp_path / "made").exists()


def test_without_it_the_message_says_what_to_install(regression, tmp_path):
    for to, command in (("openvino", "pip install openvino"), ("tflite", "pip install onnx2tf tensorflow")):
        with pytest.raises(MissingExtraError, match=command):
            export(regression, to, tmp_path / "made", rows=ROWS)


def test_what_a_converter_says_is_cut_to_what_tells():
    said = "a\n\x1b[31mERROR:\x1b[0m onnx_op_name: trees\nb\nTreeEnsemble OP is not yet implemented.\nc\n"
    assert _told(said) == "onnx_op_name: trees TreeEnsemble OP is not yet implemented. c"
