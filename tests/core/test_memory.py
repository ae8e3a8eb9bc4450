"""Freed memory goes back to the system."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from lepton.core.memory import give_back, keep_little, reusing_freed

HOARD = """
import numpy as np
from pathlib import Path
from lepton.core.memory import give_back
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])
pieces = [np.ones(10_000) for _ in range(2_000)]
kept = pieces[::400]
del pieces
before = resident()
give_back()
print(before - resident())
"""

STEPS = """
import resource
import sys
from contextlib import nullcontext
import numpy as np
from lepton.core.memory import reusing_freed
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    return len([np.ones(400_000) for _ in range(12)])
with reusing_freed() if sys.argv[1] == "reused" else nullcontext():
    step()
    before = faults()
    for _ in range(10):
        step()
    print(faults() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="tells the memory by /proc")
def test_what_was_freed_between_what_is_kept_goes_back():
    told = subprocess.run([sys.executable, "-c", HOARD], check=True, capture_output=True, text=True)
    assert int(told.stdout) * os.sysconf("SC_PAGE_SIZE") > 50_000_000


def test_without_such_a_library_nothing_happens(monkeypatch):
    def missing(_):
        raise OSError

    monkeypatch.setattr("ctypes.CDLL", missing)
    give_back()
    with reusing_freed():
        pass


def test_what_the_environment_says_stays(monkeypatch):
    monkeypatch.setenv("_RJEM_MALLOC_CONF", "narenas:1")
    keep_little()
    assert os.environ["_RJEM_MALLOC_CONF"] == "narenas:1"
    monkeypatch.delenv("_RJEM_MALLOC_CONF")
    keep_little()
    assert os.environ["_RJEM_MALLOC_CONF"] == "dirty_decay_ms:0,muzzy_decay_ms:0"
    monkeypatch.delenv("_RJEM_MALLOC_CONF")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's limits")
def test_what_was_freed_is_used_again():
    told = {
        how: int(subprocess.run([sys.executable, "-c", STEPS, how], check=True, capture_output=True, text=True).stdout)
        for how in ("reused", "as it is")
    }
    assert told["reused"] < told["as it is"] / 10
    assert told["as it is"] > 100  # far more where pages are small
