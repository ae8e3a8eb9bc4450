"""Requests that take their time: batches under load, refusals, deadlines, callers who leave, and large requests."""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lepton.bundle import Predictor, open_model
from lepton.core import BundleError, ErrorCode
from lepton.serving import Limits, ModelStore, Server
from lepton.serving.dispatch import Dispatcher, Ticket
from lepton.serving.protocols import InferenceProtocol, Request, Response
from tests.serving.models import write_scaled
from tests.serving.wire import Address, post, request

ROWS = "/v2/models/a/rows"
INFER = "/v2/models/a/infer"


@dataclass
class Gate:
    """Stands in a model's way: runs begin when `opened` is set, and are counted with their rows."""

    predictor: Predictor
    opened: threading.Event = field(default_factory=threading.Event)
    sizes: list[int] = field(default_factory=list)
    begun: queue.Queue[int] = field(default_factory=queue.Queue)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run = self.predictor.run

        def slow(tensors: Any, outputs: Any = None, *, options: Any = None) -> dict[str, NDArray[Any]]:
            rows = len(next(iter(tensors.values())))
            self.begun.put(rows)
            assert self.opened.wait(20)
            self.sizes.append(rows)
            return run(tensors, outputs, options=options)

        monkeypatch.setattr(self.predictor, "run", slow)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    store = ModelStore({"a": open_model(write_scaled(tmp_path / "a.lepton", 2.0))})
    store.open_all()
    store["a"].row_seconds = 1.0
    return store


@pytest.fixture
def gate(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(store["a"].predictor)
    gate.install(monkeypatch)
    yield gate
    gate.opened.set()


class Desk:
    """A dispatcher whose responses are kept in the order in which they come."""

    def __init__(self, store: ModelStore, **options: Any) -> None:
        self.responses: queue.Queue[tuple[str, Response]] = queue.Queue()
        self.dispatcher = Dispatcher(InferenceProtocol(store), lambda call: call(), **{"cpus": 1, **options})

    def ask(self, value: float | list[float], client: str = "a", **parameters: Any) -> Response | Ticket:
        values = [value] if isinstance(value, float) else value
        tensor = {"name": "numbers", "datatype": "FP64", "shape": [len(values), 1], "data": values}
        body = json.dumps({"id": str(values[0]), "inputs": [tensor], "parameters": parameters}).encode()
        made = Request("POST", INFER, body=body, client=client)
        return self.dispatcher.begin(made, lambda response: self.responses.put((client, response)))

    def next(self) -> tuple[int, Any]:
        _, response = self.responses.get(timeout=20)
        return response.status, json.loads(response.body)


@pytest.fixture
def desk(store: ModelStore) -> Iterator[Desk]:
    desk = Desk(store, max_waiting=4, max_batch=3)
    yield desk
    desk.dispatcher.close()


def test_what_comes_during_a_run_is_the_next_batch(desk: Desk, gate: Gate) -> None:
    desk.ask(1.0)
    assert gate.begun.get(timeout=5) == 1
    for value in (2.0, 3.0, 4.0, 5.0):
        assert isinstance(desk.ask(value), Ticket)
    gate.opened.set()
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        status, answer = desk.next()
        assert status == 200
        assert (answer["id"], answer["outputs"][0]["data"]) == (str(value), [2 * value])
    assert gate.sizes == [1, 3, 1]


def test_a_full_queue_refuses_at_once_before_it_reads(desk: Desk, gate: Gate) -> None:
    desk.ask(1.0)
    gate.begun.get(timeout=5)
    for value in (2.0, 3.0, 4.0, 5.0):
        desk.ask(value)
    refused = desk.dispatcher.begin(Request("POST", INFER, body=b"no JSON", client="a"), lambda _: None)
    assert isinstance(refused, Response)
    assert (refused.status, json.loads(refused.body)["code"]) == (503, "overloaded")
    assert ("retry-after", "1") in refused.headers
    assert isinstance(desk.ask(6.0, client="b"), Ticket)  # another caller has its share
    status, answer = desk.next()
    assert (status, answer["code"]) == (503, "overloaded")
    gate.opened.set()
    assert [desk.next()[0] for _ in range(5)] == [200] * 5
    assert isinstance(desk.ask(7.0), Ticket)
    assert desk.next()[0] == 200


def test_a_request_is_not_begun_after_its_timeout(desk: Desk, gate: Gate) -> None:
    desk.ask(1.0, timeout=10_000_000)
    gate.begun.get(timeout=5)
    desk.ask(2.0, timeout=10_000)
    desk.ask(3.0, timeout=60_000_000)
    desk.ask(4.0, timeout=0)
    time.sleep(0.05)
    gate.opened.set()
    found = [desk.next() for _ in range(4)]
    assert [status for status, _ in found] == [200, 504, 200, 200]
    assert found[1][1]["code"] == "deadline-passed"
    assert "0.01 s" in found[1][1]["error"]
    assert gate.sizes == [1, 2]
    assert isinstance(desk.ask(5.0, timeout=1), Ticket)  # a microsecond
    assert desk.next()[0] == 504


def test_who_leaves_is_not_run_for(desk: Desk, gate: Gate) -> None:
    desk.ask(1.0)
    gate.begun.get(timeout=5)
    tickets = [desk.ask(value) for value in (2.0, 3.0)]
    assert isinstance(tickets[0], Ticket)
    tickets[0].cancel()
    gate.opened.set()
    assert [desk.next()[1]["id"] for _ in range(2)] == ["1.0", "3.0"]
    assert gate.sizes == [1, 1]


def test_more_rows_than_a_batch_do_not_hold_up_the_others(desk: Desk, gate: Gate) -> None:
    desk.ask([float(number) for number in range(10)])
    assert gate.begun.get(timeout=5) == 10
    desk.ask(1.0)
    assert gate.begun.get(timeout=5) == 1  # while the ten rows are under way
    gate.opened.set()
    assert {desk.next()[1]["outputs"][0]["shape"][0] for _ in range(2)} == {1, 10}


def test_large_bodies_are_read_elsewhere_and_bounded(desk: Desk, gate: Gate, store: ModelStore) -> None:
    body = json.dumps({"inputs": [{"name": "numbers", "datatype": "FP64", "shape": [1, 1], "data": [1]}]}).encode()
    large = Request("POST", INFER, body=body + b" " * 40_000, client="a")
    found: queue.Queue[Response] = queue.Queue()
    assert isinstance(desk.dispatcher.begin(large, found.put), Ticket)
    assert gate.begun.get(timeout=5) == 1
    many = [desk.ask([0.0] * 10) for _ in range(6)]
    assert [isinstance(each, Response) for each in many] == [False] * 4 + [True] * 2
    gate.opened.set()
    assert found.get(timeout=5).status == 200


def test_an_error_of_ours_reaches_its_caller_alone(
    desk: Desk, store: ModelStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = store["a"].predictor.run

    def fails(tensors: Any, outputs: Any = None, *, options: Any = None) -> Any:
        if 13.0 in tensors["numbers"]:
            raise RuntimeError("secret")
        time.sleep(0.05)
        return run(tensors, outputs, options=options)

    monkeypatch.setattr(store["a"].predictor, "run", fails)
    for value in (1.0, 2.0, 13.0):
        desk.ask(value)
    found = [desk.next() for _ in range(3)]
    assert [status for status, _ in found] == [200, 200, 500]
    assert "secret" not in json.dumps(found)
    assert "secret" in caplog.text


def test_a_refusal_of_what_is_read_is_given_at_once(desk: Desk) -> None:
    for body, status in ((b"{", 400), (b'{"inputs": []}', 400)):
        found = desk.dispatcher.begin(Request("POST", INFER, body=body), lambda _: None)
        assert isinstance(found, Response)
        assert found.status == status


def test_nothing_is_left_after_closing(desk: Desk, gate: Gate) -> None:
    desk.ask(1.0)
    gate.begun.get(timeout=5)
    desk.ask(2.0)
    desk.dispatcher.close()
    gate.opened.set()
    assert desk.next()[0] == 504  # what ran was ended


class TestServer:
    """The same through sockets."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        path = write_scaled(tmp_path / "a.lepton", 2.0, layers=40, width=128)
        with Server({"a": path}, port=0, limits=Limits(max_waiting=8)) as server:
            server.models["a"].row_seconds = 1.0
            yield server

    def test_batches_answer_each_caller_with_its_own(self, server: Server) -> None:
        predictor = server.models["a"].predictor
        values = np.random.default_rng(0).normal(size=(16, 128))
        expected = [predictor.run({"numbers": row.reshape(1, -1)})["prediction"].tolist() for row in values]
        refused = []

        def call(caller: int) -> None:
            connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
            tensor = {"name": "numbers", "datatype": "FP64", "shape": [1, 128], "data": values[caller].tolist()}
            for _ in range(20):
                connection.request("POST", INFER, json.dumps({"inputs": [tensor]}))
                response = connection.getresponse()
                answer = json.loads(response.read())
                if response.status == 503:
                    refused.append(answer)
                    assert response.getheader("retry-after") == "1"
                    time.sleep(0.01)
                    continue
                np.testing.assert_allclose(answer["outputs"][0]["data"], expected[caller], rtol=1e-12)
            connection.close()

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(call, range(16)))
        assert all(answer["code"] == "overloaded" for answer in refused)

    def test_health_answers_while_the_queue_is_full(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        gate = Gate(server.models["a"].predictor)
        gate.install(monkeypatch)
        address = (server.host, server.port)
        tensor = {"name": "numbers", "datatype": "FP64", "shape": [1, 128], "data": [0] * 128}
        with ThreadPoolExecutor(12) as pool:
            calls = [pool.submit(post, address, INFER, {"inputs": [tensor]}) for _ in range(12)]
            gate.begun.get(timeout=5)
            time.sleep(0.3)
            started = time.monotonic()
            assert request(address, "GET", "/v2/health/ready").status == 200
            assert time.monotonic() - started < 0.5
            gate.opened.set()
            statuses = [call.result().status for call in calls]
        assert set(statuses) == {200, 503}

    def test_callers_who_leave_free_the_queue(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        gate = Gate(server.models["a"].predictor)
        gate.install(monkeypatch)
        address: Address = (server.host, server.port)
        tensor = {"name": "numbers", "datatype": "FP64", "shape": [1, 128], "data": [0] * 128}
        body = json.dumps({"inputs": [tensor]}).encode()
        ask = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        with contextlib.ExitStack() as stack:
            for _ in range(9):
                connection = stack.enter_context(socket.create_connection(address))
                connection.sendall(ask)
            gate.begun.get(timeout=5)
            time.sleep(0.3)
            assert post(address, INFER, {"inputs": [tensor]}).status == 503
        time.sleep(1.0)
        with ThreadPoolExecutor(1) as pool:
            last = pool.submit(post, address, INFER, {"inputs": [tensor]})
            time.sleep(0.2)
            gate.opened.set()
            assert last.result().status == 200
        assert sum(gate.sizes) <= 3


def endless(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the model run until it is ended, as onnxruntime does between two nodes."""

    def runs(tensors: Any, outputs: Any = None, *, options: Any = None) -> Any:
        while not options.terminate:
            time.sleep(0.001)
        raise BundleError(ErrorCode.GRAPH_REFUSED, "ended")

    monkeypatch.setattr(store["a"].predictor, "run", runs)


@pytest.mark.parametrize("rows", [1, 9])
def test_a_run_is_ended_at_its_deadline(
    store: ModelStore, desk: Desk, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    endless(store, monkeypatch)
    desk.ask([1.0] * rows, timeout=100_000)
    status, answer = desk.next()
    assert (status, answer["code"]) == (504, "deadline-passed")
    assert "0.1 s" in answer["error"]


def test_no_run_is_longer_than_runs_may_be(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    endless(store, monkeypatch)
    desk = Desk(store, max_run=0.1)
    desk.ask(1.0)
    status, answer = desk.next()
    assert (status, answer["code"]) == (504, "deadline-passed")
    desk.dispatcher.close()


def test_a_request_is_as_urgent_as_its_token_may_be(store: ModelStore, desk: Desk, gate: Gate) -> None:
    desk.ask(1.0)
    gate.begun.get(timeout=5)
    lane = desk.dispatcher._lane(store["a"])
    for value, priority in ((2.0, 1), (3.0, 8), (4.0, 0)):
        desk.ask(value, priority=priority)
    assert [each.priority for row in lane._rows.values() for each in row] == [5, 5, 8]
    refused = desk.ask(5.0, priority=10)
    assert isinstance(refused, Response)
    assert (refused.status, json.loads(refused.body)["code"]) == (400, "bad-request")
