"""Prototypes stand in the middle of what there is; criticisms are what they leave out."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import DataError, UsageError
from lepton.data import Dataset, read
from lepton.evaluation.explain.prototypes import prototypes
from tests.evaluation.explain.functions import function_model, two_labels

TWO = {"x": "number", "kind": "category"}


def clusters(rows: int = 300, odd: int = 6) -> Dataset:
    """Three kinds of rows far apart, and a few of a fourth kind."""
    generator = np.random.default_rng(0)
    centre = np.repeat([0.0, 10.0, 20.0], rows // 3)
    x = np.append(centre + generator.normal(size=len(centre)), np.full(odd, 5.0) + generator.normal(size=odd) / 100)
    kind = np.append(np.repeat(["a", "b", "c"], rows // 3), np.repeat("odd", odd))
    return read(pl.DataFrame({"x": x, "kind": kind}))


def test_each_kind_has_its_prototype_and_the_odd_ones_are_criticisms():
    found = prototypes(function_model(TWO, lambda c: c["x"]), clusters(), count=3, criticisms=2)
    assert {each.values["kind"] for each in found.prototypes} == {"a", "b", "c"}
    assert [each.share for each in found.prototypes] == pytest.approx([1 / 3] * 3, abs=0.03)
    assert found.criticisms[0].values["kind"] == "odd"
    assert found.better_than > 0.9
    assert found.prototypes[0].answers[""] == pytest.approx(float(found.prototypes[0].values["x"]), rel=1e-3)
    rows = clusters().frame()
    for each in (*found.prototypes, *found.criticisms):
        assert rows["kind"][each.row] == each.values["kind"]
    json.dumps(found.to_dict(), allow_nan=False)


def test_prototypes_come_close_to_the_best_of_all_choices():
    """Two of twelve rows: greedy is at most a little worse than the best pair, by the same measure."""
    generator = np.random.default_rng(1)
    x = np.append(generator.normal(size=6), 8 + generator.normal(size=6))
    found = prototypes(function_model({"x": "number"}, lambda c: c["x"]), read(pl.DataFrame({"x": x})), count=2)
    apart = np.square((x[:, None] - x[None, :]) / np.ptp(x))
    kernel = np.exp(-apart / np.median(apart[apart > 0]))
    best = min(
        kernel.mean() - 2 * kernel[:, [a, b]].mean() + kernel[np.ix_([a, b], [a, b])].mean()
        for a in range(12)
        for b in range(12)
    )
    assert found.discrepancy <= best * 1.05 + 1e-9
    assert found.discrepancy >= best - 1e-12


def test_rows_that_are_the_same_are_told_once():
    data = read(pl.DataFrame({"x": [1.0, 2.0] * 20, "kind": ["a", "b"] * 20}))
    found = prototypes(function_model(TWO, lambda c: c["x"]), data)
    assert len(found.prototypes) == 2
    assert found.criticisms == ()
    assert any("only 2 different rows" in note for note in found.notes)
    one = prototypes(function_model(TWO, lambda c: c["x"]), read(pl.DataFrame({"x": [1.0] * 20, "kind": ["a"] * 20})))
    assert len(one.prototypes) == 1
    assert one.page().html()


def test_labels_missing_cells_and_rows_that_were_drawn():
    generator = np.random.default_rng(0)
    data = read(pl.DataFrame({"x": pl.Series([None, 1.0] * 200), "kind": generator.choice(["a", ""], 400)}))
    model = function_model(TWO, lambda c: two_labels((c["kind"] == "a") * 0.5), labels=("no", "yes"))
    found = prototypes(model, data, max_rows=50, seed=3)
    assert found.num_rows == 50
    assert any("50 of 400 rows" in note for note in found.notes)
    assert any(each.values["kind"] == "–" for each in found.prototypes)
    assert found.to_dict() == prototypes(model, data, max_rows=50, seed=3).to_dict()
    assert "Prototypes" in found.page().html()
    assert "stand for" in found.text()


def test_many_columns_are_compared_by_the_strongest():
    generator = np.random.default_rng(0)
    names = [f"c{place}" for place in range(80)]
    data = read(pl.DataFrame({name: generator.normal(size=60) for name in names}))
    found = prototypes(function_model(dict.fromkeys(names, "number"), lambda c: c["c70"] + c["c3"] / 2), data)
    assert found.columns[:2] == ("c70", "c3")
    assert any("2 of 80 columns" in note for note in found.notes)


def test_values_from_outside_are_escaped():
    data = read(pl.DataFrame({"x": np.arange(40.0), "kind": ["<script>x</script>", "\x1b[1m"] * 20}))
    found = prototypes(function_model(TWO, lambda c: c["x"]), data)
    assert "<script>x" not in found.page().html()
    assert "\x1b" not in found.text() + found.page().html()
    assert "may not see" in found.text()


def test_refusals():
    model = function_model(TWO, lambda c: c["x"])
    with pytest.raises(UsageError, match="count=0"):
        prototypes(model, clusters(), count=0)
    with pytest.raises(DataError, match="at least 10"):
        prototypes(model, read(clusters().frame().head(4)))
    with pytest.raises(DataError, match="did you mean 'kind'"):
        prototypes(model, clusters(), columns=["kin"])


@settings(max_examples=10)
@given(st.lists(st.floats(-1e9, 1e9) | st.none(), min_size=10, max_size=40), st.integers(1, 6), st.integers(0, 4))
def test_whatever_the_cells_are_rows_are_different_and_shares_sum_to_one(cells, count, criticisms):
    data = read(
        pl.DataFrame(
            {"x": pl.Series(cells, dtype=pl.Float64), "kind": ["a", "b"] * (len(cells) // 2) + ["c"] * (len(cells) % 2)}
        )
    )
    found = prototypes(function_model(TWO, lambda c: np.zeros(len(c["x"]))), data, count=count, criticisms=criticisms)
    rows = [each.row for each in (*found.prototypes, *found.criticisms)]
    assert len(set(rows)) == len(rows)
    assert sum(each.share for each in found.prototypes) == pytest.approx(1)
    assert 0 <= found.discrepancy <= 1
    json.dumps(found.to_dict(), allow_nan=False)
