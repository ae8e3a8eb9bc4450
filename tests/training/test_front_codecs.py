"""Columns that a recipe parsed come to the model as texts, and codecs of its file read them as the recipe did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lepton.bundle import open_model
from lepton.core import SchemaError, Work
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
