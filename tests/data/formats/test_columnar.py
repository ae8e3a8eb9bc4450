# ruff: noqa: DTZ001
"""Parquet and Arrow: typed, sliced, and never trusted."""

import contextlib
import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st
from polars.testing import assert_frame_equal

from lepton.core import DataError, ErrorCode, LeptonError
from lepton.data import read
from lepton.data.formats import columnar

FRAME = pl.DataFrame(
    {
        "i": pl.Series([1, 2, None], dtype=pl.Int16),
        "u": pl.Series([1, 2, 2**63], dtype=pl.UInt64),
        "f": pl.Series([1.5, float("nan"), None], dtype=pl.Float32),
        "d": [Decimal("1.25"), None, Decimal("3.50")],
        "b": [True, None, False],
        "s": pl.Series(["x", None, "y"], dtype=pl.Categorical),
        "t": [dt.time(1, 2), None, dt.time(3, 4)],
        "day": [dt.date(2020, 1, 1), None, dt.date(2020, 1, 2)],
        "p": [dt.timedelta(seconds=90), None, dt.timedelta(0)],
        "nothing": [None, None, None],
        "l": [[1], [2], None],
    }
)


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
def test_types(tmp_path, name):
    path = tmp_path / name
    FRAME.write_parquet(path) if name.endswith("parquet") else FRAME.write_ipc(path)
    table = read(path)
    kinds = [str(c.kind) for c in table.schema]
    assert kinds == ["number"] * 4 + ["boolean", "category", "category", "datetime", "number", "category"]
    assert table.frame()["f"].to_list() == [1.5, None, None]
    assert table.frame()["p"].to_list() == [90.0, None, 0.0]
    assert table.frame()["d"].to_list() == [1.25, None, 3.5]
    assert table.frame()["day"][0] == dt.datetime(2020, 1, 1)
    assert table.schema["p"].unit == "s"
    assert [d.decided for d in table.decisions.about("l")] == ["left out"]


def test_slices_are_the_whole(tmp_path, monkeypatch):
    frame = pl.DataFrame({"a": range(50_000, 0, -1), "b": ["x"] * 50_000})
    for part in (0, 1):
        frame[part * 25_000 : (part + 1) * 25_000].write_parquet(tmp_path / f"{part}.parquet", row_group_size=3000)
    monkeypatch.setattr(columnar, "_CHUNK_CELLS", 1)
    table = read(tmp_path / "*.parquet")
    assert_frame_equal(table.frame(), frame)
    assert table.num_rows == 50_000
    assert len(list(table.batches(100_000))) == 6


def test_schemas_must_agree(tmp_path):
    pl.DataFrame({"a": [1], "b": [1]}).write_parquet(tmp_path / "0.parquet")
    for frame, problem in [
        (pl.DataFrame({"a": [1]}), "1.parquet has no column 'b', which 0.parquet has"),
        (pl.DataFrame({"a": [1], "b": [1], "c": [1]}), "0.parquet has no column 'c'"),
        (pl.DataFrame({"a": [1], "b": ["x"]}), "column 'b' is String in 1.parquet and Int64 in 0.parquet"),
        (pl.DataFrame({"b": [1], "a": [1]}), "in another order"),
    ]:
        frame.write_parquet(tmp_path / "1.parquet")
        with pytest.raises(DataError) as caught:
            read(tmp_path / "*.parquet")
        assert problem in str(caught.value)


def test_names_with_glob_characters(tmp_path):
    FRAME.write_parquet(tmp_path / "a[1]*.parquet")
    assert read(tmp_path / "a[1]*.parquet").num_rows == 3


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
def test_only_lists(tmp_path, name):
    frame = pl.DataFrame({"l": [[1]]})
    frame.write_parquet(tmp_path / name) if name.endswith("parquet") else frame.write_ipc(tmp_path / name)
    with pytest.raises(DataError, match="every column"):
        read(tmp_path / name)


def test_another_format_under_the_name(tmp_path):
    (tmp_path / "t.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="does not begin as a parquet file"):
        read(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet") as caught:
        read(tmp_path / "t.parquet", format="parquet")
    assert caught.value.code is ErrorCode.UNREADABLE
    assert str(tmp_path) not in str(caught.value)


@settings(max_examples=60)
@given(st.sampled_from(["t.parquet", "t.arrow"]), st.data())
def test_damage_gives_a_table_or_one_error(tmp_path_factory, name, data):
    path = tmp_path_factory.mktemp("damage") / name
    frame = FRAME.drop("l", "nothing")
    frame.write_parquet(path) if name.endswith("parquet") else frame.write_ipc(path)
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(8, len(content) - 1))
    patch = data.draw(st.binary(min_size=1, max_size=12))
    content[position : position + len(patch)] = patch
    path.write_bytes(content[: data.draw(st.integers(position, len(content)))])
    with contextlib.suppress(LeptonError):
        read(path).frame()
