"""Open Inference Protocol v2 in JSON, and plain JSON rows: from a request to a response, without sockets.

Source: the Open Inference Protocol's REST specification (kserve/open-inference-protocol), version 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from numpy.typing import NDArray

from lepton.core import ErrorCode, SchemaError, ServingError, printable
from lepton.serving.model_store import VERSION, ModelState, ModelStore, ServedModel
from lepton.serving.protocols.base import Request, Response, json_response
from lepton.serving.protocols.rows import answer_rows
from lepton.serving.protocols.tensors import JsonTensor, read_tensor, write_tensor
from lepton.serving.strict_json import parse
from lepton.version import __version__

__all__ = ["ROUTES", "InferenceProtocol", "Route"]


@dataclass(frozen=True, slots=True)
class Route:
    """One address.

    Attributes:
        method: `GET` (which answers `HEAD` too) or `POST`.
        pattern: the path, with `{model}` and `{version}` for what varies.
        does: what it answers, in a sentence.
    """

    method: str
    pattern: str
    does: str


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
    Route("POST", "/v2/models/{model}/rows", "Answers to JSON rows"),
)
"""Every address of the server."""

_PLATFORM = "onnxruntime_onnx"
_MAX_ID = 256
_KEPT_ADDRESSES = 64


class InferenceProtocol:
    """Answers requests from the models of a store; `answer` is safe to call from several threads."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self.draining = False
        handlers: dict[str, Callable[..., Response]] = {
            "/": self._home,
            "/v2": self._server,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
            "/v2/models/{model}": self._model,
            "/v2/models/{model}/ready": self._model_ready,
            "/v2/models/{model}/infer": self._infer,
            "/v2/models/{model}/rows": self._rows,
        }
        self._routes: dict[int, list[tuple[Route, list[str], Callable[..., Response]]]] = {}
        for route in ROUTES:
            segments = route.pattern[1:].split("/")
            handler = handlers[route.pattern.replace("/versions/{version}", "")]
            self._routes.setdefault(len(segments), []).append((route, segments, handler))
        # Each request asks three times for its address, and most requests have one of a few.
        self._match = lru_cache(_KEPT_ADDRESSES)(self._find)

    def match(self, method: str, path: str) -> tuple[Callable[..., Response], Mapping[str, str]]:
        """The handler of a request's address and what its variable parts are.

        Raises:
            ServingError: no such address, or another method there.
        """
        return self._match(method, path)

    def _find(self, method: str, path: str) -> tuple[Callable[..., Response], Mapping[str, str]]:
        segments = path[1:].split("/")
        method = "GET" if method == "HEAD" else method
        allowed: list[str] = []
        for route, pattern, handler in self._routes.get(len(segments), ()):
            variables = _matched(pattern, segments)
            if variables is None:
                continue
            if route.method == method:
                return handler, variables
            allowed.append(route.method)
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
        _, variables = self.match(request.method, request.path)
        return self._served(variables) if request.method == "POST" else None

    def answer(self, request: Request) -> Response:
        """The response to a complete request.

        Raises:
            LeptonError: whatever is wrong with it.
        """
        handler, variables = self.match(request.method, request.path)
        return handler(request, **variables)

    def _served(self, variables: Mapping[str, str]) -> ServedModel:
        served = self._store[variables["model"]]
        version = variables.get("version", VERSION)
        if version != VERSION:
            raise ServingError(
                ErrorCode.UNKNOWN_MODEL,
                f"the model '{served.name}' has no version '{printable(version, 40)}'",
                wanted=f"version '{VERSION}'",
                details={"model": served.name},
            )
        return served

    def _home(self, _: Request) -> Response:
        models = [
            {"name": model.name, "state": str(model.state), "address": "/v2/models/" + quote(model.name, safe="")}
            for model in self._store
        ]
        routes = [{"method": r.method, "path": r.pattern, "does": r.does} for r in ROUTES]
        return json_response({"name": "lepton", "version": __version__, "models": models, "routes": routes})

    def _server(self, _: Request) -> Response:
        return json_response({"name": "lepton", "version": __version__, "extensions": []})

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
        return json_response(_metadata(self._served(variables)))

    def _model_ready(self, _: Request, **variables: str) -> Response:
        served = self._served(variables)
        return json_response({"name": served.name, "ready": True, "model_id": served.predictor.model_id})

    def _infer(self, request: Request, **variables: str) -> Response:
        served = self._served(variables)
        return json_response(infer(served, _object(_json(request))))

    def _rows(self, request: Request, **variables: str) -> Response:
        served = self._served(variables)
        return json_response(answer_rows(served.name, served.predictor, _json(request)))


def infer(served: ServedModel, body: Mapping[str, Any]) -> dict[str, Any]:
    """The response of `infer` to the JSON body of a request.

    The inputs are the graph's tensors (`numbers` FP64 [N, k], `strings` BYTES [N, m]), or one tensor per column, [N] or
    [N, 1].

    Raises:
        ServingError: a body that is not the protocol's.
        SchemaError: tensors that are not the model's.
    """
    predictor = served.predictor
    identifier = body.get("id")
    if identifier is not None and not (isinstance(identifier, str) and len(identifier) <= _MAX_ID):
        raise ServingError(ErrorCode.BAD_REQUEST, "the id is no text", wanted=f"a text of at most {_MAX_ID} characters")
    wanted = _requested_outputs(body, served)
    tensors = _inputs(body, served)
    if set(tensors) <= {tensor.name for tensor in served.inputs}:
        answers = predictor.run(_graph_tensors(tensors, served), wanted)
    else:
        answers = predictor.outputs(_columns(tensors, predictor.inputs.names))
        answers = {name: answers[name] for name in wanted}
    out: dict[str, Any] = {"model_name": served.name, "model_version": VERSION}
    if identifier is not None:
        out["id"] = identifier
    out["outputs"] = [write_tensor(name, answer) for name, answer in answers.items()]
    return out


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


def _json(request: Request) -> Any:
    if "inference-header-content-length" in request.headers:
        raise ServingError(
            ErrorCode.BAD_REQUEST,
            "the request holds binary tensors",
            wanted="JSON tensors",
            fix="binary_data=False in Triton's client, for inputs and for requested outputs",
        )
    return parse(request.body)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ServingError(ErrorCode.BAD_REQUEST, "the body is no JSON object", wanted='{"inputs": […]}')
    return value


def _metadata(served: ServedModel) -> dict[str, Any]:
    out: dict[str, Any] = {
        "name": served.name,
        "versions": [VERSION],
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


def _parameters(body: Mapping[str, Any], what: str, refused: Sequence[str]) -> None:
    parameters = body.get("parameters", {})
    if not isinstance(parameters, dict):
        raise ServingError(ErrorCode.BAD_REQUEST, f"the parameters of {what} are no object", wanted="a JSON object")
    for name in refused:
        if parameters.get(name):
            raise ServingError(
                ErrorCode.BAD_REQUEST,
                f"{what} asks for {name}",
                wanted="JSON answers",
                fix="binary_data=False in Triton's client, for inputs and for requested outputs",
            )


def _requested_outputs(body: Mapping[str, Any], served: ServedModel) -> list[str]:
    known = [tensor.name for tensor in served.outputs]
    _parameters(body, "the request", ("binary_data_output",))
    asked = body.get("outputs", [])
    if not isinstance(asked, list):
        raise ServingError(ErrorCode.BAD_REQUEST, "the outputs are no JSON array", wanted='[{"name": "prediction"}]')
    if not asked:
        return known
    names: list[str] = []
    for position, output in enumerate(asked):
        name = output.get("name") if isinstance(output, dict) else None
        if not isinstance(name, str) or name not in known or name in names:
            shown = f"'{printable(name, 80)}'" if isinstance(name, str) else "without a name"
            again = " asked for twice" if name in names else ""
            raise ServingError(
                ErrorCode.BAD_REQUEST, f"outputs[{position}] is {shown}{again}", wanted="some of " + ", ".join(known)
            )
        _parameters(output, f"the output '{name}'", ("binary_data", "classification"))
        names.append(name)
    return names


def _inputs(body: Mapping[str, Any], served: ServedModel) -> dict[str, JsonTensor]:
    raw = body.get("inputs")
    if not isinstance(raw, list) or not raw:
        raise ServingError(ErrorCode.BAD_REQUEST, "the request has no inputs", wanted='{"inputs": [{"name": …}]}')
    tensors: dict[str, JsonTensor] = {}
    for position, item in enumerate(raw):
        tensor = read_tensor(item, position)
        if tensor.name in tensors:
            raise ServingError(ErrorCode.BAD_REQUEST, f"the input '{printable(tensor.name)}' stands twice")
        if tensor.name not in served.input_names:
            raise SchemaError(
                ErrorCode.EXTRA_COLUMNS,
                f"the model '{served.name}' has no input '{printable(tensor.name)}'",
                wanted="its tensors or its columns: " + ", ".join(sorted(served.input_names)[:20]),
                fix=f"GET /v2/models/{served.name} lists them",
                details={"input": tensor.name[:128]},
            )
        tensors[tensor.name] = tensor
    rows = {tensor.name: tensor.shape[0] for tensor in tensors.values()}
    if len(set(rows.values())) > 1 or 0 in rows.values():
        shown = ", ".join(f"'{printable(name, 40)}' has {count}" for name, count in list(rows.items())[:5])
        raise SchemaError(ErrorCode.WRONG_SHAPE, f"rows: {shown}", wanted="as many in each input, and at least one")
    return tensors


def _graph_tensors(tensors: Mapping[str, JsonTensor], served: ServedModel) -> dict[str, NDArray[Any]]:
    out: dict[str, NDArray[Any]] = {}
    for record in served.inputs:
        tensor = tensors.get(record.name)
        if tensor is None:
            raise SchemaError(
                ErrorCode.MISSING_COLUMNS,
                f"the input '{record.name}' is missing",
                wanted=" and ".join(f"'{r.name}'" for r in served.inputs),
                details={"missing": [record.name]},
            )
        if tensor.datatype != record.datatype:
            raise SchemaError(
                ErrorCode.WRONG_KIND, f"the input '{record.name}' is {tensor.datatype}", wanted=record.datatype
            )
        if tensor.shape[1:] != record.shape[1:]:
            raise SchemaError(
                ErrorCode.WRONG_SHAPE,
                f"the input '{record.name}' has the shape {list(tensor.shape)}",
                wanted=f"{list(record.shape)}, where -1 is any number of rows",
            )
        out[record.name] = tensor.texts() if record.datatype == "BYTES" else tensor.numbers()
    return out


def _columns(tensors: Mapping[str, JsonTensor], names: Sequence[str]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for name, tensor in tensors.items():
        if name not in names:
            raise SchemaError(
                ErrorCode.EXTRA_COLUMNS,
                f"the input '{name}' is a tensor of the graph among columns",
                wanted="the graph's tensors alone, or one tensor per column",
            )
        if tensor.shape[1:] not in {(), (1,)}:
            raise SchemaError(
                ErrorCode.WRONG_SHAPE,
                f"the column '{printable(name)}' has the shape {list(tensor.shape)}",
                wanted="[N] or [N, 1]",
            )
        columns[name] = tensor.values
    return columns
