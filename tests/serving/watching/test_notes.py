"""Answers that wait are given back as they were, however many threads note them."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from lepton.serving.watching.notes import Layout, Notes


def test_answers_come_back_by_what_they_look_like() -> None:
    notes: Notes[str] = Notes()
    assert list(notes.take()) == []
    numbers, shares = np.array([1.5, -2.0]), np.array([[0.25, 0.75], [1.0, 0.0]], dtype=np.float32)
    texts: Any = np.array(["a b", "ü"], dtype=object)
    plain = Layout.of("first", numbers, None)
    with_shares = Layout.of("first", texts, shares)
    notes.add(plain, "1", 1.0, numbers, None)
    notes.add(with_shares, "2", 2.0, texts, shares)
    notes.add(plain, "3", 3.0, numbers[:1], None)
    first, second = notes.take()
    assert (first.owner, first.requests, first.at, first.counts) == ("first", ["1", "3"], [1.0, 3.0], [2, 1])
    assert (first.predictions, first.probabilities) == ([1.5, -2.0, 1.5], None)
    assert (second.requests, second.counts, second.predictions) == (["2"], [2], ["a b", "ü"])
    assert second.probabilities == [[0.25, 0.75], [1.0, 0.0]]
    assert list(notes.take()) == []


def test_whole_numbers_stay_whole() -> None:
    notes: Notes[None] = Notes()
    labels = np.array([3, 7])
    notes.add(Layout.of(None, labels, None), "1", 1.0, labels, None)
    (noted,) = notes.take()
    assert [type(each) for each in noted.predictions] == [int, int]


def test_threads_do_not_mix_their_notes() -> None:
    notes: Notes[int] = Notes()

    def add(number: int) -> None:
        value = np.array([float(number)])
        layout = Layout.of(number, value, None)
        for each in range(500):
            notes.add(layout, f"{number}-{each}", float(each), value, None)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    found = {noted.owner: noted for noted in notes.take()}
    for number in range(4):
        assert found[number].predictions == [float(number)] * 500
        assert found[number].requests == [f"{number}-{each}" for each in range(500)]


def test_what_waits_is_nothing_for_the_collector() -> None:
    notes: Notes[None] = Notes()
    value = np.array([1.0])
    layout = Layout.of(None, value, None)
    before = len(gc.get_objects())
    for number in range(1_000):
        notes.add(layout, f"request-{number}", float(number), value, None)
    assert len(gc.get_objects()) - before < 100
