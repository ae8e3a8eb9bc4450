"""The local engine keeps the contract, and what happens to its processes stays there."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from lepton.compute import LocalEngine, State
from lepton.compute.channel import Channel
from lepton.core import ErrorCode, Interrupted, LeptonError, Resources, UsageError, WorkerError
from tests.compute.engine_contract import ONE, TASKS, EngineContract, begin, wait_for


def open_files() -> list[str]:
    return sorted(str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())


def children() -> list[int]:
    """Child processes of this one, zombies too."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(stat.parent.name))
    return found


def exists(process: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class TestLocalEngine(EngineContract):
    @pytest.fixture
    def engine(self):
        before = children()
        with LocalEngine() as engine:
            yield engine
        assert children() == before
        wait_for(lambda: all(thread.name != "lepton-call" for thread in threading.enumerate()))

    # --- workers are kept

    def test_imports_stay_warm(self, engine):
        first, second = self.run(engine, "describe"), self.run(engine, "describe")
        assert first["process"] == second["process"] != os.getpid()
        assert first["parent"] == os.getpid()
        assert first["imported"] == second["imported"]

    def test_threads_are_set_before_the_import(self, engine):
        one = self.run(engine, "describe")
        two = self.run(engine, "describe", resources=Resources(cpus=2))
        assert (one["threads"], two["threads"]) == ("1", "2")
        assert one["process"] != two["process"]
        assert not exists(one["process"])  # one worker at most

    def test_the_caller_s_script_is_not_run_again(self, engine):
        assert self.run(engine, "describe")["main"] is None

    def test_several_workers_work_at_once(self):
        with LocalEngine(workers=2) as engine:
            first, second = begin(engine, "until_stopped"), begin(engine, "until_stopped")
            third = engine.submit(f"{TASKS}:add", {"a": 1, "b": 1}, ONE)
            assert [handle.state for handle in (first, second, third)] == [State.RUNNING, State.RUNNING, State.QUEUED]
            second.cancel()
            assert third.result(30) == 2
            assert first.state is State.RUNNING

    @pytest.mark.parametrize("workers", [0, -1])
    def test_no_workers(self, workers):
        with pytest.raises(UsageError, match=f"workers={workers}"):
            LocalEngine(workers=workers)

    # --- the queue

    def test_queued_work_is_cancelled_and_killed_at_once(self, engine):
        running = begin(engine, "until_stopped")
        second, third = (engine.submit(f"{TASKS}:add", {"a": 1, "b": 1}, ONE) for _ in range(2))
        second.cancel()
        third.kill()
        with pytest.raises(Interrupted, match="before it began"):
            second.result(1)
        with pytest.raises(WorkerError, match="killed on request"):
            third.result(1)
        assert (second.state, third.state, running.state) == (State.CANCELLED, State.KILLED, State.RUNNING)
        running.cancel()
        assert self.run(engine, "add", a=1, b=1) == 2

    def test_time_runs_in_the_queue(self, engine):
        running = begin(engine, "until_stopped")
        queued = engine.submit(f"{TASKS}:add", {"a": 1, "b": 1}, ONE, within=0.2)
        with pytest.raises(Interrupted, match="before a worker was free"):
            queued.result(10)
        assert running.state is State.RUNNING

    def test_close_drops_what_is_queued(self, engine):
        begin(engine, "until_stopped")
        queued = engine.submit(f"{TASKS}:add", {"a": 1, "b": 1}, ONE)
        engine.close()
        with pytest.raises(Interrupted, match="closed"):
            queued.result(1)

    # --- faults

    def faulty(self, engine, task, match, code=ErrorCode.WORKER_DIED, resources=ONE, **args):
        handle = engine.submit(f"{TASKS}:{task}", args, resources)
        with pytest.raises(WorkerError, match=match) as caught:
            handle.result(30)
        assert caught.value.code is code
        assert handle.state is State.FAILED
        assert self.run(engine, "add", a=1, b=1) == 2  # with a worker anew
        return caught.value

    def test_a_crash(self, engine):
        error = self.faulty(engine, "abort", "was ended by SIGABRT")
        assert error.details == {"signal": "SIGABRT"}

    @pytest.mark.parametrize("status", [0, 3])
    def test_an_exit(self, engine, status):
        error = self.faulty(engine, "exit_at_once", f"exit code {status} before it gave a result", status=status)
        assert error.details == {"exit_code": status}

    def test_too_much_memory(self, engine):
        limited = Resources(cpus=1, memory=200_000_000)
        error = self.faulty(
            engine,
            "allocate",
            r"took .* MB of memory\. Wanted: at most 200 MB",
            ErrorCode.OUT_OF_MEMORY,
            limited,
            size=400_000_000,
            seconds=30,
        )
        assert error.details["resident"] > error.details["limit"] == 200_000_000

    def test_memory_within_the_limit(self, engine):
        roomy = Resources(cpus=1, memory=900_000_000)
        assert self.run(engine, "allocate", resources=roomy, size=400_000_000, seconds=0.1) == 50_000_000

    def test_a_worker_that_holds_much_is_not_kept_for_little(self, engine):
        holder = self.run(engine, "keep", size=200_000_000)
        same = self.run(engine, "describe", resources=Resources(cpus=1, memory=1_000_000_000))
        other = self.run(engine, "describe", resources=Resources(cpus=1, memory=300_000_000))
        assert holder == same["process"] != other["process"]

    def test_the_system_kills(self, engine):
        handle = begin(engine, "until_stopped")
        os.kill(children()[-1], signal.SIGKILL)
        with pytest.raises(WorkerError, match=r"ended by SIGKILL.*ran out of memory"):
            handle.result(30)
        assert self.run(engine, "add", a=1, b=1) == 2

    def test_an_idle_worker_dies(self, engine):
        process = self.run(engine, "describe")["process"]
        os.kill(process, signal.SIGKILL)
        wait_for(lambda: os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT))
        assert self.run(engine, "add", a=1, b=1) == 2

    @pytest.mark.parametrize("task", ["deaf", "hold_the_interpreter"])
    def test_deaf_work_is_killed(self, engine, task):
        handle = begin(engine, task, seconds=60)
        handle.cancel()
        time.sleep(0.2)
        assert handle.state is State.RUNNING
        begun = time.monotonic()
        handle.kill()
        with pytest.raises(WorkerError, match="killed on request"):
            handle.result(30)
        assert time.monotonic() - begun < 2
        assert self.run(engine, "add", a=1, b=1) == 2

    def test_deaf_work_ends_at_the_deadline(self, engine):
        self.run(engine, "add", a=1, b=1)  # else the start of the worker is part of the time
        begun = time.monotonic()
        handle = begin(engine, "deaf", seconds=60, within=0.5)
        with pytest.raises(WorkerError, match=r"was killed as it went on after its 500\.0 ms"):
            handle.result(30)
        assert 2.4 < time.monotonic() - begun < 10  # 0.5 s and the 2 s that are granted
        assert handle.state is State.KILLED

    def test_what_a_worker_started_ends_with_it(self, engine):
        grandchild = self.run(engine, "start_a_grandchild")
        assert exists(grandchild)
        handle = begin(engine, "until_stopped")
        handle.kill()
        wait_for(lambda: not exists(grandchild))

    def test_a_dead_worker_whose_child_holds_the_pipe(self, engine):
        self.faulty(engine, "leave_a_grandchild", "exit code 7")

    def test_details_that_cannot_travel_become_text(self, engine):
        with pytest.raises(LeptonError, match="got 3") as caught:
            self.run(engine, "refuse_with_odd_details")
        assert caught.value.details["row"] == "1"
        assert "lock" in caught.value.details["lock"]

    def test_the_cause_is_the_child_s_traceback(self, engine):
        with pytest.raises(WorkerError) as caught:
            self.run(engine, "divide")
        assert "return 1 // 0" in str(caught.value.__cause__)

    def test_prints_do_not_reach_the_pipe(self, engine, capfd):
        assert self.run(engine, "say") == ""
        assert capfd.readouterr().out == ""

    def test_a_result_that_does_not_fit_here(self, engine, monkeypatch):
        def receive(self):
            raise MemoryError

        monkeypatch.setattr(Channel, "receive", receive)
        handle = engine.submit(f"{TASKS}:add", {"a": 1, "b": 1}, ONE)
        with pytest.raises(WorkerError, match="does not fit") as caught:
            handle.result(30)
        assert caught.value.code is ErrorCode.OUT_OF_MEMORY
        monkeypatch.undo()
        assert self.run(engine, "add", a=1, b=1) == 2

    def test_a_worker_that_cannot_start(self, engine, monkeypatch):
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        handle = engine.submit(f"{TASKS}:add", {"a": 1, "b": 1}, ONE)
        with pytest.raises(WorkerError, match="no worker could be started: No such file"):
            handle.result(1)

    def test_nothing_is_left_after_many(self):
        with LocalEngine() as warm_up:  # what the first engine of a process opens for good
            self.run(warm_up, "add", a=1, b=1)
        files, threads = open_files(), threading.active_count()
        with LocalEngine(workers=2) as engine:
            for number in range(50):
                handle = engine.submit(f"{TASKS}:add", {"a": number, "b": 1}, ONE)
                assert handle.result(30) == number + 1
                if number % 10 == 9:
                    begin(engine, "until_stopped").kill()
            assert len(children()) <= 2
        gc.collect()
        assert open_files() == files
        assert children() == []
        wait_for(lambda: threading.active_count() <= threads)


class TestTheParentDies:
    SCRIPT = textwrap.dedent(
        """
        import sys, time
        from lepton.compute import LocalEngine
        from lepton.core import Resources
        engine = LocalEngine()
        print(engine.submit("tests.compute.tasks:describe", {}, Resources(cpus=1)).result()["process"], flush=True)
        if sys.argv[1] != "idle":
            engine.submit(f"tests.compute.tasks:{sys.argv[1]}", {"seconds": 60} if sys.argv[1] == "deaf" else {},
                          Resources(cpus=1))
        if sys.argv[2] == "exit":
            sys.exit()
        time.sleep(60)
        """
    )

    @pytest.mark.parametrize("end", ["kill", "exit"])
    @pytest.mark.parametrize("task", ["idle", "until_stopped", "deaf"])
    def test_its_workers_end(self, task, end):
        root = Path(__file__).parents[2]
        command = [sys.executable, "-c", self.SCRIPT, task, end]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
            assert parent.stdout is not None
            worker = int(parent.stdout.readline())
            if end == "kill":
                time.sleep(0.3)
                parent.kill()
        wait_for(lambda: not exists(worker), 5)
