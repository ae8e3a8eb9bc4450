"""The OpenAPI document: valid, complete, and kept by a server that strangers ask at random."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed as hypothesis_seed, settings
from hypothesis.errors import Unsatisfiable

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


QUICK = ("/", "/v2/models/sold/rows", "/v2/models/sold/infer")


def test_requests_made_from_the_document_are_answered_as_it_says(server: Server) -> None:
    statuses = explore(server, max_examples=4, paths=QUICK)
    assert statuses[200]
    assert statuses[400] + statuses[422] + statuses[415]


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_hundred_thousand_requests(server: Server) -> None:
    statuses: Counter[int] = Counter()
    seed = 0
    while statuses.total() < 100_000:
        seed += 1
        statuses += explore(server, max_examples=200, seed=seed)
    print(dict(statuses))


def explore(server: Server, *, max_examples: int, seed: int = 0, paths: Collection[str] = ()) -> Counter[int]:
    """Ask the operations of a server's document in ways that fit it and in ways that do not; statuses of the answers.

    Every answer must be of a status, a type and a form that the document has, and none may be an error of ours.
    """
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.core.result import Ok
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
    statuses: Counter[int] = Counter()
    description = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    found = (operation.ok() for operation in description.get_all_operations() if isinstance(operation, Ok))
    for operation in found:
        if paths and operation.path not in paths:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            def ask(case: Any) -> None:
                response = case.call(timeout=30)
                statuses[response.status_code] += 1
                case.validate_response(response, checks=checks)
                if response.status_code != 503:  # not ready, or too busy: planned
                    assert response.status_code < 500, response.text

            options: dict[str, Any] = {}
            if seed:  # of some operations hardly anything can be wrong, and the machine may be busy
                options = {"derandomize": False, "suppress_health_check": list(HealthCheck)}
            run = given(operation.as_strategy(generation_mode=mode))(ask)
            run = settings(max_examples=max_examples, phases=[Phase.generate], database=None, **options)(run)
            with contextlib.suppress(Unsatisfiable):  # there is nothing to get wrong
                (hypothesis_seed(seed)(run) if seed else run)()
    return statuses
