"""Answers that wait for their truth, from the moment they are given until they are written together.

Many wait at once, so none is an object that Python's collector looks at: of lists or tuples there would be so many that
it would go through all that the process holds, again and again. Nor is one an array: those of onnxruntime stand in its
own memory, which grows with what is held of it.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from lepton.serving.strict_json import dump

__all__ = ["Layout", "Noted", "Notes"]

Owner = TypeVar("Owner")
_FIELDS = 5
_ROW_KINDS = "biuf"


@dataclass(frozen=True, slots=True, eq=False)
class Layout(Generic[Owner]):
    """What the answers of one kind look like; one object for all of them.

    Attributes:
        owner: whose they are.
        dtype: of the predictions; None where they are texts.
        width: probabilities of a row; 0 where none are given.
        shares: dtype of these.
    """

    owner: Owner
    dtype: np.dtype[Any] | None
    width: int
    shares: np.dtype[Any]

    @classmethod
    def of(cls, owner: Owner, predictions: NDArray[Any], probabilities: NDArray[Any] | None) -> Layout[Owner]:
        """The layout of answers like these."""
        dtype = predictions.dtype if predictions.dtype.kind in _ROW_KINDS else None
        if probabilities is None:
            return cls(owner, dtype, 0, np.dtype(np.float64))
        return cls(owner, dtype, probabilities.shape[1], probabilities.dtype)


@dataclass(frozen=True, slots=True)
class Noted(Generic[Owner]):
    """Answers of one layout, each list in the order in which they were given.

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
    """A queue of answers: any thread adds, one takes."""

    def __init__(self) -> None:
        self._queue: deque[Any] = deque()

    def add(
        self,
        layout: Layout[Owner],
        request: str,
        at: float,
        predictions: NDArray[Any],
        probabilities: NDArray[Any] | None,
    ) -> None:
        """Note the answers to a request, which look as `layout` says."""
        given = predictions.tobytes() if layout.dtype is not None else dump(predictions.tolist())
        shares = b"" if probabilities is None else probabilities.tobytes()
        self._queue.extend((layout, request, at, given, shares))  # in one step, whatever other threads do

    def take(self) -> Iterator[Noted[Owner]]:
        """All that was noted, what looks alike together."""
        take = self._queue.popleft
        flat = [take() for _ in range(len(self._queue) // _FIELDS * _FIELDS)]
        layouts: list[Layout[Owner]] = flat[::_FIELDS]
        kinds = dict.fromkeys(layouts)
        for layout in kinds:
            parts = [flat[part::_FIELDS] for part in range(1, _FIELDS)]
            if len(kinds) > 1:
                own = [each is layout for each in layouts]
                parts = [list(compress(part, own)) for part in parts]
            yield _noted(layout, *parts)


def _noted(
    layout: Layout[Owner], requests: list[str], at: list[float], given: list[bytes], shares: list[bytes]
) -> Noted[Owner]:
    if layout.dtype is None:
        lists = list(map(json.loads, given))
        predictions, counts = list(chain.from_iterable(lists)), list(map(len, lists))
    else:
        predictions = np.frombuffer(b"".join(given), layout.dtype).tolist()
        counts = [len(each) // layout.dtype.itemsize for each in given]
    probabilities = None
    if layout.width:
        probabilities = np.frombuffer(b"".join(shares), layout.shares).reshape(-1, layout.width).tolist()
    return Noted(layout.owner, requests, at, counts, predictions, probabilities)
