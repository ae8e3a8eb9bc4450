from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import lepton
from lepton.core import ErrorCode, ServingError, UsageError
from lepton.serving.services.description import describe, handlers_of
from tests.serving.services.shop import Shop


def test_a_service_is_described_from_its_annotations_and_docstrings():
    found = describe(Shop, handlers_of(Shop))
    methods = {method["name"]: method for method in found["methods"]}
    assert (found["doc"], found["threads"]) == ("Ranks, boxes and mischief.", 2)
    assert methods["rank"] == {
        "name": "rank",
        "doc": "Length of each item.",
        "parameters": {
            "type": "object",
            "properties": {"user": {"type": "string"}, "items": {"type": "array", "items": {"type": "string"}}},
            "required": ["user", "items"],
            "additionalProperties": False,
        },
        "result": {"type": "object", "additionalProperties": {}},
        "batch": 8,
        "wait": 0.05,
        "timeout": 30.0,
        "safe": False,
        "task": False,
        "stream": False,
    }
    assert methods["count"]["parameters"]["required"] == ["steps"]
    assert "work" not in methods["count"]["parameters"]["properties"]
    assert "check" not in methods


def test_a_method_without_a_docstring_has_none():
    class Quiet(lepton.Service):
        @lepton.method
        def go(self) -> None: ...

    found = describe(Quiet, handlers_of(Quiet))
    assert found["doc"] == ""
    assert found["methods"][0]["doc"] == ""


class TestArguments:
    box = handlers_of(Shop)["box"]

    def test_defaults_are_filled_in(self):
        found = self.box.read({"box": {"width": 1}})
        assert (found["box"].width, found["kind"], found["weights"]) == (1.0, "a", None)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({}, "missing parameters: 'box'. Wanted: all of box."),
            (
                {"box": {"width": 1}, "self": 1},
                "there is no parameter 'self'. Wanted: no others than box, kind, weights.",
            ),
            ({"box": {"width": 1}, "x": 1, "y": 2}, "there is no parameter 'x' and 1 more."),
            ({"box": {"width": -1}}, "the parameter 'box' is refused: a width below 0."),
        ],
    )
    def test_what_does_not_fit_is_told(self, values: Any, message: str):
        with pytest.raises(ServingError) as caught:
            self.box.read(values)
        assert caught.value.code is ErrorCode.BAD_PARAMETER
        assert message in str(caught.value)

    @pytest.mark.parametrize("values", [[], None, 1, "box"])
    def test_a_body_that_is_no_object(self, values: Any):
        with pytest.raises(ServingError, match="the body is no JSON object") as caught:
            self.box.read(values)
        assert caught.value.code is ErrorCode.BAD_REQUEST


def _methods() -> list[Any]:
    @lepton.method
    def no_annotation(self: Any, x) -> None: ...

    @lepton.method
    def many(self: Any, *x: int) -> None: ...

    @lepton.method
    def more(self: Any, **x: int) -> None: ...

    @lepton.method
    def positional(self: Any, x: int, /) -> None: ...

    @lepton.method
    def odd(self: Any, x: set[int]) -> None: ...

    @lepton.method
    def odd_result(self: Any) -> bytes:
        return b""

    @lepton.method
    def unknown(self: Any, x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    @lepton.method
    async def later(self: Any) -> None: ...

    @lepton.method
    def stream(self: Any) -> int:  # type: ignore[misc]
        yield 1

    @lepton.method(batch=2)
    def stream_in_batches(self: Any) -> Iterator[int]:
        yield 1

    @lepton.method(task=True)
    def stream_as_task(self: Any) -> Iterator[int]:
        yield 1

    @lepton.method
    def _private(self: Any) -> None: ...

    return [
        no_annotation,
        many,
        more,
        positional,
        odd,
        odd_result,
        unknown,
        later,
        stream,
        stream_in_batches,
        stream_as_task,
        _private,
    ]


@pytest.mark.parametrize("function", _methods(), ids=lambda function: function.__name__)
def test_methods_that_cannot_be_called_by_name_are_refused(function: Any):
    cls = type("Odd", (lepton.Service,), {function.__name__: function})
    with pytest.raises(UsageError, match=rf"Odd\.{function.__name__}|of Odd\.{function.__name__}") as caught:
        handlers_of(cls)
    assert caught.value.code is ErrorCode.BAD_SERVICE


def test_a_service_without_methods_is_refused():
    with pytest.raises(UsageError, match=r"mark at least one with @lepton\.method"):
        handlers_of(type("Empty", (lepton.Service,), {}))


def test_what_gives_items_is_known_by_its_annotation_or_because_it_yields():
    class Teller(lepton.Service):
        @lepton.method
        def plain(self) -> Iterator[int]:
            return iter([1])

        @lepton.method
        async def later(self) -> AsyncIterator[list[str]]:
            yield []

        @lepton.method
        def silent(self):
            yield 1

        @lepton.method
        def whole(self) -> list[int]:
            return [1]

    found = {name: (each.stream, each.result.schema()) for name, each in handlers_of(Teller).items()}
    assert found["plain"][0]
    assert found["plain"][1]["type"] == "integer"
    assert found["later"] == (True, {"type": "array", "items": {"type": "string"}})
    assert found["silent"] == (True, {})
    assert found["whole"][0] is False
