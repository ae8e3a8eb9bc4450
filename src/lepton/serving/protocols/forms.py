"""Requests that came before but for their numbers: what is the same in all of them is read and checked once.

A client sends the same text again and again with other numbers in it, or with other bytes behind it. The text around
the numbers is a form. One that was read in full, and found to be plain, says what the next of its kind means: only its
numbers are read then. Whatever is not surely that goes the long way, which tells what is wrong with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle.prepared import PreparedRun
from lepton.serving.datatypes import DATATYPES
from lepton.serving.model_store import ServedModel
from lepton.serving.protocols.base import Response
from lepton.serving.protocols.binary import as_bytes
from lepton.serving.protocols.call import Answers, Call
from lepton.serving.strict_json import are_small, dump, flat_list, numbers, parse

__all__ = [
    "Form",
    "Repeated",
    "RepeatedBytes",
    "learn_bytes",
    "learn_numbers",
    "prepare_bytes",
    "prepare_numbers",
    "recall_bytes",
    "recall_numbers",
]

_MOST, _LONGEST = 256, 4_096
_LARGE = 128 * 2**10  # what is larger is rarely sent twice in one shape, and learning takes as long as reading
_DOUBLES = DATATYPES["FP64"]
_DATA = b'"data":'


@dataclass(frozen=True, slots=True)
class Form:
    """What a request means, but for its numbers.

    Attributes:
        name: of the one tensor that is sent.
        dtype: of its numbers.
        shape: of it.
        count: of its numbers.
        outputs: names of the outputs that are wanted.
        respond: makes the response of the answers.
        timeout: as of `Call`.
        priority: as of `Call`.
        prepared: what runs the model for it, where it is one row of a small one; for the thread of the loop alone.
        respond_prepared: makes the response of the answers of that.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    count: int
    outputs: list[str]
    respond: Callable[[Answers], Response]
    timeout: float | None
    priority: int
    prepared: PreparedRun | None
    respond_prepared: Callable[[Answers], Response]

    @classmethod
    def of(cls, call: Call, respond: Callable[[Answers], Response]) -> Form | None:
        """The form of a request with one tensor of numbers that was read; None where it has others."""
        if len(call.tensors) != 1:
            return None
        ((name, tensor),) = call.tensors.items()
        if tensor.dtype.kind not in "fiu":
            return None
        shape = tensor.shape
        prepared = None
        if shape[0] == 1 and tensor.dtype == _DOUBLES:
            prepared = call.model.prepared_for(call.outputs)
        count = math.prod(shape)
        again = respond
        if prepared is not None and isinstance(respond, Repeated):
            again = respond.fixed(prepared.answers)
        own = (call.outputs, respond, call.timeout, call.priority, prepared, again)
        return cls(name, tensor.dtype, shape, count, *own)

    def call(self, served: ServedModel, values: NDArray[Any]) -> Call:
        """The call that these numbers make."""
        tensors = {self.name: values.reshape(self.shape)}
        return Call(served, tensors, self.outputs, self.respond, self.timeout, self.priority)


def recall_numbers(served: ServedModel, body: bytes) -> Call | None:
    """The call that a body in JSON asks for, if its form is known."""
    start, end = _place(body)
    form: Form | None = served.forms.get(body[:start] + body[end:])
    if form is None:
        return None
    values = numbers(body[start:end])
    return form.call(served, values) if values is not None and len(values) == form.count else None


def prepare_numbers(served: ServedModel, data: bytes, place: int) -> Form | None:
    """The form of a body in JSON, if it is known and prepared; its numbers are what is run next then.

    Args:
        served: the model.
        data: ends with the body.
        place: where the body starts.
    """
    start, end = _place(data, place)
    form: Form | None = served.forms.get(data[place:start] + data[end:])
    if form is None or form.prepared is None:
        return None
    values, prepared = flat_list(data, start - 1, end + 1), form.prepared
    if values is None or not prepared.take(values) or not are_small(values, prepared.values):
        return None
    return form


def learn_numbers(body: bytes, call: Call, respond: Callable[[Answers], Response]) -> None:
    """Remember the form of a body in JSON whose one tensor is of doubles, flat and without anything missing.

    Args:
        body: whose first array after `"data"` may be the tensor's.
        call: that it asks for.
        respond: makes the response to any request of the form.
    """
    start, end = _place(body)
    text = body[:start] + body[end:]
    form = Form.of(call, respond) if len(text) <= _LONGEST and len(body) <= _LARGE else None
    if form is None or form.dtype != _DOUBLES:
        return
    values = numbers(body[start:end])
    if values is None or len(values) != form.count:
        return
    # Without its numbers the text must be the same request with an empty tensor: then they stood there.
    emptied = parse(text)
    if emptied["inputs"][0]["data"] == []:
        _keep(call.model.forms, text, form)


def recall_bytes(served: ServedModel, text: bytes, body: bytes) -> Call | None:
    """The call that a body asks for whose numbers stand as bytes behind its text, if its form is known."""
    form: Form | None = served.byte_forms.get(text)
    if form is None or len(body) - len(text) != form.count * form.dtype.itemsize:
        return None
    values: NDArray[Any] = np.frombuffer(body, form.dtype, form.count, len(text))
    return form.call(served, values if values.flags.aligned else values.copy())


def prepare_bytes(served: ServedModel, data: bytes, start: int, end: int) -> Form | None:
    """The form of a body whose numbers stand as bytes, if it is known and prepared; they are what is run next then.

    Args:
        served: the model.
        data: ends with the body.
        start: of the body's text.
        end: of the body's text; behind it are the bytes.
    """
    form: Form | None = served.byte_forms.get(data[start:end])
    if form is None or form.prepared is None or len(data) - end != form.prepared.memory.nbytes:
        return None
    form.prepared.memory[:] = memoryview(data)[end:]
    return form


def learn_bytes(text: bytes, datatype: str, call: Call, respond: Callable[[Answers], Response]) -> None:
    """Remember the form of a request whose one tensor stands as bytes behind its text.

    Args:
        text: in JSON.
        datatype: of the tensor as it was sent.
        call: that it asks for.
        respond: makes the response to any request of the form.
    """
    form = Form.of(call, respond) if len(text) <= _LONGEST else None
    if form is not None and form.dtype == DATATYPES[datatype].newbyteorder("<"):
        _keep(call.model.byte_forms, text, form)


class Repeated:
    """Makes answers in JSON that differ in their numbers alone, as long as their shapes stay the same.

    Args:
        text: makes the text of an answer whose outputs have no data in them.
    """

    def __init__(self, text: Callable[[Answers], bytes]) -> None:
        self._text = text
        self._known: tuple[list[tuple[int, ...]], list[bytes]] = ([], [])

    def __call__(self, answers: Answers) -> Response:
        """The response."""
        found = [answer.shape for answer in answers.values()]
        shapes, texts = self._known
        if found != shapes:
            texts = self._texts(answers)
            self._known = found, texts
        parts = [texts[0]]
        for answer, text in zip(answers.values(), texts[1:], strict=True):
            parts += (dump(answer.ravel().tolist()), text)
        return Response(200, b"".join(parts))

    def fixed(self, like: Answers) -> Callable[[Answers], Response]:
        """What makes answers of the same names and shapes as these."""
        texts = self._texts(like)
        if len(texts) != 2:
            return self
        ((name, answer),) = like.items()
        before, behind = texts
        if answer.ndim == 1:
            return lambda answers: Response(200, b"%b%b%b" % (before, dump(answers[name].tolist()), behind))
        return lambda answers: Response(200, b"%b%b%b" % (before, dump(answers[name].ravel().tolist()), behind))

    def _texts(self, answers: Answers) -> list[bytes]:
        # No text in JSON holds a quotation mark, so nothing but data that is missing looks like this.
        texts = [piece + _DATA for piece in self._text(answers).split(_DATA + b"[]")]
        texts[-1] = texts[-1].removesuffix(_DATA)
        return texts


class RepeatedBytes:
    """Makes answers whose outputs all stand as bytes behind a text that is the same as long as their shapes are.

    Args:
        respond: makes an answer of these outputs in the long way.
    """

    def __init__(self, respond: Callable[[Answers], Response]) -> None:
        self._respond = respond
        self._known: tuple[list[tuple[int, ...]], Response, bytes] = ([], Response(200, b""), b"")

    def __call__(self, answers: Answers) -> Response:
        """The response."""
        found = [answer.shape for answer in answers.values()]
        parts = [as_bytes(answer) for answer in answers.values()]
        shapes, like, text = self._known
        if found != shapes:
            like = self._respond(answers)
            text = like.body[: len(like.body) - sum(map(len, parts))]
            self._known = found, like, text
        return Response(200, b"".join((text, *parts)), like.content_type, like.headers)


def _place(data: bytes, place: int = 0) -> tuple[int, int]:
    """Where, from a place on, the first array after `"data"` starts and ends, brackets left out."""
    start = data.find(b"[", data.find(b'"data"', place)) + 1
    return start, data.find(b"]", start)


def _keep(forms: dict[bytes, Any], text: bytes, form: Form) -> None:
    if len(forms) >= _MOST:
        forms.clear()
    forms[text] = form
