"""What differs between two tables, against a comparison that goes through all rows by hand."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError, Resources, UsageError, Work
from lepton.data import read
from lepton.data.versions import diff as module
from lepton.data.versions.diff import diff
from tests.data.versions.tables import claims

ROWS = st.dictionaries(
    st.integers(0, 30),
    st.tuples(st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.5, 2.0])), st.sampled_from(["a", "b", None])),
    min_size=1,
    max_size=25,
)


def table_of(rows):
    frame = pl.DataFrame(
        {"k": list(rows), "x": [x for x, _ in rows.values()], "s": [s for _, s in rows.values()]},
        schema={"k": pl.Int64, "x": pl.Float64, "s": pl.String},
    )
    return read(frame, kinds={"x": "number", "s": "category"})


@given(ROWS, ROWS)
def test_by_key_every_row_is_counted_once(old, new):
    found = diff(table_of(old), table_of(new), key="k")
    common = old.keys() & new.keys()
    changed = {k for k in common if old[k] != new[k]}
    assert (found.added, found.removed, found.changed) == (
        len(new.keys() - old.keys()),
        len(old.keys() - new.keys()),
        len(changed),
    )
    counts = {each.column: each.rows for each in found.changed_columns}
    expected = {"x": sum(old[k][0] != new[k][0] for k in common), "s": sum(old[k][1] != new[k][1] for k in common)}
    assert counts == {name: count for name, count in expected.items() if count}
    for each in found.changed_columns:
        at = ("x", "s").index(each.column)
        assert all((old[k][at], new[k][at]) == (before, after) for k, before, after in each.examples)
    assert found.is_same == (old == new)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), min_size=1),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), min_size=1),
)
def test_without_a_key_rows_count_as_often_as_they_are_there(old, new):
    tables = [
        read(pl.DataFrame(rows, schema={"k": pl.Int64, "s": pl.String}, orient="row"), kinds={"s": "category"})
        for rows in (old, new)
    ]
    found = diff(*tables)
    before, after = Counter(old), Counter(new)
    assert found.added == (after - before).total()
    assert found.removed == (before - after).total()
    assert found.changed is None
    assert found.is_same == (before == after)


@pytest.mark.parametrize("key", [(), ("k",)])
def test_on_disk_it_is_the_same_as_in_memory(key, monkeypatch):
    old, new = {k: (k * 1.0, "a") for k in range(5000)}, {k: (k * 1.0 + (k % 7 == 0), "a") for k in range(100, 5200)}
    tables = table_of(old), table_of(new)
    expected = diff(*tables, key=key)
    assert expected.added
    monkeypatch.setattr(module, "memory_limit", lambda work: 10_000)
    assert diff(*tables, key=key) == expected


def test_columns_and_distributions():
    old = claims(200)
    frame = old.frame().with_columns(pl.col("income") + 1000, extra=pl.lit(1.0)).drop("town")
    found = diff(old, read(frame, kinds={"person_id": "identifier", "when": "datetime"}))
    assert [(change.column, change.what) for change in found.columns] == [("town", "removed"), ("extra", "added")]
    assert [record.column for record in found.drift if record.verdict == "shifted"] == ["income"]
    text = found.text()
    assert "town" in text
    assert "shifted" in text


def test_versions_of_a_table(tmp_path):
    claims(30).save(tmp_path / "t")
    claims(10, start=30).save(tmp_path / "t", append=True)
    found = diff(read(f"{tmp_path / 't'}#1"), read(tmp_path / "t"))
    assert (found.rows_before, found.rows_after, found.added, found.removed) == (30, 40, 10, 0)
    assert found.added_examples[0] == claims(10, start=30).frame().row(0, named=True)


def test_whole_numbers_are_compared_with_decimals():
    assert diff(read({"n": [1, 2]}), read({"n": [1.0, 2.5]})).added == 1


def test_a_key_that_is_there_twice_is_named():
    with pytest.raises(DataError, match="the new table has more than one row with k = 2"):
        diff(read({"k": [1, 2], "x": [1, 2]}), read({"k": [2, 2], "x": [1, 3]}), key="k")


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match="no column 'q'"):
        diff(claims(), claims(), key="q")
    with pytest.raises(DataError, match="no column in common"):
        diff(read({"a": [1]}), read({"b": [1]}))
    with pytest.raises(UsageError, match="something else in the other"):
        diff(read({"a": [1, 2], "b": [1, 2]}), read({"a": ["x", "y"], "b": [1, 2]}), key="a")


def test_it_can_be_stopped():
    work = Work(resources=Resources(cpus=1))
    work.cancel.set()
    with pytest.raises(Exception, match="asked to stop"):
        diff(claims(), claims(), work=work)
