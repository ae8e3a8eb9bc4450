"""A look at rows that flow by changes nothing, counts all of them, and draws each with the same chance."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.core import ColumnRecord, Kind, Schema
from lepton.data.recipes.watched import View, Watched

NUMBERS = Schema((ColumnRecord("a", Kind.NUMBER, "int64"),))


def seen(watched: Watched) -> View:
    view = watched.without(())
    assert view is not None
    return view


def pass_over(frame: pl.DataFrame, *sizes: int, seed: int = 0, schema: Schema = NUMBERS) -> tuple[View, pl.DataFrame]:
    watched = Watched(seed)
    starts = np.cumsum([0, *sizes]).tolist()
    pieces = [frame.slice(start, size) for start, size in zip(starts, (*sizes, frame.height), strict=True)]
    through = list(watched.follow(pieces, schema))
    return seen(watched), pl.concat(through)


@given(st.lists(st.none() | st.integers(0, 9), max_size=50), st.lists(st.integers(0, 20), max_size=4))
def test_few_rows_are_all_kept_in_order_and_pass_as_they_are(values, sizes):
    frame = pl.DataFrame({"a": pl.Series(values, dtype=pl.Int64), "hidden": pl.Series(values, dtype=pl.Int64)})
    view, through = pass_over(frame, *sizes)
    assert through.equals(frame)
    assert view.rows == len(values)
    assert view.missing == {"a": values.count(None)}
    assert view.sample["a"].to_list() == values


def test_of_many_rows_each_is_as_likely():
    frame = pl.DataFrame({"a": range(100_000)})
    view, _ = pass_over(frame, 5, 30_000, 60_000, 1_000)
    kept = view.sample["a"].to_numpy()
    assert len(kept) == len(np.unique(kept)) == 10_000
    shares = np.histogram(kept, bins=10, range=(0, 100_000))[0] / 1_000
    assert np.abs(shares - 1).max() < 0.12  # four standard deviations
    again, _ = pass_over(frame, 5, 30_000, 60_000, 1_000)
    assert again.sample.equals(view.sample)
    other, _ = pass_over(frame, 5, 30_000, 60_000, 1_000, seed=1)
    assert not other.sample.equals(view.sample)


def test_a_pass_that_was_not_whole_is_none():
    watched = Watched(0)
    frames = [pl.DataFrame({"a": [1]})] * 3
    next(iter(watched.follow(frames, NUMBERS)))
    assert watched.without(()) is None
    list(watched.follow(frames, NUMBERS))
    list(watched.follow([*frames, *frames], NUMBERS))
    assert seen(watched).rows == 3


def test_wide_tables_and_long_texts_stay_small():
    names = [f"c{i}" for i in range(1_000)]
    schema = Schema(tuple(ColumnRecord(name, Kind.TEXT, "string") for name in names))
    frame = pl.DataFrame(dict.fromkeys(names, ["x" * 5_000] * 50))
    watched = Watched(0)
    list(watched.follow([frame] * 20, schema))
    assert seen(watched).sample.height == 400
    assert seen(watched).sample["c0"].str.len_chars().max() == 200


@pytest.mark.parametrize(("hidden", "left"), [({"a"}, []), ({"b"}, ["a"])])
def test_hidden_columns_are_counted_but_not_shown(hidden, left):
    watched = Watched(0)
    list(watched.follow([pl.DataFrame({"a": [None, 1]})], NUMBERS))
    view = watched.without(hidden)
    assert view is not None
    assert view.sample.columns == left
    assert view.missing_share("a") == 0.5
