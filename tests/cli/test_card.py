"""`lepton card`: files by their ending, the envelope, and words from a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lepton.cli.main import run

Call = Callable[..., tuple[int, dict[str, Any]]]


@pytest.mark.parametrize(
    ("name", "start"), [("card.html", "<!DOCTYPE"), ("card.md", "# Model card"), ("card.json", "{")]
)
def test_people_get_a_file(in_folder: Path, capsys: pytest.CaptureFixture[str], name: str, start: str) -> None:
    assert run(["card", "houses.lepton", "--intended-use", "to price houses", "-o", name, "-q"]) == 0
    assert f"Card written: {name}" in capsys.readouterr().out
    text = Path(name).read_text("utf-8")
    assert text.startswith(start)
    assert "to price houses" in text


def test_a_program_reads_the_card(in_folder: Path, call: Call) -> None:
    Path("use.txt").write_text("to price\nhouses", "utf-8")
    code, envelope = call("card", "houses.lepton", "--intended-use", "@use.txt", "--out-of-scope", "mansions")
    assert code == 0
    assert envelope["result"]["intended_use"] == "to price\nhouses"
    assert envelope["result"]["out_of_scope"] == "mansions"
    facts = envelope["result"]["parts"]["metrics"]["facts"]
    assert facts[0]["source"]["report"] == "training"
    assert envelope["next"] == ["lepton card houses.lepton -o card.html"]
    run(["card", "houses.lepton", "--intended-use", "@use.txt", "--out-of-scope", "mansions", "-o", "again.json", "-q"])
    assert json.loads(Path("again.json").read_text("utf-8")) == envelope["result"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["houses.lepton", "-o", "card.pdf"], "usage"),
        (["nothing.lepton"], "not-found"),
        (["houses.lepton", "--intended-use", "@nothing.txt"], "not-found"),
        (["houses.lepton", "--intended-use", "@latin.txt"], "unreadable"),
        (["houses.lepton", "--intended-use", "x" * 20_001], "usage"),
    ],
)
def test_what_cannot_be_meant(in_folder: Path, call: Call, words: list[str], said: str) -> None:
    Path("latin.txt").write_bytes(b"caf\xe9")
    code, envelope = call("card", *words)
    assert code > 0
    assert envelope["error"]["code"] == said
