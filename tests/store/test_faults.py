"""Real faults: a disk that is full, a limit on the size of files, a writer that is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from lepton.store import expand, remove_leftovers, write_bytes

WRITERS = {
    "write_bytes": "files.write_bytes('a', b'x' * 3_000_000)",
    "numpy": """
        import numpy
        with files.replace_path('a') as path, path.open('wb') as file:
            numpy.zeros(400_000).tofile(file)
    """,
    "polars": """
        import numpy, polars
        with files.replace_path('a') as path:
            polars.DataFrame({'x': numpy.random.default_rng(0).random(400_000)}).write_parquet(path)
    """,
}

TRIAL = """
import json, os, pathlib, sys
from lepton.core import StoreError
from lepton.store import files
os.chdir(sys.argv[1])
files.write_bytes('a', b'old')
{limit}
try:
{write}
except StoreError as error:
    print(json.dumps([error.code, str(error), pathlib.Path('a').read_text(), os.listdir()]))
"""


def trial(write: str, limit: str = "") -> str:
    return TRIAL.format(write=textwrap.indent(textwrap.dedent(write), "    "), limit=limit)


def check(printed: str) -> None:
    assert '"store-full", "space ran out while \'a\' was written' in printed
    assert printed.strip().endswith('"old", ["a"]]')


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk(tmp_path, writer):
    mount = 'mount -t tmpfs -o size=1m tmpfs "$0"'
    if not shutil.which("unshare") or run(["unshare", "-Urm", "sh", "-c", mount], tmp_path).returncode:
        pytest.skip("this machine lets no user mount a small disk")
    script = tmp_path.with_suffix(".py")
    script.write_text(trial(WRITERS[writer]))
    done = run(["unshare", "-Urm", "sh", "-c", f'{mount} && exec {sys.executable} {script} "$0"'], tmp_path)
    check(done.stdout + done.stderr)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_limit_on_the_size_of_files(tmp_path, writer):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))"
    done = run([sys.executable, "-c", trial(WRITERS[writer], limit)], tmp_path)
    check(done.stdout + done.stderr)


def test_a_disk_with_room_is_no_fault(tmp_path):
    """The negative control of the two above: the same writers, no limit, nothing printed."""
    for write in WRITERS.values():
        done = run([sys.executable, "-c", trial(write)], tmp_path)
        assert (done.returncode, done.stdout, names(tmp_path)) == (0, "", ["a"])
        assert (tmp_path / "a").stat().st_size > 1_000_000


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    write_bytes(tmp_path / "a.csv", b"old")
    code = """
        import sys, time
        from lepton.store import replace_file
        with replace_file(sys.argv[1]) as file:
            file.write(b"half")
            file.flush()
            print("written", flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "a.csv")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "written\n"
        child.send_signal(signal.SIGKILL)
    assert (tmp_path / "a.csv").read_bytes() == b"old"
    left = [name for name in names(tmp_path) if name != "a.csv"]
    assert len(left) == 1  # it was really stopped in the middle
    assert expand(tmp_path / "*.csv") == (tmp_path / "a.csv",)
    os.utime(tmp_path / left[0], (time.time() - 2 * 86400,) * 2)
    assert remove_leftovers(tmp_path) == 1
    assert names(tmp_path) == ["a.csv"]
