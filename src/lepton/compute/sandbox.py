"""Calling a function on a stranger's file in a confined process, whose answer is data and is believed in nothing."""

from __future__ import annotations

import contextlib
import io
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from lepton.compute.confine import why_not
from lepton.compute.sandbox_child import read_frame, write_frame
from lepton.core import (
    CATALOGUE,
    BundleError,
    DataError,
    ErrorCode,
    LeptonError,
    SecurityError,
    UsageError,
    Work,
    WorkerError,
    printable,
    show_size,
)
from lepton.core.work import thread_environment
from lepton.store import scratch_folder

__all__ = ["call_confined"]

# Like that of `LocalEngine`: see docs/decisions/0011.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from lepton.compute.sandbox_child import main; main()"
)
_WATCH_SECONDS = 0.05
_MAX_ANSWER = 2**31
_FILE_SIZE = 2**30
_MEMORY = 8 * 2**30
_SECONDS = 600.0
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_KEPT = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")


def call_confined(
    entry_point: str,
    arguments: Mapping[str, Any],
    parts: Mapping[str, bytes],
    *,
    readable: Sequence[Path],
    work: Work,
    alternative: str,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Call `function(parts=parts, **arguments)` in a confined process.

    It reads `readable`, the interpreter and its packages; writes into a folder that is removed afterwards; has no
    network, no other processes, and none of this process's environment. It is ended after ten minutes, or what is left
    of the time of `work`, and beyond 8 GiB, or `work.resources.memory`.

    Args:
        entry_point: `"package.module:function"`, which gives a JSON-ready dict and named bytes.
        arguments: JSON-ready.
        parts: bytes by name.
        readable: files and folders that it may read.
        work: stop signal, clock and resources.
        alternative: what to do where there is no sandbox.

    Raises:
        SecurityError: UNTRUSTED: this system cannot confine processes.
        BundleError: BUNDLE_UNSAFE: the code in the file tried what is forbidden.
        WorkerError: the process died, took too long or too much memory.
        LeptonError: what the function refused.
        DataError: UNREADABLE: whatever else went wrong there.
    """
    if problem := why_not():
        raise SecurityError(
            ErrorCode.UNTRUSTED, problem, wanted="a place where strangers' code is kept in", fix=alternative
        )
    with scratch_folder(work.resources.scratch) as scratch:
        head = {
            "entry_point": entry_point,
            "arguments": dict(arguments),
            "scratch": str(scratch.resolve()),
            "readable": [sys.prefix, sys.base_prefix, *_modules(), *(str(path.resolve()) for path in readable)],
            "file_size": _FILE_SIZE,
        }
        question = io.BytesIO()
        write_frame(question, head, parts)
        data = _converse(question.getvalue(), scratch.resolve(), work)
    try:
        answer, found = read_frame(io.BytesIO(data), limit=_MAX_ANSWER)
    except (ValueError, TypeError, RecursionError):
        raise WorkerError(ErrorCode.WORKER_DIED, "the confined process gave no answer that can be read") from None
    if "answer" in answer and isinstance(answer["answer"], dict):
        return answer["answer"], found
    raise _refusal(answer.get("failed"))


def _modules() -> list[str]:
    """Where this process finds modules, without folders of the user: the library, installed packages, Lepton itself."""
    own = [Path(sys.prefix), Path(sys.base_prefix)]
    places = [Path(place).absolute() for place in sys.path if place]
    return [str(place) for place in places if any(map(place.is_relative_to, own)) or _is_packages(place)]


def _is_packages(place: Path) -> bool:
    return "-packages" in place.name or (place / "lepton" / "compute" / "sandbox.py").is_file()


def _converse(question: bytes, scratch: Path, work: Work) -> bytes:
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | thread_environment(work.resources)
    environment |= {
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": "/usr/bin:/bin",
    }
    try:
        process = subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-P", "-c", _START, json.dumps(_modules())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise WorkerError(ErrorCode.WORKER_DIED, f"no confined process could be started: {error.strerror}") from error
    stdin = cast("io.FileIO", process.stdin)
    asking = threading.Thread(target=_ask, args=(stdin, question), name="lepton-confined", daemon=True)
    asking.start()
    try:
        return _listen(process, work)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        asking.join()
        cast("io.FileIO", process.stdout).close()


def _ask(file: io.FileIO, question: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), file:
        view = memoryview(question)
        while view:
            view = view[file.write(view) :]


def _listen(process: subprocess.Popen[bytes], work: Work) -> bytes:
    """What the process says until it ends, while it is watched."""
    stdout = cast("io.FileIO", process.stdout)
    memory = work.resources.memory or _MEMORY
    until = time.monotonic() + min(_SECONDS, _SECONDS if work.remaining is None else work.remaining)
    heard = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while True:
            if selector.select(_WATCH_SECONDS):
                data = os.read(stdout.fileno(), 2**20)
                if not data:
                    break
                heard += data
            if len(heard) > _MAX_ANSWER or time.monotonic() > until:
                why = "took too long" if time.monotonic() > until else "gave too long an answer"
                raise WorkerError(ErrorCode.WORKER_DIED, f"the confined process {why} and was ended")
            if (resident := _resident(process.pid)) > memory:
                raise WorkerError(
                    ErrorCode.OUT_OF_MEMORY,
                    f"the confined process took {show_size(resident)} of memory",
                    wanted=f"at most {show_size(memory)}",
                )
            if work.cancel.is_set():
                work.check()
    code = process.wait()
    if code < 0:
        name = signal.Signals(-code).name
        raise WorkerError(ErrorCode.WORKER_DIED, f"the confined process was ended by {name}")
    if not heard:
        raise WorkerError(ErrorCode.WORKER_DIED, f"the confined process ended with the code {code}")
    return bytes(heard)


def _resident(process_id: int) -> int:
    try:
        return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _refusal(failed: Any) -> LeptonError:
    told = failed if isinstance(failed, dict) else {}
    kind, text = (printable(str(told.get(key, "")), 400) for key in ("type", "text"))
    if told.get("denied"):
        return BundleError(
            ErrorCode.BUNDLE_UNSAFE,
            f"opening the file needed what the sandbox forbids ({kind}: {text})",
            wanted="a file that is read by computing alone",
            fix="do not use it, unless you know what this was",
        )
    error = told.get("error")
    if isinstance(error, dict) and error.get("code") in set(ErrorCode):
        code = ErrorCode(error["code"])
        if CATALOGUE[code].family in {DataError, BundleError, UsageError}:
            came, wanted, fix = (printable(str(error.get(key, "")), 1_000) for key in ("came", "wanted", "fix"))
            return CATALOGUE[code].family(code, came, wanted=wanted, fix=fix)
    return DataError(ErrorCode.UNREADABLE, f"the file cannot be opened: {kind}: {text}", wanted="a whole model")
