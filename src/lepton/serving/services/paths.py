"""Methods of services as paths of an OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from lepton.serving.protocols.base import JSON
from lepton.serving.services.streams import EVENTS, LINES

__all__ = ["method_paths"]

_TASK = {
    "type": "object",
    "required": ["id", "state"],
    "properties": {"id": {"type": "string"}, "state": {"type": "string"}},
}


def method_paths(services: Mapping[str, Mapping[str, Any]], errors: Mapping[str, Any]) -> dict[str, Any]:
    """Path to operation of every method.

    Args:
        services: what `Services.schemas` gives.
        errors: responses that every operation may have.
    """
    return {
        f"/v2/services/{quote(name, safe='')}/{method['name']}": {"post": _operation(name, method, errors)}
        for name, service in services.items()
        for method in service["methods"]
    }


def _operation(service: str, method: Mapping[str, Any], errors: Mapping[str, Any]) -> dict[str, Any]:
    result = {"type": "object", "required": ["result"], "properties": {"result": method["result"]}}
    status, answer = ("202", _TASK) if method["task"] else ("200", result)
    media = (LINES, EVENTS) if method["stream"] else (JSON,)
    return {
        "operationId": f"{service}_{method['name']}",
        "summary": method["doc"].partition("\n")[0],
        "description": method["doc"],
        "tags": [service],
        "requestBody": {
            "required": bool(method["parameters"]["required"]),
            "content": {JSON: {"schema": method["parameters"]}},
        },
        "responses": {
            **errors,
            status: {"description": "The answer", "content": {each: {"schema": answer} for each in media}},
        },
    }
