"""Members that are told apart by a known share are, those that cannot be are not, and few rows say nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.bundle import open_model
from lepton.core import DataError, UsageError
from lepton.data import read
from lepton.evaluation import Estimate
from lepton.evaluation.privacy import membership
from lepton.evaluation.privacy.attack import _threshold
from tests.bundle.pictures import write_sums
from tests.evaluation.models import binary_model, linear_model


def rows(count: int, noise: float, seed: int, *, own: float = 0.0):
    """price = a, off by `noise`; of a share `own` of the rows not at all."""
    generator = np.random.default_rng(seed)
    a = generator.normal(size=count)
    off = noise * generator.normal(size=count) * (generator.random(count) >= own)
    return read(pl.DataFrame({"a": a, "price": a + off}))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return linear_model(tmp_path_factory.mktemp("linear"), {"a": 1.0})


def holds(found: Estimate, truth: float) -> bool:
    assert found.lower is not None
    assert found.upper is not None
    return found.lower <= truth <= found.upper


def test_an_advantage_that_is_planted_is_found(model):
    """Of 30 % of the members the model knows the target to the digit; no other row is answered so."""
    found = membership(model, rows(2_000, 1.0, 1, own=0.3), rows(2_000, 1.0, 2))
    assert found.leaks
    assert holds(found.advantage, 0.3)
    assert holds(found.true_positives_at_1_percent, 0.3 + 0.7 * 0.01)
    assert holds(found.false_positives_at_1_percent, 0.01)
    assert found.attack == "loss"
    assert found.num_training == found.num_held_out == 2_000
    assert "Yes" in str(found)
    json.dumps(found.to_dict(), allow_nan=False)
    assert "<svg" in found.page().html()
    points = np.array(found.curve)
    assert (np.diff(points, axis=0) >= 0).all()
    assert points[0].max() < 0.4
    assert points[-1].tolist() == [1.0, 1.0]


def test_rows_that_are_alike_give_nothing_away(model):
    leaking = [membership(model, rows(300, 1.0, s), rows(300, 1.0, s + 100)).leaks for s in range(20)]
    assert (
        sum(map(bool, leaking)) <= 2
    )  # of 20, where 2.5 % would be expected: the threshold is not judged where chosen


def test_a_threshold_for_each_label_finds_what_one_for_all_does_not(tmp_path):
    """Of label no members are answered a little better, of label yes all are answered badly."""
    model = binary_model(tmp_path, 1.0)
    generator = np.random.default_rng(0)

    def side(member: bool, seed: int):
        label = np.random.default_rng(seed).integers(0, 2, 1_000)
        x = np.where(label == 0, -3.0 - member, -2.0 + 0.5 * member) + 0.05 * generator.normal(size=1_000)
        return read(pl.DataFrame({"x": x, "bought": np.where(label == 1, "yes", "no")}))

    found = membership(model, side(True, 1), side(False, 2))
    assert found.attack == "loss by label"
    assert found.advantage.value == pytest.approx(1.0, abs=0.02)
    assert (found.attacks["loss"].value or 0.0) < 0.8


def test_a_reference_tells_how_hard_rows_are(tmp_path, model):
    """Rows differ much in how hard they are: relative to a model that has not seen them members stand out."""
    generator = np.random.default_rng(0)

    def side(gain: float, seed: int):
        a = np.random.default_rng(seed).normal(size=1_500)
        off = np.abs(5 * generator.normal(size=1_500)) + 1
        return read(pl.DataFrame({"a": a, "price": a + off * (1 - gain), "easy": off * gain}))

    reference = linear_model(tmp_path, {"a": 1.0, "easy": -1.0}, name="reference")
    found = membership(model, side(0.1, 1), side(0.0, 2), reference=reference)
    assert found.attack == "loss against another model"
    assert (found.advantage.value or 0.0) > 0.9
    assert (found.attacks["loss"].value or 0.0) < 0.2
    with pytest.raises(UsageError, match="answers something else"):
        membership(model, rows(100, 1.0, 1), rows(100, 1.0, 2), reference=binary_model(tmp_path, 1.0))


def test_few_rows_say_nothing(model):
    found = membership(model, rows(500, 1.0, 1), rows(40, 1.0, 2))
    assert found.leaks is None
    assert found.advantage.value is None
    assert "40 rows on one side are too few, 60 are needed" in str(found)
    some = membership(model, rows(500, 1.0, 1), rows(500, 1.0, 2))
    assert some.true_positives_at_1_percent.value is None
    assert "500 held-out rows are too few, 1,000 are needed" in some.true_positives_at_1_percent.reason
    assert some.page().html()
    assert found.page().html()


def test_held_out_rows_that_were_trained_on_are_left_out(model):
    training = rows(300, 1.0, 1)
    mixed = read(pl.concat([training.frame().head(100), rows(200, 1.0, 2).frame()]))
    found = membership(model, training, mixed)
    assert (found.num_shared, found.num_held_out) == (100, 200)
    assert "100 held-out rows are training rows too" in str(found)
    with pytest.raises(DataError, match="every held-out row is a training row too"):
        membership(model, training, read(training.frame().head(80)))


def test_constant_answers_give_nothing_away(tmp_path):
    model = linear_model(tmp_path, {"a": 0.0}, offset=1.0)
    same = read(pl.DataFrame({"a": np.arange(100.0), "price": [1.0] * 100}))
    other = read(pl.DataFrame({"a": np.arange(100.0) + 200, "price": [1.0] * 100}))
    found = membership(model, same, other)
    assert found.advantage.value == 0.0
    assert found.leaks is False


def test_groups_stay_together_and_rows_are_bounded(model):
    shops: dict[str, Any] = {"shop": np.arange(200) // 20}
    sides = [read(rows(200, 1.0, s).frame().with_columns(**shops), roles={"shop": "group"}) for s in (1, 2)]
    assert membership(model, *sides).advantage.value is not None
    bounded = membership(model, rows(400, 1.0, 1), rows(400, 1.0, 2), max_rows=150)
    assert bounded.num_training == 150
    assert "were drawn on a side" in str(bounded)
    first, again = (membership(model, rows(90, 1.0, 1), rows(90, 1.0, 2), seed=3).to_dict() for _ in range(2))
    assert first == again


def test_models_without_losses_are_refused(tmp_path):
    write_sums(tmp_path / "sums.lepton")
    with pytest.raises(UsageError, match="a model for tensor"):
        membership(open_model(tmp_path / "sums.lepton"), rows(90, 1.0, 1), rows(90, 1.0, 2))
    with pytest.raises(DataError, match="no column 'price'"):
        membership(linear_model(tmp_path, {"a": 1.0}), rows(90, 1.0, 1), read({"a": [1.0] * 90}))


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_the_threshold_is_the_best_that_there_is(pairs):
    scores = np.array([float(score) for score, _ in pairs])
    member = np.array([own for _, own in pairs])

    def gain(limit: float) -> float:
        called = scores >= limit
        return float(called[member].mean() - called[~member].mean())

    if member.any() and not member.all():
        best = max([gain(limit) for limit in np.unique(scores)] + [0.0])
        assert gain(_threshold(scores, member)) == pytest.approx(best)
