"""Open Inference Protocol v2, and plain JSON rows: from a request to a response, without sockets.

Source: the Open Inference Protocol's REST specification (kserve/open-inference-protocol), version 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, unquote_to_bytes

from lepton.core import ErrorCode, ServingError, printable
from lepton.serving.describe import SERVER, Describer, try_page
from lepton.serving.model_store import ModelState, ModelStore, ServedModel
from lepton.serving.protocols.base import Request, Response, json_response
from lepton.serving.protocols.call import Call
from lepton.serving.protocols.control import load_model, show_index, unload_model
from lepton.serving.protocols.infer import peek_timeout, read_infer
from lepton.serving.protocols.protobuf import read_message
from lepton.serving.protocols.routes import Route
from lepton.serving.protocols.rows import RowReader
from lepton.serving.repository import Repository
from lepton.serving.traffic import Traffic

__all__ = ["ROUTES", "InferenceProtocol", "Route"]

Handler = Callable[..., Response | Call]


ROUTES = (
    Route("GET", "/", "What this server is and which models it has"),
    Route("GET", "/openapi.json", "Every address and the rows of every model, as OpenAPI 3.1"),
    Route("GET", "/v2", "Server metadata"),
    Route("GET", "/v2/health/live", "Whether the server runs"),
    Route("GET", "/v2/health/ready", "Whether requests can be sent, and the state of each model"),
    Route("GET", "/v2/traffic", "Aliases, splits, pipelines and caches, and what each has done"),
    Route("GET", "/v2/models/{model}", "What a model takes and gives; why it is not ready"),
    Route("GET", "/v2/models/{model}/versions/{version}", "The same, of one version"),
    Route("GET", "/v2/models/{model}/try", "A page to try a model in a browser", open=True),
    Route("GET", "/v2/models/{model}/ready", "Whether a model answers"),
    Route("GET", "/v2/models/{model}/versions/{version}/ready", "The same, of one version"),
    Route("POST", "/v2/models/{model}/infer", "Answers to tensors"),
    Route("POST", "/v2/models/{model}/versions/{version}/infer", "The same, of one version"),
    Route("POST", "/v2/models/{model}/rows", "Answers to rows in JSON, CSV, Arrow or Parquet", tables=True),
    Route("GET", "/metrics", "What the server has counted, for Prometheus", service=True),
    Route("GET", "/v2/models/{model}/drift", "How far rows and answers are from those of training", service=True),
    Route("GET", "/v2/models/{model}/drift/page", "The same, as a page", service=True),
    Route("GET", "/v2/models/{model}/feedback", "How good the answers were whose truth is known", service=True),
    Route("GET", "/v2/models/{model}/feedback/{column}", "The same, by the values of a column", service=True),
    Route("POST", "/v2/models/{model}/feedback", "What became true of rows that were answered", service=True),
    Route("GET", "/v2/services", "The services and their states", service=True),
    Route("GET", "/v2/services/{service}", "What a service offers: its methods, what they take and give", service=True),
    Route("GET", "/v2/services/{service}/ready", "Whether a service is well", service=True),
    Route("POST", "/v2/services/{service}/{method}", "Calls a method", service=True),
    Route("GET", "/v2/tasks/{task}", "How far a task is, and its result", service=True),
    Route("DELETE", "/v2/tasks/{task}", "Cancels a task", service=True),
    Route(
        "POST", "/v2/repository/index", "Every version of every model, its state and why it is not ready", control=True
    ),
    Route("POST", "/v2/repository/models/{model}/load", "Opens a model, or what is new of it", control=True),
    Route("POST", "/v2/repository/models/{model}/unload", "Lets a model go until it is loaded again", control=True),
)
"""Every address of the server."""

_PLATFORM = "onnxruntime_onnx"
_KEPT_ADDRESSES = 64


class Beside(Protocol):
    """What answers beside the models: the handlers of its addresses, and the state of each by name."""

    handlers: Mapping[str, Callable[..., Any]]

    def states(self) -> dict[str, str]:
        """`loading`, `ready`, or another word."""

    def schemas(self) -> dict[str, dict[str, Any]]:
        """Methods of each, with what they take and give."""


class Observer(Protocol):
    """What watches the calls of models."""

    handlers: Mapping[str, Callable[..., Any]]

    def observe(self, call: Call, request: Request) -> None:
        """A call that was read; its `respond` may be replaced."""


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
        traffic: rules of which model answers to which name, if there are any.
        services: what runs beside the models, if anything does.
        watching: sees every call of a model, and answers the addresses that tell of it.
    """

    def __init__(
        self,
        store: ModelStore,
        repository: Repository | None = None,
        traffic: Traffic | None = None,
        services: Beside | None = None,
        watching: Observer | None = None,
    ) -> None:
        self._services = services
        self._watching = watching
        self._store = store
        self._traffic = traffic
        self._repository = repository
        self._extensions = ["binary_tensor_data", "classification"] + ["model_repository"] * (repository is not None)
        self.draining = False
        self.workers: Mapping[str, Any] = {}  # of several, what their supervisor says of all of them
        self._row_reader = RowReader()
        handlers: dict[str, Handler] = {
            "/": self._home,
            "/openapi.json": self._openapi,
            "/v2": self._server,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
            "/v2/traffic": self._show_traffic,
            "/v2/models/{model}": self._model,
            "/v2/models/{model}/try": try_page,
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
        if services is not None:
            handlers |= services.handlers
        if watching is not None:
            handlers |= watching.handlers
        self.routes = tuple(route for route in ROUTES if _shape(route.pattern) in handlers)
        self._describer = Describer(self.routes)
        self._routes: dict[int, list[tuple[list[str], Match]]] = {}
        for route in self.routes:
            segments = route.pattern[1:].split("/")
            handler = handlers[_shape(route.pattern)]
            self._routes.setdefault(len(segments), []).append((segments, Match(route, handler, {})))
        # Each request asks three times for its address, and most requests have one of a few.
        self._match = lru_cache(_KEPT_ADDRESSES)(self._find)

    def match(self, method: str, path: str) -> Match:
        """The route of a request's address, its handler and its variable parts.

        Raises:
            ServingError: no such address, or another method there.
        """
        return self._match(method, path)

    def match_of(self, request: Request) -> Match:
        """Where the address of a request leads, as `match`; looked up once a request."""
        match: Match | None = request.match
        return self._match(request.method, request.path) if match is None else match

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
        route, _, variables = self.match_of(request)
        runs = route.method == "POST" and not route.control and not route.service
        return self._served(request, variables) if runs else None

    @property
    def only_store(self) -> ModelStore | None:
        """The models, where no rules of traffic stand before them."""
        return self._store if self._traffic is None else None

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
        _, handler, variables = self.match_of(request)
        return handler(request, **variables)

    def timeout_of(self, request: Request) -> float | None:
        """Seconds that a request may wait for its model, read ahead of the rest.

        Raises:
            LeptonError: a body that does not say so in the way of the protocol.
        """
        if request.timeout is not None or not request.path.endswith("/infer") or request.message is not None:
            return request.timeout
        return peek_timeout(request)

    def close(self) -> None:
        """End what reads tables."""
        self._row_reader.close()

    def _served(self, request: Request, variables: Mapping[str, str]) -> ServedModel:
        """The model that answers a request."""
        name, version = variables["model"], variables.get("version")
        if self._traffic is not None:
            return self._traffic.served(name, version, request)
        return self._store[name] if version is None else self._store.version(name, version)

    def _shown(self, variables: Mapping[str, str]) -> ServedModel:
        """The model that is told of."""
        name, version = variables["model"], variables.get("version")
        if self._traffic is not None:
            return self._traffic.shown(name, version)
        return self._store[name] if version is None else self._store.version(name, version)

    def _prepared(self, call: Call, request: Request, variables: Mapping[str, str]) -> Response | Call:
        request.answered, request.num_rows = call.model, call.num_rows
        if self._watching is not None:
            self._watching.observe(call, request)
        return call if self._traffic is None else self._traffic.prepared(call, variables["model"], request)

    def _home(self, _: Request) -> Response:
        models = [
            {"name": model.name, "state": str(model.state), "address": "/v2/models/" + quote(model.name, safe="")}
            for model in (*self._store, *(() if self._traffic is None else self._traffic.combined))
        ]
        routes = [{"method": r.method, "path": r.pattern, "does": r.does} for r in self.routes]
        return json_response({**SERVER, "models": models, "routes": routes})

    def _server(self, _: Request) -> Response:
        return json_response({**SERVER, "extensions": self._extensions})

    def _openapi(self, _: Request) -> Response:
        services = None if self._services is None else self._services.schemas()
        return Response(200, self._describer.openapi(self._store, services))

    def _live(self, _: Request) -> Response:
        return json_response({"live": True})

    def _ready(self, _: Request) -> Response:
        states = self._store.states
        services = {} if self._services is None else self._services.states()
        told: dict[str, Any] = {"models": states, **({"services": services} if services else {})}
        ready = self._store.ready or ("loading" not in states.values() and "ready" in services.values())
        started = "loading" not in services.values() and (self._traffic is None or self._traffic.started)
        settled = self.workers.get("settled", True)
        if self.draining or not ready or not started or not settled:
            unsettled = "no model is ready yet" if settled else "the processes of the server are not alike yet"
            raise ServingError(
                ErrorCode.NOT_READY, "the server is stopping" if self.draining else unsettled, details=told
            )
        rolled_back = {} if self._traffic is None else self._traffic.rolled_back
        told |= {"rolled_back": rolled_back} if rolled_back else {}
        return json_response({"ready": True, **told})

    def _model(self, _: Request, **variables: str) -> Response:
        served = self._shown(variables)
        out = _metadata(served, self._store.versions(served.name) or [served])
        if self._traffic is not None and (told := self._traffic.report_of(variables["model"])):
            out["traffic"] = told
        if self.workers:
            out["workers"] = {name: told for name, told in self.workers.items() if name != "settled"}
        return json_response(out)

    def _show_traffic(self, _: Request) -> Response:
        return json_response({} if self._traffic is None else self._traffic.report())

    def _model_ready(self, _: Request, **variables: str) -> Response:
        served = self._shown(variables)
        model_id = served.described.model_id
        return json_response({"name": served.name, "version": served.version, "ready": True, "model_id": model_id})

    def _infer(self, request: Request, **variables: str) -> Response | Call:
        read = read_infer if request.message is None else read_message
        return self._prepared(read(self._served(request, variables), request), request, variables)

    def _rows(self, request: Request, **variables: str) -> Response | Call:
        call = self._row_reader.read(self._served(request, variables), request)
        return self._prepared(call, request, variables)


def _shape(pattern: str) -> str:
    """A pattern without the version, which handlers take as they take none."""
    return pattern.replace("/versions/{version}", "")


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
    predictor = served.described
    return {
        **out,
        "task": predictor.task.name,
        "model_id": predictor.model_id,
        "labels": None if predictor.labels is None else list(predictor.labels),
        "columns": [column.to_dict() for column in predictor.manifest.inputs],
        "unseen": dict(predictor.unseen),
    }
