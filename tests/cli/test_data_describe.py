"""`lepton data describe` as a user calls it."""

from pathlib import Path

import polars as pl
import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = {"mail": [f"person{i}@mail.example" for i in range(50)], "size": [i * 0.5 for i in range(50)]}
    pl.DataFrame(rows).write_csv("people.csv")
    return tmp_path


def page(call, *more):
    code, _ = call("data", "describe", "people.csv", "--report", "page.html", *more)
    assert code == 0
    return Path("page.html").read_text("utf-8")


def test_the_page_shows_rows_but_no_personal_data(folder, call):
    shown = page(call)
    assert "8 rows drawn at random" in shown
    assert "Values of 1 column are not shown: mail." in shown
    assert "person1" not in shown


def test_rows_can_be_kept_out(folder, call):
    assert "3 rows drawn at random" in page(call, "--samples", "3")
    assert "Some of the rows" not in page(call, "--samples", "0")
    assert call("data", "describe", "people.csv", "--samples", "-1")[0] == 2
