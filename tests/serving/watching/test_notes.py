"""Answers that wait are given back as they were, however many threads note them."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from lepton.serving.watching.notes import Notes


def test_answers_come_back_as_they_were() -> None:
    numbers, shares = np.array([1.5, -2.0]), np.array([[0.25, 0.75], [1.0, 0.0]], dtype=np.float32)
    notes = Notes("mine", numbers, None)
    assert notes.take() is None
    notes.add("1", 1.0, numbers, None)
    notes.add("3", 3.0, numbers[:1], None)
    noted = notes.take()
    assert noted is not None
    assert (noted.owner, noted.requests, noted.at, noted.counts) == ("mine", ["1", "3"], [1.0, 3.0], [2, 1])
    assert (noted.predictions, noted.probabilities) == ([1.5, -2.0, 1.5], None)
    assert notes.take() is None
    texts: Any = np.array(["a b", "ü"], dtype=object)
    notes = Notes("other", texts, shares)
    notes.add("2", 2.0, texts, shares)
    noted = notes.take()
    assert noted is not None
    assert (noted.requests, noted.counts, noted.predictions) == (["2"], [2], ["a b", "ü"])
    assert noted.probabilities == [[0.25, 0.75], [1.0, 0.0]]


def test_whole_numbers_stay_whole() -> None:
    labels = np.array([3, 7])
    notes = Notes(None, labels, None)
    for number in range(2):
        notes.add(str(number), 1.0, labels[number : number + 1], None)
    noted = notes.take()
    assert noted is not None
    assert ([(type(each), each) for each in noted.predictions], noted.counts) == ([(int, 3), (int, 7)], [1, 1])


def test_threads_do_not_mix_their_notes() -> None:
    notes = Notes(None, np.array([0.0]), None)

    def add(number: int) -> None:
        for each in range(500):
            notes.add(f"{number}-{each}", float(each), np.array([number + each / 1000]), None)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    noted = notes.take()
    assert noted is not None
    assert len(noted.requests) == 2_000
    for request, at, prediction in zip(noted.requests, noted.at, noted.predictions, strict=True):
        number, each = map(int, request.split("-"))
        assert (at, prediction) == (each, number + each / 1000)


def test_what_waits_is_nothing_for_the_collector() -> None:
    value = np.array([1.0])
    notes = Notes(None, value, None)
    before = len(gc.get_objects())
    for number in range(1_000):
        notes.add(f"request-{number}", float(number), value, None)
    assert len(gc.get_objects()) - before < 100
