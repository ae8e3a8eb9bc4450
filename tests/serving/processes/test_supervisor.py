"""Several processes behind one address, as callers and operators see them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest

from lepton.bundle import open_model
from lepton.core import LeptonError, UsageError
from lepton.serving import Limits, Sources
from lepton.serving.processes.supervisor import Supervisor
from tests.serving.models import write_scaled
from tests.serving.services.conftest import SHOP
from tests.serving.wire import Address, connect, read_answer, request

T = TypeVar("T")
TOKEN = "t" * 20
ROWS = "/v2/models/a/rows"
AUTHORIZATION = f"Authorization: Bearer {TOKEN}\r\n"


def soon(found: Callable[[], T | None], what: str = "it") -> T:
    """What `found` gives, as soon as it is true."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        if value := found():
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come")


class Served:
    """A supervisor in a thread, and a caller with its token."""

    def __init__(self, sources: Sources, **options: Any) -> None:
        self.supervisor = Supervisor(sources, port=0, **options)
        self.failure: list[BaseException] = []
        self._announced = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._announced.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self.supervisor.stop()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.supervisor.serve_forever(lambda _: self._announced.set())
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            self.failure.append(error)
        finally:
            self._announced.set()

    @property
    def address(self) -> Address:
        return "127.0.0.1", self.supervisor.port

    def get(self, path: str) -> Any:
        return request(self.address, "GET", path, headers={"Authorization": f"Bearer {TOKEN}"}).json

    def post(self, path: str, value: Any) -> Any:
        body = json.dumps(value).encode()
        return request(self.address, "POST", path, body, {"Authorization": f"Bearer {TOKEN}"}).json

    def predicts(self, connection: socket.socket) -> float:
        """The answer on a connection that stays open."""
        body = b'{"x0":3}'
        head = f"POST {ROWS} HTTP/1.1\r\nHost: a\r\n{AUTHORIZATION}Content-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return float(read_answer(connection.makefile("rb")).json["predictions"][0])

    def connections(self) -> list[int]:
        """As the workers last told; what was handed over since is not in it."""
        return [0 if child is None else child._connections for child in self.supervisor.children]

    def whole(self) -> bool:
        if not all(child is not None and child.ready.is_set() for child in self.supervisor.children):
            return False
        with contextlib.suppress(ConnectionError):  # it went to one that has just died
            headers = {"Authorization": f"Bearer {TOKEN}"}
            return request(self.address, "GET", "/v2/health/ready", headers=headers).status == 200
        return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    write_scaled(folder / "a.lepton", 2.0)
    write_scaled(folder / "slow.lepton", 2.0)
    return folder


TRAFFIC = """
splits:
  canary:
    shares: {a: 0.9, slow: 0.1}
    headers: [{name: x-tier, equals: beta, to: slow}]
    bounds: {slow: {p95_ms: 0.001, count: 20}}
"""


@pytest.fixture(scope="module")
def served(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    limits = Limits(drain_time=5.0)
    traffic = tmp_path_factory.mktemp("rules") / "traffic.yaml"
    traffic.write_text(TRAFFIC)
    options: dict[str, Any] = {"traffic": traffic, "watch": 0.2, "token": TOKEN, "limits": limits, "hang_time": 60.0}
    with Served(Sources([folder]), processes=2, services=[SHOP], **options) as served:
        assert not served.failure
        yield served
    assert not served.failure


def test_connections_go_to_the_process_with_the_fewest(served: Served) -> None:
    soon(lambda: served.connections() == [0, 0], "the end of those before")
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(connect(served.address, 60)) for _ in range(6)]
        assert [served.predicts(each) for each in opened] == [6.0] * 6
        soon(lambda: served.connections() == [3, 3], "an even share")
    assert sorted(served.supervisor.gather("process")) == sorted(
        child.process_id for child in served.supervisor.children if child is not None
    )


class TestServices:
    def call(self, connection: socket.socket, path: str, value: Any = None) -> Any:
        method, body = ("GET", b"") if value is None else ("POST", json.dumps(value).encode())
        head = f"{method} /v2/{path} HTTP/1.1\r\nHost: a\r\n{AUTHORIZATION}Content-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return read_answer(connection.makefile("rb")).json

    def _result(self, connection: socket.socket, task: str) -> Any:
        found = self.call(connection, f"tasks/{task}")
        return found if found["state"] == "done" else None

    def test_each_worker_has_its_own_and_their_counts_are_summed(self, served: Served) -> None:
        soon(lambda: served.connections() == [0, 0], "the end of those before")
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(connect(served.address, 60)) for _ in range(6)]
            soon(lambda: min(served.connections()) >= 3, "an even share")
            assert {self.call(each, "services/shop/whoami", {})["result"] > 0 for each in opened} == {True}
            assert len({self.call(each, "services/shop/whoami", {})["result"] for each in opened}) == 2
            text = request(served.address, "GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).body
        lines = text.decode().splitlines()
        assert 'lepton_service_requests_total{service="shop",method="whoami",status="200"} 12' in lines
        assert 'lepton_service_state{service="shop",state="ready"} 2' in lines
        assert served.supervisor.services == [["shop", "ready", ""]]

    def test_a_task_is_known_to_all(self, served: Served) -> None:
        soon(lambda: served.connections() == [0, 0], "the end of those before")
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(connect(served.address, 60)) for _ in range(4)]
            soon(lambda: min(served.connections()) >= 2, "an even share")
            task = self.call(opened[0], "services/shop/count", {"steps": 2})["id"]
            for each in opened:
                found = soon(partial(self._result, each, task), "the result")
                assert found["result"] == 2


def test_metrics_are_those_of_all(served: Served) -> None:
    def answered() -> int:
        """Answers to rows that any process says all of them have given."""
        text = request(served.address, "GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).body.decode()
        lines = [line for line in text.splitlines() if line.startswith("lepton_requests_total{") and '"200"' in line]
        return sum(int(line.rpartition(" ")[2]) for line in lines if 'route="rows"' in line)

    before = answered()
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(connect(served.address, 60)) for _ in range(4)]
        for _ in range(5):
            for each in opened:
                served.predicts(each)
        soon(lambda: answered() == before + 20, "the sum")


def test_every_process_takes_up_a_new_version_under_the_same_number(served: Served, folder: Path) -> None:
    write_scaled(folder / "a.lepton", 3.0)
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(connect(served.address, 60)) for _ in range(4)]
        soon(lambda: {served.predicts(each) for each in opened} == {9.0}, "the new version")
    soon(served.whole, "one state")
    assert {child.models[0][1] for child in served.supervisor.children if child is not None} == {"2"}


def test_what_one_process_is_asked_to_change_changes_in_all(served: Served) -> None:
    assert served.post("/v2/repository/models/a/unload", {})["versions"][0]["reason"] == "it was unloaded"
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(connect(served.address, 60)) for _ in range(4)]
        for each in opened:
            with pytest.raises(KeyError):
                served.predicts(each)
    assert served.post("/v2/repository/models/x/load", {})["code"] == "unknown-model"
    assert "versions" in served.post("/v2/repository/models/a/load", {})
    assert served.post("/v2/repository/index", {"ready": True})[0]["version"] == "2"


def _all_know(served: Served) -> None:
    """Wait until every worker has left the canary out."""
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            soon(partial(_left_out, stack.enter_context(connect(served.address, 60))), "the roll-back")


def _left_out(connection: socket.socket) -> bool:
    connection.sendall(f"GET /v2/health/ready HTTP/1.1\r\nHost: a\r\n{AUTHORIZATION}\r\n".encode())
    return "slow" in read_answer(connection.makefile("rb")).json.get("rolled_back", {}).get("canary", {})


def test_all_follow_a_roll_back(served: Served) -> None:
    body = b'{"x0":3}'
    head = (
        f"POST /v2/models/canary/rows HTTP/1.1\r\nHost: a\r\n{AUTHORIZATION}x-tier: beta\r\nContent-Length: 8\r\n\r\n"
    )
    with connect(served.address, 60) as connection:
        assert not _left_out(connection)
        for _ in range(25):  # one of the workers sees all of them
            connection.sendall(head.encode() + body)
            assert read_answer(connection.makefile("rb")).status == 200
    _all_know(served)


def test_who_dies_is_replaced_and_the_others_answer_on(served: Served) -> None:
    soon(served.whole)
    before = served.get("/v2/models/a")["workers"]["restarts"]
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(connect(served.address, 60)) for _ in range(4)]
        for each in opened:
            served.predicts(each)
        soon(lambda: sum(served.connections()) == 4)
        first = served.supervisor.children[0]
        assert first is not None
        os.kill(first.process_id, signal.SIGKILL)
        answered = 0
        for each in opened:
            with contextlib.suppress(ConnectionError):
                answered += served.predicts(each) == 9.0
        assert answered == 2
    # Until its end was seen, the process that died still counts as there.
    soon(lambda: served.supervisor.children[0] is not first, "its end is seen")
    soon(served.whole, "a new process")
    told = served.get("/v2/models/a")["workers"]
    assert (told["processes"], told["restarts"]) == (2, before + 1)
    assert "SIGKILL" in told["last_cause"]
    _all_know(served)  # who came later, too


def test_connections_wait_while_nobody_is_there(served: Served) -> None:
    soon(served.whole)
    for child in list(served.supervisor.children):
        assert child is not None
        os.kill(child.process_id, signal.SIGKILL)
    soon(lambda: not any(child is not None and child.ready.is_set() for child in served.supervisor.children))
    with connect(served.address, 60) as connection:
        assert served.predicts(connection) == 9.0


def test_who_hangs_is_replaced_by_one_that_is_as_the_others_are(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon(served.whole)
    served.post("/v2/repository/models/a/unload", {})
    first = served.supervisor.children[0]
    assert first is not None
    os.kill(first.process_id, signal.SIGSTOP)
    monkeypatch.setattr(served.supervisor, "hang_time", 1.0)
    soon(lambda: first.cause, "its end")
    monkeypatch.undo()
    second = soon(lambda: child if (child := served.supervisor.children[0]) is not first else None, "a new one")
    soon(second.ready.is_set, "a new process")
    soon(lambda: second.models[0][2] == "unloaded", "the state of the others")
    served.post("/v2/repository/models/a/load", {})
    soon(served.whole, "one state")
    assert "nothing was heard of it for 1 s" in served.get("/v2/models/a")["workers"]["last_cause"]


def test_requests_in_flight_are_answered_before_it_stops(served: Served) -> None:
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(connect(served.address, 60)) for _ in range(5)]
        body = b'{"x0":3}'
        for each in opened:
            head = f"POST {ROWS} HTTP/1.1\r\nHost: a\r\n{AUTHORIZATION}Content-Length: {len(body)}\r\n\r\n"
            each.sendall(head.encode() + body)
        served.supervisor.stop()  # connections that wait to be taken up are taken up
        assert [read_answer(each.makefile("rb")).status for each in opened] == [200] * 5
    served._thread.join(60)
    assert not served.failure


@pytest.mark.parametrize(
    "options", [{"processes": 0}, {"processes": 2, "grpc_port": 0}, {"processes": 2, "port": 70_000}]
)
def test_what_cannot_be_shared_is_refused(folder: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Supervisor(Sources([folder]), **options)
    with pytest.raises(UsageError, match="opened model"):
        Supervisor({"a": open_model(folder / "a.lepton")}, processes=2)


def test_a_model_that_cannot_be_opened_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "a.lepton").write_bytes(b"no model")
    served = Served(Sources.of({"a": tmp_path / "a.lepton"}), processes=1)
    with served:
        assert isinstance(served.failure[0], LeptonError)
        assert "a.lepton" in str(served.failure[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_workers_end_with_their_supervisor(folder: Path, number: int) -> None:
    command = [sys.executable, "-m", "lepton", "serve", str(folder / "a.lepton"), "--port", "0", "--processes", "2"]
    command += ["--log-format", "json"]
    log, environment = folder / "log", {**os.environ, "LEPTON_LOG": "info"}
    with (
        log.open("wb") as lines,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=lines, text=True, env=environment) as process,
    ):
        assert process.stdout is not None
        url = process.stdout.readline()
        assert url.endswith("/v2/models/a\n")
        port = urlsplit(url).port
        assert port is not None
        assert request(("127.0.0.1", port), "GET", "/v2/models/a").status == 200
        assert process.stdout.readline() == "2 processes\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 2
        process.send_signal(number)
        assert process.wait(60) == (0 if number == signal.SIGTERM else -number)
    soon(lambda: not any(map(lives, children)), "the end of the workers")
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["status"] for line in told if line.get("path") == "/v2/models/a"] == [200]


def lives(process_id: str) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # nobody may be there to bury it
