"""`lepton data check` as a user calls it."""

from pathlib import Path

import polars as pl
import pytest

RULES = """\
lepton: rules/1
rules:
- in_range: {columns: [age], least: 0, most: 120}
- exists_in: {columns: [town], table: towns, key: [name]}
- row_count: {most: 1, severity: warn}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pl.DataFrame({"age": [10, 20, -1], "town": ["Ulm", "Bonn", "Ulm"]}).write_csv("people.csv")
    pl.DataFrame({"name": ["Ulm", "Bonn"]}).write_csv("towns.csv")
    Path("rules.yaml").write_text(RULES)
    return tmp_path


def check(call, *more):
    return call("data", "check", "people.csv", "--rules", "rules.yaml", "--table", "towns=towns.csv", *more)


def test_broken_rules_give_exit_code_10_and_the_rows(folder, call):
    code, envelope = check(call, "--failures", "failing.csv", "--report", "check.html")
    assert code == 10
    assert envelope["error"]["code"] == "rules-broken"
    assert envelope["result"]["passed"] is False
    assert [each["passed"] for each in envelope["result"]["rules"]] == [False, True, False]
    assert pl.read_csv("failing.csv").select("row", "age").rows() == [(3, -1)]
    page = Path("check.html").read_text("utf-8")
    assert "1 of 3 rules is broken." in page
    assert "Personal data" in page


def test_kept_rules_give_exit_code_0(folder, call):
    pl.DataFrame({"age": [10, 20], "town": ["Ulm", "Bonn"]}).write_csv("people.csv")
    code, envelope = check(call)
    assert (code, envelope["result"]["passed"]) == (0, True)


def test_a_baseline_is_compared_with(folder, call):
    pl.DataFrame({"x": [0.001 * i for i in range(2_000)]}).write_csv("before.csv")
    pl.DataFrame({"x": [5 + 0.001 * i for i in range(2_000)]}).write_csv("after.csv")
    code, envelope = call("data", "check", "after.csv", "--against", "before.csv")
    assert code == 0
    assert [each["verdict"] for each in envelope["result"]["drift"]] == ["shifted"]
    assert envelope["notes"] == ["the distribution of 'x' has shifted"]


def test_personal_data_is_looked_for_where_asked(folder, call):
    pl.DataFrame({"mail": [f"person{i}@mail.example" for i in range(50)]}).write_csv("people.csv")
    code, envelope = call("data", "check", "people.csv", "--personal")
    assert code == 0
    assert [each["kind"] for each in envelope["result"]["personal"]["findings"]] == ["e-mail"]
    pl.DataFrame({"mail": ["a"], "age": [1], "town": ["Ulm"]}).write_csv("people.csv")
    assert "personal" not in check(call)[1]["result"]


def test_what_cannot_be_checked_is_an_error_of_its_own(folder, call):
    assert call("data", "check", "people.csv")[0] == 2
    assert call("data", "check", "nobody.csv", "--rules", "rules.yaml")[0] == 3
    assert call("data", "check", "people.csv", "--rules", "rules.yaml")[0] == 2
    assert check(call, "--failures", "failing.xyz")[0] == 2
    Path("rules.yaml").write_text("lepton: rules/1\nrules: [{shine: {}}]\n")
    assert check(call)[1]["error"]["code"] == "bad-rule"
