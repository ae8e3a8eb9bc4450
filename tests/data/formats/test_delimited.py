"""CSV: every rule of the dialect is held, whichever way a block is read."""

import csv
import gzip
import io
import unicodedata
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import DataError, ErrorCode
from lepton.data import read
from lepton.data.convert import SPACE
from lepton.data.formats import delimited, dialect


@pytest.fixture
def write(tmp_path):
    def write(content, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(params=["at once", "in blocks", "in small blocks"])
def way(request, monkeypatch):
    """Each way in which a file is read."""
    if request.param != "at once":
        monkeypatch.setattr(delimited, "_AT_ONCE", 0)
    if request.param == "in small blocks":
        monkeypatch.setattr(delimited, "_BLOCK", 16)
    return request.param


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("a,b\n1,x\n2,y\n", [(1, "x"), (2, "y")]),
        ("a,b\n1,x\n2,y", [(1, "x"), (2, "y")]),
        ("a,b\r\n1,x\r\n2,y\r\n", [(1, "x"), (2, "y")]),
        ("a,b\r1,x\r2,y\r", [(1, "x"), (2, "y")]),
        ("\n\na,b\n\n1,x\n\n\n2,y\n\n", [(1, "x"), (2, "y")]),
        ('a,b\n1,"x ""q"" z"\n2,"one\n\ntwo, three"\n', [(1, 'x "q" z'), (2, "one\n\ntwo, three")]),
        ('a, b\n1, "x, y"\n2, z\n', [(1, "x, y"), (2, "z")]),
        ("a,b,\n1,x,\n2,y,\n", [(1, "x", None), (2, "y", None)]),
        ("a,b\n,\n1,x\n,y\n", [(None, None), (1, "x"), (None, "y")]),
        ('a,b\n1,5" pipe\n2,x\n', [(1, '5" pipe'), (2, "x")]),
        ('a,b\n1,"5"" pipe"\n2,a "b" c\n', [(1, '5" pipe'), (2, 'a "b" c')]),
        ("x\n1\n\n3\n", [(1,), (None,), (3,)]),
        ("\ufeffa,b\n1,Zürich\n", [(1, "Zürich")]),
        ("a,b\n", []),
        ("a,b", []),
    ],
)
def test_rows(write, content, rows):
    table = read(write(content))
    assert table.frame().rows() == rows
    assert [row for batch in table.batches(1) for row in batch.rows()] == rows
    assert table.num_rows == read(write(content)).num_rows == len(rows)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "cp1252", "gb18030", "utf-8-sig"])
def test_encodings(write, encoding):
    text = "name,city\n" + "Ärmel,Köln\n" * 20
    table = read(write(text.encode(encoding)), encoding=encoding)
    assert table.frame().unique().rows() == [("Ärmel", "Köln")]
    assert table.num_rows == 20


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("content", "line", "fields"),
    [
        ("a,b,c\n1,2,3\n4,5\n6,7,8\n", 3, 2),
        ("a,b,c\n1,2,3\n4,5,6,7\n6,7,8\n", 3, 4),
        ('a,b,c\n1,"x\ny",3\n\n4,5\n', 5, 2),
        ("a,b,c\n1,2,3\n4,5,6,7\n6,8\n7,8,9\n", 3, 4),
        ("a,b,c\n1,2,\n4,5\n6,7,8\n", 3, 2),
        ("a;b;c\r\n1;2;3\r\n4\r\n5;6;7", 3, 1),
    ],
)
def test_ragged_rows_name_the_line(write, content, line, fields):
    with pytest.raises(DataError) as caught:
        read(write(content)).frame()
    assert caught.value.code is ErrorCode.RAGGED_ROWS
    assert caught.value.details == {"file": "t.csv", "line": line, "fields": fields, "columns": 3}


def test_late_ragged_row_is_found_in_every_pass(write):
    table = read(write("a,b,c\n" + "x,y,\n" * 2_000_000 + "z,y\n"))
    for look in (
        table.frame,
        lambda: table.frame(["a"]),
        lambda: list(table.batches(columns=["b"])),
        table.fingerprint,
    ):
        with pytest.raises(DataError, match="line 2,000,002"):
            look()


def test_a_bad_byte_is_named_by_its_offset(write):
    content = b"a,b\n" + b"y,x\n" * 2_500_000 + b"y,\xe9\n"
    table = read(write(content))
    with pytest.raises(DataError) as caught:
        table.frame()
    assert caught.value.code is ErrorCode.BAD_ENCODING
    assert caught.value.details["offset"] == len(content) - 2
    assert read(write(content), encoding="cp1252").frame()["b"][-1] == "é"


def test_a_cut_character_at_the_end(write):
    with pytest.raises(DataError, match=r"byte 6 of t.csv is 0xc3"):
        read(write(b"a,b\n1,\xc3"), encoding="utf-8").frame()


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_a_giant_cell_is_refused_in_bounded_memory(write, monkeypatch, quote):
    monkeypatch.setattr(delimited, "MAX_RECORD", 100_000)
    monkeypatch.setattr(delimited, "_BLOCK", 10_000)
    path = write(b"a,b\n1,x\n2," + quote + b"y" * 1_000_000 + quote + b"\n")
    with pytest.raises(DataError, match=r"line 3 of t.csv is longer than"):
        list(read(path, header=True).batches())


def test_many_lines_in_an_open_quote_are_no_quadratic_work(write, monkeypatch):
    monkeypatch.setattr(delimited, "MAX_RECORD", 2_000_000)
    path = write(b'a,b\n1,"' + b"\n" * 6_000_000)
    with pytest.raises(DataError):
        read(path, delimiter=",", header=True).frame()


def test_nul_bytes(write):
    with pytest.raises(DataError, match="NUL"):
        read(write(b"a,b\n1,x\0y\n"))
    late = b"a,b\n" + b"1,x\n" * 2_500_000 + b"1,\0\n"
    with pytest.raises(DataError, match="NUL"):
        list(read(write(late)).batches())


def test_quotes_that_never_match(write):
    content = "a,b\n" + '1,"x"\n' * 200_000 + '2,"y"z\n'
    with pytest.raises(DataError, match=r"line 200,002 of t.csv has quotes that do not match"):
        list(read(write(content)).batches())


def test_gzip(write):
    content = b"a,b\n" + b"1,x\n" * 1000
    assert read(write(gzip.compress(content), "t.csv.gz")).num_rows == 1000
    for damaged in (gzip.compress(content)[:-8], gzip.compress(content)[:40] + b"junk" * 9):
        with pytest.raises(DataError, match="damaged gzip"):
            read(write(damaged, "t.csv.gz")).frame()


@pytest.mark.parametrize("content", ["", " \n\n", "\ufeff"])
def test_empty(write, content):
    with pytest.raises(DataError) as caught:
        read(write(content))
    assert caught.value.code is ErrorCode.EMPTY_DATA


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("a,a", "columns 1 and 2 of t.csv have the same name 'a'"),
        ("a,b\x1b[2J", "hidden characters"),
        ("a," + "x" * 1_000_000, "has 1000000 characters"),
        (",".join(f"c{i}" for i in range(100_001)), "100,001 columns"),
    ],
)
def test_headers_that_cannot_be(write, header, problem):
    with pytest.raises(DataError) as caught:
        read(write(f"{header}\n1,2\n"))
    assert problem in str(caught.value)
    assert len(str(caught.value)) < 400


def test_an_unnamed_column_is_called_by_its_number(write):
    table = read(write(",b\n0,x\n1,y\n"))
    assert table.schema.names == ("column_1", "b")
    assert [d.decided for d in table.decisions.about("column_1") if d.what == "name"] == ["called 'column_1'"]


def test_without_header(write):
    table = read(write("x,y\nz,w\n"), header=False)
    assert table.frame().rows() == [("x", "y"), ("z", "w")]
    assert table.schema.names == ("column_1", "column_2")


FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=6)


@settings(max_examples=150)
@given(
    rows=st.lists(st.lists(FIELDS, min_size=3, max_size=3), min_size=1, max_size=8),
    block=st.integers(1, 64),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_as_the_csv_module(tmp_path_factory, rows, block, quoting):
    text = io.StringIO()
    csv.writer(text, quoting=quoting, lineterminator="\n").writerows([["first", "second", "third"], *rows])
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_text(text.getvalue(), "utf-8", newline="")
    kinds = dict.fromkeys(["first", "second", "third"], "text")
    options: dict[str, Any] = {"kinds": kinds, "missing": [], "delimiter": ",", "header": True}
    expected = [tuple(cell if cell.strip(SPACE) else None for cell in row) for row in rows]
    whole = read(path, **options)
    if any(d.what == "quoting" or d.what == "spaces" for d in whole.decisions):
        return
    nfc = [tuple(None if c is None else unicodedata.normalize("NFC", c) for c in row) for row in expected]
    assert whole.frame().rows() == nfc
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "_BLOCK", block)
        assert pl.concat(list(read(path, **options).batches())).rows() == nfc


def test_the_limits_are_as_documented():
    assert dialect.MAX_RECORD == 32 * 2**20
