from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from lepton.core import ProgressRecord, UsageError
from lepton.serving.services.child import Reporter, Runner, load_service
from lepton.serving.services.description import handlers_of
from tests.serving.services.shop import Shop


class Sent:
    """A link that keeps what is sent."""

    def __init__(self) -> None:
        self.frames: Queue[tuple[dict[str, Any], list[bytes]]] = Queue()

    def send(self, head: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
        self.frames.put((head, list(parts)))


class Started:
    """A service as its process runs it, in this one."""

    def __init__(self) -> None:
        self.link = Sent()
        self.runner = Runner(Shop(), handlers_of(Shop), self.link)  # type: ignore[arg-type]

    def ask(self, method: str, *bodies: Any, kind: str = "call") -> list[tuple[int, Any]]:
        given = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
        requests = [f"request-{number}" for number in range(len(given))]
        self.runner.take({"kind": kind, "id": 7, "method": method, "requests": requests}, given)
        head, parts = self.link.frames.get(timeout=60)
        assert (head["kind"], head["id"]) == ("answer", 7)
        return [
            (status, json.loads(part) if part else None) for status, part in zip(head["statuses"], parts, strict=True)
        ]


@pytest.fixture(scope="module")
def started() -> Started:
    return Started()


def test_a_call_gives_its_result(started: Started):
    assert started.ask("box", {"box": {"width": 1}}) == [(200, {"result": {"width": 2.0, "name": "a"}})]
    assert started.ask("echo", b"") == [(200, {"result": None})]


class TestBatches:
    def test_calls_are_handed_over_as_lists_and_get_their_own_results(self, started: Started):
        found = started.ask("rank", {"user": "a", "items": ["x"]}, {"user": "b", "items": []})
        assert found == [
            (200, {"result": {"calls": 2, "scores": [1.0]}}),
            (200, {"result": {"calls": 2, "scores": []}}),
        ]

    def test_a_call_that_does_not_fit_is_refused_without_the_others(self, started: Started):
        found = started.ask(
            "rank", {"user": 1, "items": []}, {"user": "b", "items": []}, b"{", {"user": "c", "items": []}
        )
        assert [status for status, _ in found] == [422, 200, 400, 200]
        assert found[1][1]["result"]["calls"] == 2

    def test_one_that_fails_spoils_no_other(self, started: Started):
        found = started.ask("rank", {"user": "a", "items": []}, {"user": "bad", "items": []})
        assert found[0] == (200, {"result": {"calls": 1, "scores": []}})
        assert (found[1][0], found[1][1]["code"]) == (500, "service-failed")

    def test_results_of_another_number_are_a_fault_of_the_service(
        self, started: Started, caplog: pytest.LogCaptureFixture
    ):
        with caplog.at_level(logging.ERROR):
            found = started.ask("rank", {"user": "short", "items": []})
        assert found[0][1]["code"] == "service-failed"
        assert "rank is called in batches, and gave 0 results for 1 calls" in caplog.text


class TestFaults:
    @pytest.mark.parametrize(
        ("method", "body"), [("raises", {"what": "x"}), ("raises", {"what": "exit"}), ("wrong_result", {})]
    )
    def test_what_the_code_raises_is_for_the_log_alone(
        self, started: Started, caplog: pytest.LogCaptureFixture, method: str, body: Any
    ):
        with caplog.at_level(logging.ERROR):
            ((status, answer),) = started.ask(method, body)
        assert (status, answer["code"], answer["details"]) == (500, "service-failed", {"request_id": "request-0"})
        assert "secret" not in json.dumps(answer)
        assert f"request request-0: {method} failed" in caplog.text
        assert "Traceback" in caplog.text

    def test_what_lepton_refuses_for_the_service_is_told(self, started: Started):
        ((status, answer),) = started.ask("raises", {"what": "refuse"})
        assert (status, answer["code"]) == (422, "bad-value")
        assert "one on earth" in answer["error"]

    @pytest.mark.parametrize(
        "body", [b"[", b"\xff", b'{"what": 1, "what": 2}', b"[" * 100_000, b'{"what": 99999999999999999999}']
    )
    def test_bodies_that_are_no_json_of_ours(self, started: Started, body: bytes):
        ((status, answer),) = started.ask("raises", body)
        assert (status, answer["code"]) == (400, "bad-request")


def test_parameters_of_a_task_are_looked_at_before(started: Started):
    assert started.ask("count", {"steps": 1}, kind="verify") == [(200, None)]
    ((status, answer),) = started.ask("count", {"steps": "1"}, kind="verify")
    assert (status, answer["details"]) == (422, {"parameter": "steps"})


def test_a_task_reports_and_stops_when_it_is_asked(started: Started, tmp_path: Path):
    head = {"kind": "task", "id": 9, "method": "count", "requests": ["r"]}
    started.runner.take(head, [json.dumps({"steps": 1, "marker": str(tmp_path / "never")}).encode()])
    progress, _ = started.link.frames.get(timeout=60)
    assert progress["progress"] == {"done": 1, "total": 1, "unit": "steps", "best": "", "note": ""}
    started.runner.take({"kind": "cancel", "id": 9}, [])
    answer, (body,) = started.link.frames.get(timeout=60)
    assert (answer["statuses"], json.loads(body)["code"]) == ([499], "interrupted")
    started.runner.take({"kind": "cancel", "id": 9}, [])  # it is over


@pytest.mark.parametrize(
    ("well", "health"), [(True, ""), (None, ""), (False, "its check says no"), ("no disk", "no disk"), ("", "")]
)
def test_health_is_what_the_check_says(well: Any, health: str):
    started = Started()
    started.runner._service.well = well  # type: ignore[attr-defined]
    started.runner.take({"kind": "check"}, [])
    assert started.link.frames.get(timeout=60)[0] == {"kind": "health", "health": health}


def test_a_check_that_raises_is_no_health(monkeypatch: pytest.MonkeyPatch):
    started = Started()
    monkeypatch.setattr(Shop, "check", lambda self: 1 / 0)
    assert started.runner.health() == "its check raised ZeroDivisionError; the server's log has the rest"


def test_progress_is_passed_on_now_and_then_and_at_the_end():
    link = Sent()
    report = Reporter(link, 3)  # type: ignore[arg-type]
    for done, elapsed in [(1, 0.0), (2, 0.01), (3, 0.05), (4, 0.2), (5, 0.21)]:
        report(ProgressRecord(done, 5, "rows", "", "", elapsed, None))
    told = [link.frames.get()[0]["progress"]["done"] for _ in range(link.frames.qsize())]
    assert told == [1, 4, 5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import lepton\n", "service.py has no service 'Shop'. Wanted: a class made of lepton.Service."),
        ("import lepton\nclass Other(lepton.Service): ...\n", "as Other."),
        ("class Shop: ...\n", "has no service 'Shop'"),
        ("import lepton\nclass Shop(lepton.Service):\n    threads = 0\n", "Shop.threads is 0"),
    ],
)
def test_files_without_such_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str):
    path = tmp_path / "service.py"
    path.write_text(text)
    monkeypatch.delitem(sys.modules, "service", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(UsageError) as caught:
        load_service(path, "Shop")
    sys.modules.pop("service")
    assert message in str(caught.value)


def test_threads_of_a_service_run_side_by_side(started: Started, tmp_path: Path):
    marker = tmp_path / "marker"
    body = json.dumps({"marker": str(marker)}).encode()
    started.runner.take({"kind": "call", "id": 1, "method": "hold", "requests": ["a"]}, [body])
    assert started.ask("echo", {"value": 1}) == [(200, {"result": 1})]
    marker.touch()
    assert started.link.frames.get(timeout=60)[0]["id"] == 1
