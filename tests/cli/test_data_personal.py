"""`lepton data personal` as a user calls it."""

import json
from pathlib import Path

import polars as pl
import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = {"mail": [f"person{i}@mail.example" for i in range(50)], "n": range(50)}
    pl.DataFrame(rows).write_csv("people.csv")
    return tmp_path


def test_personal_data_is_named_and_never_shown(folder, call):
    for more in ([], ["--all-rows"], ["--column", "mail"]):
        code, envelope = call("data", "personal", "people.csv", *more)
        assert code == 0
        assert [(each["column"], each["kind"]) for each in envelope["result"]["findings"]] == [("mail", "e-mail")]
        assert "person1" not in json.dumps(envelope)
    assert call("data", "personal", "people.csv", "--column", "n")[1]["result"]["findings"] == []
    assert call("data", "personal", "people.csv", "--column", "name")[0] == 3


def test_a_page_is_written(folder, call):
    assert call("data", "personal", "people.csv", "--report", "page.html")[0] == 0
    page = Path("page.html").read_text("utf-8")
    assert "Personal data is in 1 column: mail." in page
    assert "person1" not in page


def test_suggest_leaves_it_to_a_person(folder, call):
    _, envelope = call("data", "suggest", "people.csv")
    assert [(each["step"], each["column"], each["rows"]) for each in envelope["result"]["suggestions"]] == [
        ("personal_data", "mail", 50)
    ]
