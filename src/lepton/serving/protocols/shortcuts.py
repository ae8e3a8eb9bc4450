"""Answers to what comes again, in as few steps as there can be.

Where a head came before, and the body has a form that came before too, all that a request means is known but for its
numbers; and where its model is small, they are run here and now, in memory that is bound already. Whatever is not
surely that is left to the long way, which answers it, or says what is wrong with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lepton.serving.model_store import ModelStore, ServedModel
from lepton.serving.protocols.base import JSON, Request, Response
from lepton.serving.protocols.binary import HEADER
from lepton.serving.protocols.forms import Form, prepare_bytes, prepare_numbers
from lepton.serving.protocols.media import wanted_media
from lepton.serving.protocols.oip import InferenceProtocol
from lepton.serving.protocols.rows import RowForm

__all__ = ["Shortcut", "shortcut"]

Prepare = Callable[[ServedModel, bytes, int], "Form | RowForm | None"]


class Shortcut:
    """Answers requests with one head, if it can; for the thread of the loop alone.

    Args:
        store: the models.
        name: of the model that the head asks for.
        prepare: has the numbers of a body run next, if it can; takes the model, the data, and where the body starts.
        has_id: whether the head brings an id, under which truths of the answer may come.
    """

    __slots__ = ("_answering", "_has_id", "_name", "_prepare")

    def __init__(self, store: ModelStore, name: str, prepare: Prepare, *, has_id: bool) -> None:
        self._answering, self._name, self._prepare, self._has_id = store.answering, name, prepare, has_id

    def answer(self, request: Request, data: bytes, start: int) -> Response | None:
        """The response; None where the long way has to give it.

        Args:
            request: without its body.
            data: what came, of which no part is copied that need not be.
            start: of the body in it.
        """
        served = self._answering(self._name)
        if served is None or len(data) - start > served.at_once:
            return None
        watch = served.watch
        if watch and self._has_id and watch.keeps_rows:
            return None
        form = self._prepare(served, data, start)
        if form is None:
            return None
        prepared: Any = form.prepared
        started = time.perf_counter()
        try:
            prepared.run()
        except Exception:  # noqa: BLE001 - what is wrong with it is said on the long way
            return None
        served.runs.append((1, time.perf_counter() - started))
        request.answered, request.num_rows, request.size = served, 1, len(data) - start
        if watch:
            if self._has_id:
                watch.note(request.id, prepared.answers)
            if watch.draws():
                watch.sample(*prepared.copies())
        return form.respond_prepared(prepared.answers)


def shortcut(protocol: InferenceProtocol, request: Request) -> Shortcut | None:
    """What may answer requests with the head of one; None where only the long way does.

    Args:
        protocol: of the long way.
        request: that was read, and admitted.
    """
    store = protocol.only_store
    if store is None or request.match is None or request.method != "POST":
        return None
    route, _, variables = request.match
    pattern, name = route.pattern, variables.get("model", "")
    headers = request.headers
    has_id = "x-request-id" in headers
    if pattern == "/v2/models/{model}/rows":
        if headers.get("content-type", JSON) != JSON or wanted_media(headers) != JSON:
            return None
        return Shortcut(store, name, _prepare_row, has_id=has_id)
    if pattern != "/v2/models/{model}/infer":
        return None
    announced = headers.get(HEADER)
    if announced is None:
        return Shortcut(store, name, prepare_numbers, has_id=has_id)
    if not announced.isascii() or not announced.isdigit() or len(announced) > 18:
        return None
    length = int(announced)

    def prepare(served: ServedModel, data: bytes, start: int) -> Form | None:
        return prepare_bytes(served, data, start, start + length)

    return Shortcut(store, name, prepare, has_id=has_id)


def _prepare_row(served: ServedModel, data: bytes, start: int) -> RowForm | None:
    form: RowForm | None = served.row_form or None
    return form if form is not None and form.take(data[start:]) else None
