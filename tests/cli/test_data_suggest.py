"""`lepton data suggest` as a user calls it, and the recipe that it writes."""

from pathlib import Path

import polars as pl


def test_the_suggested_recipe_can_be_used(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    rows = {"age": [20 + i % 50 for i in range(200)] + [-999] * 5, "town": ["Ulm", "Bonn"] * 100 + ["ULM"] * 5}
    pl.DataFrame(rows).with_row_index("n").write_csv("people.csv")
    code, envelope = call("data", "suggest", "people.csv", "-o", "recipe.yaml", "--report", "look.html")
    assert code == 0
    steps = {each["step"]: each["rows"] for each in envelope["result"]["suggestions"]}
    assert steps == {"mark_missing": 5, "merge_spellings": 5, "fill": 5}
    assert "<html" in Path("look.html").read_text()
    assert call("data", "clean", "people.csv", "--recipe", "recipe.yaml", "-o", "clean.parquet")[0] == 0
    cleaned = pl.read_parquet("clean.parquet")
    assert cleaned["age"].min() == 20
    assert cleaned["town"].unique().sort().to_list() == ["Bonn", "Ulm"]
