"""One call of an entry point: how it is packed, made and answered, the same in every engine."""

from __future__ import annotations

import importlib
import os
import pickle
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lepton.core import (
    DataError,
    ErrorCode,
    LeptonError,
    Resources,
    UsageError,
    Work,
    WorkerError,
    parse_duration,
    printable,
)
from lepton.core.work import Reporter

__all__ = ["Call", "make_call", "pack", "pack_call", "perform", "unpack"]

_ENTRY_POINT = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class Call:
    """What travels to a worker.

    Attributes:
        entry_point: `"package.module:function"`.
        args: its arguments by name, without `work`.
        resources: what it may use.
        seed: seed of its `Work`.
        within: seconds allowed, or None.
        deadline: their end on the monotonic clock, which all processes of a machine share.
        folder: the working directory of the caller, so that relative paths mean the same in a worker started before.
    """

    entry_point: str
    args: dict[str, Any]
    resources: Resources
    seed: int
    within: float | None
    deadline: float | None
    folder: str


def make_call(entry_point: str, args: Mapping[str, Any], resources: Resources, seed: int, within: float | None) -> Call:
    """The call that these arguments of `Engine.submit` mean; `UsageError` if they mean none."""
    if not _ENTRY_POINT.fullmatch(str(entry_point)):
        shown = printable(str(entry_point))
        raise UsageError(ErrorCode.USAGE, f"got the entry point '{shown}'", wanted="'package.module:function'")
    if "work" in args:
        raise UsageError(ErrorCode.USAGE, "got an argument named 'work', which the engine itself gives")
    seconds = None if within is None else parse_duration(within)
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        folder = os.getcwd()  # noqa: PTH109 - text travels
    except OSError:
        raise DataError(ErrorCode.NOT_FOUND, "the working folder is gone") from None
    return Call(entry_point, dict(args), resources, seed, seconds, deadline, folder)


def perform(call: Call, cancel: threading.Event, reporter: Reporter) -> Any:
    """Make the call here and return what it gives.

    Raises:
        LeptonError: as it came; anything else that is raised becomes a `WorkerError`, with the original as its cause.
    """
    work = Work(cancel=cancel, reporter=reporter, resources=call.resources, seed=call.seed)
    work.within, work.deadline = call.within, call.deadline
    try:
        function = _found(call.entry_point)
        work.check()
        return function(**call.args, work=work)
    except LeptonError:
        raise
    except MemoryError as error:
        raise WorkerError(ErrorCode.OUT_OF_MEMORY, f"{call.entry_point} found no memory left") from error
    except Exception as error:
        kind, message = type(error).__name__, printable(str(error), 1000)
        raise WorkerError(
            ErrorCode.INTERNAL, f"{call.entry_point} raised {kind}: {message}", details={"type": kind}
        ) from error


def _found(entry_point: str) -> Callable[..., Any]:
    module, _, names = entry_point.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise UsageError(ErrorCode.USAGE, f"the entry point {entry_point!r} is not there: {error}") from error
    if not callable(found):
        raise UsageError(ErrorCode.USAGE, f"the entry point {entry_point!r} is a {type(found).__name__}, no function")
    return found  # type: ignore[no-any-return]  # callable() has just said so


def pack(value: object, what: str) -> bytes:
    """`value` pickled; `WorkerError` naming `what` where it cannot be."""
    try:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        kind, why = type(value).__name__, printable(str(error))
        raise WorkerError(
            ErrorCode.INTERNAL,
            f"{what}, of type {kind}, cannot go from one process to another: {why}",
            wanted="plain values, arrays, records or paths",
        ) from error


def pack_call(number: int, call: Call) -> bytes:
    """`call` and its number pickled; `UsageError` naming the argument that cannot be."""
    try:
        return pack((number, call), "the call")
    except WorkerError as error:
        refused = error
    try:
        for name, value in call.args.items():
            pack(value, f"the argument {name!r}")
    except WorkerError as error:
        refused = error
    raise UsageError(ErrorCode.USAGE, refused.came, wanted=refused.wanted) from refused


def unpack(data: bytes | bytearray, what: str) -> Any:
    """What was packed by our own process on the other side; `WorkerError` naming `what` where it cannot be read."""
    try:
        return pickle.loads(data)  # noqa: S301 - written by a process of ours, over a pipe that nobody else holds
    except Exception as error:
        raise WorkerError(
            ErrorCode.INTERNAL, f"{what} cannot be read: {type(error).__name__}: {printable(str(error))}"
        ) from error
