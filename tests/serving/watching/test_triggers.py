from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import numpy as np
import pytest

from lepton.core import UsageError
from lepton.serving.watching.feedback import Truth, live_metrics, take_truths
from lepton.serving.watching.promise import Promised, promised_of
from lepton.serving.watching.state import StateStore
from lepton.serving.watching.triggers import Triggers
from tests.serving.watching.conftest import table
from tests.serving.watching.test_recorder import Watched


class Hook:
    """A server that keeps what is posted to it; `/moved` sends callers on to `/hook`, `/broken` fails."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                hook.seen.append((self.path, json.loads(body)))
                self.send_response({"/moved": 302, "/broken": 500}.get(self.path, 204))
                self.send_header("location", "/hook")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


@pytest.fixture
def watched(rent: Path, tmp_path: Path) -> Watched:
    return Watched(rent, tmp_path)


def alarm(watched: Watched, triggers: Triggers) -> None:
    watched.recorder.listeners.append(triggers.judged)
    watched.ask_singly(table(600, 1, moved=40))
    watched.judge()
    triggers.close(30)


def test_a_hook_is_called_once_a_window(watched: Watched, hook: Hook) -> None:
    triggers = Triggers(watched.state, 3600, webhook=hook.url + "/hook")
    alarm(watched, triggers)
    watched.judge()
    ((path, body),) = hook.seen
    assert (path, body["event"], body["model_name"], body["state"]) == ("/hook", "drift", "rent", "alarm")
    assert "input/area" in body["alarms"]
    watched.clock.now += 3600
    watched.judge()
    triggers.close(30)
    assert len(hook.seen) == 2


def test_rows_like_those_of_training_trigger_nothing(watched: Watched, hook: Hook) -> None:
    watched.recorder.listeners.append(Triggers(watched.state, 3600, webhook=hook.url).judged)
    watched.ask_singly(table(600, 1))
    watched.judge()
    assert hook.seen == []


def test_a_command_gets_the_alarm_and_no_shell(watched: Watched, tmp_path: Path) -> None:
    out = tmp_path / "$(seen)"
    program = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"
    alarm(watched, Triggers(watched.state, 3600, command=f"{sys.executable} -c '{program}' '{out}'"))
    assert json.loads(out.read_text("utf-8"))["alarms"]


@pytest.mark.parametrize("path", ["/broken", "/moved"])
def test_a_hook_that_fails_is_logged_and_not_followed(
    watched: Watched, hook: Hook, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        alarm(watched, Triggers(watched.state, 3600, webhook=hook.url + path))
    assert [each[0] for each in hook.seen] == [path]
    assert "the web hook at alarms failed: it answered" in caplog.text


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/nowhere/at/all", "the command at alarms failed"),
        (f"{sys.executable} -c 'raise SystemExit(\"not now\")'", "ended with 1: not now"),
    ],
)
def test_a_command_that_fails_is_logged(
    watched: Watched, command: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        alarm(watched, Triggers(watched.state, 3600, command=command))
    assert said in caplog.text


@pytest.mark.parametrize(
    "given",
    [
        {"webhook": "file:///etc/passwd"},
        {"command": " "},
        {"command": "a 'b"},
        {"volume": 10},
        {"volume": -1, "webhook": "http://127.0.0.1/"},
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Triggers(StateStore(tmp_path), 60, **given)


def feed(watched: Watched, start: int, rows: int, off: float) -> None:
    """Rows, and truths that lie about `off` beside the answers."""
    asked = table(rows, start)
    noise = np.random.default_rng(start).normal(off, 1.0, rows)
    for number in range(rows):
        watched.ask(asked[number : number + 1], f"row-{start}-{number}")
    watched.recorder.flush()
    answers = watched.predictor.predict(asked).to_list()
    truths = [Truth(f"row-{start}-{n}", 0, answers[n] + noise[n]) for n in range(rows)]
    assert take_truths(watched.watch, truths, watched.state) == rows
    watched.watch.fed = True


def test_a_model_that_is_worse_than_it_promised_is_told_once(watched: Watched, hook: Hook) -> None:
    triggers = Triggers(watched.state, 3600, webhook=hook.url)
    watched.recorder.fed_listeners.append(triggers.fed)
    watched.watch.promised = Promised("rmse", 1.0, 0.7, 1.4, greater_is_better=False)
    feed(watched, 1, 60, 0.0)
    watched.recorder.look_at_truths(watched.watch)
    triggers.close(30)
    assert hook.seen == []
    feed(watched, 2, 60, 3.0)
    for _ in range(2):  # the second time nothing is new
        watched.recorder.look_at_truths(watched.watch)
    watched.watch.fed = True
    watched.recorder.look_at_truths(watched.watch)
    triggers.close(30)
    ((_, body),) = hook.seen
    assert (body["event"], body["metric"], body["rows"], body["decayed"]) == ("decay", "rmse", 120, True)
    assert body["promised"] == {"value": 1.0, "lower": 0.7, "upper": 1.4}
    assert body["live"]["lower"] > 1.4


@pytest.mark.parametrize("promised", [None, Promised("accuracy", 0.9, 0.8, 0.95, greater_is_better=True)])
def test_a_model_that_promised_nothing_comparable_does_not_decay(watched: Watched, promised: Promised | None) -> None:
    watched.watch.promised = promised
    feed(watched, 1, 40, 50.0)
    found = live_metrics(watched.watch, watched.state.judged("rent", 100))
    assert found["against_training"] is None
    assert found["metrics"]["rmse"]["value"] > 40


def test_so_many_new_truths_are_told_each_time(watched: Watched, hook: Hook) -> None:
    triggers = Triggers(watched.state, 3600, webhook=hook.url, volume=10)
    watched.recorder.fed_listeners.append(triggers.fed)
    for start, rows in enumerate((9, 3, 5, 6)):
        watched.clock.now += 100
        feed(watched, start, rows, 0.0)
        watched.clock.now += 1
        watched.recorder.look_at_truths(watched.watch)
        triggers.close(30)
    assert [(body["event"], body["new_truths"]) for _, body in hook.seen] == [("volume", 12), ("volume", 11)]


class TestPromised:
    ROW: ClassVar[dict[str, Any]] = {"chosen": True, "metric": 0.4, "lower": 0.3, "upper": 0.5}

    def of(self, **report: Any) -> Promised | None:
        bundle = SimpleNamespace(reports={"training": report})
        return promised_of(cast("Any", SimpleNamespace(bundle=bundle)))

    def test_it_is_the_score_of_the_chosen_row(self) -> None:
        found = self.of(metric="rmse", rows=[{"chosen": False}, self.ROW], greater_is_better=False)
        assert found == Promised("rmse", 0.4, 0.3, 0.5, greater_is_better=False)
        without = self.of(metric="rmse", rows=[self.ROW | {"lower": None}], greater_is_better=False)
        assert without == Promised("rmse", 0.4, 0.4, 0.5, greater_is_better=False)

    @pytest.mark.parametrize(
        "report",
        [
            {},
            {"metric": "rmse"},
            {"metric": "rmse", "rows": 7},
            {"metric": "rmse", "rows": [3]},
            {"rows": [ROW]},
            {"metric": "rmse", "rows": [ROW, ROW]},
            {"metric": "rmse", "rows": [ROW | {"metric": None}]},
        ],
    )
    def test_other_reports_promise_nothing(self, report: dict[str, Any]) -> None:
        assert self.of(**report) is None
