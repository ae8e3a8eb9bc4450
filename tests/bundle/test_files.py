from __future__ import annotations

import errno
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from lepton.bundle import (
    Bundle,
    MemberRecord,
    OutputRecord,
    add_report,
    check_bundle,
    extract_bundle,
    files as room,
    read_bundle,
)
from lepton.bundle.archive import Archive, open_archive, write_archive
from lepton.bundle.manifest import model_id_of
from lepton.core import BundleError, ColumnRecord, DataError, ErrorCode, Kind, StoreError, UsageError
from tests.bundle.small import REPORT, small_graph, small_manifest, write_small


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_small(tmp_path / "houses.lepton")
    return tmp_path / "houses.lepton"


def contents(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_what_was_written_is_there(path):
    bundle = read_bundle(path)
    assert bundle.path == path
    assert bundle.graph == small_graph()
    assert bundle.member("training/kind") == b"none"
    assert bundle.names == (
        "assets/vocabulary.json", "baseline/0.json", "baseline/1.json", "manifest.json", "model.onnx",
        "reports/metrics.json", "training/kind",
    )  # fmt: skip
    assert bundle.reports == {"metrics": REPORT | {"model_id": bundle.model_id}}
    assert bundle.manifest == small_manifest().with_members(
        {name: bundle.member(name) for name in bundle.names if name not in {"manifest.json", "reports/metrics.json"}}
    )
    assert bundle.summary.operators == {"MatMul": 1, "Squeeze": 1}
    members = {name: MemberRecord.of(bundle.member(name)) for name in bundle.names}
    assert bundle.model_id == model_id_of(members)


def test_the_same_gives_the_same(tmp_path):
    first = write_small(tmp_path / "a.lepton")
    second = write_small(tmp_path / "b.lepton", baseline={"1.json": b"[]", "0.json": b"{}"})
    assert first == second
    assert (tmp_path / "a.lepton").read_bytes() == (tmp_path / "b.lepton").read_bytes()
    assert write_small(tmp_path / "c.lepton", reports={}) == first
    others: list[dict[str, Any]] = [
        {"training": {"kind": b"linear"}},
        {"assets": {}},
        {"manifest": small_manifest(name="x")},
    ]
    for changes in others:
        assert write_small(tmp_path / "d.lepton", **changes) != first


def test_a_failed_write_leaves_the_earlier_bundle(path, monkeypatch):
    before = path.read_bytes()

    def full(file, members):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(room, "write_archive", full)
    for write in (lambda: write_small(path, assets={}), lambda: add_report(path, "speed", REPORT)):
        with pytest.raises(StoreError) as caught:
            write()
        assert caught.value.code == ErrorCode.STORE_FULL
    assert path.read_bytes() == before
    assert contents(path.parent) == {"houses.lepton"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"assets": {"../canary": b""}}, "a member cannot be called 'assets/../canary'"),
        ({"training": {"a/b": b""}}, "a member cannot be called"),
        ({"reports": {"metrics.json": REPORT}}, "a member cannot be called 'reports/metrics.json.json'"),
        ({"reports": {"Metrics": REPORT}}, "a member cannot be called"),
        ({"reports": {"m": {"time": "2026-11-21T08:00:00Z"}}}, "the report 'm' has the machine None"),
        ({"reports": {"m": REPORT | {"machine": ""}}}, "has the machine ''"),
        ({"reports": {"m": REPORT | {"time": "2026-11-21T08:00:00"}}}, "has the time '2026-11-21T08:00:00'"),
        ({"reports": {"m": REPORT | {"time": 1.5}}}, "has the time 1.5"),
        ({"reports": {"m": {"machine": "x"}}}, "has the time None"),
        ({"reports": {"m": REPORT | {"rmse": float("nan")}}}, "the report 'm' cannot be written as JSON"),
        ({"reports": {"m": REPORT | {"model_id": "f" * 64}}}, "speaks of the model 'ffff"),
        ({"reports": {f"m{i}": REPORT | {"x": "x" * 9_000_000} for i in (0, 1)}}, "the reports would have 18000"),
        ({"manifest": small_manifest(task="telepathy")}, "telepathy"),
    ],
)
def test_what_is_not_written(changes, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        write_small(tmp_path / "a.lepton", **changes)
    assert contents(tmp_path) == set()


def test_a_graph_that_would_not_be_opened_is_not_written(tmp_path, monkeypatch):
    other = small_manifest(
        outputs=(OutputRecord("prediction", "double", ("N",)), OutputRecord("lower", "double", ("N",)))
    )
    for changes in ({"graph": b"no graph"}, {"manifest": other}):
        with pytest.raises(BundleError) as caught:
            write_small(tmp_path / "a.lepton", **changes)
        assert caught.value.code == ErrorCode.GRAPH_REFUSED
    monkeypatch.setattr(room, "MAX_GRAPH", 10)
    with pytest.raises(UsageError, match="Wanted: at most 10"):
        write_small(tmp_path / "a.lepton")
    assert contents(tmp_path) == set()


def test_reports_are_added_without_changing_the_model(path):
    before = read_bundle(path)
    add_report(path, "speed", REPORT | {"latency": 0.5})
    add_report(path, "metrics", REPORT | {"rmse": 0.5})
    after = read_bundle(path)
    assert after.model_id == before.model_id
    assert after.reports["speed"] == REPORT | {"latency": 0.5, "model_id": before.model_id}
    assert after.reports["metrics"]["rmse"] == 0.5
    with open_archive(path) as archive:
        assert set(archive.names) == {*before.names, "reports/speed.json"}
    assert contents(path.parent) == {"houses.lepton"}


def test_reports_that_cannot_be_added(path, tmp_path):
    before = path.read_bytes()
    for name, report in (("a/b", REPORT), ("", REPORT), ("a", {}), ("a", REPORT | {"x": "x" * 16_000_000})):
        with pytest.raises(UsageError):
            add_report(path, name, report)
    assert path.read_bytes() == before
    with pytest.raises(DataError, match="there is no file"):
        add_report(tmp_path / "nothing.lepton", "speed", REPORT)
    assert contents(tmp_path) == {"houses.lepton"}


def test_a_report_is_not_added_over_another_writer(path, monkeypatch):
    check = room.inspect_archive

    def slowly(archive: Archive, where: Path, passed: room.Passed) -> Bundle:
        bundle = check(archive, where, passed)
        with monkeypatch.context() as patch:
            patch.setattr(room, "inspect_archive", check)
            add_report(where, "first", REPORT)
        return bundle

    monkeypatch.setattr(room, "inspect_archive", slowly)
    with pytest.raises(DataError) as caught:
        add_report(path, "second", REPORT)
    assert caught.value.code == ErrorCode.CHANGED_WHILE_READ
    monkeypatch.undo()
    assert set(read_bundle(path).reports) == {"metrics", "first"}


def test_members_are_read_from_the_file_that_was_opened(path):
    bundle = read_bundle(path)
    add_report(path, "a", REPORT)
    assert bundle.graph == small_graph()
    assert bundle.member("training/kind") == b"none"
    with pytest.raises(UsageError, match=r"no member 'reports/a.json'. Wanted: one of assets/vocabulary.json"):
        bundle.member("reports/a.json")
    write_small(path, training={"kind": b"other"}, reports={})
    for name in ("training/kind", "reports/metrics.json"):
        with pytest.raises(DataError, match="holds another model than when it was opened") as caught:
            bundle.member(name)
        assert caught.value.code == ErrorCode.CHANGED_WHILE_READ


def repacked(path: Path, members: dict[str, bytes | None]) -> None:
    """Write the bundle at `path` again in good form, with `members` replaced, added or (None) left out."""
    with open_archive(path) as archive:
        data: dict[str, bytes | None] = {name: archive.read(name) for name in archive.names}
    kept = {name: [content] for name, content in (data | members).items() if content is not None}
    with path.open("wb") as file:
        write_archive(file, kept)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"manifest.json": None}, "the bundle has no manifest.json"),
        ({"model.onnx": None}, "the bundle has no model.onnx"),
        ({"assets/vocabulary.json": None}, r"lists \['assets/vocabulary.json'\], which are not there"),
        ({"assets/stowaway": b"x"}, r"lacks \['assets/stowaway'\], which are"),
        ({"training/kind": b"nonE"}, "training/kind has 4 bytes and the sha256"),
        ({"model.onnx": b"x"}, "model.onnx has 1 bytes and the sha256"),
        ({"manifest.json": b"{}"}, "manifest.json has the format None"),
        ({"manifest.json": b" " * 16_000_001}, "manifest.json has 16000001 bytes"),
        ({"reports/x.json": b"[]"}, "reports/x.json holds a list"),
        ({"reports/x.json": b"\x80\x04N."}, "reports/x.json is not valid"),
        ({"reports/x.json": b"{}"}, "reports/x.json has the time None"),
        ({"reports/x.json": json.dumps(REPORT).encode()}, "speaks of the model None"),
        ({"reports/x.json": json.dumps(REPORT | {"model_id": "0" * 64}).encode()}, "speaks of the model '0000"),
        ({"reports/x.json": b" " * 16_000_001}, "the reports have 160"),
    ],
)
def test_bundles_that_do_not_hold_together(members, message, path):
    repacked(path, members)
    with pytest.raises(BundleError, match=message):
        read_bundle(path)
    report = check_bundle(path)
    assert not report.passed
    assert [c.verdict for c in report.checks].count("failed") == 1


def test_a_graph_over_the_limit_is_not_read(path, monkeypatch):
    monkeypatch.setattr(room, "MAX_GRAPH", 10)
    with pytest.raises(BundleError, match=r"model.onnx has .* bytes. Wanted: at most 10"):
        read_bundle(path)


def test_an_other_graph_with_good_hashes(tmp_path, monkeypatch):
    path = tmp_path / "a.lepton"
    manifest = small_manifest(inputs=(*small_manifest().inputs, ColumnRecord("fourth", Kind.NUMBER)))
    monkeypatch.setattr(room, "check_interface", lambda manifest, summary: None)
    write_small(path, manifest=manifest)
    monkeypatch.undo()
    with pytest.raises(BundleError, match=r"the graph's inputs are numbers double\['N', 2\]") as caught:
        read_bundle(path)
    assert caught.value.code == ErrorCode.GRAPH_REFUSED


def test_extracting(path, tmp_path):
    names = extract_bundle(path, tmp_path / "out")
    bundle = read_bundle(path)
    found = {file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert set(names) == found == set(bundle.names)
    for name in names:
        file = tmp_path / "out" / name
        assert file.read_bytes() == bundle.member(name)
        assert stat.S_IMODE(file.stat().st_mode) & 0o133 == 0
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) & 0o022 == 0
    assert contents(tmp_path) == {"houses.lepton", "out"}


def test_extracting_overwrites_nothing_and_follows_no_link(path, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("folder", "file", "link"):
        with pytest.raises(UsageError, match=f"'{name}' exists already"):
            extract_bundle(path, tmp_path / name)
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert contents(tmp_path) == {"houses.lepton", "folder", "file", "link"}
    assert contents(tmp_path / "folder") == set()


def test_a_bad_bundle_extracts_nothing(path, tmp_path):
    repacked(path, {"training/kind": b"evil"})
    with pytest.raises(BundleError):
        extract_bundle(path, tmp_path / "out")
    assert contents(tmp_path) == {"houses.lepton"}


def test_a_folder_that_appears_while_extracting_is_left_alone(path, tmp_path, monkeypatch):
    check = room.inspect_archive

    def slowly(archive: Archive, where: Path, passed: room.Passed) -> Bundle:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").write_bytes(b"")
        return check(archive, where, passed)

    monkeypatch.setattr(room, "inspect_archive", slowly)
    with pytest.raises(StoreError, match="'out' could not be made"):
        extract_bundle(path, tmp_path / "out")
    assert contents(tmp_path / "out") == {"mine"}
    assert contents(tmp_path) == {"houses.lepton", "out"}
