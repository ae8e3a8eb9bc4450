"""What every export has in common: a report, whole or not at all, nothing overwritten."""

from __future__ import annotations

import json
import threading

import numpy as np
import polars as pl
import pytest

import lepton
from lepton.core import DataError, Interrupted, LeptonError, UsageError, Work
from lepton.optimization.export import EXPORTERS, Exporter, Options, export
from tests.bundle.bundles import ROWS


def test_the_report_says_what_was_checked(regression, tmp_path):
    made = export(regression, "triton", tmp_path / "made", rows=ROWS)
    report = json.loads((tmp_path / "made" / "export.json").read_text("utf-8"))
    assert report == made.report
    assert (report["to"], report["model_id"], report["rows"]) == ("triton", regression.model_id, len(ROWS))
    assert report["sample"] == "given"
    assert report["runtime"].startswith("onnxruntime ")
    assert report["differences"] == [{"output": "prediction", "absolute": 0.0, "relative": 0.0}]
    assert report["size"] == sum(each["size"] for each in report["files"])
    assert min(report["seconds_of_a_row"].values()) > 0
    assert str(tmp_path) not in json.dumps(report)
    assert "the same answers to the bit" in made.text()


@pytest.mark.parametrize(
    ("to", "options", "said"),
    [
        ("onx", Options(), "did you mean 'onnx'"),
        ("c-header", Options(opset=17), "got opset for an export to c-header"),
        ("onnx", Options(opset=99), "got the opset 99"),
        ("executorch", Options(), "ExecuTorch reads no ONNX"),
    ],
)
def test_what_cannot_be_meant_is_refused(regression, tmp_path, to, options, said):
    with pytest.raises(LeptonError, match=said):
        export(regression, to, tmp_path / "made", options=options)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_overwritten(regression, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="there already"):
        export(regression, "triton", tmp_path / "made")
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "mine.txt"]


def test_stopped_it_leaves_nothing(regression, tmp_path):
    cancel = threading.Event()
    work = Work(cancel=cancel, reporter=lambda record: cancel.set() if "comparing" in record.note else None)
    with pytest.raises(Interrupted):
        export(regression, "triton", tmp_path / "made", work=work)
    cancel.clear()
    cancel.set()
    with pytest.raises(Interrupted):
        export(regression, "triton", tmp_path / "made", work=Work(cancel=cancel))
    assert not list(tmp_path.iterdir())


def test_from_python_with_a_table_that_holds_more(regression, tmp_path):
    table = ROWS.with_columns(note=pl.lit("x"))
    made = lepton.export(regression.bundle.path, "onnx", tmp_path / "made", table)
    assert made.report["rows"] == len(ROWS)
    assert made.path == tmp_path / "made"


def test_made_rows_hold_what_is_rarely_met(regression, tmp_path, monkeypatch):
    seen = {}

    class Looking(EXPORTERS.load("triton")):  # type: ignore[misc]
        def check(self, subject, folder, options, work):
            seen.update(subject.tensors)
            return super().check(subject, folder, options, work)

    monkeypatch.setattr(EXPORTERS, "load", lambda name: Looking)
    export(regression, "triton", tmp_path / "made")
    assert np.isnan(seen["numbers"][0]).all()
    assert np.isinf(seen["numbers"][1:3]).all()
    assert "" in seen["strings"][:, 0]


def test_every_exporter_says_what_it_is():
    for name in EXPORTERS.names():
        exporter = EXPORTERS.load(name)()
        assert isinstance(exporter, Exporter)
        assert exporter.name == name
        assert exporter.takes <= {"python", "opset"}


def test_odd_interpreters_are_refused(regression, tmp_path):
    for to in ("openvino", "tflite"):
        with pytest.raises(UsageError, match="cannot be run"):
            export(regression, to, tmp_path / "made", options=Options(python=tmp_path / "python"))
