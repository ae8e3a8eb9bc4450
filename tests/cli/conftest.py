"""A table, a model of it, and a way to call the command line as a user does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lepton.cli.main import run
from tests.docs.examples import make_houses


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with houses.csv and houses.lepton, made by the command line once."""
    folder = tmp_path_factory.mktemp("cli")
    make_houses(folder / "houses.csv")
    table, model = str(folder / "houses.csv"), str(folder / "houses.lepton")
    code = run(["train", table, "--target", "price", "--learners", "linear", "-o", model, "-q"])
    assert code == 0
    return folder


@pytest.fixture
def in_folder(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Runs a command with `--format json`; gives the exit code and the envelope."""

    def called(*words: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = run([*words, "--format", "json"])
        envelope = json.loads(capsys.readouterr().out)
        assert set(envelope) == {"lepton", "command", "ok", "exit_code", "result", "error", "notes", "next"}
        assert envelope["exit_code"] == code
        assert envelope["ok"] == (code == 0)
        return code, envelope

    return called
