"""Explaining rows of a table: which way is taken, what it gives, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lepton.bundle import GraphBuilder, Predictor
from lepton.core import DataError, Kind, Role, Schema, SchemaError, UsageError, Work
from lepton.data import read
from lepton.data.statistics import Baseline
from lepton.evaluation.explain import explain_table
from tests.evaluation.explain.table_models import forest, forest_model, model_file
from tests.evaluation.models import binary_model, linear_model

RANDOM = np.random.default_rng(0)


def frame(rows: int, columns: int = 3, seed: int = 0) -> pl.DataFrame:
    x = np.random.default_rng(seed).normal(size=(rows, columns))
    return pl.DataFrame(x, schema=[chr(ord("a") + place) for place in range(columns)])


def tangled(folder: Path, columns: int = 3) -> Predictor:
    """a * b * c, which is no sum; further columns say nothing."""
    names = [chr(ord("a") + place) if columns < 20 else f"c{place}" for place in range(columns)]

    def emit(builder, numbers):
        first = builder.node("Gather", [numbers, builder.constant(np.array([0, 1, 2]))], axis=1)
        parts = [builder.node("Gather", [first, builder.constant(np.array([at]))], axis=1) for at in range(3)]
        return builder.node("Mul", [builder.node("Mul", parts[:2]), parts[2]])

    return model_file(folder, names, emit)


def test_weights_are_told_exactly(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"a": 2.0, "b": -1.0, "c": 0.0}, offset=5.0)
    data = frame(200)
    found = explain_table(model, frame(4, seed=1), data=read(data))
    means = data.mean().to_numpy()[0]
    assert found.method == "linear"
    assert found.values[:, :, 0] == pytest.approx((frame(4, seed=1).to_numpy() - means) * [2.0, -1.0, 0.0])
    assert found.base[0] == pytest.approx(5.0 + 2 * means[0] - means[1])
    assert found.base + found.values.sum(axis=1) == pytest.approx(found.answers)
    assert not found.margins.any()


def test_two_labels_are_told_in_log_odds(tmp_path: Path) -> None:
    model = binary_model(tmp_path, 3.0)
    rows, data = pl.DataFrame({"x": [0.5, -0.2]}), read(pl.DataFrame({"x": np.linspace(-1, 1, 50)}))
    found = explain_table(model, rows, data=data)
    assert found.method == "linear"
    assert "log-odds of 'yes'" in found.title
    assert found.values[:, 0, 0] == pytest.approx([1.5, -0.6])
    other = explain_table(model, rows, data=data, label="no")
    assert other.values == pytest.approx(-found.values)
    shares = explain_table(model, rows, data=data, log_odds=False)
    assert shares.method == "enumeration"
    assert shares.answers[0, 0] == pytest.approx(1 / (1 + np.exp(-1.5)))


def test_several_labels_are_told_as_scores_or_as_probabilities(tmp_path: Path) -> None:
    made = forest(1, 3, num_trees=9, num_targets=3)
    model = forest_model(tmp_path, made, labels=("red", "green", "blue"))
    data = read(frame(30))
    found = explain_table(model, frame(3, seed=1), data=data)
    assert (found.method, found.values.shape) == ("trees", (3, 3, 3))
    assert found.title == "the score of each label"
    assert found.base + found.values.sum(axis=1) == pytest.approx(found.answers)
    shares = explain_table(model, frame(3, seed=1), data=data, log_odds=False)
    assert shares.method == "enumeration"
    assert shares.answers.sum(axis=1) == pytest.approx(np.ones(3))
    one = explain_table(model, frame(3, seed=1), data=data, log_odds=False, label="green")
    assert one.values[:, :, 0] == pytest.approx(shares.values[:, :, 1])


@pytest.mark.parametrize("sets", [False, True])
def test_trees_are_as_all_coalitions(tmp_path: Path, sets: bool) -> None:
    model = forest_model(tmp_path, forest(2, 4, num_trees=5, depth=4, sets=sets))
    data, rows = frame(40, 4), frame(3, 4, seed=1)
    if sets:
        codes = np.random.default_rng(0).integers(0, 5, 43).astype(float)
        data, rows = data.with_columns(d=pl.Series(codes[:40])), rows.with_columns(d=pl.Series(codes[40:]))
    rows = rows.with_columns(a=pl.Series([None, 0.1, 0.2]))
    exact = explain_table(model, rows, data=read(data))
    assert exact.method == "trees"
    every = explain_table(model, rows, data=read(data), method="enumeration")
    assert every.method == "enumeration"
    assert exact.values == pytest.approx(every.values, abs=1e-9)
    drawn = explain_table(model, rows, data=read(data), method="sampling", samples=40 * 6)
    assert (np.abs(drawn.values - exact.values) <= drawn.margins + 1e-12).mean() > 0.8
    assert drawn.errors.any()


def test_features_of_two_columns_are_not_told_from_weights(tmp_path: Path) -> None:
    def emit(builder, numbers):
        parts = [builder.node("Gather", [numbers, builder.constant(np.array([at]))], axis=1) for at in range(3)]
        features = builder.node("Concat", [parts[0], builder.node("Mul", parts[1:])], axis=1)
        return builder.node("MatMul", [features, builder.constant(np.array([[1.0], [2.0]]))])

    model = model_file(tmp_path, ["a", "b", "c"], emit)
    data, rows = read(frame(30)), frame(2, seed=1)
    assert explain_table(model, rows, data=data).method == "enumeration"
    with pytest.raises(UsageError, match="no sum of trees"):
        explain_table(model, rows, data=data, method="graph")
    known = model_file(tmp_path, ["a", "b", "c"], emit, name="known", kind="linear")
    exact = explain_table(known, rows, data=data)
    assert exact.method == "linear"
    assert exact.values == pytest.approx(explain_table(model, rows, data=data).values, abs=1e-9)


def test_products_of_columns_in_scores_of_labels(tmp_path: Path) -> None:
    def emit(builder: GraphBuilder, numbers: str) -> str:
        parts = [builder.node("Gather", [numbers, builder.constant(np.array([at]))], axis=1) for at in range(3)]
        features = builder.node("Concat", [parts[0], builder.node("Mul", parts[1:])], axis=1)
        return str(builder.node("MatMul", [features, builder.constant(np.array([[1.0, 0.0, -1.0], [2.0, 1.0, 0.0]]))]))

    model = model_file(tmp_path, ["a", "b", "c"], emit, labels=("x", "y", "z"), kind="linear")
    rows, data = frame(2, seed=1), frame(30)
    found = explain_table(model, rows, data=read(data))
    assert (found.method, found.title) == ("linear", "the score of each label")
    mine, usual = rows.to_numpy(), data.to_numpy().mean(axis=0)
    assert found.values[:, 0] == pytest.approx(np.outer(mine[:, 0] - usual[0], [1.0, 0.0, -1.0]))
    assert found.base + found.values.sum(axis=1) == pytest.approx(found.answers)


def test_text_columns_and_missing_values(tmp_path: Path) -> None:
    def emit(builder, numbers):
        codes = builder.node(
            "LabelEncoder",
            ["strings"],
            domain="ai.onnx.ml",
            keys_strings=["red", "blue"],
            values_floats=[1.0, 5.0],
            default_float=0.0,
        )
        both = builder.node("Concat", [numbers, builder.node("Cast", [codes], to=11)], axis=1)
        clean = builder.node("Where", [builder.node("IsNaN", [both]), builder.constant(0.0), both])
        return builder.node("MatMul", [clean, builder.constant(np.array([[1.0], [10.0]]))])

    model = model_file(tmp_path, ["size"], emit, texts=["colour"])
    data = read(pl.DataFrame({"size": [1.0, 2.0, 3.0, 4.0], "colour": ["red", "red", "blue", "other"]}))
    found = explain_table(model, pl.DataFrame({"size": [None, 3.0], "colour": ["blue", None]}), data=data)
    assert found.method == "linear"
    assert found.values[:, :, 0] == pytest.approx(np.array([[-2.5, 50 - 17.5], [0.5, -17.5]]))
    assert "missing" in found.text()


def test_one_column(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"x": 2.0})
    data = read(pl.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]}))
    for method in ("auto", "enumeration", "sampling"):
        found = explain_table(model, {"x": 5.0}, data=data, method=method)
        assert found.values[0, 0, 0] == pytest.approx(7.0)
        assert found.num_rows == 1


def test_constant_answers_are_said_to_be(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"a": 0.0, "b": 0.0}, offset=3.0)
    for method in ("auto", "sampling"):
        found = explain_table(model, frame(2, 2), data=read(frame(20, 2)), method=method)
        assert not found.values.any()
        assert "nothing to explain" in found.text()


def test_thousands_of_columns(tmp_path: Path) -> None:
    """What matters is explained each, the rest together, in bounded time; weights are told whatever their number."""
    count = 600
    wide = pl.DataFrame(np.random.default_rng(0).normal(size=(6, count)), schema=[f"c{at}" for at in range(count)])
    found = explain_table(tangled(tmp_path, count), wide.head(1), data=read(wide.tail(5)), samples=1_200)
    assert found.values.shape == (1, 256, 1)
    assert found.names[:3] == ("c0", "c1", "c2")
    assert found.names[-1] == "345 other columns"
    assert np.abs(found.values[0, 3:]).max() == pytest.approx(0, abs=1e-12)
    assert "600 columns" in found.text()
    weights = linear_model(tmp_path, {f"c{at}": float(at == 7) for at in range(count)})
    exact = explain_table(weights, wide.head(1), data=read(wide.tail(5)))
    assert (exact.method, exact.values.shape) == ("linear", (1, count, 1))
    assert exact.strongest()[0][0] == "c7"


def test_compared_with_the_statistics_of_the_file(tmp_path: Path) -> None:
    data = pl.DataFrame({"a": np.linspace(0, 10, 500), "b": np.zeros(500)})
    schema = Schema(tuple(read(data).schema))
    assert all(column.role is Role.FEATURE and column.kind is Kind.NUMBER for column in schema)
    members = Baseline.of(data, schema, {}).to_members()

    def emit(builder, numbers):
        return builder.node("MatMul", [numbers, builder.constant(np.array([[1.0], [1.0]]))])

    model = model_file(tmp_path, ["a", "b"], emit, baseline=members)
    found = explain_table(model, {"a": [10.0], "b": [0.0]})
    assert found.values[0, :, 0] == pytest.approx([5.0, 0.0], abs=0.1)
    assert "statistics in the model file" in found.background


def test_rows_of_many_kinds_of_wrong(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"a": 1.0, "b": 1.0})
    data = read(frame(20, 2))
    with pytest.raises(UsageError, match=r"no statistics.*data="):
        explain_table(model, frame(1, 2))
    with pytest.raises(SchemaError, match="'b'"):
        explain_table(model, pl.DataFrame({"a": [1.0]}), data=data)
    with pytest.raises(SchemaError):
        explain_table(model, frame(1, 2), data=read(pl.DataFrame({"a": [1.0, 2.0]})))
    with pytest.raises(DataError, match="no rows"):
        explain_table(model, frame(0, 2), data=data)
    with pytest.raises(UsageError, match="method='magic'"):
        explain_table(model, frame(1, 2), data=data, method="magic")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="samples=0"):
        explain_table(model, frame(1, 2), data=data, samples=0)
    with pytest.raises(UsageError, match="tolerance"):
        explain_table(model, frame(1, 2), data=data, tolerance=-1.0)
    with pytest.raises(UsageError, match="samples=3"):
        explain_table(model, frame(1, 2), data=data, samples=3, method="sampling")
    with pytest.raises(UsageError, match="label"):
        explain_table(model, frame(1, 2), data=data, label="yes")
    with pytest.raises(UsageError, match="enumeration"):
        explain_table(tangled(tmp_path, 13), frame(1, 13), data=read(frame(9, 13)), method="enumeration")


def test_columns_that_go_together_are_named(tmp_path: Path) -> None:
    data = frame(200, 2).with_columns(b=pl.col("a") * 2 + pl.col("b") * 0.01)
    found = explain_table(linear_model(tmp_path, {"a": 1.0, "b": 1.0}), data.head(2), data=read(data))
    assert "a and b" in found.text()
    alone = explain_table(linear_model(tmp_path, {"a": 1.0, "b": 1.0}), frame(2, 2), data=read(frame(200, 2)))
    assert "go together" not in alone.text()


def test_the_same_whatever_the_seed_of_others(tmp_path: Path) -> None:
    model, rows, data = tangled(tmp_path), frame(5, seed=3), read(frame(30))
    first, again, other = (explain_table(model, rows, data=data, method="sampling", seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.values, again.values)
    assert not np.array_equal(first.values, other.values)
    assert first.to_dict() == again.to_dict()


def test_progress_and_the_end_of_the_time(tmp_path: Path) -> None:
    seen: list[str] = []
    work = Work(within=30, reporter=lambda record: seen.append(record.note))
    model, data = tangled(tmp_path), read(frame(30))
    explain_table(model, frame(3, seed=1), data=data, method="sampling", work=work)
    assert "explaining" in seen
    over = Work(within=1e-9)
    found = explain_table(model, frame(3, seed=1), data=data, method="sampling", samples=8_000, work=over)
    assert found.evaluations < 8_000
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["method"] == "sampling"
