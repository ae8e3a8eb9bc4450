"""The page of a check says first what is broken and what has moved, and shows no personal data."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lepton.data import read
from lepton.data.quality import check
from lepton.data.quality.rules import rules_of
from tests.report.test_page import PAYLOADS, Reader

ROWS = 600


def table(seed: int = 0, shift: float = 0.0, value: str = "Ulm", city: str = "city", **more):
    rng = np.random.default_rng(seed)
    columns = {
        "size": rng.normal(50 + shift, 10, ROWS),
        "wait": rng.normal(5, 1, ROWS),
        city: rng.choice([value, "Bonn"], ROWS, p=[0.9, 0.1] if shift else [0.4, 0.6]),
        **more,
    }
    return read(pl.DataFrame(columns), kinds={city: "category"})


def html(found) -> str:
    text: str = found.page().html().replace("\u00a0", " ")
    return text


def rules(*given):
    return rules_of(list(given))


def test_the_first_words_are_what_is_broken_and_what_has_moved():
    given = rules(
        {"in_range": {"columns": "size", "least": 50}},
        {"in_range": {"columns": "wait", "least": 5, "severity": "warn"}},
        {"row_count": {"least": 1}},
    )
    page = html(check(table(1, shift=15), given, against=table(0)))
    first = page[page.index('<main id="content">') : page.index("<table")]
    assert "600 rows were looked at. 1 of 3 rules is broken. 1 rule of severity warn is not kept." in first
    assert "Of 3 columns, 2 have shifted." in first
    assert '<p class="warning">Broken: in_range(columns=[&#x27;size&#x27;], least=50): ' in first
    assert "<li>Not kept: in_range(columns=[&#x27;wait&#x27;]" in first
    assert "<li>size has shifted: " in first
    assert " of the rows lie elsewhere; half of the rows lie below 6" in first
    assert "wait has" not in first
    assert page.index("BROKEN") < page.index(">warning<") < page.index(">kept<")
    assert "Rows that break each rule" in page


def test_all_is_well_is_said():
    page = html(check(table(1), rules({"row_count": {"least": 1}}), against=table(2)))
    assert "Every rule of severity error is kept (1 of 1 kept)." in page
    assert "No distribution of 3 columns has moved." in page
    assert "baseline most often" not in page


def test_what_has_moved_is_drawn_beside_the_baseline():
    page = html(check(table(1, shift=15), against=table(0)))
    assert "size. Two distributions from " in page
    assert "city. baseline and now: Ulm 4" in page
    assert "&#x27;Ulm&#x27; is 9" in page
    assert "wait. Two distributions" not in page


def test_columns_that_differ_are_told():
    page = html(check(table(new=["x"] * ROWS).select(["size", "new"]), against=table()))
    for row in ("wait</th><td>is gone</td><td>number", "new</th><td>is new</td>"):
        assert row in page


def test_missing_values_that_came_are_told():
    holes = pl.Series([None if i % 2 else float(i) for i in range(ROWS)])
    page = html(check(read({"a": holes}), against=read({"a": pl.Series([float(i) for i in range(ROWS)])})))
    assert "50 % are missing, before 0 %" in page


def test_personal_data_is_told_and_not_shown():
    mail = [f"person{i}@example.org" for i in range(ROWS)]
    rows = read({"mail": mail, "n": [i % 50 for i in range(ROWS)]}, kinds={"mail": "category"})
    given = rules({"length": {"columns": "mail", "most": 3}}, {"in_range": {"columns": "n", "most": 3}})
    before = read({"mail": ["x"] * 90, "n": [i % 50 for i in range(90)]}, kinds={"mail": "category"})
    found = check(rows, given, against=before, personal=True)
    page = html(found)
    assert "person" not in page.replace("Personal", "").replace("personal", "").replace("a person looks", "")
    assert "Personal data is in 1 column: mail." in page
    assert "Rows of 1 rule are not shown: they hold personal data." in page
    assert "1 column that moved is not drawn." in page
    assert "row 5 " in page or "row 5:" in page
    assert found.to_dict()["personal"]["findings"][0]["kind"] == "e-mail"
    assert "Personal data in 600 rows" in found.text()
    assert check(rows, given).personal is None


def test_it_can_be_all_that_is_asked():
    found = check(read({"a": [1, 2]}), personal=True)
    assert found.passed
    assert "No personal data was found. All 2 rows were looked at." in html(found)


@pytest.mark.parametrize("payload", PAYLOADS[:-3])
def test_hostile_names_and_values_stay_text(payload):
    def page(name: str) -> Reader:
        given = rules({"one_of": {"columns": name, "values": [name]}}, {"in_range": {"columns": "size", "most": 60}})
        found = check(table(1, 15, name, name), given, against=table(0, 0, name, name), personal=True)
        return Reader(found.page().html())

    harmless, hostile = page("city"), page(payload)
    assert hostile.tags == harmless.tags
    assert hostile.open == []


def test_two_hundred_columns_stay_a_small_page_that_says_what_it_leaves_out():
    def wide(seed: int, shift: float):
        rng = np.random.default_rng(seed)
        return read(pl.DataFrame({f"column number {i}": rng.normal(shift, 1, 1_000) for i in range(200)}))

    given = rules(*({"in_range": {"columns": f"column number {i}", "most": 0}} for i in range(200)))
    page = html(check(wide(0, 1.0), given, against=wide(1, 0.0)))
    assert len(page) < 1_500_000
    assert "176 columns that moved are not drawn." in page
    assert "and 370 more" in page
