"""Files by name and folders of files: what is served, and what is passed over."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from lepton.core import UsageError
from lepton.serving.sources import Place, Sources


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_a_folder_holds_files_and_folders_of_versions(tmp_path: Path) -> None:
    kept = {
        Place("houses", None): touch(tmp_path / "houses.lepton"),
        Place("digits", 2): touch(tmp_path / "digits" / "2.lepton"),
        Place("digits", 10): touch(tmp_path / "digits" / "10.lepton"),
    }
    for other in (".x.lepton", "x.onnx", ".git/1.lepton", "digits/x.lepton", "digits/01.lepton", "digits/0.lepton"):
        touch(tmp_path / other)
    for other in (
        "digits/-1.lepton",
        "digits/٣.lepton",
        "digits/1e3.lepton",
        "digits/3.lepton/1.lepton",
        "a/b/1.lepton",
    ):
        touch(tmp_path / other)
    assert Sources([tmp_path]).look() == kept


def test_files_and_folders_may_be_given_together(tmp_path: Path) -> None:
    touch(tmp_path / "models" / "a.lepton")
    sources = Sources([tmp_path / "models", "b=x.lepton"])
    assert [place.name for place in sources.look()] == ["b", "a"]
    touch(tmp_path / "models" / "c.lepton")
    (tmp_path / "models" / "a.lepton").unlink()
    assert [place.name for place in sources.look()] == ["b", "c"]


@pytest.mark.parametrize("files", [["a.lepton", "a/1.lepton"], ["e\u0301.lepton", "\u00e9.lepton"], ["x\u202e.lepton"]])
def test_names_that_cannot_be_used_are_refused_at_first_and_passed_over_later(
    tmp_path: Path, files: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    sources = Sources([tmp_path])
    for file in files:
        touch(tmp_path / file)
    with caplog.at_level(logging.ERROR):
        assert len(sources.look()) == len(files) - 1
        sources.look()
    assert len(caplog.records) == 1
    with pytest.raises(UsageError):
        Sources([tmp_path])


def test_a_folder_that_is_gone_is_empty(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    touch(folder / "a.lepton")
    sources = Sources([folder])
    (folder / "a.lepton").unlink()
    folder.rmdir()
    assert sources.look() == {}
