"""Accelerate from the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lepton.bundle import open_model
from lepton.bundle.settings import RuntimeSettings
from lepton.cli.main import run
from tests.optimization.accelerate.conftest import Winners, peaks, short_blocks, winners

__all__ = ["peaks", "short_blocks", "winners"]

Call = Callable[..., tuple[int, dict[str, Any]]]


def test_settings_are_kept_in_the_file(in_folder: Path, call: Call, winners: Winners) -> None:
    shutil.copy("houses.lepton", "quick.lepton")
    winners("no arena")
    code, envelope = call("accelerate", "quick.lepton", "--workers", "1", "--batch", "1,4", "--data", "houses.csv")
    assert code == 0
    assert envelope["result"]["settings"] == {"arena": False}
    assert envelope["result"]["batch"] == [1, 4]
    assert envelope["next"] == ["lepton profile quick.lepton"]
    assert open_model("quick.lepton").settings == RuntimeSettings(arena=False)


def test_people_read_what_was_tried(in_folder: Path, capsys: pytest.CaptureFixture[str], winners: Winners) -> None:
    winners()
    words = ["accelerate", "houses.lepton", "-o", "same.lepton", "--workers", "1", "--report", "page.html", "-q"]
    assert run(words) == 0
    said = capsys.readouterr().out
    assert "Nothing is clearly quicker than the defaults" in said
    assert "graph optimisation extended" in said
    assert "Page written: page.html" in said
    assert Path("page.html").read_text("utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("words", "came"),
    [
        (("--batch", "1,x"), "got --batch '1,x'"),
        (("--batch", "0"), "got batch=[0]"),
        (("--python", "no/such/python"), "'no/such/python' cannot be started"),
    ],
)
def test_what_cannot_be_is_one_error(
    in_folder: Path, call: Call, winners: Winners, words: tuple[str, ...], came: str
) -> None:
    winners()
    before = Path("houses.lepton").read_bytes()
    code, envelope = call("accelerate", "houses.lepton", "--workers", "1", *words)
    assert code != 0
    assert came in envelope["error"]["message"]
    assert Path("houses.lepton").read_bytes() == before
