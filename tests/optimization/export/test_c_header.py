"""A model of a table as a header: it compiles anywhere, answers as the model, and refuses what it cannot hold."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lepton.bundle import Manifest, OutputRecord, TensorRecord, open_model, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY
from lepton.bundle.tensor_records import describe_tensors
from lepton.core import BundleError, UsageError, Work
from lepton.optimization.export import Options, export
from lepton.optimization.export.c_header import CHeaderExporter
from tests.bundle.bundles import ROWS
from tests.bundle.small import write_small

STRICT = ["cc", "-std=c99", "-O1", "-Wall", "-Wextra", "-Wno-unused-variable", "-Werror", "-pedantic"]


def test_a_model_of_numbers_moments_and_categories(binary, tmp_path):
    made = export(binary, "c-header", tmp_path / "made", rows=ROWS)
    assert [each["name"] for each in made.report["files"]] == ["example.c", "expensive.h"]
    assert made.report["differences"][0] == {"output": "prediction", "absolute": 0, "relative": 0.0}
    assert made.report["differences"][1]["absolute"] < 1e-15
    assert "answers differ by at most" in made.text()
    header = (tmp_path / "made" / "expensive.h").read_text("ascii")
    assert binary.model_id in header
    assert 'expensive_labels[2] = {"no", "yes"}' in header
    for field in ("double rooms; /* rooms: number, rooms */", "double sold;", "double garden;", "const char *town;"):
        assert field in header
    subprocess.run([*STRICT, "example.c", "-o", "example", "-lm"], cwd=tmp_path / "made", check=True)
    told = subprocess.run(["./example"], cwd=tmp_path / "made", check=True, capture_output=True, text=True).stdout
    assert told.startswith("prediction: no\nprobabilities[0]: 0.")


def test_rows_made_from_the_schema_give_the_same_to_the_bit(regression, tmp_path):
    made = export(regression, "c-header", tmp_path / "made")
    assert made.report["sample"] == "made"
    assert made.report["rows"] == 256
    assert made.report["differences"][0]["relative"] < 1e-15
    assert made.report["seconds_of_a_row"]["exported"] > 0


def test_names_of_the_model_are_labels(subject_of, tmp_path):
    def build(g: GraphBuilder, x: str, texts: str) -> dict[str, str]:
        return {"double_a_1": x, "string_b_1": texts}

    subject = subject_of(build, np.zeros((2, 1)), np.array([["a"], ["b"]], object), "*/ int main(){ // ??/ é")
    header = CHeaderExporter()
    header.export(subject, tmp_path, Options(), Work())
    written = next(tmp_path.glob("*.h"))
    assert written.name == "int_main.h"
    assert "*/ int" not in written.read_text("ascii")


def tensor_model(path: Path, shape: tuple[int | None, ...]) -> Path:
    """`output` = the sum of `in.0` [2, 3] in single precision, and of `int` [1]."""
    builder = GraphBuilder()
    given = builder.input("in.0", "float", ["N", *("L" if size is None else size for size in shape)])
    whole = builder.input("int", "int64", ["N", 1])
    axes = builder.constant(np.array([1, 2]))
    total = builder.node("Add", [builder.node("ReduceSum", [given, axes], keepdims=0), builder.constant(np.float32(1))])
    both = builder.node("Add", [builder.node("Unsqueeze", [total, builder.constant(np.array([1]))]),
                                builder.node("Cast", [whole], to=1)])  # fmt: skip
    builder.output("out.0", both, "float", ["N", 1])
    records = (TensorRecord("in.0", "float", (None, *shape)), TensorRecord("int", "int64", (None, 1)))
    described = {INPUTS_KEY: json.dumps(describe_tensors(records, (), {}))}
    manifest = Manifest(
        name="sums", task="tensor", inputs=(), outputs=(OutputRecord("out.0", "float", ("N", 1)),), tensors=records
    )
    write_bundle(path, manifest=manifest, graph=builder.finish(described))
    return path


def test_tensors_of_fixed_sizes_are_arrays(tmp_path):
    model = open_model(tensor_model(tmp_path / "sums.lepton", (2, 3)))
    made = export(model, "c-header", tmp_path / "made")
    assert made.report["tolerance"] == 1e-5
    assert made.report["differences"][0]["relative"] < 1e-6
    header = (tmp_path / "made" / "sums.h").read_text("ascii")
    assert "float in_0[6]; /* in.0: [2, 3], row by row */" in header
    assert "int64_t int_2[1];" in header
    assert "float out_0[1];" in header


def test_tensors_of_open_sizes_are_refused(tmp_path):
    model = open_model(tensor_model(tmp_path / "sums.lepton", (None, 3)))
    with pytest.raises(BundleError, match=r"cannot express the tensor in\.0 float \['N', '\?', 3\]"):
        export(model, "c-header", tmp_path / "made")


def test_other_models_are_refused(tmp_path):
    write_small(tmp_path / "small.lepton")
    with pytest.raises(BundleError, match=r"the codec nfc-casefold/1 of the column 'straße'"):
        export(open_model(tmp_path / "small.lepton"), "c-header", tmp_path / "made")
    assert not (tmp_path / "made").exists()
    assert not list(tmp_path.glob(".lepton*"))


def test_without_a_compiler_nothing_is_written(binary, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="no C compiler"):
        export(binary, "c-header", tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_an_answer_that_differs_is_refused(binary, tmp_path, monkeypatch):
    written = CHeaderExporter.export

    def wrong(self, subject, folder: Path, options, work):
        written(self, subject, folder, options, work)
        header = folder / "expensive.h"
        header.write_text(header.read_text().replace("10.0", "10.5"))

    monkeypatch.setattr(CHeaderExporter, "export", wrong)
    with pytest.raises(BundleError, match="answers otherwise than the model"):
        export(binary, "c-header", tmp_path / "made", rows=ROWS)
    assert not (tmp_path / "made").exists()
