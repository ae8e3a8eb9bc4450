"""Columns that a recipe parsed come to the model as texts, and codecs of its file read them as the recipe did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lepton.bundle import TableInputs, open_model
from lepton.core import DataError, ErrorCode, Role, SchemaError, Work
from lepton.data import read
from lepton.data.recipes import Recipe
from lepton.training import train

TEXTS = ("way", "day", "paid", "town")


def raw_frame(rows: int = 300) -> pl.DataFrame:
    random = np.random.default_rng(0)
    way = random.uniform(1, 9, rows).round(2)
    days = pl.datetime_range(pl.datetime(2015, 1, 1), pl.datetime(2022, 1, 1), "1d", eager=True).head(rows)
    return pl.DataFrame(
        {
            "way": [f"{km} km" if row % 3 else f"{km * 1000:.0f} m" for row, km in enumerate(way)],
            "day": days.dt.to_string("%d/%m/%Y"),
            "paid": random.choice(["ja", "nein"], rows),
            "town": random.choice(["Hamburg", "Berlin", "hamburg"], rows, p=[0.5, 0.45, 0.05]),
            "price": 3 * way + random.normal(0, 0.1, rows),
        }
    )


def test_a_model_tidies_texts_as_the_recipe_did(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    rows = 300
    size = random.uniform(1, 9, rows).round(1)
    town = random.choice(["Hamburg ", " hamburg", "BERLIN", "Berlin\u00a0"], rows)
    kind = random.choice(["\uff26lat", "flat", "\u201chouse\u201d"], rows)
    note = random.choice(["GOOD\u200b light", "good  light", "  dark ", "needs   WORK"], rows)
    berlin, light = np.char.find(np.char.lower(town), "berlin") >= 0, np.char.find(np.char.lower(note), "light") >= 0
    frame = pl.DataFrame({"size": [f"\u3000{each}" for each in size], "town": town, "kind": kind, "note": note})
    frame = frame.with_columns(pl.Series("price", 3 * size + 5 * berlin + 4 * light + random.normal(0, 0.1, rows)))
    recipe = (
        Recipe()
        .normalise_unicode("kind", form="NFKC", plain=True)
        .trim()
        .change_case(["town", "kind"], to="fold")
        .change_case("note", to="lower")
        .parse_numbers("size")
    )
    kinds = {"size": "category", "town": "category", "kind": "category", "note": "text"}
    clean = recipe.fit_transform(read(frame, kinds=kinds))
    train(clean, target="price", work=Work("2s", seed=1), output=tmp_path / "m.lepton")
    model = open_model(tmp_path / "m.lepton")
    columns = {column.name: column for column in model.manifest.inputs}
    assert columns["town"].tidying == ("trim", "squeeze", "fold")
    assert (columns["size"].kind, columns["size"].tidying) == ("number", ("trim", "squeeze"))
    raw_rows, clean_rows = frame.drop("price"), clean.frame().drop("price")
    plain = TableInputs([replace(clean.schema[name], role=Role.FEATURE) for name in columns], model.manifest.codecs)
    assert isinstance(model.inputs, TableInputs)
    raw, cleaned = model.inputs.tensors(raw_rows), plain.tensors(clean_rows)
    assert raw["numbers"].tobytes() == cleaned["numbers"].tobytes()
    assert raw["strings"].tolist() == cleaned["strings"].tolist()
    answers = model.predict(raw_rows)
    assert answers.to_list() == model.predict(clean_rows).to_list()
    assert [model.predict([row])[0] for row in raw_rows.head(20).to_dicts()] == answers.head(20).to_list()


@pytest.mark.parametrize("first", ["1.5 km", "far"])
def test_a_model_reads_texts_as_the_recipe_did(first: str, tmp_path: Path) -> None:
    frame = raw_frame().with_columns(pl.Series("way", [first, *raw_frame()["way"][1:]]))
    recipe = (
        Recipe().parse_numbers("way", on_error="drop").parse_dates("day").parse_booleans("paid").merge_spellings("town")
    )
    clean = recipe.fit_transform(read(frame, kinds=dict.fromkeys(TEXTS, "category")))
    path = tmp_path / "m.lepton"
    train(clean, target="price", work=Work("2s", seed=1), output=path)
    model = open_model(path)
    rows = {
        "way": ["3 km", "3000 m"],
        "day": ["01/02/2015"] * 2,
        "paid": ["ja", " JA"],
        "town": ["hamburg", "Hamburg"],
    }
    one, other = model.predict(rows)
    assert one == other == pytest.approx(9.0, abs=2.0)
    with pytest.raises(SchemaError, match=r"'way'.*'3 ft'"):
        model.predict({name: ["3 ft"] if name == "way" else values[:1] for name, values in rows.items()})


@pytest.mark.parametrize("on_error", ["flag", "missing"])
def test_cells_that_the_recipe_let_through_are_missing_to_the_model(on_error: str, tmp_path: Path) -> None:
    way = ["far", *raw_frame()["way"][1:]]
    frame = raw_frame().with_columns(pl.Series("way", way), pl.Series("day", ["31/02/2020", *raw_frame()["day"][1:]]))
    recipe = Recipe().parse_numbers("way", on_error=on_error).parse_dates("day", "%d/%m/%Y", on_error=on_error)
    clean = recipe.parse_booleans("paid", on_error=on_error).fit_transform(
        read(frame, kinds=dict.fromkeys(TEXTS, "category"))
    )
    train(clean, target="price", work=Work("2s", seed=1), output=tmp_path / "m.lepton")
    model = open_model(tmp_path / "m.lepton")
    assert model.inputs.names == TEXTS
    row = {"way": "2 km", "day": "01/02/2016", "paid": "ja", "town": "Berlin"}
    for name, bad in (("way", "many"), ("way", "2 miles"), ("day", "yesterday"), ("paid", "perhaps")):
        assert model.predict([{**row, name: bad}]) == model.predict([{**row, name: None}])
    answers = model.predict(frame.drop("price"))
    assert answers[0] == model.predict([{**frame.drop("price").row(0, named=True), "way": None, "day": None}])[0]


def test_a_mark_that_is_to_be_learned_from_is_refused_with_a_way_out(tmp_path: Path) -> None:
    way = ["far" if row % 5 == 0 else each for row, each in enumerate(raw_frame()["way"])]
    table = read(raw_frame().with_columns(pl.Series("way", way)), kinds=dict.fromkeys(TEXTS, "category"))
    clean = Recipe().parse_numbers("way", on_error="flag").fit_transform(table).with_roles({"way is bad": "feature"})
    with pytest.raises(DataError, match=r"'way is bad' of the cleaned table is not made.*leave the mark out") as caught:
        train(clean, target="price", work=Work("2s"), output=tmp_path / "m.lepton")
    assert caught.value.code is ErrorCode.NO_GRAPH_FORM
