"""gRPC beside HTTP: the calls of the Open Inference Protocol as requests of the one application, on the same loop.

A call becomes the request that it would be over HTTP, with the message in place of a body, so that models, queues,
batches, tokens and errors are the same; and what is answered becomes a message, or a status with the error's code.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote

from lepton.core import ErrorCode, LeptonError, MissingExtraError, ServingError, printable
from lepton.serving.http import Handler, Limits
from lepton.serving.protocols.base import Request, Response, error_response, internal_error, request_id
from lepton.serving.protocols.messages import SERVICE, message_class
from lepton.serving.pulse import Pulse
from lepton.serving.tls import Tls

__all__ = ["ERROR_CODE", "STATUSES", "GrpcService", "status_of"]

ERROR_CODE = "lepton-code"
"""The trailing metadata that holds the code of an error."""

STATUSES: Mapping[int, str] = MappingProxyType(
    {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        405: "UNIMPLEMENTED",
        408: "DEADLINE_EXCEEDED",
        409: "ABORTED",
        413: "RESOURCE_EXHAUSTED",
        415: "INVALID_ARGUMENT",
        422: "INVALID_ARGUMENT",
        429: "RESOURCE_EXHAUSTED",
        431: "RESOURCE_EXHAUSTED",
        499: "CANCELLED",
        500: "INTERNAL",
        501: "UNIMPLEMENTED",
        502: "UNAVAILABLE",
        503: "UNAVAILABLE",
        504: "DEADLINE_EXCEEDED",
        507: "RESOURCE_EXHAUSTED",
    }
)
"""The name of a status in gRPC for each status of HTTP in the catalogue."""

_logger = logging.getLogger("lepton.serving")
_MAX_NAME = 512
_MAX_SAID = 2000  # what peers take of a message is bounded, as their metadata are
_KEPT = 64
_MAX_STREAMS = 256
_PING_SECONDS = 30
_BYTES_A_SECOND = 2**20  # what came of a message cannot be seen before it is there


def status_of(http_status: int) -> str:
    """The name in gRPC of a status of HTTP; what is not in the table is an error of ours."""
    return STATUSES.get(http_status, "INTERNAL")


@dataclass(frozen=True, slots=True)
class _Call:
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


_CALLS: Mapping[str, _Call] = MappingProxyType(
    {
        "ServerLive": _Call(
            "ServerLiveRequest",
            "ServerLiveResponse",
            "GET",
            "/v2/health/live",
            lambda _: "/v2/health/live",
            fields=partial(_whether, "live"),
        ),
        "ServerReady": _Call(
            "ServerReadyRequest",
            "ServerReadyResponse",
            "GET",
            "/v2/health/ready",
            lambda _: "/v2/health/ready",
            fields=partial(_whether, "ready"),
        ),
        "ModelReady": _Call(
            "ModelReadyRequest",
            "ModelReadyResponse",
            "GET",
            "/v2/models/{model}/ready",
            lambda message: _model_path(message.name, message.version, "/ready"),
            fields=partial(_whether, "ready"),
        ),
        "ServerMetadata": _Call(
            "ServerMetadataRequest",
            "ServerMetadataResponse",
            "GET",
            "/v2",
            lambda _: "/v2",
            fields=partial(_taken, ("name", "version", "extensions")),
        ),
        "ModelMetadata": _Call(
            "ModelMetadataRequest",
            "ModelMetadataResponse",
            "GET",
            "/v2/models/{model}",
            lambda message: _model_path(message.name, message.version, ""),
            fields=partial(_taken, ("name", "versions", "platform", "inputs", "outputs")),
        ),
        "ModelInfer": _Call(
            "ModelInferRequest",
            "ModelInferResponse",
            "POST",
            "/v2/models/{model}/infer",
            lambda message: _model_path(message.model_name, message.model_version, "/infer"),
        ),
        "RepositoryIndex": _Call(
            "RepositoryIndexRequest",
            "RepositoryIndexResponse",
            "POST",
            "/v2/repository/index",
            lambda _: "/v2/repository/index",
            lambda message: {"ready": message.ready},
            _entries,
        ),
        "RepositoryModelLoad": _Call(
            "RepositoryModelLoadRequest",
            "RepositoryModelLoadResponse",
            "POST",
            "/v2/repository/models/{model}/load",
            _control("load"),
            _load_body,
            _nothing,
        ),
        "RepositoryModelUnload": _Call(
            "RepositoryModelUnloadRequest",
            "RepositoryModelUnloadResponse",
            "POST",
            "/v2/repository/models/{model}/unload",
            _control("unload"),
            fields=_nothing,
        ),
    }
)


class GrpcService:
    """The calls of one listening address.

    Args:
        handler: what answers requests, as of HTTP.
        limits: as of HTTP; what gRPC itself bounds is told to it.
        loop: on which it runs.
        pulse: of the loop, which HTTP beats too.
        shared: whether other processes listen on the same port, among which the kernel divides connections.

    Raises:
        MissingExtraError: grpcio or protobuf is not installed.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        pulse: Pulse,
        *,
        shared: bool = False,
    ) -> None:
        try:
            import grpc
            from google.protobuf.message import DecodeError
        except ImportError:
            raise MissingExtraError("grpcio", "grpc", "serving over gRPC") from None
        self._grpc = grpc
        self._undecodable = DecodeError
        self._handler = handler
        self._limits = limits
        self._loop = loop
        self._pulse = pulse
        self._held = 0
        self._message_time = limits.body_time + limits.max_body / _BYTES_A_SECOND
        handlers = {
            name: grpc.stream_unary_rpc_method_handler(partial(self._unary, call)) for name, call in _CALLS.items()
        }
        handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(self._stream)
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limits.max_body),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_metadata_size", limits.max_head),
                ("grpc.absolute_max_metadata_size", limits.max_head),
                ("grpc.max_concurrent_streams", _MAX_STREAMS),
                ("grpc.server_handshake_timeout_ms", int(limits.head_time * 1000)),
                ("grpc.max_connection_idle_ms", int(limits.idle_time * 1000)),
                ("grpc.keepalive_time_ms", _PING_SECONDS * 1000),
                ("grpc.keepalive_timeout_ms", int(limits.write_time * 1000)),
                ("grpc.so_reuseport", int(shared)),
            ],
            maximum_concurrent_rpcs=limits.max_connections,
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    async def start(self, address: str, tls: Tls | None = None) -> int:
        """Listen; returns the port.

        Args:
            address: `host:port`; the port 0 takes a free one.
            tls: certificate of the server; None speaks plainly.

        Raises:
            ServingError: ADDRESS_IN_USE, it cannot be bound.
        """
        try:
            if tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, tls.credentials(self._grpc))
        except RuntimeError:
            port = 0
        if not port:
            raise ServingError(
                ErrorCode.ADDRESS_IN_USE,
                f"the address {printable(address)} cannot be bound for gRPC",
                wanted="an address of this machine on which nothing listens",
                fix="stop what listens there, or choose another --grpc-port; port 0 takes a free one",
            )
        await self._server.start()
        return int(port)

    async def drain(self) -> None:
        """Take no more calls, finish those in flight, then close every connection."""
        await self._server.stop(self._limits.drain_time)

    async def _unary(self, call: _Call, _: object, context: Any) -> bytes:
        """Answer a call; its message is read here, since a peer may open calls and send none."""
        request = _head(call, context)
        try:
            self._handler.admit(request)
            async with asyncio.timeout(self._message_time):
                raw = await context.read()
            if not isinstance(raw, bytes):
                raise ServingError(ErrorCode.BAD_REQUEST, "the call has no message", wanted="one")
        except TimeoutError:
            late = ServingError(
                ErrorCode.REQUEST_TIMEOUT, "the call's message did not arrive in time", fix="send it faster"
            )
            response = self._refused(request, late)
        except LeptonError as error:
            response = self._refused(request, error)
        else:
            response = await self._answer(call, request, raw)
        answer = self._converted(call, response)
        trailing = (("x-request-id", request.id), *response.headers)
        if isinstance(answer, bytes):
            context.set_trailing_metadata(trailing)
            return answer
        await context.abort(
            getattr(self._grpc.StatusCode, status_of(response.status)),
            answer["error"][:_MAX_SAID],
            (*trailing, (ERROR_CODE, answer["code"])),
        )
        raise AssertionError  # abort has raised

    async def _stream(self, _: object, context: Any) -> AsyncIterator[bytes]:
        """Answer the messages of a stream one after the other; an error is said in the stream, which goes on."""
        wrapper = message_class("ModelStreamInferResponse")
        call = _CALLS["ModelInfer"]
        while isinstance(raw := await context.read(), bytes):
            request = _head(call, context)
            try:
                self._handler.admit(request)
            except LeptonError as error:
                response = self._refused(request, error)
            else:
                response = await self._answer(call, request, raw)
            answer = self._converted(call, response)
            out = wrapper()
            if isinstance(answer, bytes):
                out.infer_response.MergeFromString(answer)
            else:
                out.error_message = answer["error"][:_MAX_SAID]
            yield out.SerializeToString()

    def _refused(self, request: Request, error: LeptonError) -> Response:
        response = error_response(error)
        self._handler.finished(request, response, 0.0)
        return response

    async def _answer(self, call: _Call, request: Request, raw: bytes) -> Response:
        """The response to a message; never raises, but where the peer is gone."""
        started = time.monotonic()
        handler, limits, pulse = self._handler, self._limits, self._pulse
        pulse.beat()
        self._held += len(raw)
        try:
            if self._held > max(limits.max_held, limits.max_body):
                raise ServingError(ErrorCode.OVERLOADED, "the messages of all calls are too large", fix="try again")
            request.message = message = self._decoded(call, raw)
            request.path, request.match = call.path(message), None
            if call.body is not None:
                request.body = json.dumps(call.body(message)).encode()
            elif call is _CALLS["ModelInfer"]:
                request.body = raw  # by whose length it is judged
            refusal = handler.refuses(request) if pulse.late else None
            if refusal is not None:
                response = refusal
            else:
                response = handler.handle(request) if handler.runs_inline(request) else await self._begun(request)
        except LeptonError as error:
            response = error_response(error)
        except Exception:
            _logger.exception("call %s failed: %s", request.id, printable(request.path))
            response = error_response(internal_error())
        finally:
            self._held -= len(raw)
        pulse.ended = time.monotonic()
        handler.finished(request, response, pulse.ended - started)
        return response

    async def _begun(self, request: Request) -> Response:
        """The response to a request that does not run inline."""
        answered: asyncio.Future[Response] = self._loop.create_future()

        def done(response: Response) -> None:
            if not answered.done():
                answered.set_result(response)

        found = self._handler.begin(request, done)
        if isinstance(found, Response):
            return found
        try:
            return await answered
        except asyncio.CancelledError:
            found.cancel()
            raise

    def _decoded(self, call: _Call, raw: bytes) -> Any:
        try:
            return message_class(call.asks).FromString(raw)
        except self._undecodable:
            raise ServingError(
                ErrorCode.BAD_REQUEST, f"the message is no {call.asks}", wanted="one in protobuf, its texts in UTF-8"
            ) from None

    @staticmethod
    def _converted(call: _Call, response: Response) -> bytes | dict[str, Any]:
        """The message of an answer, or what is said of an error."""
        if call.fields is None:
            if response.status == 200:
                return response.body
            value = json.loads(response.body)
        else:
            value = json.loads(response.body)
            if response.status == 200 or (call.answers.endswith("ReadyResponse") and response.status == 503):
                out = message_class(call.answers)(**call.fields(response.status, value))
                return bytes(out.SerializeToString())
        return dict(value)


def _head(call: _Call, context: Any) -> Request:
    """A request of which nothing is there yet but what it came with; the rules of its route hold already."""
    # Metadata of bytes mean nothing to us.
    headers = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
    identifier = request_id(headers.get("x-request-id"))
    request = Request(call.method, call.route, headers, b"", identifier, _address(context.peer()), message=call.asks)
    request.timeout = context.time_remaining()
    return request


@lru_cache(_KEPT)
def _address(peer: str) -> str:
    """The address of a peer that gRPC calls `ipv4:127.0.0.1:1234` or `ipv6:%5B::1%5D:1234`."""
    kind, _, rest = peer.partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return "local"
    return unquote(rest.rpartition(":")[0]).strip("[]")


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
