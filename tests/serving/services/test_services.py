from __future__ import annotations

import json
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lepton.core import ErrorCode, LeptonError, UsageError
from lepton.serving import Server
from tests.serving.services.conftest import SHOP, ask, call, quick_server, wait_for
from tests.serving.wire import request


def test_a_call_goes_to_the_service_and_back(shop: Server):
    answer = call(shop, "box", box={"width": 1.5}, kind="b", weights=[[1, 2]])
    assert (answer.status, answer.json) == (200, {"result": {"width": 3.0, "name": "b"}})
    assert answer.headers["content-type"] == "application/json"
    assert ask(shop, "POST", "/v2/services/shop/echo").json == {"result": None}


def test_calls_that_come_together_are_run_together(shop: Server):
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda number: call(shop, "rank", user="me", items=["x" * number]), range(6)))
    assert [each.json["result"]["scores"] for each in found] == [[float(number)] for number in range(6)]
    assert max(each.json["result"]["calls"] for each in found) > 1


@pytest.mark.parametrize(
    ("path", "value", "status", "code"),
    [
        ("rank", {"user": 5, "items": []}, 422, "bad-parameter"),
        ("rank", {"user": "me"}, 422, "bad-parameter"),
        ("rank", {"user": "me", "items": [], "work": 1}, 422, "bad-parameter"),
        ("rank", [], 400, "bad-request"),
        ("rank", b'{"user": NaN}', 400, "bad-request"),
        ("rank", b'{"user": "a", "user": "b"}', 400, "bad-request"),
        ("rank", b"[" * 200_000, 400, "bad-request"),
        ("rank", b'{"items": ' + b"[" * 65 + b"]" * 65 + b"}", 400, "bad-request"),
        ("rank", b'{"user": 123456789012345678901234567890}', 400, "bad-request"),
        ("count", {"steps": 1.5}, 422, "bad-parameter"),
        ("nowhere", {}, 404, "unknown-service"),
        ("__init__", {}, 404, "unknown-service"),
        ("check", {}, 404, "unknown-service"),
        ("%00", {}, 404, "unknown-service"),
        ("raises", {"what": "error"}, 500, "service-failed"),
        ("raises", {"what": "exit"}, 500, "service-failed"),
        ("wrong_result", {}, 500, "service-failed"),
    ],
)
def test_what_is_wrong_with_a_call_is_told(shop: Server, path: str, value: object, status: int, code: str):
    answer = ask(shop, "POST", f"/v2/services/shop/{path}", value)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert "secret" not in answer.body.decode()


def test_a_failure_can_be_found_in_the_log_by_the_request_id(shop: Server):
    answer = request(
        (shop.host, shop.port), "POST", "/v2/services/shop/wrong_result", b"{}", {"x-request-id": "my-request"}
    )
    assert answer.headers["x-request-id"] == "my-request"
    assert answer.json["details"] == {"request_id": "my-request"}


def test_services_are_listed_and_described(shop: Server):
    assert ask(shop, "GET", "/v2/services").json == {
        "services": [{"name": "shop", "state": "ready", "address": "/v2/services/shop"}]
    }
    found = ask(shop, "GET", "/v2/services/shop").json
    assert (found["name"], found["state"], found["doc"]) == ("shop", "ready", "Ranks, boxes and mischief.")
    assert {method["name"]: method["address"] for method in found["methods"]}["box"] == "/v2/services/shop/box"
    assert shop.services.schemas()["shop"]["methods"][0]["parameters"]["type"] == "object"
    assert ask(shop, "GET", "/v2/services/other").json["code"] == "unknown-service"
    assert ask(shop, "GET", "/v2/health/ready").json["services"] == {"shop": "ready"}
    assert request((shop.host, shop.port), "HEAD", "/v2/services/shop").status == 200


def test_methods_stand_in_the_openapi_document(shop: Server):
    paths = ask(shop, "GET", "/openapi.json").json["paths"]
    rank, count = (paths[f"/v2/services/shop/{name}"]["post"] for name in ("rank", "count"))
    assert rank["summary"] == "Length of each item."
    assert rank["requestBody"]["content"]["application/json"]["schema"]["required"] == ["user", "items"]
    assert set(count["responses"]) >= {"202", "422", "503"}


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "shop/rank", "POST"), ("POST", "shop", "GET, HEAD"), ("PUT", "shop/rank", "POST")],
)
def test_other_methods_are_refused(shop: Server, method: str, path: str, allow: str):
    answer = ask(shop, method, f"/v2/services/{path}", {} if method != "GET" else None)
    assert (answer.status, answer.headers["allow"]) == (405, allow)


def test_its_own_check_decides_whether_it_is_well(shop: Server):
    call(shop, "set_health", value="no disk left")
    ready = "/v2/services/shop/ready"
    answer = wait_for(lambda: b"no disk left" in (found := ask(shop, "GET", ready)).body and found)
    assert (answer.status, answer.json["code"]) == (503, "not-ready")
    assert call(shop, "echo", value=1).json == {"result": 1}
    call(shop, "set_health", value=True)
    wait_for(lambda: ask(shop, "GET", ready).status == 200)


def test_more_calls_than_may_wait_are_refused_at_once(shop: Server, tmp_path: Path):
    marker = tmp_path / "marker"
    with ThreadPoolExecutor(2) as holding, ThreadPoolExecutor(16) as pool:
        held = [holding.submit(call, shop, "hold", marker=str(marker)) for _ in range(2)]
        host = shop.services._hosts["shop"]
        wait_for(lambda: host.running == 2)
        refused = threading.Event()

        def echo(number: int) -> int:
            answer = call(shop, "echo", value=number)
            if answer.status == 503:
                assert answer.json["code"] == "overloaded"
                refused.set()
            return answer.status

        calls = [pool.submit(echo, number) for number in range(16)]
        assert refused.wait(60)
        wait_for(lambda: sum(each.done() for each in calls) == 8)
        marker.touch()
        assert sorted(each.result() for each in calls) == [200] * 8 + [503] * 8
        assert [each.result().json for each in held] == [{"result": True}] * 2


def test_a_caller_that_is_gone_is_forgotten(shop: Server, tmp_path: Path):
    marker = tmp_path / "marker"
    with ThreadPoolExecutor(2) as holding:
        held = [holding.submit(call, shop, "hold", marker=str(marker)) for _ in range(2)]
        host = shop.services._hosts["shop"]
        wait_for(lambda: host.running == 2)
        gone = socket.create_connection((shop.host, shop.port))
        body = json.dumps({"value": 1}).encode()
        head = f"POST /v2/services/shop/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        gone.sendall(head.encode() + body)
        wait_for(lambda: len(host._queues) == 1)
        gone.close()
        wait_for(lambda: len(host._queues) == 0)
        marker.touch()
        assert all(each.result().status == 200 for each in held)


class TestNames:
    def test_a_model_and_a_service_may_not_have_one_name(self, bundles: dict[str, Path]):
        with pytest.raises(UsageError, match="two models or services have the name 'price'") as caught:
            Server({"price": bundles["price"]}, port=0, services=[f"price={SHOP}"])
        assert caught.value.code is ErrorCode.BAD_NAME

    def test_nor_two_services(self):
        with pytest.raises(UsageError, match=r"other=service\.py:Shop"):
            quick_server(SHOP, SHOP)

    def test_a_server_of_nothing_is_refused(self):
        with pytest.raises(UsageError, match="got no model to serve"):
            Server({}, port=0)


def test_a_server_without_services_has_no_such_addresses(server: Server):
    for method, path in [("GET", "/v2/services"), ("POST", "/v2/services/shop/rank"), ("DELETE", "/v2/tasks/x")]:
        assert ask(server, method, path, {} if method == "POST" else None).json["code"] == "unknown-route"


def test_a_service_that_cannot_start_says_why_and_stops_no_model(bundles: dict[str, Path], tmp_path: Path):
    (tmp_path / "broken.py").write_text("raise RuntimeError('secret')\n")
    (tmp_path / "leaves.py").write_text("import os\nos._exit(7)\n")
    (tmp_path / "needs.py").write_text(
        "import lepton\nclass Needs(lepton.Service):\n    @lepton.method\n    def go(self) -> None: ...\n"
        "    def start(self):\n        raise SystemExit('secret')\n"
    )
    given = [f"{tmp_path / name}.py:{cls}" for name, cls in [("broken", "B"), ("leaves", "L"), ("needs", "Needs")]]
    with Server({"price": bundles["price"]}, port=0, services=given) as server:
        assert ask(server, "GET", "/v2/models/price/ready").status == 200
        ready = ask(server, "GET", "/v2/health/ready")
        assert (ready.status, set(ready.json["services"].values())) == (200, {"failed"})
        answers = {name: ask(server, "POST", f"/v2/services/{name}/go", {}) for name in ("b", "l", "needs")}
    assert {answer.json["code"] for answer in answers.values()} == {"not-ready"}
    assert "its code raised RuntimeError when it was started" in answers["b"].json["error"]
    assert "it ended with the code 7" in answers["l"].json["error"]
    assert "its code raised SystemExit" in answers["needs"].json["error"]
    assert "secret" not in "".join(answer.body.decode() for answer in answers.values())


def test_a_service_may_have_an_environment_of_its_own(tmp_path: Path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nOWN=yes exec {sys.executable} "$@"\n')
    python.chmod(0o700)
    (tmp_path / "service.py").write_text(
        "import os\nimport lepton\nclass Own(lepton.Service):\n    @lepton.method\n"
        "    def environment(self) -> str:\n        return os.environ['OWN']\n"
    )
    with quick_server(f"{tmp_path / 'service.py'}:Own", service_python=str(python)) as server:
        assert ask(server, "POST", "/v2/services/own/environment").json == {"result": "yes"}
    with pytest.raises(UsageError, match="there is no interpreter 'nowhere/python'"):
        quick_server(SHOP, service_python="nowhere/python")


def test_a_server_whose_only_service_cannot_start_does_not_start(tmp_path: Path):
    path = tmp_path / "service.py"
    path.write_text("import lepton\nclass Other(lepton.Service): ...\n")
    with pytest.raises(LeptonError, match=r"no service 'Shop'.*as Other"):
        quick_server(f"{path}:Shop").start()


def test_every_method_stands_in_the_metrics(shop: Server):
    def lines() -> list[str]:
        return ask(shop, "GET", "/metrics").body.decode().splitlines()

    def number(line: str) -> float:
        return next((float(each.rpartition(" ")[2]) for each in lines() if each.startswith(line + " ")), 0.0)

    labels = 'service="shop",method="box"'
    before = number(f'lepton_service_requests_total{{{labels},status="200"}}')
    call(shop, "box", box={"width": 1})
    call(shop, "box", box=5)
    call(shop, "nowhere")
    assert number(f'lepton_service_requests_total{{{labels},status="200"}}') == before + 1
    assert number(f'lepton_service_errors_total{{{labels},code="bad-parameter"}}') >= 1
    assert number(f"lepton_service_seconds_count{{{labels}}}") >= before + 2
    assert number('lepton_service_state{service="shop",state="ready"}') == 1
    assert not any("nowhere" in line for line in lines())
    task = call(shop, "count", steps=1).json["id"]
    wait_for(lambda: ask(shop, "GET", f"/v2/tasks/{task}").json["state"] == "done")
    assert number('lepton_service_tasks_total{service="shop",method="count",state="done"}') >= 1
