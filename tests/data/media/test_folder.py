"""What lies in a folder."""

from __future__ import annotations

import os

import pytest

from lepton.core import DataError, ErrorCode, Kind, UsageError
from lepton.data.media import folder
from lepton.data.media.folder import list_folder
from tests.data.media.making import image_bytes, picture, put

PNG = image_bytes(picture())


def said(listing, what):
    return [each.evidence for each in listing.decisions if each.decided == what]


def test_the_kind_is_that_of_most_files_and_the_others_are_named(tmp_path):
    put(tmp_path, {"a/1.png": PNG, "a/2.JPG": PNG, "b/3.gif": PNG, "readme.txt": "hello", "x.svg": "<svg/>", ".x": "y"})
    listing = list_folder(tmp_path)
    assert listing.kind is Kind.IMAGE
    assert listing.paths == ["a/1.png", "a/2.JPG", "b/3.gif"]
    assert listing.labels == ["a", "a", "b"]
    assert said(listing, "files of another kind") == ["1 files, such as 'readme.txt'"]
    assert said(listing, "formats that are not read") == ["1 files, such as 'x.svg'"]
    assert said(listing, "hidden") == ["1 files, such as '.x'"]


def test_the_caller_may_say_the_kind(tmp_path):
    put(tmp_path, {"1.png": PNG, "2.png": PNG, "a.txt": "hello"})
    assert list_folder(tmp_path, "texts").paths == ["a.txt"]
    with pytest.raises(UsageError, match=r"'csv'.*'images', 'sounds', 'texts'"):
        list_folder(tmp_path, "csv")


def test_files_without_an_ending_are_told_by_their_first_bytes(tmp_path):
    put(tmp_path, {"ham/51060": "Hello", "spam/51061": "Win", "spam/x": "Grüße", "bin": b"\0\1\2", "empty": b""})
    assert list_folder(tmp_path).paths == ["ham/51060", "spam/51061", "spam/x"]


@pytest.mark.parametrize("names", [["readings/0_a.png", "readings/1_b.png"], ["0.png", "1.png"]])
def test_one_folder_for_all_is_no_label(tmp_path, names):
    assert list_folder(put(tmp_path, dict.fromkeys(names, PNG))).labels == []


def test_folders_of_a_split_stand_above_labels(tmp_path):
    names = ["set/train/cat/1.png", "set/train/dog/deep/2.png", "set/test/cat/3.png"]
    listing = list_folder(put(tmp_path, dict.fromkeys(names, PNG)))
    assert dict(zip(listing.paths, zip(listing.splits, listing.labels, strict=True), strict=True)) == {
        "set/test/cat/3.png": ("test", "cat"),
        "set/train/cat/1.png": ("train", "cat"),
        "set/train/dog/deep/2.png": ("train", "dog"),
    }


def test_files_beside_the_folders_of_labels_have_none(tmp_path):
    listing = list_folder(put(tmp_path, {"cat/1.png": PNG, "dog/2.png": PNG, "3.png": PNG}))
    assert dict(zip(listing.paths, listing.labels, strict=True)) == {
        "3.png": None,
        "cat/1.png": "cat",
        "dog/2.png": "dog",
    }


def test_links_are_not_followed(tmp_path):
    outside = put(tmp_path / "outside", {"secret.png": PNG})
    inside = put(tmp_path / "inside", {"a.png": PNG})
    (inside / "b.png").symlink_to(outside / "secret.png")
    (inside / "c").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    listing = list_folder(inside)
    assert listing.paths == ["a.png"]
    assert said(listing, "links, which are not followed")[0].startswith("3 files")


def test_a_fifo_does_not_stop_it(tmp_path):
    put(tmp_path, {"a.png": PNG})
    os.mkfifo(tmp_path / "b.png")
    assert list_folder(tmp_path).paths == ["a.png"]


def test_names_that_are_no_utf8_are_written_so_that_a_table_can_hold_them(tmp_path):
    put(tmp_path, {"a.png": PNG})
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(PNG)
    listing = list_folder(tmp_path)
    assert listing.paths == ["a.png", r"caf\xe9.png"]
    assert listing.odd == {r"caf\xe9.png": "caf\udce9.png"}


def test_names_in_another_normal_form_are_found_again_and_twins_are_left_out(tmp_path):
    put(tmp_path, {"e\u0301.png": PNG, "\u00e9.png": PNG, "o\u0308.png": PNG})
    listing = list_folder(tmp_path)
    assert listing.paths == ["\u00e9.png", "\u00f6.png"]
    assert listing.odd["\u00f6.png"] == "o\u0308.png"
    assert said(listing, "names that look like another's")


def test_a_folder_of_tables_says_how_to_read_them(tmp_path):
    put(tmp_path / "months", {"1.csv": "a\n1\n", "2.csv": "a\n1\n"})
    with pytest.raises(DataError, match=r"2 of '.csv'.*FOLDER/\*.csv") as caught:
        list_folder(tmp_path / "months")
    assert caught.value.code is ErrorCode.NOT_A_FILE


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no images, sounds or texts") as caught:
        list_folder(tmp_path)
    assert caught.value.code is ErrorCode.NOT_A_FILE


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "MAX_FILES", 2)
    with pytest.raises(DataError, match="more than 2 files"):
        list_folder(put(tmp_path, dict.fromkeys(["1.png", "2.png", "3.png"], PNG)))
