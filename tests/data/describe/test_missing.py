"""Maps of missing cells count every cell, in memory that rows do not change, and tell stretches and groups."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.data.describe.missing import MissingMap, block_of, missing_groups, missing_patterns


def mapped(frame: pl.DataFrame, *sizes: int) -> MissingMap:
    """The map of a frame that comes in pieces of these sizes."""
    found, start = MissingMap(), 0
    for size in (*sizes, frame.height):
        found.update(frame.slice(start, size))
        start += size
    return found


@given(st.lists(st.booleans(), max_size=600), st.lists(st.integers(0, 300), max_size=6))
def test_every_missing_cell_is_counted_in_its_run(gone, sizes):
    frame = pl.DataFrame({"a": pl.Series([None if each else 1 for each in gone], dtype=pl.Int64)})
    found = mapped(frame, *sizes)
    edges = found.edges()
    assert (edges[0], edges[-1], len(edges) <= 129) == (0, len(gone), True)
    counts = found.shares("a") * np.diff(edges)
    for place, count in enumerate(counts):
        assert round(float(count)) == sum(gone[edges[place] : edges[place + 1]])
    assert found.columns == (("a",) if any(gone) else ())


def test_pieces_do_not_matter():
    frame = pl.DataFrame({"a": [None if i % 7 == 0 else i for i in range(1_000)]})
    whole, parts = mapped(frame), mapped(frame, 1, 250, 13)
    assert (whole.shares("a") == parts.shares("a")).all()


def test_a_million_rows_are_128_runs():
    found = MissingMap()
    frame = pl.DataFrame({"a": pl.repeat(None, 250_000, dtype=pl.Int64, eager=True), "b": range(250_000)})
    for _ in range(4):
        found.update(frame)
    assert len(found.edges()) <= 129
    assert found.shares("a").tolist() == [1.0] * (len(found.edges()) - 1)
    assert not found.shares("b").any()


@pytest.mark.parametrize(("first", "last"), [(1, 400), (301, 777), (601, 1_000), (130, 990)])
def test_a_stretch_is_told(first, last):
    frame = pl.DataFrame({"a": [None if first <= row <= last else row for row in range(1, 1_001)]})
    assert block_of(mapped(frame), "a") == (first, last)


@pytest.mark.parametrize(
    "gone",
    [
        lambda row: row % 2 == 0,
        lambda row: True,
        lambda row: False,
        lambda row: row < 300 or 500 < row < 700,
        lambda row: row < 300 or row % 20 == 0,
    ],
)
def test_what_is_no_stretch_is_not_told(gone):
    frame = pl.DataFrame({"a": pl.Series([None if gone(row) else row for row in range(1_000)], dtype=pl.Int64)})
    assert block_of(mapped(frame), "a") is None


def test_patterns_are_the_sets_that_are_missing_together():
    frame = pl.DataFrame({"a": [None, None, 1, 1, None], "b": [None, None, 1, 1, 1], "c": [1, 1, 1, 1, 1]})
    found = [(pattern.columns, pattern.share) for pattern in missing_patterns(frame)]
    assert found == [(("a", "b"), 0.4), (("a",), 0.2)]
    assert missing_patterns(frame.select("c")) == []
    assert missing_patterns(frame.select("a", "b"))[0].text(1) == "a and 1 more"


def test_groups_are_missing_in_the_same_rows():
    gone = pl.Series([i % 5 == 0 for i in range(500)])
    column = pl.when(gone).then(None).otherwise(pl.int_range(500))
    nearly = pl.when(gone & (pl.int_range(500) > 20)).then(None).otherwise(1)
    other = pl.when(pl.int_range(500) % 7 == 0).then(None).otherwise(1)
    frame = pl.select(column.alias("a"), nearly.alias("b"), other.alias("c"), pl.lit(None).alias("d"))
    assert missing_groups(frame) == [("a", "b")]
    assert missing_groups(frame.select("c")) == []
    assert missing_groups(pl.DataFrame({"a": [None, 1], "b": [None, 1]})) == []
