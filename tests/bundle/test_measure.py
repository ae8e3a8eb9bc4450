"""Measuring: sizes are those of the file, latencies those of single rows, measured in turns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lepton.bundle import add_report, bundle_size, machine, measure_latency, open_model, read_bundle, write_bundle
from lepton.core import BundleError, DataError, Interrupted, UsageError, Work
from tests.bundle.bundles import ROWS, make_binary_bundle, make_regression_bundle


def test_size_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.lepton"
    make_regression_bundle(path)
    assert bundle_size(path) == path.stat().st_size


def test_reports_do_not_count_and_training_only_in_the_manifest(tmp_path: Path) -> None:
    path, larger = tmp_path / "a.lepton", tmp_path / "b.lepton"
    make_regression_bundle(path)
    bare = bundle_size(path)
    add_report(path, "metrics", {"time": "2026-01-01T00:00:00+00:00", "machine": machine(), "notes": "x" * 10_000})
    assert bundle_size(path) == bare < path.stat().st_size - 10_000
    bundle = read_bundle(path)
    assets = {"vocabulary.json": bundle.member("assets/vocabulary.json")}
    training = {"model.txt": b"0" * 100_000}
    write_bundle(larger, manifest=bundle.manifest, graph=bundle.graph, assets=assets, training=training)
    assert bare <= bundle_size(larger) < bare + 500


def test_what_is_no_bundle_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "a.lepton").write_bytes(b"not a bundle")
    with pytest.raises(BundleError):
        bundle_size(tmp_path / "a.lepton")
    with pytest.raises(DataError):
        bundle_size(tmp_path / "b.lepton")


def test_latency_is_measured_in_turns_with_the_reference(tmp_path: Path) -> None:
    make_regression_bundle(tmp_path / "a.lepton")
    make_binary_bundle(tmp_path / "b.lepton")
    model, other = open_model(tmp_path / "a.lepton"), open_model(tmp_path / "b.lepton")
    seen = []
    work = Work(reporter=lambda progress: seen.append(progress.done))
    record = measure_latency(model, ROWS, other, blocks=3, calls=50, work=work)
    assert seen == [1, 2, 3]
    assert record.reference is not None
    for each in (record, record.reference):
        assert len(each.block_p50) == len(each.block_p99) == 3
        assert 0 < each.p50 <= each.p99 < 1
        assert each.p99 == sorted(each.block_p99)[1]
        assert each.calls == 50
    assert json.loads(json.dumps(record.to_dict()))["machine"]["cores"] >= 1
    # Every call packs one of the rows: the unseen town is one of four.
    assert model.unseen["town"] == other.unseen["town"] >= 3 * 50 // 4


def test_latency_takes_dicts_and_matrices(tmp_path: Path) -> None:
    make_regression_bundle(tmp_path / "a.lepton")
    model = open_model(tmp_path / "a.lepton")
    matrix = np.array([[3.0, "2020-01-01", True, "York"]], dtype=object)
    for rows in (ROWS.to_dicts(), matrix):
        assert measure_latency(model, rows, blocks=1, calls=10).reference is None
    with pytest.raises(UsageError, match="no rows"):
        measure_latency(model, [])


def test_a_stop_is_honoured(tmp_path: Path) -> None:
    make_regression_bundle(tmp_path / "a.lepton")
    work = Work()
    work.cancel.set()
    with pytest.raises(Interrupted):
        measure_latency(open_model(tmp_path / "a.lepton"), ROWS, work=work)


def test_the_machine_is_described_without_names() -> None:
    described = machine()
    assert set(described) == {"cpu", "cores", "system", "architecture", "python", "onnxruntime"}
    assert all(described.values())
