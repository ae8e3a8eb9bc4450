"""Similar cases: the same as comparing all rows, in any batches, for tables, texts and pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lepton.bundle import GraphBuilder, Manifest, OutputRecord, Predictor, open_model, write_bundle
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.bundle.neighbours import Index
from lepton.core import ColumnRecord, DataError, Kind, UsageError
from lepton.data import read
from lepton.evaluation.explain import cases
from lepton.evaluation.explain.cases import similar_cases
from lepton.evaluation.explain.inner import InnerPoint
from tests.bundle.pictures import IMAGE, PHOTO, picture_bytes, write_tensors
from tests.evaluation.models import linear_model
from tests.evaluation.robustness.models import applicants, credit_model

WEIGHTS: dict[str, Any] = {"a": 1.0, "b": -1.0}


def rows(count: int = 300, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame({"a": random.normal(0, 10, count), "b": random.normal(0, 0.1, count), "id": range(count)})


def featured(folder: Path) -> Predictor:
    """A model whose features are a² and, always the same, 1."""
    columns = (ColumnRecord("a", Kind.NUMBER),)
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 1])
    square = builder.node("Mul", [numbers, numbers])
    one = builder.node("Add", [builder.node("Mul", [numbers, builder.constant(0.0)]), builder.constant(1.0)])
    features = builder.mark("features", builder.node("Concat", [square, one], axis=1))
    total = builder.node("ReduceSum", [features, builder.constant(np.array([1]))], keepdims=0)
    builder.output("prediction", total, "double", ["N"])
    graph = builder.finish({INPUTS_KEY: json.dumps(describe_inputs(columns))})
    outputs = (OutputRecord("prediction", "double", ("N",)),)
    manifest = Manifest(
        name="featured", task="regression", inputs=columns, outputs=outputs, inner={"features": "features"}
    )
    write_bundle(folder / "f.lepton", manifest=manifest, graph=graph)
    return open_model(folder / "f.lepton")


def embedding(builder: GraphBuilder, names: list[str]) -> tuple[OutputRecord, ...]:
    """The mean colour as answer and as embedding."""
    pixels = builder.node("Cast", names, to=11)
    mean = builder.node("ReduceMean", [pixels, builder.constant(np.array([1, 2]))], keepdims=0)
    total = builder.node("ReduceSum", [mean, builder.constant(np.array([1]))], keepdims=0)
    builder.output("prediction", total, "double", ["N"])
    builder.output("embedding", builder.node("Identity", [mean]), "double", ["N", 3])
    return (OutputRecord("prediction", "double", ("N",)), OutputRecord("embedding", "double", ("N", 3)))


def colours(folder: Path) -> Predictor:
    write_tensors(folder / "c.lepton", (IMAGE,), (PHOTO,), embedding, task="regression")
    return open_model(folder / "c.lepton")


def plain(colour: tuple[int, int, int]) -> Any:
    return np.broadcast_to(np.array(colour, np.uint8), (3, 4, 3)).copy()


def test_columns_are_compared_in_units_of_their_spread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "_STEP", 64)
    frame = rows()
    asked = frame.select("a", "b").head(2)
    found = similar_cases(linear_model(tmp_path, WEIGHTS), asked, read(frame), k=4)
    scaled = np.column_stack(
        [frame[n] / ((np.quantile(frame[n], 0.75) - np.quantile(frame[n], 0.25)) / 1.349) for n in ("a", "b")]
    )
    for place, each in enumerate(found.cases):
        true = np.sqrt(((scaled - scaled[place]) ** 2).mean(axis=1))
        assert [case.position for case in each] == np.argsort(true, kind="stable")[:4].tolist()
        np.testing.assert_allclose([case.distance for case in each], np.sort(true)[:4])
        assert (each[0].position, each[0].distance) == (place, 0.0)
        assert int(each[1].row["id"]) == each[1].position
        assert each[1].answer == pytest.approx(each[1].row["a"] - each[1].row["b"])
    assert found.by == "columns"


def test_features_are_the_models_own(tmp_path: Path) -> None:
    model = featured(tmp_path)
    frame = pl.DataFrame({"a": [0.0, -3.0, 2.9, 1.0, 10.0]})
    found = similar_cases(model, {"a": [3.0]}, read(frame), k=2)
    assert [case.position for case in found.cases[0]] == [1, 2]
    assert found.cases[0][0].distance == 0
    assert "1 of 2 features do not vary" in found.text()
    assert [c.position for c in similar_cases(model, {"a": [3.0]}, read(frame), k=2, by="columns").cases[0]] == [2, 3]


def test_inner_points_are_what_the_graph_computes(tmp_path: Path) -> None:
    model = featured(tmp_path)
    values = InnerPoint(model).run(model.tensors({"a": [2.0, -3.0]}))
    assert values.tolist() == [[4.0, 1.0], [9.0, 1.0]]
    with pytest.raises(UsageError, match="no inner point 'raw'"):
        InnerPoint(model, "raw")


def test_texts_and_missing_values_count_one(tmp_path: Path) -> None:
    model = credit_model(tmp_path)
    data = applicants(rows=80)
    row = data.frame(["income", "age", "sex", "note"]).row(5, named=True)
    found = similar_cases(model, {**row, "age": None, "sex": "x"}, data, k=80)
    same = next(case for case in found.cases[0] if case.position == 5)
    assert same.distance == pytest.approx(np.sqrt(2 / 4))
    assert all(isinstance(case.answer, str) for case in found.cases[0])
    json.dumps(found.to_dict(), allow_nan=False)


def test_pictures_are_compared_by_their_embedding(tmp_path: Path) -> None:
    model = colours(tmp_path)
    hues = [(200, 0, 0), (0, 200, 0), (90, 10, 0), (0, 0, 50)]
    for place, hue in enumerate(hues):
        (tmp_path / f"{place}.png").write_bytes(picture_bytes(plain(hue)))
    (tmp_path / "4.png").write_bytes(b"no picture")
    pl.DataFrame({"photo": [f"{place}.png" for place in range(5)]}).write_csv(tmp_path / "photos.csv")
    data = read(tmp_path / "photos.csv", kinds={"photo": "image"})
    found = similar_cases(model, [plain((100, 0, 0))], data, k=2)
    assert [case.position for case in found.cases[0]] == [0, 2]
    assert found.cases[0][0].distance == pytest.approx(0, abs=1e-12)
    assert found.cases[0][1].distance == pytest.approx(1 - 90 / np.hypot(90, 10))
    assert "1 rows whose file cannot be read" in found.text()


def test_an_index_is_searched_in_place_of_data(tmp_path: Path) -> None:
    model = colours(tmp_path)

    def embed(asked: Any) -> Any:
        return model.outputs(asked)["embedding"]

    pictures = [plain((0, 0, 9)), plain((9, 9, 9)), plain((200, 190, 210))]
    index = Index(embed, model.model_id, embed(pictures))
    found = similar_cases(model, [plain((50, 50, 50))], index=index, k=2)
    assert [case.position for case in found.cases[0]] == [1, 2]
    assert (found.by, found.cases[0][0].row, found.cases[0][0].answer) == ("index", {}, None)
    assert "an index" in found.page().html()
    with pytest.raises(UsageError, match="the index is of the model"):
        similar_cases(model, pictures, index=Index(embed, "0" * 64, embed(pictures)))
    with pytest.raises(UsageError, match="3 rows"):
        similar_cases(model, pictures, read(pl.DataFrame({"photo": ["a"]})), index=index)


def test_few_rows_and_bad_arguments(tmp_path: Path) -> None:
    model = linear_model(tmp_path, WEIGHTS)
    two = read(rows(2))
    found = similar_cases(model, {"a": 1.0, "b": float("inf")}, two, k=5)
    assert len(found.cases[0]) == 2
    assert "5 were asked for, and there are 2" in found.text()
    json.dumps(found.to_dict(), allow_nan=False)
    with pytest.raises(UsageError, match="k=0"):
        similar_cases(model, {"a": 1.0, "b": 1.0}, two, k=0)
    with pytest.raises(UsageError, match="by='embedding'"):
        similar_cases(model, {"a": 1.0, "b": 1.0}, two, by="embedding")
    with pytest.raises(UsageError, match="no rows to search"):
        similar_cases(model, {"a": 1.0, "b": 1.0})
    with pytest.raises(DataError):
        similar_cases(model, {"a": 1.0, "b": 1.0}, read(rows().select("a")))
