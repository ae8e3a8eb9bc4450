"""From cells to files."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from lepton.core import DataError, ErrorCode
from lepton.data.references import References, label_of


def test_a_path_is_below_the_folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"abc")
    references = References(tmp_path, {"é": "a/x.png"})
    assert references.read("a/x.png") == b"abc"
    assert references.read("a/../a/x.png") == b"abc"
    assert references.read("é") == b"abc"
    assert references.read(str(tmp_path / "a" / "x.png")) == b"abc"


@pytest.mark.parametrize(
    "cell", ["../secret", "/etc/passwd", "a/../../secret", "link", "folder/secret", "x\0y", "", "."]
)
def test_a_path_never_leads_out_of_the_folder(tmp_path, cell):
    (tmp_path / "secret").write_bytes(b"s")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    with pytest.raises(DataError, match="leads out of the folder") as caught:
        References(root).read(cell)
    assert caught.value.code is ErrorCode.BAD_VALUE
    assert str(tmp_path) not in str(caught.value)


def test_bytes_may_stand_in_the_cell(tmp_path):
    data = bytes(range(256)) * 20
    text = base64.b64encode(data).decode()
    for references in (References(tmp_path), References(None)):
        assert references.read(text) == data
        assert references.read("data:image/png;base64," + text) == data
        assert references.read(base64.urlsafe_b64encode(data).decode().rstrip("=")) == data
    assert References(tmp_path).read("data:image/png;base64,aGk=") == b"hi"


@pytest.mark.parametrize("cell", ["data:image/png;base64,%%%", "A" * 5_001 + "?"])
def test_damaged_base64_is_refused(tmp_path, cell):
    with pytest.raises(DataError, match="neither a file that is there nor base64"):
        References(tmp_path).read(cell)


def test_too_many_bytes_are_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"12345")
    assert References(tmp_path).read("x", 5) == b"12345"
    for cell in ("x", "data:a/b;base64," + base64.b64encode(b"123456").decode()):
        with pytest.raises(DataError, match="more than 4"):
            References(tmp_path).read(cell, 4)


def test_a_table_in_memory_has_no_files():
    with pytest.raises(DataError, match="lies in no folder"):
        References(None).read("x.png")


def test_labels_can_be_written():
    assert label_of("plain é") == "plain é"
    assert label_of("caf\udce9").encode() == rb"caf\xe9"


def test_a_folder_is_where_the_process_is_now(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name / "files").mkdir(parents=True)
        (tmp_path / name / "files" / "x").write_bytes(name.encode())
        monkeypatch.chdir(tmp_path / name)
        assert References(Path("files")).read("x") == name.encode()
