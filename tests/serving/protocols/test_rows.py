"""Plain JSON rows: what is taken, and what is said of what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lepton.bundle import Manifest, OutputRecord, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.core import ColumnRecord, Kind, LeptonError
from lepton.serving import ModelStore
from lepton.serving.protocols.base import Request
from lepton.serving.protocols.rows import RowReader

ROW = {"rooms": 1, "town": "Basel", "garden": True}


def answer(store: ModelStore, body: Any, model: str = "sold") -> dict[str, Any]:
    response = RowReader().read(store[model], Request("POST", "/", body=json.dumps(body).encode())).run()
    return dict(json.loads(response.body))


def test_one_object_is_one_row(store: ModelStore) -> None:
    one = answer(store, ROW)
    assert one == answer(store, [ROW]) == answer(store, {"rows": [ROW]})
    assert (one["model_name"], one["predictions"]) == ("sold", ["yes"])
    assert list(one["probabilities"][0]) == ["no", "yes"]
    assert sum(one["probabilities"][0].values()) == pytest.approx(1.0)


def test_regression_has_no_probabilities(store: ModelStore) -> None:
    row = {"rooms": 3, "straße": None, "sold": "1970-01-01T01:00:00"}
    assert answer(store, row, "price") == {"model_name": "price", "model_version": "1", "predictions": [6.0]}


def test_a_row_does_not_depend_on_its_neighbours(store: ModelStore) -> None:
    rows = [ROW, {"rooms": None, "town": None, "garden": None}, {"rooms": 2.5, "town": "京都", "garden": 0}]
    together = answer(store, rows)
    assert together["predictions"] == [answer(store, row)["predictions"][0] for row in rows]
    assert together["probabilities"] == [answer(store, row)["probabilities"][0] for row in rows]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ([], 400, "no rows"),
        ({"rows": []}, 400, "no rows"),
        (None, 400, "no rows"),
        ("x", 400, "no rows"),
        (1, 400, "no rows"),
        ([1], 400, "row 0 is no object"),
        ([ROW, None], 400, "row 1 is no object"),
        ([[1, "Basel", True]], 400, "row 0 is no object"),
        ({}, 422, "missing columns"),
        ({"rows": 1}, 422, "missing columns"),
        ({"rows": [ROW], "more": 1}, 422, "is an array"),
        ({"rooms": 1, "town": "Basel"}, 422, "'garden'"),
        ([ROW, {"rooms": 1, "garden": True}], 422, "'town'"),
        (ROW | {"__proto__": 1}, 422, "'__proto__'"),
        (ROW | {"": 1}, 422, "does not know"),
        (ROW | {"rooms": [1]}, 422, "column 'rooms' of row 0 is an array"),
        (ROW | {"rooms": {}}, 422, "column 'rooms' of row 0 is an object"),
        (ROW | {"rooms": "many"}, 422, "'rooms'.*'many'"),
        (ROW | {"garden": "perhaps"}, 422, "'garden'.*'perhaps'"),
        (ROW | {"garden": 2}, 422, "'garden'"),
        ({str(number): number for number in range(100_000)}, 422, "100000 columns"),
    ],
)
def test_what_is_wrong_is_named(store: ModelStore, body: Any, status: int, says: str) -> None:
    with pytest.raises(LeptonError, match=says) as caught:
        answer(store, body)
    assert caught.value.http_status == status


@pytest.mark.parametrize("date", ["0000-01-01", "10000-01-01", "2024-02-30", "2024-01-01T24:61:00", "tomorrow", True])
def test_dates_that_are_none(store: ModelStore, date: object) -> None:
    with pytest.raises(LeptonError, match="sold") as caught:
        answer(store, {"rooms": 1, "straße": "a", "sold": date}, "price")
    assert caught.value.http_status == 422


def test_categories_that_training_never_saw_are_answered_and_counted(bundles: dict[str, Path]) -> None:
    store = ModelStore({"sold": bundles["sold"]})
    store.open_all()
    rows = [ROW | {"town": town} for town in ("Basel", "Atlantis", "Atlantis", None)]
    assert len(answer(store, rows)["predictions"]) == 4
    assert store["sold"].predictor.unseen == {"town": 2}


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """A model with an embedding."""
    columns = (ColumnRecord("a", Kind.NUMBER), ColumnRecord("b", Kind.NUMBER))
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 2])
    total = builder.node("ReduceSum", [numbers, builder.constant(np.array([1]))], keepdims=0)
    outputs = (OutputRecord("prediction", "double", ("N",)), OutputRecord("embedding", "double", ("N", 2)))
    builder.output("prediction", total, "double", ["N"])
    builder.output("embedding", builder.node("Mul", [numbers, builder.constant(2.0)]), "double", ["N", 2])
    manifest = Manifest(name="near", task="regression", inputs=columns, outputs=outputs)
    path = tmp_path_factory.mktemp("near") / "near.lepton"
    metadata = {INPUTS_KEY: json.dumps(describe_inputs(columns))}
    write_bundle(path, manifest=manifest, graph=builder.finish(metadata))
    store = ModelStore({"near": path})
    store.open_all()
    return store


class TestOutputs:
    def test_an_embedding_is_given_where_it_is_asked_for(self, near: ModelStore) -> None:
        rows = [{"a": 1, "b": 2}]
        said = {"model_name": "near", "model_version": "1"}
        assert answer(near, rows, "near") == {**said, "predictions": [3.0]}
        assert answer(near, {"rows": rows, "outputs": ["embedding"]}, "near") == {**said, "embedding": [[2.0, 4.0]]}
        both = answer(near, {"rows": rows, "outputs": ["embedding", "prediction"]}, "near")
        assert both == {**said, "predictions": [3.0], "embedding": [[2.0, 4.0]]}

    def test_in_a_table_it_has_a_column_for_each_number(self, near: ModelStore) -> None:
        body = json.dumps({"rows": [{"a": 1, "b": 2}], "outputs": ["prediction", "embedding"]}).encode()
        asked = Request("POST", "/", {"accept": "text/csv"}, body)
        assert RowReader().read(near["near"], asked).run().body.decode().split() == [
            "prediction,embedding_0,embedding_1",
            "3.0,2.0,4.0",
        ]

    @pytest.mark.parametrize("outputs", [[], ["lower"], "prediction", [["prediction"]], [{}], None, [1]])
    def test_what_the_model_does_not_give_is_refused(self, near: ModelStore, outputs: Any) -> None:
        with pytest.raises(LeptonError, match="some of prediction, embedding") as caught:
            answer(near, {"rows": [{"a": 1, "b": 2}], "outputs": outputs}, "near")
        assert caught.value.http_status == 400
