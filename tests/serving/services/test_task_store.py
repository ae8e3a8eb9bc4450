from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lepton.core import ErrorCode, ServingError, StoreError
from lepton.serving.services import task_store
from lepton.serving.services.task_store import Task, TaskStore


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Iterator[TaskStore]:
    store = TaskStore(None, clock)
    yield store
    store.close()


def _task(name: str = "a", *, safe: bool = False, body: bytes = b"{}") -> Task:
    return Task(name, "shop", "count", "request", body, safe)


def test_a_task_from_the_queue_to_its_result(store: TaskStore, clock: Clock):
    assert store.add(_task()).state == "queued"
    clock.now = 1001.0
    taken = store.take("shop")
    assert taken is not None
    assert (taken.id, taken.state, taken.started, taken.attempts) == ("a", "running", 1001.0, 1)
    assert store.take("shop") is None
    assert store.note("a", '{"done": 1}') is False
    assert store.get("a").progress == '{"done": 1}'
    clock.now = 1002.0
    store.finish("a", "done", b'{"result": 1}')
    found = store.get("a")
    assert (found.state, found.ended, found.answer) == ("done", 1002.0, b'{"result": 1}')
    store.finish("a", "failed", None)
    assert store.get("a").state == "done"


def test_tasks_come_in_their_order_and_to_their_service(store: TaskStore, clock: Clock):
    for name in ("a", "b"):
        clock.now += 1
        store.add(_task(name))
    assert store.take("other") is None
    assert [task.id for task in (store.take("shop"), store.take("shop")) if task] == ["a", "b"]
    store.put_back("a")
    assert (again := store.take("shop")) is not None
    assert (again.id, again.attempts) == ("a", 2)


def test_what_waits_is_cancelled_and_what_runs_is_asked(store: TaskStore):
    store.add(_task("a"))
    assert store.cancel("a").state == "cancelled"
    assert store.take("shop") is None
    store.add(_task("b"))
    store.take("shop")
    assert store.note("b", None) is False
    cancelled = store.cancel("b")
    assert (cancelled.state, cancelled.cancelling) == ("running", True)
    assert store.note("b", None) is True
    store.finish("b", "done", b"{}")
    assert store.cancel("b").state == "done"


def test_a_task_that_nobody_knows(store: TaskStore):
    for ask in (store.get, store.cancel):
        with pytest.raises(ServingError, match="there is no task 'x'") as caught:
            ask("x")
        assert caught.value.code is ErrorCode.UNKNOWN_TASK


def test_only_so_many_may_wait(store: TaskStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(task_store, "_MAX_QUEUED", 2)
    monkeypatch.setattr(task_store, "_MAX_BYTES", 5000)
    store.add(_task("a", body=b"x" * 3000))
    with pytest.raises(ServingError, match="1 tasks wait already") as caught:
        store.add(_task("b", body=b"x" * 3000))
    assert caught.value.code is ErrorCode.OVERLOADED
    store.add(_task("b"))
    with pytest.raises(ServingError, match="2 tasks wait already"):
        store.add(_task("c"))


def test_what_has_ended_is_kept_for_a_week_and_within_bounds(
    store: TaskStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(task_store, "_MAX_BYTES", 5000)
    for name in ("a", "b", "c"):
        clock.now += 1
        store.add(_task(name))
        store.take("shop")
        store.finish(name, "done", b"x" * 1400)
    store.add(_task("d"))
    with pytest.raises(ServingError, match="no task 'a'"):
        store.get("a")
    assert store.get("b").state == "done"
    clock.now += 8 * 24 * 3600
    store.add(_task("e"))
    with pytest.raises(ServingError, match="no task 'c'"):
        store.get("c")
    assert store.get("d").state == "queued"


class TestRestart:
    def test_queued_and_finished_tasks_remain_and_safe_ones_run_again(self, tmp_path: Path):
        before = TaskStore(tmp_path / "state")
        for name, safe in [("done", False), ("ran", False), ("safe", True), ("asked", True), ("waits", False)]:
            before.add(_task(name, safe=safe))
        for _ in range(4):
            before.take("shop")
        before.finish("done", "done", b'{"result": 1}')
        before.cancel("asked")
        before.close()
        after = TaskStore(tmp_path / "state")
        after.recover("shop")
        states = {name: after.get(name).state for name in ("done", "ran", "safe", "asked", "waits")}
        assert states == {
            "done": "done", "ran": "interrupted", "safe": "queued", "asked": "interrupted", "waits": "queued"
        }  # fmt: skip
        assert after.get("done").answer == b'{"result": 1}'
        assert (again := after.take("shop")) is not None
        assert (again.id, again.attempts) == ("safe", 2)
        after.close()
        last = TaskStore(tmp_path / "state")
        last.recover("shop")
        assert last.get("safe").state == "interrupted"  # it was begun twice
        last.close()

    def test_what_runs_in_another_server_is_left_alone(self, tmp_path: Path):
        one, two = TaskStore(tmp_path), TaskStore(tmp_path)
        one.add(_task())
        assert one.take("shop") is not None
        two.recover("shop")
        assert two.get("a").state == "running"
        one.close()
        two.recover("shop")
        assert two.get("a").state == "interrupted"
        two.close()

    def test_what_runs_in_another_process_is_left_to_it_as_long_as_it_lives(self, tmp_path: Path):
        program = (
            "import sys, time; from pathlib import Path; from lepton.serving.services.task_store import *\n"
            "store = TaskStore(Path(sys.argv[1])); store.add(Task('a', 'shop', 'm', 'r', b'', False))\n"
            "store.take('shop'); print('taken', flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"taken\n"
            store = TaskStore(tmp_path)
            store.recover("shop")
            assert store.get("a").state == "running"
            other.kill()
        store.recover("shop")
        assert store.get("a").state == "interrupted"
        store.close()

    def test_another_process_of_the_same_number_is_not_taken_for_it(self):
        assert not task_store._lives(f"{os.getppid()}/1/abc")


def test_a_state_folder_that_is_a_file_is_told(tmp_path: Path):
    (tmp_path / "state").write_text("")
    with pytest.raises(Exception, match="'state' is not a folder"):
        TaskStore(tmp_path / "state")
    (tmp_path / "tasks.sqlite").write_bytes(b"no database" * 500)
    with pytest.raises(StoreError, match=r"tasks\.sqlite"):
        TaskStore(tmp_path)
