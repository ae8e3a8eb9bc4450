"""What every engine promises. An engine is tested by a subclass that gives the fixture `engine`."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from lepton.compute import State
from lepton.core import DataError, ErrorCode, Interrupted, ProgressRecord, Resources, UsageError, Work, WorkerError

TASKS = "tests.compute.tasks"
ONE = Resources(cpus=1)


def wait_for(condition, seconds=10.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.005)


def begin(engine, task, **args):
    """Submit work that reports once it has begun, and wait for that."""
    limits = {name: args.pop(name) for name in ("within",) if name in args}
    handle = engine.submit(f"{TASKS}:{task}", args, ONE, **limits)
    wait_for(handle.progress)
    return handle


class EngineContract:
    @pytest.fixture
    def engine(self):
        raise NotImplementedError

    def run(self, engine, task, *, resources=ONE, seed=0, within=None, **args):
        return engine.submit(f"{TASKS}:{task}", args, resources, seed=seed, within=within).result(30)

    # --- results

    def test_a_result(self, engine):
        handle = engine.submit(f"{TASKS}:add", {"a": 2, "b": 3}, ONE)
        assert handle.result(30) == 5
        assert handle.result() == 5
        assert handle.state is State.DONE

    # An engine keeps nothing of a call, and each of the subclasses has its own.
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors])
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        )
    )
    def test_any_plain_value_comes_back(self, engine, value):
        assert self.run(engine, "add", a=[value], b=[]) == [value]

    def test_arguments_are_copies(self, engine):
        mine = [1]
        back = self.run(engine, "add", a=mine, b=[])
        back.append(2)
        assert mine == [1]

    def test_a_large_result(self, engine):
        values = self.run(engine, "big", size=100_000_000)
        assert values.shape == (12_500_000,)
        assert values[-1] == 12_499_999

    def test_a_large_argument(self, engine):
        values = np.arange(2_000_000.0)
        assert np.array_equal(self.run(engine, "add", a=values, b=0), values)

    def test_not_finished_yet(self, engine):
        handle = begin(engine, "until_stopped")
        with pytest.raises(TimeoutError, match=r"not finished after 0\.01 s"):
            handle.result(0.01)
        assert handle.state is State.RUNNING
        handle.cancel()

    def test_many_at_once(self, engine):
        handles = [engine.submit(f"{TASKS}:add", {"a": number, "b": 1}, ONE) for number in range(20)]
        assert [handle.result(30) for handle in handles] == list(range(1, 21))

    # --- what the work is told

    def test_work_carries_seed_and_resources(self, engine, tmp_path):
        resources = Resources(cpus=2, scratch=tmp_path)
        told = self.run(engine, "describe", resources=resources, seed=11)
        assert told["seed"] == 11
        assert told["part"] == Work(seed=11).seed_for("part")
        assert told["resources"] == resources
        assert told["within"] is None
        assert told["remaining"] is None

    def test_the_clock_starts_with_the_call(self, engine):
        told = self.run(engine, "describe", within=50)
        assert told["within"] == 50
        assert 40 < told["remaining"] < 50

    def test_relative_paths_mean_the_same(self, engine, tmp_path, monkeypatch):
        self.run(engine, "describe")
        monkeypatch.chdir(tmp_path)
        assert self.run(engine, "describe")["folder"] == str(tmp_path)

    # --- progress

    def test_progress_arrives_while_the_work_runs(self, engine):
        handle = engine.submit(f"{TASKS}:count", {"total": 1000, "seconds": 0.01}, ONE)
        wait_for(lambda: handle.progress() and handle.progress().done >= 3)
        assert handle.state is State.RUNNING
        record = handle.progress()
        assert (record.total, record.unit, record.note) == (1000, "steps", "counting")
        assert record.best == f"{record.done}"
        assert record.elapsed > 0
        handle.cancel()

    def test_no_progress_before_the_first(self, engine):
        handle = engine.submit(f"{TASKS}:add", {"a": 2, "b": 3}, ONE)
        handle.result(30)
        assert handle.progress() is None

    def test_the_last_progress_is_never_lost(self, engine):
        seen: list[ProgressRecord] = []
        args = {"times": 20_000}
        handle = engine.submit(f"{TASKS}:report_often", args, ONE, reporter=seen.append)
        assert handle.result(30) == 20_000
        assert seen[-1].done == handle.progress().done == 20_000
        assert [record.done for record in seen] == sorted(record.done for record in seen)

    def test_a_reporter_that_raises_ends_the_work(self, engine):
        def reporter(record):
            raise RuntimeError("no more")

        handle = engine.submit(f"{TASKS}:until_stopped", {}, ONE, reporter=reporter)
        with pytest.raises(WorkerError, match=r"the reporter of .*: no more"):
            handle.result(30)
        assert handle.state is State.FAILED
        assert self.run(engine, "add", a=1, b=1) == 2

    # --- stopping

    def test_cancelled_work_gives_the_best_so_far(self, engine):
        handle = begin(engine, "count", total=10_000, seconds=0.01)
        handle.cancel()
        word, done = handle.result(30)
        assert word == "stopped"
        assert done < 10_000
        assert handle.state is State.DONE

    def test_cancelled_work_with_nothing_to_give(self, engine):
        handle = begin(engine, "until_stopped")
        handle.cancel()
        handle.cancel()
        with pytest.raises(Interrupted, match="asked to stop"):
            handle.result(30)
        assert handle.state is State.CANCELLED

    def test_a_cancel_is_for_one_call_only(self, engine):
        handle = begin(engine, "until_stopped")
        handle.cancel()
        with pytest.raises(Interrupted):
            handle.result(30)
        handle.cancel()
        assert self.run(engine, "count", total=3, seconds=0) == ("whole", 3)

    def test_the_deadline_stops_the_work(self, engine):
        self.run(engine, "add", a=1, b=1)
        begun = time.monotonic()
        handle = engine.submit(f"{TASKS}:count", {"total": 10_000, "seconds": 0.01}, ONE, within=1)
        assert handle.result(30)[0] == "stopped"
        assert 1 <= time.monotonic() - begun < 10
        with pytest.raises(Interrupted, match=r"the time of 0\.3 s is over"):
            self.run(engine, "until_stopped", within=0.3)

    def test_killed_work_has_no_result(self, engine):
        handle = begin(engine, "until_stopped")
        handle.kill()
        with pytest.raises(WorkerError, match=rf"{TASKS}:until_stopped was killed on request") as caught:
            handle.result(30)
        assert caught.value.code is ErrorCode.WORKER_DIED
        assert handle.state is State.KILLED
        assert self.run(engine, "add", a=1, b=1) == 2

    def test_finished_work_stays_as_it_is(self, engine):
        handle = engine.submit(f"{TASKS}:add", {"a": 2, "b": 3}, ONE)
        handle.result(30)
        handle.kill()
        handle.cancel()
        assert (handle.state, handle.result()) == (State.DONE, 5)

    def test_close_kills_what_runs(self, engine):
        handle = begin(engine, "until_stopped")
        engine.close()
        engine.close()
        with pytest.raises(WorkerError, match="killed"):
            handle.result(30)
        assert handle.state is State.KILLED
        with pytest.raises(UsageError, match="closed"):
            self.run(engine, "add", a=1, b=1)

    # --- errors

    def test_a_refusal_arrives_as_itself(self, engine):
        with pytest.raises(DataError) as caught:
            self.run(engine, "refuse")
        error = caught.value
        assert (error.code, error.came, error.wanted) == (ErrorCode.BAD_VALUE, "got 3", "2")
        assert (error.fix, error.details) == ("take 2", {"column": "a"})

    @pytest.mark.parametrize(
        ("task", "kind", "message"),
        [("divide", "ZeroDivisionError", "division"), ("raise_what_cannot_be_pickled", "OddError", "ab")],
    )
    def test_any_other_error_is_told(self, engine, task, kind, message):
        handle = engine.submit(f"{TASKS}:{task}", {}, ONE)
        with pytest.raises(WorkerError, match=rf"{TASKS}:{task} raised {kind}: .*{message}") as caught:
            handle.result(30)
        assert caught.value.code is ErrorCode.INTERNAL
        assert caught.value.details == {"type": kind}
        assert caught.value.__cause__ is not None
        assert "Traceback" not in str(caught.value)
        assert str(Path(__file__).parent) not in str(caught.value.to_dict())
        assert handle.state is State.FAILED

    def test_no_memory_left(self, engine):
        with pytest.raises(WorkerError, match="no memory left") as caught:
            self.run(engine, "allocate_beyond_all")
        assert caught.value.code is ErrorCode.OUT_OF_MEMORY

    def test_the_work_leaves(self, engine):
        with pytest.raises(WorkerError, match="exit code 3") as caught:
            self.run(engine, "leave", code=3)
        assert caught.value.code is ErrorCode.WORKER_DIED
        assert self.run(engine, "add", a=1, b=1) == 2

    def test_a_result_that_cannot_travel(self, engine):
        with pytest.raises(WorkerError, match=r"the result of .* of type lock, cannot go"):
            self.run(engine, "give_what_cannot_be_pickled")
        with pytest.raises(WorkerError, match=r"the result of .* cannot be read: ValueError"):
            self.run(engine, "give_what_cannot_be_read")
        assert self.run(engine, "add", a=1, b=1) == 2

    def test_an_argument_that_cannot_travel(self, engine):
        with pytest.raises(UsageError, match="the argument 'b', of type lock"):
            self.run(engine, "add", a=1, b=threading.Lock())

    @pytest.mark.parametrize("entry_point", ["", "module", "a:b:c", "../a:b", "a b:c", "a:", ":b", "a:b()", None, 3])
    def test_what_is_no_entry_point(self, engine, entry_point):
        with pytest.raises(UsageError, match=r"'package\.module:function'"):
            engine.submit(entry_point, {}, ONE)

    @pytest.mark.parametrize(
        "entry_point", ["not_there:run", f"{TASKS}:not_there", f"{TASKS}:imported", f"{TASKS}:add.not_there"]
    )
    def test_entry_points_that_are_not_there(self, engine, entry_point):
        with pytest.raises(UsageError, match=entry_point):
            engine.submit(entry_point, {}, ONE).result(30)

    def test_bad_limits(self, engine):
        with pytest.raises(UsageError, match="within=-1"):
            engine.submit(f"{TASKS}:add", {}, ONE, within=-1)
        with pytest.raises(UsageError, match="'work'"):
            engine.submit(f"{TASKS}:add", {"work": 1}, ONE)

    def test_a_caller_whose_folder_is_gone(self, engine, tmp_path, monkeypatch):
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        with pytest.raises(DataError, match="working folder"):
            self.run(engine, "describe")
