"""Rules about the model file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lepton.bundle import Predictor, add_report, bundle_size, open_model, sign_bundle, write_bundle
from lepton.core import DataError
from lepton.security import PrivateKey
from tests.evaluation.verify.models import bought, judged, model, outcome

STAMP = {"time": "2026-01-01T00:00:00+00:00", "machine": {"cpu": "any"}}
LINEAGE = {
    "dataset": {"fingerprint": "ab" * 32, "num_rows": 400, "licence": "CC-BY-4.0", "collected": "2026-05-01"},
    "versions": {"lepton": "0.1.0"},
    "seed": 0,
    "learner": "linear",
}


def told(folder: Path, lineage: Mapping[str, Any], reports: Mapping[str, Any] | None = None) -> Predictor:
    """The model with a lineage and reports."""
    bundle = model(folder, name="bare").bundle
    path = folder / "told.lepton"
    write_bundle(path, manifest=replace(bundle.manifest, lineage=lineage), graph=bundle.graph, reports=reports)
    return open_model(path)


def verdict(predictor: Predictor, rule: Any) -> str:
    return str(judged(predictor, None, rule).verdict)


def test_size(tmp_path: Path) -> None:
    predictor = model(tmp_path)
    size = bundle_size(predictor.bundle.path)
    assert verdict(predictor, {"size": {"most": size}}) == "passed"
    assert verdict(predictor, {"size": {"most": size - 1}}) == "failed"
    add_report(predictor.bundle.path, "long", {**STAMP, "text": "x" * 10_000})
    assert verdict(predictor, {"size": {"most": size}}) == "passed"


def test_latency_is_measured_here(tmp_path: Path) -> None:
    predictor = model(tmp_path)
    found = outcome(
        predictor, bought(), {"latency": {"p99": "5s", "blocks": 1}}, {"latency": {"p99": "1us", "blocks": 1}}
    )
    assert [str(each.verdict) for each in found.results] == ["passed", "failed"]
    assert found.measured["speed"]["latency"]["calls"] == 1_000
    assert "cpu" in found.machine
    assert verdict(predictor, {"latency": {"p99": "5s"}}) == "unknown"
    assert "no column 'x'" in judged(predictor, bought().drop("x", "bought"), {"latency": {"p99": "5s"}}).evidence


def test_the_runtime_of_the_place_that_serves(tmp_path: Path) -> None:
    predictor = model(tmp_path)
    opset = predictor.bundle.summary.opsets["ai.onnx"]
    assert verdict(predictor, {"runtime": {"onnxruntime": predictor.manifest.minimum_onnxruntime}}) == "passed"
    assert verdict(predictor, {"runtime": {"onnxruntime": "1.2"}}) == "failed"
    assert verdict(predictor, {"runtime": {"onnxruntime": "1.100.0"}}) == "passed"
    assert verdict(predictor, {"runtime": {"least_opset": opset, "most_opset": opset}}) == "passed"
    assert verdict(predictor, {"runtime": {"most_opset": opset - 1}}) == "failed"
    assert verdict(predictor, {"runtime": {"least_opset": opset + 1}}) == "failed"


def test_a_signature_of_somebody_trusted(tmp_path: Path) -> None:
    ours, theirs = PrivateKey.generate(), PrivateKey.generate()
    predictor = model(tmp_path)
    text, stranger = ours.public("release").to_text(), theirs.public("them").to_text()
    found = judged(predictor, None, {"signed": {"keys": text}})
    assert (str(found.verdict), "is not signed" in found.evidence) == ("failed", True)
    sign_bundle(predictor.bundle.path, ours)
    signed = open_model(predictor.bundle.path)
    assert judged(signed, None, {"signed": {"keys": [stranger, text]}}).measured == "release"
    assert verdict(signed, {"signed": {"keys": stranger}}) == "failed"
    path = tmp_path / "trusted.keys"
    path.write_text(text + "\n")
    path.chmod(0o600)
    assert verdict(signed, {"signed": {"trusted": str(path)}}) == "passed"
    with pytest.raises(DataError, match="rule 1, signed"):
        judged(signed, None, {"signed": {"trusted": str(tmp_path / "none.keys")}})


def test_a_file_that_was_changed_is_not_reproducible(tmp_path: Path) -> None:
    predictor = told(tmp_path, LINEAGE)
    assert verdict(predictor, "reproducible") == "passed"
    data = predictor.bundle.path.read_bytes()
    predictor.bundle.path.write_bytes(data[:-200] + b"x" + data[-199:])
    assert verdict(predictor, "reproducible") == "failed"
    other = model(tmp_path, 3.0, name="other").bundle.path
    predictor.bundle.path.write_bytes(other.read_bytes())
    assert "another model" in judged(predictor, None, "reproducible").evidence
    found = judged(model(tmp_path), None, "reproducible")
    assert str(found.verdict) == "failed"
    assert "the lineage lacks dataset.fingerprint" in found.evidence


def test_the_lineage(tmp_path: Path) -> None:
    predictor = told(tmp_path, LINEAGE)
    assert verdict(predictor, "lineage") == "passed"
    found = judged(predictor, None, {"lineage": {"fields": ["seed", "dataset.owner", "seed.deeper"]}})
    assert (str(found.verdict), found.measured) == ("failed", "1 of 3")
    assert "dataset.owner, seed.deeper" in found.evidence
    assert verdict(model(tmp_path), "lineage") == "unknown"


def test_the_licence_of_the_data(tmp_path: Path) -> None:
    predictor = told(tmp_path, LINEAGE)
    assert verdict(predictor, {"licence": {"one_of": ["CC0-1.0", "cc-by-4.0"]}}) == "passed"
    assert verdict(predictor, {"licence": {"one_of": "CC0-1.0"}}) == "failed"
    bare = model(tmp_path)
    assert verdict(bare, {"licence": {"one_of": "CC0-1.0"}}) == "unknown"
    add_report(bare.bundle.path, "provenance", {**STAMP, "licence": "CC0-1.0"})
    assert verdict(open_model(bare.bundle.path), {"licence": {"one_of": "CC0-1.0"}}) == "passed"


@pytest.mark.parametrize(
    ("report", "wanted"),
    [
        (None, "unknown"),
        ({}, "unknown"),
        ({"doubts": "none"}, "unknown"),
        ({"doubts": [], "not_checked": "there was no time"}, "unknown"),
        ({"doubts": [], "not_checked": ""}, "passed"),
        ({"doubts": [{"what": "leakage", "evidence": "e", "fix": "f"}], "not_checked": ""}, "failed"),
        ({"doubts": [{"what": "moved", "evidence": "e", "fix": "f"}], "not_checked": ""}, "passed"),
    ],
)
def test_doubts_of_the_training(tmp_path: Path, report: Any, wanted: str) -> None:
    predictor = told(tmp_path, LINEAGE, None if report is None else {"training": {**STAMP, **report}})
    assert verdict(predictor, {"doubts": {"accepted": "moved"}}) == wanted


def test_what_is_found_can_be_written_down(tmp_path: Path) -> None:
    predictor = told(tmp_path, LINEAGE)
    found = outcome(predictor, None, "reproducible", "lineage", {"licence": {"one_of": "CC0-1.0"}})
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["passed"] is found.passed
