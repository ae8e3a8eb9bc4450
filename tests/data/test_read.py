"""`read`: whatever comes in, and what it says where it cannot."""

import contextlib
import os
import pickle
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest
from hypothesis import assume, given, settings, strategies as st
from polars.testing import assert_frame_equal

from lepton.core import DataError, ErrorCode, LeptonError, UsageError
from lepton.data import read, write_frame

NAMES = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8).map(lambda t: "c" + t)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)
CELLS = {
    "number": st.floats(allow_nan=False) | st.none(),
    "boolean": st.booleans() | st.none(),
    "category": TEXTS.filter(str.strip) | st.none(),
    "datetime": st.datetimes().filter(lambda moment: moment.year >= 1000) | st.none(),
}
DTYPES: dict[str, Any] = {
    "number": pl.Float64,
    "boolean": pl.Boolean,
    "category": pl.String,
    "datetime": pl.Datetime("us"),
}


@st.composite
def tables(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    kinds = {name: draw(st.sampled_from(sorted(CELLS))) for name in names}
    num_rows = draw(st.integers(1, 12))
    columns = {
        name: pl.Series(name, draw(st.lists(CELLS[kind], min_size=num_rows, max_size=num_rows)), dtype=DTYPES[kind])
        for name, kind in kinds.items()
    }
    return pl.DataFrame(columns), kinds


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", ".arrow"])
@settings(max_examples=25)
@given(table=tables())
def test_what_is_written_is_read_back(tmp_path_factory, suffix, table):
    frame, kinds = table
    assume(suffix != ".jsonl" or not any(series.is_infinite().any() for series in frame.select(cs.float())))
    expected = read(frame, kinds=kinds).frame()
    path = tmp_path_factory.mktemp("round") / f"table{suffix}"
    read(frame, kinds=kinds).save(path)
    options: dict[str, Any] = {"header": True} if suffix in {".csv", ".tsv"} else {}
    written = {
        n: "datetime:%Y-%m-%dT%H:%M:%S%.f" if k == "datetime" and suffix != ".jsonl" else k for n, k in kinds.items()
    }
    if suffix == ".jsonl":
        written = {n: "datetime:%Y-%m-%d %H:%M:%S%.f" if k == "datetime" else k for n, k in kinds.items()}
    again = read(path, kinds=written, missing=[], **options)
    assert_frame_equal(again.frame(), expected, check_exact=True)


def test_containers_agree():
    columns = {"a": [1.5, None, 3.0], "s": ["x", "y", None], "n": [1, 2, 3]}
    frame = pl.DataFrame(columns)
    pandas = pytest.importorskip("pandas")
    sources = [
        frame,
        frame.lazy(),
        columns,
        frame.to_dicts(),
        pandas.DataFrame(columns),
        frame.to_arrow(),
        frame.to_arrow().to_batches()[0],
        {name: frame[name] for name in columns},
    ]
    for source in sources:
        table = read(source)
        assert_frame_equal(table.frame(), frame)
        assert table.num_rows == 3


def test_numpy():
    matrix = read(np.array([[1.0, np.nan], [3.0, 4.0]]))
    assert matrix.schema.names == ("column_1", "column_2")
    assert matrix.frame()["column_2"].to_list() == [None, 4.0]
    records = np.array([(1, "x"), (2, "y")], dtype=[("n", "i4"), ("s", "U1")])
    assert read(records).frame().rows() == [(1, "x"), (2, "y")]
    with pytest.raises(DataError, match=r"shape \(2, 2, 2\)"):
        read(np.zeros((2, 2, 2)))


def test_several_files(tmp_path):
    for part in range(3):
        (tmp_path / f"part-{part}.csv").write_text(f"a,b\n{part},x\n")
    assert read(str(tmp_path / "part-*.csv")).frame()["a"].to_list() == [0, 1, 2]
    assert read([tmp_path / "part-2.csv", tmp_path / "part-0.csv"]).frame()["a"].to_list() == [2, 0]
    (tmp_path / "part-3.csv").write_text("a,c\n1,2\n")
    with pytest.raises(DataError, match=r"part-3.csv has no column 'b', which part-0.csv has"):
        read(tmp_path / "part-*.csv")


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet", "t.arrow"])
def test_names_are_in_nfc_however_they_are_spelled(tmp_path, name):
    frame = pl.DataFrame({"e\u0301": [1.5, 2.5]})
    write_frame(frame, tmp_path / name)
    for source in (tmp_path / name, frame, frame.lazy()):
        table = read(source, kinds={"e\u0301": "number"}, roles={"\u00e9": "target"})
        assert table.schema.names == ("\u00e9",)
        assert table.frame()["\u00e9"].to_list() == [1.5, 2.5]


def test_files_of_two_formats(tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b.parquet is parquet, where a.csv is csv"):
        read([tmp_path / "a.csv", tmp_path / "b.parquet"])


def test_the_first_bytes_tell_the_format(tmp_path):
    path = tmp_path / "misnamed.csv"
    pl.DataFrame({"a": [1, 2]}).write_parquet(path)
    assert read(path).frame()["a"].to_list() == [1, 2]
    assert read(path).decisions[0].evidence == "begins with PAR1"


@pytest.mark.parametrize("name", ["p.csv", "p.parquet", "p.jsonl"])
def test_a_pickle_is_never_read(tmp_path, name):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match="pickle"):
        read(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, code in [
        (tmp_path, ErrorCode.NOT_A_FILE),
        (tmp_path / "fifo", ErrorCode.NOT_A_FILE),
        (tmp_path / "no.csv", ErrorCode.NOT_FOUND),
        (tmp_path / "*.csv", ErrorCode.NOT_FOUND),
    ]:
        with pytest.raises(DataError) as caught:
            read(path)
        assert caught.value.code is code
        assert str(tmp_path.parent) not in str(caught.value)


def test_what_is_no_table():
    for source in (5, None, object(), [1, 2], {"a": 5}, "a\0b"):
        with pytest.raises((UsageError, DataError)):
            read(source)
    with pytest.raises(DataError, match="'a' has 2 values and 'b' 1"):
        read({"a": [1, 2], "b": [1]})
    with pytest.raises(UsageError, match="for a dict"):
        read({"a": [1]}, delimiter=",")
    with pytest.raises(UsageError, match="'cvs'"):
        read(__file__, format="cvs")


@pytest.mark.parametrize("content", [b"$(id),{{7*7}}\n`id`,'; DROP TABLE x\n", b"__proto__,constructor\n1,2\n"])
def test_names_and_cells_are_only_text(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    table = read(path)
    assert list(table.schema.names) == content.decode().split("\n")[0].split(",")


@settings(max_examples=150)
@given(st.binary(max_size=400))
def test_any_bytes_give_a_table_or_one_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "t.csv"
    path.write_bytes(content)
    with contextlib.suppress(LeptonError):
        read(path).frame()
