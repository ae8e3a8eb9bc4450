"""Tools that live in an environment of their own: asked by a script in a child process, answered through files."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.core import BundleError, ErrorCode, MissingExtraError, UsageError, Work, printable
from lepton.store import write_scratch

__all__ = ["ask", "need", "pack", "unpack"]

_SECONDS = 900.0
_TIMING = """
import json, statistics, sys, time
import numpy as np

def rows_of(path):
    given = np.load(path)
    return {name: given[name] for name in given.files}

def seconds_of(call, count):
    medians = []
    for block in range(6):
        times = []
        for number in range(50):
            begin = time.perf_counter()
            call(number % count)
            times.append(time.perf_counter() - begin)
        medians.append(statistics.median(times))
    return statistics.median(medians[1:])
"""


def need(python: Path | None, libraries: Mapping[str, str], purpose: str) -> None:
    """See that an interpreter has some libraries.

    Args:
        python: the interpreter; None is this one.
        libraries: module → what to install for it.
        purpose: what they are needed for.

    Raises:
        UsageError: there is no such interpreter.
        MissingExtraError: a library is not there.
    """
    script = "import importlib.util, json, sys\n"
    script += "print(json.dumps([m for m in sys.argv[1:] if importlib.util.find_spec(m) is None]))"
    missing = json.loads(_run(python, ["-c", script, *libraries], Path.cwd(), _SECONDS).stdout or "null")
    if missing is None:
        raise UsageError(ErrorCode.USAGE, f"got --python {python}", wanted="the interpreter of an environment")
    if missing:
        raise MissingExtraError(" ".join(libraries[module] for module in missing), "", purpose)


def ask(python: Path | None, script: str, folder: Path, words: list[str], work: Work) -> tuple[dict[str, Any], str]:
    """Run a script that prints one JSON object last; that, and what it said beside it.

    Args:
        python: the interpreter; None is this one.
        script: its text; `rows_of` and `seconds_of` are there.
        folder: where it runs.
        words: its arguments.
        work: the time there is.

    Returns:
        The object, `{}` where the script failed, and what the tool said.
    """
    work.check()
    limit = _SECONDS if work.remaining is None else max(min(work.remaining, _SECONDS), 1.0)
    write_scratch(folder / "ask.py", [(_TIMING + script).encode()])
    ran = _run(python, ["ask.py", *words], folder, limit)
    said = ran.stderr + ran.stdout
    if ran.returncode:
        return {}, said
    try:
        found: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {}, said
    return found, said


def _run(python: Path | None, words: list[str], folder: Path, limit: float) -> subprocess.CompletedProcess[str]:
    interpreter = sys.executable if python is None else str(python.absolute())
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "SYSTEMROOT") if name in os.environ}
    try:
        return subprocess.run(  # noqa: S603 - our own script in an interpreter that the caller named
            [interpreter, "-I", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
            env=kept | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    except OSError as error:
        came = f"the interpreter {printable(str(python))} cannot be run: {error.strerror}"
        raise UsageError(ErrorCode.USAGE, came, wanted="a Python") from None
    except subprocess.TimeoutExpired:
        raise BundleError(ErrorCode.CHECK_FAILED, f"the tool did not end in {limit:.0f} s") from None


def pack(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Tensors as a file that `rows_of` reads."""
    buffer = io.BytesIO()
    plain = {name: tensor.astype(str) if tensor.dtype == object else tensor for name, tensor in tensors.items()}
    np.savez(buffer, **plain)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack(path: Path, like: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Answers that a script has written, in the types of `like`.

    Raises:
        BundleError: CHECK_FAILED: one is missing.
    """
    with np.load(path) as found:
        if absent := like.keys() - set(found.files):
            raise BundleError(ErrorCode.CHECK_FAILED, "the runtime does not answer " + ", ".join(sorted(absent)))
        return {name: found[name].astype(wanted.dtype) for name, wanted in like.items()}
