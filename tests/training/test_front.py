"""Models that were trained on a cleaned table take the rows as they came."""

from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
import pytest

from lepton.bundle import GraphBuilder, TableInputs, open_model
from lepton.core import DataError, ErrorCode, Work
from lepton.data import Dataset, read
from lepton.data.recipes import Recipe
from lepton.data.steps import Tensors
from lepton.training import train
from lepton.training.front import front_of

KINDS = {"town": "category", "note": "category"}


def raw_frame(rows: int = 400) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    rooms = rng.integers(1, 7, rows).astype(float)
    town = rng.choice(["Ulm", "Bonn", "Kiel"], rows)
    size = rng.lognormal(4, 0.5, rows)
    price = 50 + 10 * rooms + 30 * (town == "Ulm") + 0.1 * size
    frame = pl.DataFrame(
        {"price": price, "Rooms": rooms, "town": town, "size": size, "note": rng.choice(["a", "b"], rows)}
    )
    frame = frame.with_columns(
        pl.when(pl.col("Rooms") > 5).then(None).otherwise(pl.col("Rooms")).alias("Rooms"),
        pl.when(pl.col("note") == "b").then(None).otherwise(pl.col("note")).alias("note"),
    )
    return pl.concat([frame, frame.head(30)])


def row_steps() -> Recipe:
    return (
        Recipe()
        .rename({"Rooms": "rooms"})
        .flag_missing("rooms")
        .fill("rooms", "median")
        .derive("density", "size / rooms")
        .clip(["size", "density"], q=(0.01, 0.99))
        .standardise(["size", "rooms", "density"])
        .one_hot("town")
        .fill("note", literal="none")
    )


@pytest.fixture(scope="module")
def table() -> Dataset:
    return read(raw_frame(), kinds=KINDS)


def trained(dataset: Dataset, path: Path) -> str:
    return train(dataset, target="price", work=Work("3s", seed=1), output=path).model_id


@pytest.fixture(scope="module")
def model(table: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("front") / "raw.lepton"
    trained(row_steps().fit_transform(table), path)
    return path


def test_the_model_takes_rows_as_they_came(model: Path) -> None:
    opened = open_model(model)
    assert [column.name for column in opened.manifest.inputs] == ["Rooms", "town", "size", "note"]
    assert opened.manifest.lineage["recipe"]["lepton"] == "recipe/1"
    assert opened.predict([{"Rooms": None, "town": "Oslo", "size": 60.0, "note": None}])[0] > 0


def test_raw_rows_become_cleaned_ones_in_the_graph(table: Dataset) -> None:
    clean = row_steps().fit_transform(table)
    wanted = TableInputs([column for column in clean.schema if column.name != "price"])
    front = front_of(clean, wanted, "price")
    assert front is not None
    builder = GraphBuilder()
    numbers, strings = front.inputs.numbers, front.inputs.strings
    given = Tensors(
        builder.input("numbers", "double", ["N", len(numbers)]),
        tuple(column.name for column in numbers),
        builder.input("strings", "string", ["N", len(strings)]),
        tuple(column.name for column in strings),
    )
    made = front.emit(builder, given, wanted)
    assert made.numbers is not None
    assert made.strings is not None
    builder.output("n", made.numbers, "double", ("N", len(made.number_names)))
    builder.output("s", made.strings, "string", ("N", len(made.string_names)))
    session = onnxruntime.InferenceSession(builder.finish({}))
    found = session.run(["n", "s"], front.inputs.tensors(raw_frame(), "ignore"))
    expected = wanted.pack(clean.frame(), "ignore")
    np.testing.assert_allclose(found[0], expected.numbers, rtol=1e-14)
    assert found[1].tolist() == expected.strings.to_numpy().tolist()


def test_steps_on_the_table_act_in_training_only(table: Dataset, tmp_path: Path) -> None:
    clean = Recipe().drop_duplicates().drop_missing("Rooms").rename({"size": "area"}).fit_transform(table)
    trained(clean, tmp_path / "m.lepton")
    manifest = open_model(tmp_path / "m.lepton").manifest
    assert manifest.lineage["table_steps"] == ["drop_duplicates", "drop_missing"]
    assert [column.name for column in manifest.inputs] == ["Rooms", "town", "size", "note"]


def test_what_a_model_does_not_need_is_not_asked_for(table: Dataset, tmp_path: Path) -> None:
    clean = (
        Recipe().standardise(["price", "size"]).derive("half", "size / 2").drop(["size", "note"]).fit_transform(table)
    )
    trained(clean, tmp_path / "m.lepton")
    assert [c.name for c in open_model(tmp_path / "m.lepton").manifest.inputs] == ["Rooms", "town", "size"]


def test_statistics_for_drift_are_of_the_rows_that_come(model: Path) -> None:
    bundle = open_model(model).bundle
    assert any(name.startswith("baseline/") for name in bundle.names)
    assert "Rooms" in str([bundle.member(name) for name in bundle.names if name.startswith("baseline/")])


def test_a_step_without_a_graph_form_is_refused_at_once(tmp_path: Path) -> None:
    texts = read(raw_frame().with_columns(pl.col("size").round(1).cast(pl.String)), kinds={**KINDS, "size": "category"})
    clean = Recipe().cast("size", "whole", on_error="drop").fit_transform(texts)
    with pytest.raises(DataError, match="no form that a model file can hold") as caught:
        trained(clean, tmp_path / "m.lepton")
    assert caught.value.code is ErrorCode.NO_GRAPH_FORM
    assert "without_recipe" in str(caught.value)
    assert not (tmp_path / "m.lepton").exists()


@pytest.mark.parametrize("target", ["price", "cost"])
@pytest.mark.parametrize(
    "made",
    [
        lambda recipe, target: recipe.derive("each", f"{target} / size"),
        lambda recipe, target: recipe.fill_model("Rooms", ["size", target]),
        lambda recipe, target: recipe.require({"holds": {"expression": f"{target} > size"}}, "size", "missing"),
    ],
)
def test_an_input_that_is_made_of_the_target_is_refused(made, target: str, table: Dataset, tmp_path: Path) -> None:
    recipe = made(Recipe().rename({"price": target}) if target == "cost" else Recipe(), target)
    with pytest.raises(DataError, match=f"makes an input of the target '{target}'") as caught:
        train(recipe.fit_transform(table), target=target, work=Work("3s"), output=tmp_path / "m.lepton")
    assert caught.value.code is ErrorCode.BAD_TARGET


def test_filled_and_held_columns_come_raw_to_the_model(table: Dataset, tmp_path: Path) -> None:
    clean = (
        Recipe()
        .require({"in_range": {"columns": "size", "most": 300}}, on_error="flag")
        .fill("size", "mean", by="town")
        .flag_outliers(["size", "Rooms"])
        .fill_model("Rooms", ["size", "town"])
        .fill_forward("note")
        .fill_backward("note")
        .drop("note")
        .fit_transform(table)
    )
    assert {"size is bad", "is outlier"} < set(clean.schema.names)
    trained(clean, tmp_path / "m.lepton")
    model = open_model(tmp_path / "m.lepton")
    assert set(model.inputs.names) == {"Rooms", "town", "size"}
    rows = {"Rooms": [None, None], "town": ["Ulm"] * 2, "size": [301.0, None]}
    one, other = model.predict(rows)
    assert one == other
