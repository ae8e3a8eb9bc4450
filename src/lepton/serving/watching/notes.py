"""Answers that wait for their truth, from the moment they are given until they are written together.

Many wait at once, so none is an object that Python's collector looks at: of lists or tuples there would be so many that
it would go through all that the process holds, again and again. Nor is one an array: those of onnxruntime stand in its
own memory, which grows with what is held of it.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from lepton.serving.strict_json import dump

__all__ = ["Noted", "Notes"]

Owner = TypeVar("Owner")
_ROW_KINDS = "biuf"


@dataclass(frozen=True, slots=True)
class Noted(Generic[Owner]):
    """Answers that look alike, each list in the order in which they were given.

    Attributes:
        owner: whose they are.
        requests: id of each request.
        at: when each was answered.
        counts: rows of each.
        predictions: of all rows, one behind the other.
        probabilities: of all rows, where they were given.
    """

    owner: Owner
    requests: Sequence[str]
    at: Sequence[float]
    counts: Sequence[int]
    predictions: Sequence[Any]
    probabilities: Sequence[Sequence[float]] | None


class Notes(Generic[Owner]):
    """A queue of answers that look alike: any thread adds, one takes.

    Args:
        owner: whose they are.
        predictions: some that look like all of them.
        probabilities: the same of these; None where none are given.
    """

    def __init__(self, owner: Owner, predictions: NDArray[Any], probabilities: NDArray[Any] | None) -> None:
        self.owner = owner
        self._dtype = predictions.dtype if predictions.dtype.kind in _ROW_KINDS else None
        self._shares = None if probabilities is None else (probabilities.dtype, probabilities.shape[1])
        self._fields = 3 if probabilities is None else 4
        self._queue: deque[Any] = deque()

    def add(self, request: str, at: float, predictions: NDArray[Any], probabilities: NDArray[Any] | None) -> None:
        """Note the answers to a request."""
        given = dump(predictions.tolist()) if self._dtype is None else predictions.tobytes()
        # In one step, whatever other threads do.
        if probabilities is None:
            self._queue.extend((request, at, given))
        else:
            self._queue.extend((request, at, given, probabilities.tobytes()))

    def take(self) -> Noted[Owner] | None:
        """All that was noted; None where nothing was."""
        fields, pop = self._fields, self._queue.popleft
        flat = [pop() for _ in range(len(self._queue) // fields * fields)]
        if not flat:
            return None
        given: list[bytes] = flat[2::fields]
        predictions, counts = self._read(given)
        probabilities = None
        if self._shares is not None:
            dtype, width = self._shares
            probabilities = np.frombuffer(b"".join(flat[3::fields]), dtype).reshape(-1, width).tolist()
        return Noted(self.owner, flat[::fields], flat[1::fields], counts, predictions, probabilities)

    def _read(self, given: list[bytes]) -> tuple[list[Any], list[int]]:
        """The predictions of all rows, and the rows of each request."""
        if self._dtype is None:
            lists = list(map(json.loads, given))
            return list(chain.from_iterable(lists)), list(map(len, lists))
        values = np.frombuffer(b"".join(given), self._dtype).tolist()
        if len(values) == len(given):  # each has one at least
            return values, [1] * len(given)
        return values, [len(each) // self._dtype.itemsize for each in given]
