from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lepton.core import UsageError
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


@pytest.mark.parametrize("given", [{"webhook": "file:///etc/passwd"}, {"command": " "}, {"command": "a 'b"}])
def test_what_cannot_be_meant_is_refused(tmp_path: Path, given: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        Triggers(StateStore(tmp_path), 60, **given)
