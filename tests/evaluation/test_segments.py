"""Segments: how rows are parted, and what is said of each part."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.data import read
from lepton.evaluation import evaluate
from lepton.evaluation.segments import parts_of
from tests.evaluation.models import linear_model


def names_and_sizes(column: pl.Series) -> list[tuple[str, int]]:
    return [(name, int(rows.sum())) for name, rows in parts_of(column)]


EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
CELLS: list[Any] = [
    st.lists(st.none() | st.floats(-1e9, 1e9), min_size=1, max_size=40),
    st.lists(st.none() | st.integers(-3, 3), min_size=1, max_size=40),
    st.lists(st.none() | st.text(max_size=2), min_size=1, max_size=60),
    st.lists(st.none() | st.booleans(), min_size=1, max_size=10),
    st.lists(
        st.none() | st.integers(-(10**9), 10**9).map(lambda s: EPOCH + dt.timedelta(seconds=s)), min_size=1, max_size=30
    ),
]


@pytest.mark.parametrize("cells", CELLS, ids=["floats", "integers", "texts", "booleans", "datetimes"])
@given(data=st.data())
def test_every_row_is_in_exactly_one_part(cells: st.SearchStrategy[list[Any]], data: st.DataObject) -> None:
    column = pl.Series("c", data.draw(cells))
    masks = np.array([rows for _, rows in parts_of(column)])
    assert (masks.sum(axis=0) == 1).all()
    assert masks.any(axis=1).all()


def test_numbers_are_cut_at_their_quartiles_and_few_numbers_are_values() -> None:
    assert names_and_sizes(pl.Series(np.arange(1.0, 101))) == [
        ("1 to 25", 25),
        ("26 to 50", 25),
        ("51 to 75", 25),
        ("76 to 100", 25),
    ]
    assert names_and_sizes(pl.Series([3, 1, 1, None])) == [("1", 2), ("3", 1), ("missing", 1)]


def test_categories_are_shown_by_count_and_rare_ones_together() -> None:
    texts = ["b"] * 5 + ["a"] * 3 + [f"rare {i:02}" for i in range(30)] + [None]
    found = names_and_sizes(pl.Series(texts))
    assert found[:2] == [("b", 5), ("a", 3)]
    assert found[-2:] == [("12 other values", 12), ("missing", 1)]
    assert names_and_sizes(pl.Series([True, False, True])) == [("yes", 2), ("no", 1)]


def test_datetimes_are_cut_and_shown_as_dates() -> None:
    days = pl.Series([EPOCH + dt.timedelta(days=i) for i in range(8)])
    assert names_and_sizes(days)[0] == ("1970-01-01 to 1970-01-02", 2)


def test_each_part_has_its_own_metrics_unless_it_is_small(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"area": 1.0})
    area = np.arange(200.0)
    town = np.where(area < 100, "exact", np.where(area < 190, "wrong", "small"))
    price = area + np.where(town == "wrong", 5.0, 0.0)
    table = read(pl.DataFrame({"area": area, "town": town, "price": price}), kinds={"area": "number"})
    exact, wrong, small = evaluate(model, table, segments=["town"]).segments["town"]
    assert (exact.value, exact.num_rows) == ("exact", 100)
    assert exact.metrics["mae"].value == 0
    assert wrong.metrics["rmse"].value == pytest.approx(5)
    assert [wrong.metrics["rmse"].lower, wrong.metrics["rmse"].upper] == pytest.approx([5, 5])
    assert (small.num_rows, small.metrics) == (10, {})
    assert "too few to say" in small.note
