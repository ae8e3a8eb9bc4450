"""The Open Inference Protocol, without sockets: addresses, metadata, tensors, and the answers of the model itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.bundle import Predictor
from lepton.core import LeptonError, Resources
from lepton.serving import ModelStore
from lepton.serving.protocols import ROUTES, InferenceProtocol, Request
from tests.serving.models import TOWNS


@pytest.fixture(scope="module")
def protocol(store: ModelStore) -> InferenceProtocol:
    return InferenceProtocol(store)


def get(protocol: InferenceProtocol, path: str) -> Any:
    response = protocol.answer(Request("GET", path))
    assert response.status == 200
    return json.loads(response.body)


def post(protocol: InferenceProtocol, path: str, value: Any) -> Any:
    response = protocol.answer(Request("POST", path, body=json.dumps(value).encode()))
    assert response.status == 200
    return json.loads(response.body)


def refused(protocol: InferenceProtocol, value: Any, path: str = "/v2/models/sold/infer") -> LeptonError:
    with pytest.raises(LeptonError) as caught:
        protocol.answer(Request("POST", path, body=json.dumps(value).encode()))
    return caught.value


def tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


NUMBERS = tensor("numbers", "FP64", [2, 2], [1, 0, 3.5, None])
STRINGS = tensor("strings", "BYTES", [2, 1], ["Basel", None])
ROOMS = tensor("rooms", "FP64", [2], [1, 3.5])
TOWN = tensor("town", "BYTES", [2, 1], [["Basel"], [None]])
GARDEN = tensor("garden", "BOOL", [2], [False, None])


def test_every_route_has_a_heading_in_the_reference() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "http-api.md").read_text("utf-8")
    headings = re.findall(r"^### `(\S+) (\S+)`$", page, re.MULTILINE)
    assert headings == [(route.method, route.pattern) for route in ROUTES]


class TestAddresses:
    def test_server_metadata(self, protocol: InferenceProtocol) -> None:
        assert get(protocol, "/v2") | {"version": ""} == {
            "name": "lepton",
            "version": "",
            "extensions": ["binary_tensor_data", "classification"],
        }

    def test_the_front_page_lists_models_and_routes(self, protocol: InferenceProtocol) -> None:
        page = get(protocol, "/")
        assert {m["name"]: m["state"] for m in page["models"]} == {
            "price": "ready",
            "sold": "ready",
            "damaged": "failed",
        }
        assert [(r["method"], r["path"]) for r in page["routes"]] == [
            (r.method, r.pattern) for r in ROUTES if not r.control and not r.service
        ]

    def test_the_front_page_gives_addresses_that_can_be_asked(self, sold: Predictor) -> None:
        protocol = InferenceProtocol(ModelStore({"é ü": sold}, Resources()))
        (model,) = get(protocol, "/")["models"]
        assert model["address"] == "/v2/models/%C3%A9%20%C3%BC"
        assert get(protocol, model["address"])["name"] == model["name"] == "é ü"

    def test_health(self, protocol: InferenceProtocol) -> None:
        assert get(protocol, "/v2/health/live") == {"live": True}
        assert get(protocol, "/v2/health/ready")["models"]["damaged"] == "failed"

    @pytest.mark.parametrize("path", ["/v2/models/sold", "/v2/models/sold/versions/1", "/v2/models/%73old"])
    def test_model_metadata(self, protocol: InferenceProtocol, path: str) -> None:
        found = get(protocol, path)
        assert found["inputs"] == [
            {"name": "numbers", "datatype": "FP64", "shape": [-1, 2]},
            {"name": "strings", "datatype": "BYTES", "shape": [-1, 1]},
        ]
        assert found["outputs"] == [
            {"name": "prediction", "datatype": "BYTES", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2]},
        ]
        assert (found["name"], found["versions"], found["state"], found["task"]) == ("sold", ["1"], "ready", "binary")
        assert found["labels"] == ["no", "yes"]
        assert [column["name"] for column in found["columns"]] == ["rooms", "town", "garden"]

    def test_a_model_that_is_not_ready_says_why(self, protocol: InferenceProtocol) -> None:
        found = get(protocol, "/v2/models/damaged")
        assert found["state"] == "failed"
        for call in ("/v2/models/damaged/ready", "/v2/models/damaged/versions/1/ready"):
            with pytest.raises(LeptonError) as caught:
                protocol.answer(Request("GET", call))
            assert caught.value.http_status == 503
            assert caught.value.details["reason"] == found["reason"]
        assert refused(protocol, {"inputs": [ROOMS]}, "/v2/models/damaged/infer").http_status == 503

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/v2/", 404),
            ("GET", "//v2", 404),
            ("GET", "/V2", 404),
            ("GET", "/v2/models", 404),
            ("GET", "/v2/models/sold/", 404),
            ("GET", "/v2/models/sold.json", 404),
            ("GET", "/v2/models/Sold", 404),
            ("GET", "/v2/models/..%2fsold", 404),
            ("GET", "/v2/models/%ff", 404),
            ("GET", "/v2/models/", 404),
            ("GET", "/v2/health/..", 404),
            ("GET", "/v2/models/sold/infer", 405),
            ("POST", "/v2", 405),
            ("DELETE", "/v2/models/sold", 405),
            ("OPTIONS", "/v2/models/sold/rows", 405),
            ("TRACE", "/", 405),
            *(("GET", f"/v2/models/sold/versions/{v}", 404) for v in ("0", "2", "-1", "latest", "01", "1e3", "1%20")),
        ],
    )
    def test_there_is_nothing_else(self, protocol: InferenceProtocol, method: str, path: str, status: int) -> None:
        with pytest.raises(LeptonError) as caught:
            protocol.answer(Request(method, path))
        assert caught.value.http_status == status


class TestInfer:
    def test_the_graphs_tensors(self, protocol: InferenceProtocol, sold: Predictor) -> None:
        answer = post(protocol, "/v2/models/sold/versions/1/infer", {"id": "7", "inputs": [STRINGS, NUMBERS]})
        direct = sold.run(
            {"numbers": np.array([[1, 0], [3.5, np.nan]]), "strings": np.array([["Basel"], [""]], dtype=object)}
        )
        assert (answer["model_name"], answer["model_version"], answer["id"]) == ("sold", "1", "7")
        assert answer["outputs"] == [
            tensor("prediction", "BYTES", [2], direct["prediction"].tolist()),
            tensor("probabilities", "FP64", [2, 2], direct["probabilities"].ravel().tolist()),
        ]

    def test_columns_give_the_same(self, protocol: InferenceProtocol) -> None:
        wide = post(protocol, "/v2/models/sold/infer", {"inputs": [NUMBERS, STRINGS]})
        assert post(protocol, "/v2/models/sold/infer", {"inputs": [GARDEN, ROOMS, TOWN]}) == wide

    @pytest.mark.parametrize("datatype", ["FP16", "FP32", "INT8", "INT64", "UINT8", "UINT64"])
    def test_a_number_may_have_any_datatype_of_numbers(self, protocol: InferenceProtocol, datatype: str) -> None:
        rooms = tensor("rooms", datatype, [2, 1], [1, 3])
        assert post(protocol, "/v2/models/sold/infer", {"inputs": [GARDEN, rooms, TOWN]})["outputs"]

    def test_requested_outputs_come_in_the_order_asked_for(self, protocol: InferenceProtocol) -> None:
        outputs = [{"name": "probabilities", "parameters": {"binary_data": False}}, {"name": "prediction"}]
        for inputs in ([NUMBERS, STRINGS], [ROOMS, TOWN, GARDEN]):
            for count in (1, 2):
                body = {"inputs": inputs, "outputs": outputs[:count], "parameters": {"unknown": 1}}
                answer = post(protocol, "/v2/models/sold/infer", body)
                assert [o["name"] for o in answer["outputs"]] == ["probabilities", "prediction"][:count]

    @pytest.mark.parametrize(
        ("changes", "status", "says"),
        [
            ({"inputs": None}, 400, "no inputs"),
            ({"inputs": []}, 400, "no inputs"),
            ({"inputs": {}}, 400, "no inputs"),
            ({"inputs": [1]}, 400, r"inputs\[0\] is a number"),
            ({"inputs": [NUMBERS]}, 422, "'strings' is missing"),
            ({"inputs": [NUMBERS, NUMBERS, STRINGS]}, 400, "'numbers' stands twice"),
            ({"inputs": [NUMBERS, STRINGS, ROOMS]}, 422, "tensor of the graph among columns"),
            ({"inputs": [ROOMS, TOWN]}, 422, "'garden'"),
            ({"inputs": [tensor("room", "FP64", [1], [1])]}, 422, "no input 'room'"),
            (
                {"inputs": [NUMBERS, tensor("strings", "BYTES", [3, 1], ["a"] * 3)]},
                422,
                "'numbers' has 2, 'strings' has 3",
            ),
            ({"inputs": [ROOMS, TOWN, tensor("garden", "BOOL", [1], [True])]}, 422, "'garden' has 1"),
            ({"inputs": [tensor("numbers", "FP64", [0, 2], []), STRINGS]}, 422, "'numbers' has 0"),
            ({"inputs": [tensor("numbers", "FP64", [2, 3], [1] * 6), STRINGS]}, 422, r"shape \[2, 3\]"),
            ({"inputs": [tensor("numbers", "FP64", [2], [1, 2]), STRINGS]}, 422, r"shape \[2\]"),
            ({"inputs": [tensor("numbers", "FP32", [2, 2], [1] * 4), STRINGS]}, 422, "is FP32. Wanted: FP64"),
            ({"inputs": [tensor("numbers", "INT64", [2, 2], [1] * 4), STRINGS]}, 422, "is INT64. Wanted: FP64"),
            ({"inputs": [tensor("numbers", "BYTES", [2, 2], ["1"] * 4), STRINGS]}, 422, "is BYTES. Wanted: FP64"),
            ({"inputs": [tensor("numbers", "FP64", [2, 2], ["1"] * 4), STRINGS]}, 422, "value 0 of its data is a text"),
            ({"inputs": [ROOMS, TOWN, tensor("garden", "FP64", [2], [1, 0.5])]}, 422, "garden"),
            ({"inputs": [tensor("rooms", "BYTES", [2], ["a", "b"]), TOWN, GARDEN]}, 422, "rooms"),
            (
                {"inputs": [tensor("rooms", "FP64", [2, 2], [1] * 4), TOWN, GARDEN]},
                422,
                r"'rooms' has the shape \[2, 2\]",
            ),
            ({"outputs": {}}, 400, "outputs are no JSON array"),
            ({"outputs": ["prediction"]}, 400, "without a name"),
            ({"outputs": [{"name": "score"}]}, 400, "'score'"),
            ({"outputs": [{"name": "prediction"}] * 100_000}, 400, "asked for twice"),
            ({"outputs": [{"name": "prediction", "parameters": {"binary_data": 1}}]}, 400, "binary_data .* no boolean"),
            ({"outputs": [{"name": "prediction", "parameters": {"classification": 2}}]}, 400, "classification"),
            ({"outputs": [{"name": "prediction", "parameters": 1}]}, 400, "parameters of the output"),
            ({"parameters": {"binary_data_output": "yes"}}, 400, "binary_data_output .* no boolean"),
            ({"parameters": {"timeout": -1}}, 400, "timeout is -1"),
            ({"parameters": {"timeout": True}}, 400, "timeout is True"),
            ({"parameters": {"timeout": 2**60}}, 400, "timeout is"),
            ({"parameters": []}, 400, "parameters of the request"),
            ({"id": 7}, 400, "id is no text"),
            ({"id": "x" * 257}, 400, "id is no text"),
        ],
    )
    def test_what_is_wrong_is_named(
        self, protocol: InferenceProtocol, changes: dict[str, Any], status: int, says: str
    ) -> None:
        error = refused(protocol, {"inputs": [NUMBERS, STRINGS]} | changes)
        assert error.http_status == status
        assert re.search(says, str(error)), str(error)

    @pytest.mark.parametrize("body", [[], None, 1, "x"])
    def test_the_body_is_an_object(self, protocol: InferenceProtocol, body: object) -> None:
        assert "no JSON object" in str(refused(protocol, body))

    def test_many_inputs_are_refused_at_the_first_that_is_unknown(self, protocol: InferenceProtocol) -> None:
        inputs = [tensor(f"x{number}", "FP64", [1], [1]) for number in range(100_000)]
        assert "no input 'x0'" in str(refused(protocol, {"inputs": inputs}))


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "rooms": st.none() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False),
            "town": st.none() | st.sampled_from(list(TOWNS)) | TEXTS,
            "garden": st.none() | st.booleans(),
        }
    ),
    min_size=1,
    max_size=5,
)


@given(ROWS)
def test_rows_columns_tensors_and_the_model_give_the_same_answers(
    store: ModelStore, rows: list[dict[str, Any]]
) -> None:
    protocol = InferenceProtocol(store)
    predictor = store["sold"].predictor
    direct = predictor.outputs(rows)
    count = len(rows)
    columns = [
        tensor("rooms", "FP64", [count], [row["rooms"] for row in rows]),
        tensor("town", "BYTES", [count, 1], [row["town"] for row in rows]),
        tensor("garden", "BOOL", [count], [row["garden"] for row in rows]),
    ]
    packed = predictor.tensors(rows)
    numbers = [None if np.isnan(number) else number for number in packed["numbers"].ravel().tolist()]
    graph = [
        tensor("numbers", "FP64", [count, 2], numbers),
        tensor("strings", "BYTES", [count, 1], packed["strings"].ravel().tolist()),
    ]
    for inputs in (columns, graph):
        outputs = {o["name"]: o["data"] for o in post(protocol, "/v2/models/sold/infer", {"inputs": inputs})["outputs"]}
        assert outputs["prediction"] == direct["prediction"].tolist()
        assert outputs["probabilities"] == direct["probabilities"].ravel().tolist()
    answer = post(protocol, "/v2/models/sold/rows", rows)
    assert answer["predictions"] == direct["prediction"].tolist()
    assert [[row["no"], row["yes"]] for row in answer["probabilities"]] == direct["probabilities"].tolist()
