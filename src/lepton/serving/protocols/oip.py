"""Open Inference Protocol v2, and plain JSON rows: from a request to a response, without sockets.

Source: the Open Inference Protocol's REST specification (kserve/open-inference-protocol), version 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from lepton.core import ErrorCode, ServingError, printable
from lepton.serving.model_store import ModelState, ModelStore, ServedModel
from lepton.serving.protocols.base import Request, Response, json_response
from lepton.serving.protocols.call import Call
from lepton.serving.protocols.control import load_model, show_index, unload_model
from lepton.serving.protocols.infer import read_infer
from lepton.serving.protocols.protobuf import read_message
from lepton.serving.protocols.rows import read_rows
from lepton.serving.protocols.tables import TableReader
from lepton.serving.repository import Repository
from lepton.version import __version__

__all__ = ["ROUTES", "InferenceProtocol", "Route"]

Handler = Callable[..., Response | Call]


@dataclass(frozen=True, slots=True)
class Route:
    """One address.

    Attributes:
        method: `GET` (which answers `HEAD` too) or `POST`.
        pattern: the path, with `{model}` and `{version}` for what varies.
        does: what it answers, in a sentence.
        control: whether it changes what is served, or tells of it, and so needs a token whatever the address.
        tables: whether it takes tables and forms beside JSON.
    """

    method: str
    pattern: str
    does: str
    control: bool = False
    tables: bool = False


ROUTES = (
    Route("GET", "/", "What this server is and which models it has"),
    Route("GET", "/v2", "Server metadata"),
    Route("GET", "/v2/health/live", "Whether the server runs"),
    Route("GET", "/v2/health/ready", "Whether requests can be sent, and the state of each model"),
    Route("GET", "/v2/models/{model}", "What a model takes and gives; why it is not ready"),
    Route("GET", "/v2/models/{model}/versions/{version}", "The same, of one version"),
    Route("GET", "/v2/models/{model}/ready", "Whether a model answers"),
    Route("GET", "/v2/models/{model}/versions/{version}/ready", "The same, of one version"),
    Route("POST", "/v2/models/{model}/infer", "Answers to tensors"),
    Route("POST", "/v2/models/{model}/versions/{version}/infer", "The same, of one version"),
    Route("POST", "/v2/models/{model}/rows", "Answers to rows in JSON, CSV, Arrow or Parquet", tables=True),
    Route(
        "POST", "/v2/repository/index", "Every version of every model, its state and why it is not ready", control=True
    ),
    Route("POST", "/v2/repository/models/{model}/load", "Opens a model, or what is new of it", control=True),
    Route("POST", "/v2/repository/models/{model}/unload", "Lets a model go until it is loaded again", control=True),
)
"""Every address of the server."""

_PLATFORM = "onnxruntime_onnx"
_KEPT_ADDRESSES = 64


class Match(NamedTuple):
    """What an address leads to."""

    route: Route
    handler: Handler
    variables: Mapping[str, str]


class InferenceProtocol:
    """Answers requests from the models of a store; `answer` is safe to call from several threads.

    Args:
        store: the models.
        repository: what changes them, if callers may.
    """

    def __init__(self, store: ModelStore, repository: Repository | None = None) -> None:
        self._store = store
        self._repository = repository
        self.routes = tuple(route for route in ROUTES if repository is not None or not route.control)
        self._extensions = ["binary_tensor_data", "classification"] + ["model_repository"] * (repository is not None)
        self.draining = False
        self._tables = TableReader()
        handlers: dict[str, Handler] = {
            "/": self._home,
            "/v2": self._server,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
            "/v2/models/{model}": self._model,
            "/v2/models/{model}/ready": self._model_ready,
            "/v2/models/{model}/infer": self._infer,
            "/v2/models/{model}/rows": self._rows,
        }
        if repository is not None:
            handlers |= {
                "/v2/repository/index": partial(show_index, repository),
                "/v2/repository/models/{model}/load": partial(load_model, repository),
                "/v2/repository/models/{model}/unload": partial(unload_model, repository),
            }
        self._routes: dict[int, list[tuple[list[str], Match]]] = {}
        for route in self.routes:
            segments = route.pattern[1:].split("/")
            handler = handlers[route.pattern.replace("/versions/{version}", "")]
            self._routes.setdefault(len(segments), []).append((segments, Match(route, handler, {})))
        # Each request asks three times for its address, and most requests have one of a few.
        self._match = lru_cache(_KEPT_ADDRESSES)(self._find)

    def match(self, method: str, path: str) -> Match:
        """The route of a request's address, its handler and its variable parts.

        Raises:
            ServingError: no such address, or another method there.
        """
        return self._match(method, path)

    def _find(self, method: str, path: str) -> Match:
        segments = path[1:].split("/")
        method = "GET" if method == "HEAD" else method
        allowed: list[str] = []
        for pattern, match in self._routes.get(len(segments), ()):
            variables = _matched(pattern, segments)
            if variables is None:
                continue
            if match.route.method == method:
                return match._replace(variables=variables)
            allowed.append(match.route.method)
        if allowed:
            allowed = [*allowed, "HEAD"] if "GET" in allowed else allowed
            raise ServingError(
                ErrorCode.METHOD_NOT_ALLOWED,
                f"{method} is not a method of {printable(path)}",
                wanted=" or ".join(allowed),
                details={"allowed": allowed},
            )
        raise ServingError(
            ErrorCode.UNKNOWN_ROUTE, f"there is nothing at {printable(path)}", fix="GET / lists the models"
        )

    def model_of(self, request: Request) -> ServedModel | None:
        """The model that a request will run, or None; `ServingError` when there is no such address or model."""
        route, _, variables = self.match(request.method, request.path)
        return self._served(variables) if route.method == "POST" and not route.control else None

    def answer(self, request: Request) -> Response:
        """The response to a complete request; a model that it asks for is run here and now.

        Raises:
            LeptonError: whatever is wrong with it.
        """
        found = self.read(request)
        return found.run() if isinstance(found, Call) else found

    def read(self, request: Request) -> Response | Call:
        """The response to a complete request, or the call of a model that it asks for.

        Raises:
            LeptonError: whatever is wrong with it.
        """
        _, handler, variables = self.match(request.method, request.path)
        return handler(request, **variables)

    def close(self) -> None:
        """End what reads tables."""
        self._tables.close()

    def _served(self, variables: Mapping[str, str]) -> ServedModel:
        name, version = variables["model"], variables.get("version")
        return self._store[name] if version is None else self._store.version(name, version)

    def _home(self, _: Request) -> Response:
        models = [
            {"name": model.name, "state": str(model.state), "address": "/v2/models/" + quote(model.name, safe="")}
            for model in self._store
        ]
        routes = [{"method": r.method, "path": r.pattern, "does": r.does} for r in self.routes]
        return json_response({"name": "lepton", "version": __version__, "models": models, "routes": routes})

    def _server(self, _: Request) -> Response:
        return json_response({"name": "lepton", "version": __version__, "extensions": self._extensions})

    def _live(self, _: Request) -> Response:
        return json_response({"live": True})

    def _ready(self, _: Request) -> Response:
        states = self._store.states
        if self.draining or not self._store.ready:
            raise ServingError(
                ErrorCode.NOT_READY,
                "the server is stopping" if self.draining else "no model is ready yet",
                details={"models": states},
            )
        return json_response({"ready": True, "models": states})

    def _model(self, _: Request, **variables: str) -> Response:
        served = self._served(variables)
        return json_response(_metadata(served, self._store.versions(served.name)))

    def _model_ready(self, _: Request, **variables: str) -> Response:
        served = self._served(variables)
        model_id = served.predictor.model_id
        return json_response({"name": served.name, "version": served.version, "ready": True, "model_id": model_id})

    def _infer(self, request: Request, **variables: str) -> Call:
        read = read_infer if request.message is None else read_message
        return read(self._served(variables), request)

    def _rows(self, request: Request, **variables: str) -> Call:
        return read_rows(self._served(variables), request, self._tables)


def _matched(pattern: Sequence[str], segments: Sequence[str]) -> dict[str, str] | None:
    variables: dict[str, str] = {}
    for wanted, given in zip(pattern, segments, strict=True):
        if wanted[:1] == "{":
            variables[wanted[1:-1]] = _decoded(given)
        elif wanted != given:
            return None
    return variables


def _decoded(segment: str) -> str:
    if "%" not in segment:
        return segment
    return unquote_to_bytes(segment).decode("utf-8", "replace")


def _metadata(served: ServedModel, versions: Sequence[ServedModel]) -> dict[str, Any]:
    ready = [model.version for model in versions if model.state is ModelState.READY]
    out: dict[str, Any] = {
        "name": served.name,
        "version": served.version,
        "versions": ready or [model.version for model in versions],
        "unavailable": [
            {"version": model.version, "state": str(model.state), "reason": model.reason}
            for model in versions
            if ready and model.state is not ModelState.READY
        ],
        "platform": _PLATFORM,
        "inputs": [tensor.to_dict() for tensor in served.inputs],
        "outputs": [tensor.to_dict() for tensor in served.outputs],
        "state": str(served.state),
    }
    if served.state is not ModelState.READY:
        return {**out, "reason": served.reason}
    predictor = served.predictor
    return {
        **out,
        "task": predictor.task.name,
        "model_id": predictor.model_id,
        "labels": None if predictor.labels is None else list(predictor.labels),
        "columns": [column.to_dict() for column in predictor.manifest.inputs],
        "unseen": dict(predictor.unseen),
    }
