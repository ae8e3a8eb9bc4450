"""A search from the command line: stopped by Ctrl-C, gone on with, chosen from again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from lepton.bundle import bundle_size
from lepton.store import scratch_folder
from tests.docs.examples import make_houses

LEARNERS = ("--learners", "linear", "--learners", "lightgbm")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A folder with a search that Ctrl-C has stopped after some trials, and what the command line said."""
    folder = tmp_path_factory.mktemp("stopped")
    make_houses(folder / "houses.csv", rows=240)
    words = ["train", "houses.csv", "--target", "price", *LEARNERS, "--within", "10m", "--workdir", "search"]
    with subprocess.Popen(
        [sys.executable, "-m", "lepton", *words, "-o", "m.lepton", "--format", "json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        end = time.monotonic() + 120
        while len(list((folder / "search").glob("trial-*.json"))) < 5:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers hear it too
        asked = time.monotonic()
        out, err = process.communicate(timeout=60)
    assert time.monotonic() - asked < 30
    return folder, process.returncode, json.loads(out), err


@pytest.fixture
def there(stopped, monkeypatch):
    monkeypatch.chdir(stopped[0])
    return stopped[0]


def trials(folder):
    return len(list((folder / "search").glob("trial-*.json")))


def test_ctrl_c_keeps_the_best_so_far(stopped):
    folder, code, envelope, err = stopped
    assert code == 130
    assert envelope["error"]["code"] == "interrupted"
    assert "the best so far is saved in m.lepton" in envelope["error"]["message"]
    assert "Traceback" not in err
    assert (folder / "m.lepton").is_file()
    scored = [row for row in envelope["result"]["leaderboard"] if row["metric"] is not None]
    assert len(scored) >= 4
    assert sum(row["chosen"] for row in scored) == 1


def test_a_smaller_one(there, call):
    code, envelope = call("choose", "m.lepton", "houses.csv", "--max-size", "20KB", "-o", "small.lepton")
    assert code == 0
    assert bundle_size(there / "small.lepton") == envelope["result"]["limits"]["size"]["measured"] <= 20_000
    assert sum(row["chosen"] for row in envelope["result"]["leaderboard"]) == 1


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("choose", "m.lepton", "houses.csv"), 2, "nothing to choose by"),
        (("choose", "m.lepton", "houses.csv", "--metric", "accuracy"), 2, "accuracy"),
        (("choose", "m.lepton", "other.csv", "--max-size", "1MB"), 3, "not the one that was searched"),
        (("choose", "m.lepton", "houses.csv", "--max-size", "1MB", "--workdir", "none"), 3, "no search in the folder"),
        (("train", "houses.csv", "--target", "price", "--continue"), 2, "without a folder"),
        (("train", "houses.csv", "--target", "price", "--workdir", "search"), 2, "holds a search already"),
        (("train", "other.csv", "--target", "price", "--workdir", "search", "--continue"), 3, "not the one that was"),
        (
            ("train", "houses.csv", "--target", "price", "--effort", "fast", "--max-trials", "3"),
            2,
            "nothing is searched",
        ),
        (("train", "houses.csv", "--target", "price", "--max-trials", "-3"), 2, "max_trials=-3"),
        (("train", "houses.csv", "--task", "anomaly", "--max-trials", "3"), 2, "max_trials=3"),
    ],
)
def test_mistakes_are_told(there, call, words, code, told):
    make_houses(there / "other.csv", rows=150)
    found, envelope = call(*words, "-o", "never.lepton")
    assert (found, told in envelope["error"]["message"]) == (code, True), envelope["error"]
    assert not (there / "never.lepton").exists()


def test_going_on(there, call):
    before = trials(there)
    words = ("train", "houses.csv", "--target", "price", *LEARNERS, "--workdir", "search", "--continue")
    code, envelope = call(*words, "--max-trials", "1", "-o", "on.lepton")
    assert code == 0
    assert trials(there) == before + 1
    assert len(envelope["result"]["leaderboard"]) >= before + 1
    assert any(note.startswith(f"{before} candidates are of an earlier part") for note in envelope["notes"])
    assert any(line.startswith("lepton choose on.lepton") for line in envelope["next"])


def test_a_folder_that_is_gone(there, call):
    with scratch_folder() as elsewhere:
        shutil.move(there / "search", elsewhere / "search")
        code, envelope = call("choose", "m.lepton", "houses.csv", "--max-size", "1MB", "-o", "never.lepton")
        assert code == 3
        assert "is gone; it was in 'search'" in envelope["error"]["message"]
        shutil.move(elsewhere / "search", there / "search")
