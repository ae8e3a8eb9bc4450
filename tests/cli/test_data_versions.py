"""Appending, comparing, exporting and forgetting on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lepton.data import read

ROWS = "person_id,town,income\na1,Ulm,10.5\na2,Bonn,\na3,Ulm,7.5\n"
RECIPE = "lepton: recipe/1\nsteps: [{fill: {columns: [income], value: median}}]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("claims.csv").write_text(ROWS)
    Path("more.csv").write_text("person_id,town,income\na4,Kiel,\na1,Ulm,1\n")
    Path("recipe.yaml").write_text(RECIPE)
    return tmp_path


def test_from_a_messy_file_to_versions_and_back(folder, call):
    assert call("data", "clean", "claims.csv", "--recipe", "recipe.yaml", "-o", "claims")[0] == 0
    code, envelope = call("data", "append", "claims", "more.csv", "--clean")
    assert (code, envelope["result"]) == (0, {"version": 2, "rows": 5, "rows_added": 2})
    assert read("claims").frame()["income"].to_list() == [10.5, 9.0, 7.5, 9.0, 1.0]

    code, envelope = call("data", "versions", "claims", "--verify")
    assert (code, envelope["result"]["damage"]) == (0, [])
    assert [version["num_rows"] for version in envelope["result"]["versions"]] == [3, 5]

    code, envelope = call("data", "diff", "claims#1", "claims")
    assert (envelope["result"]["added"], envelope["result"]["removed"], envelope["result"]["same"]) == (2, 0, False)
    code, envelope = call("data", "diff", "claims#1", "claims.csv", "--key", "person_id")
    assert [(c["column"], c["rows"]) for c in envelope["result"]["changed_columns"]] == [("income", 1)]

    code, envelope = call("data", "person", "claims", "--where", "person_id = 'a1'", "-o", "a1.jsonl")
    assert (code, envelope["result"]["rows"]) == (0, 2)
    assert [json.loads(line)["income"] for line in Path("a1.jsonl").read_text().splitlines()] == [10.5, 1.0]

    code, envelope = call("data", "forget", "claims", "--where", "person_id = 'a1'", "--reference", "T-1")
    assert (code, envelope["result"]["rows"], envelope["result"]["rows_left"]) == (0, 2, 3)
    code, envelope = call("data", "versions", "claims")
    assert [version["number"] for version in envelope["result"]["versions"]] == [3]
    (record,) = envelope["result"]["versions"][0]["records"]
    assert record == {"time": record["time"], "columns": ["person_id"], "reference": "T-1", "rows": 2, "state": "done"}


def test_damage_has_an_exit_code(folder, call):
    call("data", "clean", "claims.csv", "--recipe", "recipe.yaml", "-o", "claims")
    (part,) = Path("claims").rglob("*.parquet")
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    code, envelope = call("data", "versions", "claims", "--verify")
    assert (code, envelope["error"]["code"], len(envelope["result"]["damage"])) == (3, "bad-version", 1)


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("append", "nowhere", "more.csv"), 3, "not-found"),
        (("append", "plain", "more.csv", "--clean"), 3, "bad-version"),
        (("append", "plain", "recipe.yaml"), 3, None),
        (("versions", "claims.csv"), 3, "not-found"),
        (("diff", "claims.csv", "nowhere.csv"), 3, "not-found"),
        (("diff", "plain#7", "claims.csv"), 3, "not-found"),
        (("person", "claims.csv", "--where", "person_id = ", "-o", "p.csv"), 2, "usage"),
        (("person", "claims.csv", "--where", "town = 'Ulm'", "-o", "p.docx"), 2, "usage"),
        (("forget", "claims.csv", "--where", "town = 'Ulm'"), 2, "usage"),
        (("forget", "plain", "--where", "age > 3"), 3, "unknown-column"),
    ],
)
def test_bad_input_is_one_error(folder, call, words, code, error):
    read("claims.csv").save("plain")
    got, envelope = call("data", *words)
    assert got == code
    assert error is None or envelope["error"]["code"] == error
    assert read("plain").num_rows == 3
