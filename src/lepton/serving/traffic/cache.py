"""Answers that are kept for a while, for models that are asked the same again and again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.serving.protocols.call import Answers, Call
from lepton.serving.traffic.rules import CacheRecord

__all__ = ["Cache"]


class Cache:
    """Answers of one name, least recently asked for first.

    A key is the identity of the model that answers, its name and version, the outputs that are wanted and the bytes of
    the packed tensors: what is kept of one version is never an answer of another.

    Args:
        record: how many rows are kept, and for how long.
        clock: seconds.
    """

    def __init__(self, record: CacheRecord, clock: Callable[[], float] = time.monotonic) -> None:
        self.record = record
        self._clock = clock
        self._lock = threading.Lock()  # guards all that follows
        self._kept: OrderedDict[bytes, tuple[float, int, Answers]] = OrderedDict()
        self._rows = self._hits = self._misses = 0

    def key(self, call: Call) -> bytes:
        """What a call's answers are kept under."""
        model = call.model
        found = blake2b(digest_size=32)
        for text in (model.described.model_id, model.name, model.version, *call.outputs):
            found.update(text.encode() + b"\0")
        for name, tensor in call.tensors.items():
            found.update(f"\1{name} {tensor.dtype.str} {tensor.shape}\0".encode())
            if tensor.dtype.hasobject:
                for text in tensor.ravel().tolist():
                    data = text.encode("utf-8", "surrogatepass")
                    found.update(len(data).to_bytes(8, "little") + data)
            else:
                found.update(np.ascontiguousarray(tensor).data)
        return found.digest()

    def get(self, key: bytes) -> Answers | None:
        """The answers that are kept, if they are not too old."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None and self._clock() >= found[0]:
                self._forget(key)
                found = None
            if found is None:
                self._misses += 1
                return None
            self._hits += 1
            self._kept.move_to_end(key)
            return found[2]

    def put(self, key: bytes, answers: Answers) -> None:
        """Keep answers; older ones go where there is no room."""
        own = _copies(answers)  # of a batch they are views, and would keep all of it
        num_rows = len(next(iter(own.values())))
        if num_rows > self.record.rows:
            return
        with self._lock:
            if key in self._kept:
                self._forget(key)
            while self._rows + num_rows > self.record.rows:
                self._forget(next(iter(self._kept)))
            self._kept[key] = (self._clock() + self.record.seconds, num_rows, own)
            self._rows += num_rows

    def report(self) -> dict[str, Any]:
        """What was found and what was not, in requests, and the rows that are kept."""
        with self._lock:
            return {"hits": self._hits, "misses": self._misses, "rows": self._rows, "max_rows": self.record.rows}

    def _forget(self, key: bytes) -> None:
        self._rows -= self._kept.pop(key)[1]


def _copies(answers: Answers) -> Mapping[str, NDArray[Any]]:
    return {name: array.copy() for name, array in answers.items()}
