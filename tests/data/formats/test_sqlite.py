"""SQLite files: what a query gives, and that it can do nothing else."""

import sqlite3

import polars as pl
import pytest

from lepton.core import DataError, ErrorCode, Interrupted, LeptonError, SecurityError, StoreError, UsageError, Work
from lepton.data import read
from lepton.data.formats import spool


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect("shop.db") as connection:
        connection.execute("create table sales (id integer, town text, price real, at text, raw blob, odd)")
        rows = [
            (i, f"town {i % 3}", i * 1.5, f"2024-01-{i % 28 + 1:02}", b"x", i if i < 150 else f"n{i}")
            for i in range(200)
        ]
        connection.executemany("insert into sales values (?, ?, ?, ?, ?, ?)", rows)
    connection.close()
    return tmp_path / "shop.db"


def ask(query, url="sql:sqlite:///shop.db", **options):
    return read(url, query=query, **options)


def test_a_query_is_a_table(shop):
    table = ask("select id, town, price, at from sales where id < 10 order by id")
    assert [str(column.kind) for column in table.schema] == ["identifier", "category", "number", "datetime"]
    assert table.frame()["price"].to_list() == [i * 1.5 for i in range(10)]
    assert table.decisions[0].decided == "SQLite"


def test_an_absolute_path_and_an_odd_one(shop, tmp_path):
    assert ask("select 1 as one", f"sql:sqlite:///{shop}").num_rows == 1
    shop.rename(tmp_path / "a b?%.db")
    assert ask("select 1 as one", "sql:sqlite:///a%20b%3F%25.db").num_rows == 1


def test_large_answers_come_in_parts_and_every_pass_sees_the_same_rows(shop, monkeypatch):
    monkeypatch.setattr("lepton.data.formats.sqlite.SPOOL_ROWS", 60)
    table = ask("select * from sales")
    shop.unlink()
    assert table.num_rows == 200
    assert table.frame().rows() == table.frame().rows()
    assert table.frame()["odd"].to_list() == [str(i) if i < 150 else f"n{i}" for i in range(200)]
    assert "raw" not in table.schema.names
    assert table.describe().to_dict()


def test_types_that_change_become_the_wider_one():
    types: dict[str, pl.DataType] = {}
    for dtype, wider in [
        (pl.Null(), pl.Null()),
        (pl.Int64(), pl.Int64()),
        (pl.Null(), pl.Int64()),
        (pl.Float64(), pl.Float64()),
        (pl.Int64(), pl.Float64()),
        (pl.String(), pl.String()),
        (pl.Int64(), pl.String()),
        (pl.Binary(), pl.Binary()),
        (pl.String(), pl.Binary()),
    ]:
        types = spool._wider(types, {"a": dtype})
        assert types == {"a": wider}


def test_an_answer_without_rows_has_columns(shop):
    assert ask("select id, price from sales where id < 0").frame().shape == (0, 2)


def test_a_column_that_is_empty_throughout(shop):
    assert ask("select id, null as none from sales").frame()["none"].null_count() == 200


@pytest.mark.parametrize(
    "query",
    [
        *("delete from sales", "update sales set id = 1", "insert into sales (id) values (1)", "drop table sales"),
        *("create table x (a)", "attach 'new.db' as x", "vacuum into 'new.db'", "pragma journal_mode = wal"),
        *("select load_extension('x')", "begin", "create temp table x as select 1", "pragma writable_schema = 1"),
        "with gone as (select 1) delete from sales returning id",
    ],
)
def test_a_query_that_does_more_than_select_is_refused(shop, query):
    before = shop.read_bytes()
    with pytest.raises(LeptonError) as caught:
        ask(query)
    assert caught.value.code in {ErrorCode.FORBIDDEN_URL, ErrorCode.UNREADABLE}
    assert shop.read_bytes() == before
    assert [path.name for path in shop.parent.iterdir()] == ["shop.db"]


def test_two_statements_are_refused(shop):
    with pytest.raises(LeptonError, match="one statement"):
        ask("select 1; drop table sales")


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("sql:sqlite:///shop.db?mode=rwc", SecurityError),
        ("sql:sqlite:///shop.db?vfs=unix-none", SecurityError),
        ("sql:sqlite:///shop.db#x", SecurityError),
        ("sql:sqlite://shop.db", UsageError),
        ("sql:sqlite:///", UsageError),
        ("sql:sqlite://", UsageError),
        ("sql:sqlite:///none.db", DataError),
        ("sql:sqlite:///:memory:", DataError),
        ("sql:sqlite:///.", DataError),
        ("sql:sqlite:///shop.db%00", UsageError),
    ],
)
def test_other_urls_are_refused(shop, url, error):
    with pytest.raises(error):
        ask("select 1", url)
    assert [path.name for path in shop.parent.iterdir()] == ["shop.db"]


@pytest.mark.parametrize(
    ("query", "says"),
    [("select other from sales", "no such column"), ("sel", "syntax"), ("select 1, 1", "same name")],
)
def test_a_query_that_fails_says_why(shop, query, says):
    with pytest.raises(DataError, match=says):
        ask(query)


def test_what_is_no_database(tmp_path, monkeypatch, shop):
    (tmp_path / "a.db").write_bytes(b"a,b\n1,2\n" * 500)
    with pytest.raises(DataError, match="no SQLite database"):
        ask("select * from sales", "sql:sqlite:///a.db")
    (tmp_path / "cut.db").write_bytes(shop.read_bytes()[:5000])
    with pytest.raises(DataError):
        ask("select * from sales", "sql:sqlite:///cut.db")
    with pytest.raises(DataError, match="sql:sqlite"):
        read("shop.db")


ENDLESS = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) as m from n"


def test_a_query_that_does_not_end_is_stopped(shop, monkeypatch):
    from lepton.data.formats.base import ReadOptions
    from lepton.data.formats.sqlite import open_sqlite
    from lepton.store.fetch import FetchLimits

    with pytest.raises(StoreError, match="took longer"):
        open_sqlite("sqlite:///shop.db", ReadOptions(query=ENDLESS, limits=FetchLimits(total=0.2)))
    with pytest.raises(Interrupted):
        ask(ENDLESS, work=Work("200ms"))


def test_an_answer_that_is_too_large_leaves_nothing(shop, monkeypatch):
    import tempfile

    scratch = shop.parent / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with pytest.raises(StoreError, match="larger than 1 kB"):
        ask("select * from sales", max_download="1kB")
    assert list(scratch.iterdir()) == []
