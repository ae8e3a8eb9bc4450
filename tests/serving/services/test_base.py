from __future__ import annotations

from typing import Any

import pytest

import lepton
from lepton.core import UsageError
from lepton.serving.services.base import MethodOptions, options_of


def test_a_marked_function_stays_what_it_is():
    @lepton.method
    def plain(number: int) -> int:
        return number

    @lepton.method(batch=32, wait="2ms", timeout="5s", safe=True)
    def full(number: int) -> int:
        return number

    @lepton.method(task=True)
    def task() -> None: ...

    assert (plain(1), full(2)) == (1, 2)
    assert options_of(plain) == MethodOptions(timeout=30.0)
    assert options_of(full) == MethodOptions(batch=32, wait=0.002, timeout=5.0, safe=True)
    assert options_of(task) == MethodOptions(timeout=None, task=True)
    assert options_of(print) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 0}, "got batch=0"),
        ({"batch": True}, "got batch=True"),
        ({"batch": "8"}, "got batch='8'"),
        ({"batch": 100_000}, "1 to 4096"),
        ({"wait": "2ms"}, "without batch"),
        ({"batch": 2, "wait": "soon"}, "got wait='soon'"),
        ({"timeout": 0}, "got timeout=0"),
        ({"batch": 2, "task": True}, "leave one out"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, Any], message: str):
    with pytest.raises(UsageError, match=message):
        lepton.method(**settings)
