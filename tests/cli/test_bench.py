"""`lepton bench` as it is typed: a server of its own, a running one, a table, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lepton.serving import Server

SHORT = ("--for", "200ms")


@pytest.fixture(scope="module")
def served(trained: Path):
    with Server({"houses": trained / "houses.lepton"}, port=0, token="canary-0123456789") as server:
        (trained / "token").write_text("canary-0123456789\n")
        yield server


def test_a_model_is_served_and_asked(in_folder: Path, call):
    code, envelope = call("bench", "houses.lepton", *SHORT, "--rate", "50", "--report", "load.html")
    assert code == 0, envelope["error"]
    found = envelope["result"]
    assert found["asked"]["connections"] == 256
    assert set(found["codes"]) == {"200"}
    assert found["answers"]["different"] == 0
    assert "Latency over the run" in Path("load.html").read_text("utf-8")


@pytest.mark.parametrize("form", ["rows", "binary"])
def test_a_running_server_behind_a_token_is_asked_with_a_table(in_folder: Path, served: Server, call, form):
    words = ("--url", served.url, "--token-file", "token", "--data", "houses.csv", "--rows", "3", "--form", form)
    code, envelope = call("bench", "houses.lepton", *SHORT, *words)
    assert code == 0, envelope["error"]
    assert envelope["result"]["rows_per_second"] > 0
    assert envelope["result"]["answers"]["different"] == 0
    assert "canary" not in str(envelope)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--rows", "0"), 2, "rows=0"),
        (("--rate", "-5"), 2, "rate=-5"),
        (("--rate", "2e7"), 2, "rate=20000000.0"),
        (("--url", "nonsense"), 2, "nonsense"),
        (("--url", "http://127.0.0.1:9"), 9, "does not answer"),
        (("--token-file", "nowhere"), 3, "nowhere"),
        (("--data", "nowhere.csv"), 3, "nowhere.csv"),
    ],
)
def test_mistakes_are_told(in_folder: Path, call, words, code, told):
    found, envelope = call("bench", "houses.lepton", *SHORT, *words)
    assert (found, told in envelope["error"]["message"]) == (code, True), envelope["error"]
