"""A service that the tests of this folder serve: well-behaved methods, and some that misbehave on request."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

import lepton
from lepton.core import DataError, ErrorCode


@dataclasses.dataclass
class Box:
    """A box."""

    width: float
    name: str = "box"

    def __post_init__(self):
        if self.width < 0:
            raise ValueError("a width below 0")


class Shop(lepton.Service):
    """Ranks, boxes and mischief."""

    threads = 2

    def __init__(self):
        self.well: bool | str = True
        self.told = -1

    def check(self):
        if self.well == "hang":
            time.sleep(600)
        return self.well

    @lepton.method(batch=8, wait="50ms")
    def rank(self, user: str, items: list[str]) -> dict[str, Any]:
        """Length of each item."""
        assert len(user) == len(items)
        if "short" in user:
            return []  # type: ignore[return-value] # the annotations speak of one call
        if "bad" in user:
            raise ValueError("secret")
        scores = [[float(len(item)) for item in own] for own in items]
        return [{"calls": len(user), "scores": own} for own in scores]  # type: ignore[return-value]

    @lepton.method
    def box(self, box: Box, *, kind: Literal["a", "b"] = "a", weights: np.ndarray | None = None) -> Box:
        """A box of twice the width."""
        return Box(box.width * 2, kind)

    @lepton.method
    def echo(self, value: Any = None) -> Any:
        print("printed on standard output", flush=True)
        return value

    @lepton.method
    def wrong_result(self) -> int:
        return "secret text"  # type: ignore[return-value]

    @lepton.method
    def raises(self, what: str) -> None:
        if what == "exit":
            sys.exit("secret")
        if what == "refuse":
            raise DataError(ErrorCode.BAD_VALUE, "got a town on the moon", wanted="one on earth")
        raise RuntimeError("secret")

    @lepton.method
    def set_health(self, value: str | bool) -> None:
        self.well = value

    @lepton.method
    def die(self, leave_child: bool = False) -> None:
        if leave_child:
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            Path("child.pid").write_text(str(child.pid))
        os._exit(3)

    @lepton.method(safe=True)
    def die_once(self, marker: str) -> str:
        if not Path(marker).exists():
            Path(marker).touch()
            os._exit(4)
        return "again"

    @lepton.method(safe=True)
    def die_always(self) -> None:
        os._exit(5)

    @lepton.method(timeout="200ms")
    def hang(self) -> None:
        time.sleep(600)

    @lepton.method
    def hold(self, marker: str) -> bool:
        _wait_for(marker)
        return True

    @lepton.method
    def tell(self, to: int, size: int = 1, ends: str = "", work: lepton.Work = None) -> Iterator[str]:  # type: ignore[assignment]
        """Texts, one after the other."""
        if ends == "first":
            raise DataError(ErrorCode.BAD_VALUE, "got a town on the moon", wanted="one on earth")
        try:
            for number in range(to):
                work.check()
                yield str(number) * size
            if ends == "raises":
                raise RuntimeError("secret")
            if ends == "dies":
                os._exit(7)
            if ends == "wrong":
                yield 5  # type: ignore[misc]
        finally:
            self.told = number

    @lepton.method(timeout="300ms")
    def tell_no_more(self) -> Iterator[int]:
        yield 0
        time.sleep(600)

    @lepton.method
    async def tell_later(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            await asyncio.sleep(0)
            yield number

    @lepton.method
    def whoami(self) -> int:
        return os.getpid()

    @lepton.method
    def last_told(self) -> int:
        return self.told

    @lepton.method(task=True)
    def count(self, steps: int, marker: str | None = None, work: lepton.Work = None) -> int:  # type: ignore[assignment]
        """Counts."""
        for step in range(steps):
            work.check()
            work.report(step + 1, steps, "steps")
        if marker is not None:
            _wait_for(marker, work)
        return steps

    @lepton.method(task=True, safe=True)
    def steady(self, marker: str, ends: bool = True) -> str:
        with Path(marker).open("a") as file:
            file.write("begun\n")
        if not ends and Path(marker).read_text().count("begun") == 1:
            time.sleep(600)
        return "steady"

    @lepton.method(task=True)
    def fail(self, die: bool) -> None:
        if die:
            os._exit(6)
        raise RuntimeError("secret")


def _wait_for(marker: str, work: lepton.Work | None = None) -> None:
    while not Path(marker).exists():
        if work is not None:
            work.check()
        time.sleep(0.01)
