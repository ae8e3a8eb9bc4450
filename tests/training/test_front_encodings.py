"""Encodings in front of a model: it takes the texts as they came, also those that a codec spells out first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
import pytest

from lepton.bundle import GraphBuilder, TableInputs, open_model
from lepton.core import DataError, ErrorCode, Work
from lepton.data import Dataset, read
from lepton.data.recipes import Recipe
from lepton.training import train
from lepton.training.front import front_of, graph_inputs

KINDS = {"town": "category", "code": "category", "grade": "category", "note": "text"}


def raw_table(rows: int = 400) -> Dataset:
    random = np.random.default_rng(8)
    town = random.choice([f"town {each}" for each in range(12)], rows)
    grade = random.choice(["low", "middle", "high"], rows)
    price = np.char.str_len(town) * 3.0 + 2 * (grade == "high") + random.normal(0, 0.2, rows)
    code = random.choice(["A1", "B2", "C3", "Ä4"], rows)
    note = random.choice(["Good light, 3 rooms", "dark", "needs WORK", ""], rows)
    size = random.lognormal(3, 1, rows)
    frame = pl.DataFrame({"price": price, "town": town, "grade": grade, "code": code, "note": note, "size": size})
    return read(frame.with_columns(pl.col("note").replace("", None)), kinds=KINDS)


def test_a_model_takes_raw_categories_and_answers_as_on_encoded_ones(tmp_path: Path) -> None:
    table = raw_table()
    recipe = (
        Recipe()
        .trim()
        .target_encode("town", "price")
        .ordinal("grade", order=["low", "middle", "high"])
        .hash_encode("code", num_columns=4)
        .yeo_johnson("size")
        .text_features("note", max_columns=5)
    )
    clean = recipe.fit_transform(table)
    train(clean, target="price", work=Work("2s", seed=1), output=tmp_path / "m.lepton")
    model = open_model(tmp_path / "m.lepton")
    assert [column.name for column in model.manifest.inputs] == ["town", "grade", "code", "note", "size"]
    assert model.manifest.codecs == {"code": "stable-hash/1", "note": "characters/1"}
    raw = table.frame().drop("price")
    answers = model.predict(raw)
    assert [model.predict([row])[0] for row in raw.head(10).to_dicts()] == answers.head(10).to_list()
    assert np.isfinite(model.predict([{"town": "new", "grade": None, "code": "zzz", "note": None, "size": None}])).all()

    encoded = clean.lineage.recipe.transform(table) if clean.lineage else clean
    wanted = TableInputs([column for column in clean.schema if column.name != "price"])
    front = front_of(clean, wanted, "price")
    assert front is not None
    builder = GraphBuilder()
    made = front.emit(builder, graph_inputs(builder, front.inputs), wanted)
    builder.output("n", str(made.numbers), "double", ("N", len(made.number_names)))
    session = onnxruntime.InferenceSession(builder.finish({}))
    (found,) = session.run(["n"], front.inputs.tensors(raw))
    np.testing.assert_allclose(found, wanted.pack(encoded.frame(), "ignore").numbers, rtol=1e-9, atol=1e-12)


def test_a_column_that_is_spelt_out_serves_nothing_else() -> None:
    table = raw_table()
    kept = Recipe().derive("same", "code").hash_encode("code").fit_transform(table)
    renamed = Recipe().rename({"code": "key"}).hash_encode("key").fit_transform(table)
    for clean, wanted in ((kept, "something else takes them too"), (renamed, "as they came")):
        inputs = TableInputs([column for column in clean.schema if column.name not in ("price", "note")])
        with pytest.raises(DataError, match=wanted) as caught:
            front_of(clean, inputs, "price")
        assert caught.value.code is ErrorCode.NO_GRAPH_FORM


def test_what_has_no_form_is_refused_before_anything_is_learned() -> None:
    clean = Recipe().text_features("note", counts=["capitals"]).fit_transform(raw_table())
    with pytest.raises(DataError, match="capitals cannot be counted"):
        front_of(clean, TableInputs([column for column in clean.schema if column.name != "price"]), "price")
