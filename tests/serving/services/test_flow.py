from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from lepton.serving.services.flow import WINDOW, Flow, items_of


def test_a_flow_that_is_cancelled_waits_no_more():
    flow = Flow()
    assert flow.spend(WINDOW)
    flow.cancel()
    assert not flow.spend(1)


def test_what_has_no_items_is_a_fault():
    with pytest.raises(TypeError):
        list(items_of(5))
    assert list(items_of([1, 2])) == [1, 2]


def test_a_generator_is_closed_when_its_items_are_not_wanted_any_more():
    closed = []

    def numbers() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            closed.append("plain")

    async def later() -> AsyncIterator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            closed.append("later")

    for given in (numbers(), later()):
        items = items_of(given)
        assert next(items) == 0
        items.close()
    assert closed == ["plain", "later"]


def test_who_has_spent_all_waits_until_it_is_taken():
    flow = Flow()
    assert flow.spend(WINDOW)
    threading.Timer(0.01, flow.add, (WINDOW,)).start()
    assert flow.spend(1)
    assert flow._left == WINDOW - 1
