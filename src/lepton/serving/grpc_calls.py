"""The calls of the Open Inference Protocol over gRPC, each as the request that it would be over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from lepton.core import ErrorCode, ServingError

__all__ = ["CALLS", "STREAM", "GrpcCall"]

_MAX_NAME = 512
_KEPT = 64


@dataclass(frozen=True, slots=True)
class GrpcCall:
    """One call of the service: which request it is over HTTP.

    Attributes:
        asks: the message of the request.
        answers: the message of the answer.
        method: of HTTP.
        route: pattern of the address, whose rules hold before the message is there.
        path: of the request, from its message.
        body: of the request, from its message.
        fields: of the answer, from a response's status and its JSON.
    """

    asks: str
    answers: str
    method: str
    route: str
    path: Callable[[Any], str]
    body: Callable[[Any], Any] | None = None
    fields: Callable[[int, Any], Mapping[str, Any]] | None = None


def _taken(names: tuple[str, ...], _: int, value: Any) -> Mapping[str, Any]:
    return {name: value[name] for name in names}


def _whether(name: str, status: int, _: Any) -> Mapping[str, Any]:
    return {name: status == 200}


def _entries(_: int, value: Any) -> Mapping[str, Any]:
    return {"models": value}


def _nothing(_status: int, _value: Any) -> Mapping[str, Any]:
    return {}


def _load_body(message: Any) -> Any:
    chosen = {name: value.WhichOneof("parameter_choice") for name, value in message.parameters.items()}
    return {"parameters": {name: field or "" for name, field in chosen.items()}}  # their names alone are looked at


def _control(verb: str) -> Callable[[Any], str]:
    return lambda message: f"/v2/repository/models/{_quoted(message.model_name)}/{verb}"


CALLS: Mapping[str, GrpcCall] = MappingProxyType(
    {
        "ServerLive": GrpcCall(
            "ServerLiveRequest",
            "ServerLiveResponse",
            "GET",
            "/v2/health/live",
            lambda _: "/v2/health/live",
            fields=partial(_whether, "live"),
        ),
        "ServerReady": GrpcCall(
            "ServerReadyRequest",
            "ServerReadyResponse",
            "GET",
            "/v2/health/ready",
            lambda _: "/v2/health/ready",
            fields=partial(_whether, "ready"),
        ),
        "ModelReady": GrpcCall(
            "ModelReadyRequest",
            "ModelReadyResponse",
            "GET",
            "/v2/models/{model}/ready",
            lambda message: _model_path(message.name, message.version, "/ready"),
            fields=partial(_whether, "ready"),
        ),
        "ServerMetadata": GrpcCall(
            "ServerMetadataRequest",
            "ServerMetadataResponse",
            "GET",
            "/v2",
            lambda _: "/v2",
            fields=partial(_taken, ("name", "version", "extensions")),
        ),
        "ModelMetadata": GrpcCall(
            "ModelMetadataRequest",
            "ModelMetadataResponse",
            "GET",
            "/v2/models/{model}",
            lambda message: _model_path(message.name, message.version, ""),
            fields=partial(_taken, ("name", "versions", "platform", "inputs", "outputs")),
        ),
        "ModelInfer": GrpcCall(
            "ModelInferRequest",
            "ModelInferResponse",
            "POST",
            "/v2/models/{model}/infer",
            lambda message: _model_path(message.model_name, message.model_version, "/infer"),
        ),
        "ModelStreamInfer": GrpcCall(
            "ModelInferRequest",
            "ModelInferResponse",
            "POST",
            "/v2/models/{model}/infer",
            lambda message: _model_path(message.model_name, message.model_version, "/infer"),
        ),
        "RepositoryIndex": GrpcCall(
            "RepositoryIndexRequest",
            "RepositoryIndexResponse",
            "POST",
            "/v2/repository/index",
            lambda _: "/v2/repository/index",
            lambda message: {"ready": message.ready},
            _entries,
        ),
        "RepositoryModelLoad": GrpcCall(
            "RepositoryModelLoadRequest",
            "RepositoryModelLoadResponse",
            "POST",
            "/v2/repository/models/{model}/load",
            _control("load"),
            _load_body,
            _nothing,
        ),
        "RepositoryModelUnload": GrpcCall(
            "RepositoryModelUnloadRequest",
            "RepositoryModelUnloadResponse",
            "POST",
            "/v2/repository/models/{model}/unload",
            _control("unload"),
            fields=_nothing,
        ),
    }
)
"""The calls by their names."""

STREAM = CALLS["ModelStreamInfer"]
"""The one that has many messages."""


def _model_path(name: str, version: str, ending: str) -> str:
    if len(name) > _MAX_NAME or len(version) > _MAX_NAME:
        raise ServingError(ErrorCode.UNKNOWN_MODEL, f"there is no model with a name of {len(name)} characters")
    return _kept_path(name, version, ending)


@lru_cache(_KEPT)
def _kept_path(name: str, version: str, ending: str) -> str:
    middle = f"/versions/{_quoted(version)}" if version else ""
    return f"/v2/models/{_quoted(name)}{middle}{ending}"


def _quoted(name: str) -> str:
    return quote(name[:_MAX_NAME], safe="")
