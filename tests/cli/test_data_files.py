"""Folders of files on the command line: described, checked, converted."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.data.media.making import image_bytes, photos, picture, put, tone, wav_bytes


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return photos(tmp_path / "photos", 4)


def test_a_folder_is_described(folder, call):
    code, envelope = call("data", "describe", "photos", "--report", "photos.html")
    assert code == 0
    assert envelope["result"]["rows"] == 8
    assert "data:image/jpeg" in Path("photos.html").read_text("utf-8")


def test_labels_of_a_file_are_used(folder, call):
    Path("labels.csv").write_text("file,age\ncat/0.jpg,3\ndog/0.jpg,5\n")
    code, envelope = call("data", "describe", "photos", "--labels", "labels.csv")
    assert code == 0
    assert "age" in {column["name"] for column in envelope["result"]["columns"]}
    assert "label" not in {column["name"] for column in envelope["result"]["columns"]}


def test_bad_files_give_exit_code_10_and_the_rows(folder, call):
    assert call("data", "check", "photos")[0] == 0
    put(folder, {"cat/cut.png": image_bytes(picture())[:200]})
    code, envelope = call("data", "check", "photos", "--failures", "bad.csv", "--report", "check.html")
    assert code == 10
    assert envelope["error"]["code"] == "rules-broken"
    assert pl.read_csv("bad.csv")["path"].to_list() == ["cat/cut.png"]
    assert "cat/cut.png: truncated" in Path("check.html").read_text("utf-8")


def test_a_folder_is_converted(folder, call):
    code, envelope = call("data", "convert", "photos", "-o", "small", "--resize", "16x8")
    assert (code, envelope["result"]["files"]) == (0, 8)
    code, envelope = call("data", "describe", "small")
    widths = next(column for column in envelope["result"]["columns"] if column["name"] == "width")
    assert widths["numbers"]["max"] == 16
    put(folder.parent / "sounds", {"1.wav": wav_bytes(tone())})
    code, envelope = call("data", "convert", "sounds", "-o", "out", "--rate", "16000", "--mono", "--trim-silence")
    assert (code, envelope["result"]["files"]) == (0, 1)
    put(folder.parent / "texts", {"1.txt": "A\r\n"})
    assert call("data", "convert", "texts", "-o", "lower", "--lower")[0] == 0
    assert Path("lower/1.txt").read_bytes() == b"a\n"


def test_a_file_that_cannot_be_converted_stops_it_or_is_left_out(folder, call):
    put(folder, {"cat/cut.png": image_bytes(picture())[:200]})
    code, envelope = call("data", "convert", "photos", "-o", "small", "--resize", "16")
    assert (code, envelope["error"]["code"]) == (3, "unreadable")
    assert not Path("small").exists()
    code, envelope = call("data", "convert", "photos", "-o", "small", "--crop", "16", "--on-error", "drop")
    assert (code, envelope["result"]["files"]) == (0, 8)
    assert list(envelope["result"]["dropped"]) == ["cat/cut.png"]


@pytest.mark.parametrize("size", ["0", "16x", "x8", "-3", "16x8x3", "1e3"])
def test_a_size_that_cannot_be_meant(folder, call, size):
    code, envelope = call("data", "convert", "photos", "-o", "small", f"--resize={size}")
    assert (code, envelope["error"]["code"]) == (2, "usage")
