"""The OpenAPI document: valid, complete, and kept by a server that strangers ask at random."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lepton.serving import ModelStore, Server
from lepton.serving.openapi import describe_server
from lepton.serving.protocols import ROUTES
from tests.serving.wire import request


@pytest.fixture(scope="module")
def document(store: ModelStore) -> Any:
    return json.loads(json.dumps(describe_server(ROUTES, list(store))))


def test_the_document_is_valid(document: Any) -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator

    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_route_and_every_model_that_answers_is_in_it(document: Any) -> None:
    for route in ROUTES:
        path = route.pattern if route.control else route.pattern.replace("{model}", "sold")
        assert route.method.lower() in document["paths"][path], route
    assert "/v2/models/price/rows" in document["paths"]
    assert "/v2/models/damaged" in document["paths"]
    assert "/v2/models/damaged/rows" not in document["paths"]
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)


def test_rows_have_the_columns_of_the_model(document: Any) -> None:
    named = {key: schema for key, schema in document["components"]["schemas"].items() if key.startswith("Row_")}
    row = next(schema for schema in named.values() if "town" in schema["properties"])
    assert row["required"] == ["rooms", "town", "garden"]
    assert row["additionalProperties"] is False
    assert {name: schema["type"] for name, schema in row["properties"].items()} == {
        "rooms": ["number", "null"],
        "town": ["string", "null"],
        "garden": ["boolean", "null"],
    }
    rows = document["paths"]["/v2/models/sold/rows"]["post"]["requestBody"]["content"]
    assert {"application/json", "text/csv", "application/vnd.apache.parquet", "multipart/form-data"} <= rows.keys()


def test_errors_have_the_codes_of_the_catalogue(document: Any) -> None:
    responses = document["paths"]["/v2/models/sold/infer"]["post"]["responses"]
    assert {"200", "400", "401", "403", "404", "413", "415", "422", "503", "504"} <= responses.keys()
    unknown = document["components"]["responses"]["Error404"]["content"]["application/json"]["schema"]
    assert "unknown-model" in unknown["properties"]["code"]["enum"]


def test_names_that_addresses_do_not_hold(bundles: dict[str, Path]) -> None:
    store = ModelStore({"日本 語": bundles["sold"], "a_b": bundles["sold"], "a b": bundles["sold"]})
    store.open_all()
    document = describe_server(ROUTES, list(store))
    from openapi_spec_validator import OpenAPIV31SpecValidator

    assert "/v2/models/%E6%97%A5%E6%9C%AC%20%E8%AA%9E/rows" in document["paths"]
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_it_is_made_once_for_the_models_that_there_are(server: Server) -> None:
    address = (server.host, server.port)
    first = request(address, "GET", "/openapi.json")
    assert (first.status, first.headers["content-type"]) == (200, "application/json")
    describer = server._protocol._describer
    assert describer.openapi(server.models) is describer.openapi(server.models)
    assert describer.openapi([]) is not describer.openapi(server.models)
