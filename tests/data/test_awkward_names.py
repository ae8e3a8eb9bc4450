"""Columns that are called as what is counted of them: they are described, judged and trained on as all others."""

import numpy as np
import polars as pl
import pytest

import lepton
from lepton.evaluation.segments import parts_of

NAMES = ("rows", "count", "value", "text", "class", "label")


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_described(name):
    rng = np.random.default_rng(0)
    table = pl.DataFrame({name: rng.choice(["a", "b", "c"], 200), "x": rng.normal(size=200), "y": [0, 1] * 100})
    for target in (None, name, "y"):
        assert name in lepton.describe(table, target=target).page().html()


@pytest.mark.parametrize("name", NAMES)
def test_a_column_makes_parts(name):
    assert [part for part, _ in parts_of(pl.Series(name, ["a", "a", "b", None]))] == ["a", "b", "missing"]
