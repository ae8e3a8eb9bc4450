"""What the tests of engines have done elsewhere. Heavy imports stay in the functions: most workers need none."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from lepton.core import DataError, ErrorCode, Interrupted, Work

imported = time.monotonic()
kept: list[bytes] = []


def add(a, b, work: Work):
    return a + b


def describe(work: Work):
    return {
        "process": os.getpid(),
        "parent": os.getppid(),
        "imported": imported,
        "seed": work.seed,
        "part": work.seed_for("part"),
        "cpus": work.resources.cpus,
        "resources": work.resources,
        "within": work.within,
        "remaining": work.remaining,
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "folder": str(Path.cwd()),
        "main": sys.modules["__main__"].__dict__.get("__file__"),
    }


def count(total, seconds, work: Work):
    """Work that gives the best it has when it is stopped."""
    done = 0
    try:
        for done in range(1, total + 1):
            work.report(done, total, "steps", best=f"{done}", note="counting")
            time.sleep(seconds)
            work.check()
    except Interrupted:
        return ("stopped", done)
    return ("whole", done)


def until_stopped(work: Work):
    work.report(1)
    while True:
        work.check()
        time.sleep(0.005)


def deaf(seconds, work: Work):
    """Work that never looks whether it should stop."""
    work.report(1)
    time.sleep(seconds)
    return "late"


def hold_the_interpreter(seconds, work: Work):
    """As native code does that never lets other threads run."""
    work.report(1)
    ctypes.PyDLL(None).sleep(seconds)


def refuse(work: Work):
    raise DataError(ErrorCode.BAD_VALUE, "got 3", wanted="2", fix="take 2", details={"column": "a"})


def refuse_with_odd_details(work: Work):
    raise DataError(ErrorCode.BAD_VALUE, "got 3", details={"lock": threading.Lock(), "row": 1})


def divide(work: Work):
    return 1 // 0


class OddError(Exception):
    def __init__(self, first, second):
        super().__init__(first + second)


def raise_what_cannot_be_pickled(work: Work):
    raise OddError("a", "b")


def give_what_cannot_be_pickled(work: Work):
    return threading.Lock()


class Unreadable:
    def __reduce__(self):
        return int, ("no number",)


def give_what_cannot_be_read(work: Work):
    return Unreadable()


def leave(code, work: Work):
    sys.exit(code)


def exit_at_once(status, work: Work):
    os._exit(status)


def abort(work: Work):
    os.abort()


def allocate(size, seconds, work: Work):
    import numpy as np

    block = np.ones(size // 8)
    time.sleep(seconds)
    return float(block.sum())


def keep(size, work: Work):
    """Leaves its worker with memory that no later call needs."""
    kept.append(b"x" * size)
    return os.getpid()


def allocate_beyond_all(work: Work):
    import numpy as np

    return np.ones(1 << 60, dtype=np.int8)


def big(size, work: Work):
    import numpy as np

    return np.arange(size // 8)


def say(work: Work):
    print("to nobody")
    os.write(1, b"to nobody either")
    return sys.stdin.read()


def report_often(times, work: Work):
    for done in range(times):
        work.report(done + 1, times)
    return times


def leave_a_grandchild(work: Work):
    """Starts a process that holds the pipes and dies itself."""
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    os._exit(7)


def start_a_grandchild(work: Work):
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid
