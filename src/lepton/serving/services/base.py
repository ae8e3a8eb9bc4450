"""What a service is to who writes it: a class, and the mark on the methods that callers may call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, overload

from lepton.core import ErrorCode, UsageError, parse_duration

__all__ = ["MethodOptions", "Service", "method", "options_of"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__lepton_method__"
_MOST_IN_A_BATCH = 4096
_CALL_SECONDS = 30.0


class Service:
    """Code around models that `lepton serve service.py:Shop` runs in a process of its own.

    What a class body or `__init__` opens (models, connections) is opened once. Methods marked with `lepton.method` are
    what callers may call; everything else is private. One call runs at a time unless `threads` says more.

        class Shop(lepton.Service):
            ranker = lepton.load("ranker.lepton")

            @lepton.method
            def rank(self, user: str, items: list[str]) -> list[float]:
                return self.ranker.predict([{"user": user, "item": item} for item in items])

    Attributes:
        threads: calls that may run at once; above 1, methods must bear it.
    """

    threads: ClassVar[int] = 1

    def start(self) -> None:
        """What must hold before the first call: raise, and the service is not ready, with the reason in the log."""

    def check(self) -> bool | str | None:
        """Whether the service is well, asked every few seconds beside calls: False, or what is wrong, says no."""
        return None


@dataclass(frozen=True, slots=True)
class MethodOptions:
    """How a method is called.

    Attributes:
        batch: calls that are handed over at once; None hands over one call's values.
        wait: seconds that the first call of a batch may wait for company.
        timeout: seconds after which a run is ended, and the process with it; None lets it run.
        safe: whether a call may be run again when the process died while it ran.
        task: whether callers get the number of a task at once, and its result later.
    """

    batch: int | None = None
    wait: float = 0.0
    timeout: float | None = _CALL_SECONDS
    safe: bool = False
    task: bool = False


@overload
def method(function: F, /) -> F: ...
@overload
def method(
    *,
    batch: int | None = None,
    wait: str | float | None = None,
    timeout: str | float | None = None,
    safe: bool = False,
    task: bool = False,
) -> Callable[[F], F]: ...
def method(
    function: F | None = None,
    /,
    *,
    batch: int | None = None,
    wait: str | float | None = None,
    timeout: str | float | None = None,
    safe: bool = False,
    task: bool = False,
) -> F | Callable[[F], F]:
    """Mark a method of a `Service` as one that callers may call; its annotations are what they must send and get.

    With `batch`, calls that come together are handed over together: the method receives a list of each parameter, all
    of the same length, and returns a list of as many results. The annotations still speak of one call.

    Args:
        function: the method, where the mark stands without brackets.
        batch: calls to hand over at once, at most.
        wait: how long the first call of a batch waits for others; without it, a batch is what came meanwhile.
        timeout: how long a run may take, 30 s if nothing is said, for a task as long as it wants; what takes longer
            is ended with its process.
        safe: a call may be run again when its process died: the method changes nothing that would show.
        task: the caller gets a task at once, and asks for its result later.

    Raises:
        UsageError: a setting that cannot be meant.
    """
    if batch is not None and (type(batch) is not int or not 1 <= batch <= _MOST_IN_A_BATCH):
        raise UsageError(ErrorCode.BAD_SETTING, f"got batch={batch!r}", wanted=f"1 to {_MOST_IN_A_BATCH}")
    if wait is not None and batch is None:
        raise UsageError(ErrorCode.BAD_SETTING, f"got wait={wait!r} without batch", fix="set batch too")
    if task and batch is not None:
        raise UsageError(ErrorCode.BAD_SETTING, "got task=True and batch", fix="leave one out: tasks run singly")
    seconds = None if task else _CALL_SECONDS
    options = MethodOptions(
        batch=batch,
        wait=0.0 if wait is None else parse_duration(wait, "wait"),
        timeout=seconds if timeout is None else parse_duration(timeout, "timeout"),
        safe=safe,
        task=task,
    )

    def mark(function: F) -> F:
        setattr(function, _MARK, options)
        return function

    return mark if function is None else mark(function)


def options_of(function: object) -> MethodOptions | None:
    """The options of a marked function; None of any other object."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, MethodOptions) else None
