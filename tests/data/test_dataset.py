# ruff: noqa: DTZ001
"""Datasets: typed, lazy, in bounded pieces, the same however they are looked at."""

import datetime as dt

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from lepton.core import DataError, ErrorCode, Kind, Role, UsageError
from lepton.data import read
from lepton.data.formats import delimited

ROWS = 300


@pytest.fixture
def path(tmp_path):
    frame = pl.DataFrame(
        {
            "id": [f"user{i:05d}" for i in range(ROWS)],
            "size": [i * 0.5 if i % 7 else None for i in range(ROWS)],
            "rooms": [i % 5 for i in range(ROWS)],
            "town": ["Ulm", "Köln", None] * (ROWS // 3),
            "sold": [bool(i % 2) for i in range(ROWS)],
            "when": [dt.datetime(2020, 1, 1) + dt.timedelta(hours=i) for i in range(ROWS)],
        }
    )
    frame.write_csv(tmp_path / "table.csv")
    return tmp_path / "table.csv"


def test_frame_has_the_types_of_the_schema(path):
    table = read(path)
    assert [str(c.kind) for c in table.schema] == ["identifier", "number", "number", "category", "boolean", "datetime"]
    assert table.frame().dtypes == [pl.String, pl.Float64, pl.Int64, pl.String, pl.Boolean, pl.Datetime("us")]
    assert table.frame()["size"].null_count() == sum(i % 7 == 0 for i in range(ROWS))
    assert table.schema["id"].role is Role.IGNORED


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_batches_are_the_frame_in_order(path, rows):
    table = read(path)
    batches = list(table.batches(rows))
    assert all(1 <= batch.height <= rows for batch in batches)
    assert_frame_equal(pl.concat(batches), table.frame())


def test_small_blocks_give_the_same(path, monkeypatch):
    whole = read(path).frame()
    monkeypatch.setattr(delimited, "_BLOCK", 256)
    monkeypatch.setattr(delimited, "_AT_ONCE", 0)
    table = read(path)
    assert len(list(table.batches())) > 10
    assert_frame_equal(table.frame(), whole)


def test_lazy_reads_the_columns_it_needs(path):
    table = read(path)
    query = table.lazy().filter(pl.col("rooms") > 2).group_by("town").agg(pl.col("size").sum()).sort("town")
    expected = table.frame().filter(pl.col("rooms") > 2).group_by("town").agg(pl.col("size").sum()).sort("town")
    assert_frame_equal(query.collect(), expected)
    assert table.lazy().head(3).collect().height == 3
    assert table.lazy().select(pl.len()).collect().item() == ROWS


def test_select_roles_and_kinds(path):
    table = read(path).select(["town", "rooms"]).with_roles({"rooms": "target"}).with_kinds({"rooms": "category"})
    assert table.schema.names == ("town", "rooms")
    assert table.schema["rooms"].kind is Kind.CATEGORY
    assert table.schema["rooms"].role is Role.TARGET
    assert table.head(2)["rooms"].to_list() == ["0", "1"]
    assert {d.column for d in table.decisions} == {None, "town", "rooms"}
    with pytest.raises(DataError, match="did you mean 'rooms'"):
        table.select(["room"])


def test_columns_in_any_order(path):
    assert read(path).frame(["when", "id"]).columns == ["when", "id"]
    assert next(read(path).batches(5, columns=["town"])).columns == ["town"]
    with pytest.raises(UsageError, match="no columns"):
        read(path).frame([])


def test_split_is_disjoint_complete_and_lazy(path):
    table = read(path)
    train, test = table.split(0.2, seed=3)
    assert (train.num_rows, test.num_rows) == (240, 60)
    both = pl.concat([train.frame(), test.frame()]).sort("when")
    assert_frame_equal(both, table.frame())
    again, _ = table.split(0.2, seed=3)
    assert_frame_equal(again.frame(), train.frame())
    assert not table.split(0.2, seed=4)[0].frame().equals(train.frame())


def test_a_part_can_be_split_again(path):
    table = read(path)
    train, test = table.split(0.2)
    inner, validation = train.split(0.25, seed=1)
    parts = [inner.frame(), validation.frame(), test.frame()]
    assert [part.height for part in parts] == [180, 60, 60]
    assert_frame_equal(pl.concat(parts).sort("when"), table.frame())


def test_the_split_follows_the_column(path):
    table = read(path)
    earlier, later = table.split(0.1, by="when")
    assert not earlier.lazy().select(pl.col("when").max() >= later.frame()["when"].min()).collect().item()
    _, held_out = table.split(0.2, by="town")
    assert held_out.frame()["town"].value_counts()["count"].to_list() == [20, 20, 20]
    grouped, _ = table.with_roles({"rooms": "group"}).split(0.4)
    assert grouped.frame()["rooms"].n_unique() == 3
    _, timed = table.with_roles({"when": "time"}).split(0.1)
    assert timed.frame()["when"].min() == later.frame()["when"].min()
    _, by_target = table.with_roles({"sold": "target"}).split(0.2)
    assert by_target.frame()["sold"].sum() == 30


def test_splits_that_cannot_be_meant(path):
    table = read(path)
    with pytest.raises(UsageError, match="without by="):
        table.split(method="group")
    with pytest.raises(UsageError, match="'thirds'"):
        table.split(method="thirds")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="there is no column 'whn'"):
        table.split(by="whn")


def test_the_same_content_has_the_same_fingerprint(path, tmp_path):
    table = read(path)
    kinds = {c.name: c.kind for c in table.schema}
    for name in ("copy.parquet", "copy.arrow", "copy.jsonl"):
        table.save(tmp_path / name)
        assert read(tmp_path / name, kinds=kinds).fingerprint() == table.fingerprint()
    assert read(table.frame(), kinds=kinds).fingerprint() == table.fingerprint()
    assert table.split()[0].fingerprint() != table.fingerprint()
    assert read(table.frame().with_columns(rooms=pl.col("rooms").cast(pl.Float64))).fingerprint() != ""
    changed = table.frame().with_columns(town=pl.col("town").fill_null("Ulm"))
    assert read(changed, kinds=kinds).fingerprint() != table.fingerprint()


def test_fingerprint_does_not_confuse_neighbouring_texts():
    one, other = read({"a": ["ab", "c"]}), read({"a": ["a", "bc"]})
    assert one.fingerprint() != other.fingerprint()
    assert read({"a": ["x", None]}).fingerprint() != read({"a": [None, "x"]}).fingerprint()


def test_fingerprint_does_not_depend_on_pieces(path, monkeypatch):
    before = read(path).fingerprint()
    monkeypatch.setattr(delimited, "_BLOCK", 500)
    assert read(path).fingerprint() == before


def test_a_later_row_that_breaks_a_decision_is_named(tmp_path):
    path = tmp_path / "late.csv"
    path.write_text("a,b\n" + "1,x\n" * 25_000 + "oops,x\n")
    table = read(path)
    for look in (table.frame, table.fingerprint, lambda: list(table.batches()), table.lazy().collect):
        with pytest.raises(DataError, match=r"row 25,001 of late.csv, column 'a': got 'oops'") as caught:
            look()
        assert caught.value.code is ErrorCode.BAD_VALUE
        assert "kinds={'a': 'category'}" in caught.value.fix
    assert read(path, missing={"a": ["oops"]}).frame()["a"].null_count() == 1
    assert read(path, kinds={"a": "category"}).frame()["a"][-1] == "oops"


def test_a_whole_number_may_become_a_decimal_later(tmp_path):
    path = tmp_path / "decimals.csv"
    path.write_text("a,b\n" + "1,2\n" * 25_000 + "1.5,2\n")
    frame = read(path).frame()
    assert frame.dtypes == [pl.Float64, pl.Int64]
    assert frame["a"][-1] == 1.5


def test_a_file_that_changes_is_noticed(path):
    table = read(path)
    batches = table.batches(10)
    next(batches)
    with path.open("a") as file:
        file.write("more,1,2,x,true,2020-01-01\n")
    with pytest.raises(DataError) as caught:
        list(batches)
    assert caught.value.code is ErrorCode.CHANGED_WHILE_READ
    with pytest.raises(DataError, match="changed while it was read"):
        table.frame()


def test_repr_and_len(path):
    table = read(path)
    assert "rows x 6 columns" in repr(table)
    assert len(table) == ROWS
    assert table.head(0).height == 0


def test_batches_of_no_rows(path):
    with pytest.raises(UsageError, match="rows=0"):
        next(read(path).batches(0))
