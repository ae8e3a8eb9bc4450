"""Shuffled columns: what is planted is found, what is not used costs nothing, and intervals hold the truth."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from lepton.core import DataError, UsageError, Work
from lepton.data import read
from lepton.evaluation import Estimate, importance
from tests.evaluation.models import binary_model, linear_model

WEIGHTS: dict[str, Any] = {"large": 3.0, "small": 1.0, "unused": 0.0}


def table(rows: int = 2_000, seed: int = 0):
    generator = np.random.default_rng(seed)
    columns = {name: generator.normal(size=rows) for name in WEIGHTS}
    price = sum(weight * columns[name] for name, weight in WEIGHTS.items()) + generator.normal(size=rows)
    return read(pl.DataFrame({**columns, "price": price}))


def holds(loss: Estimate, truth: float) -> bool:
    assert loss.lower is not None
    assert loss.upper is not None
    return loss.lower < truth < loss.upper


def value(estimate: Estimate) -> float:
    assert estimate.value is not None
    return estimate.value


def test_losses_are_those_of_theory(tmp_path):
    """Of a linear model with independent columns, shuffling adds 2·weight² to the mean squared error."""
    found = importance(linear_model(tmp_path, WEIGHTS), table(), metric="mse", repeats=10)
    losses = {each.columns[0]: each.loss for each in found.features}
    assert [each.columns[0] for each in found.features] == ["large", "small", "unused"]
    for name, weight in WEIGHTS.items():
        if weight:
            assert holds(losses[name], 2 * weight**2)
    unused = losses["unused"]
    assert (unused.value, unused.lower, unused.upper) == (0.0, 0.0, 0.0)
    assert [each.matters for each in found.features] == [True, True, False]
    assert found.groups == ()


def test_intervals_hold_the_truth_about_as_often_as_they_say(tmp_path):
    model = linear_model(tmp_path, WEIGHTS)
    held = 0
    for seed in range(40):
        found = importance(model, table(300, seed), metric="mse", seed=seed)
        (large,) = [each.loss for each in found.features if each.columns == ("large",)]
        held += holds(large, 2 * 3.0**2)
    assert held >= 33  # of 40; below that 95 % has a probability of 2 in 1,000


def test_twins_are_shuffled_together_too(tmp_path):
    frame = table().frame().with_columns(unused=pl.col("large") + 0.01 * pl.col("small"))
    model = linear_model(tmp_path, {"large": 1.5, "small": 1.0, "unused": 1.5})
    found = importance(model, read(frame), metric="mse")
    (group,) = found.groups
    assert group.columns == ("large", "unused")
    alone = {each.columns[0]: value(each.loss) for each in found.features}
    assert value(group.loss) > 1.5 * (alone["large"] + alone["unused"])


def test_a_classifier_and_a_metric_where_more_is_better(tmp_path):
    generator = np.random.default_rng(1)
    x = generator.normal(size=1_000)
    y = np.where(generator.random(1_000) < 1 / (1 + np.exp(-2 * x)), "yes", "no")
    found = importance(binary_model(tmp_path, 2.0), read({"x": x, "bought": y}), target="bought", metric="roc_auc")
    assert found.features[0].loss.value == pytest.approx(value(found.value) - 0.5, abs=0.03)


def test_the_same_seed_gives_the_same_and_rows_are_drawn(tmp_path):
    model, rows = linear_model(tmp_path, WEIGHTS), table()
    first, second, other = (importance(model, rows, seed=seed, max_rows=500) for seed in (1, 1, 2))
    assert first == second != other
    assert first.num_rows == 500


def test_time_that_runs_out_leaves_columns_out(tmp_path):
    work = Work(within=1e-9)
    work.check = lambda: None  # type: ignore[method-assign]  # the rows themselves are read
    found = importance(linear_model(tmp_path, WEIGHTS), table(), work=work)
    assert len(found.features) == 1
    assert len(found.left_out) == 2
    assert "no time for 2 columns" in found.text()


def test_every_face(tmp_path):
    found = importance(linear_model(tmp_path, WEIGHTS), table(200))
    raw = json.loads(json.dumps(found.to_dict()))
    assert [each["columns"] for each in raw["features"]] == [["large"], ["small"], ["unused"]]
    assert "none shown" in found.text()
    page = found.page().html()
    assert 'role="img"' in page
    assert "large" in page


def test_bad_input_is_one_error(tmp_path):
    model = linear_model(tmp_path, WEIGHTS)
    with pytest.raises(UsageError, match="repeats=0"):
        importance(model, table(50), repeats=0)
    with pytest.raises(UsageError, match="roc_auc"):
        importance(model, table(50), metric="roc_auc")
    with pytest.raises(DataError, match="no column 'cost'"):
        importance(model, table(50), target="cost")


def test_one_row_and_constant_columns_say_what_they_can(tmp_path):
    model = linear_model(tmp_path, WEIGHTS)
    frame = table(40).frame().with_columns(large=pl.lit(1.0))
    (large,) = [e for e in importance(model, read(frame)).features if e.columns == ("large",)]
    assert large.loss.value == 0
    assert not importance(model, read(table(40).frame().head(1))).features[0].matters
