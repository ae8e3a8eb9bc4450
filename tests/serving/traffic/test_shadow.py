"""What runs behind an answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lepton.serving import ModelStore
from lepton.serving.traffic.shadow import Shadow, Shadows


def wait_until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.005)


def test_labels_agree_or_not() -> None:
    shadow = Shadow()
    seconds = (0.002, 0.004)
    shadow.compare(np.array(["a", "b", "c"], dtype=object), np.array(["a", "x", "c"], dtype=object), seconds)
    shadow.compare(np.array([1, 0]), np.array([1, 0]), seconds)
    told = shadow.report()
    assert (told["requests"], told["rows"], told["agreement"]) == (2, 5, 0.8)
    assert (told["p50_ms"], told["p95_ms"]["shadow"]) == ({"answered": 2.0, "shadow": 4.0}, 4.0)
    assert "mean_absolute_difference" not in told


def test_numbers_differ_by_so_much() -> None:
    shadow = Shadow()
    shadow.compare(np.array([1.0, 2.0, np.nan, np.inf]), np.array([1.0 + 1e-12, 4.0, np.nan, 1.0]), (0.0, 0.0))
    told = shadow.report()
    assert told["agreement"] == 0.5
    assert told["mean_absolute_difference"] == pytest.approx(1.0)
    assert told["largest_difference"] == 2.0
    shadow.compare(np.zeros((2, 3)), np.zeros((2, 2)), (0.0, 0.0))
    assert shadow.report()["failed"] == 1
    assert "shape [2, 2]" in shadow.report()["last_failure"]


def test_copies_are_run_later_and_dropped_when_too_many_wait(
    models: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = models.version("a", "1"), models["b"]
    opened, run = threading.Event(), second.predictor.run

    def slow(*arguments: Any, **options: Any) -> Any:
        assert opened.wait(20)
        return run(*arguments, **options)

    monkeypatch.setattr(second.predictor, "run", slow)
    shadow, shadows = Shadow(), Shadows()
    tensors = {"numbers": np.array([[2.0]])}
    answers = first.predictor.run(tensors)
    for _ in range(100):
        shadows.offer(shadow, first, second, tensors, answers, 0.001)
    shadows.offer(shadow, first, second, tensors, {"prediction": np.zeros(2000)}, 0.001)
    shadows.offer(shadow, first, second, tensors, {}, 0.001)
    dropped = shadow.report()["dropped"]
    assert dropped >= 100 - 33
    opened.set()
    wait_until(lambda: shadow.report()["requests"] == 102 - dropped)
    assert shadow.report()["mean_absolute_difference"] == 18.0
    shadows.close()
    shadows.close()


def test_a_shadow_that_takes_other_columns_fails_for_itself(models: ModelStore) -> None:
    shadow, shadows = Shadow(), Shadows()
    tensors = {"numbers": np.array([[2.0]])}
    shadows.offer(shadow, models["a"], models["sold"], tensors, models["a"].predictor.run(tensors), 0.001)
    wait_until(lambda: shadow.report()["failed"] == 1)
    assert "there is no column" in shadow.report()["last_failure"]
    shadows.close()
