"""The confined process keeps in what it should: each attempt is made by code inside it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from lepton.compute.confine import confine, why_not
from lepton.compute.sandbox import call_confined
from lepton.core import BundleError, DataError, ErrorCode, Interrupted, Resources, SecurityError, Work, WorkerError

needs_sandbox = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")

PROBE = """
import os, pickle, resource, socket, subprocess, threading, time

def attempts(path, parts):
    found = {}
    def attempt(name, function):
        try:
            function()
        except OSError as error:
            found[name] = error.errno
        else:
            found[name] = 0
    attempt("socket", socket.socket)
    attempt("unix socket", lambda: socket.socket(socket.AF_UNIX))
    attempt("pair", socket.socketpair)
    attempt("write", lambda: open(path + ".evil", "w"))
    attempt("truncate", lambda: os.truncate(path, 0))
    attempt("chmod", lambda: os.chmod(path, 0o777))
    attempt("utime", lambda: os.utime(path))
    attempt("link", lambda: os.link(path, "linked"))
    attempt("home", lambda: os.listdir(os.path.expanduser("~root")))
    attempt("passwd", lambda: open("/etc/passwd"))
    attempt("neighbour", lambda: open(os.path.dirname(path) + "/secret.txt"))
    attempt("parent", lambda: open(f"/proc/{os.getppid()}/environ"))
    attempt("fork", os.fork)
    attempt("program", lambda: subprocess.run(["/bin/true"]))
    attempt("signal", lambda: os.kill(os.getppid(), 0))
    attempt("group", os.setsid)
    attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19))
    attempt("limits", lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU))
    attempt("input", lambda: open(path).read())
    attempt("scratch", lambda: open("own", "w").write("x"))
    attempt("thread", lambda: threading.Thread(target=int).start())
    return {"found": found, "environment": sorted(os.environ)}, {"echo": parts.get("data", b"")[::-1]}


def unpickles(path, parts):
    return {"never": str(pickle.loads(open(path, "rb").read()))}, {}

def dies(parts):
    os.abort()

def waits(parts):
    time.sleep(60)

def grows(parts):
    held = [b"x" * (2**20 + place) for place in range(600)]
    time.sleep(60)

def exits(parts):
    raise SystemExit(3)

def prints(parts):
    print("x" * 10_000, flush=True)
    return {"fine": True}, {}
"""


@pytest.fixture(scope="module")
def probe(tmp_path_factory) -> Path:
    """A folder that counts as one of installed packages, with the code that tries to get out."""
    folder: Path = tmp_path_factory.mktemp("probe") / "site-packages"
    folder.mkdir()
    (folder / "lepton_sandbox_probe.py").write_text(textwrap.dedent(PROBE))
    (folder.parent / "model.bin").write_text("model")
    (folder.parent / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
def call(probe, monkeypatch):
    monkeypatch.syspath_prepend(str(probe))

    def called(name: str, arguments=None, parts=None, readable=(), work=None):
        work = work or Work(resources=Resources(cpus=1))
        entry_point = f"lepton_sandbox_probe:{name}"
        return call_confined(
            entry_point, arguments or {}, parts or {}, readable=readable, work=work, alternative="elsewhere"
        )

    return called


@needs_sandbox
def test_nothing_but_computing_is_left(call, probe, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    model = probe.parent / "model.bin"
    before = model.stat()
    told, parts = call("attempts", {"path": str(model)}, {"data": b"abc"}, readable=[model])
    allowed = {name for name, number in told["found"].items() if number == 0}
    assert allowed == {"input", "scratch", "thread"}, told["found"]
    assert "SECRET_TOKEN" not in told["environment"]
    assert parts == {"echo": b"cba"}
    assert model.read_text() == "model"
    after = model.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_size) == (before.st_mode, before.st_mtime_ns, before.st_size)
    assert not (probe.parent / "model.bin.evil").exists()


@needs_sandbox
def test_a_file_that_opens_a_socket_is_told_so(call, probe):
    import pickle
    import socket

    class Bomb:
        def __reduce__(self):
            return socket.create_connection, (("127.0.0.1", 1),)

    model = probe.parent / "bomb.bin"
    model.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(BundleError, match="the sandbox forbids") as raised:
        call("unpickles", {"path": str(model)}, readable=[model])
    assert raised.value.code == ErrorCode.BUNDLE_UNSAFE


@needs_sandbox
def test_a_process_that_dies_hangs_or_grows_is_an_error(call):
    with pytest.raises(WorkerError, match="SIGABRT"):
        call("dies")
    with pytest.raises(WorkerError, match="of memory") as raised:
        call("grows", work=Work(resources=Resources(cpus=1, memory=300_000_000)))
    assert raised.value.code == ErrorCode.OUT_OF_MEMORY
    with pytest.raises(WorkerError, match="too long"):
        call("waits", work=Work(0.5, resources=Resources(cpus=1)))
    stopped = Work(resources=Resources(cpus=1))
    stopped.cancel.set()
    with pytest.raises(Interrupted):
        call("waits", work=stopped)
    with pytest.raises(DataError, match="SystemExit"):
        call("exits")
    assert call("prints") == ({"fine": True}, {})


def test_without_a_sandbox_the_call_is_refused(call, monkeypatch):
    monkeypatch.setattr("lepton.compute.confine.platform.machine", lambda: "m68k")
    with pytest.raises(SecurityError, match="needs Linux on x86_64") as raised:
        call("prints")
    assert raised.value.fix == "elsewhere"


@needs_sandbox
def test_rights_are_given_up_by_the_only_thread(tmp_path):
    import threading

    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        with pytest.raises(OSError, match="threads"):
            confine([], tmp_path, file_size=1)
    finally:
        ended.set()
        thread.join()
