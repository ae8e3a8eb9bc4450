"""Two columns get one set of edges, one picture, and one sentence on how they differ."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lepton.core import Kind
from lepton.data.describe.shapes import beside, counts_between, edges_of, moved_text
from lepton.data.statistics import ColumnStatistics
from lepton.data.statistics.quantiles import QuantileSketch
from tests.report.test_figures import check


def statistics(values, kind=Kind.NUMBER) -> ColumnStatistics:
    found = ColumnStatistics("c", kind)
    found.update(pl.Series(values))
    return found


def sketch_of(values) -> QuantileSketch:
    found = statistics(pl.Series(values, dtype=pl.Float64)).numbers
    assert found is not None
    return found.sketch


@given(st.lists(st.floats(-1e6, 1e6), max_size=30), st.lists(st.floats(-1e6, 1e6), max_size=30), st.booleans())
def test_edges_hold_both_columns(first, second, whole):
    sketches = [sketch_of([float(round(v)) if whole else v for v in values]) for values in (first, second)]
    edges = edges_of(sketches, 40, whole=whole)
    assert (edges is None) == (not first and not second)
    if edges is not None:
        assert (np.diff(edges) >= 0).all()
        for sketch in sketches:
            assert counts_between(sketch, edges).sum() >= 0.9 * sketch.count


def test_whole_numbers_get_bins_of_whole_width():
    edges = edges_of([sketch_of([1, 2, 3])], 40, whole=True)
    assert edges is not None
    assert edges.tolist() == [0.5, 1.5, 2.5, 3.5]


def test_numbers_that_overflow_have_no_edges():
    assert edges_of([sketch_of([-1.7e308, 1.7e308])], 40) is None


@pytest.mark.parametrize(
    ("kind", "first", "second", "said"),
    [
        (Kind.NUMBER, [1.0, 2.0, 3.0], [2.0, 4.0, 6.0], "half of the rows lie below 4, before below 2"),
        (Kind.NUMBER, [0.0, 2.0, 4.0], [1.0, 2.0, 3.0], "9 of 10 rows lie from 1.1 to 2.9, before from 0.2 to 3.8"),
        (Kind.NUMBER, [1.0, 2.0], [1.0, 2.0], ""),
        (Kind.NUMBER, [1.0], [], ""),
        (Kind.CATEGORY, ["a", "a", "b", "b"], ["a", "b", "b", "b"], "'b' is 75 % of the rows, before 50 %"),
        (Kind.TEXT, ["abc"], ["abcdef"], "half of the rows lie below 6 characters, before below 3"),
        (Kind.BOOLEAN, [True, False], [True, True], "'true' is 100 % of the rows, before 50 %"),
    ],
)
def test_the_difference_is_told_in_words(kind, first, second, said):
    dtype = {Kind.NUMBER: pl.Float64, Kind.BOOLEAN: pl.Boolean}.get(kind, pl.String)
    pair = [statistics(pl.Series(values, dtype=dtype), kind) for values in (first, second)]
    assert moved_text(*pair).replace("\u00a0", " ") == said


def test_pictures_of_every_kind():
    days = pl.Series([0, 10**15], dtype=pl.Int64).cast(pl.Datetime("us"))
    for kind, values in (
        (Kind.NUMBER, [1.0, 2.0]),
        (Kind.CATEGORY, [f"c{i}" for i in range(30)]),
        (Kind.TEXT, ["a", "ab"]),
        (Kind.BOOLEAN, [True, False]),
        (Kind.DATETIME, days),
    ):
        found = statistics(values, kind)
        picture = beside(found, found, title="t", names=("then", "now"))
        assert picture is not None
        check(picture)
    empty = statistics(pl.Series([], dtype=pl.Float64))
    assert beside(empty, empty, title="t", names=("then", "now")) is None


def test_far_values_are_left_out_and_counted():
    far = statistics([*np.linspace(0, 1, 999).tolist(), 1e9])
    near = statistics(np.linspace(0, 1, 1_000))
    picture = beside(far, near, title="t", names=("then", "now"))
    assert picture is not None
    assert picture.caption.replace("\u00a0", " ") == "Beyond what is drawn lie 0.1 % then."
