"""What stands between a transport and a protocol: the guard, the choice of thread, the shape of errors, the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

from lepton.core import ErrorCode, LeptonError, ServingError
from lepton.serving.allowances import Allowance
from lepton.serving.dispatch import Dispatcher, answer_safely
from lepton.serving.guard import Guard, unsupported
from lepton.serving.http import Cancellable
from lepton.serving.protocols.base import Request, Response, error_response
from lepton.serving.protocols.media import is_form
from lepton.serving.protocols.oip import InferenceProtocol
from lepton.serving.protocols.shortcuts import Shortcut, shortcut
from lepton.serving.watching.hub import Watching
from lepton.serving.watching.logs import access_line
from lepton.serving.watching.tracing import Tracing

__all__ = ["Application"]

_access = logging.getLogger("lepton.serving.access")

_BEHIND = error_response(ServingError(ErrorCode.OVERLOADED, "more comes than the server can read", fix="try again"))


class Application:
    """One server's rules, for any transport.

    A transport calls `admit` when the head of a request is there; when the body is, `handle` if it `runs_inline`, else
    `begin`; and `finished` when the response is sent.
    """

    def __init__(
        self, protocol: InferenceProtocol, guard: Guard, dispatcher: Dispatcher, watching: Watching | None = None
    ) -> None:
        self.protocol = protocol
        self.tracing: Tracing | None = None
        self._watching = watching
        self._guard = guard
        self._dispatcher = dispatcher

    def admit(self, head: Request) -> None:
        """Raise `LeptonError` for a request that is refused whatever its body is."""
        try:
            match = head.match = self.protocol.match(head.method, head.path)
        except LeptonError:
            self._guard.check(head)  # first, who may call at all
            raise
        route = match.route
        self._guard.check(head, open=route.open)
        if route.control:
            self._guard.check_control(head)
        if not route.tables and is_form(head.headers):
            raise unsupported(head.headers["content-type"])
        self.admit_again(head)

    def admit_again(self, head: Request) -> None:
        """The same for one whose head is, byte for byte, one that was admitted: it counts all the same."""
        if head.allowance is not None and head.method == "POST":
            head.allowance.take()

    def runs_inline(self, request: Request) -> bool:
        """Whether the answer takes less time than a change of thread is worth.

        A body is judged by its length, before it is read: so many bytes hold so many rows at most.
        """
        try:
            served = self.protocol.model_of(request)
            if served is None:
                route = self.protocol.match_of(request).route
                return not (route.control or route.service)
        except LeptonError:
            return True
        if served.rests or not served.is_cheap or served.decodes or is_form(request.headers):
            return False
        return len(request.body) <= served.cheap_bytes

    def shortcut(self, request: Request) -> Shortcut | None:
        """What may answer requests with the same head at once, without `runs_inline` and `handle`; on the loop."""
        return shortcut(self.protocol, request)

    def handle(self, request: Request) -> Response:
        """The response to a complete request; never raises."""
        return answer_safely(request, self.protocol.answer, request)

    def refuses(self, request: Request) -> Response | None:
        """What is answered while the loop is late: that it is, where a model is wanted; all else is quick."""
        try:
            return None if self.protocol.model_of(request) is None else _BEHIND
        except LeptonError:
            return None

    def begin(self, request: Request, done: Callable[[Response], None]) -> Response | Cancellable:
        """Begin to answer a request that does not run inline; see `Dispatcher.begin`."""
        allowance = request.allowance
        if allowance is None or allowance.limit.concurrent is None:
            return self._begin(request, done)
        try:
            allowance.enter()
        except LeptonError as error:
            return error_response(error)
        under_way = _UnderWay(allowance, done)
        found = self._begin(request, under_way.answered)
        if isinstance(found, Response):
            allowance.leave()
            return found
        under_way.ticket = found
        return under_way

    def _begin(self, request: Request, done: Callable[[Response], None]) -> Response | Cancellable:
        route, handler, variables = self.protocol.match_of(request)
        if route.service:
            start = cast("Callable[..., Response | Cancellable]", handler)
            return answer_safely(request, start, request, done, **variables)
        return self._dispatcher.begin(request, done)

    def finished(self, request: Request, response: Response, seconds: float) -> None:
        """Count a request, and log one line about it; nothing of its body or its headers is in that."""
        watching = self._watching
        if watching is not None and request.answered is not None:
            kind = "rows" if request.path.endswith("/rows") else "infer"
            watching.metrics.record(request, response, seconds, request.answered, kind)
        elif watching is not None:
            try:
                route, _, variables = self.protocol.match_of(request)
            except LeptonError:
                watching.record(request, response, seconds, "", {})
            else:
                watching.record(request, response, seconds, route.pattern, variables)
        if self.tracing is not None:
            self.tracing.record(request, response, seconds, self._pattern)
        if _access.isEnabledFor(logging.INFO):
            _access.info(access_line(request, response, seconds))

    def _pattern(self, request: Request) -> str:
        try:
            return self.protocol.match_of(request).route.pattern
        except LeptonError:
            return ""


class _UnderWay:
    """A request that counts among those under way until it is answered or its caller is gone."""

    def __init__(self, allowance: Allowance, done: Callable[[Response], None]) -> None:
        self.ticket: Cancellable | None = None
        self._allowance: Allowance | None = allowance
        self._done = done

    def answered(self, response: Response) -> None:
        if response.stream is None:
            self._leave()
        else:
            response.stream.at_end(self._leave)
        self._done(response)

    def cancel(self) -> None:
        self._leave()
        if self.ticket is not None:
            self.ticket.cancel()

    def _leave(self) -> None:
        if self._allowance is not None:
            self._allowance.leave()
            self._allowance = None
