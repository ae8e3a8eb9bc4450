"""Spreadsheets: sheets, headers, types, damage and bombs."""

import datetime as dt
import io
import sys
import zipfile
import zlib

import pytest

from lepton.core import DataError, ErrorCode, MissingExtraError, UsageError
from lepton.data import read
from lepton.data.formats import spreadsheet
from tests.store.web import body, serving

xlsxwriter = pytest.importorskip("xlsxwriter", reason="making workbooks needs xlsxwriter")
pytest.importorskip("fastexcel", reason="reading workbooks needs fastexcel")


@pytest.fixture
def book(tmp_path, monkeypatch):
    """Write `book.xlsx` of sheets: name → rows of cells."""
    monkeypatch.chdir(tmp_path)

    def write(sheets, name="book.xlsx", merge=()):
        with xlsxwriter.Workbook(name) as made:
            day = made.add_format({"num_format": "yyyy-mm-dd"})
            for title, rows in sheets.items():
                sheet = made.add_worksheet(title)
                for number, row in enumerate(rows):
                    for column, cell in enumerate(row):
                        if isinstance(cell, dt.datetime):
                            sheet.write_datetime(number, column, cell, day)
                        else:
                            sheet.write(number, column, cell)
                for cells in merge:
                    sheet.merge_range(*cells)
        return tmp_path / name

    return write


DAYS = [dt.datetime(2020, 1, 1 + i) for i in range(9)]  # noqa: DTZ001 - what a workbook holds has no zone
ROWS = [["rooms", "town", "when", "new"], *([i, f"t{i % 3}", day, i % 2 == 0] for i, day in enumerate(DAYS))]


def decided(table):
    return {(d.column, d.what): d.decided for d in table.decisions}


def test_the_first_sheet_or_the_one_that_is_named(book):
    book({"Sales": ROWS, "Costs": [["a"], [1.5]]})
    table = read("book.xlsx")
    assert [str(column.kind) for column in table.schema] == ["number", "category", "datetime", "boolean"]
    assert table.frame().row(1) == (1, "t1", DAYS[1], False)
    assert decided(table)[None, "sheet"] == "Sales"
    assert "'Costs'" in str(table.decisions)
    assert read("book.xlsx#Costs").frame().rows() == [(1.5,)]
    assert read("book.xlsx", kinds={"rooms": "category"}).schema["rooms"].kind == "category"


def test_a_wrong_sheet_names_the_right_ones(book):
    path = book({"Sales": ROWS, "Costs 2024": [["a"], [1]]})
    with pytest.raises(DataError, match="'Sales', 'Costs 2024'") as caught:
        read(f"{path}#sales")
    assert caught.value.code is ErrorCode.NOT_FOUND
    assert str(path.parent) not in str(caught.value)


def test_a_workbook_comes_from_the_web(book):
    content = book({"A": [["x"], [1]], "B": ROWS}).read_bytes()
    with serving(body(content)) as server:
        assert read(server.url("/book.xlsx#B"), allow_hosts=server.allowed).num_rows == 9


def test_titles_above_empty_rows_and_columns_are_left_out(book):
    rows = [["Sales of 2024"], [], ["rooms", None, "price", None], [1, "x", 2.5], [], [2, "note", None], [None], []]
    book({"A": rows})
    table = read("book.xlsx")
    assert table.schema.names == ("rooms", "column_2", "price")
    assert table.frame().rows() == [(1, "x", 2.5), (2, "note", None)]
    assert decided(table)[None, "header"] == "row 3"
    assert "above it: 1" in str(table.decisions)
    assert decided(table)[None, "rows"] == "1 left out"


def test_merged_cells_count_as_their_first(book):
    book({"A": [["id", None, None, "n"], [1, 2, 3, 4], [5, 6, 7, 8]]}, merge=[(0, 1, 0, 2, "size")])
    table = read("book.xlsx")
    assert table.schema.names == ("id", "size", "column_3", "n")
    assert decided(table)["column_3", "name"] == "called 'column_3'"


def test_without_a_header(book):
    book({"A": [[None], ["a", 1], ["b", 2]]})
    assert read("book.xlsx", header=False).frame().rows() == [("a", 1), ("b", 2)]


def test_mixed_cells_are_texts_and_errors_of_formulas_are_missing(book):
    book({"A": [["m", "e", "n"], [1, "=1/0", 1], ["x", 2, 2], [2.5, 3, 3]]})
    frame = read("book.xlsx").frame()
    assert frame["m"].to_list() == ["1", "x", "2.5"]
    assert frame["n"].to_list() == [1, 2, 3]


@pytest.mark.parametrize("rows", [[], [[]], [[None, None]]])
def test_an_empty_sheet(book, rows):
    book({"A": rows})
    with pytest.raises(DataError) as caught:
        read("book.xlsx")
    assert caught.value.code is ErrorCode.EMPTY_DATA


def test_two_columns_of_one_name_are_refused(book):
    book({"A": [["a", "a"], [1, 2]]})
    with pytest.raises(DataError, match="same name"):
        read("book.xlsx")


def test_a_sheet_of_a_file_that_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.xlsx").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match="sheet"):
        read("a.xlsx#A", format="csv")
    for content in (b"a,b\n1,2\n", b"\x80\x04pickle"):
        (tmp_path / "a.xlsx").write_bytes(content)
        with pytest.raises(DataError):
            read("a.xlsx")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_a_workbook_that_is_cut_off(book, share):
    path = book({"A": ROWS})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.code is ErrorCode.UNREADABLE


def test_damage_is_an_error_or_harmless(book):
    path = book({"A": ROWS})
    content = path.read_bytes()
    for position in range(0, len(content), 97):
        path.write_bytes(content[:position] + b"\xff\x00\xff" + content[position + 3 :])
        try:
            read(path).frame()
        except DataError as error:
            assert error.code in {ErrorCode.UNREADABLE, ErrorCode.EMPTY_DATA, ErrorCode.BAD_COLUMN_NAMES}  # noqa: PT017


def test_an_old_office_file_that_is_none(tmp_path):
    (tmp_path / "a.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(DataError, match="spreadsheet"):
        read(tmp_path / "a.xls")


def bomb(size, told=None):
    """A zip archive of zeros that says it unpacks to `told` bytes."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(size))
    content = raw.getvalue()
    if told is not None:
        for honest, lie in ((size, told), (zlib.crc32(bytes(size)), zlib.crc32(bytes(told)))):
            content = content.replace(honest.to_bytes(4, "little"), lie.to_bytes(4, "little"))
    return content


@pytest.mark.parametrize("told", [None, 100])
def test_a_bomb_is_refused_even_if_it_lies(tmp_path, told, monkeypatch):
    monkeypatch.setattr(spreadsheet, "_fastexcel", lambda: pytest.fail("the library saw the bomb"))
    (tmp_path / "a.xlsx").write_bytes(bomb(80 * 2**20, told))
    with pytest.raises(DataError, match="unpacks from"):
        read(tmp_path / "a.xlsx")
    monkeypatch.setattr(spreadsheet, "_MOST_UNPACKED", 10 * 2**20)
    with pytest.raises(DataError, match="unpacks to more"):
        read(tmp_path / "a.xlsx")
    monkeypatch.setattr(spreadsheet, "_MOST_BYTES", 1000)
    with pytest.raises(DataError, match="larger than"):
        read(tmp_path / "a.xlsx")


def test_one_workbook_at_a_time(book):
    with pytest.raises(UsageError, match="2 spreadsheets"):
        read([book({"A": ROWS}, "a.xlsx"), book({"A": ROWS}, "b.xlsx")])


def test_without_the_library(book, monkeypatch):
    path = book({"A": ROWS})
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    with pytest.raises(MissingExtraError, match=r"lepton-ai\[data\]"):
        read(path)
