"""Questions, answers and news between two processes, here between two tasks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lepton.core import DataError, ErrorCode, LeptonError, WorkerError
from lepton.serving.processes.channel import Channel, as_error, as_record


async def _answer(kind: str, value: Any) -> Any:
    match kind:
        case "double":
            return 2 * value
        case "refuse":
            raise DataError(ErrorCode.NOT_FOUND, "there is none", wanted="one", fix="make it", details={"name": value})
        case "never":
            await asyncio.Event().wait()
        case "break":
            raise RuntimeError("secret")
    return None


def _between(test: Callable[[Channel, Channel], Awaitable[None]]) -> None:
    """Run a test with both ends of a channel."""

    async def run() -> None:
        first, second = socket.socketpair()
        ours, theirs = Channel(_answer), Channel(_answer)
        tasks = [asyncio.create_task(ours.serve(first)), asyncio.create_task(theirs.serve(second))]
        await asyncio.sleep(0.01)
        await asyncio.wait_for(test(ours, theirs), 30)
        ours.close()
        theirs.close()
        await asyncio.gather(*tasks)

    asyncio.run(run())


def test_both_sides_may_ask() -> None:
    async def ask(ours: Channel, theirs: Channel) -> None:
        big = "ü" * 1_000_000
        found = await asyncio.gather(*(ours.ask("double", n) for n in range(100)), theirs.ask("double", big))
        assert found == [*(2 * n for n in range(100)), 2 * big]

    _between(ask)


def test_an_error_comes_back_as_it_was() -> None:
    async def ask(ours: Channel, _: Channel) -> None:
        with pytest.raises(DataError) as caught:
            await ours.ask("refuse", "x")
        error = caught.value
        assert (error.code, error.came, error.wanted, error.fix) == (
            ErrorCode.NOT_FOUND, "there is none", "one", "make it"
        )  # fmt: skip
        assert error.details == {"name": "x"}
        with pytest.raises(LeptonError) as caught_other:
            await ours.ask("break", None)
        assert caught_other.value.code is ErrorCode.INTERNAL
        assert "secret" not in str(caught_other.value)

    _between(ask)


def test_who_waits_hears_that_the_other_is_gone() -> None:
    async def ask(ours: Channel, theirs: Channel) -> None:
        asked = asyncio.create_task(ours.ask("never"))
        await asyncio.sleep(0.01)
        theirs.close()
        with pytest.raises(WorkerError):
            await asked
        with pytest.raises(WorkerError):
            await ours.ask("double", 1)

    _between(ask)


def test_details_that_are_no_json_are_told_as_text() -> None:
    error = DataError(ErrorCode.NOT_FOUND, "none", details={"set": {1}, "half": "\ud800", "plain": [1]})
    assert as_error(as_record(error)).details == {"set": "{1}", "half": "'\\ud800'", "plain": [1]}
