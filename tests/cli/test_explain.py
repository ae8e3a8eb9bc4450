"""Explanations from the command line: of a row, of what would change it, of the whole model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lepton.cli.main import run
from tests.evaluation.explain.file_models import counting_model

Call = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def row(in_folder: Path, tmp_path: Path) -> str:
    """A house in a JSON file."""
    first = pl.read_csv("houses.csv", n_rows=1).drop("price").to_dicts()[0]
    path = tmp_path / "house.json"
    path.write_text(json.dumps(first, default=str))
    return str(path)


def test_a_program_reads_why_and_what_would_change_it(row: str, call: Call) -> None:
    code, envelope = call("explain", "houses.lepton", "--row", row, "--wanted", "1e7:", "--immutable", "town")
    assert code == 0
    told = envelope["result"]
    assert {"model", "model_id", "explanation", "counterfactuals"} == set(told)
    assert "explanation" in told
    assert "text" not in told


def test_people_get_a_page(row: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "why.html"
    words = ["explain", "houses.lepton", "--row", row, "--data", "houses.csv", "--similar", "2"]
    assert run([*words, "--report", str(page), "-q"]) == 0
    assert "Page written" in capsys.readouterr().out
    assert "<svg" in page.read_text("utf-8")


def test_an_effect_needs_no_rows(in_folder: Path, call: Call) -> None:
    code, envelope = call("explain", "houses.lepton", "--effect", "area")
    assert code == 0
    assert "effect" in envelope["result"]


def test_the_whole_with_weak_places_and_groups(in_folder: Path, call: Call) -> None:
    code, envelope = call("explain", "houses.lepton", "--data", "houses.csv", "--protected", "town")
    assert code == 0
    assert {"overview", "segments", "fairness"} <= set(envelope["result"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--row", "house.json", "--text", "a"], "--row and --text"),
        (["--immutable", "town"], "no row"),
        (["--row", "house.json", "--effect", "area"], "--effect"),
        (["--effect", "a", "--effect", "b", "--effect", "c"], "more than twice"),
        (["--protected", "town"], "--protected and no rows"),
        (["--row", "house.json", "--similar", "2"], "--similar and no rows"),
        (["--row", "ROW", "--range", "area"], "--range"),
        (["--row", "ROW", "--range", "area=high:low"], "--range"),
    ],
)
def test_what_does_not_go_together_is_refused(row: str, call: Call, words: list[str], said: str) -> None:
    code, envelope = call("explain", "houses.lepton", *[row if word == "ROW" else word for word in words])
    assert code == 2
    assert said in envelope["error"]["message"]


@pytest.mark.parametrize("text", ["[]", "[1, 2]", "3", '"a"', "{", "[[[]]]"])
def test_files_that_hold_no_row_are_refused(in_folder: Path, call: Call, tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    code, envelope = call("explain", "houses.lepton", "--row", str(path))
    assert code == 3
    assert envelope["error"]["message"]


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """A model of texts that counts each "f" as 1."""
    counting_model(tmp_path, {"f": 1.0})
    return tmp_path / "counting.lepton"


def test_a_text_is_explained_by_its_words(reviews: Path, call: Call, tmp_path: Path) -> None:
    (tmp_path / "review.txt").write_text("the room fine")
    for words in (["--text", "the room fine"], ["--row", str(tmp_path / "review.txt")]):
        code, envelope = call("explain", str(reviews), *words)
        assert code == 0
        assert "fine" in json.dumps(envelope["result"]["explanation"])


def test_what_is_no_text_is_refused(reviews: Path, call: Call, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\xff\xfe")
    assert call("explain", str(reviews), "--row", str(tmp_path / "photo.png"))[0] == 3
    assert call("explain", str(reviews), "--row", str(tmp_path / "nothing.txt"))[0] == 3
    code, envelope = call("explain", str(reviews), "--text", "fine", "--counterfactuals", "2")
    assert code == 2
    assert "model of files or texts" in envelope["error"]["message"]


def test_a_whole_table_is_not_explained_row_by_row(in_folder: Path, call: Call) -> None:
    code, envelope = call("explain", "houses.lepton", "--row", "houses.csv")
    assert code == 2
    assert "one by one" in envelope["error"]["message"]
