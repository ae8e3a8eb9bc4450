"""Choosing a reader, and names of columns."""

import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import polars as pl
import pytest

from lepton.core import DataError, ErrorCode
from lepton.data import read
from lepton.data.formats import READERS, base, choose_format
from lepton.data.formats.base import check_columns
from lepton.data.formats.memory import MemorySource


@pytest.mark.parametrize("name", READERS.names())
def test_every_reader_can_be_loaded(name):
    assert callable(READERS.load(name))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", b"x", "csv"),
        ("a.TSV", b"x", "csv"),
        ("a.csv.gz", b"\x1f\x8b", "csv"),
        ("a", b"x", "csv"),
        ("a.ndjson", b"{}", "jsonl"),
        ("a.json", b"[]", "json"),
        ("a.csv", b"PAR1", "parquet"),
        ("a.txt", b"ARROW1\0\0", "arrow"),
    ],
)
def test_formats(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    assert choose_format(tmp_path / name, None)[0] == expected


@pytest.mark.parametrize(
    ("content", "what"), [(b"PK\x03\x04", "zip"), (b"SQLite format 3\0", "SQLite"), (b"%PDF-1", "PDF")]
)
def test_other_things_are_named(tmp_path, content, what):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=what) as caught:
        choose_format(tmp_path / "t.csv", None)
    assert caught.value.code is ErrorCode.UNREADABLE


def test_a_plug_in_reads_its_extension(tmp_path, monkeypatch):
    module = SimpleNamespace(open_dummy=lambda files, options: MemorySource(pl.DataFrame({"n": [len(files)]})))
    monkeypatch.setitem(sys.modules, "dummy_reader", module)
    monkeypatch.setattr(
        "importlib.metadata.entry_points",
        lambda group: [EntryPoint("dummy", "dummy_reader:open_dummy", group)] if group == "lepton.readers" else [],
    )
    monkeypatch.setattr(READERS, "_addresses", None)
    (tmp_path / "t.dummy").write_bytes(b"anything")
    assert read(tmp_path / "t.dummy").frame()["n"].to_list() == [1]
    monkeypatch.setattr(READERS, "_addresses", None)


@pytest.mark.parametrize("name", ["", "a\nb", "\u202ea", "x" * 129, "*", "^a.*$"])
def test_names_that_cannot_be(name):
    with pytest.raises(DataError) as caught:
        check_columns(["ok", name], "t.csv")
    assert caught.value.code is ErrorCode.BAD_COLUMN_NAMES
    assert "column 2 of t.csv" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_equal_names_also_after_normalisation():
    with pytest.raises(DataError, match="columns 1 and 3 of t have the same name"):
        check_columns(["\u00e9", "b", "e\u0301"], "t")


def test_too_many_and_none(monkeypatch):
    with pytest.raises(DataError, match="no columns"):
        check_columns([], "t")
    monkeypatch.setattr(base, "MAX_COLUMNS", 3)
    with pytest.raises(DataError, match="4 columns") as caught:
        check_columns(list("abcd"), "t")
    assert caught.value.code is ErrorCode.TOO_WIDE
