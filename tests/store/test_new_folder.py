"""Folders that appear as a whole."""

from __future__ import annotations

import pytest

from lepton.core import DataError, ErrorCode, StoreError
from lepton.store import new_folder, write_scratch


def failing():
    yield b"1"
    raise DataError(ErrorCode.UNREADABLE, "cut")


def test_a_folder_appears_when_it_is_done(tmp_path):
    target = tmp_path / "out"
    with new_folder(target) as folder:
        write_scratch(folder / "a", [b"1", b"2"])
        assert not target.exists()
    assert (target / "a").read_bytes() == b"12"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="cut"), new_folder(tmp_path / "out") as folder:
        write_scratch(folder / "a", failing())
    assert not list(tmp_path.iterdir())


def test_only_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    with new_folder(tmp_path / "empty") as folder:
        write_scratch(folder / "a", [b"1"])
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    for name in ("empty", "link", "file"):
        with pytest.raises(DataError, match=f"'{name}' is there already") as caught, new_folder(tmp_path / name):
            pass
        assert caught.value.code is ErrorCode.NOT_A_FILE
    with pytest.raises(DataError, match="there is no folder"), new_folder(tmp_path / "no" / "out"):
        pass


def test_a_file_is_not_written_over(tmp_path):
    write_scratch(tmp_path / "a", [b"1"])
    with pytest.raises(StoreError, match="'a' could not be written"):
        write_scratch(tmp_path / "a", [b"2"])
    assert (tmp_path / "a").read_bytes() == b"1"


def test_a_failure_of_the_source_passes_as_it_is(tmp_path):
    with pytest.raises(DataError, match="cut"):
        write_scratch(tmp_path / "a", failing())
