"""What rows are compared with."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lepton.bundle import TableInputs
from lepton.core import BundleError, ColumnRecord, DataError, Kind, Schema, UsageError
from lepton.data import read
from lepton.data.statistics import Baseline, ColumnStatistics
from lepton.evaluation.explain.background import Rows, _drawn, background_of
from tests.evaluation.explain.table_models import Floats, model_file
from tests.evaluation.models import linear_model


def test_rows_of_the_data(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"a": 1.0})
    data = read(pl.DataFrame({"a": np.arange(50.0), "other": ["x"] * 50}))
    every = background_of(model, data, count=100, seed=0)
    assert sorted(every.tensors["numbers"][:, 0].tolist()) == list(range(50))
    assert "all 50 rows" in every.words
    some = background_of(model, data, count=10, seed=0)
    again = background_of(model, data, count=10, seed=0)
    other = background_of(model, data, count=10, seed=1)
    assert some.num_rows == 10
    assert np.array_equal(some.tensors["numbers"], again.tensors["numbers"])
    assert not np.array_equal(some.tensors["numbers"], other.tensors["numbers"])
    assert "10 rows drawn from the 50" in some.words
    first = some.first(4)
    assert first.num_rows == 4
    assert "4 rows" in first.words


def test_no_rows_and_no_statistics(tmp_path: Path) -> None:
    model = linear_model(tmp_path, {"a": 1.0})
    with pytest.raises(DataError, match="no rows"):
        background_of(model, read(pl.DataFrame({"a": []}, schema={"a": pl.Float64})), count=5, seed=0)
    with pytest.raises(UsageError, match="data="):
        background_of(model, None, count=5, seed=0)


def _with_statistics(folder: Path, frame: pl.DataFrame) -> object:
    data = read(frame)
    members = Baseline.of(data.frame(), Schema(tuple(data.schema)), {}).to_members()

    def emit(builder, numbers):
        return builder.node("MatMul", [numbers, builder.constant(np.ones((1, 1)))])

    return model_file(folder, ["size"], emit, texts=["colour"], baseline=members)


def test_rows_made_from_the_statistics_are_as_often_what_training_was(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    size = [
        None if gone else value for gone, value in zip(random.random(400) < 0.25, random.normal(size=400), strict=True)
    ]
    frame = pl.DataFrame({"size": size, "colour": ["red"] * 300 + ["blue"] * 100})
    model = _with_statistics(tmp_path, frame)
    found = background_of(model, None, count=200, seed=0)  # type: ignore[arg-type]
    numbers, colours = found.tensors["numbers"][:, 0], found.tensors["strings"][:, 0].tolist()
    assert np.isnan(numbers).mean() == pytest.approx(0.25, abs=0.04)
    assert np.nanmean(numbers) == pytest.approx(0, abs=0.15)
    assert np.nanstd(numbers) == pytest.approx(1, abs=0.15)
    assert colours.count("red") == pytest.approx(150, abs=4)
    assert "each column drawn by itself" in found.words


def test_statistics_that_lack_a_column(tmp_path: Path) -> None:
    data = read(pl.DataFrame({"size": [1.0, 2.0, 3.0]}))
    members = Baseline.of(data.frame(), Schema(tuple(data.schema)), {}).to_members()

    def emit(builder, numbers):
        return builder.node("MatMul", [numbers, builder.constant(np.ones((1, 1)))])

    model = model_file(tmp_path, ["size"], emit, texts=["colour"], baseline=members)
    with pytest.raises(BundleError, match="'colour'"):
        background_of(model, None, count=5, seed=0)


def rows_of(numbers: Floats, texts: list[str]) -> dict[str, np.ndarray]:
    return {"numbers": numbers, "strings": np.array([[text] for text in texts], dtype=object)}


def test_mixtures_of_numbers_and_texts() -> None:
    inputs = TableInputs(
        [ColumnRecord("a", Kind.NUMBER), ColumnRecord("t", Kind.CATEGORY), ColumnRecord("b", Kind.NUMBER)]
    )
    rows = Rows(
        inputs, rows_of(np.array([[1.0, np.nan]]), ["x"]), rows_of(np.array([[5.0, np.nan], [1.0, 7.0]]), ["y", "x"])
    )
    own = np.array([[True, False, True], [False, True, False]])
    mixed = rows.mixed(np.array([0, 0]), np.array([0, 1]), own)
    assert np.array_equal(mixed["numbers"], [[1.0, np.nan], [1.0, 7.0]], equal_nan=True)
    assert mixed["strings"].ravel().tolist() == ["y", "x"]
    assert rows.differ(np.array([0, 0]), np.array([0, 1])).tolist() == [[True, True, False], [False, False, True]]
    assert len(rows.both()["numbers"]) == 3


def test_dates_stand_where_training_had_them() -> None:
    column = ColumnRecord("since", Kind.DATETIME)
    known = ColumnStatistics("since", Kind.DATETIME)
    known.update(pl.Series([dt.datetime(2020, 1, 1), dt.datetime(2020, 12, 31)] * 20))  # noqa: DTZ001 - rows have no zone
    drawn = _drawn(column, known.summary(), 30, np.random.default_rng(0))
    assert drawn.dtype == pl.Datetime("us")
    assert drawn.min().year == 2020 == drawn.max().year  # type: ignore[union-attr]
    assert _drawn(column, None, 3, np.random.default_rng(0)).null_count() == 3
