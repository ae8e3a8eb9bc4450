"""Opening and predicting: the right answers, in the container that came, whatever the batch."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

import lepton.bundle.model
from lepton.bundle import Manifest, OutputRecord, Predictor, open_model, read_bundle, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.inputs import TableInputs
from lepton.core import BundleError, ColumnRecord, DataError, ErrorCode, Kind, Resources, SchemaError, UsageError
from tests.bundle.bundles import COLUMNS, ROWS, make_binary_bundle, make_regression_bundle, score

SCORES = [score(row) for row in ROWS.to_dicts()]
YES = [1 / (1 + math.exp((50 - each) / 10)) for each in SCORES]
LABELS = ["yes" if each > 50 else "no" for each in SCORES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    make_regression_bundle(folder / "regression.lepton", lineage={"ignored": ["note"]})
    make_binary_bundle(folder / "binary.lepton")
    make_binary_bundle(folder / "boolean.lepton", boolean=True)
    make_numeric_bundle(folder / "numeric.lepton")
    return folder


def make_numeric_bundle(path: Path) -> None:
    """Predicts the sum of two numbers."""
    columns = (ColumnRecord("a", Kind.NUMBER), ColumnRecord("b", Kind.NUMBER))
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 2])
    total = builder.node("ReduceSum", [numbers, builder.constant(np.array([1]))], keepdims=0)
    builder.output("prediction", total, "double", ["N"])
    manifest = Manifest(
        name="sum", task="regression", inputs=columns, outputs=(OutputRecord("prediction", "double", ("N",)),)
    )
    write_bundle(path, manifest=manifest, graph=builder.finish({"lepton.inputs": TableInputs(columns).metadata()}))


@pytest.fixture
def regression(folder: Path) -> Predictor:
    return open_model(folder / "regression.lepton")


@pytest.fixture
def binary(folder: Path) -> Predictor:
    return open_model(folder / "binary.lepton")


@pytest.fixture
def boolean(folder: Path) -> Predictor:
    return open_model(folder / "boolean.lepton")


@pytest.fixture
def numeric(folder: Path) -> Predictor:
    return open_model(folder / "numeric.lepton")


def test_what_it_is(binary: Predictor, regression: Predictor, boolean: Predictor) -> None:
    assert binary.task.name == "binary"
    assert binary.labels == ("no", "yes")
    assert binary.model_id == binary.bundle.model_id
    assert regression.labels is None
    assert boolean.labels == (False, True)
    assert boolean.label_names == ("false", "true")


def test_a_bundle_that_was_read_can_be_opened(folder: Path) -> None:
    bundle = read_bundle(folder / "regression.lepton")
    assert open_model(bundle, resources=Resources(cpus=1)).bundle is bundle


def test_predictions_come_back_in_the_same_container(regression: Predictor) -> None:
    polars = regression.predict(ROWS)
    assert polars.name == "price"
    assert polars.to_list() == pytest.approx(SCORES)
    frame = ROWS.to_pandas().set_axis([7, 5, 3, 1])
    pandas = regression.predict(frame)
    assert isinstance(pandas, pd.Series)
    assert pandas.name == "price"
    assert pandas.index.tolist() == [7, 5, 3, 1]
    assert pandas.tolist() == pytest.approx(SCORES)
    arrow = regression.predict(ROWS.to_arrow())
    assert isinstance(arrow, pa.Array)
    assert arrow.to_pylist() == pytest.approx(SCORES)
    for rows in (ROWS.to_dicts(), ROWS.to_dict(as_series=False)):
        answers = regression.predict(rows)
        assert type(answers) is list
        assert answers == pytest.approx(SCORES)
    assert regression.predict(ROWS.row(0, named=True)) == pytest.approx(SCORES[:1])
    matrix = regression.predict(np.array(ROWS.rows(), dtype=object))
    assert matrix.dtype == np.float64
    assert matrix == pytest.approx(np.array(SCORES))


def test_labels_are_texts_or_booleans(binary: Predictor, boolean: Predictor) -> None:
    assert binary.predict(ROWS).to_list() == binary.predict(ROWS.to_dicts()) == LABELS
    assert binary.predict(ROWS).dtype == pl.String
    assert binary.predict(ROWS.to_arrow()).type == pa.string()
    assert binary.predict(ROWS.to_pandas()).tolist() == LABELS
    truth = [label == "yes" for label in LABELS]
    assert boolean.predict(ROWS).dtype == pl.Boolean
    assert boolean.predict(ROWS).to_list() == boolean.predict(ROWS.to_dicts()) == truth
    assert boolean.predict(ROWS.to_pandas()).dtype == bool


def test_probabilities(binary: Predictor, boolean: Predictor) -> None:
    polars = binary.predict_proba(ROWS)
    assert polars.columns == ["no", "yes"]
    assert polars["yes"].to_list() == pytest.approx(YES)
    pandas = binary.predict_proba(ROWS.to_pandas().set_axis([4, 3, 2, 1]))
    assert pandas.columns.tolist() == ["no", "yes"]
    assert pandas.index.tolist() == [4, 3, 2, 1]
    assert binary.predict_proba(ROWS.to_arrow()).column("yes").to_pylist() == pytest.approx(YES)
    assert [row["yes"] for row in binary.predict_proba(ROWS.to_dicts())] == pytest.approx(YES)
    matrix = binary.predict_proba(np.array(ROWS.rows(), dtype=object))
    assert matrix.shape == (4, 2)
    assert matrix[:, 1] == pytest.approx(YES)
    assert boolean.predict_proba(ROWS).columns == ["false", "true"]


def test_regression_has_no_probabilities(regression: Predictor) -> None:
    with pytest.raises(UsageError, match="use predict"):
        regression.predict_proba(ROWS)


def test_a_float_matrix_goes_straight_to_the_graph(numeric: Predictor) -> None:
    assert numeric.predict(np.array([[1.0, 2.0], [3.0, np.nan]])).tolist() == pytest.approx([3, np.nan], nan_ok=True)
    assert numeric.predict(np.array([[1, 2]])).tolist() == [3]
    assert numeric.predict(pl.DataFrame({"b": [1], "a": [2]})).name == "prediction"


@pytest.mark.parametrize("model", ["regression", "binary", "boolean", "numeric"])
def test_no_rows_give_no_answers(model: str, folder: Path) -> None:
    predictor = open_model(folder / f"{model}.lepton")
    empty = ROWS.clear() if model != "numeric" else pl.DataFrame({"a": [], "b": []})
    answers = predictor.predict(empty)
    assert len(answers) == 0
    if model == "binary":
        assert answers.dtype == pl.String
        assert predictor.predict_proba(empty).shape == (0, 2)
        assert predictor.predict([]) == []
        assert predictor.predict(empty.to_arrow()).type == pa.string()
    if model == "boolean":
        assert answers.dtype == pl.Boolean
    if model == "numeric":
        assert predictor.predict(np.empty((0, 2))).shape == (0,)


def test_columns_of_the_training_table_may_stay(regression: Predictor) -> None:
    table = ROWS.with_columns(price=pl.lit(1.0), note=pl.lit("seen, never used"))
    assert regression.predict(table).to_list() == pytest.approx(SCORES)
    with pytest.raises(SchemaError, match=r"'seller'.*drop them") as caught:
        regression.predict(table.with_columns(seller=pl.lit("x")))
    assert caught.value.details == {"extra": ["seller"]}


def test_unseen_categories_are_counted(regression: Predictor) -> None:
    assert regression.unseen == {}
    regression.predict(ROWS)
    regression.predict({**ROWS.row(0, named=True), "town": "Nowhere"})
    regression.predict({**ROWS.row(0, named=True), "town": None})
    assert regression.unseen == {"town": 2}


def tensors_of(predictor: Predictor, rows: Any) -> dict[str, Any]:
    assert isinstance(predictor.inputs, TableInputs)
    return predictor.inputs.tensors(rows)


def test_counting_loses_nothing_among_threads(regression: Predictor) -> None:
    tensors = tensors_of(regression, ROWS)
    threads = [threading.Thread(target=lambda: [regression.run(tensors) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert regression.unseen == {"town": 200}


def test_outputs_are_the_graphs_own(binary: Predictor) -> None:
    outputs = binary.outputs(ROWS)
    assert list(outputs) == ["prediction", "probabilities"]
    assert outputs["prediction"].tolist() == LABELS
    assert binary.run(tensors_of(binary, ROWS), ["probabilities"]).keys() == {"probabilities"}


@given(st.data())
def test_an_answer_never_depends_on_its_neighbours(folder: Path, data: st.DataObject) -> None:
    binary = open_model(folder / "binary.lepton", resources=Resources(cpus=2))
    order = data.draw(st.lists(st.integers(0, ROWS.height - 1), min_size=1, max_size=12))
    expected = np.concatenate([binary.outputs(ROWS[row : row + 1])["probabilities"] for row in order])
    assert np.array_equal(binary.outputs(ROWS[order])["probabilities"], expected)


def test_chunks_give_the_same_as_one_call(binary: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pl.concat([ROWS] * 50)
    whole = binary.outputs(rows)
    monkeypatch.setattr(lepton.bundle.model, "CHUNK_ROWS", 7)
    cut = binary.outputs(rows)
    assert all(np.array_equal(whole[name], cut[name]) for name in whole)
    assert cut["prediction"].tolist() == LABELS * 50
    tensors = tensors_of(binary, rows)
    tensors["strings"] = tensors["strings"][:-1]
    with pytest.raises(SchemaError, match="with the same N"):
        binary.run(tensors)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: {},
        lambda t: {"numbers": t["numbers"]},
        lambda t: t | {"more": t["numbers"]},
        lambda t: t | {"numbers": t["numbers"].astype(np.float32)},
        lambda t: t | {"numbers": t["numbers"][:, :2]},
        lambda t: t | {"numbers": t["numbers"][:, 0]},
        lambda t: t | {"numbers": t["numbers"][:1]},
        lambda t: t | {"strings": t["numbers"][:, :1]},
        lambda t: {name: tensor[:0, :0] for name, tensor in t.items()},
    ],
)
def test_wrong_tensors_are_refused(binary: Predictor, change: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SchemaError, match=r"numbers double \[N, 3\], strings string \[N, 1\]"):
        binary.run(change(tensors_of(binary, ROWS)))
    assert capfd.readouterr() == ("", "")


def test_what_fails_inside_onnxruntime_is_one_clean_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    columns = (ColumnRecord("a", Kind.NUMBER),)
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 1])
    index = builder.node("Cast", [numbers], to=7)
    gathered = builder.node("Gather", [builder.constant(np.array([1.0, 2.0])), index])
    builder.output("prediction", builder.node("Squeeze", [gathered, builder.constant(np.array([1]))]), "double", ["N"])
    outputs = (OutputRecord("prediction", "double", ("N",)),)
    manifest = Manifest(name="m", task="regression", inputs=columns, outputs=outputs)
    graph = builder.finish({"lepton.inputs": TableInputs(columns).metadata()})
    write_bundle(tmp_path / "m.lepton", manifest=manifest, graph=graph)
    model = open_model(tmp_path / "m.lepton")
    assert model.predict(np.array([[1.0]])).tolist() == [2.0]
    with pytest.raises(BundleError, match=r"onnxruntime failed.*Gather") as caught:
        model.predict(np.array([[9.0]]))
    assert caught.value.code is ErrorCode.GRAPH_REFUSED
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_graph_that_onnxruntime_refuses(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    columns = (ColumnRecord("a", Kind.NUMBER),)
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 1])
    # Valid ONNX, but the CPU has no kernel for it in double.
    erf = builder.node("Erf", [builder.node("Squeeze", [numbers, builder.constant(np.array([1]))])])
    builder.output("prediction", erf, "double", ["N"])
    outputs = (OutputRecord("prediction", "double", ("N",)),)
    manifest = Manifest(name="m", task="regression", inputs=columns, outputs=outputs)
    graph = builder.finish({"lepton.inputs": TableInputs(columns).metadata()})
    write_bundle(tmp_path / "m.lepton", manifest=manifest, graph=graph)
    with pytest.raises(BundleError, match=r"cannot open the graph.*Erf"):
        open_model(tmp_path / "m.lepton")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("vocabulary", [b"", b"[]", b'{"town": 3}', b'{"town": [[]]}'])
def test_a_wrong_vocabulary_is_a_damaged_bundle(tmp_path: Path, folder: Path, vocabulary: bytes) -> None:
    bundle = read_bundle(folder / "regression.lepton")
    assets = {"vocabulary.json": vocabulary}
    write_bundle(tmp_path / "m.lepton", manifest=bundle.manifest, graph=bundle.graph, assets=assets)
    with pytest.raises(BundleError, match="vocabulary") as caught:
        open_model(tmp_path / "m.lepton")
    assert caught.value.code is ErrorCode.BUNDLE_DAMAGED


def test_a_model_for_a_newer_onnxruntime(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.__version__", "1.9.2")
    with pytest.raises(BundleError, match=r"pip install 'onnxruntime>=1\.21'"):
        open_model(folder / "regression.lepton")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        open_model(tmp_path / "nothing.lepton")


def test_columns_are_those_of_the_bundle(regression: Predictor) -> None:
    assert regression.inputs.columns == COLUMNS
