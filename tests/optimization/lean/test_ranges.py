from __future__ import annotations

import numpy as np
import pytest

from lepton.bundle.build import GraphBuilder
from lepton.optimization.lean.ranges import METHODS, observe
from tests.optimization.lean.networks import WORK


def _graph():
    builder = GraphBuilder()
    x = builder.input("x", "float", ["N", 4])
    value = builder.mark("value", builder.node("Mul", [x, builder.constant(np.float32(2))]))
    chosen = builder.node("Gather", [value, builder.node("Squeeze", [builder.node("NonZero", [
        builder.node("Greater", [builder.node("ReduceMax", [x, builder.constant([1])], keepdims=0),
                                 builder.constant(np.float32(1e6))])]), builder.constant([0])])])  # fmt: skip
    builder.mark("never", chosen)
    builder.output("y", builder.node("Neg", [value]), "float", ["N", 4])
    return builder.finish()


@pytest.fixture(scope="module")
def seen():
    rows = np.random.default_rng(0).normal(size=(3_000, 4)).astype(np.float32) + np.arange(4, dtype=np.float32)
    rows[7, 0] = 500
    return rows, observe(_graph(), ["value", "never"], {"x": rows}, WORK)


def test_ends_means_and_counts_are_those_of_the_rows(seen):
    rows, found = seen
    value = found["value"]
    assert (value.low, value.high) == (2 * rows.min(), 1000.0)
    assert value.means == pytest.approx(2 * rows.mean(axis=0), rel=1e-5)
    assert value.counts.sum() == rows.size


def test_a_value_that_no_row_reaches_has_no_range(seen):
    assert set(seen[1]) == {"value"}


@pytest.mark.parametrize("method", METHODS)
def test_every_range_holds_nothing_and_lies_within_the_ends(seen, method):
    value = seen[1]["value"]
    low, high = value.range(method)
    assert value.low <= low <= 0 <= high <= value.high
    assert (high < 700) == (method == "percentile")


def test_a_value_that_is_always_nothing_has_an_empty_range():
    rows = np.zeros((8, 4), dtype=np.float32)
    value = observe(_graph(), ["value"], {"x": rows}, WORK)["value"]
    assert [value.range(method) for method in METHODS] == [(0.0, 0.0)] * 3
