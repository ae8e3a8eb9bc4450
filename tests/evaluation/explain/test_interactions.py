"""Pairs that are not added up are found, and chance is not told as one."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import DataError, Work
from lepton.data import Dataset, read
from lepton.evaluation.explain.interactions import interactions
from tests.evaluation.explain.functions import function_model, two_labels

THREE = {"x": "number", "y": "number", "z": "number"}


def table(rows: int = 300, seed: int = 0) -> Dataset:
    generator = np.random.default_rng(seed)
    return read(pl.DataFrame({name: generator.normal(size=rows) for name in THREE}))


def test_a_product_is_found_and_a_sum_is_not():
    found = interactions(function_model(THREE, lambda c: c["x"] * c["y"] + 2 * c["z"]), table())
    first, *others = found.pairs
    assert set(first.columns) == {"x", "y"}
    assert first.told
    assert first.strength.value == pytest.approx(1, abs=0.3)
    assert first.strength.lower is not None
    assert first.strength.lower > 0.4
    assert [(each.told, each.strength.value) for each in others] == [(False, 0.0), (False, 0.0)]
    assert first.share is not None
    assert first.share > 0.8
    assert "none shown" in found.text()
    assert "x × y" in found.page().html().replace("y × x", "x × y")
    json.dumps(found.to_dict(), allow_nan=False)


def test_three_that_multiply_are_no_pair():
    """f = z + x·y·w: no pair of x, y and w does anything on average, but what rows are drawn makes it look so."""
    four = {**THREE, "w": "number"}
    model = function_model(four, lambda c: c["z"] + 3 * c["x"] * c["y"] * c["w"])
    told = 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        data = read(pl.DataFrame({name: generator.normal(size=100) for name in four}))
        told += interactions(model, data, columns=["x", "y"], seed=seed).pairs[0].told
    assert told <= 4  # of 20; more have a probability of 3 in 1,000 where 5 % are told


def test_where_columns_do_next_to_nothing_a_share_is_no_interaction():
    """H² is 1 for a product of columns that have no effects of their own; its size says that it does not count."""
    model = function_model(THREE, lambda c: 100 * c["z"] + 0.1 * c["x"] * c["y"])
    (pair,) = interactions(model, table(), columns=["x", "y"]).pairs
    assert pair.share is not None
    assert pair.share > 0.5
    assert not pair.told


def test_a_logistic_sum_interacts_in_probabilities_and_not_in_log_odds():
    model = function_model(
        THREE, lambda c: two_labels(1 / (1 + np.exp(-2 * c["x"] - 2 * c["y"] - 2))), labels=("a", "b")
    )
    assert interactions(model, table(), columns=["x", "y"]).pairs[0].told
    assert not interactions(model, table(), columns=["x", "y"], log_odds=True).pairs[0].told


def test_rounding_to_single_precision_is_no_interaction():
    model = function_model(THREE, lambda c: (1e5 + c["x"] + c["y"]).astype(np.float32))
    (pair,) = interactions(model, table(), columns=["x", "y"]).pairs
    assert not pair.told


@settings(max_examples=8)
@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.integers(0, 100))
def test_whatever_is_added_up_has_no_interaction(slopes, seed):
    model = function_model(
        {**THREE, "k": "category"},
        lambda c: (
            sum(s * np.sin(c[n] * (i + 1)) for i, (s, n) in enumerate(zip(slopes, THREE, strict=True)))
            + (c["k"] == "a") * 2.0
        ),
    )
    data = read(table(60, seed).frame().with_columns(k=pl.Series(["a", "b", None] * 20)))
    found = interactions(model, data, columns=["x", "y", "k"], max_rows=30, seed=seed)
    assert not any(each.told for each in found.pairs)


def test_the_order_of_two_columns_does_not_matter():
    model = function_model(THREE, lambda c: c["x"] * c["y"] + c["z"])
    one, two = (interactions(model, table(), columns=names).pairs[0] for names in (["x", "y"], ["y", "x"]))
    assert one.strength.value == pytest.approx(two.strength.value)


def test_columns_that_do_not_differ_are_left_out_and_few_rows_refused():
    data = read(pl.DataFrame({"x": np.arange(30.0), "y": np.ones(30), "z": [None] * 30}))
    model = function_model(THREE, lambda c: c["x"])
    found = interactions(model, data, columns=["x", "y", "z"])
    assert found.pairs == ()
    assert "no two columns" in found.text()
    assert "no two columns" in found.page().html()
    with pytest.raises(DataError, match="at least 10"):
        interactions(model, table(5))
    with pytest.raises(DataError, match="not among the columns"):
        interactions(model, table(50), columns=["x", "nope"])


def test_answers_that_are_no_numbers_are_not_told():
    data = read(table().frame().with_columns(y=pl.col("x")))
    model = function_model(THREE, lambda c: np.where(c["x"] == c["y"], c["x"], np.nan))
    found = interactions(model, data, columns=["x", "y"])
    assert found.pairs[0].strength.value is None
    assert not found.pairs[0].told
    assert found.page().html()
    json.dumps(found.to_dict(), allow_nan=False)


def test_time_that_is_over_leaves_pairs_out():
    work = Work()
    model = function_model(THREE, lambda c: c["x"] * c["y"])

    def stop(record: object) -> None:
        if getattr(record, "unit", "") == "pairs":
            work.cancel.set()

    work.reporter = stop
    found = interactions(model, table(), columns=["x", "y", "z"], work=work)
    assert len(found.pairs) == 1
    assert len(found.left_out) == 2
    assert "no time for 2" in found.text()
