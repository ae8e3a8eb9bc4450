from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lepton.bundle import Manifest, OutputRecord, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.core import ColumnRecord, Kind
from lepton.serving import Server
from lepton.serving.watching.feedback import export_rows
from lepton.serving.watching.state import Answered, StateStore
from tests.serving.wire import Address, Answer, post, request

ROW = {"area": 100.0, "built": "1990-05-31T00:00:00", "garden": True, "town": "Oslo"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def address(rent: Path, bundles: dict[str, Path], folder: Path) -> Iterator[Address]:
    models = {"rent": rent, "sold": bundles["sold"], "odd": _write_odd(folder / "odd.lepton")}
    with Server(models, port=0, state=folder, state_rows=1.0) as server:
        yield server.host, server.port


def _write_odd(path: Path) -> Path:
    """A model that tells how odd a row is."""
    columns = (ColumnRecord("area", Kind.NUMBER),)
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 1])
    score = builder.node("Squeeze", [numbers, builder.constant(np.array([1]))])
    builder.output("score", score, "double", ["N"])
    outputs = (OutputRecord("score", "double", ("N",)),)
    manifest = Manifest(name="odd", task="anomaly", inputs=columns, outputs=outputs)
    write_bundle(path, manifest=manifest, graph=builder.finish({INPUTS_KEY: json.dumps(describe_inputs(columns))}))
    return path


def ask(address: Address, name: str, rows: int = 1, *, model: str = "rent", row: Any = None) -> Answer:
    body = json.dumps([row or ROW] * rows).encode()
    answer = request(address, "POST", f"/v2/models/{model}/rows", body, {"x-request-id": name})
    assert answer.status == 200
    return answer


def tell(address: Address, body: Any, *, model: str = "rent") -> Answer:
    return post(address, f"/v2/models/{model}/feedback", body)


class TestTruths:
    def test_a_truth_is_taken_once(self, address: Address) -> None:
        ask(address, "once")
        assert tell(address, {"id": "once", "truth": 210.0}).json == {"model_name": "rent", "taken": 1, "known": 0}
        assert tell(address, {"id": "once", "truth": 210}).json == {"model_name": "rent", "taken": 0, "known": 1}

    def test_another_truth_is_refused(self, address: Address) -> None:
        ask(address, "twice")
        assert tell(address, {"id": "twice", "truth": 210.0}).status == 200
        answer = tell(address, {"id": "twice", "truth": 211.0})
        assert (answer.status, answer.json["code"]) == (409, "duplicate-feedback")
        assert "210.0" in answer.json["error"]

    def test_rows_of_a_request_may_come_one_after_the_other(self, address: Address) -> None:
        ask(address, "rows", 3)
        assert tell(address, {"id": "rows", "truth": [1.0, None, 3.0]}).json["taken"] == 2
        assert tell(address, {"id": "rows", "truth": [None, 2.0]}).json["taken"] == 1

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"id": "nobody", "truth": 1.0}, 404, "unknown-request"),
            ({"id": "bad", "truth": [1.0, 2.0]}, 404, "unknown-request"),
            ({"id": "bad", "truth": "much"}, 422, "wrong-kind"),
            ({"id": "bad", "truth": True}, 422, "wrong-kind"),
            ({"id": "bad"}, 400, "bad-request"),
            ({"id": "bad", "truth": None}, 400, "bad-request"),
            ({"id": "bad", "truth": {"rent": 1}}, 400, "bad-request"),
            ([], 400, "bad-request"),
            ([{"id": "bad", "truth": 1.0}, {"id": "bad", "truth": 2.0}], 400, "bad-request"),
            ([{"id": str(number), "truth": 1.0} for number in range(10_001)], 413, "too-large"),
        ],
    )
    def test_what_is_wrong_is_said(self, address: Address, body: Any, status: int, code: str) -> None:
        ask(address, "bad")
        answer = tell(address, body)
        assert (answer.status, answer.json["code"]) == (status, code)

    def test_all_of_a_body_is_taken_or_none(self, address: Address) -> None:
        ask(address, "whole")
        body = [{"id": "whole", "truth": 1.0}, {"id": "nobody", "truth": 1.0}]
        assert tell(address, body).status == 404
        assert tell(address, body[:1]).json["taken"] == 1

    def test_a_label_is_one_of_the_model(self, address: Address) -> None:
        row = {"rooms": 1.0, "town": "Basel", "garden": True}
        ask(address, "label", model="sold", row=row)
        answer = tell(address, {"id": "label", "truth": "maybe"}, model="sold")
        assert (answer.status, answer.json["code"]) == (422, "bad-value")
        assert tell(address, {"id": "label", "truth": "yes"}, model="sold").status == 200

    def test_answers_of_requests_without_an_id_are_not_kept(self, address: Address) -> None:
        answer = post(address, "/v2/models/rent/rows", [ROW])
        refused = tell(address, {"id": answer.headers["x-request-id"], "truth": 1.0})
        assert refused.json["code"] == "unknown-request"
        assert "brings an id" in refused.json["error"]


class TestMetrics:
    def test_a_live_metric_has_an_interval_and_parts(self, address: Address) -> None:
        ask(address, "metric", 40)
        ask(address, "other-town", 40, row={**ROW, "town": "Bergen"})
        tell(address, {"id": "metric", "truth": [201.0] * 20 + [205.0] * 20})
        tell(address, {"id": "other-town", "truth": [211.0] * 40})
        found = request(address, "GET", "/v2/models/rent/feedback").json
        assert found["rows"] >= 80
        assert found["metrics"]["mae"]["lower"] < found["metrics"]["mae"]["value"] < found["metrics"]["mae"]["upper"]
        parts = request(address, "GET", "/v2/models/rent/feedback/town").json["segments"]["parts"]
        bergen = next(part for part in parts if part["value"] == "Bergen")
        assert bergen["num_rows"] == 40
        assert bergen["metrics"]["rmse"]["value"] == pytest.approx(10.0)

    def test_too_few_rows_say_so(self, address: Address) -> None:
        found = request(address, "GET", "/v2/models/sold/feedback").json
        assert found["metrics"] == {}
        assert "too few" in found["note"]

    def test_a_column_that_is_not_kept_is_refused(self, address: Address) -> None:
        ask(address, "column", 40)
        tell(address, {"id": "column", "truth": [1.0] * 40})
        answer = request(address, "GET", "/v2/models/rent/feedback/street")
        assert answer.status == 400
        assert "street" in answer.json["error"]


class TestAddresses:
    def test_drift_is_told_and_drawn(self, address: Address) -> None:
        ask(address, "drift", 3)
        found = request(address, "GET", "/v2/models/rent/drift").json
        assert found["state"] == "not-enough-data"
        assert found["window"]["rows"] >= 3
        page = request(address, "GET", "/v2/models/rent/drift/page")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"

    def test_a_model_without_a_baseline_is_said_to_have_no_columns(self, address: Address) -> None:
        found = request(address, "GET", "/v2/models/sold/drift").json
        assert (found["state"], found["columns"]) == ("not-enough-data", [])

    def test_a_model_of_another_task_takes_no_feedback_and_says_why(self, address: Address) -> None:
        ask(address, "odd", model="odd", row={"area": 5.0})
        told = tell(address, {"id": "odd", "truth": 1.0}, model="odd")
        for answer in (told, request(address, "GET", "/v2/models/odd/feedback")):
            assert (answer.status, answer.json["code"]) == (400, "bad-request")
            assert answer.json["details"] == {"task": "anomaly"}
            assert "binary, multiclass or regression. Fix: judge it" in answer.json["error"]

    @pytest.mark.parametrize("path", ["drift", "drift/page", "feedback"])
    def test_without_state_it_is_off(self, server: Server, path: str) -> None:
        answer = request((server.host, server.port), "GET", f"/v2/models/sold/{path}")
        assert (answer.status, answer.json["code"]) == (409, "watching-off")
        assert "--state" in answer.json["error"]

    def test_an_unknown_model_is_unknown(self, address: Address) -> None:
        assert request(address, "GET", "/v2/models/nobody/drift").json["code"] == "unknown-model"


_CHILD = """
import sys
from pathlib import Path
from lepton.serving import Server
server = Server({"rent": Path(sys.argv[1])}, port=0, state=Path(sys.argv[2]), state_rows=1.0).start()
print(server.port, flush=True)
server.wait()
"""


def test_truths_that_were_taken_outlive_a_killed_server(rent: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _CHILD, str(rent), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            address = ("127.0.0.1", int(child.stdout.readline()))
            ask(address, "durable", 2)
            assert tell(address, {"id": "durable", "truth": [5.0, 6.0]}).json["taken"] == 2
        finally:
            os.kill(child.pid, signal.SIGKILL)
    with Server({"rent": rent}, port=0, state=tmp_path) as server:
        address = (server.host, server.port)
        assert tell(address, {"id": "durable", "truth": [5.0, 6.0]}).json["known"] == 2
        assert request(address, "GET", "/v2/models/rent/feedback").json["rows"] == 2


class TestState:
    def test_old_answers_are_forgotten(self, tmp_path: Path) -> None:
        store = StateStore(tmp_path, lambda: 100.0)
        store.put_answers(Answered("rent", str(at), 0, "1", "id", float(at), "{}") for at in range(10))
        store.drop_answers(3.0, 5)
        assert [at for at in range(10) if store.rows_of("rent", str(at))] == [5, 6, 7, 8, 9]

    def test_a_rule_fires_once_a_pause(self, tmp_path: Path) -> None:
        now = [100.0]
        store = StateStore(tmp_path, lambda: now[0])
        assert store.fire("drift", 60.0)
        assert not store.fire("drift", 60.0)
        assert store.fire("volume", 60.0)
        now[0] = 160.0
        assert StateStore(tmp_path, lambda: now[0]).fire("drift", 60.0)
        assert not store.fire("drift", 60.0)

    def test_kept_rows_become_a_table(self, address: Address, folder: Path) -> None:
        ask(address, "export", 2)
        tell(address, {"id": "export", "truth": [7.0, 8.0]})
        store = StateStore(folder)
        assert store.targets() == {"rent": "rent", "sold": "target"}
        table = export_rows(store.judged("rent", 1_000_000), "rent")
        assert table.columns == [*ROW, "rent"]
        assert table.schema["garden"] == pl.Boolean
        assert table.schema["built"] == pl.Datetime("us")
        assert {7.0, 8.0} <= set(table["rent"])
