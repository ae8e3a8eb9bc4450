"""Profile from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lepton.cli.main import run
from tests.optimization.accelerate.conftest import peaks, short_blocks

__all__ = ["peaks", "short_blocks"]


def test_a_program_reads_where_the_time_goes(in_folder: Path, call: Callable[..., tuple[int, dict[str, Any]]]) -> None:
    code, envelope = call("profile", "houses.lepton", "--data", "houses.csv", "--batch", "8")
    assert code == 0
    assert envelope["result"]["batch"] == 8
    assert envelope["result"]["encoding_seconds"] > 0
    assert envelope["result"]["operators"]
    assert envelope["next"][-1] == "lepton accelerate houses.lepton"


def test_people_get_a_page(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "houses.lepton", "--output", "profile.html", "-q"]) == 0
    assert "Page written: profile.html" in capsys.readouterr().out
    assert "<svg" in Path("profile.html").read_text("utf-8")
