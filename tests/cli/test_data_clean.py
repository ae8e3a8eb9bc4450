"""`lepton data clean` as a user calls it."""

from pathlib import Path

import polars as pl
import pytest

RECIPE = """\
lepton: recipe/1
steps:
- drop_duplicates
- fill: {columns: [area], value: median}
- join: {table: towns, on: [town]}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = {"area": [10.0, None, 30.0, 10.0, 20.0], "town": ["Ulm", "Bonn", "Ulm", "Ulm", "Kiel"]}
    pl.DataFrame(rows).write_csv("houses.csv")
    pl.DataFrame({"town": ["Ulm", "Bonn", "Kiel"], "north": [0, 0, 1]}).write_csv("towns.csv")
    Path("recipe.yaml").write_text(RECIPE)
    return tmp_path


def clean(call, *more, recipe="recipe.yaml", output="clean.parquet"):
    return call("data", "clean", "houses.csv", "--recipe", recipe, "--table", "towns=towns.csv", "-o", output, *more)


def test_a_table_is_cleaned_and_what_changed_is_told(folder, call):
    code, envelope = clean(call, "--fitted", "fitted.yaml", "--report", "changes.html")
    assert code == 0
    result = envelope["result"]
    assert (result["rows_in"], result["rows_out"]) == (5, 4)
    assert [(c["step"], c["column"], c["count"]) for c in result["changes"]] == [
        ("drop_duplicates", None, 1),
        ("fill", "area", 1),
        ("join", "north", 1),
    ]
    cleaned = pl.read_parquet("clean.parquet")
    assert cleaned["area"].to_list() == [10.0, 20.0, 30.0, 20.0]
    assert cleaned["north"].to_list() == [0, 0, 0, 1]
    assert "<html" in Path("changes.html").read_text()


def test_what_was_learned_is_done_to_tomorrow_s_table(folder, call):
    clean(call, "--fitted", "fitted.yaml")
    pl.DataFrame({"area": [None, 99.0], "town": ["Ulm", "Ulm"]}).write_csv("houses.csv")
    assert clean(call, recipe="fitted.yaml", output="more.csv")[0] == 0
    assert pl.read_csv("more.csv")["area"].to_list() == [20.0, 99.0]


@pytest.mark.parametrize(
    ("recipe", "exit_code", "code"),
    [
        ("lepton: recipe/1\nsteps: [wash]\n", 2, "bad-recipe"),
        ("lepton: recipe/2\nsteps: []\n", 2, "bad-recipe"),
        ("lepton: recipe/1\nsteps:\n- fill: {colums: [area]}\n", 2, "bad-recipe"),
        ("lepton: recipe/1\nsteps:\n- fill: {columns: [size]}\n", 3, "unknown-column"),
        ("!!python/object/apply:os.system ['touch canary']\n", 3, "unreadable"),
    ],
)
def test_a_recipe_that_cannot_be_meant_writes_nothing(folder, call, recipe, exit_code, code):
    Path("recipe.yaml").write_text(recipe)
    found, envelope = clean(call)
    assert (found, envelope["error"]["code"]) == (exit_code, code)
    assert not Path("clean.parquet").exists()
    assert not Path("canary").exists()


def test_the_output_must_have_a_format_and_tables_a_name(folder, call):
    assert clean(call, output="clean.xyz")[0] == 2
    assert call("data", "clean", "houses.csv", "--recipe", "recipe.yaml", "-o", "c.csv", "--table", "towns")[0] == 2
    code, envelope = call("data", "clean", "houses.csv", "--recipe", "recipe.yaml", "-o", "c.csv")
    assert code != 0
    assert "towns" in envelope["error"]["message"]
