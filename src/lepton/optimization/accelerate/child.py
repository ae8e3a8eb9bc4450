"""The parent's side of `probe`: a child process that opens a graph with any execution provider, and may die of it."""

from __future__ import annotations

import base64
import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import DataError, ErrorCode, Resources, WorkerError, printable
from lepton.core.work import environment_for

__all__ = ["Child", "ChildContestant"]

_PROBE = Path(__file__).with_name("probe.py")
_MOST_LINE = 2**28
_LAST_WORDS = 400  # characters of what a dying child has printed


class Child:
    """A process that answers requests; a context manager, which ends it.

    Args:
        python: an interpreter whose environment has onnxruntime; None: this one.
        resources: cores that it may use.
        command: in place of the probe, for tests.

    Raises:
        DataError: there is no such interpreter.
    """

    def __init__(
        self, python: str | Path | None, resources: Resources, *, command: Sequence[str] | None = None
    ) -> None:
        chosen = command or [str(python or sys.executable), "-I", str(_PROBE)]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - an interpreter that the caller names, and a file of ours
                chosen,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment_for(resources),
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise DataError(
                ErrorCode.NOT_FOUND,
                f"'{printable(str(python))}' cannot be started: {error.strerror}",
                wanted="a Python whose environment has onnxruntime",
                fix="python -m venv other; other/bin/pip install onnxruntime-openvino; --python other/bin/python",
            ) from None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._words = ""
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._overhear, args=(self._process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *caught: object) -> None:
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # a request that it did not live to read
                    pipe.close()

    def ask(self, request: Mapping[str, Any], seconds: float = 30.0) -> dict[str, Any]:
        """The answer to one request.

        Raises:
            WorkerError: it refuses, dies, or does not answer in time; the message says which.
        """
        pipe = self._process.stdin
        with contextlib.suppress(OSError, ValueError):  # it may have died; what it said before is there all the same
            if pipe is not None:
                pipe.write(json.dumps(request) + "\n")
                pipe.flush()
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise _dead(f"it gave no answer for {seconds:g} s") from None
        if not line:
            self._lines.put(line)  # who asks again is told at once too
            raise _dead(self._last_words())
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise _dead("what it says is not understood: " + printable(line[:80]))
        if "error" in told:
            raise _dead(printable(str(told["error"])[:_LAST_WORDS]))
        return told

    def send_rows(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        """The rows that it answers and times from now on."""
        self.ask({"do": "rows", "tensors": {name: _told(tensor) for name, tensor in tensors.items()}})

    def answers(self, number: int) -> dict[str, NDArray[Any]]:
        """What its session `number` answers to them."""
        told = self.ask({"do": "answers", "id": number}).get("answers")
        try:
            return {name: _array(each) for name, each in dict(told or {}).items()}
        except (TypeError, ValueError, KeyError, AttributeError):
            raise _dead("its answers are not understood") from None

    def _read(self, stream: IO[str]) -> None:
        while line := stream.readline(_MOST_LINE):
            self._lines.put(line)
        self._lines.put("")

    def _overhear(self, stream: IO[str]) -> None:
        for line in stream:
            self._words = (self._words + line)[-_LAST_WORDS:]

    def _last_words(self) -> str:
        code = self._process.wait()
        self._readers[1].join(1.0)
        lines = self._words.strip().splitlines()
        ended = f"it was ended by signal {-code}" if code < 0 else f"it ended with exit code {code}"
        return ended + (f": {printable(lines[-1])}" if lines else "")


class ChildContestant:
    """A session of a child, in a race.

    Args:
        name: for people.
        child: whose it is.
        number: of the session.
        calls: of a block.
        rows: of a call.
    """

    def __init__(self, name: str, child: Child, number: int, calls: int, rows: int) -> None:
        self.name = name
        self._child = child
        self._request = {"do": "block", "id": number, "calls": calls, "rows": rows}

    def block(self) -> float:
        """Seconds of a call."""
        seconds = self._child.ask(self._request).get("seconds")
        if not isinstance(seconds, float) or not 0.0 < seconds < float("inf"):
            raise _dead("its time is not understood")
        return seconds


def _told(tensor: NDArray[Any]) -> dict[str, Any]:
    if tensor.dtype.kind in "fiub":
        data = base64.b64encode(np.ascontiguousarray(tensor).tobytes()).decode("ascii")
        return {"dtype": tensor.dtype.name, "shape": list(tensor.shape), "data": data}
    return {"texts": [str(each) for each in tensor.ravel()], "shape": list(tensor.shape)}


def _array(told: Mapping[str, Any]) -> NDArray[Any]:
    if "texts" in told:
        return np.array(told["texts"], dtype=object).reshape(told["shape"])
    dtype = np.dtype(told["dtype"])
    if dtype.kind not in "fiub":
        raise ValueError("no numbers")
    return np.frombuffer(base64.b64decode(told["data"]), dtype=dtype).reshape(told["shape"])


def _dead(why: str) -> WorkerError:
    return WorkerError(ErrorCode.WORKER_DIED, why)
