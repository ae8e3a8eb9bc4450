"""Several bundles as one model."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lepton.core import Resources
from lepton.serving import ModelState, ModelStore
from lepton.serving.model_store import ServedModel
from lepton.serving.traffic.combine import combine
from lepton.serving.traffic.rules import CombinationRecord, Target


def make(models: ModelStore, *names: str, by: str | None = None) -> ServedModel:
    parts = [models.version(*name.split("@")) if "@" in name else models[name] for name in names]
    record = CombinationRecord(tuple(map(Target, names)), by)
    return combine("both", record, parts, Resources(cpus=1))


def test_a_target_feeds_the_next_part_and_all_else_comes_with_the_request(models: ModelStore) -> None:
    pipeline = make(models, "area", "cost")
    assert (pipeline.state, pipeline.version, pipeline.parameters) == (
        ModelState.READY,
        "1.1",
        {"parts": "area@1,cost@1"},
    )
    assert pipeline.described.inputs.names == ("width", "rooms")
    assert [tensor.to_dict() for tensor in pipeline.inputs] == [
        {"name": "numbers", "datatype": "FP64", "shape": [-1, 2]}
    ]
    answer = pipeline.predictor.predict([{"width": 1.5, "rooms": 4}, {"width": 2, "rooms": 0}])
    assert answer == [304.0, 400.0]


def test_labels_feed_a_category(models: ModelStore) -> None:
    pipeline = make(models, "sold", "fee")
    assert pipeline.described.inputs.names == ("rooms", "town", "garden")
    rows = [{"rooms": 3, "town": "Basel", "garden": True}, {"rooms": -3, "town": "京都", "garden": False}]
    assert pipeline.predictor.predict(rows) == [1003.0, -3.0]
    large = [rows[number % 2] for number in range(17_000)]  # more than one chunk
    assert pipeline.predictor.predict(large)[-2:] == [1003.0, -3.0]


def test_means_and_votes(models: ModelStore) -> None:
    mean = make(models, "a@1", "a@3", "b", by="mean")
    assert (mean.version, mean.predictor.predict([{"x0": 3}])) == ("1.3.1", [14.0])

    def sigmoid(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    rows = [{"x0": 0.0}, {"x0": 5.0}, {"x0": -5.0}]
    by_mean = make(models, "low", "high", by="mean").predictor.outputs(rows)
    yes = (sigmoid(-1.0) + sigmoid(2.0)) / 2
    np.testing.assert_allclose(by_mean["probabilities"][0], [1 - yes, yes], rtol=1e-12)
    assert by_mean["prediction"].tolist() == ["yes", "yes", "no"]
    by_vote = make(models, "low", "high", by="vote").predictor.outputs(rows)
    np.testing.assert_array_equal(by_vote["probabilities"], [[0.5, 0.5], [0.0, 1.0], [1.0, 0.0]])
    assert by_vote["prediction"].tolist() == ["yes", "yes", "no"]  # the tie goes to the higher mean probability


@pytest.mark.parametrize(
    ("names", "by", "said"),
    [
        (("area", "sold"), None, "'sold' takes none of the columns that the parts before it give"),
        (("a", "sold"), "mean", "the parts are for binary, regression"),
        (("a", "b"), "vote", "numbers cannot be voted on"),
        (("price", "sold"), "mean", "the parts are for binary, regression"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    models: ModelStore, names: tuple[str, ...], by: str | None, said: str
) -> None:
    made = make(models, *names, by=by)
    assert made.state is ModelState.FAILED
    assert said in made.reason


def test_parts_take_their_own_columns_of_the_request(models: ModelStore) -> None:
    made = make(models, "low", "sold", by="vote")
    assert made.described.inputs.names == ("x0", "rooms", "town", "garden")


def test_a_part_that_is_not_ready(models: ModelStore) -> None:
    gone = ServedModel("a", models["a"].source, "1", ModelState.UNLOADED, "it was unloaded")
    made = combine("both", CombinationRecord((Target("a"), Target("b")), "mean"), [gone, models["b"]], Resources())
    assert made.state is ModelState.FAILED
    assert "it was unloaded" in made.reason
