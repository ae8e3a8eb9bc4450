"""A server with a traffic file, as callers see it; and no wrong or dropped answer while rules and models change."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lepton.bundle import open_model
from lepton.client import Client
from lepton.core import LeptonError, UsageError
from lepton.serving import Server, Sources
from lepton.store import write_text
from tests.serving.models import write_scaled
from tests.serving.wire import Answer, post, request

RULES = """
aliases: {champion: a@1, cheap: b}
splits:
  a:
    shares: {a@1: 0.5, a@3: 0.5}
    by: x-user
    headers: [{name: x-tier, equals: beta, to: b}]
    shadow: {to: b, share: 1}
    bounds: {a@3: {errors: 0.1, count: 20, drift: true}}
pipelines: {cost_of_width: [area, cost]}
ensembles: {both: {of: [a@1, a@3], by: mean}}
cache: {b: {rows: 10, seconds: 600}, champion: {rows: 10, seconds: 600}}
"""


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("rules") / "traffic.yaml"
    path.write_text(RULES)
    with Server(Sources([folder]), port=0, traffic=path) as server:
        yield server


def wait_until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.005)


def ask(
    server: Server, name: str, value: float = 1.0, headers: dict[str, str] | None = None, kind: str = "infer"
) -> Answer:
    body: Any = {"inputs": [{"name": "numbers", "datatype": "FP64", "shape": [1, 1], "data": [value]}]}
    if kind == "rows":
        body = {"x0": value}
    data = json.dumps(body).encode()
    return request((server.host, server.port), "POST", f"/v2/models/{name}/{kind}", data, headers or {})


def told(server: Server, path: str = "/v2/traffic") -> Any:
    return request((server.host, server.port), "GET", path).json


def test_an_alias_says_which_model_it_is(server: Server) -> None:
    answer = ask(server, "champion").json
    assert (answer["model_name"], answer["model_version"]) == ("a", "1")
    assert ask(server, "champion/versions/1").status == 200
    assert ask(server, "champion/versions/3").status == 404
    assert ask(server, "nobody").json["code"] == "unknown-model"
    metadata = told(server, "/v2/models/champion")
    assert (metadata["name"], metadata["version"], metadata["traffic"]["alias_of"]) == ("a", "1", "a@1")
    assert told(server, "/v2/models/champion/ready")["version"] == "1"


def test_callers_stay_on_their_side_and_every_answer_says_its_own(server: Server) -> None:
    seen = set()
    for user in range(20):
        answers = [
            ask(server, "a", headers={"x-user": str(user)}, kind=kind).json for kind in ("infer", "rows", "rows")
        ]
        versions = {answer["model_version"] for answer in answers}
        assert len(versions) == 1
        assert answers[0]["outputs"][0]["data"] == [float(*versions)]
        assert answers[1]["predictions"] == [float(*versions)]
        seen |= versions
    assert seen == {"1", "3"}
    beta = ask(server, "a", headers={"x-tier": "beta", "x-user": "1"}).json
    assert (beta["model_name"], beta["outputs"][0]["data"]) == ("b", [10.0])
    assert ask(server, "a/versions/1").json["model_version"] == "1"  # who names a version gets it
    assert {ask(server, "a", headers={"x-request-id": f"r{n}"}).json["model_version"] for n in range(20)} == {"1", "3"}


def test_pipelines_and_ensembles_have_names_and_metadata_of_their_own(server: Server) -> None:
    rows = [{"width": 1.5, "rooms": 4.0}]
    with Client(server.url) as client:
        assert client.predict("cost_of_width", rows) == [304.0]
        assert client.predict("both", [{"x0": 5.0}]) == [10.0]
        metadata = client.metadata("cost_of_width")
    assert (metadata["name"], metadata["version"], metadata["state"]) == ("cost_of_width", "1.1", "ready")
    assert [column["name"] for column in metadata["columns"]] == ["width", "rooms"]
    assert metadata["traffic"]["combination"]["answers_with"] == "area@1,cost@1"
    answer = post((server.host, server.port), "/v2/models/cost_of_width/rows", rows).json
    assert answer["parameters"] == {"parts": "area@1,cost@1"}
    assert ask(server, "both").json["parameters"] == {"parts": "a@1,a@3"}
    refused = post((server.host, server.port), "/v2/models/cost_of_width/rows", [{"width": 1, "area": 2}])
    assert (refused.status, refused.json["code"]) == (422, "missing-columns")


def test_a_shadow_is_compared_behind_the_answer(server: Server) -> None:
    before = told(server)["splits"]["a"]["shadow"]["requests"]
    for number in range(5):
        ask(server, "a", headers={"x-user": "1"}, value=float(number))
    wait_until(lambda: told(server)["splits"]["a"]["shadow"]["requests"] >= before + 5)
    shadow = told(server, "/v2/models/a")["traffic"]["split"]["shadow"]
    assert (shadow["to"], shadow["share"], shadow["failed"]) == ("b", 1.0, 0)
    assert shadow["mean_absolute_difference"] > 0


def test_kept_answers_are_counted_and_have_their_own_id(server: Server) -> None:
    assert ask(server, "b", 123.0).json["outputs"] == ask(server, "b", 123.0).json["outputs"]
    assert ask(server, "cheap", 123.0).json["outputs"][0]["data"] == [1230.0]  # kept under the name that is asked
    assert told(server)["caches"]["b"] == {"hits": 1, "misses": 1, "rows": 1, "max_rows": 10}
    body = {"id": "x", "inputs": [{"name": "numbers", "datatype": "FP64", "shape": [1, 1], "data": [123.0]}]}
    assert post((server.host, server.port), "/v2/models/b/infer", body).json["id"] == "x"
    assert told(server, "/v2/models/b")["traffic"]["cache"]["hits"] == 2


def test_a_canary_that_fails_gets_no_more_requests(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "traffic.yaml"
    path.write_text(RULES)
    with Server(Sources([folder]), port=0, traffic=path, watch=0.02) as server:

        def broken(*_: Any, **__: Any) -> Any:
            raise RuntimeError("secret of the server")

        canary = server.models.version("a", "3").predictor
        run = canary.run
        monkeypatch.setattr(canary, "run", broken)
        for _ in range(60):
            assert post((server.host, server.port), "/v2/models/a/rows", {"y": 1}).status == 422
        assert "rolled_back" not in told(server, "/v2/health/ready")  # what callers do wrong is not the model's fault
        statuses = {ask(server, "a", headers={"x-user": str(user)}).status for user in range(60)}
        assert statuses == {200, 500}
        reason = told(server, "/v2/health/ready")["rolled_back"]["a"]["a@3"]
        assert "of 20 requests failed" in reason
        assert "secret" not in reason
        monkeypatch.setattr(canary, "run", run)
        answers = [ask(server, "a", headers={"x-user": str(user)}).json for user in range(60)]
        assert {answer["model_version"] for answer in answers} == {"1"}
        sides = told(server)["splits"]["a"]["sides"]
        assert (sides["a@3"]["share"], sides["a@3"]["rolled_back"]["reason"]) == (0.0, reason)
        assert ask(server, "a/versions/3").json["model_version"] == "3"
        path.write_text(RULES.replace("rows: 10,", "rows: 11,"))
        wait_until(lambda: told(server)["caches"]["b"]["max_rows"] == 11)
        assert told(server, "/v2/health/ready")["rolled_back"]  # the split is what it was
        path.write_text(RULES.replace("count: 20", "count: 30"))
        wait_until(lambda: "rolled_back" not in told(server, "/v2/health/ready"))
        assert server.traffic is not None
        server.traffic.alarm("a", "1", "another side has moved")
        assert "rolled_back" not in told(server, "/v2/health/ready")
        server.traffic.alarm("a", "3", "the column x0 has moved")
        assert told(server, "/v2/health/ready")["rolled_back"]["a"]["a@3"] == "drift: the column x0 has moved"
        (decided,) = server.traffic.roll_backs()
        path.write_text(RULES)
        wait_until(lambda: "rolled_back" not in told(server, "/v2/health/ready"))
        server.traffic.follow(decided)  # of other rules
        server.traffic.follow({**decided, "split": "nobody"})
        assert not server.traffic.roll_backs()
        server.traffic.alarm("a", "3", "again")
        (decided,) = server.traffic.roll_backs()
        assert (decided["split"], decided["side"], decided["reason"]) == ("a", "a@3", "drift: again")


def test_drift_that_is_found_rolls_back(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "traffic.yaml"
    path.write_text(RULES)
    with Server(Sources([folder]), port=0, traffic=path, state=tmp_path / "state") as server:
        recorder = server._watching._recorder
        assert recorder is not None
        report = SimpleNamespace(alarms=("x0",), state="alarm")
        watch: Any = SimpleNamespace(name="a", version="3", report=report)
        for listener in recorder.listeners:
            listener(watch)
        reason = told(server, "/v2/health/ready")["rolled_back"]["a"]["a@3"]
    assert reason == "drift: columns have shifted: x0"


def test_a_broken_file_is_refused_at_the_start_and_changes_nothing_later(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "traffic.yaml"
    path.write_text("aliases: {champion: a@9}")
    with pytest.raises(UsageError, match=r"aliases\.champion names 'a@9'"):
        Server(Sources([folder]), port=0, traffic=path).start()
    path.write_text("aliases: {champion: a@1}")
    with Server(Sources([folder]), port=0, traffic=path, watch=0.02) as server:
        path.write_text("aliases: {champion: a@9}")
        wait_until(lambda: told(server)["problem"] is not None)
        assert "a@9" in told(server)["problem"]
        assert ask(server, "champion").json["model_version"] == "1"
        path.write_text("aliases: {champion: a@3, other: b}")
        wait_until(lambda: told(server)["problem"] is None)
        assert ask(server, "champion").json["model_version"] == "3"
        path.unlink()
        wait_until(lambda: told(server)["problem"] is not None)
        assert ask(server, "champion").json["model_version"] == "3"


def test_a_server_without_rules_has_none_to_tell(folder: Path) -> None:
    with Server({"a": folder / "a" / "1.lepton"}, port=0) as server:
        assert told(server) == {}
        assert "traffic" not in told(server, "/v2/models/a")


def is_told(server: Server, section: str, name: str, wanted: str) -> bool:
    traffic = told(server)
    found = traffic["combinations"][name]["answers_with"] if section == "answers" else traffic[section][name]
    return bool(found == wanted)


@pytest.mark.parametrize("in_thread", [False, True])
def test_no_wrong_or_dropped_answer_while_shares_and_models_change(
    tmp_path: Path, in_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if in_thread:
        monkeypatch.setattr("lepton.serving.model_store.CHEAP_SECONDS", 0.0)
    (tmp_path / "a").mkdir()
    for version in (1, 2):
        write_scaled(tmp_path / "a" / f"{version}.lepton", float(version))
    path = tmp_path / "traffic.yaml"
    rules = (
        "splits: {{a: {{shares: {{a@1: {0}, a@2: {1}}}, by: x-user, shadow: {{to: a@1, share: 0.5}}}}}}\n"
        "aliases: {{champion: a@{2}}}\n"
        "ensembles: {{both: {{of: [a@1, a], by: mean}}}}\n"
        "cache: {{a: {{rows: 5000, seconds: 60}}}}\n"
    )
    write_text(path, rules.format(0.5, 0.5, 1))
    ends, problems, counts = threading.Event(), [], []

    def call(caller: int, server: Server) -> None:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
        number = 0
        while not ends.is_set():
            number += 1
            name, value = ("a", "champion", "both")[number % 3], float(1 + caller * 10 + number % 5)
            connection.request("POST", f"/v2/models/{name}/rows", json.dumps({"x0": value}), {"x-user": str(caller)})
            response = connection.getresponse()
            answer = json.loads(response.read())
            if response.status != 200:
                problems.append(answer)
                continue
            parts = answer.get("parameters", {}).get("parts", f"a@{answer['model_version']}").split(",")
            wanted = sum(int(part.partition("@")[2]) for part in parts) / len(parts) * value
            if abs(answer["predictions"][0] - wanted) > 1e-9 * wanted:
                problems.append((value, answer))
        counts.append(number)
        connection.close()

    with Server(Sources([tmp_path]), port=0, watch=0.02, traffic=path) as server, ThreadPoolExecutor(12) as pool:
        server.repository._trial = lambda bundle: open_model(bundle).model_id
        calls = [pool.submit(call, caller, server) for caller in range(12)]
        try:
            for turn in range(1, 7):
                champion, newest = 1 + turn % 2, turn + 2
                write_text(path, rules.format(*((0.0, 1.0) if turn % 2 else (0.9, 0.1)), champion))
                wait_until(partial(is_told, server, "aliases", "champion", f"a@{champion}"))
                write_scaled(tmp_path / "a" / f"{newest}.lepton", float(newest))
                wait_until(partial(is_told, server, "answers", "both", f"a@1,a@{newest}"))
        finally:
            ends.set()
        for made in calls:
            made.result()
        traffic = told(server)
    assert not problems
    assert sum(counts) > 300
    assert traffic["splits"]["a"]["shadow"]["failed"] == 0
    assert traffic["caches"]["a"]["hits"] > 0


def test_a_name_that_is_no_path(server: Server) -> None:
    for name in ("..%2fa", "champion%00", "a%401", "champion@1"):
        assert ask(server, name).status == 404
    with pytest.raises(LeptonError, match="no model"), Client(server.url) as client:
        client.metadata("nobody")
