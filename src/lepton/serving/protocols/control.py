"""The model repository extension: which models there are, and loading and unloading them.

Source: the model repository extension of the Open Inference Protocol, as NVIDIA's Triton specifies it.
"""

from __future__ import annotations

from typing import Any

from lepton.core import ErrorCode, ServingError, printable
from lepton.serving.protocols.base import Request, Response, json_response
from lepton.serving.repository import Repository
from lepton.serving.strict_json import parse

__all__ = ["load_model", "show_index", "unload_model"]


def show_index(repository: Repository, request: Request) -> Response:
    """Every version of every model; those that are ready alone, if the body says `"ready": true`."""
    ready = _body(request).get("ready", False)
    if not isinstance(ready, bool):
        raise ServingError(ErrorCode.BAD_REQUEST, "the field ready is no boolean", wanted="true or false")
    return json_response([entry for entry in repository.index() if not ready or entry["state"] == "READY"])


def load_model(repository: Repository, request: Request, *, model: str) -> Response:
    """Open a model, or what is new of it; answers when it is ready.

    Raises:
        ServingError: no such model, or a request that brings a model or its settings along.
        LeptonError: why the model cannot be opened.
    """
    parameters = _body(request).get("parameters", {})
    if not isinstance(parameters, dict):
        raise ServingError(ErrorCode.BAD_REQUEST, "the parameters are no object", wanted="a JSON object")
    brought = [name for name in parameters if name == "config" or name.startswith("file:")]
    if brought:
        raise ServingError(
            ErrorCode.BAD_REQUEST,
            f"the request brings '{printable(brought[0], 80)}' along",
            wanted="models of the files and folders that the server was started with",
        )
    repository.load(model)
    return json_response({"name": model, "versions": _versions(repository, model)})


def unload_model(repository: Repository, request: Request, *, model: str) -> Response:
    """Let a model go until it is loaded again.

    Raises:
        ServingError: no such model.
    """
    _body(request)
    repository.unload(model)
    return json_response({"name": model, "versions": _versions(repository, model)})


def _versions(repository: Repository, name: str) -> list[dict[str, Any]]:
    return [entry for entry in repository.index() if entry["name"] == name]


def _body(request: Request) -> dict[str, Any]:
    if not request.body:
        return {}
    body = parse(request.body)
    if not isinstance(body, dict):
        raise ServingError(ErrorCode.BAD_REQUEST, "the body is no JSON object", wanted="{} or nothing")
    return body
