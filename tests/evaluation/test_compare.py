"""`compare`: paired differences, verdicts, refusals, and the price of both models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lepton.core import UsageError
from lepton.data import Dataset, read
from lepton.evaluation import Comparison, compare, evaluate
from lepton.report import show_share
from tests.evaluation.models import binary_model, linear_model


@pytest.fixture
def table() -> Dataset:
    generator = np.random.default_rng(2)
    area = generator.normal(100, 20, 500)
    return read(pl.DataFrame({"area": area, "price": 2 * area + generator.normal(0, 1, 500)}))


@pytest.fixture
def buyers() -> Dataset:
    generator = np.random.default_rng(1)
    x = generator.normal(size=500)
    bought = np.where(generator.random(500) < 1 / (1 + np.exp(-2 * x)), "yes", "no")
    return read(pl.DataFrame({"x": x, "bought": bought}), kinds={"bought": "category"})


def test_a_better_and_a_worse_model_are_told_apart(tmp_path: Path, table: Dataset) -> None:
    good = linear_model(tmp_path, {"area": 2.0}, name="good")
    bad = linear_model(tmp_path, {"area": 1.99}, name="bad")
    forth, back = compare(good, bad, table), compare(bad, good, table)
    assert (forth.verdict, back.verdict) == ("worse", "better")
    assert forth.metric.name == "rmse"
    one, two = evaluate(good, table).metrics["rmse"].value, evaluate(bad, table).metrics["rmse"].value
    assert one is not None
    assert two is not None
    assert forth.differences["rmse"].value == pytest.approx(two - one)
    assert forth.first.metrics["rmse"].value == one
    assert back.differences["rmse"].value == pytest.approx(one - two)
    assert compare(good, bad, table, metric="r2").verdict == "worse"  # greater is better there


def test_a_model_is_not_better_than_itself(tmp_path: Path, table: Dataset) -> None:
    model = linear_model(tmp_path, {"area": 2.0})
    found = compare(model, model, table)
    assert found.verdict == "no difference shown"
    assert all(each.value == each.lower == each.upper == 0 for each in found.differences.values())


def test_noise_is_not_called_a_difference(tmp_path: Path, table: Dataset) -> None:
    found = compare(
        linear_model(tmp_path, {"area": 2.0}, name="a"), linear_model(tmp_path, {"area": 2.00001}, name="b"), table
    )
    assert found.verdict == "no difference shown"


def test_labels_in_another_order_are_the_same_labels(tmp_path: Path, buyers: Dataset) -> None:
    one = binary_model(tmp_path, 2.0, name="one")
    two = binary_model(tmp_path, 2.0, labels=("yes", "no"), name="two")
    found = compare(one, two, buyers)
    assert found.disagreement == 0
    assert all(each.value == pytest.approx(0, abs=1e-12) for each in found.differences.values())


def test_disagreement_counts_rows_that_are_answered_differently(tmp_path: Path, buyers: Dataset) -> None:
    found = compare(binary_model(tmp_path, 2.0, name="one"), binary_model(tmp_path, -2.0, name="two"), buyers)
    assert found.disagreement == 1
    assert found.verdict == "worse"
    assert f"They answer {show_share(1.0)} of the rows differently." in found.text()


def test_every_face_shows_both_models_their_speed_and_size(tmp_path: Path, table: Dataset) -> None:
    models = [linear_model(tmp_path, {"area": 2.0}, name=name) for name in ("old", "new")]
    found: Comparison = compare(models[0], models[1], table)
    raw = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (raw["first"]["model"], raw["second"]["model"]) == ("old", "new")
    for side in (found.first, found.second):
        assert 0 < side.latency < 1
        assert 0 < side.size <= (tmp_path / f"{side.name}.lepton").stat().st_size
    text, page = found.text(), found.page().html()
    for fragment in ("rmse", "old", "new", "no difference", "kB"):
        assert fragment in text, fragment
        assert fragment in page, fragment
    assert text.endswith(f"second minus first is 0, 95 % interval {0} to {0}.")
    assert str(found) == text
    assert "iframe" in found._repr_html_()


def test_a_function_can_be_the_metric(tmp_path: Path, table: Dataset) -> None:
    def within_one(y: Any, answer: Any, weight: Any, labels: Any) -> float:
        return float(np.average(abs(y - answer) < 1, weights=weight))

    good, bad = (linear_model(tmp_path, {"area": w}, name=f"m{i}") for i, w in enumerate((2.0, 1.9)))
    found = compare(good, bad, table, metric=within_one)
    assert (found.metric.name, found.verdict) == ("within_one", "worse")
    assert found.text()


def test_a_function_sees_the_labels_that_people_know(tmp_path: Path, buyers: Dataset) -> None:
    seen: list[set[str]] = []

    def caught(y: Any, answer: Any, weight: Any, labels: Any) -> float:
        seen.append({*y.tolist(), *answer.tolist(), *labels})
        return float(np.average((y == "yes") & (answer == "yes"), weights=weight))

    model = binary_model(tmp_path, 2.0)
    assert compare(model, model, buyers, metric=caught).verdict == "no difference shown"
    assert all(each == {"no", "yes"} for each in seen)


def test_models_that_cannot_be_compared_are_refused(tmp_path: Path, table: Dataset, buyers: Dataset) -> None:
    price = linear_model(tmp_path, {"area": 2.0})
    bought = binary_model(tmp_path, 2.0, name="bought")
    with pytest.raises(UsageError, match="differ in their task: 'regression' and 'binary'"):
        compare(price, bought, table)
    with pytest.raises(UsageError, match="differ in their target: 'price' and 'rent'"):
        compare(price, linear_model(tmp_path, {"area": 2.0}, target="rent", name="rent"), table)
    other = linear_model(tmp_path, {"x": [0.0, 1.0]}, labels=("no", "oui"), target="bought", name="oui")
    with pytest.raises(UsageError, match=r"differ in their labels: \['no', 'yes'\] and \['no', 'oui'\]"):
        compare(bought, other, buyers)
    with pytest.raises(UsageError, match="'f1' does not fit the task 'regression'"):
        compare(price, price, table, metric="f1")


def test_models_of_other_targets_can_be_compared_by_a_named_column(tmp_path: Path, table: Dataset) -> None:
    rent = linear_model(tmp_path, {"area": 2.0}, target="rent", name="rent")
    price = linear_model(tmp_path, {"area": 2.0}, name="price")
    assert compare(price, rent, table, target="price").verdict == "no difference shown"
