from __future__ import annotations

import json

import pytest

from lepton.bundle import check_bundle
from lepton.bundle.files import CHECKS
from lepton.core import DataError, ErrorCode
from tests.bundle.small import write_small


def test_a_good_bundle_passes_every_check(tmp_path):
    model_id = write_small(tmp_path / "a.lepton")
    report = check_bundle(tmp_path / "a.lepton")
    assert report.passed
    assert report.error is None
    assert report.model_id == model_id
    assert [(c.name, c.verdict) for c in report.checks] == [(name, "passed") for name in CHECKS]
    notes = {c.name: c.note for c in report.checks}
    assert notes == {
        "archive": "7 members",
        "manifest": "format 1, regression",
        "members": f"5 as the manifest says, model {model_id[:12]}",
        "graph": "2 nodes, IR 10, ai.onnx 20, ai.onnx.ml 5",
        "interface": "3 columns in, 1 outputs",
        "reports": "metrics",
    }
    assert json.loads(json.dumps(report.to_dict()))["passed"] is True


def test_a_bad_bundle_says_which_check_failed(tmp_path):
    path = tmp_path / "a.lepton"
    write_small(path)
    path.write_bytes(path.read_bytes().replace(b'"name":"houses"', b'"name":"housez"'))
    report = check_bundle(path)
    assert not report.passed
    assert report.model_id is None
    assert report.error is not None
    assert report.error.code == ErrorCode.BUNDLE_DAMAGED
    assert [c.verdict for c in report.checks] == ["passed", "failed"] + ["not reached"] * 4
    assert report.checks[1].note == str(report.error)
    assert report.to_dict()["error"]["code"] == "bundle-damaged"


def test_no_archive_fails_the_first_check(tmp_path):
    (tmp_path / "a.lepton").write_bytes(b"\x80\x04N.")
    assert [c.verdict for c in check_bundle(tmp_path / "a.lepton").checks] == ["failed"] + ["not reached"] * 5


def test_no_file_is_no_verdict(tmp_path):
    with pytest.raises(DataError):
        check_bundle(tmp_path / "a.lepton")
