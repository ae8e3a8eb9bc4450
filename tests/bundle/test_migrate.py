from __future__ import annotations

from pathlib import Path

import pytest

from lepton.bundle import archive, migrate as room, migrate_bundle, read_bundle
from lepton.bundle.documents import dump_document
from lepton.core import BundleError, ErrorCode
from tests.bundle.small import write_small


def of_format(path: Path, number: int) -> None:
    with path.open("wb") as file:
        archive.write_archive(file, {"manifest.json": [dump_document({"format": number}, "manifest")]})


def test_the_current_format_is_checked_and_copied(tmp_path):
    model_id = write_small(tmp_path / "a.lepton")
    assert migrate_bundle(tmp_path / "a.lepton", tmp_path / "b.lepton") == model_id
    assert (tmp_path / "b.lepton").read_bytes() == (tmp_path / "a.lepton").read_bytes()
    assert migrate_bundle(tmp_path / "a.lepton", tmp_path / "a.lepton") == model_id
    assert read_bundle(tmp_path / "a.lepton").model_id == model_id


def test_newer_and_damaged_bundles_are_not_copied(tmp_path):
    of_format(tmp_path / "a.lepton", 2)
    with pytest.raises(BundleError) as caught:
        migrate_bundle(tmp_path / "a.lepton", tmp_path / "b.lepton")
    assert caught.value.code == ErrorCode.BUNDLE_TOO_NEW
    (tmp_path / "a.lepton").write_bytes(b"x")
    with pytest.raises(BundleError):
        migrate_bundle(tmp_path / "a.lepton", tmp_path / "b.lepton")
    with (tmp_path / "a.lepton").open("wb") as file:
        archive.write_archive(file, {"model.onnx": [b"x"]})
    with pytest.raises(BundleError, match=r"the bundle has no manifest.json"):
        migrate_bundle(tmp_path / "a.lepton", tmp_path / "b.lepton")
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.lepton"}


def test_older_formats_are_raised_one_by_one(tmp_path, monkeypatch):
    """As it will be in format 3: bundles of formats 1 and 2 go through a step each."""
    steps = []

    def step(number: int) -> room.Migration:
        def raise_format(source: Path, out: Path) -> None:
            steps.append((number, room._format_at(source)))
            of_format(out, number + 1)

        return raise_format

    of_format(tmp_path / "a.lepton", 1)
    monkeypatch.setattr(room, "FORMAT", 3)
    with pytest.raises(BundleError, match="format 1 can no longer be raised") as caught:
        migrate_bundle(tmp_path / "a.lepton", tmp_path / "b.lepton")
    assert caught.value.code == ErrorCode.BUNDLE_TOO_OLD
    monkeypatch.setattr(room, "_MIGRATIONS", {1: step(1), 2: step(2)})
    with pytest.raises(BundleError, match="the bundle has format 3"):
        migrate_bundle(tmp_path / "a.lepton", tmp_path / "b.lepton")
    assert steps == [(1, 1), (2, 2)]
