"""The choice of thread, the shape of errors, the log."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from lepton.core import LeptonError
from lepton.serving import ModelStore
from lepton.serving.application import Application
from lepton.serving.dispatch import Dispatcher
from lepton.serving.guard import Guard
from lepton.serving.protocols import InferenceProtocol, Request, Response

ROWS = "/v2/models/sold/rows"


@pytest.fixture
def application(store: ModelStore) -> Application:
    protocol = InferenceProtocol(store)
    return Application(protocol, Guard("127.0.0.1"), Dispatcher(protocol, lambda call: call(), cpus=1))


def test_cheap_requests_run_on_the_loop_and_others_in_a_thread(
    application: Application, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert application.runs_inline(Request("GET", "/v2"))
    assert application.runs_inline(Request("POST", "/v2/models/unknown/rows", body=b"x" * 100_000))
    monkeypatch.setattr(store["sold"], "row_seconds", 1e-5)
    assert application.runs_inline(Request("POST", ROWS, body=b"x" * 1000))
    assert not application.runs_inline(Request("POST", ROWS, body=b"x" * 100_000))
    monkeypatch.setattr(store["sold"], "row_seconds", 1e-3)
    assert not application.runs_inline(Request("POST", ROWS, body=b"x"))


def test_tables_are_read_in_a_thread_however_small_and_for_rows_alone(
    application: Application, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store["sold"], "row_seconds", 1e-5)
    for given in ("text/csv", "application/vnd.apache.parquet", "multipart/form-data; boundary=x"):
        headers = {"host": "localhost", "content-type": given, "x-request-id": "1"}
        application.admit(Request("POST", ROWS, headers))
        assert not application.runs_inline(Request("POST", ROWS, headers, b"x"))
        with pytest.raises(LeptonError) as caught:
            application.admit(Request("POST", ROWS.replace("rows", "infer"), headers))
        assert caught.value.http_status == 415


def test_heads_are_refused_by_guard_and_route(application: Application) -> None:
    application.admit(Request("POST", ROWS, {"host": "localhost"}))
    for request in (Request("POST", ROWS, {"host": "evil.example"}), Request("PUT", ROWS, {"host": "localhost"})):
        with pytest.raises(LeptonError):
            application.admit(request)


def test_an_error_of_ours_is_logged_and_not_shown(
    application: Application, store: ModelStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("secret /path/in/a/traceback")

    monkeypatch.setattr(store["sold"].predictor, "run", fails)
    body = json.dumps({"rooms": 1, "town": "a", "garden": True}).encode()
    response = application.handle(Request("POST", ROWS, body=body, id="abc"))
    assert response.status == 500
    assert json.loads(response.body)["code"] == "internal"
    assert b"secret" not in response.body
    assert "abc" in caplog.text
    assert "secret" in caplog.text


def test_the_log_has_one_line_of_json_without_payload(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lepton.serving.access")
    path = '/v2/\x1b[31m"\r\n{"status":200}'
    request = Request("POST", path, {"authorization": "Bearer secret"}, b"payload", "id-1", "127.0.0.1")
    application.finished(request, Response(404, b"{}"), 0.0015)
    (record,) = caplog.records
    text = record.getMessage()
    assert json.loads(text) == {
        "request_id": "id-1",
        "client": "127.0.0.1",
        "method": "POST",
        "path": '/v2/\\x1b[31m"\\r\\n{"status":200}',
        "status": 404,
        "ms": 1.5,
        "bytes_in": 7,
        "bytes_out": 2,
    }
    assert "\n" not in text
    assert "payload" not in text
    assert "secret" not in text


def test_while_the_loop_is_late_models_are_refused_and_all_else_is_answered(application: Application) -> None:
    refusal = application.refuses(Request("POST", ROWS, body=b"never looked at"))
    assert refusal is not None
    assert refusal.status == 503
    assert dict(refusal.headers)["retry-after"] == "1"
    for request in (Request("GET", "/v2/health/ready"), Request("GET", "/v2/models/sold"), Request("POST", "/x")):
        assert application.refuses(request) is None
