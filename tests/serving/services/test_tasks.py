from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lepton.serving import Server
from tests.serving.services.conftest import SHOP, ask, call, quick_server, wait_for, wait_until_ready


def _submitted(server: Server, method: str, **parameters: Any) -> str:
    answer = call(server, method, **parameters)
    assert answer.status == 202, answer.body
    assert answer.headers["location"] == f"/v2/tasks/{answer.json['id']}"
    return str(answer.json["id"])


def _task(server: Server, task: str) -> dict[str, Any]:
    return dict(ask(server, "GET", f"/v2/tasks/{task}").json)


def _ended(server: Server, task: str) -> dict[str, Any]:
    return dict(wait_for(lambda: (found := _task(server, task))["state"] not in {"queued", "running"} and found))


def test_a_task_has_progress_and_a_result(shop: Server):
    found = _ended(shop, _submitted(shop, "count", steps=3))
    assert (found["state"], found["result"], found["method"]) == ("done", 3, "count")
    assert found["progress"] == {"done": 3, "total": 3, "unit": "steps", "best": "", "note": ""}
    assert found["created"] <= found["started"] <= found["ended"]


def test_calls_are_answered_while_a_task_runs_and_the_next_waits(shop: Server, tmp_path: Path):
    marker = tmp_path / "marker"
    first = _submitted(shop, "count", steps=1, marker=str(marker))
    wait_for(lambda: _task(shop, first)["state"] == "running")
    second = _submitted(shop, "count", steps=2)
    assert call(shop, "echo", value=1).json == {"result": 1}
    assert _task(shop, second)["state"] == "queued"
    marker.touch()
    assert (_ended(shop, first)["result"], _ended(shop, second)["result"]) == (1, 2)


def test_tasks_are_cancelled(shop: Server, tmp_path: Path):
    running = _submitted(shop, "count", steps=1, marker=str(tmp_path / "never"))
    wait_for(lambda: _task(shop, running)["state"] == "running")
    waiting = _submitted(shop, "count", steps=2)
    assert ask(shop, "DELETE", f"/v2/tasks/{waiting}").json["state"] == "cancelled"
    assert ask(shop, "DELETE", f"/v2/tasks/{running}").status == 200
    found = _ended(shop, running)
    assert (found["state"], "error" in found) == ("cancelled", False)
    assert ask(shop, "DELETE", f"/v2/tasks/{running}").json["state"] == "cancelled"


def test_a_task_that_fails_says_no_more_than_a_call(shop: Server):
    found = _ended(shop, _submitted(shop, "fail", die=False))
    assert (found["state"], found["error"]["code"]) == ("failed", "service-failed")
    assert "secret" not in str(found)


def test_a_task_whose_process_dies_is_interrupted_unless_it_is_safe(shop: Server, tmp_path: Path):
    found = _ended(shop, _submitted(shop, "fail", die=True))
    assert (found["state"], found["error"]["code"]) == ("interrupted", "service-died")
    wait_until_ready(shop)
    marker = tmp_path / "marker"
    steady = _submitted(shop, "steady", marker=str(marker), ends=False)
    wait_for(marker.exists)
    call(shop, "die")
    found = _ended(shop, steady)
    assert (found["state"], found["result"]) == ("done", "steady")
    assert marker.read_text() == "begun\nbegun\n"


def test_tasks_that_nobody_knows(shop: Server):
    for method in ("GET", "DELETE"):
        assert ask(shop, method, "/v2/tasks/nothing").json["code"] == "unknown-task"


def test_an_error_of_ours_is_told_as_one(shop: Server, monkeypatch: pytest.MonkeyPatch):
    tasks = shop.services._tasks
    assert tasks is not None

    def fail(_: str) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(tasks._store, "get", fail)
    answer = ask(shop, "GET", "/v2/tasks/x")
    assert (answer.status, answer.json["code"], b"secret" in answer.body) == (500, "internal", False)


def test_tasks_outlive_the_server(tmp_path: Path):
    state = tmp_path / "state"
    with quick_server(SHOP, state=state) as server:
        done = _submitted(server, "count", steps=1)
        _ended(server, done)
        running = _submitted(server, "count", steps=1, marker=str(tmp_path / "never"))
        wait_for(lambda: _task(server, running)["state"] == "running")
        marker = tmp_path / "marker"
        waiting = _submitted(server, "steady", marker=str(marker))
    assert not marker.exists()
    with quick_server(SHOP, state=state) as server:
        assert _task(server, done)["result"] == 1
        assert _task(server, running)["state"] == "interrupted"
        assert _ended(server, waiting)["result"] == "steady"
