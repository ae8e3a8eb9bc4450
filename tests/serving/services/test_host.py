"""What a service does to its process, and what callers see of it."""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lepton.core import ErrorCode, ServingError
from lepton.serving import Server
from tests.serving.services.conftest import QUICK, SHOP, ask, call, quick_server, wait_for, wait_until_ready


def test_a_process_that_dies_is_started_again(shop: Server):
    answer = call(shop, "die")
    assert (answer.status, answer.json["code"]) == (503, "service-died")
    wait_until_ready(shop)
    assert call(shop, "echo", value="alive").json == {"result": "alive"}
    assert ask(shop, "GET", "/v2/services/shop").json["restarts"] >= 1


def test_what_was_not_begun_waits_for_the_next_process(shop: Server, tmp_path: Path):
    host = shop.services._hosts["shop"]
    marker = tmp_path / "never"
    with ThreadPoolExecutor(3) as pool:
        held = [pool.submit(call, shop, "hold", marker=str(marker)) for _ in range(2)]
        wait_for(lambda: host.running == 2)
        waits = pool.submit(call, shop, "echo", value=5)
        wait_for(lambda: len(host._queues) == 1)
        assert host._process is not None
        assert host._process._process is not None
        os.kill(host._process._process.pid, 9)
        assert {each.result().json["code"] for each in held} == {"service-died"}
        assert waits.result().json == {"result": 5}


def test_a_safe_call_is_run_again_once(shop: Server, tmp_path: Path):
    assert call(shop, "die_once", marker=str(tmp_path / "marker")).json == {"result": "again"}
    assert call(shop, "die_always").json["code"] == "service-died"


def test_a_call_that_hangs_is_ended(shop: Server):
    answer = call(shop, "hang")
    assert (answer.status, answer.json["code"]) == (504, "service-timeout")
    assert "shop.hang was ended after its timeout of 0.2 s" in answer.json["error"]
    wait_until_ready(shop)


def test_a_check_that_hangs_is_no_health_and_stops_no_call(shop: Server):
    call(shop, "set_health", value="hang")
    wait_for(lambda: b"its check takes longer than 1 s" in ask(shop, "GET", "/v2/services/shop/ready").body)
    assert call(shop, "echo", value=1).json == {"result": 1}
    call(shop, "die")


def test_a_service_that_hangs_when_it_is_loaded_is_given_up(tmp_path: Path):
    path = tmp_path / "service.py"
    path.write_text("import time\ntime.sleep(600)\n")
    server = quick_server(f"{path}:Shop")
    server.services.limits = dataclasses.replace(QUICK, start_time=0.2)
    with pytest.raises(ServingError, match=r"it was not ready in 0\.2 s") as caught:
        server.start()
    assert caught.value.code is ErrorCode.NOT_READY


def test_what_the_process_leaves_behind_is_ended_with_it(shop: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # of the server, and so of the next process
    call(shop, "die")
    wait_until_ready(shop)
    assert call(shop, "die", leave_child=True).json["code"] == "service-died"
    child = int((tmp_path / "child.pid").read_text())
    wait_for(lambda: not _runs(child))


def test_a_server_that_stops_ends_its_services():
    with quick_server(SHOP) as server:
        process = server.services._hosts["shop"]._process
        assert process is not None
        assert process._process is not None
        number = process._process.pid
        assert _runs(number)
    wait_for(lambda: not _runs(number))
    assert set(server.services.states().values()) == {"stopped"}


def _runs(process: int) -> bool:
    """Whether a process runs, and is not only waited for by whoever has adopted it."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
