"""Tables are written whole, in the format that their name says."""

from __future__ import annotations

import polars as pl
import pytest

from lepton.core import DataError, UsageError
from lepton.data import WRITERS, read, write_frame

FRAME = pl.DataFrame({"n": [1.5, None, -2.0], "s": ["a", None, "é,\n"]})


@pytest.mark.parametrize("suffix", WRITERS)
def test_what_is_written_is_read_back(suffix, tmp_path):
    path = write_frame(FRAME, tmp_path / f"table{suffix}")
    assert read(path, kinds={"s": "text"}).frame().equals(FRAME)
    assert [p.name for p in tmp_path.iterdir()] == [f"table{suffix}"]


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"table\.xls.*\.parquet"):
        write_frame(FRAME, tmp_path / "table.xls")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_lines_do_not_lose_infinities_in_silence(value, tmp_path):
    with pytest.raises(DataError, match=r"column 'n'.*JSON Lines"):
        write_frame(pl.DataFrame({"n": [1.0, value]}), tmp_path / "t.jsonl")
    assert not list(tmp_path.iterdir())
    write_frame(pl.DataFrame({"n": [1.0, value]}), tmp_path / "t.parquet")


def test_a_refused_table_leaves_the_earlier_file(tmp_path):
    path = write_frame(FRAME, tmp_path / "t.jsonl")
    before = path.read_bytes()
    with pytest.raises(DataError):
        write_frame(pl.DataFrame({"n": [float("inf")]}), path)
    assert path.read_bytes() == before
