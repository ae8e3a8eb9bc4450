"""Answers that are kept, and for whom."""

from __future__ import annotations

from typing import Any

import numpy as np

from lepton.serving import ModelStore
from lepton.serving.model_store import ServedModel
from lepton.serving.protocols.base import Response
from lepton.serving.protocols.call import Call
from lepton.serving.traffic.cache import Cache
from lepton.serving.traffic.rules import CacheRecord


def call(model: ServedModel, values: Any, outputs: tuple[str, ...] = ("prediction",), name: str = "numbers") -> Call:
    return Call(model, {name: np.array(values)}, list(outputs), lambda _: Response(200, b""))


def test_a_key_tells_versions_outputs_tensors_and_values_apart(models: ModelStore) -> None:
    cache = Cache(CacheRecord(10, 60.0))
    first, third = models.version("a", "1"), models.version("a", "3")
    calls = [
        call(first, [[1.0]]),
        call(third, [[1.0]]),
        call(first, [[2.0]]),
        call(first, [[-0.0]]),
        call(first, [[0.0]]),
        call(first, [[1.0], [2.0]]),
        call(first, [[1.0, 2.0]]),
        call(first, [[1]]),
        call(first, [[1.0]], ()),
        call(first, [[1.0]], name="series"),
        call(first, np.array([["ab", "c"]], dtype=object)),
        call(first, np.array([["a", "bc"]], dtype=object)),
        call(first, np.array([["a"], ["bc"]], dtype=object)),
    ]
    assert len({cache.key(each) for each in calls}) == len(calls)
    assert cache.key(calls[0]) == cache.key(call(first, [[1.0]]))
    assert cache.key(call(first, np.array([[1.0, 9.0]])[:, :1])) == cache.key(calls[0])


def test_what_is_kept_is_bounded_in_rows_and_time() -> None:
    now = [0.0]
    cache = Cache(CacheRecord(3, 60.0), lambda: now[0])
    answers = {"prediction": np.arange(5.0)}
    cache.put(b"one", {"prediction": answers["prediction"][:1]})
    cache.put(b"two", {"prediction": answers["prediction"][:2]})
    answers["prediction"][:] = -1.0  # a batch goes on to others
    kept = cache.get(b"one")
    assert kept is not None
    assert kept["prediction"].tolist() == [0.0]
    cache.put(b"new", {"prediction": np.array([7.0])})
    assert cache.get(b"two") is None  # asked longest ago
    assert cache.get(b"one") is not None
    cache.put(b"large", {"prediction": np.zeros(4)})
    assert cache.get(b"large") is None
    cache.put(b"one", {"prediction": np.zeros(2)})
    assert cache.report() == {"hits": 2, "misses": 2, "rows": 3, "max_rows": 3}
    now[0] = 60.0
    assert cache.get(b"one") is None
    assert cache.report()["rows"] == 1
