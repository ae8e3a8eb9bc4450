"""The classification extension: the highest values of each row as texts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from lepton.core import ErrorCode, ServingError
from lepton.serving import ModelStore
from lepton.serving.model_store import TensorRecord
from lepton.serving.protocols.base import Request
from lepton.serving.protocols.binary import HEADER
from lepton.serving.protocols.classification import classified, read_count
from lepton.serving.protocols.oip import InferenceProtocol


class TestClassified:
    def test_the_example_of_the_specification(self) -> None:
        values = np.array([[1, 5, 10, 4]])
        assert classified(values, 2).tolist() == [["10:2", "5:1"]]
        labels = ["pear", "pickle", "apple", "fig"]
        assert classified(values, 2, labels).tolist() == [["10:2:apple", "5:1:pickle"]]

    def test_equal_values_stand_in_their_order_and_nan_last(self) -> None:
        values = np.array([[0.5, np.nan, 0.5, np.inf, -np.inf]])
        assert classified(values, 9).tolist() == [["inf:3", "0.5:0", "0.5:2", "-inf:4", "nan:1"]]

    @pytest.mark.parametrize(
        ("values", "shown"),
        [
            (np.array([2.5, -1.0]), [["2.5:0"], ["-1.0:0"]]),
            (np.array([[True, False]]), [["True:0", "False:1"]]),
            (np.arange(8, dtype=np.uint64).reshape(1, 2, 4), [["7:7", "6:6"]]),
            (np.array([[2**63 - 1, 2**63 - 2]]), [[f"{2**63 - 1}:0", f"{2**63 - 2}:1"]]),
        ],
    )
    def test_values_of_any_shape_and_kind(self, values: Any, shown: list[list[str]]) -> None:
        assert classified(values, 2).tolist() == shown

    @given(
        hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=3, max_side=5), elements=st.floats(width=64)),
        st.integers(1, 30),
    )
    def test_is_what_sorting_gives(self, values: Any, count: int) -> None:
        found = classified(values, count)
        for row, texts in zip(values.reshape(len(values), -1), found, strict=True):
            ordered = sorted(range(len(row)), key=lambda i: (np.isnan(row[i]), -row[i] if row[i] == row[i] else 0, i))
            assert [int(text.split(":")[1]) for text in texts] == ordered[:count]
            np.testing.assert_array_equal([float(text.split(":")[0]) for text in texts], row[ordered[:count]])


@pytest.mark.parametrize("count", [-1, True, 1.0, "2", None])
def test_counts_that_are_none(count: object) -> None:
    with pytest.raises(ServingError, match="classification") as caught:
        read_count({"classification": count}, TensorRecord("probabilities", "FP64", (-1, 2)))
    assert caught.value.code is ErrorCode.BAD_REQUEST


BODY = {
    "inputs": [
        {"name": "rooms", "datatype": "FP64", "shape": [2], "data": [1.0, -9.0]},
        {"name": "town", "datatype": "BYTES", "shape": [2], "data": ["Basel", "Basel"]},
        {"name": "garden", "datatype": "BOOL", "shape": [2], "data": [True, False]},
    ]
}


class TestInAnswers:
    def ask(self, store: ModelStore, **output: Any) -> Any:
        body = {**BODY, "outputs": [{"name": "prediction"}, {"name": "probabilities", "parameters": output}]}
        return InferenceProtocol(store).answer(Request("POST", "/v2/models/sold/infer", body=json.dumps(body).encode()))

    def test_json(self, store: ModelStore) -> None:
        plain = json.loads(self.ask(store, classification=0).body)["outputs"][1]
        first, second = np.array(plain["data"]).reshape(2, 2).tolist()
        given, classes = json.loads(self.ask(store, classification=5).body)["outputs"]
        assert given["data"] == ["yes", "no"]
        assert classes == {
            "name": "probabilities",
            "datatype": "BYTES",
            "shape": [2, 2],
            "data": [f"{first[1]}:1:yes", f"{first[0]}:0:no", f"{second[0]}:0:no", f"{second[1]}:1:yes"],
        }

    def test_bytes(self, store: ModelStore) -> None:
        response = self.ask(store, classification=1, binary_data=True)
        data = response.body[int(dict(response.headers)[HEADER]) :]
        length = int.from_bytes(data[:4], "little")
        assert data[4 : 4 + length].endswith(b":1:yes")

    def test_texts_have_no_classes(self, store: ModelStore) -> None:
        body = {**BODY, "outputs": [{"name": "prediction", "parameters": {"classification": 1}}]}
        with pytest.raises(ServingError, match="which is texts"):
            InferenceProtocol(store).answer(Request("POST", "/v2/models/sold/infer", body=json.dumps(body).encode()))
