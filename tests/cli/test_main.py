"""The front page, global options, errors and exit codes of the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lepton.cli.commands import COMMANDS
from lepton.cli.main import run
from lepton.core import CATALOGUE, LeptonError
from lepton.version import __version__


def _lepton(*words: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "lepton", *words], capture_output=True, text=True, **options)


def test_the_front_page_names_every_command(capsys):
    assert run([]) == run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(" ".join(c.path) in out and c.help in out for c in COMMANDS)


def test_the_front_page_loads_no_library():
    code = "import sys, lepton.cli.main as m; m.run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert not loaded & {"numpy", "polars", "onnxruntime", "cyclopts", "rich"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: " ".join(c.path))
def test_every_command_has_help(command, capsys):
    assert run([*command.path, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: lepton {' '.join(command.path)}")
    assert "context" not in out.lower().replace("--context", "context")


def test_a_noun_alone_shows_its_verbs(capsys):
    assert run(["bundle"]) == 0
    assert "inspect" in capsys.readouterr().out


def test_the_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"lepton {__version__}\n"


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (["trian"], "see lepton --help"),
        (["train"], "see lepton train --help"),
        (["train", "a.csv", "--targt", "x"], "see lepton train --help"),
        (["train", "a.csv", "--target", "x", "--seed", "many"], "see lepton train --help"),
        (["bundle", "chek", "x"], "see lepton --help"),
        (["doctor", "--format", "xml"], ""),
    ],
)
def test_words_that_no_command_takes(words, fix, capsys):
    assert run(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error (usage): ")
    assert fix in captured.err


def test_errors_keep_the_shape_of_the_envelope(call):
    code, envelope = call("bundle", "inspect", "nowhere.lepton")
    assert code == 3
    assert envelope["error"]["code"] == "not-found"
    assert "nowhere.lepton" in envelope["error"]["message"]
    assert envelope["result"] is None


def test_a_fault_of_ours_is_one_line(monkeypatch, capsys):
    def broken(*_):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("lepton.cli.app.build_app", broken)
    assert run(["doctor"]) == 1
    assert "internal" in capsys.readouterr().err


def test_a_pipe_that_closes_early_is_quiet(in_folder: Path):
    done = subprocess.run(
        f"{sys.executable} -m lepton predict houses.lepton houses.csv --format json | head -n 1",
        shell=True,
        cwd=in_folder,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "{\n"
    assert "Traceback" not in done.stderr


def test_every_exit_code_is_of_the_catalogue():
    codes = {record.exit_code for record in CATALOGUE.values()}
    assert codes <= {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 130}
    assert all(issubclass(record.family, LeptonError) for record in CATALOGUE.values())


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_keeps_the_best_so_far(in_folder: Path):
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "lepton",
            "train",
            "houses.csv",
            "--target",
            "price",
            "--within",
            "90s",
            "-o",
            "c.lepton",
        ],
        cwd=in_folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "best" in line:
                break
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        out, err = process.communicate(timeout=60)
    # Nothing may be left to stop by then: the search of a small table ends before its time.
    assert process.returncode in (0, 130), err
    assert "Saved c.lepton" in out
    assert time.monotonic() - started < 60
    assert run(["bundle", "check", str(in_folder / "c.lepton")]) == 0
